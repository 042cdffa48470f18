"""create with quantize: a float model in, a smaller one out."""
import hashlib
import json
import struct

import pytest
from gguf_parts import text

COLUMNS, ROWS = 256, 64


def gguf(tensor_type, data):
    """A file of one matrix, as the GGUF specification describes it."""
    metadata = [("general.architecture", 8, text("llama")), ("llama.block_count", 4, struct.pack("<I", 1)),
                ("general.file_type", 4, struct.pack("<I", 1 if tensor_type == 1 else 2))]
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(metadata))
    for key, kind, value in metadata:
        head += text(key) + struct.pack("<I", kind) + value
    head += text("blk.0.ffn_up.weight") + struct.pack("<IQQIQ", 2, COLUMNS, ROWS, tensor_type, 0)
    return head + b"\0" * (-len(head) % 32) + data


def halves():
    return struct.pack(f"<{COLUMNS * ROWS}e", *((i % 251 - 125) / 64 for i in range(COLUMNS * ROWS)))


def create(server, model, body, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert server.request("POST", f"/api/blobs/{digest}", data)[0] in (200, 201)
    status, _, answer = server.request("POST", "/api/create", {"model": model, "files": {"m.gguf": digest}, **body})
    return status, [json.loads(line) for line in answer.splitlines()]


@pytest.mark.parametrize("asked, level", [("q8_0", "Q8_0"), ("Q4_K", "Q4_K_M"), ("q4_0", "Q4_0")])
def test_a_float_model_becomes_smaller(server, asked, level):
    data = gguf(1, halves())
    status, lines = create(server, "small", {"quantize": asked}, data)
    assert status == 200 and lines[-1] == {"status": "success"}, lines
    steps = [line for line in lines if line["status"] == f"quantizing F16 model to {level}"]
    assert [step["completed"] for step in steps] == sorted(step["completed"] for step in steps)
    assert steps[-1]["completed"] == steps[-1]["total"] == len(data)
    shown = json.loads(server.request("POST", "/api/show", {"model": "small"})[2])
    assert shown["details"]["quantization_level"] == level
    listed = {m["name"]: m for m in json.loads(server.request("GET", "/api/tags")[2])["models"]}
    assert listed["small:latest"]["size"] < len(data)
    # The same from the model instead of the file; and of a type that it has already.
    create(server, "plain", {}, data)
    for source in ["plain", "small"]:
        body = {"model": "again", "from": source, "quantize": asked, "stream": False}
        assert server.request("POST", "/api/create", body)[0] == 200
        again = json.loads(server.request("POST", "/api/show", {"model": "again"})[2])
        assert again["details"]["quantization_level"] == level
    for model in ["small", "plain", "again"]:
        assert server.request("DELETE", "/api/delete", {"model": model})[0] == 200


def test_what_cannot_be_quantized_is_refused_and_leaves_nothing(server):
    before = sorted(path.name for path in server.blobs())
    data = gguf(1, halves())
    status, lines = create(server, "bad", {"quantize": "Q9"}, data)
    assert "unsupported quantization type Q9 - supported types are" in lines[-1]["error"]
    blocks = gguf(2, b"\0" * (COLUMNS * ROWS // 32 * 18))
    status, lines = create(server, "bad", {"quantize": "q8_0"}, blocks)
    assert "quantization is only supported for F16, BF16 and F32 models" in lines[-1]["error"]
    assert server.request("POST", "/api/show", {"model": "bad"})[0] == 404
    left = {path.name for path in server.blobs()} - set(before)
    assert left <= {"sha256-" + hashlib.sha256(one).hexdigest() for one in (data, blocks)}, left
