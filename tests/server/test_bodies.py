"""What is around and in the JSON: content types, origins of browsers, compressed bodies, and wrong types in every field."""
import gzip
import json
import os
import pathlib
import re

import pytest
import yaml
import zstandard
from server_models import server_with_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
HI = [{"role": "user", "content": "Hi"}]
ONE = {"options": {"num_predict": 1}}
# Every endpoint that takes JSON and a request that it answers with 200.
REQUESTS = {
    "/api/generate": {"model": "smol", "prompt": "Hi", "stream": False, **ONE},
    "/api/chat": {"model": "smol", "messages": HI, "stream": False, **ONE},
    "/api/embed": {"model": "smol", "input": "Hi"},
    "/api/embeddings": {"model": "smol", "prompt": "Hi"},
    "/api/show": {"model": "smol"},
    "/api/tokenize": {"model": "smol", "content": "Hi"},
    "/api/detokenize": {"model": "smol", "tokens": [1]},
    "/api/copy": {"source": "smol", "destination": "copy"},
    "/api/create": {"model": "made", "from": "smol", "stream": False},
    "/api/verify": {"model": "smol", "stream": False},
    "/api/prune": {"dry_run": True},
    "/v1/chat/completions": {"model": "smol", "messages": HI, "max_tokens": 1},
    "/v1/completions": {"model": "smol", "prompt": "Hi", "max_tokens": 1},
    "/v1/embeddings": {"model": "smol", "input": "Hi"},
    "/v1/responses": {"model": "smol", "input": "Hi", "max_output_tokens": 1},
    "/v1/messages": {"model": "smol", "messages": HI, "max_tokens": 1},
    "/v1/messages/count_tokens": {"model": "smol", "messages": HI}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("bodies"))
    yield server
    server.close()


def message_of(text):
    error = json.loads(text)["error"]
    return error["message"] if isinstance(error, dict) else error


def post(server, path, body, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", REQUESTS)
def test_the_content_type_decides_nothing(server, path):
    """As for Ollama, whose users' scripts send what their tools send."""
    for given in ("application/json", "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                  "image/png", "application/json; charset=utf-16", "application/xml", ";;;", "\u00ff/\u00ff"):
        status, _, text = post(server, path, REQUESTS[path], Content_Type=given)
        assert status == 200, (given, text)


@pytest.mark.parametrize("path", REQUESTS)
def test_bodies_of_other_types_are_told_from_json(server, path):
    for given, body in (("application/x-www-form-urlencoded", b"model=smol&prompt=Hi"),
                        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmol\r\n--x--\r\n'),
                        ("application/xml", b"<model>smol</model>"), ("application/json", b"\xff\xfe{\x00}\x00")):
        status, _, text = post(server, path, body, Content_Type=given)
        assert status == 400 and message_of(text), (given, text)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null", "https://127.0.0.1.evil.example"])
def test_pages_of_others_cannot_send_what_needs_no_preflight(server, origin):
    """A form, or a fetch with text/plain, is sent by browsers without asking; its Origin gives it away."""
    before = json.loads(server.request("GET", "/api/tags")[2])["models"]
    for path, body in {**REQUESTS, "/api/pull": {"model": "x"}, "/api/push": {"model": "x"}}.items():
        for given in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            status, _, text = post(server, path, {**body, "destination": "evil", "model": "evil"}, Content_Type=given, Origin=origin)
            assert (status, text) == (403, b""), path
    status, _, text = server.request("DELETE", "/api/delete", {"model": "smol"}, {"Origin": origin, "Content-Type": "text/plain"})
    assert (status, text) == (403, b"")
    status, headers, _ = server.request("OPTIONS", "/api/delete", headers={"Origin": origin, "Access-Control-Request-Method": "DELETE"})
    assert status == 403 and not headers.get("Access-Control-Allow-Origin")
    assert json.loads(server.request("GET", "/api/tags")[2])["models"] == before


# ---- compressed ----

@pytest.mark.parametrize("path", REQUESTS)
def test_zstd(server, path):
    packed = zstandard.compress(json.dumps(REQUESTS[path]).encode(), 19)
    for coding in ("zstd", "ZSTD"):
        status, _, text = post(server, path, packed, Content_Encoding=coding)
        assert status == 200, text
    plain = post(server, path, json.dumps(REQUESTS[path]).encode(), Content_Encoding="identity")
    assert plain[0] == 200


def test_zstd_frames_of_all_kinds(server):
    """Several in a row, with a checksum, without a size, and some to be skipped."""
    text = json.dumps({"model": "smol", "content": "word " * 100_000}).encode()
    whole = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    halves = zstandard.compress(text[:1000]) + zstandard.compress(text[1000:])
    sizeless = zstandard.ZstdCompressor(write_content_size=False).compress(text)
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + whole
    expected = post(server, "/api/tokenize", text)
    assert expected[0] == 200
    for packed in (whole, halves, sizeless, skipped):
        status, _, said = post(server, "/api/tokenize", packed, Content_Encoding="zstd")
        assert (status, said) == (200, expected[2])


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) << 10


def test_zstd_that_is_too_much(server):
    big = zstandard.ZstdCompressor(level=1).compressobj()
    zeros = b"0" * (16 << 20)
    bomb = b"".join(big.compress(zeros) for _ in range(64)) + big.flush()  # a gibibyte
    assert len(bomb) < 1 << 20
    start = resident(server.process.pid)
    for path in ("/api/generate", "/v1/chat/completions", "/v1/messages"):
        status, _, text = post(server, path, bomb, Content_Encoding="zstd")
        assert status == 413 and "20971520 bytes when it is unpacked" in message_of(text)
    assert resident(server.process.pid) - start < 100 << 20
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=27)).compressobj()
    status, _, text = post(server, "/api/show", wide.compress(os.urandom(10 << 20)) + wide.flush(), Content_Encoding="zstd")
    assert status == 400 and "no valid zstd" in message_of(text)
    fitting = json.dumps({"model": "smol", "system": "x" * (20 << 20)}).encode()[:20 << 20]
    status, _, text = post(server, "/api/show", zstandard.compress(fitting), Content_Encoding="zstd")
    assert status == 400 and "unexpected EOF" in message_of(text)  # unpacked, and then no whole JSON


