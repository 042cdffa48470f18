"""Debian's docker-registry on a free port of loopback, with storage of its own, and a CA made on the spot."""
import socket
import subprocess
import time

# user "ann", password "open sesame", as `htpasswd -B` writes it
HTPASSWD = "ann:$2b$04$eL4lkJIqHRayIJFI1V4KGOx4ZEb9WqalXR3NZHx2mD9F/VPfu.MI6\n"

BASE = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/storage, maxthreads: 100}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http:
  addr: 127.0.0.1:{port}
  secret: a secret that must not change over a restart
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class DockerRegistry:
    """`auth` is the YAML of the auth section, `certificate` a Certificate for TLS."""

    def __init__(self, folder, auth="", certificate=None):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        text = BASE.format(folder=folder, port=self.port)
        if certificate:
            text += f"  tls: {{certificate: {certificate.certificate}, key: {certificate.key}}}\n"
        (folder / "config.yml").write_text(text + auth)
        self.start()

    @staticmethod
    def with_passwords(folder, certificate=None):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "htpasswd").write_text(HTPASSWD)
        return DockerRegistry(
            folder, f"auth: {{htpasswd: {{realm: cellar, path: {folder}/htpasswd}}}}\n", certificate)

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", self.folder / "config.yml"],
                                            stdout=log, stderr=log)
        end = time.time() + 20
        while not accepts(self.port):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.time() < end, "docker-registry does not listen"
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def close(self):
        self.kill()


class Certificate:
    """An authority that nobody knows and a certificate for 127.0.0.1 that it signed."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "ca.pem"
        self.key = folder / "key.pem"
        self.certificate = folder / "certificate.pem"
        (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:cellar.test\n")
        new_key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        self.openssl("req", "-x509", *new_key, "-keyout", folder / "ca.key", "-out", self.authority,
                     "-subj", "/CN=Test authority")
        self.openssl("req", *new_key[:3], "-keyout", self.key, "-out", folder / "request", "-subj", "/CN=localhost")
        self.openssl("x509", "-req", "-in", folder / "request", "-CA", self.authority, "-CAkey", folder / "ca.key",
                     "-CAcreateserial", "-days", "2", "-extfile", folder / "extensions", "-out", self.certificate)

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
