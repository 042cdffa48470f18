"""`verify` names what is damaged in a store, `repair` fetches that and nothing else."""
import json
import os
import subprocess
import time

import pytest
from cria_server import eventually
from models import MIB, copy_name, digest_of, manifest_path, model_files, noise, tree, write_model
from test_crashes import gguf
from transfers import pull, push

TEMPLATE = b"{{ .Prompt }}"


def lines(server, **body):
    text = server.request("POST", "/api/verify", body)[2]
    return [json.loads(line) for line in text.splitlines()]


def blob(server, content):
    return server.models / "blobs" / digest_of(content).replace(":", "-")


@pytest.fixture
def store(new_server, proxy):
    """A server with a model that it pulled: weights of 8 MiB and of 300 KB, and a template."""
    writer, reader = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/whole:1"
    layers = [("model", noise(8 * MIB, 1)), ("adapter", noise(300_000, 2)), ("template", TEMPLATE)]
    write_model(writer.models, name, layers)
    push(writer, name)
    pull(reader, name)
    reader.name, reader.content = name, dict(layers)
    proxy.forget()
    return reader


def test_a_whole_store_is_said_to_be_whole(store):
    seen = lines(store)
    assert seen[-2:] == [{"status": "all 4 files are whole"}, {"status": "success"}]
    bars = [line for line in seen if "total" in line and line["total"] == 8 * MIB]
    assert [line["completed"] for line in bars] == sorted(line["completed"] for line in bars)
    assert bars[-1]["completed"] == 8 * MIB
    assert store.request("POST", "/api/verify", {"stream": False, "models": [store.name]})[0] == 200
    assert store.error("POST", "/api/verify", {"models": ["none"]}) == (404, "model 'none:latest' not found")
    for wrong in ([7], {}, "x", 5):
        assert store.error("POST", "/api/verify", {"models": wrong})[0] == 400, wrong


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize("damage, why", [(flipped, "another digest"), (cut, "1000 bytes instead of 300000"),
                                         (os.unlink, "missing")])
def test_damage_is_named_and_only_that_is_fetched(store, proxy, damage, why):
    before = tree(store.models)
    adapter = store.content["adapter"]
    damage(blob(store, adapter))
    seen = lines(store)
    named = [line["status"] for line in seen if line.get("status", "").startswith("damaged: ")]
    assert len(named) == 1 and digest_of(adapter) in named[0] and why in named[0], seen
    assert seen[-1] == {"error": "1 of 4 files are damaged; `cria repair` fetches them again"}
    seen = lines(store, repair=True, insecure=True)
    assert seen[-2:] == [{"status": "repaired 1 files"}, {"status": "success"}], seen
    assert 300_000 <= proxy.downloaded() < 310_000
    assert tree(store.models) == before
    model_files(store.models, store.name)


def test_a_text_that_was_repaired_is_used_at_once(new_server, proxy):
    writer, server = new_server("writer"), new_server("reader")
    name = f"{proxy.host}/lab/texts:1"
    write_model(writer.models, name, [("model", gguf(1)), ("template", TEMPLATE)])
    push(writer, name)
    pull(server, name)
    manifest = manifest_path(server.models, name)
    os.utime(manifest, (time.time() - 60, time.time() - 60))
    assert eventually(lambda: time.time() - manifest.stat().st_ctime > 3)  # from then on it is read only once

    def template():
        status, _, text = server.request("POST", "/api/show", {"model": name})
        assert status == 200, text
        return json.loads(text)["template"]
    blob(server, TEMPLATE).write_bytes(b"{{ .System }}")
    assert template() == "{{ .System }}"
    assert lines(server, repair=True, insecure=True, models=[name])[-1] == {"status": "success"}
    assert template() == TEMPLATE.decode()


def damaged_at(path, places):
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("places, chunks", [([5 * MIB], 1), ([0, 8 * MIB - 1], 2), ([4 * MIB - 1], 1)])
def test_of_a_large_blob_only_the_damaged_chunks_are_fetched(store, proxy, places, chunks):
    before = tree(store.models)
    damaged_at(blob(store, store.content["model"]), places)
    seen = lines(store, repair=True, insecure=True)
    assert seen[-2:] == [{"status": "repaired 1 files"}, {"status": "success"}], seen
    assert chunks * 4 * MIB <= proxy.downloaded() < chunks * 4 * MIB + 10_000
    assert tree(store.models) == before


def test_a_blob_that_was_cut_is_completed(store, proxy):
    path = blob(store, store.content["model"])
    path.write_bytes(path.read_bytes()[:6 * MIB])
    assert lines(store, repair=True, insecure=True)[-1] == {"status": "success"}
    assert 4 * MIB <= proxy.downloaded() < 4 * MIB + 10_000
    assert path.read_bytes() == store.content["model"]


