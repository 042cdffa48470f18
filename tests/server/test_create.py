"""create tells what is wrong with a model before anybody runs it."""
import hashlib
import json
import os
import pathlib
import struct

from gguf_parts import text


def gguf(architecture):
    metadata = text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    for key in ("block_count", "embedding_length", "feed_forward_length", "attention.head_count", "context_length"):
        metadata += text(f"{architecture}.{key}") + struct.pack("<II", 4, 1 if key == "block_count" else 32)
    metadata += text(f"{architecture}.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 7) + metadata
    head += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 8, 0, 0)
    return head + b"\0" * (-len(head) % 32) + b"\0" * (32 * 8 * 4)


def statuses(server, model, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert server.request("POST", f"/api/blobs/{digest}", data)[0] in (200, 201)
    status, _, answer = server.request("POST", "/api/create", {"model": model, "files": {"m.gguf": digest}})
    assert status == 200
    return [json.loads(line)["status"] for line in answer.splitlines()]


def test_what_cannot_run_here_is_stored_with_a_warning(server):
    for data, why in ((gguf("llama"), "lacks the tensor"), (gguf("unheard-of"), "unheard-of")):
        seen = statuses(server, "odd", data)
        warnings = [line for line in seen if line.startswith("warning: this model cannot run here: ")]
        assert len(warnings) == 1 and why in warnings[0], seen
        assert seen[-1] == "success"
        status, message = server.error("POST", "/api/generate", {"model": "odd", "prompt": "hi"})
        assert status >= 400 and why in message, message
        assert server.request("DELETE", "/api/delete", {"model": "odd"})[0] == 200
    assert not any("warning" in line for line in statuses(server, "smol-too", pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes()))
    assert server.request("DELETE", "/api/delete", {"model": "smol-too"})[0] == 200


def test_requests_as_the_command_line_of_ollama_writes_them(server):
    """Go writes empty and null fields, uploads without asking first, and reads NDJSON."""
    agent = {"User-Agent": "ollama/0.33.0 (amd64 linux) Go/go1.26", "Content-Type": "application/json",
             "Accept": "application/x-ndjson"}

    def call(method, path, body):
        status, _, text = server.request(method, path, json.dumps(body).encode(), agent)
        return status, [json.loads(line) for line in text.splitlines()]

    weights = pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes()
    digest = "sha256:" + hashlib.sha256(weights).hexdigest()
    assert server.request("HEAD", "/", None, agent)[0] == 200
    assert server.request("POST", f"/api/blobs/{digest}", weights, agent)[0] in (200, 201)
    status, lines = call("POST", "/api/create", {
        "model": "go", "files": {"m.gguf": digest}, "adapters": None, "template": "", "license": None, "system": "Be brief.",
        "parameters": {"stop": ["<x>"], "num_predict": 4}, "messages": None, "name": "", "quantization": ""})
    assert status == 200 and lines[-1] == {"status": "success"}
    status, (shown,) = call("POST", "/api/show", {"model": "go", "system": "", "template": "", "verbose": False,
                                                  "options": None, "name": ""})
    assert status == 200 and shown["system"] == "Be brief." and "completion" in shown["capabilities"]
    status, lines = call("POST", "/api/chat", {
        "model": "go", "messages": [{"role": "user", "content": "Hi", "images": None, "tool_calls": None}],
        "format": None, "keep_alive": None, "options": {}, "tools": None, "think": None})
    assert status == 200 and lines[-1]["done"] is True and lines[-1]["eval_count"] <= 4
    status, lines = call("POST", "/api/generate", {
        "model": "go", "prompt": "", "suffix": "", "system": "", "template": "", "context": None, "keep_alive": None,
        "images": None, "format": None, "options": None})
    assert status == 200 and lines[-1]["done_reason"] == "load"
    assert call("POST", "/api/copy", {"source": "go", "destination": "went"})[0] == 200
    assert {"go:latest", "went:latest"} <= {model["name"] for model in call("GET", "/api/tags", None)[1][0]["models"]}
    assert call("GET", "/api/ps", None)[1][0]["models"]
    assert call("POST", "/api/generate", {"model": "go", "prompt": "", "keep_alive": 0})[1][-1]["done_reason"] == "unload"
    for name in ("go", "went"):
        assert call("DELETE", "/api/delete", {"model": name, "name": ""})[0] == 200
