"""The official clients, as their users use them."""
import ollama
import pytest
from javascript import run_javascript


@pytest.fixture
def client(server):
    return ollama.Client(server.url)


def test_list_show_ps(client):
    model = client.list().models[0]
    assert model.model == "smol:latest"
    assert model.details.family == "llama"
    assert model.details.parameter_size == "134.52M"
    assert model.details.quantization_level == "Q4_1"
    shown = client.show("smol")
    assert shown.license == "Apache-2.0"
    assert "completion" in shown.capabilities
    assert shown.modelinfo["general.architecture"] == "llama"
    client.generate("smol", "", keep_alive="10m")
    running = client.ps().models[0]
    assert running.model == "smol:latest"
    assert running.context_length == 8192  # all that it was trained on
    assert running.size > 98_000_000


def test_generate_whole_and_streamed_agree(client):
    options = {"num_predict": 12, "temperature": 0}
    whole = client.generate("smol", "The capital of France is", raw=True, options=options)
    assert whole.response.strip().startswith("Paris")
    assert whole.done_reason == "length"
    assert whole.eval_count == 12
    assert whole.total_duration > 0 and whole.prompt_eval_count > 0
    parts = list(client.generate("smol", "The capital of France is", raw=True, options=options, stream=True))
    assert "".join(part.response for part in parts) == whole.response
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_chat_whole_and_streamed_agree(client):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    options = {"num_predict": 24, "temperature": 0}
    whole = client.chat("smol", messages, options=options)
    assert "Paris" in whole.message.content
    parts = list(client.chat("smol", messages, options=options, stream=True))
    assert "".join(part.message.content for part in parts) == whole.message.content


def test_create_from_another_copy_delete(client):
    statuses = [step.status for step in
                client.create("child", from_="smol", system="Be brief.", parameters={"num_ctx": 1024},
                              messages=[{"role": "user", "content": "hi"}], stream=True)]
    assert statuses[-2:] == ["writing manifest", "success"]
    shown = client.show("child")
    assert "num_ctx" in shown.parameters and "temperature" in shown.parameters
    client.copy("child", "twin")
    assert {"child:latest", "twin:latest", "smol:latest"} <= {m.model for m in client.list().models}
    client.delete("child")
    client.delete("twin")
    assert [m.model for m in client.list().models] == ["smol:latest"]
    with pytest.raises(ollama.ResponseError) as error:
        client.chat("child", [{"role": "user", "content": "hi"}])
    assert error.value.status_code == 404
    assert error.value.error == "model 'child' not found"


def test_javascript_client(server):
    said = run_javascript("client.mjs", """
import { Ollama } from 'ollama'
const client = new Ollama({ host: process.argv[2] })
const list = await client.list()
if (!list.models.some(m => m.name === 'smol:latest')) throw new Error('not listed')
let text = ''
const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const options = { num_predict: 24, temperature: 0 }
for await (const part of await client.chat({ model: 'smol', messages, options, stream: true })) text += part.message.content
const whole = await client.chat({ model: 'smol', messages, options })
if (whole.message.content !== text) throw new Error('differ: ' + text)
const shown = await client.show({ model: 'smol' })
if (shown.model_info['general.architecture'] !== 'llama') throw new Error('not shown')
const prompt = { model: 'smol', prompt: 'The capital of France is', raw: true, options }
const generated = await client.generate(prompt)
let streamed = ''
for await (const part of await client.generate({ ...prompt, stream: true })) streamed += part.response
if (generated.response !== streamed || !streamed.includes('Paris')) throw new Error('differ: ' + streamed)
if (generated.eval_count !== 24) throw new Error('counted ' + generated.eval_count)
console.log(text)
""", server.url)
    assert "Paris" in said
