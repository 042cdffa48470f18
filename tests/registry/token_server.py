"""The token server of a registry: proves who asks, and signs what docker-registry lets them do.

Callers prove themselves by user and password (Basic) or by Ollama's scheme: an Ed25519 signature
over "GET,<url>,<constant>", checked here with the `cryptography` package.
"""
import base64
import datetime
import json
import time
import urllib.parse

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.x509.oid import NameOID

SERVICE = "the cellar"
ISSUER = "the porter"
# base64 of the hexadecimal text of the SHA-256 of nothing
EMPTY = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="


def part(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenServer:
    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.bundle = folder / "token.pem"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                            .public_key(self.key.public_key()).serial_number(1)
                            .not_valid_before(now - datetime.timedelta(days=1))
                            .not_valid_after(now + datetime.timedelta(days=1)).sign(self.key, hashes.SHA256()))
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.passwords = {"ann": "open sesame"}
        self.keys = {}  # base64 public key of ~/.ollama/id_ed25519.pub: user
        self.rights = {}  # (user, repository): set of actions
        self.asked = []  # (user, how, scopes) of every token that was given

    def configuration(self, realm):
        """The auth section of a docker-registry's configuration."""
        return (f"auth: {{token: {{realm: '{realm}', service: {SERVICE}, issuer: {ISSUER}, "
                f"rootcertbundle: {self.bundle}}}}}\n")

    def page(self, request):
        """A page of FaultProxy."""
        user, how = self.identify(request)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        if user is None or query.get("service") != [SERVICE]:
            return 401, {}, b'{"error":"who are you?"}'
        scopes = query.get("scope", [])
        self.asked.append((user, how, scopes))
        return 200, {"Content-Type": "application/json"}, json.dumps({"token": self.token(user, scopes)}).encode()

    def identify(self, request):
        given = request.headers.get("Authorization", "")
        if given.startswith("Basic "):
            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            return (user, "password") if self.passwords.get(user) == password else (None, "")
        public, _, signature = given.partition(":")
        if public not in self.keys:
            return None, ""
        url = f"{request.scheme}://{request.headers['Host']}{request.path}"
        return (self.keys[public], "key") if signed(public, signature, f"GET,{url},{EMPTY}") else (None, "")

    def token(self, user, scopes):
        access = []
        for scope in scopes:
            kind, repository, actions = scope.split(":")
            allowed = self.rights.get((user, repository), set()) & set(actions.split(","))
            access.append({"type": kind, "name": repository, "actions": sorted(allowed)})
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now,
                  "jti": str(now), "access": access}
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        text = part(json.dumps(header).encode()) + "." + part(json.dumps(claims).encode())
        return text + "." + part(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


def signed(public, signature, text):
    """Whether `signature` is that of `text` by the key of an OpenSSH wire public key, both in base64."""
    wire = base64.b64decode(public)
    kind = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
    if not wire.startswith(kind) or len(wire) != len(kind) + 32:
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(wire[len(kind):]).verify(base64.b64decode(signature), text.encode())
        return True
    except (InvalidSignature, ValueError):
        return False
