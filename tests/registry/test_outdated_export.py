"""`outdated` compares with the registry; `export` writes what `create` makes the same model of."""
import json
import os
import pathlib
import subprocess

import pytest
from models import digest_of, noise, write_model
from transfers import pull, push

WEIGHTS = noise(300_000, 7)


def cria(server, *arguments, folder=None):
    environment = dict(os.environ, OLLAMA_HOST=f"127.0.0.1:{server.port}", HOME=str(server.folder))
    return subprocess.run([os.environ["CRIA"], *arguments], env=environment, capture_output=True, text=True,
                          timeout=60, cwd=folder)


def states(server, **body):
    answer = json.loads(server.request("POST", "/api/outdated", {"insecure": True, **body})[2])
    return {model["name"].split("/")[-1]: model for model in answer["models"]}


def test_what_has_changed_in_a_registry_is_told_with_its_size(new_server, proxy, registry):
    writer, reader = new_server("writer"), new_server("reader")
    old = [("model", WEIGHTS), ("template", b"{{ .Prompt }}")]
    for model in ("same:1", "moved:1"):
        write_model(writer.models, f"{proxy.host}/lab/{model}", old)
        push(writer, f"{proxy.host}/lab/{model}")
        pull(reader, f"{proxy.host}/lab/{model}")
    write_model(writer.models, f"{proxy.host}/lab/moved:1", [("model", WEIGHTS), ("template", b"changed {{ .Prompt }}")])
    push(writer, f"{proxy.host}/lab/moved:1")
    write_model(reader.models, f"{proxy.host}/lab/own:1", old)
    write_model(reader.models, "127.0.0.1:9/lab/far:1", old)
    seen = states(reader)
    assert {name: model["status"] for name, model in seen.items()} == {
        "same:1": "current", "moved:1": "outdated", "own:1": "absent", "far:1": "unknown"}
    assert 0 < seen["moved:1"]["download"] < 2000
    assert seen["moved:1"]["remote_digest"] != seen["moved:1"]["digest"]
    assert set(states(reader, models=[f"{proxy.host}/lab/same:1"])) == {"same:1"}
    assert reader.error("POST", "/api/outdated", {"models": ["nothing"]}) == (404, "model 'nothing:latest' not found")
    shown = cria(reader, "outdated", "--insecure")
    assert shown.returncode == 0, shown.stderr
    rows = {line.split()[0].split("/")[-1]: line for line in shown.stdout.splitlines()[1:]}
    assert "outdated" in rows["moved:1"] and "up to date" in rows["same:1"] and "not in its registry" in rows["own:1"]
    pull(reader, f"{proxy.host}/lab/moved:1")
    assert states(reader)["moved:1"]["status"] == "current"


@pytest.fixture
def real(new_server):
    """A server with a real model that has a system text, parameters, messages and licenses."""
    server = new_server("real")
    weights = pathlib.Path(os.environ["CRIA_TEST_MODEL"])
    modelfile = server.folder / "Modelfile"
    modelfile.write_text(f'FROM {weights}\nSYSTEM """Say "so".\nTwice."""\nPARAMETER stop "<a b>"\n'
                         'PARAMETER temperature 0.5\nMESSAGE user hi\nMESSAGE assistant ho\nLICENSE one\nLICENSE two\n')
    made = cria(server, "create", "mine", "-f", str(modelfile))
    assert made.returncode == 0, made.stderr
    return server


def test_an_exported_model_is_created_again_the_same(real):
    folder = real.folder / "out"
    done = cria(real, "export", "mine", str(folder))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["Modelfile", "model.gguf"]
    assert digest_of((folder / "model.gguf").read_bytes()) == digest_of(pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes())
    again = cria(real, "create", "again", folder=folder)
    assert again.returncode == 0, again.stderr
    digests = {model["name"]: model["digest"] for model in json.loads(real.request("GET", "/api/tags")[2])["models"]}
    assert digests["mine:latest"] == digests["again:latest"]
    refused = cria(real, "export", "mine", str(folder))
    assert refused.returncode == 1 and "is not empty" in refused.stderr
    assert cria(real, "export", "nothing", str(real.folder / "n")).returncode == 1
    assert not (real.folder / "n").exists()


def test_a_damaged_blob_is_not_exported(real):
    blob = max((real.models / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    with open(blob, "r+b") as file:
        file.seek(50_000_000)
        file.write(b"xxxx")
    folder = real.folder / "out"
    done = cria(real, "export", "mine", str(folder))
    assert done.returncode == 1 and "is damaged" in done.stderr
    assert list(folder.iterdir()) == []


def test_blobs_are_read_by_their_digest_alone(real):
    assert real.request("GET", "/api/blobs/sha256:" + "0" * 64)[0] == 404
    for wrong in ("..%2F..%2Fmanifests", "sha256:zz", "%2Fetc%2Fpasswd"):
        assert real.request("GET", f"/api/blobs/{wrong}")[0] == 400, wrong
