"""A registry that lies. By default it serves one small model well; tests replace an answer by harm."""
import http.server
import re
import socket
import ssl
import threading
import time

from listener import Listener
from models import config_of, digest_of, manifest_of, noise

WEIGHTS = noise(300_000, 7)
TEMPLATE = b"{{ .Prompt }}"


class Hostile:
    """`answers` maps (method, regular expression of the path) to a function of the request handler, the
    last added first. Every request is kept in `seen` as (method, path, headers)."""

    def __init__(self, certificate=None):
        self.layers = [("model", WEIGHTS), ("template", TEMPLATE)]
        self.config = config_of()
        self.answers, self.seen = [], []
        self.sent = 0  # bytes of bodies
        self.uploads = {}
        self.closed = threading.Event()
        handler = type("Handler", (Handler,), {"registry": self})
        self.server = Listener(("127.0.0.1", 0), handler)
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.scheme}://{self.host}"
        self.name = f"{self.host}/lab/wine:1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def on(self, method, pattern, answer):
        self.answers.insert(0, (method, re.compile(pattern), answer))

    def serve_manifest(self, text):
        self.on("GET", "/manifests/", lambda request: request.reply(200, text))

    def blobs(self):
        return {digest_of(content): content for content in [self.config, *(content for _, content in self.layers)]}

    def count(self, method, pattern):
        return sum(1 for m, path, _ in self.seen if m == method and re.search(pattern, path))

    def authorizations(self):
        return [headers["Authorization"] for _, _, headers in self.seen if "Authorization" in headers]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    registry = None

    def log_message(self, *arguments):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass

    def dispatch(self):
        self.registry.seen.append((self.command, self.path, dict(self.headers)))
        for method, pattern, answer in self.registry.answers:
            if method in (self.command, "*") and pattern.search(self.path):
                return answer(self)
        self.well()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = dispatch

    def well(self):
        """What an honest registry would say."""
        if "/manifests/" in self.path and self.command == "GET":
            return self.reply(200, manifest_of(self.registry.layers, self.registry.config))
        content = self.registry.blobs().get(self.path.rsplit("/", 1)[1])
        if content is None or self.command not in ("GET", "HEAD"):
            return self.reply(404, b"{}")
        self.reply_range(content)

    def reply_range(self, content):
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return self.reply(200, content)
        first = int(wanted[1])
        part = content[first:int(wanted[2]) + 1 if wanted[2] else len(content)]
        self.reply(206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"})

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def head(self, status, headers):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status, body=b"", headers=None):
        self.head(status, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.write(body)

    def redirect(self, location, status=307):
        self.reply(status, b"", {"Location": location})

    def write(self, body):
        self.wfile.write(body)
        self.registry.sent += len(body)

    def endless(self, headers, piece=b" " * 65536, pause=0.0):
        """A body without an end, until the client leaves."""
        self.close_connection = True
        self.head(200, {"Connection": "close", **headers})
        while self.command != "HEAD" and not self.registry.closed.is_set():
            self.write(piece)
            time.sleep(pause)

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
