"""/v1/completions and /v1/models by OpenAI's client."""
import json
import time

import openai
import pytest
from javascript import run_javascript

SETTINGS = {"model": "smol", "prompt": "Tell me the capital of France.", "max_tokens": 10, "temperature": 0}


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)


def test_whole_streamed_and_native_agree(server, client):
    whole = client.completions.create(**SETTINGS)
    _, _, text = server.request("POST", "/api/generate", {
        "model": "smol", "prompt": SETTINGS["prompt"], "stream": False,
        "options": {"temperature": 0, "num_predict": 10, "top_p": 1}})
    native = json.loads(text)
    assert whole.choices[0].text == native["response"]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (
        native["prompt_eval_count"], native["eval_count"])
    assert whole.object == "text_completion" and whole.choices[0].finish_reason == native["done_reason"]
    *chunks, usage = client.completions.create(**SETTINGS, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == native["response"]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [native["done_reason"]]
    assert usage.choices == [] and usage.usage.total_tokens == whole.usage.total_tokens


def test_echo_count_and_logprobs(client):
    echoed = client.completions.create(**SETTINGS, echo=True, n=2)
    plain = client.completions.create(**SETTINGS, logprobs=2).choices[0]
    assert [choice.text for choice in echoed.choices] == [SETTINGS["prompt"] + plain.text] * 2
    assert [choice.index for choice in echoed.choices] == [0, 1]
    streamed = ["", ""]
    for chunk in client.completions.create(**SETTINGS, echo=True, n=2, stream=True):
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == [choice.text for choice in echoed.choices]
    scores = plain.logprobs
    assert "".join(scores.tokens) == plain.text
    for token, offset, score, top in zip(scores.tokens, scores.text_offset, scores.token_logprobs, scores.top_logprobs):
        assert plain.text[offset:].startswith(token)
        assert len(top) == 2 and top[token] == score <= 0
    offsets = [offset for chunk in client.completions.create(**SETTINGS, logprobs=2, stream=True)
               if chunk.choices[0].logprobs for offset in chunk.choices[0].logprobs.text_offset]
    assert offsets == scores.text_offset


def test_an_empty_prompt_loads(client):
    answer = client.completions.create(model="smol", prompt="")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("", "load")


def test_refusals(client):
    for settings, text in [
            ({"prompt": ["a", "b"]}, "prompt must be one text"), ({"prompt": [1, 2]}, "prompt must be one text"),
            ({"prompt": 5}, "cannot unmarshal number"), ({"suffix": "x"}, "does not support insert"),
            ({"best_of": 3}, "best_of"), ({"logprobs": 21}, "logprobs must be"), ({"model": ""}, "model is required"),
            ({"echo": True, "logprobs": 1}, "echo with logprobs"), ({"stop": 1}, "stop"),
            ({"logit_bias": {"x": 2}}, "logit_bias"), ({"n": 1000}, "n is 1000")]:
        with pytest.raises(openai.BadRequestError) as error:
            client.completions.create(**{**SETTINGS, **settings})
        assert text in error.value.message, settings
    with pytest.raises(openai.NotFoundError):
        client.completions.create(**{**SETTINGS, "model": "none"})


def test_models(server, client):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("smol:latest", "model", "library")
    assert abs(model.created - time.time()) < 3600
    assert client.models.retrieve("smol").id == "smol"
    server.request("POST", "/api/copy", {"source": "smol", "destination": "ann/twin:v1"})
    try:
        twin = client.models.retrieve("ann/twin:v1")  # a "/" that the client sends as %2F
        assert (twin.id, twin.owned_by) == ("ann/twin:v1", "ann")
        assert json.loads(server.request("GET", "/v1/models/ann/twin:v1")[2])["id"] == "ann/twin:v1"
    finally:
        server.request("DELETE", "/api/delete", {"model": "ann/twin:v1"})
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("none")
    assert error.value.body["message"] == "model 'none:latest' not found"
    for bad in ("..%2f..%2fetc", "%00", "a b", "x" * 500):
        status, _, text = server.request("GET", "/v1/models/" + bad.replace(" ", "%20"))
        assert status == 400 and json.loads(text)["error"]["message"] == "invalid model name"


def test_javascript(server):
    said = run_javascript("openai_text.mjs", """
import OpenAI from 'openai'
const client = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'ignored', maxRetries: 0 })
const settings = { model: 'smol', prompt: 'Tell me the capital of France.', max_tokens: 10, temperature: 0 }
const whole = await client.completions.create(settings)
let text = ''
for await (const chunk of await client.completions.create({ ...settings, stream: true })) text += chunk.choices[0].text
if (text !== whole.choices[0].text) throw new Error('differ: ' + text)
for await (const model of client.models.list()) console.log(model.id)
""", server.url)
    assert said == "smol:latest\n"
