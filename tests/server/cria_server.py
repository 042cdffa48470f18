"""A real server on a free port with a store of its own, and what tests ask about its processes."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request


class Server:
    def __init__(self, folder, descriptors=None, out=subprocess.DEVNULL, **settings):
        """`descriptors`: the most that it may have open. `out`: the file that its stdout goes to."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        environment = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{self.port}",
                           OLLAMA_MODELS=str(folder / "models"), HOME=str(folder), **settings)
        self.log = open(folder / "log", "ab")
        limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
        self.process = subprocess.Popen([*limit, os.environ["CRIA"], "serve"], env=environment,
                                        stdout=out, stderr=self.log)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url, timeout=5)
                return
            except OSError:
                assert self.process.poll() is None, "the server ended at its start"
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0
        self.log.close()

    def request(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of any answer."""
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def error(self, method, path, body):
        status, _, text = self.request(method, path, body)
        return status, json.loads(text)["error"]

    def children(self, role=None):
        """Process ids, zombies included."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == self.process.pid and (role is None or role.encode() in words):
                found.append(int(entry.name))
        return found

    def blobs(self):
        return list((self.folder / "models/blobs").iterdir())

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_seconds(self, pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def comes_to_rest(self):
        """Whether its runners stop working, and are the same ones then."""
        runners = self.children("runner")
        assert runners

        def busy():
            return sum(self.processor_seconds(pid) for pid in runners)

        def idle():
            before = busy()
            time.sleep(1)
            return busy() - before < 0.3
        return eventually(idle, 20) and self.children("runner") == runners


def eventually(condition, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
