"""What clients, files and fate do to a server: it answers clearly and goes on."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from cria_server import Server, eventually
from server_models import NO_END, server_with_model

ENDLESS = {"model": "smol", "prompt": "Once upon a time", "raw": True,
           "options": {**NO_END, "num_predict": 100_000, "temperature": 1}}


# Of their own: these tests count runners.
@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("faults"))
    yield server
    server.close()


def open_stream(server, body):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/api/generate", json.dumps(body))
    return connection


def works(server):
    body = {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}
    status, _, text = server.request("POST", "/api/generate", body)
    return status == 200 and json.loads(text)["done"]


def test_killed_runner_fails_its_request_only(server):
    assert works(server)
    before = server.descriptors()
    for _ in range(3):
        connection = open_stream(server, ENDLESS)
        answer = connection.getresponse()
        answer.readline()
        (runner,) = server.children("runner")
        os.kill(runner, signal.SIGKILL)
        lines = answer.read().decode().strip().splitlines()
        assert json.loads(lines[-1])["error"].startswith("model runner has unexpectedly stopped")
        connection.close()
        assert works(server)
    assert len(server.children()) == 1  # one runner, no zombies
    assert eventually(lambda: server.descriptors() <= before)


def test_disconnect_stops_the_work(server):
    assert works(server)
    long_prompt = {**ENDLESS, "prompt": "word " * 3000, "options": {**NO_END, "num_predict": 100_000, "num_ctx": 4096}}
    for body, wait in ((ENDLESS, 0.5), (long_prompt, 0.3)):
        connection = open_stream(server, body)
        time.sleep(wait)
        connection.close()
        assert server.comes_to_rest()
    assert works(server)


def test_bad_requests(server):
    cases = [
        ("/api/generate", b"", 400, "missing request body"),
        ("/api/generate", b"{", 400, "unexpected EOF"),
        ("/api/generate", b"x", 400, "invalid character 'x' looking for beginning of value"),
        ("/api/chat", b"{}", 400, "model is required"),
        ("/api/generate", {"model": "none", "prompt": "x"}, 404, "model 'none' not found"),
        ("/api/chat", {"model": "none"}, 404, "model 'none' not found"),
        ("/api/show", {"model": "none"}, 404, "model 'none:latest' not found"),
        ("/api/show", {"model": "../etc/passwd"}, 400, "invalid model name"),
        ("/api/show", {"model": 5}, 400,
         "json: cannot unmarshal number into Go struct field ShowRequest.model of type string"),
        ("/api/generate", {"model": "smol", "prompt": "x", "options": {"temperature": "hot"}}, 400,
         'option "temperature" must be of type float32'),
        ("/api/generate", {"model": "smol", "prompt": "x", "keep_alive": "300"}, 400,
         'time: missing unit in duration "300"'),
        ("/api/chat", {"model": "smol", "messages": [{"role": "user", "content": "x"}], "think": True}, 400,
         '"smol" does not support thinking'),
        ("/api/copy", {"source": "none", "destination": "x"}, 404, 'model "none" not found'),
        ("/api/create", {"model": "x"}, 400, "neither 'from' or 'files' was specified"),
        ("/api/create", {"model": "x", "files": {"../a": "sha256:" + "0" * 64}}, 400, "file path must be relative"),
        ("/api/create", {"model": "x", "files": {"a.gguf": "nonsense"}}, 400, "invalid digest format"),
    ]
    for path, body, status, message in cases:
        assert server.error("POST", path, body) == (status, message), path
    deep = b'{"model":"smol","format":' + b"[" * 100000 + b"]" * 100000 + b"}"
    assert server.error("POST", "/api/generate", deep)[0] == 400
    assert server.error("POST", "/api/generate", b'{"model":"smol","options":{"temperature":NaN}}')[0] == 400
    assert server.error("DELETE", "/api/delete", {"model": "none"}) == (404, "model 'none' not found")
    for options in ({"num_ctx": -5}, {"num_predict": -7, "stop": ["e"]}, {"top_k": -1}, {"seed": -1}):
        status, _, _ = server.request("POST", "/api/generate", {
            "model": "smol", "prompt": "Hi", "raw": True, "stream": False, "options": {"num_predict": 2, **options}})
        assert status in (200, 400), options
    assert works(server)


def test_huge_bodies_are_refused(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_blobs(server):
    wrong = "sha256:" + "0" * 64
    status, _, text = server.request("POST", f"/api/blobs/{wrong}", b"abc")
    assert status == 400 and b"digest mismatch" in text
    assert server.request("HEAD", f"/api/blobs/{wrong}")[0] == 404
    assert server.request("HEAD", f"/api/blobs/{server.digest}")[0] == 200
    assert server.request("POST", f"/api/blobs/{server.digest}", b"")[0] == 200
    for bad in ("..%2f..%2fetc%2fpasswd", "sha256:..", "../../x", "sha256:" + "g" * 64, "sha256-" + "0" * 63):
        assert server.request("POST", f"/api/blobs/{bad}", b"x")[0] in (400, 404, 405), bad
    names = os.listdir(server.folder / "models" / "blobs")
    assert all(re.fullmatch("sha256-[0-9a-f]{64}", name) for name in names), names


def test_a_broken_model_file_is_an_error_of_its_create(server):
    import hashlib
    data = b"GGUF" + b"\xff" * 1000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert server.request("POST", f"/api/blobs/{digest}", data)[0] == 201
    _, _, text = server.request("POST", "/api/create", {"model": "broken", "files": {"a.gguf": digest}})
    assert "error" in json.loads(text.strip().splitlines()[-1])
    assert server.request("POST", "/api/show", {"model": "broken"})[0] == 404
    assert works(server)


def test_routes_and_guards(server):
    assert server.request("GET", "/") [2] == b"Ollama is running"
    assert server.request("GET", "/nope")[0] == 404
    assert server.request("GET", "/api/chat")[0] == 405
    assert server.request("GET", "/api/tags", headers={"Host": "evil.example"})[0] == 403
    assert server.request("GET", "/api/tags", headers={"Origin": "https://evil.example"})[0] == 403
    _, headers, _ = server.request("GET", "/api/tags", headers={"Origin": "http://localhost:3000"})
    assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    for path in ("/api/me", "/v1/audio/transcriptions"):
        assert server.request("POST", path, {"model": "smol"})[0] == 501


def test_keep_alive_zero_unloads(server):
    assert works(server)
    status, _, text = server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
    assert (status, json.loads(text)["done_reason"]) == (200, "unload")
    assert eventually(lambda: not server.children())
    assert json.loads(server.request("GET", "/api/ps")[2]) == {"models": []}


def test_port_in_use_and_sudden_end(server, tmp_path):
    taken = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{server.port}", OLLAMA_MODELS=str(tmp_path))
    second = subprocess.run([os.environ["CRIA"], "serve"], env=taken, capture_output=True, text=True, timeout=20)
    assert second.returncode == 1
    assert "address already in use" in second.stderr
    other = Server(tmp_path, OLLAMA_NOPRUNE="1")
    other.process.kill()
    other.process.wait()
    assert works(server)


def test_a_killed_server_takes_its_runner_along(server, tmp_path):
    other = Server(server.folder, OLLAMA_NOPRUNE="1")
    assert works(other)
    (runner,) = other.children("runner")
    other.process.kill()
    other.process.wait()

    def is_gone():
        try:
            return pathlib.Path(f"/proc/{runner}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True
    assert eventually(is_gone)


def test_the_log_begins_with_what_tools_wait_for(server):
    log = (server.folder / "log").read_text()
    lines = [re.search('msg="(.*)"', line)[1] for line in log.splitlines()[:10] if "msg=" in line]
    assert any(re.match(r"server config env=map\[OLLAMA_HOST:127.0.0.1:\d+ ", line) for line in lines), lines
    assert any(line.startswith("inference compute id=cpu") for line in lines)
    assert any(line.startswith(f"Listening on 127.0.0.1:{server.port} (version ") for line in lines)


def test_a_port_alone_means_every_address_of_both_families(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = dict(os.environ, OLLAMA_HOST=f":{port}", OLLAMA_MODELS=str(tmp_path / "models"), HOME=str(tmp_path))
    process = subprocess.Popen([os.environ["CRIA"], "serve"], env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    hosts = ["127.0.0.1"] + (["[::1]"] if os.path.exists("/proc/net/if_inet6") and
                             "lo" in open("/proc/net/if_inet6").read() else [])
    try:
        for host in hosts:
            assert eventually(lambda: answers(f"http://{host}:{port}/api/version"))
    finally:
        process.terminate()
        log = process.communicate(timeout=15)[0]
    assert "|       127.0.0.1 |" in log and ("[::1]" not in hosts or "|             ::1 |" in log), log


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except urllib.error.URLError:
        return False
