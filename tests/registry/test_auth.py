"""Registries that want to know who asks: passwords, tokens, TLS."""
import base64
import json

import pytest
from docker_registry import DockerRegistry
from fault_proxy import FaultProxy
from models import model_files, noise, tree, write_model
from token_server import TokenServer
from transfers import pull, push, refusal

LAYERS = [("model", noise(200_000, 21)), ("template", b"{{ .Prompt }}")]


def docker_config(folder, host, user="ann", password="open sesame"):
    """The folder of a Docker configuration that knows one registry."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": secret}}}))
    return str(folder)


def public_key(server):
    return (server.folder / ".ollama" / "id_ed25519.pub").read_text().split()[1]


def round_trip(writer, reader, name, **fields):
    write_model(writer.models, name, LAYERS)
    push(writer, name, **fields)
    pull(reader, name, **fields)
    assert model_files(reader.models, name) == model_files(writer.models, name)


def test_tls_with_an_authority_that_is_trusted(new_server, certificate, tmp_path):
    registry = DockerRegistry(tmp_path / "registry", certificate=certificate)
    trusting = {"SSL_CERT_FILE": str(certificate.authority)}
    writer, reader = new_server("writer", **trusting), new_server("reader", **trusting)
    name = f"{registry.host}/lab/wine:1"
    round_trip(writer, reader, name, insecure=False)
    stranger = new_server("stranger")
    text = refusal(stranger, "pull", name, insecure=False)
    assert "certificate" in text and registry.host in text
    assert tree(stranger.models) == {}
    registry.close()


def test_plain_http_only_when_asked_for(new_server, registry):
    server = new_server("server")
    text = refusal(server, "pull", f"{registry.host}/lab/wine:1", insecure=False)
    assert registry.host in text
    assert "insecure protocol http" in refusal(server, "pull", f"http://{registry.host}/lab/wine:1", insecure=False)


def test_user_and_password(new_server, certificate, tmp_path):
    registry = DockerRegistry.with_passwords(tmp_path / "registry", certificate)
    known = {"SSL_CERT_FILE": str(certificate.authority)}
    ann = docker_config(tmp_path / "ann", registry.host)
    writer, reader = (new_server(name, DOCKER_CONFIG=ann, **known) for name in ("writer", "reader"))
    name = f"{registry.host}/lab/wine:1"
    round_trip(writer, reader, name, insecure=False)
    wrong = new_server("wrong", DOCKER_CONFIG=docker_config(tmp_path / "bob", registry.host, "ann", "guess"), **known)
    stranger = new_server("stranger", DOCKER_CONFIG=str(tmp_path / "none"), **known)
    for server in (wrong, stranger):
        text = refusal(server, "pull", name, insecure=False)
        assert "unauthorized" in text and "open sesame" not in text and "guess" not in text
        assert tree(server.models) == {}
    log = (writer.folder / "log").read_text() + (wrong.folder / "log").read_text()
    assert "open sesame" not in log and base64.b64encode(b"ann:open sesame").decode() not in log
    registry.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, certificate):
    """A docker-registry that wants tokens, behind a TLS proxy that also is the token server."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = TokenServer(folder)
    proxy = FaultProxy(0, certificate)  # first the proxy: its address is the realm
    registry = DockerRegistry(folder / "registry", tokens.configuration(f"https://{proxy.host}/token"))
    proxy.upstream = registry.port
    proxy.pages["/token"] = tokens.page
    proxy.tokens = tokens
    yield proxy
    proxy.close()
    registry.close()


@pytest.fixture
def house(guarded):
    """The same, with nobody known but Ann's password."""
    guarded.tokens.keys.clear()
    guarded.tokens.rights.clear()
    guarded.tokens.asked.clear()
    guarded.forget()
    return guarded


@pytest.fixture
def start(new_server, certificate):
    return lambda name, **settings: new_server(name, SSL_CERT_FILE=str(certificate.authority), **settings)


def test_token_by_the_ed25519_key(house, start):
    writer, reader = start("writer"), start("reader")
    tokens = house.tokens
    name = f"{house.host}/cellar/wine:1"
    tokens.keys = {public_key(writer): "writer", public_key(reader): "reader"}
    tokens.rights = {("writer", "cellar/wine"): {"pull", "push"}, ("reader", "cellar/wine"): {"pull"}}
    round_trip(writer, reader, name, insecure=False)
    assert {(user, how) for user, how, _ in tokens.asked} == {("writer", "key"), ("reader", "key")}
    assert ("reader", "key", ["repository:cellar/wine:pull"]) in tokens.asked
    # The reader may pull, not push; a stranger may do neither.
    write_model(reader.models, name, [("model", b"changed")])
    before = tree(reader.models)
    assert "unauthorized: access denied" in refusal(reader, "push", name, insecure=False)
    stranger = start("stranger")
    text = refusal(stranger, "pull", name, insecure=False)
    assert "401" in text or "unauthorized" in text
    assert tree(reader.models) == before and tree(stranger.models) == {}


def test_token_by_user_and_password(house, start, tmp_path):
    ann = docker_config(tmp_path / "docker", house.host)
    writer, reader = start("writer", DOCKER_CONFIG=ann), start("reader", DOCKER_CONFIG=ann)
    house.tokens.rights = {("ann", "cellar/cheese"): {"pull", "push"}}
    round_trip(writer, reader, f"{house.host}/cellar/cheese:1", insecure=False)
    assert {(user, how) for user, how, _ in house.tokens.asked} == {("ann", "password")}


def test_a_token_that_ends_on_the_way_is_renewed(house, start):
    """Tokens live for minutes, pulls for hours."""
    writer, reader = start("writer"), start("reader")
    house.tokens.keys = {public_key(writer): "writer", public_key(reader): "writer"}
    house.tokens.rights = {("writer", "cellar/bread"): {"pull", "push"}}
    name = f"{house.host}/cellar/bread:1"
    write_model(writer.models, name, LAYERS)
    push(writer, name, insecure=False)
    again = {"WWW-Authenticate": f'Bearer realm="https://{house.host}/token",service="the cellar",'
                                 'scope="repository:cellar/bread:pull"'}
    house.tokens.asked.clear()
    house.add("GET .*/blobs/", 1, status=401, headers=again)
    pull(reader, name, insecure=False)
    assert len(house.tokens.asked) >= 2
    assert model_files(reader.models, name) == model_files(writer.models, name)