def new_sums(store, content):
    """The checksums that the program keeps of a blob with this content."""
    assert store.request("POST", "/api/blobs/" + digest_of(content), content)[0] == 201
    return (store.models / "cria" / "chunks" / digest_of(content)[7:]).read_bytes()


def test_wrong_checksums_of_chunks_cost_only_bytes(store, proxy):
    """Neither damaged nor outdated checksums can bring a wrong blob into the store."""
    path = blob(store, store.content["model"])
    sums, = (store.models / "cria" / "chunks").iterdir()
    # Checksums of other bytes, whole in themselves: what comes out is not the blob.
    good = sums.read_bytes()
    other = bytes(4 * MIB) + path.read_bytes()[4 * MIB:]
    changed = new_sums(store, other)
    sums.write_bytes(changed)
    path.write_bytes(other)
    before = len(list(path.parent.iterdir()))
    seen = lines(store, repair=True, insecure=True)
    assert seen[-1] == {"status": "success"}
    done = [line["completed"] for line in seen if line["status"].startswith("pulling ") and "completed" in line]
    assert done == sorted(done) and done[-1] == 8 * MIB, "progress goes back"
    assert path.read_bytes() == store.content["model"]
    assert len(list(path.parent.iterdir())) == before, "nothing is left of the attempt"
    assert sums.read_bytes() == good
    for wrong in (b"nonsense", sums.read_bytes()[:-1]):
        sums.write_bytes(wrong)
        damaged_at(path, [100])
        assert lines(store, repair=True, insecure=True)[-1] == {"status": "success"}
        assert path.read_bytes() == store.content["model"]
    sums.unlink()
    assert lines(store)[-1] == {"status": "success"}  # verify writes them anew
    proxy.forget()
    damaged_at(path, [100])
    assert lines(store, repair=True, insecure=True)[-1] == {"status": "success"}
    assert proxy.downloaded() < 4 * MIB + 10_000


def test_what_cannot_be_fetched_stays_as_it_is(store, proxy):
    flipped(blob(store, store.content["adapter"]))
    copy_name(store.models, store.name, f"{proxy.host}/lab/never-pushed:1")
    manifest_path(store.models, store.name).unlink()
    before = tree(store.models)
    seen = lines(store, repair=True, insecure=True)
    assert "could not be repaired" in seen[-1]["error"] and "lab/never-pushed" in seen[-1]["error"], seen
    assert tree(store.models) == before


def test_a_broken_manifest_is_named_and_fetched(store):
    path = manifest_path(store.models, store.name)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    assert any("the manifest of" in line.get("status", "") for line in lines(store))
    # Nobody knows whose it was: only who names the model gets what the registry has under that name.
    assert "cria repair MODEL" in lines(store, repair=True, insecure=True)[-1]["error"]
    assert path.read_bytes() == whole[:50]
    assert lines(store, repair=True, insecure=True, models=[store.name])[-1] == {"status": "success"}
    assert path.read_bytes() == whole


def test_repair_changes_no_manifest(store, proxy):
    """A model made here may have the name of one in a registry, or an older version of it."""
    path = manifest_path(store.models, store.name)
    write_model(store.models, store.name, [("model", store.content["model"]), ("adapter", store.content["adapter"]),
                                           ("system", b"Made here.")])
    own = path.read_bytes()
    flipped(blob(store, store.content["adapter"]))
    assert lines(store, repair=True, insecure=True)[-1] == {"status": "success"}
    assert path.read_bytes() == own
    model_files(store.models, store.name)
    assert 300_000 <= proxy.downloaded() < 310_000
    # What no registry has stays damaged, and the rest is repaired all the same.
    flipped(blob(store, b"Made here."))
    flipped(blob(store, store.content["adapter"]))
    seen = lines(store, repair=True, insecure=True)
    assert "1 of 2 could not be repaired" in seen[-1]["error"], seen[-1]
    assert digest_of(b"Made here.") in seen[-1]["error"]
    assert digest_of(blob(store, store.content["adapter"]).read_bytes()) == digest_of(store.content["adapter"])


def test_the_commands(store):
    def cria(*arguments):
        environment = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{store.port}", HOME=str(store.folder))
        return subprocess.run([os.environ["CRIA"], *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert cria("verify").returncode == 0
    flipped(blob(store, store.content["adapter"]))
    bad = cria("verify", store.name)
    assert bad.returncode == 1 and "damaged: " + digest_of(store.content["adapter"]) in bad.stderr
    repaired = cria("repair", store.name, "--insecure")
    assert repaired.returncode == 0, repaired.stderr
    assert cria("verify").returncode == 0
    old = store.models / "blobs" / ("sha256-" + "a" * 64)
    old.write_bytes(b"unused")
    os.utime(old, (1, 1))
    would = cria("prune", "--dry-run")
    assert would.returncode == 0 and f"would remove {old.name} (6 B)" in would.stdout and old.exists()
    assert f"removed {old.name} (6 B)" in cria("prune").stdout and not old.exists()
    assert cria("verify").returncode == 0
