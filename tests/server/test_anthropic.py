"""/v1/messages and its counting of tokens by Anthropic's clients, as their users use them."""
import http.client
import json
import os
import signal
import time

import anthropic
import pytest
from javascript import run_javascript
from server_models import NO_END, server_with_model, upload_qwen
from test_answers import THINKING, TOOLS, WEATHER

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
COLD = {"temperature": 0}  # a field that the newest client does not know any more
SETTINGS = {"model": "smol", "messages": QUESTION, "max_tokens": 24, "extra_body": COLD}
FUNCTION = WEATHER["function"]
TOOL = {"name": FUNCTION["name"], "description": FUNCTION["description"], "input_schema": FUNCTION["parameters"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("anthropic"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return anthropic.Anthropic(base_url=server.url, api_key="ignored", max_retries=0)


@pytest.fixture(scope="module")
def qwen(server):
    body = {"model": "qwen", "files": {"m.gguf": upload_qwen(server)}, "template": TOOLS, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200
    return "qwen"


def native(server, messages, **rest):
    body = {"model": "smol", "messages": messages, "stream": False, **rest,
            "options": {"temperature": 0, "num_predict": 24}}
    return json.loads(server.request("POST", "/api/chat", body)[2])


def test_whole_streamed_and_native_agree(server, client):
    expected = native(server, QUESTION)
    whole = client.messages.create(**SETTINGS)
    assert [block.type for block in whole.content] == ["text"]
    assert whole.content[0].text == expected["message"]["content"]
    assert (whole.role, whole.type, whole.model) == ("assistant", "message", "smol")
    assert whole.stop_reason == ("max_tokens" if expected["done_reason"] == "length" else "end_turn")
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (
        expected["prompt_eval_count"], expected["eval_count"])
    with client.messages.stream(**SETTINGS) as stream:
        events = list(stream)
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    start = next(event for event in events if event.type == "message_start")
    assert start.message.usage.input_tokens == final.usage.input_tokens == expected["prompt_eval_count"]
    assert final.id == start.message.id != whole.id


def test_system_blocks_and_parts(server, client):
    expected = native(server, [{"role": "system", "content": "Be brief. Be kind."}, *QUESTION])
    answer = client.messages.create(**{
        **SETTINGS, "system": [{"type": "text", "text": "Be brief. ", "cache_control": {"type": "ephemeral"}},
                               {"type": "text", "text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the capital"},
                                                  {"type": "text", "text": " of France?"}]}]})
    assert answer.content[0].text == expected["message"]["content"]
    assert answer.usage.input_tokens == expected["prompt_eval_count"]
    same = client.messages.create(**SETTINGS, system="Be brief. Be kind.")
    assert same.content[0].text == answer.content[0].text


def test_stop_reasons(server, client):
    counting = {**SETTINGS, "max_tokens": 60, "messages": [{"role": "user", "content": "Count from one to ten in words."}]}
    whole = client.messages.create(**counting)
    word = whole.content[0].text.split()[3]
    stopped = client.messages.create(**counting, stop_sequences=["never said", word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
    assert stopped.content[0].text == whole.content[0].text.split(word)[0]
    with client.messages.stream(**counting, stop_sequences=[word]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", word)
    cut = client.messages.create(**{**SETTINGS, "max_tokens": 2})
    assert (cut.stop_reason, cut.stop_sequence, cut.usage.output_tokens) == ("max_tokens", None, 2)
    # A stop string of the model itself is the end of its turn.
    body = {"model": "halting", "from": "smol", "parameters": {"stop": [word]}, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200
    assert client.messages.create(**{**counting, "model": "halting"}).stop_reason == "end_turn"


def test_thinking(server, client):
    body = {"model": "thinker", "from": "smol", "template": THINKING, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200
    settings = {**SETTINGS, "model": "thinker", "thinking": {"type": "enabled", "budget_tokens": 1024}}
    (block,) = client.messages.create(**settings).content
    assert block.type == "thinking" and block.thinking and block.signature == ""
    with client.messages.stream(**settings) as stream:
        deltas = "".join(event.thinking for event in stream if event.type == "thinking")
        assert stream.get_final_message().content[0].thinking == block.thinking == deltas
    (text,) = client.messages.create(**{**settings, "thinking": {"type": "disabled"}}).content
    assert text.type == "text"
    # Given back it is part of the prompt.
    turns = [*QUESTION, {"role": "assistant", "content": [block, {"type": "text", "text": "Paris"}]}, *QUESTION]
    without = [*QUESTION, {"role": "assistant", "content": "Paris"}, *QUESTION]
    count = client.messages.count_tokens
    assert (count(model="thinker", messages=turns).input_tokens
            > count(model="thinker", messages=without).input_tokens + 5)
    # A model that cannot think is asked without.
    (plain,) = client.messages.create(**{**settings, "model": "smol"}).content
    assert plain.type == "text"


def test_tools(client, qwen):
    settings = {"model": qwen, "tools": [TOOL], "extra_body": COLD, "max_tokens": 80}
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.messages.create(**settings, messages=messages)
    call = answer.content[-1]
    assert (call.type, call.name, call.input, answer.stop_reason) == (
        "tool_use", "get_weather", {"city": "Paris"}, "tool_use")
    with client.messages.stream(**settings, messages=messages) as stream:
        final = stream.get_final_message()
    assert (final.content[-1].name, final.content[-1].input, final.stop_reason) == (call.name, call.input, "tool_use")
    messages += [{"role": "assistant", "content": answer.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                               "content": [{"type": "text", "text": "14 degrees and rain"}]}]}]
    reply = client.messages.create(model=qwen, messages=messages, extra_body=COLD, max_tokens=60)
    assert "14" in reply.content[0].text and reply.stop_reason == "end_turn"
    none = client.messages.create(**settings, messages=messages[:1], tool_choice={"type": "none"})
    assert none.stop_reason != "tool_use"


def test_tool_choice_forces_a_call(client, qwen):
    try:
        answer = client.messages.create(model=qwen, tools=[TOOL], tool_choice={"type": "any"}, extra_body=COLD,
                                        max_tokens=80, messages=[{"role": "user", "content": "Say hello."}])
    except anthropic.BadRequestError as error:
        assert "\"format\" is not supported in this build" in str(error)
        pytest.skip("this build's engine does not constrain its output")
    (call,) = answer.content
    assert (call.type, call.name, answer.stop_reason) == ("tool_use", "get_weather", "tool_use")
    assert "city" in call.input


def test_counting_is_what_the_prompt_has(server, client, qwen):
    def count(**request):
        return client.messages.count_tokens(**request).input_tokens

    for request in ({"model": "smol", "messages": QUESTION}, {"model": "smol", "messages": QUESTION, "system": "Hm."},
                    {"model": qwen, "messages": QUESTION, "tools": [TOOL]},
                    {"model": "smol", "messages": [{"role": "user", "content": "\u00e4\u4f60\U0001f600 <|im_end|>"}]}):
        assert count(**request) == client.messages.create(**request, max_tokens=1).usage.input_tokens
    # Longer than the context, which the answer's prompt could not be.
    long = [{"role": "user", "content": "word " * 10_000}]
    assert 10_000 < count(model="smol", messages=long) < 10_200
    with pytest.raises(anthropic.BadRequestError, match="messages is required"):
        count(model="smol", messages=[])
    with pytest.raises(anthropic.NotFoundError):
        count(model="none", messages=QUESTION)


def test_errors_have_their_kinds(client):
    with pytest.raises(anthropic.NotFoundError) as error:
        client.messages.create(**{**SETTINGS, "model": "none"})
    assert error.value.body["type"] == "error"
    assert error.value.body["error"] == {"type": "not_found_error", "message": "model 'none' not found"}
    assert error.value.body["request_id"].startswith("req_") and len(error.value.body["request_id"]) == 28
    turn = lambda block: {"messages": [{"role": "user", "content": [block]}]}  # noqa: E731
    for settings, text in [
            ({"messages": []}, "messages is required"), ({"model": ""}, "model is required"),
            ({"max_tokens": 0}, "max_tokens is required"), ({"tools": [TOOL]}, "does not support tools"),
            ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
            ({"tools": [{"name": "", "input_schema": {}}]}, "has no name"),
            ({"tool_choice": {"type": "any"}}, "there are no tools"),
            ({"tool_choice": {"type": "must"}}, "tool_choice.type"),
            ({"output_config": {"effort": "huge"}}, "invalid reasoning value"),
            ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
            ({"system": 5}, "system must be"), ({"system": [{"type": "image"}]}, "system"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "role is"),
            (turn({"type": "image", "source": {"type": "url", "url": "http://x"}}), "Only base64 images"),
            (turn({"type": "image"}), "invalid image source"),
            (turn({"type": "image", "source": {"type": "base64", "data": "%"}}), "invalid base64 image data"),
            (turn({"type": "image", "source": {"type": "base64", "data": "AAAA"}}), "does not support vision"),
            (turn({"type": "tool_use", "name": "x"}), "missing required 'id'"),
            (turn({"type": "tool_use", "id": "x"}), "missing required 'name'"),
            ({"extra_body": {"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}}, "mcp_servers is not"),
            ({"extra_body": {"container": "one"}}, "container is not"),
            (turn({"type": "document"}), "content blocks of type \"document\"")]:
        with pytest.raises(anthropic.BadRequestError) as error:
            client.messages.create(**{**SETTINGS, **settings})
        assert text in error.value.body["error"]["message"], settings
        assert error.value.body["error"]["type"] == "invalid_request_error"


QUIET = {"model": "smol", "messages": QUESTION, "max_tokens": 1}
FIELDS = ["model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences",
          "tools", "tool_choice", "thinking", "output_config", "options", "keep_alive"]


def test_models(server, client):
    page = client.models.list()
    (listed,) = [model for model in page if model.id == "smol:latest"]
    assert (listed.type, listed.display_name) == ("model", "smol:latest")
    assert abs(listed.created_at.timestamp() - time.time()) < 3600
    assert (page.has_more, page.first_id, page.last_id) == (False, page.data[0].id, page.data[-1].id)
    assert client.models.retrieve("smol").model_dump() == {**listed.model_dump(), "id": "smol", "display_name": "smol"}
    with pytest.raises(anthropic.NotFoundError) as error:
        client.models.retrieve("none")
    assert error.value.body["error"] == {"type": "not_found_error", "message": "model 'none:latest' not found"}
    assert error.value.request_id == error.value.body["request_id"]


def test_pages_of_models(tmp_path):
    server = server_with_model(tmp_path)
    client = anthropic.Anthropic(base_url=server.url, api_key="ignored", max_retries=0)
    for i in range(22):
        assert server.request("POST", "/api/copy", {"source": "smol", "destination": f"user/copy-{i}:a"})[0] == 200
    ids = [model.id for model in client.models.list(limit=1000)]
    assert len(ids) == len(set(ids)) == 23
    for limit in (1, 2, 22, 23, 24):
        pages = [[model.id for model in page.data] for page in client.models.list(limit=limit).iter_pages()]
        assert sum(pages, []) == ids
        assert [len(page) for page in pages] == [limit] * (23 // limit) + [23 % limit] * (23 % limit > 0)
        back = client.models.list(limit=limit, before_id=ids[-1]).iter_pages()
        assert sum(([model.id for model in page.data] for page in reversed(list(back))), []) == ids[:-1]

    page = client.models.list()
    assert ([model.id for model in page.data], page.has_more, page.first_id, page.last_id) == (ids[:20], True, ids[0], ids[19])
    page = client.models.list(after_id=ids[20])
    assert ([model.id for model in page.data], page.has_more, page.first_id, page.last_id) == (ids[21:], False, ids[21], ids[22])
    page = client.models.list(before_id=ids[5], limit=4)
    assert ([model.id for model in page.data], page.has_more, page.first_id, page.last_id) == (ids[1:5], True, ids[1], ids[4])
    for edge in ({"after_id": ids[-1]}, {"before_id": ids[0]}):
        page = client.models.list(**edge)
        assert (page.data, page.has_more, page.first_id, page.last_id) == ([], False, None, None)

    wrong = [{"limit": limit} for limit in (0, 1001, -1, 2**70, "", "x", "5x", " 5", 1.5)]
    wrong += [{"after_id": "none"}, {"before_id": ""}, {"after_id": ids[0], "before_id": ids[2]}]
    for query in wrong:
        with pytest.raises(anthropic.BadRequestError) as error:
            client.models.list(extra_query=query)
        assert error.value.body["type"] == "error" and error.value.body["error"]["type"] == "invalid_request_error", query
        assert next(iter(query)) in error.value.body["error"]["message"]
    # OpenAI's clients get all of them.
    assert len(json.loads(server.request("GET", "/v1/models?limit=x")[2])["data"]) == 23
    server.close()


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_wrong_types_in_every_field(server, path):
    for field in FIELDS:
        refused = 0
        for value in ({"a": {"b": 1}}, [[1]], "\u0000\ud800", -1.5, 2**70, True):
            status, _, text = server.request("POST", path, {**QUIET, field: value})
            assert status in (200, 400, 404), (field, value, text)
            if status != 200:
                refused += 1
                body = json.loads(text)
                assert body["type"] == "error" and body["error"]["message"], (field, value)
        assert refused >= 2 or path.endswith("count_tokens"), field
    for body in (b"", b"{", b"nonsense", b"[]", b"5", b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}"):
        status, _, text = server.request("POST", path, body)
        assert status == 400 and json.loads(text)["error"]["type"] == "invalid_request_error", body[:20]


ENDLESS = {**SETTINGS, "max_tokens": 100_000, "extra_body": {"temperature": 1.5, "options": NO_END}}


def test_a_client_that_goes_away_stops_the_work(server, client):
    with client.messages.stream(**ENDLESS) as stream:
        next(iter(stream))
    assert server.comes_to_rest()


def test_a_runner_that_dies_ends_the_stream_with_an_error(server, client):
    with client.messages.stream(**ENDLESS) as stream:
        next(iter(stream))
        for runner in server.children("runner"):
            os.kill(runner, signal.SIGKILL)
        with pytest.raises(anthropic.APIError, match="model runner has unexpectedly stopped"):
            for _ in stream:
                pass
    assert client.messages.create(**SETTINGS).content


def test_the_stream_on_the_wire(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/messages", json.dumps({**QUIET, "stream": True, "max_tokens": 2}))
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    events = [event.split("\n") for event in answer.read().decode().strip().split("\n\n")]
    names = [name.removeprefix("event: ") for name, _ in events]
    assert names == ["message_start", "content_block_start", *["content_block_delta"] * (len(names) - 5),
                     "content_block_stop", "message_delta", "message_stop"]
    assert [json.loads(data.removeprefix("data: "))["type"] for _, data in events] == names


def test_browsers_may_send_what_the_client_sends(server):
    _, headers, _ = server.request("OPTIONS", "/v1/messages", headers={"Origin": "http://localhost:3000"})
    allowed = headers["Access-Control-Allow-Headers"].lower().split(",")
    client = anthropic.Anthropic(base_url=server.url, api_key="x")
    browser = ["anthropic-dangerous-direct-browser-access", "anthropic-beta"]
    for name in [*client.default_headers, *browser]:
        assert name.lower() in allowed + ["accept-encoding"], name


def test_javascript(server):
    said = run_javascript("anthropic.mjs", """
import Anthropic from '@anthropic-ai/sdk'
const client = new Anthropic({ baseURL: process.argv[2], apiKey: 'ignored', maxRetries: 0 })
const messages = [{ role: 'user', content: 'What is the capital of France?' }]
const settings = { model: 'smol', messages, max_tokens: 24, temperature: 0 }
const whole = await client.messages.create(settings)
let text = ''
const stream = client.messages.stream(settings).on('text', (piece) => { text += piece })
const final = await stream.finalMessage()
if (text !== whole.content[0].text || final.content[0].text !== text) throw new Error('differ: ' + text)
if (final.usage.input_tokens !== whole.usage.input_tokens) throw new Error('usage differs')
const count = await client.messages.countTokens({ model: 'smol', messages })
if (count.input_tokens !== whole.usage.input_tokens) throw new Error('counted ' + count.input_tokens)
try {
  await client.messages.create({ ...settings, model: 'none' })
  throw new Error('no error')
} catch (error) {
  if (!(error instanceof Anthropic.NotFoundError)) throw error
}
console.log(text)
""", server.url)
    assert "Paris" in said
