"""The official clients push a real model to a real registry and pull it into an empty store."""
import os
import pathlib
import subprocess

import ollama
import pytest
from models import model_files

WEIGHTS = pathlib.Path(os.environ["CRIA_TEST_MODEL"])
ASKED = {"prompt": "The capital of France is", "raw": True, "options": {"num_predict": 8, "temperature": 0}}


@pytest.fixture
def servers(new_server):
    return new_server("writer"), new_server("reader")


def test_python(servers, proxy):
    writer, reader = servers
    client = ollama.Client(writer.url)
    digest = client.create_blob(str(WEIGHTS))
    assert client.create_blob(str(WEIGHTS)) == digest  # also where it is there already
    client.create("mine", files={"model.gguf": digest}, system="Be brief.", parameters={"temperature": 0})
    name = f"{proxy.host}/lab/mine:1"
    client.copy("mine", name)
    steps = list(client.push(name, insecure=True, stream=True))
    assert steps[0].status == "retrieving manifest" and steps[-1].status == "success"
    assert max(step.completed or 0 for step in steps) == WEIGHTS.stat().st_size
    with pytest.raises(ollama.ResponseError):
        client.push(f"{proxy.host}/lab/nothing:1", insecure=True)
    other = ollama.Client(reader.url)
    steps = list(other.pull(name, insecure=True, stream=True))
    assert [step.status for step in steps[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
    totals = {step.digest: step.total for step in steps if step.digest}
    assert WEIGHTS.stat().st_size in totals.values()
    assert other.pull(name, insecure=True).status == "success"
    assert model_files(reader.models, name) == model_files(writer.models, name)
    assert other.show(name).details.family == "llama"
    assert [model.model for model in other.list().models] == [name]
    assert other.generate(name, **ASKED).response.strip().startswith("Paris")
    other.copy(name, "twin")
    other.delete(name)
    assert [model.model for model in other.list().models] == ["twin:latest"]
    with pytest.raises(ollama.ResponseError) as error:
        other.pull(f"{proxy.host}/lab/nothing:1", insecure=True)
    assert error.value.status_code == 500
    assert error.value.error == "pull model manifest: file does not exist"


SCRIPT = """
import { Ollama } from 'ollama'
const [writerUrl, readerUrl, name, digest] = process.argv.slice(2)
const writer = new Ollama({ host: writerUrl }), reader = new Ollama({ host: readerUrl })
const check = (what, held) => { if (!held) throw new Error(what) }
for await (const step of await writer.create({ model: 'mine', files: { 'm.gguf': digest }, stream: true }))
  check(step.status, !step.error)
await writer.copy({ source: 'mine', destination: name })
let last, most = 0
for await (const step of await writer.push({ model: name, insecure: true, stream: true })) {
  last = step.status
  most = Math.max(most, step.completed ?? 0)
}
check('pushed: ' + last, last === 'success' && most > 98e6)
for await (const step of await reader.pull({ model: name, insecure: true, stream: true })) last = step.status
check('pulled: ' + last, last === 'success')
check('again', (await reader.pull({ model: name, insecure: true })).status === 'success')
check('shown', (await reader.show({ model: name })).details.family === 'llama')
check('listed', (await reader.list()).models.map(m => m.name).join() === name)
await reader.copy({ source: name, destination: 'twin' })
await reader.delete({ model: name })
check('deleted', (await reader.list()).models.map(m => m.name).join() === 'twin:latest')
const missing = await reader.pull({ model: name.replace('mine-js', 'nothing'), insecure: true }).catch(e => e)
check('missing: ' + missing, String(missing).includes('file does not exist'))
console.log('well')
"""


def test_javascript(servers, proxy):
    clients = pathlib.Path(os.environ["CRIA_CLIENTS"])
    if not (clients / "node_modules").exists():
        pytest.skip("NOTHING WAS TESTED: npm is not installed")
    writer, reader = servers
    digest = ollama.Client(writer.url).create_blob(str(WEIGHTS))
    script = clients / "registry.mjs"
    script.write_text(SCRIPT)
    answer = subprocess.run(["node", script, writer.url, reader.url, f"{proxy.host}/lab/mine-js:1", digest],
                            capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0 and answer.stdout == "well\n", answer.stderr
