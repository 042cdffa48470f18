"""Models of a host that serves repositories of files, as Hugging Face does, in one file or several."""
import concurrent.futures
import http.server
import json
import os
import pathlib
import re
import threading
import time

import pytest
from gguf_parts import cut
from listener import Listener
from models import MIB, digest_of, manifest_path
from transfers import pull, refusal

WEIGHTS = pathlib.Path(os.environ["CRIA_TEST_MODEL"])


class Hub:
    """Lists and serves `files`, {path: bytes}; has no manifest for anything."""

    def __init__(self, files):
        self.files, self.seen, self.sent = files, [], 0
        self.listed = None  # instead of the true list
        self.drop = 0  # connections to cut in the middle
        self.pulls = 0  # no file is sent until so many have asked what there is
        handler = type("Handler", (Handler,), {"hub": self})
        self.server = Listener(("127.0.0.1", 0), handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def list(self):
        entries = [{"type": "file", "path": "README.md", "size": 3, "oid": "1"}]
        for path, data in self.files.items():
            entries.append({"type": "file", "path": path, "size": len(data), "oid": "2",
                            "lfs": {"oid": digest_of(data)[7:], "size": len(data), "pointerSize": 134}})
        return entries


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        hub = self.hub
        hub.seen.append(self.path)
        if self.path.startswith("/v2/"):
            return self.reply(400, b'{"error":"The specified tag is a sharded GGUF."}')
        if self.path.startswith("/api/models/user/repo/tree/main"):
            return self.reply(200, json.dumps(hub.list() if hub.listed is None else hub.listed).encode())
        if match := re.fullmatch("/user/repo/resolve/main/(.+)", self.path):
            return self.reply(302, Location="/cdn/" + match[1])
        data = hub.files.get(self.path.removeprefix("/cdn/"))
        if data is None:
            return self.reply(404, b"Entry not found")
        while sum(path.startswith("/api/models/") for path in hub.seen) < hub.pulls:
            time.sleep(0.1)
        first, last = 0, len(data) - 1
        if match := re.fullmatch("bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", "")):
            first, last = int(match[1]), int(match[2])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        if hub.drop > 0:
            hub.drop -= 1
            last = (first + last) // 2
            self.close_connection = True
        hub.sent += last + 1 - first
        self.wfile.write(data[first:last + 1])


@pytest.fixture(scope="module")
def parts():
    names = [f"Q4_1/smol-Q4_1-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    return dict(zip(names, cut(WEIGHTS.read_bytes(), 3)))


@pytest.fixture
def hub(parts):
    hub = Hub({**parts, "smol-Q8_0.gguf": b"GGUF is not in here", "imatrix.gguf": b"x" * 100})
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def answer(server, model):
    body = {"model": model, "prompt": "The capital of France is", "raw": True, "stream": False,
            "options": {"temperature": 0, "num_predict": 8}}
    return json.loads(server.request("POST", "/api/generate", body)[2])["response"]


def test_a_model_in_parts_is_pulled_and_answers(hub, parts, new_server):
    server = new_server("reader", CRIA_PART_BYTES=str(8 * MIB))
    name = f"{hub.host}/user/repo:q4_1"
    hub.drop = 2
    seen = pull(server, name)
    assert any(event["status"] == "merging 3 parts" for event in seen)
    assert "Paris" in answer(server, name)
    size = sum(map(len, parts.values()))
    assert size <= hub.sent <= size + 2 * 8 * MIB
    # A second pull moves nothing, one after a change only what has changed.
    hub.sent = 0
    pull(server, name)
    assert hub.sent == 0
    manifest = json.loads(manifest_path(server.models, name).read_bytes())
    assert [layer for layer in manifest["layers"] if layer["mediaType"].endswith(".model")][0]["size"] > 90 * MIB
    left = {path.name for path in (server.models / "blobs").iterdir()}
    assert left == {layer["digest"].replace(":", "-") for layer in [manifest["config"], *manifest["layers"]]}


def test_pulls_at_the_same_time_share_the_work(hub, parts, new_server):
    server = new_server("reader")
    name = f"{hub.host}/user/repo:q4_1"
    hub.pulls = 4  # one that came when the others were done would fetch the parts again
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for seen in pool.map(lambda _: pull(server, name), range(4)):
            assert seen[-1] == {"status": "success"}
    assert hub.sent == sum(map(len, parts.values()))


def test_what_is_not_there_is_told_with_what_is(hub, new_server):
    server = new_server("reader")
    text = refusal(server, "pull", f"{hub.host}/user/repo:Q9")
    assert "nothing in user/repo is called Q9; there is smol-Q4_1, smol-Q8_0" in text
    assert "is called Q4;" in refusal(server, "pull", f"{hub.host}/user/repo:Q4")
    del hub.files["Q4_1/smol-Q4_1-00002-of-00003.gguf"]
    assert "part 2 of 3 of smol-Q4_1 is missing" in refusal(server, "pull", f"{hub.host}/user/repo:Q4_1")
    assert "sharded GGUF" in refusal(server, "pull", f"{hub.host}/other/repo:Q4_1")
    assert not list((server.models / "manifests").rglob("repo"))


def test_a_file_that_is_no_model_is_refused(hub, new_server):
    server = new_server("reader")
    assert "GGUF" in refusal(server, "pull", f"{hub.host}/user/repo:Q8_0")
    assert not list((server.models / "manifests").rglob("repo"))


@pytest.mark.parametrize("listed", [
    {}, [], "text", [7], [{"path": 5}], [{"path": "x.gguf"}], [{"path": "x.gguf", "lfs": 1}],
    [{"path": "x.gguf", "lfs": {"oid": "../../etc", "size": 10}}],
    [{"path": "x.gguf", "lfs": {"oid": "a" * 64, "size": -1}}],
    [{"path": "x.gguf", "lfs": {"oid": "a" * 64, "size": 1 << 70}}],
    [{"path": "x.gguf", "lfs": {"oid": "a" * 64, "size": 1 << 60}}],
])
def test_nonsense_in_a_list_is_refused(hub, new_server, listed):
    hub.listed = listed
    server = new_server("reader")
    refusal(server, "pull", f"{hub.host}/user/repo:latest")
    assert list((server.models / "blobs").iterdir()) == []


def test_paths_cannot_leave_the_repository(hub, new_server):
    server = new_server("reader")
    data = b"GGUF" + b"x" * 100
    for path in ("../../../v2/secret-Q2_K.gguf", "a/../../x-Q2_K.gguf", "/etc/x-Q2_K.gguf", "x?y=#-Q2_K.gguf"):
        hub.files = {path: data}
        refusal(server, "pull", f"{hub.host}/user/repo:Q2_K")
        assert all(seen.startswith(("/v2/user/repo/", "/api/models/user/repo/", "/user/repo/resolve/main/", "/cdn/"))
                   for seen in hub.seen), hub.seen


def test_another_file_than_the_list_says_is_refused(hub, new_server):
    server = new_server("reader")
    hub.listed = hub.list()
    hub.files["smol-Q8_0.gguf"] = b"GGUF is not in HERE"
    assert "digest mismatch" in refusal(server, "pull", f"{hub.host}/user/repo:Q8_0")
