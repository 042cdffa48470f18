"""Registries that mean harm: each is refused in one clear line, nothing is stored, and the server goes on."""
import gzip
import json
import time

import pytest
from hostile import WEIGHTS, Hostile
from models import digest_of, layer, manifest_of, model_files, noise, tree, write_model
from transfers import pull, refusal

SETTINGS = {"CRIA_STALL_TIMEOUT": "10s", "CRIA_RETRY_DELAY": "10ms"}
PRIVATE = "http://169.254.169.254/latest/meta-data/"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests: it survives each."""
    from cria_server import Server
    folder = tmp_path_factory.mktemp("hostile")
    server = Server(folder, **SETTINGS)
    server.models = folder / "models"
    write_model(server.models, "registry.ollama.ai/library/mine:latest", [("model", noise(1000, 61))])
    server.before = tree(server.models)
    yield server
    assert server.process.poll() is None
    server.close()


@pytest.fixture
def hostile():
    registry = Hostile()
    yield registry
    registry.close()


def check_unharmed(server):
    """The store is as it was, but for parts of downloads; the server answers and is small."""
    kept = {path: digest for path, digest in tree(server.models).items() if "partial" not in path}
    assert kept == server.before
    assert server.request("GET", "/")[2] == b"Ollama is running"
    assert json.loads(server.request("GET", "/api/tags")[2])["models"][0]["name"] == "mine:latest"


def check_refused(server, hostile, *words):
    text = refusal(server, "pull", hostile.name)
    check_unharmed(server)
    assert any(word in text for word in words), text
    return text


def test_the_registry_of_these_tests_can_be_honest(new_server, hostile):
    server = new_server("honest")
    pull(server, hostile.name)
    assert model_files(server.models, hostile.name)["manifest"] == manifest_of(hostile.layers, hostile.config)


def changed(path, value):
    """An honest manifest with one value replaced."""
    def make(hostile):
        manifest = json.loads(manifest_of(hostile.layers, hostile.config))
        target = manifest
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        return json.dumps(manifest).encode()
    return make


DIGEST = "sha256:" + "0" * 64
MANIFESTS = {
    "empty": (lambda h: b"", ["manifest"]),
    "not json": (lambda h: b"<html>Please log in</html>", ["manifest", "JSON"]),
    "an array": (lambda h: b"[]", ["manifest"]),
    "deep": (lambda h: b"[" * 100_000, ["manifest"]),
    "cut off": (lambda h: manifest_of(h.layers, h.config)[:-20], ["manifest"]),
    "huge": (lambda h: b'{"a":"' + b"x" * (40 << 20) + b'"}', ["manifest", "large", "MB"]),
    "no layers": (changed(["layers"], None), ["layers"]),
    "layers of numbers": (changed(["layers"], [1, 2]), ["layer"]),
    "a million layers": (lambda h: manifest_of([], h.config).replace(b"[]", b"[" + b",".join([json.dumps(
        layer(b"x", "license")).encode()] * 50_000) + b"]"), ["layer", "manifest"]),
    "path as digest": (changed(["layers", 0, "digest"], "sha256:../../../../etc/passwd"), ["digest"]),
    "path as config digest": (changed(["config", "digest"], "../../x"), ["digest"]),
    "short digest": (changed(["layers", 0, "digest"], "sha256:abc"), ["digest"]),
    "digest with a newline": (changed(["layers", 0, "digest"], DIGEST[:-1] + "\n"), ["digest"]),
    "another hash": (changed(["layers", 0, "digest"], "sha512:" + "0" * 128), ["digest"]),
    "number as digest": (changed(["layers", 0, "digest"], 5), ["digest"]),
    "negative size": (changed(["layers", 0, "size"], -5), ["size"]),
    "size of text": (changed(["layers", 0, "size"], "many"), ["size"]),
    "size with a fraction": (changed(["layers", 0, "size"], 1.5), ["size"]),
    "size beyond 64 bits": (changed(["layers", 0, "size"], 10**30), ["size"]),
    "size beyond any disk": (changed(["layers", 0, "size"], 2**62), ["size", "space"]),
    "size too small": (changed(["layers", 0, "size"], len(WEIGHTS) - 1), ["size", "bytes"]),
    "size too large": (changed(["layers", 0, "size"], len(WEIGHTS) + 1), ["size", "bytes"]),
    "size zero": (changed(["layers", 0, "size"], 0), ["size", "bytes", "digest"]),
    "two sizes of one digest": (lambda h: json.dumps({**json.loads(manifest_of(h.layers, h.config)), "layers": [
        layer(WEIGHTS, "model"), {**layer(WEIGHTS, "adapter"), "size": 5}]}).encode(), ["size", "digest"]),
    "sum of sizes overflows": (lambda h: json.dumps({**json.loads(manifest_of(h.layers, h.config)), "layers": [
        {**layer(bytes([i]), "model"), "size": 2**62} for i in range(4)]}).encode(), ["size", "space"]),
    "a list of images": (lambda h: json.dumps({"schemaVersion": 2, "manifests": [],
                         "mediaType": "application/vnd.oci.image.index.v1+json"}).encode(), ["manifest", "config", "layers"]),
    "schema 1": (lambda h: json.dumps({"schemaVersion": 1, "name": "a/b", "fsLayers": []}).encode(), ["manifest", "schema", "config"]),
    "not UTF-8": (lambda h: manifest_of(h.layers, h.config).replace(b"image.model", b"\xff\xfe\x00"), ["manifest", "JSON", "UTF-8"]),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifests(server, hostile, case):
    make, words = MANIFESTS[case]
    hostile.serve_manifest(make(hostile))
    check_refused(server, hostile, *words)
    assert hostile.sent < 45 << 20


def test_an_endless_manifest(server, hostile):
    hostile.on("GET", "/manifests/", lambda request: request.endless({"Content-Type": "application/json"}))
    check_refused(server, hostile, "manifest", "large", "MB")
    assert hostile.sent < 80 << 20


def test_a_slow_manifest(server, hostile):
    hostile.on("GET", "/manifests/", lambda request: request.endless({}, b" ", pause=0.2))
    start = time.monotonic()
    check_refused(server, hostile, "manifest", "slow", "timed out", "time")
    assert time.monotonic() - start < 60


def test_slow_headers(server, hostile):
    def answer(request):
        request.close_connection = True
        while not request.registry.closed.wait(0.3):
            request.wfile.write(b"X")
    hostile.on("GET", "/manifests/", answer)
    check_refused(server, hostile, "timed out", "slow", "time", "headers", "HTTP/0.9")


def test_endless_headers(server, hostile):
    def answer(request):
        request.close_connection = True
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not request.registry.closed.is_set():
            request.write(b"X-Header: " + b"x" * 8000 + b"\r\n")
    hostile.on("GET", "/manifests/", answer)
    check_refused(server, hostile, "header", "large", "manifest")
    assert hostile.sent < 80 << 20


def gzip_bomb(size):
    return gzip.compress(b" " * size)


def test_compressed_bombs(server, hostile):
    bomb = gzip_bomb(64 << 20)
    hostile.on("GET", "/manifests/", lambda request: request.reply(200, bomb, {"Content-Encoding": "gzip"}))
    check_refused(server, hostile, "manifest", "encod")


def test_a_compressed_blob(server, hostile):
    packed = gzip.compress(WEIGHTS)
    hostile.on("*", "/blobs/" + digest_of(WEIGHTS), lambda request: request.reply(200, packed, {"Content-Encoding": "gzip"}))
    check_refused(server, hostile, "size", "bytes", "digest", "Encoding")


BLOBS = {
    "missing": (lambda r: r.reply(404, b"{}"), ["404", "not", "exist"]),
    "html": (lambda r: r.reply(200, b"<html>Please log in to this network</html>", {"Content-Type": "text/html"}),
             ["size", "bytes", "digest"]),
    "html of the right size": (lambda r: r.reply_range(b"<html>".ljust(len(WEIGHTS))), ["digest mismatch"]),
    "one byte too many": (lambda r: r.reply(200, WEIGHTS + b"x"), ["size", "bytes"]),
    "one byte too few": (lambda r: r.reply(200, WEIGHTS[:-1]), ["size", "bytes"]),
    "shorter than its Content-Length": (lambda r: short(r), ["bytes", "short", "clos", "end", "ended"]),
    "endless": (lambda r: r.endless({}), ["size", "bytes", "more", "digest mismatch"]),
    "wrong range": (lambda r: r.reply(206, WEIGHTS[:1000], {"Content-Range": f"bytes 5-1004/{len(WEIGHTS)}"}),
                    ["range", "Range"]),
    "range beyond the end": (lambda r: r.reply(206, WEIGHTS, {"Content-Range": f"bytes 0-{2**63}/{2**64}"}),
                             ["range", "Range", "size"]),
    "range of nonsense": (lambda r: r.reply(206, WEIGHTS, {"Content-Range": "bytes lots"}), ["range", "Range"]),
    "multipart ranges": (lambda r: r.reply(206, b"--x\r\n" + WEIGHTS, {"Content-Type": "multipart/byteranges; boundary=x"}),
                         ["range", "Range", "size", "bytes"]),
    "huge Content-Length": (lambda r: lying_length(r), ["size", "bytes"]),
    "no content": (lambda r: r.reply(204), ["204", "size", "bytes"]),
    "loop to itself": (lambda r: r.redirect(r.path), ["redirect"]),
    "loop between two": (lambda r: r.redirect(r.path + "x"), ["redirect", "414", "404"]),
    "redirect without a place": (lambda r: r.reply(307), ["Location", "redirect"]),
    "to a file": (lambda r: r.redirect("file:///etc/passwd"), ["file", "redirect"]),
    "to gopher": (lambda r: r.redirect("gopher://127.0.0.1:25/x"), ["gopher", "redirect"]),
    "to the metadata of a cloud": (lambda r: r.redirect(PRIVATE), ["169.254.169.254", "private", "redirect"]),
    "to a private network": (lambda r: r.redirect("http://10.0.0.1/blob"), ["10.0.0.1", "private", "redirect"]),
    "to nonsense": (lambda r: r.redirect("http://[:::/"), ["redirect", "URL", "http://[:::/"]),
}


def short(request):
    request.head(200, {"Content-Length": str(len(WEIGHTS))})
    request.write(WEIGHTS[:1000])
    request.cut()


def lying_length(request):
    request.head(200, {"Content-Length": str(2**62)})
    request.write(WEIGHTS)
    request.cut()


@pytest.mark.parametrize("case", BLOBS)
def test_blobs(server, hostile, case):
    answer, words = BLOBS[case]
    hostile.on("*", "/blobs/" + digest_of(WEIGHTS), answer)
    start = time.monotonic()
    text = check_refused(server, hostile, *words)
    assert time.monotonic() - start < 40
    assert hostile.sent < 60 << 20, (hostile.sent, text)
    assert not any(name.stat().st_size > 10 << 20 for name in (server.models / "blobs").iterdir())


def test_credentials_stay_with_their_host(new_server, certificate, tmp_path):
    """The other host gets the request for the blob, and no secret."""
    from test_auth import docker_config
    registry, other = Hostile(certificate), Hostile(certificate)
    server = new_server("server", SSL_CERT_FILE=str(certificate.authority),
                        DOCKER_CONFIG=docker_config(tmp_path / "docker", registry.host))

    def challenge(request):
        if "Authorization" not in request.headers:
            return request.reply(401, b"{}", {"WWW-Authenticate": 'Basic realm="cellar"'})
        if "/blobs/" in request.path:
            return request.redirect(f"{other.url}{request.path}")
        request.well()

    registry.on("*", "", challenge)
    pull(server, registry.name, insecure=False)
    assert registry.authorizations() and other.seen
    assert other.authorizations() == []
    registry.close()
    other.close()


def test_no_downgrade_to_plain_http(new_server, certificate):
    registry, plain = Hostile(certificate), Hostile()
    server = new_server("server", SSL_CERT_FILE=str(certificate.authority))
    registry.on("*", "/blobs/", lambda request: request.redirect(f"{plain.url}{request.path}"))
    text = refusal(server, "pull", registry.name, insecure=False)
    assert "http" in text and tree(server.models).keys() == set()
    assert plain.seen == []
    registry.close()
    plain.close()


def test_a_realm_on_another_host_gets_nothing(server, hostile):
    thief = Hostile()
    hostile.on("*", "", lambda request: request.reply(401, b"{}", {
        "WWW-Authenticate": f'Bearer realm="{thief.url}/token",service="x",scope="repository:lab/wine:pull"'}))
    text = check_refused(server, hostile, "realm host")
    assert thief.host in text and hostile.host in text and thief.seen == []
    thief.close()


@pytest.mark.parametrize("challenge", [
    "", "Bearer", 'Bearer realm="', 'Bearer realm=""', 'Bearer realm="file:///etc/passwd"', 'Digest realm="x"',
    'Bearer realm="http://user:password@HOST/token"', 'Bearer realm="http://HOST@evil.test/token"',
    'Bearer realm="gopher://HOST/token"', "Bearer " + "x" * 60_000])
def test_challenges_of_nonsense(server, hostile, challenge):
    value = challenge.replace("HOST", hostile.host)
    hostile.on("*", "/v2/", lambda request: request.reply(401, b"{}", {"WWW-Authenticate": value} if value else {}))
    check_refused(server, hostile, "unauthorized", "401", "realm", "challenge")
    assert len(hostile.seen) < 10


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"token":5}', b'{"token":""}', b'{"token":"a\\r\\nX-Evil: 1"}', b"<html>"])
def test_tokens_of_nonsense(server, hostile, answer):
    value = f'Bearer realm="{hostile.url}/token",service="x",scope="repository:lab/wine:pull"'
    hostile.on("*", "/v2/", lambda request: request.reply(401, b"{}", {"WWW-Authenticate": value}))
    hostile.on("GET", "/token", lambda request: request.reply(200, answer))
    check_refused(server, hostile, "token", "unauthorized")
    assert not any("X-Evil" in headers for _, _, headers in hostile.seen)


def test_a_loop_of_401(server, hostile):
    value = f'Bearer realm="{hostile.url}/token",service="x",scope="repository:lab/wine:pull"'
    hostile.on("*", "/v2/", lambda request: request.reply(401, b"{}", {"WWW-Authenticate": value}))
    hostile.on("GET", "/token", lambda request: request.reply(200, b'{"token":"abc"}'))
    assert check_refused(server, hostile, "unauthorized: access denied")
    assert len(hostile.seen) <= 4


def test_an_endless_token(server, hostile):
    value = f'Bearer realm="{hostile.url}/token",service="x"'
    hostile.on("*", "/v2/", lambda request: request.reply(401, b"{}", {"WWW-Authenticate": value}))
    hostile.on("GET", "/token", lambda request: request.endless({}))
    check_refused(server, hostile, "token", "large")
    assert hostile.sent < 80 << 20


def test_an_error_page_is_not_printed_whole(server, hostile):
    page = b"<html>\r\n\x1b[31m" + b"x" * 100_000
    hostile.on("GET", "/manifests/", lambda request: request.reply(403, page))
    text = check_refused(server, hostile, "403")
    assert "\x1b" not in text


def test_a_manifest_that_redirects_to_a_secret_place(server, hostile):
    hostile.on("GET", "/manifests/", lambda request: request.redirect(PRIVATE))
    check_refused(server, hostile, "169.254.169.254", "redirect", "private")


PUSHES = {
    "no place for the upload": (lambda r: r.reply(202), ["Location"]),
    "a place that is a file": (lambda r: r.reply(202, b"", {"Location": "file:///etc/passwd"}), ["file", "Location"]),
    "a private place": (lambda r: r.reply(202, b"", {"Location": PRIVATE}), ["169.254.169.254", "private"]),
    "redirects for ever": (lambda r: r.redirect(r.path), ["redirect", "307"]),
    "always 500": (lambda r: r.reply(500, b"no"), ["500", "retries"]),
    "an endless answer": (lambda r: r.endless({}), ["large", "bytes", "Location", "MB"]),
}


@pytest.mark.parametrize("case", PUSHES)
def test_pushes(server, hostile, case, tmp_path):
    answer, words = PUSHES[case]
    hostile.on("HEAD", "/blobs/", lambda request: request.reply(404))
    hostile.on("POST", "/blobs/uploads/", answer)
    write_model(server.models, hostile.name, [("model", noise(1000, 61))])
    text = refusal(server, "push", hostile.name)
    assert server.request("DELETE", "/api/delete", {"model": hostile.name})[0] == 200
    check_unharmed(server)
    assert any(word in text for word in words), text
    assert len(hostile.seen) < 60 and hostile.sent < 80 << 20


def test_an_upload_loop_of_307(server, hostile):
    """Every part is sent elsewhere, which sends it elsewhere."""
    hostile.on("HEAD", "/blobs/", lambda request: request.reply(404))
    hostile.on("POST", "/blobs/uploads/", lambda request: request.reply(202, b"", {"Location": f"{hostile.url}/up/1"}))

    def again(request):
        request.body()
        request.redirect(f"{hostile.url}/up/2")
    hostile.on("*", "/up/", again)
    write_model(server.models, hostile.name, [("model", noise(1000, 61))])
    text = refusal(server, "push", hostile.name)
    assert server.request("DELETE", "/api/delete", {"model": hostile.name})[0] == 200
    check_unharmed(server)
    assert "307" in text or "redirect" in text or "retries" in text, text
    assert len(hostile.seen) < 100


def test_pushed_secrets_stay_with_their_host(new_server, certificate, tmp_path):
    from test_auth import docker_config
    registry, other = Hostile(certificate), Hostile(certificate)
    server = new_server("server", SSL_CERT_FILE=str(certificate.authority), **SETTINGS,
                        DOCKER_CONFIG=docker_config(tmp_path / "docker", registry.host))

    def challenge(request):
        if "Authorization" not in request.headers:
            return request.reply(401, b"{}", {"WWW-Authenticate": 'Basic realm="cellar"'})
        if request.command == "HEAD":
            return request.reply(404)
        request.reply(202, b"", {"Location": f"{other.url}/up"})

    registry.on("*", "", challenge)
    other.on("*", "", lambda request: (request.body(), request.reply(500)))
    write_model(server.models, registry.name, [("model", noise(1000, 62))])
    refusal(server, "push", registry.name, insecure=False)
    assert registry.authorizations() and other.authorizations() == []
    registry.close()
    other.close()


def test_memory_stays_small(server, hostile):
    """After all of the above."""
    status = open(f"/proc/{server.process.pid}/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 400 << 10, f"{peak} KiB"
    check_unharmed(server)
