#!/usr/bin/env python3
"""Throughput of `cria pull` from loopback against curl piped into sha256sum, side by side.

    bench/pull_speed.py build/dev/cria [--size MB] [--pairs N] [--folder DIR]

Sources: Debian's docker-registry, and a file server that does nothing but sendfile(). Every round
runs, in turn: curl | sha256sum; the same with openssl, which uses the CPU's SHA instructions; the first with
tee writing the file; cria pull into an empty store, which hashes and writes every byte. Prints MB/s (medians), the ratio of
each round's pair (median and spread) and the peak memory of the server.
"""
import argparse
import hashlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / part) for part in ("server", "registry")]
from cria_server import Server  # noqa: E402
from docker_registry import DockerRegistry  # noqa: E402
from models import config_of, layer, manifest_of  # noqa: E402

REPOSITORY = "/v2/bench/model"


class FileServer:
    """The registry's paths over files, by sendfile: `files` maps paths to files."""

    def __init__(self, files):
        self.files = files
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                while first := lines.readline():
                    head = list(iter(lines.readline, b"\r\n"))
                    self.answer(connection, first.decode().split(), b"".join(head).decode())
        except OSError:
            pass

    def answer(self, connection, request, head):
        path = self.files.get(request[1])
        if path is None:
            return connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        size = path.stat().st_size
        wanted = re.search(r"(?i)^range: bytes=(\d+)-(\d*)", head, re.M)
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]), size - 1) if wanted and wanted[2] else size - 1
        kind = "application/vnd.docker.distribution.manifest.v2+json" if "/manifests/" in request[1] else "application/octet-stream"
        status = f"206 Partial Content\r\nContent-Range: bytes {first}-{last}/{size}" if wanted else "200 OK"
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nAccept-Ranges: bytes\r\n"
                           f"Content-Length: {last + 1 - first}\r\n\r\n".encode())
        if request[0] == "GET":
            with open(path, "rb") as file:
                connection.sendfile(file, first, last + 1 - first)


def put(url, path, **headers):
    """The headers of an upload's answer."""
    request = urllib.request.Request(url, open(path, "rb") if path else b"", method="PUT" if path else "POST",
                                     headers={"Content-Length": str(path.stat().st_size) if path else "0", **headers})
    with urllib.request.urlopen(request) as answer:
        return answer.headers


def make_files(folder, size):
    """{path: file} of one model whose weights are random."""
    weights = folder / "weights"
    digest = hashlib.sha256()
    with open(weights, "wb") as out:
        for _ in range(size):
            piece = os.urandom(1_000_000)
            digest.update(piece)
            out.write(piece)
    config = config_of()
    (folder / "config").write_bytes(config)
    parsed = manifest_of([("model", b"")], config).decode()
    empty = layer(b"", "model")
    text = parsed.replace(empty["digest"], f"sha256:{digest.hexdigest()}").replace('"size":0', f'"size":{size * 1_000_000}')
    (folder / "manifest").write_text(text)
    return {f"{REPOSITORY}/manifests/1": folder / "manifest",
            f"{REPOSITORY}/blobs/sha256:{digest.hexdigest()}": weights,
            f"{REPOSITORY}/blobs/{layer(config, 'config')['digest']}": folder / "config"}


def fill(registry, files):
    for path, file in files.items():
        if "/blobs/" in path:
            place = put(f"http://{registry.host}{REPOSITORY}/blobs/uploads/", None)["Location"]
            put(f"{place}&digest={path.rsplit('/', 1)[1]}", file, **{"Content-Type": "application/octet-stream"})
    put(f"http://{registry.host}{REPOSITORY}/manifests/1", files[f"{REPOSITORY}/manifests/1"],
        **{"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"})


def timed(command, **more):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)
    return time.monotonic() - start


def pull(cria, folder, host):
    """(seconds, peak KiB of the server) of one pull into an empty store."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    server = Server(folder)
    environment = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{server.port}", HOME=str(folder))
    seconds = timed([cria, "pull", "--insecure", f"{host}/bench/model:1"], env=environment, stderr=subprocess.DEVNULL)
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    server.close()
    shutil.rmtree(folder)
    return seconds, int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def measure(name, host, files, arguments, folder):
    blob = max(files, key=lambda path: files[path].stat().st_size)
    url = f"http://{host}{blob}"
    ways = {"curl | sha256sum": ["sh", "-c", f"curl -s {url} | sha256sum"],
            "curl | openssl dgst -sha256": ["sh", "-c", f"curl -s {url} | openssl dgst -sha256"],
            "curl | tee FILE | sha256sum": ["sh", "-c", f"curl -s {url} | tee {folder}/copy | sha256sum"]}
    times, peak = {way: [] for way in [*ways, "cria pull"]}, 0
    for _ in range(arguments.pairs + 1):  # the first round fills the page cache
        for way, command in ways.items():
            times[way].append(timed(command))
            (folder / "copy").unlink(missing_ok=True)
        seconds, memory = pull(arguments.cria, folder / "store", host)
        times["cria pull"].append(seconds)
        peak = max(peak, memory)
    print(f"{name}: {arguments.size} MB, {arguments.pairs} rounds, peak memory of the server {peak / 1024:.0f} MiB")
    for way, seconds in times.items():
        ratios = sorted(theirs / ours for theirs, ours in zip(seconds[1:], times["cria pull"][1:]))
        print(f"  {way:28} {arguments.size / statistics.median(seconds[1:]):6.0f} MB/s   cria pull is "
              f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cria", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=1000, help="MB of the model")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", help="where the stores are made (default: the system's temporary folder)")
    arguments = parser.parse_args()
    arguments.cria = arguments.cria.resolve()
    os.environ["CRIA"] = str(arguments.cria)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        files = make_files(folder, arguments.size)
        measure("file server", FileServer(files).host, files, arguments, folder)
        registry = DockerRegistry(folder / "registry")
        fill(registry, files)
        measure("docker-registry", registry.host, files, arguments, folder)
        registry.close()


if __name__ == "__main__":
    main()
