"""API keys: who is let in, by what, and what becomes of a broken file. Over real sockets, with the real command."""
import concurrent.futures
import http.client
import json
import os
import socket
import subprocess

import anthropic
import openai
import ollama
import pytest

from server_models import server_with_model
from cria_server import Server

BODY = {"model": "smol", "prompt": "Hi", "raw": True, "stream": False, "options": {"num_predict": 1}}


def key(folder, *words, **settings):
    environment = dict(os.environ, OLLAMA_MODELS=str(folder / "models"), HOME=str(folder), **settings)
    return subprocess.run([os.environ["CRIA"], "key", *words], env=environment, capture_output=True, text=True,
                          timeout=30)


def create(folder, scope):
    made = key(folder, "create", scope, "--scope", scope)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("keys"))
    server.keys = {scope: create(server.folder, scope) for scope in ("infer", "manage", "admin")}
    yield server
    server.close()


# Every row of the table in routes.cpp that a scope guards: what the weakest key that may gets is no 401 or 403.
ROUTES = [("infer", "GET", "/api/tags"), ("infer", "GET", "/api/ps"),
          ("infer", "POST", "/api/show"), ("infer", "POST", "/api/generate"), ("infer", "POST", "/api/chat"),
          ("infer", "POST", "/api/embed"), ("infer", "POST", "/api/embeddings"), ("infer", "GET", "/v1/models"),
          ("infer", "GET", "/v1/models/smol"), ("infer", "POST", "/v1/chat/completions"),
          ("infer", "POST", "/v1/completions"), ("infer", "POST", "/v1/embeddings"),
          ("infer", "POST", "/v1/responses"), ("infer", "POST", "/v1/messages"),
          ("infer", "POST", "/v1/messages/count_tokens"), ("manage", "POST", "/api/create"),
          ("manage", "POST", "/api/copy"), ("manage", "DELETE", "/api/delete"), ("manage", "POST", "/api/pull"),
          ("manage", "POST", "/api/push"), ("manage", "POST", "/api/blobs/sha256:0"),
          ("manage", "HEAD", "/api/blobs/sha256:0"), ("manage", "GET", "/api/blobs/sha256:0"),
          ("manage", "POST", "/api/verify"), ("manage", "POST", "/api/outdated"), ("admin", "GET", "/api/status")]
SCOPES = ["infer", "manage", "admin"]


@pytest.mark.parametrize("needed,method,path", ROUTES)
def test_scopes_of_routes(server, needed, method, path):
    body = b"{" if method in ("POST", "DELETE") else None
    assert server.request(method, path, body)[0] == 401
    for scope in SCOPES:
        status, headers, _ = server.request(method, path, body, bearer(server.keys[scope]))
        if SCOPES.index(scope) < SCOPES.index(needed):
            assert status == 403
            assert f'scope="{needed}"' in headers["WWW-Authenticate"]
        else:
            assert status not in (401, 403)


def test_health_checks_stay_open(server):
    assert server.request("GET", "/")[0] == 200
    assert server.request("HEAD", "/")[0] == 200
    assert server.request("HEAD", "/api/version")[0] == 200
    status, _, text = server.request("GET", "/api/version")  # which clients ask before they have a key
    assert status == 200 and json.loads(text)["version"]


def test_refusals_in_every_dialect(server):
    status, headers, text = server.request("POST", "/api/generate", BODY)
    assert status == 401 and headers["WWW-Authenticate"] == 'Bearer realm="cria"'
    assert "cria key create" in json.loads(text)["error"]
    status, headers, text = server.request("POST", "/api/generate", BODY, bearer("cria_" + "0" * 64))
    assert status == 401 and 'error="invalid_token"' in headers["WWW-Authenticate"]
    with pytest.raises(openai.AuthenticationError) as refused:
        openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0).models.list()
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        anthropic.Anthropic(base_url=server.url, api_key="wrong", max_retries=0).messages.create(
            model="smol", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_official_clients_with_a_key(server, monkeypatch):
    secret = server.keys["infer"]
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=secret, max_retries=0)
    assert client.completions.create(model="smol", prompt="Hi", max_tokens=1).choices
    for arguments in ({"api_key": secret}, {"auth_token": secret}):
        client = anthropic.Anthropic(base_url=server.url, max_retries=0, **arguments)
        assert client.messages.create(model="smol", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]).content
        assert client.models.list().data
    monkeypatch.setenv("OLLAMA_API_KEY", secret)
    assert ollama.Client(server.url).generate("smol", "Hi", options={"num_predict": 1}).done
    # x-api-key is Anthropic's alone.
    assert server.request("GET", "/api/tags", headers={"x-api-key": secret})[0] == 401


def test_the_command_line_sends_its_key(server):
    def listed(**settings):
        environment = dict(os.environ, OLLAMA_HOST=server.url, HOME=str(server.folder), **settings)
        return subprocess.run([os.environ["CRIA"], "list"], env=environment, capture_output=True, text=True, timeout=30)
    assert "API key" in listed().stderr and listed().returncode == 1
    assert "smol" in listed(OLLAMA_API_KEY=server.keys["infer"]).stdout
    assert "smol" in listed(OLLAMA_API_KEY="wrong", CRIA_API_KEY=server.keys["infer"]).stdout


def test_revoking_acts_at_once(server):
    secret = create(server.folder, "infer")
    assert server.request("GET", "/api/tags", headers=bearer(secret))[0] == 200
    rows = [line.split() for line in key(server.folder, "list").stdout.splitlines()]
    assert rows[0] == ["ID", "NAME", "SCOPE", "CREATED"] and secret not in str(rows)
    assert key(server.folder, "revoke", rows[-1][0]).returncode == 0
    assert server.request("GET", "/api/tags", headers=bearer(secret))[0] == 401
    assert "cria key list" in key(server.folder, "revoke", rows[-1][0]).stderr


