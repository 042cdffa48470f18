"""A store after kill -9 at any moment, and on a full disk: whole, and nothing lost that was there before."""
import http.client
import json
import os
import random
import struct
import subprocess
import threading
import time

import pytest
from gguf_parts import text
from models import MIB, digest_of, model_files, noise, write_model
from transfers import push

KILLS = 24
HALVES = 4 * MIB  # of a model that is quantised


def gguf(seed):
    """A float model of one matrix, so that create also runs a worker that writes a new blob."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("general.file_type") + struct.pack("<II", 4, 1)
    head += text("blk.0.ffn_up.weight") + struct.pack("<IQQIQ", 2, 1024, HALVES // 2048, 1, 0)
    return head + b"\0" * (-len(head) % 32) + noise(1024, seed) * (HALVES // 1024)


class Store:
    """Starts servers over one store and works on it until somebody kills them."""

    def __init__(self, start, proxy):
        self.start, self.proxy = start, proxy
        self.kept = f"{proxy.host}/lab/kept:1"
        self.server = start("crash", CRIA_PART_BYTES=str(MIB))
        write_model(self.server.models, self.kept, [("model", noise(3 * MIB, 1)), ("system", b"Stay.")])
        self.before = model_files(self.server.models, self.kept)

    def call(self, method, path, body):
        """True when the server said that it is done."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body))
            answer = connection.getresponse()
            lines = answer.read().splitlines()
            return answer.status < 300 and not (lines and b'"error"' in lines[-1])
        except (http.client.HTTPException, OSError):
            return False
        finally:
            connection.close()

    def create(self, seed):
        data = gguf(seed)
        digest = digest_of(data)
        body = {"model": f"made-{seed}", "files": {"m.gguf": digest}, "system": f"I am {seed}.", "template": "{{ .Prompt }}"}
        if seed % 2:
            body["quantize"] = "q8_0"
        return self.call("POST", f"/api/blobs/{digest}", data) and self.call("POST", "/api/create", body)

    def pull(self, seed):
        return self.call("POST", "/api/pull", {"model": f"{self.proxy.host}/lab/remote-{seed % 3}:1", "insecure": True})

    def copy_and_remove(self, seed):
        done = self.call("POST", "/api/copy", {"source": self.kept, "destination": f"copy-{seed}"})
        self.call("DELETE", "/api/delete", {"model": f"{self.proxy.host}/lab/remote-{(seed + 1) % 3}:1"})
        return done and self.call("DELETE", "/api/delete", {"model": f"copy-{seed}"})

    def check(self):
        """Everything that is listed is whole, and what was there before is still there."""
        assert model_files(self.server.models, self.kept) == self.before
        status, _, answer = self.server.request("POST", "/api/verify", {"stream": False})
        assert status == 200 and b"files are whole" in answer, answer
        listed = json.loads(self.server.request("GET", "/api/tags")[2])["models"]
        return {model["name"] for model in listed}


def test_kills_at_any_moment(new_server, proxy):
    writer = new_server("writer")
    for n in range(3):
        name = f"{proxy.host}/lab/remote-{n}:1"
        write_model(writer.models, name, [("model", noise(4 * MIB, 60 + n)), ("template", b"{{ .Prompt }}")])
        push(writer, name)
    writer.close()
    store = Store(new_server, proxy)
    store.check()
    chance = random.Random(7)
    works = [store.create, store.pull, store.copy_and_remove]
    took = {work: 0.4 for work in works}
    promised, finished = set(), 0
    for seed in range(KILLS):
        work = works[seed % 3]
        done = []
        start = time.monotonic()
        worker = threading.Thread(target=lambda: done.append(work(seed)))
        worker.start()
        time.sleep(chance.uniform(0, took[work] * 1.2))
        store.server.process.kill()
        store.server.process.wait(60)
        worker.join(60)
        if done == [True]:
            finished += 1
            took[work] = min(took[work], time.monotonic() - start)
            if work == store.create:
                promised.add(f"made-{seed}:latest")
        store.server = new_server("crash", CRIA_PART_BYTES=str(MIB))
        assert promised <= store.check(), "a model that was said to be there is gone"
    assert finished < KILLS, "no kill came in time"
    # Nothing hinders what comes after, and leftovers go.
    assert store.create(1000) and store.pull(0) and store.copy_and_remove(1001)
    store.check()
    used = set()
    for manifest in (store.server.models / "manifests").rglob("*"):
        if manifest.is_file():
            parsed = json.loads(manifest.read_bytes())
            used |= {layer["digest"].replace(":", "-") for layer in [parsed["config"], *parsed["layers"]]}
    for path in (store.server.models / "blobs").iterdir():
        old = time.time() - 7200
        os.utime(path, (old, old))
    assert store.server.request("POST", "/api/prune", {})[0] == 200
    assert {path.name for path in (store.server.models / "blobs").iterdir()} == used


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True).returncode != 0:
        pytest.skip("NOTHING WAS TESTED: a tmpfs cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing(new_server, proxy, small_disk, tmp_path):
    writer = new_server("writer")
    large = f"{proxy.host}/lab/large:1"
    write_model(writer.models, large, [("model", noise(20 * MIB, 70))])
    push(writer, large)
    (tmp_path / "crash").mkdir()
    (tmp_path / "crash" / "models").symlink_to(small_disk)
    store = Store(new_server, proxy)
    assert store.create(2)
    before = store.check()
    data = noise(20 * MIB, 71)
    status, _, answer = store.server.request("POST", "/api/blobs/" + digest_of(data), data)
    assert status == 507 and b"no space left" in answer.lower(), (status, answer)
    assert not store.call("POST", "/api/pull", {"model": large, "insecure": True})
    # Filled up to the last byte, so that not even a manifest has room.
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    assert not store.call("POST", "/api/create", {"model": "more", "from": "made-2", "system": "x" * 100_000})
    assert not store.create(4)
    assert store.check() == before
    store.server.process.kill()
    store.server.process.wait(60)
    store.server = new_server("crash", CRIA_PART_BYTES=str(MIB))
    assert store.check() == before
    # Removing works without any room, and gives some.
    assert store.call("DELETE", "/api/delete", {"model": "made-2"})
    filler.unlink()
    assert store.create(6)
    store.check()
    store.server.close()
