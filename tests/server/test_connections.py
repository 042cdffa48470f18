"""Thousands of clients that do nothing, and some that do it slowly, beside one that is being answered."""
import json
import os
import pathlib
import resource
import select
import socket

import pytest
from cria_server import eventually
from server_models import server_with_model

IDLE = 10_000
BYTES_EACH = 16 << 10  # of the server's memory; one read buffer would be four times as much


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def many_descriptors():
    """For this process and the servers that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 1000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, before[1])))
    except (ValueError, OSError):
        pytest.skip(f"this machine allows {before[1]} descriptors, {wanted} are needed")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.fixture(scope="module")
def server(tmp_path_factory, many_descriptors):
    server = server_with_model(tmp_path_factory.mktemp("connections"))
    yield server
    server.close()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), 60)


def post(path, body):
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def hear(client, end=b"\r\n0\r\n\r\n"):
    data = b""
    while end not in data:
        more = client.recv(65536)
        assert more, data[-300:]
        data += more
    return data


def story(server):
    """What the model says, token by token."""
    body = {"model": "smol", "prompt": "Once upon a time", "raw": True, "options": {"num_predict": 100, "temperature": 0}}
    with connect(server) as client:
        client.sendall(post("/api/generate", body))
        answer = hear(client).split(b"\r\n\r\n", 1)[1]
    lines = [json.loads(line) for line in answer.splitlines() if line.startswith(b"{")]
    assert lines[-1]["done"], lines[-1]
    return "".join(line["response"] for line in lines)


def test_ten_thousand_idle_connections(server):
    expected = story(server)
    before = resident(server.process.pid)
    idle = []
    try:
        for number in range(IDLE):
            client = connect(server)
            idle.append(client)
            if number % 2:  # has been served and is kept
                client.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for client in idle[1::2]:
            assert b'"version"' in hear(client, b"}")
        assert eventually(lambda: server.descriptors() >= IDLE)
        each = (resident(server.process.pid) - before) / IDLE
        print(f"\n{each:.0f} bytes for each idle connection")
        assert each < BYTES_EACH
        assert story(server) == expected
        assert server.request("GET", "/api/tags")[0] == 200
        for client in idle[::997]:  # those that waited are served
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"running" in hear(client, b"running")
    finally:
        for client in idle:
            client.close()
    assert eventually(lambda: server.descriptors() < 100, 30)
    assert story(server) == expected


def test_a_server_takes_all_descriptors_that_it_may_and_keeps_some_for_its_work(tmp_path):
    """A shell's limit is often 1024, of what the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    try:
        server = server_with_model(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (before[1], before[1])
    server.close()


def test_more_connections_than_descriptors(tmp_path):
    """The limit as an administrator sets it: one connection too many is told so, and requests of others still work."""
    server = server_with_model(tmp_path, descriptors=600)
    expected = story(server)
    idle = [connect(server) for _ in range(400)]
    try:
        told = []
        for client in idle:
            client.settimeout(0.01)
            try:
                told.append(client.recv(12))
            except TimeoutError:
                pass
        assert 0 < len(told) < 400 and set(told) == {b"HTTP/1.1 503"}
        kept = idle[0]
        kept.settimeout(60)
        kept.sendall(post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}))
        assert hear(kept, b'"done":true').startswith(b"HTTP/1.1 200")
    finally:
        for client in idle:
            client.close()
    assert eventually(lambda: server.descriptors() < 50)
    assert story(server) == expected
    server.close()


def test_bytes_that_come_one_at_a_time_disturb_nobody(server):
    expected = story(server)
    body = post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}})
    slow = [connect(server) for _ in range(50)]
    for client in slow:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for position in range(0, len(body), 5):
        for client in slow:
            client.sendall(body[position:position + 5])
    assert story(server) == expected
    for client in slow:
        assert b"HTTP/1.1 200" in hear(client, b'"done":true')
        client.close()


def test_endless_headers_and_bodies_end(server):
    """Each is refused once it passes a limit, and until then is not kept in memory beyond that limit."""
    before = resident(server.process.pid)
    endless = {
        b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nX: ": b"x" * 65536,
        b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n": b"X: y\r\n" * 10000,
        b"GET /" + b"a" * 1000: b"a" * 65536,
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n": b"10000\r\n" + b"x" * 65536 + b"\r\n",
        # The extension of a chunk and what follows the last one are no body, but have an end, too.
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;": b"e" * 65536,
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n": b"X: y\r\n" * 10000,
    }
    for head, more in endless.items():
        with connect(server) as client:
            client.sendall(head)
            sent = 0
            while not select.select([client], [], [], 0)[0] and sent < 300 << 20:
                client.sendall(more)
                sent += len(more)
            assert client.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 431"), (head, sent)
    assert resident(server.process.pid) - before < 200 << 20
    assert story(server)


@pytest.mark.parametrize("body", [
    b"5\r\nabc\r\n0\r\n\r\n", b"-1\r\nabc\r\n", b"zz\r\nabc\r\n", b"ffffffffffffffffff\r\nabc", b"3\r\nabcdef\r\n0\r\n\r\n",
    b"\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n"])
def test_chunks_that_lie(server, body):
    with connect(server) as client:
        client.settimeout(60)
        client.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        answer = hear(client, b"}")
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert b"the request's body ended early" in answer or b"malformed request body: " in answer


def test_a_body_shorter_than_it_says(server):
    with connect(server) as client:
        client.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{}")
        client.shutdown(socket.SHUT_WR)
        assert b"the request's body ended early" in hear(client, b"}")


def test_two_hosts_are_refused(server):
    with connect(server) as client:
        client.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n")
        answer = hear(client, b"}")
        assert answer.startswith(b"HTTP/1.1 400") and b"more than one Host header" in answer
        assert client.recv(1) == b""


def test_half_open_clients_are_answered_or_forgotten(server):
    with connect(server) as client:  # says that it sends no more, and waits for its answer
        client.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert b'"version"' in hear(client, b"}")
        assert client.recv(1) == b""
    before = server.descriptors()
    for _ in range(50):
        client = connect(server)
        client.sendall(post("/api/generate", {"model": "smol", "prompt": "Hi"})[:-5])
        client.close()
    assert eventually(lambda: server.descriptors() <= before)
