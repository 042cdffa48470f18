"""/v1/chat/completions by OpenAI's clients, as their users use them."""
import http.client
import json
import os
import signal
import time

import openai
import pytest
from javascript import run_javascript
from server_models import NO_END, server_with_model, upload_qwen
from test_answers import THINKING, TOOLS, WEATHER

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("openai"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)


@pytest.fixture(scope="module")
def qwen(server):
    digest = upload_qwen(server)
    status, _, _ = server.request("POST", "/api/create", {"model": "qwen", "files": {"m.gguf": digest},
                                                          "template": TOOLS, "stream": False})
    assert status == 200
    return "qwen"


def test_whole_and_streamed_agree(client):
    settings = {"model": "smol", "messages": QUESTION, "max_tokens": 24, "temperature": 0}
    whole = client.chat.completions.create(**settings)
    choice = whole.choices[0]
    assert "Paris" in choice.message.content and choice.message.role == "assistant"
    assert whole.object == "chat.completion" and whole.model == "smol"
    assert abs(whole.created - time.time()) < 60
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    *parts, finish, usage = chunks
    assert {c.id for c in chunks} == {chunks[0].id} and chunks[0].id != whole.id
    assert {c.created for c in chunks} == {chunks[0].created}
    assert "".join(c.choices[0].delta.content for c in parts) == choice.message.content
    assert [c.choices[0].delta.role for c in parts] == ["assistant"] + [None] * (len(parts) - 1)
    assert all(c.choices[0].finish_reason is None and c.usage is None for c in parts)
    assert finish.choices[0].finish_reason == choice.finish_reason
    assert finish.choices[0].delta.content is None
    assert usage.choices == [] and usage.usage.completion_tokens == whole.usage.completion_tokens
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.usage.prompt_tokens == usage.usage.prompt_tokens > 10


def test_the_prompt_is_the_native_one(server, client):
    """Counts and answers of the native API are the oracle, whatever the dialect's form."""
    native = {"model": "smol", "stream": False, "options": {"temperature": 0, "num_predict": 6, "top_p": 1},
              "messages": [{"role": "system", "content": "Be brief.\n\nBe kind."}, *QUESTION]}
    _, _, text = server.request("POST", "/api/chat", native)
    expected = json.loads(text)
    answer = client.chat.completions.create(
        model="smol", temperature=0, max_completion_tokens=6,
        messages=[{"role": "system", "content": [{"type": "text", "text": "Be brief."},
                                                 {"type": "text", "text": "Be kind."}]}, *QUESTION])
    assert answer.choices[0].message.content == expected["message"]["content"]
    assert answer.usage.prompt_tokens == expected["prompt_eval_count"]
    assert answer.usage.completion_tokens == expected["eval_count"] == 6
    assert answer.choices[0].finish_reason == "length"


def test_options_reach_the_engine(client):
    create = client.chat.completions.create
    counting = [{"role": "user", "content": "Count from one to ten in words."}]
    one = create(model="smol", messages=counting, temperature=0, max_tokens=60)
    word = one.choices[0].message.content.split()[3]
    stopped = create(model="smol", messages=counting, temperature=0, max_tokens=60, stop=word)
    assert stopped.choices[0].message.content == one.choices[0].message.content.split(word)[0]
    assert stopped.choices[0].finish_reason == "stop"
    same = [create(model="smol", messages=counting, seed=7, max_tokens=12).choices[0].message.content for _ in "ab"]
    assert same[0] == same[1]
    other = create(model="smol", messages=counting, seed=8, max_tokens=12)
    assert other.choices[0].message.content != same[0]
    long = [{"role": "user", "content": "word " * 600}]
    small = create(model="smol", messages=long, max_tokens=2, extra_body={"options": {"num_ctx": 256}})
    assert small.usage.prompt_tokens < 256
    above = create(model="smol", messages=long, max_tokens=2, extra_body={"num_ctx": 256})
    assert above.usage.prompt_tokens == small.usage.prompt_tokens
    assert create(model="smol", messages=long, max_tokens=2).usage.prompt_tokens > 600


def test_several_answers(client):
    settings = {"model": "smol", "messages": QUESTION, "max_tokens": 8, "seed": 3, "n": 3, "temperature": 2}
    whole = client.chat.completions.create(**settings)
    texts = [choice.message.content for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) == 3 and whole.usage.completion_tokens == 24
    streamed = ["", "", ""]
    roles = 0
    for chunk in client.chat.completions.create(**settings, stream=True):
        delta = chunk.choices[0].delta
        streamed[chunk.choices[0].index] += delta.content or ""
        roles += delta.role == "assistant"
    assert streamed == texts and roles == 3
    alone = client.chat.completions.create(**{**settings, "n": 1, "seed": 4})
    assert alone.choices[0].message.content == texts[1]


