"""Several answers to one request, and logit_bias, by OpenAI's client."""
import json

import openai
import pytest
from server_models import NO_END, upload
from cria_server import Server

QUESTION = [{"role": "user", "content": "Name a colour, an animal and a city."}]
SETTINGS = {"model": "smol", "messages": QUESTION, "max_tokens": 24, "temperature": 1.2, "seed": 7}


# Of its own: four requests of a model at a time.
@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("choices"), OLLAMA_NUM_PARALLEL="4")
    digest = upload(server)
    assert server.request("POST", "/api/create", {"model": "smol", "files": {"m.gguf": digest}, "stream": False})[0] == 200
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)


def alone(client, i, **more):
    return client.chat.completions.create(**{**SETTINGS, "seed": 7 + i, **more}).choices[0]


def test_answers_beside_each_other_are_those_of_their_seeds(client):
    wanted = [alone(client, i).message.content for i in range(6)]
    assert len(set(wanted)) > 3
    whole = client.chat.completions.create(**SETTINGS, n=6)
    assert [choice.index for choice in whole.choices] == list(range(6))
    assert [choice.message.content for choice in whole.choices] == wanted
    text, order, finished = [""] * 6, [], []
    for chunk in client.chat.completions.create(**SETTINGS, n=6, stream=True):
        choice, = chunk.choices
        order.append(choice.index)
        text[choice.index] += choice.delta.content or ""
        if choice.finish_reason:
            finished.append(choice.index)
    assert text == wanted and sorted(finished) == list(range(6))
    assert any(a > b for a, b in zip(order, order[1:])), "they came one after the other"
    usage = whole.usage
    assert usage.completion_tokens == sum(
        client.chat.completions.create(**{**SETTINGS, "seed": 7 + i}).usage.completion_tokens for i in range(6))


def test_text_completions_too(client):
    settings = {"model": "smol", "prompt": "Once upon a time", "max_tokens": 16, "temperature": 1.2, "seed": 3, "logprobs": 1}
    wanted = [client.completions.create(**{**settings, "seed": 3 + i}).choices[0] for i in range(3)]
    whole = client.completions.create(**settings, n=3)
    assert [c.text for c in whole.choices] == [c.text for c in wanted]
    assert [c.logprobs.text_offset for c in whole.choices] == [c.logprobs.text_offset for c in wanted]
    text = [""] * 3
    for chunk in client.completions.create(**settings, n=3, stream=True):
        text[chunk.choices[0].index] += chunk.choices[0].text
    assert text == [c.text for c in wanted]


def test_the_prompt_is_computed_once(server, client):
    long = [{"role": "user", "content": "A word, and another one. " * 150 + "Go on."}]
    whole = client.chat.completions.create(**{**SETTINGS, "messages": long, "max_tokens": 2}, n=8)
    assert len(whole.choices) == 8
    assert whole.usage.prompt_tokens > 900
    assert whole.usage.prompt_tokens_details.cached_tokens < 64  # the first found nothing
    again = client.chat.completions.create(**{**SETTINGS, "messages": long, "max_tokens": 2})
    assert again.usage.prompt_tokens_details.cached_tokens > 800


def test_a_client_that_leaves_stops_all_of_them(server, client):
    stream = client.chat.completions.create(**{**SETTINGS, "max_tokens": 100_000}, n=16, stream=True,
                                            extra_body={"options": NO_END})
    next(iter(stream))
    stream.close()
    assert server.comes_to_rest()


def token(server, text):
    _, _, body = server.request("POST", "/api/tokenize", {"model": "smol", "content": text})
    one, = json.loads(body)["tokens"]
    return str(one)


def test_logit_bias(server, client):
    settings = {"model": "smol", "messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0,
                "max_tokens": 12}
    plain = client.chat.completions.create(**settings).choices[0].message.content
    assert "Paris" in plain
    without = client.chat.completions.create(**settings, logit_bias={token(server, " Paris"): -100})
    assert " Paris" not in without.choices[0].message.content
    forced = client.chat.completions.create(**settings, logit_bias={token(server, " no"): 100})
    assert forced.choices[0].message.content == " no" * 12
    # The same through the options, and with the sampler that looks at few logits or at all.
    for options in ({}, {"temperature": 0.9, "top_k": 1}, {"top_k": 0}, {"repeat_penalty": 1.1}):
        body = {"model": "smol", "messages": settings["messages"], "stream": False,
                "options": {"temperature": 0, "num_predict": 3, "logit_bias": {token(server, " no"): 100}, **options}}
        _, _, text = server.request("POST", "/api/chat", body)
        assert json.loads(text)["message"]["content"] == " no" * 3, options
    neutral = client.chat.completions.create(**settings, logit_bias={token(server, " Paris"): 0})
    assert neutral.choices[0].message.content == plain


@pytest.mark.parametrize("bias, wanted", [
    ({"49152": 1}, "logit_bias names token 49152, but this model has tokens 0 to 49151"),
    ({"x": 1}, 'logit_bias: "x" is no token id'), ({"5": 101}, "that of token 5 is 101"), ([1], "must be an object"),
    ({"5": None}, "that of token 5 is null"), ({"-1": 1}, "no token id"), ({str(i): 1 for i in range(70000)}, "at most 65536")])
def test_bad_logit_bias(server, bias, wanted):
    body = {"model": "smol", "messages": QUESTION, "max_tokens": 1}
    status, error = server.error("POST", "/v1/chat/completions", {**body, "logit_bias": bias})
    assert status == 400 and wanted in error["message"], error
    status, message = server.error("POST", "/api/chat", {"model": "smol", "messages": QUESTION, "options": {"logit_bias": bias}})
    assert status == 400 and wanted in message, message
