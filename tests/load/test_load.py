"""Mixed load with disconnects, killed runners and changes of the model: nothing is lost, nothing grows, nothing sticks.

CRIA_LOAD_SECONDS says how long (default 80; an hour before a release). What was done is printed with `pytest -s`.
"""
import json
import os
import pathlib
import random
import time

from cria_server import eventually
from server_models import server_with_model, upload
from traffic import Traffic

SECONDS = float(os.environ.get("CRIA_LOAD_SECONDS", "80"))
USERS = 6
GROWTH = 48 << 20  # bytes; a leak of a request's body alone would pass this within minutes


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def works(server):
    body = {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 2}}
    status, _, said = server.request("POST", "/api/generate", body)
    return status == 200 and json.loads(said)["done"]


def idle(server):
    """Nothing is computed any more: the runner takes no processor time. It is loaded, so that its pipes are counted."""
    if not works(server):
        return False
    (runner,) = server.children("runner")
    before = server.processor_seconds(runner)
    time.sleep(0.5)
    return server.processor_seconds(runner) - before < 0.05


def settle(server):
    """(resident bytes, descriptors) of the server at rest."""
    assert eventually(lambda: idle(server), 60), "work goes on for nobody"
    # Threads of requests stay for ten seconds in case there is more to do.
    assert eventually(lambda: threads(server.process.pid) <= 12, 30), "threads of requests do not end"
    assert len(server.children()) == 1, "a child that nobody waits for"
    return resident(server.process.pid), server.descriptors()


def create_other(server, folder):
    """The same model from another file: a runner of its own."""
    data = pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes()
    (folder / "other.gguf").write_bytes(data + bytes(32))  # behind the last tensor
    digest = upload(server, folder / "other.gguf")
    body = {"model": "other", "files": {"model.gguf": digest}, "parameters": {"num_ctx": 1024, "temperature": 0}, "stream": False}
    status, _, text = server.request("POST", "/api/create", body)
    assert status == 200 and "success" in text.decode(), text


def test_mixed_load(tmp_path):
    server = server_with_model(tmp_path, OLLAMA_MAX_LOADED_MODELS="1", OLLAMA_MAX_QUEUE="3", OLLAMA_NUM_PARALLEL="4",
                               OLLAMA_NUM_THREADS="2")
    create_other(server, tmp_path)
    seed = int(os.environ.get("CRIA_LOAD_SEED") or random.randrange(1 << 30))
    traffic = Traffic(server, seed, USERS)
    traffic.learn()
    traffic.run(SECONDS / 4)
    memory, descriptors = settle(server)
    traffic.run(SECONDS * 3 / 4)
    memory_then, descriptors_then = settle(server)
    print(f"\nseed {seed}, {SECONDS:.0f} s, {dict(traffic.counts)}, slowest {traffic.slowest:.1f} s; resident {memory >> 10} then "
          f"{memory_then >> 10} KiB, descriptors {descriptors} then {descriptors_then}")
    assert not traffic.wrong, (seed, len(traffic.wrong), traffic.wrong[:10])
    assert memory_then - memory < GROWTH
    assert eventually(lambda: server.descriptors() <= descriptors)
    for what in ("answered", "left", "half a request", "nonsense", "unload", "kills"):
        assert traffic.counts[what] > 0, what
    assert json.loads(server.request("GET", "/api/ps")[2])["models"][0]["model"] == "smol:latest"
    traffic.learn()  # the same answers as before, once more undisturbed
    server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
    assert eventually(lambda: not server.children())
    assert json.loads(server.request("GET", "/api/ps")[2]) == {"models": []}
    server.close()
