"""What a network does to a pull: it ends correct, and moves little twice."""
import threading
import time

import pytest
from forward_proxy import ForwardProxy
from docker_registry import DockerRegistry
from models import MIB, model_files, noise, write_model
from transfers import check_progress, events, pull, push

SIZE = 12 * MIB
PART = MIB
SETTINGS = {"CRIA_PART_BYTES": str(PART)}
HASTY = {**SETTINGS, "CRIA_STALL_TIMEOUT": "2s"}  # where a fault is a stall


@pytest.fixture(scope="module")
def weights():
    return noise(SIZE, 31)


@pytest.fixture
def stored(new_server, registry, weights):
    """The name below the registry's host of a model that was pushed, and its files."""
    writer = new_server("writer")
    name = f"{registry.host}/lab/faults:1"
    write_model(writer.models, name, [("model", weights), ("template", b"{{ .Prompt }}")])
    push(writer, name)
    return "lab/faults:1", model_files(writer.models, name)


@pytest.fixture
def reader(new_server):
    return new_server("reader", **SETTINGS)


@pytest.fixture
def hasty_reader(new_server):
    return new_server("reader", **HASTY)


def check(reader, proxy, stored):
    assert model_files(reader.models, f"{proxy.host}/{stored[0]}") == stored[1]
    leftovers = [path.name for path in (reader.models / "blobs").iterdir() if "-" in path.name[7:]]
    assert leftovers == []


@pytest.mark.parametrize("fault, more", [
    ({"drop_after": 300_000, "times": 8}, MIB // 4),
    ({"drop_after": 0, "times": 4}, MIB // 4),
    ({"status": 500, "times": 4}, MIB // 4),
    ({"status": 503, "times": 2, "headers": {"Retry-After": "1"}}, MIB // 4),
    ({"status": 429, "times": 3, "headers": {"Retry-After": "1"}}, MIB // 4),
    ({"stall_after": 200_000, "times": 2}, MIB // 4),
    ({"stall_after": 0, "times": 1}, MIB // 4),
], ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "")
def test_transient_faults(hasty_reader, proxy, stored, fault, more):
    reader = hasty_reader
    proxy.add("GET .*/blobs/", **fault)
    pull(reader, f"{proxy.host}/{stored[0]}")
    assert proxy.faults[0].times == 0
    assert proxy.downloaded() < SIZE + more + 8 * 300_000
    check(reader, proxy, stored)


def test_faults_of_the_manifest_are_retried(reader, proxy, stored):
    proxy.add("GET .*/manifests/", 2, status=503)
    pull(reader, f"{proxy.host}/{stored[0]}")
    assert proxy.faults[0].times == 0
    check(reader, proxy, stored)


def test_a_server_without_ranges(reader, proxy, stored):
    proxy.add("GET .*/blobs/", 1000, ignore_range=True)
    pull(reader, f"{proxy.host}/{stored[0]}")
    check(reader, proxy, stored)


def test_a_registry_that_restarts(reader, new_server, weights, tmp_path):
    from fault_proxy import FaultProxy
    registry = DockerRegistry(tmp_path / "registry")
    proxy = FaultProxy(registry.port)
    writer = new_server("writer")
    name = f"{proxy.host}/lab/wine:1"
    write_model(writer.models, name, [("model", weights)])
    push(writer, name)
    proxy.bytes_per_second = 8 * MIB
    seen, restarted = [], False
    for event in events(reader, "pull", name, insecure=True):
        seen.append(event)
        if not restarted and event.get("completed", 0) > SIZE // 3:
            restarted = True
            registry.restart()
    assert restarted and seen[-1] == {"status": "success"}
    check_progress(seen)
    assert model_files(reader.models, name) == model_files(writer.models, name)
    proxy.close()
    registry.close()


def test_a_wrong_byte_is_fetched_again_and_not_the_whole(reader, proxy, stored):
    proxy.add("GET .*/blobs/", 1, corrupt_at=5 * PART + 12345)
    pull(reader, f"{proxy.host}/{stored[0]}")
    assert proxy.faults[0].times == 0
    assert proxy.downloaded() < 2 * SIZE
    check(reader, proxy, stored)


def test_always_wrong_is_refused(reader, proxy, stored):
    from transfers import refusal
    proxy.add("GET .*/blobs/", 10_000, corrupt_at=5 * PART)
    text = refusal(reader, "pull", f"{proxy.host}/{stored[0]}")
    assert "digest mismatch" in text
    assert reader.request("GET", "/api/tags")[2] == b'{"models":[]}'


def test_pulls_of_one_model_share_one_download(reader, proxy, stored):
    name = f"{proxy.host}/{stored[0]}"
    proxy.bytes_per_second = 16 * MIB
    results = []
    threads = [threading.Thread(target=lambda: results.append(pull(reader, name)[-1])) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"status": "success"}] * 5
    assert proxy.downloaded() < SIZE + 10_000
    check(reader, proxy, stored)


def test_two_servers_with_one_store(new_server, proxy, stored):
    servers = [new_server("reader", **SETTINGS) for _ in range(2)]
    name = f"{proxy.host}/{stored[0]}"
    proxy.bytes_per_second = 16 * MIB
    results = []
    threads = [threading.Thread(target=lambda s=server: results.append(pull(s, name)[-1])) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"status": "success"}] * 2
    check(servers[0], proxy, stored)


def test_rate_limit(reader, proxy, stored):
    start = time.monotonic()
    pull(reader, f"{proxy.host}/{stored[0]}", limit_rate=8 * MIB)
    assert time.monotonic() - start > 1.0  # 12 MiB at 8 MiB/s take 1.5 s
    check(reader, proxy, stored)


def test_forward_proxies(new_server, registry, certificate, tmp_path):
    forward = ForwardProxy(registry.port)
    server = new_server("plain", HTTP_PROXY=forward.url, http_proxy=forward.url)
    name = "cellar.test/lab/wine:1"
    write_model(server.models, name, [("model", noise(100_000, 41))])
    push(server, name)
    first = model_files(server.models, name)
    assert server.request("DELETE", "/api/delete", {"model": name})[0] == 200
    pull(server, name)
    assert model_files(server.models, name) == first
    assert any(line.startswith("GET http://cellar.test/v2/lab/wine/manifests/1 ") for line in forward.lines)
    forward.close()

    tls = DockerRegistry(tmp_path / "tls", certificate=certificate)
    forward = ForwardProxy(tls.port)
    server = new_server("tls", HTTPS_PROXY=forward.url, https_proxy=forward.url, SSL_CERT_FILE=str(certificate.authority))
    write_model(server.models, name, [("model", noise(100_000, 41))])
    push(server, name, insecure=False)
    assert server.request("DELETE", "/api/delete", {"model": name})[0] == 200
    pull(server, name, insecure=False)
    assert model_files(server.models, name) == first
    assert forward.lines and all(line.startswith("CONNECT cellar.test:443 ") for line in forward.lines)
    forward.close()
    tls.close()