def test_logprobs(client):
    settings = {"model": "smol", "messages": QUESTION, "max_tokens": 5, "temperature": 0, "logprobs": True,
                "top_logprobs": 3}
    whole = client.chat.completions.create(**settings).choices[0]
    tokens = whole.logprobs.content
    assert "".join(token.token for token in tokens) == whole.message.content
    for token in tokens:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token and bytes(token.bytes).decode() == token.token
    streamed = [token for chunk in client.chat.completions.create(**settings, stream=True)
                if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert [(t.token, t.logprob) for t in streamed] == [(t.token, t.logprob) for t in tokens]
    plain = client.chat.completions.create(**{**settings, "top_logprobs": 0}).choices[0]
    assert [t.top_logprobs for t in plain.logprobs.content] == [[]] * 5


def test_reasoning(server, client):
    status, _, _ = server.request("POST", "/api/create", {"model": "thinker", "from": "smol", "template": THINKING,
                                                          "stream": False})
    assert status == 200
    settings = {"model": "thinker", "messages": QUESTION, "max_tokens": 16, "temperature": 0}
    message = client.chat.completions.create(**settings, reasoning_effort="high").choices[0].message
    assert message.reasoning and message.content == ""
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**settings, stream=True)]
    assert "".join(getattr(d, "reasoning", None) or "" for d in deltas) == message.reasoning
    quick = client.chat.completions.create(**settings, reasoning_effort="none").choices[0].message
    assert quick.content and not hasattr(quick, "reasoning")
    with pytest.raises(openai.BadRequestError, match="does not support thinking"):
        client.chat.completions.create(model="smol", messages=QUESTION, reasoning_effort="low")


def test_tools(client, qwen):
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    settings = {"model": qwen, "tools": [WEATHER], "temperature": 0, "max_tokens": 80}
    choice = client.chat.completions.create(**settings, messages=messages).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
        "function", "get_weather", {"city": "Paris"})
    chunks = list(client.chat.completions.create(**settings, messages=messages, stream=True))
    pieces = [one for chunk in chunks for one in chunk.choices[0].delta.tool_calls or []]
    assert {one.index for one in pieces} == {0} and pieces[0].function.name == "get_weather"
    assert "".join(one.function.arguments for one in pieces) == call.function.arguments
    assert pieces[0].id.startswith("call_") and chunks[-1].choices[0].finish_reason == "tool_calls"
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "14 degrees and rain"}]
    answer = client.chat.completions.create(model=qwen, messages=messages, temperature=0, max_tokens=60).choices[0]
    assert "14" in answer.message.content and answer.finish_reason == "stop"
    without = client.chat.completions.create(**settings, messages=messages[:1], tool_choice="none").choices[0]
    assert not without.message.tool_calls and without.finish_reason != "tool_calls"


def test_tool_choice_forces_a_call(client, qwen):
    """By the output's format: a call comes even where the question asks for none."""
    settings = {"model": qwen, "tools": [WEATHER], "temperature": 0, "max_tokens": 80,
                "messages": [{"role": "user", "content": "Say hello."}]}
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        try:
            answer = client.chat.completions.create(**settings, tool_choice=choice).choices[0]
        except openai.BadRequestError as error:
            assert "\"format\" is not supported in this build" in error.message
            pytest.skip("this build's engine does not constrain its output")
        (call,) = answer.message.tool_calls
        assert call.function.name == "get_weather" and "city" in json.loads(call.function.arguments)
        assert answer.finish_reason == "tool_calls" and answer.message.content == ""


@pytest.mark.parametrize("form", [
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "capital", "strict": True, "schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": False}}}])
def test_response_format(client, form):
    try:
        answer = client.chat.completions.create(model="smol", messages=QUESTION, max_tokens=200, temperature=0,
                                                response_format=form).choices[0]
    except openai.BadRequestError as error:
        assert "\"format\" is not supported in this build" in error.message
        pytest.skip("this build's engine does not constrain its output")
    if answer.finish_reason == "stop":
        value = json.loads(answer.message.content)
        assert isinstance(value, dict) and (form["type"] == "json_object" or list(value) == ["city"])
    else:
        assert answer.message.content.lstrip().startswith("{")


