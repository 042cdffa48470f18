"""Models go to a real docker-registry and come back, and only what is missing moves."""
import hashlib
import json
import os
import pathlib
import time

import pytest
from docker_registry import DockerRegistry
from models import MIB, copy_name, manifest_path, model_files, noise, tree, write_model
from transfers import events, pull, push, refusal

TEMPLATE = b"{{ .System }} {{ .Prompt }}"


@pytest.fixture
def created(new_server):
    """A server with a real model that it made itself, from a GGUF file and a Modelfile's fields."""
    server = new_server("maker")
    data = pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert server.request("POST", f"/api/blobs/{digest}", data)[0] == 201

    def create(name, **fields):
        body = {"model": name, "stream": False, **fields}
        if "from" not in fields:
            body["files"] = {"model.gguf": digest}
        status, _, text = server.request("POST", "/api/create", body)
        assert (status, json.loads(text)) == (200, {"status": "success"})

    server.create = create
    return server


def test_create_push_pull_reproduces_the_model(created, new_server, proxy):
    name = f"{proxy.host}/lab/smol:latest"
    created.create(name, system="Be brief.", parameters={"temperature": 0, "stop": ["<x>"]}, license=["One", "Two"],
                   messages=[{"role": "user", "content": "hi"}])
    steps = [event["status"] for event in push(created, name)]
    assert steps[0] == "retrieving manifest" and steps[-2:] == ["pushing manifest", "success"]
    reader = new_server("reader")
    steps = [event["status"] for event in pull(reader, name)]
    assert steps[0] == "pulling manifest"
    assert steps[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert model_files(reader.models, name) == model_files(created.models, name)
    listed = [json.loads(server.request("GET", "/api/tags")[2])["models"][0] for server in (created, reader)]
    assert listed[0]["digest"] == listed[1]["digest"] == hashlib.sha256(
        manifest_path(reader.models, name).read_bytes()).hexdigest()
    body = {"model": name, "prompt": "The capital of France is", "raw": True, "stream": False,
            "options": {"num_predict": 4}}
    answers = [json.loads(server.request("POST", "/api/generate", body)[2])["response"] for server in (created, reader)]
    assert answers[0] == answers[1] and "Paris" in answers[0]

    # A child in another repository: the weights are mounted there, not sent again.
    child = f"{proxy.host}/lab/child:latest"
    created.create(child, **{"from": name}, system="Be long.")
    proxy.forget()
    push(created, child)
    assert proxy.uploaded() < 64 << 10
    assert [seen.status for seen in proxy.requests("POST .*mount=")].count(201) >= 1
    proxy.forget()
    pull(reader, child)
    assert proxy.downloaded() < 64 << 10
    assert model_files(reader.models, child) == model_files(created.models, child)


def test_only_missing_layers_move(new_server, proxy):
    writer, reader = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/wine:1"
    weights = noise(8 * MIB, 1)
    write_model(writer.models, name, [("model", weights), ("template", TEMPLATE)])
    push(writer, name)
    assert 8 * MIB <= proxy.uploaded() < 8 * MIB + 10_000
    pull(reader, name)
    assert 8 * MIB <= proxy.downloaded() < 8 * MIB + 10_000
    first = model_files(reader.models, name)

    write_model(writer.models, name, [("model", weights), ("template", TEMPLATE + b"!" * 1000)])
    proxy.forget()
    push(writer, name)
    assert 1000 < proxy.uploaded() < 10_000
    steps = [event["status"] for event in pull(reader, name)]
    assert 1000 < proxy.downloaded() < 10_000
    assert "removing unused layers" in steps
    second = model_files(reader.models, name)
    assert second == model_files(writer.models, name) and second != first
    assert len(list((reader.models / "blobs").iterdir())) == 3  # the old template is gone

    proxy.forget()
    push(writer, name)
    pull(reader, name)
    assert (proxy.uploaded(), proxy.downloaded()) == (0, 0)


def test_equal_layers_and_empty_ones(new_server, proxy):
    writer, reader = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/odd:1"
    config = b"{}"
    twice = noise(300_000, 2)
    write_model(writer.models, name, [("model", twice), ("adapter", twice), ("license", b""), ("params", config)], config)
    push(writer, name)
    pull(reader, name)
    assert model_files(reader.models, name) == model_files(writer.models, name)
    assert proxy.downloaded() <= 300_000 + len(config)


def test_many_small_tensors(new_server, proxy):
    writer, reader = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/tensors:1"
    layers = [("tensor", noise(20_000, 100 + i)) for i in range(60)] + [("json", b'{"a":1}\n')]
    write_model(writer.models, name, layers)
    push(writer, name)
    lines = pull(reader, name)
    assert {event["digest"] for event in lines if "digest" in event} == {"sha256:model"}
    assert model_files(reader.models, name) == model_files(writer.models, name)


def test_two_names_of_one_model(new_server, proxy):
    writer, reader = new_server("writer"), new_server("reader")
    first, second = f"{proxy.host}/lab/wine:1", f"{proxy.host}/lab/wine:2"
    write_model(writer.models, first, [("model", noise(MIB, 3))])
    copy_name(writer.models, first, second)
    push(writer, first)
    proxy.forget()
    push(writer, second)
    assert proxy.uploaded() == 0
    pull(reader, first)
    proxy.forget()
    pull(reader, second)
    assert proxy.downloaded() == 0
    assert tree(reader.models) == tree(writer.models)


def test_what_is_not_there(new_server, registry, tmp_path):
    server = new_server("server")
    missing = f"{registry.host}/lab/nothing:1"
    assert refusal(server, "pull", missing) == "pull model manifest: file does not exist"
    assert "nothing" in refusal(server, "push", missing)
    status, message = server.error("POST", "/api/pull", {"model": missing, "insecure": True, "stream": False})
    assert (status, message) == (500, "pull model manifest: file does not exist")
    assert server.error("POST", "/api/pull", {"model": ""})[0] == 400
    assert server.error("POST", "/api/pull", {"model": "a/b/c/d/e"})[0] == 400
    assert server.error("POST", "/api/push", {}) == (400, "model is required")
    closed = DockerRegistry(tmp_path / "closed")
    closed.close()
    text = refusal(server, "pull", f"{closed.host}/lab/wine:1")
    assert text.startswith("pull model manifest: ") and closed.host in text
    assert tree(server.models) == {}


def test_a_client_may_leave(new_server, proxy):
    """The transfer stops when nobody waits for it, and goes on from there for the next one who asks."""
    writer, reader = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/wine:9"
    write_model(writer.models, name, [("model", noise(8 * MIB, 4))])
    push(writer, name)
    proxy.bytes_per_second = 4 * MIB
    started = events(reader, "pull", name, insecure=True)
    for event in started:
        if event.get("completed", 0) > 2 * MIB:
            break
    proxy.bytes_per_second = MIB  # else much may be sent before the server has seen that nobody waits
    started.close()
    time.sleep(1)
    left = proxy.downloaded()
    time.sleep(1)
    assert proxy.downloaded() - left < MIB // 2  # nothing more is fetched
    proxy.bytes_per_second = 0
    pull(reader, name)
    assert proxy.downloaded() < 11 * MIB
    assert model_files(reader.models, name) == model_files(writer.models, name)