def test_zstd_that_is_broken(server):
    good = zstandard.compress(json.dumps(REQUESTS["/api/show"]).encode() * 50)
    for cut in range(1, len(good), 7):
        status, _, text = post(server, "/api/show", good[:cut], Content_Encoding="zstd")
        assert status == 400 and "no valid zstd" in message_of(text), cut
    for body in (b"{}", b"\x00" * 100, b"\xff" * 100, good[:10] + b"\xff" * 40, good + b"{}"):
        status, _, text = post(server, "/api/show", body, Content_Encoding="zstd")
        assert status == 400 and "no valid zstd" in message_of(text), body[:20]
    status, _, text = post(server, "/api/show", b"", Content_Encoding="zstd")
    assert (status, message_of(text)) == (400, "missing request body")


@pytest.mark.parametrize("path", REQUESTS)
def test_other_codings_are_refused_by_name(server, path):
    packed = gzip.compress(json.dumps(REQUESTS[path]).encode())
    for coding in ("gzip", "br", "deflate", "zstd, zstd", "x" * 5000):
        status, headers, text = post(server, path, packed, Content_Encoding=coding)
        assert status == 415 and f'Content-Encoding is "{coding[:50]}' in message_of(text)
        assert headers["Accept-Encoding"] == "zstd" and len(text) < 1000
        error = json.loads(text)["error"]
        assert not isinstance(error, dict) or error["type"] == "invalid_request_error"


def test_a_blob_comes_as_it_is(server):
    digest = "sha256:" + "0" * 64
    status, headers, text = post(server, f"/api/blobs/{digest}", zstandard.compress(b"x"), Content_Encoding="zstd")
    assert status == 415 and "bodies as they are" in message_of(text) and headers["Accept-Encoding"] == "identity"


# ---- wrong types ----

DOCUMENT = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())
VALUES = {"string": "x", "number": 1.5, "boolean": True, "array": [], "object": {}}


def resolved(schema):
    while "$ref" in schema:
        part = DOCUMENT
        for key in schema["$ref"].removeprefix("#/").split("/"):
            part = part[key]
        schema = part
    return schema


def types_of(schema):
    """The JSON types that may stand there, None for any."""
    schema = resolved(schema)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            all_of_them = [types_of(part) for part in schema[key]]
            return None if None in all_of_them else set().union(*all_of_them)
    if "enum" in schema:
        return {"string"}
    given = schema.get("type")
    return None if given is None else {given} if isinstance(given, str) else set(given)


def properties_of(schema):
    schema = resolved(schema)
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found.update(properties_of(part))
    return found


def bodies():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            content = resolved(operation.get("requestBody", {})).get("content", {}) if method != "parameters" else {}
            if "application/json" in content:
                yield path, method.upper(), content["application/json"]["schema"]


@pytest.mark.parametrize("path,method,schema", list(bodies()), ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_types_in_every_field(server, path, method, schema):
    fields = properties_of(schema)
    assert fields
    tried = 0
    for name, field in fields.items():
        allowed = types_of(field)
        for kind, value in VALUES.items():
            if allowed is None or kind in allowed:
                continue
            status, _, text = server.request(method, path, {**REQUESTS.get(path, {"model": "none"}), name: value})
            assert status == 400 and message_of(text), (name, value, status, text)
            tried += 1
    assert tried >= 4