def test_only_the_allowed_tools_are_offered(client, qwen):
    mail = {"type": "function", "function": {"name": "send_mail", "parameters": {
        "type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}}
    settings = {"model": qwen, "tools": [WEATHER, mail], "temperature": 0, "max_tokens": 80,
                "messages": [{"role": "user", "content": "Say hello."}]}

    def allowed(mode, *names):
        return {"type": "allowed_tools", "allowed_tools": {
            "mode": mode, "tools": [{"type": "function", "function": {"name": name}} for name in names]}}
    both = client.chat.completions.create(**settings)
    one = client.chat.completions.create(**settings, tool_choice=allowed("auto", "send_mail"))
    alone = client.chat.completions.create(**{**settings, "tools": [mail]})
    assert one.usage.prompt_tokens == alone.usage.prompt_tokens < both.usage.prompt_tokens
    (call,) = client.chat.completions.create(
        **settings, tool_choice=allowed("required", "send_mail")).choices[0].message.tool_calls
    assert call.function.name == "send_mail"
    with pytest.raises(openai.BadRequestError, match="none of the tools"):
        client.chat.completions.create(**settings, tool_choice=allowed("auto", "x"))


def test_errors_have_their_kinds(client):
    create = client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as error:
        create(model="none", messages=QUESTION)
    assert error.value.body == {"message": "model 'none' not found", "type": "not_found_error", "param": None,
                                "code": None}
    for settings, text in [
            ({"messages": []}, "[] is too short - 'messages'"),
            ({"model": ""}, "model is required"),
            ({"tools": [WEATHER]}, "does not support tools"),
            ({"tool_choice": "required"}, "there are no tools"),
            ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "none of the tools"),
            ({"logit_bias": {"x": 1}}, "\"x\" is no token id"),
            ({"n": 0}, "n is 0"), ({"n": 129}, "n is 129"),
            ({"top_logprobs": 3}, "needs logprobs"),
            ({"max_tokens": -5}, "max_tokens is -5"),
            ({"temperature": 1e300}, "temperature"),
            ({"reasoning_effort": "huge"}, "invalid reasoning value"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "has no schema"),
            ({"messages": [{"role": "user", "content": None}]}, "invalid message content type"),
            ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "invalid message format"),
            ({"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]}, "base64"),
            ({"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]},
             "does not support vision"),
            ({"messages": [{"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}]}]},
             "invalid tool call arguments")]:
        with pytest.raises(openai.BadRequestError) as error:
            create(**{"model": "smol", "messages": QUESTION, "max_tokens": 2, **settings})
        assert text in error.value.message, settings
        assert error.value.type == "invalid_request_error"


FIELDS = ["model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature",
          "top_p", "seed", "frequency_penalty", "presence_penalty", "stop", "n", "logit_bias", "logprobs",
          "top_logprobs", "response_format", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort",
          "reasoning", "options", "keep_alive"]


def test_wrong_types_in_every_field(server):
    """Strange values are answered, in OpenAI's shape, and harm nobody."""
    for field in FIELDS:
        refused = 0
        for value in ({"a": {"b": 1}}, [[1]], "\u0000\ud800", -1.5, 2**70, True):
            body = {"model": "smol", "messages": QUESTION, "max_tokens": 1, field: value}
            status, _, text = server.request("POST", "/v1/chat/completions", body)
            assert status in (200, 400, 404), (field, value, text)
            if status != 200:
                refused += 1
                error = json.loads(text)["error"]
                assert set(error) == {"message", "type", "param", "code"} and error["message"], (field, value)
        assert refused >= 2, field
    for body in (b"", b"{", b"nonsense", b"[]", b"5", b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"):
        status, _, text = server.request("POST", "/v1/chat/completions", body)
        assert status == 400 and json.loads(text)["error"]["type"] == "invalid_request_error", body[:20]
    status, _, text = server.request("POST", "/v1/chat/completions", b'{"model":"' + b"x" * 3_000_000 + b'"}')
    assert status == 400 and len(text) < 10_000


def test_a_client_that_goes_away_stops_the_work(server, client):
    stream = client.chat.completions.create(model="smol", messages=QUESTION, stream=True, max_tokens=100_000,
                                            temperature=1.5, extra_body={"options": NO_END}, n=4)
    next(iter(stream))
    stream.close()
    assert server.comes_to_rest()


def test_a_runner_that_dies_ends_the_stream_with_an_error(server, client):
    stream = client.chat.completions.create(model="smol", messages=QUESTION, stream=True, max_tokens=100_000,
                                            temperature=1.5, extra_body={"options": NO_END})
    next(iter(stream))
    for runner in server.children("runner"):
        os.kill(runner, signal.SIGKILL)
    with pytest.raises(openai.APIError, match="model runner has unexpectedly stopped"):
        for _ in stream:
            pass
    assert client.chat.completions.create(model="smol", messages=QUESTION, max_tokens=1).choices


def test_the_stream_on_the_wire(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(
        {"model": "smol", "messages": QUESTION, "stream": True, "max_tokens": 2}))
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    events = answer.read().decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-2])


def test_javascript(server):
    said = run_javascript("openai_chat.mjs", """
import OpenAI from 'openai'
const client = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'ignored', maxRetries: 0 })
const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const settings = { model: 'smol', messages, max_tokens: 24, temperature: 0 }
const whole = await client.chat.completions.create(settings)
let text = ''
const stream = await client.chat.completions.create({ ...settings, stream: true, stream_options: { include_usage: true } })
let usage
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? ''
  usage = chunk.usage
}
if (text !== whole.choices[0].message.content) throw new Error('differ: ' + text)
if (usage.total_tokens !== whole.usage.total_tokens) throw new Error('usage differs')
try {
  await client.chat.completions.create({ ...settings, model: 'none' })
  throw new Error('no error')
} catch (error) {
  if (!(error instanceof OpenAI.NotFoundError)) throw error
}
console.log(text)
""", server.url)
    assert "Paris" in said