def test_odd_authorization_headers(server):
    secret = server.keys["infer"]
    for value, expected in ((f"bearer {secret}", 200), (f"BEARER   {secret} ", 200), (f"Basic {secret}", 401),
                            (secret, 401), ("Bearer", 401), ("Bearer ", 401), (f"Bearer {secret}{secret}", 401),
                            (f"Bearer {secret[:-1]}", 401), (f"Bearer {secret.upper()}", 401),
                            ("Bearer " + "x" * 60_000, 401), ("Bearer \xff\xfe\x80", 401)):
        assert server.request("GET", "/api/tags", headers={"Authorization": value})[0] == expected, value[:40]
    assert server.request("GET", "/api/tags", headers={"Authorization": "Bearer " + "x" * 100_000})[0] == 431


def test_a_body_without_a_key_is_not_kept(server):
    """The refusal comes before the body has."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 401")


def test_a_broken_or_open_file_lets_nobody_in_until_it_is_mended(server):
    path = server.folder / "models" / "cria" / "keys.json"
    good, secret = path.read_bytes(), bearer(server.keys["admin"])
    try:
        for bad in (b"", b"{", good[:-20], b'{"version":1,"keys":[{"scope":"admin"}]}'):
            path.write_bytes(bad)
            status, _, text = server.request("GET", "/api/tags", headers=secret)
            assert status == 503 and "log" in json.loads(text)["error"], bad
        assert "is damaged" in key(server.folder, "create").stderr
        path.write_bytes(good)
        path.chmod(0o644)
        assert server.request("GET", "/api/tags", headers=secret)[0] == 503
        assert "chmod 600" in key(server.folder, "list").stderr
    finally:
        path.write_bytes(good)
        path.chmod(0o600)
    assert server.request("GET", "/api/tags", headers=secret)[0] == 200
    assert "API keys cannot be checked" in (server.folder / "log").read_text()


def test_thousands_of_keys_and_two_commands_at_once(server):
    path = server.folder / "models" / "cria" / "keys.json"
    good = path.read_bytes()
    many = json.loads(good)
    many["keys"] += [{"id": f"{i:08x}", "name": "n" * 50, "scope": "infer", "sha256": f"{i:064x}",
                      "created_at": "2026-01-01T00:00:00Z"} for i in range(5000)]
    try:
        path.write_text(json.dumps(many))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            secrets = list(pool.map(lambda _: create(server.folder, "infer"), range(8)))
        assert len(json.loads(path.read_text())["keys"]) == len(many["keys"]) + 8
        for secret in secrets:
            assert server.request("GET", "/api/ps", headers=bearer(secret))[0] == 200
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        start = server.processor_seconds(server.process.pid)
        for _ in range(100):
            connection.request("GET", "/api/ps", headers=bearer(secrets[-1]))
            assert connection.getresponse().read()
        assert server.processor_seconds(server.process.pid) - start < 3
    finally:
        path.write_bytes(good)


def test_the_log_shows_no_key(tmp_path):
    server = Server(tmp_path, OLLAMA_API_KEY="secret-of-the-environment", CRIA_API_KEY="another-secret")
    server.close()
    log = (tmp_path / "log").read_text()
    assert "server config" in log and "secret" not in log.replace("CRIA_REQUIRE_AUTH", "")


def serve(folder, host, **settings):
    environment = dict(os.environ, OLLAMA_HOST=host, OLLAMA_MODELS=str(folder / "models"), HOME=str(folder), **settings)
    return subprocess.Popen([os.environ["CRIA"], "serve"], env=environment, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def log_until_listening(process):
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Listening on" in line:
            return "".join(lines)
    return "".join(lines)


def test_a_bind_outside_loopback(tmp_path):
    process = serve(tmp_path, "0.0.0.0:0")
    assert "cria key create" in log_until_listening(process)
    process.terminate()
    process.wait(15)
    process = serve(tmp_path, "0.0.0.0:0", CRIA_REQUIRE_AUTH="1")
    assert "cria key create" in process.stderr.read()
    assert process.wait(15) == 1
    create(tmp_path, "infer")
    for settings in ({}, {"CRIA_REQUIRE_AUTH": "1"}):
        process = serve(tmp_path, "0.0.0.0:0", **settings)
        log = log_until_listening(process)
        assert "Listening on" in log and "cria key create" not in log
        process.terminate()
        assert process.wait(15) == 0


def test_required_keys_on_loopback(tmp_path):
    server = Server(tmp_path, CRIA_REQUIRE_AUTH="1")
    assert server.request("GET", "/api/tags")[0] == 401
    secret = create(tmp_path, "infer")
    assert server.request("GET", "/api/tags", headers=bearer(secret))[0] == 200
    server.close()


def test_wrong_commands(tmp_path):
    for words, why in ((["create", "x", "--scope", "root"], "infer, manage or admin"), (["revoke"], "cria key revoke"),
                       (["revoke", "0badc0de"], "cria key list"), (["frob"], "cria key create"), ([], "at least 1"),
                       (["list", "x"], "cria key list"), (["list", "--scope", "admin"], "--scope"),
                       (["create", "a\nb"], "control characters"), (["create", "x" * 101], "at most 100")):
        done = key(tmp_path, *words)
        assert done.returncode == 1 and why in done.stderr, (words, done.stderr)
    assert not (tmp_path / "models" / "cria" / "keys.json").exists()
