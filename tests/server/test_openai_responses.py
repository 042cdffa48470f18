"""/v1/responses by OpenAI's clients, as their users use them."""
import http.client
import itertools
import json
import os
import signal

import openai
import pytest
from javascript import run_javascript
from server_models import NO_END, server_with_model, upload_qwen
from test_answers import THINKING, TOOLS, WEATHER

SETTINGS = {"model": "smol", "input": "What is the capital of France?", "max_output_tokens": 16, "temperature": 0}
TOOL = {"type": "function", **WEATHER["function"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("responses"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)


def native(server, messages, **options):
    body = {"model": "smol", "messages": messages, "stream": False,
            "options": {"temperature": 0, "num_predict": 16, **options}}
    return json.loads(server.request("POST", "/api/chat", body)[2])


def check_events(events):
    """What every stream holds to: numbers in order, items one after the other, parts that add up."""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[0].response.status == "in_progress" and events[0].response.output == []
    added = [event for event in events if event.type == "response.output_item.added"]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in added] == [event.output_index for event in done] == list(range(len(done)))
    assert [event.item.id for event in added] == [event.item.id for event in done]
    final = events[-1].response
    assert [event.item.model_dump() for event in done] == [item.model_dump() for item in final.output]
    for event in done:
        texts = [e.delta for e in events if e.type.endswith(".delta") and e.output_index == event.output_index]
        item = event.item
        said = {"message": lambda: item.content[0].text, "reasoning": lambda: item.summary[0].text,
                "function_call": lambda: item.arguments}[item.type]()
        assert "".join(texts) == said
    return final


def test_whole_streamed_and_native_agree(server, client):
    expected = native(server, [{"role": "user", "content": SETTINGS["input"]}])
    whole = client.responses.create(**SETTINGS)
    assert whole.output_text == expected["message"]["content"]
    assert (whole.status, whole.incomplete_details) == ("completed", None) and whole.completed_at
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (
        expected["prompt_eval_count"], expected["eval_count"])
    assert (whole.temperature, whole.max_output_tokens, whole.tool_choice) == (0, 16, "auto")
    events = list(client.responses.create(**SETTINGS, stream=True))
    assert events[-1].type == "response.completed"
    final = check_events(events)
    assert final.output_text == whole.output_text and final.id == events[0].response.id != whole.id
    with client.responses.stream(**SETTINGS) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == whole.output_text


def test_an_answer_that_is_cut_says_so(client):
    cut = client.responses.create(**{**SETTINGS, "max_output_tokens": 2})
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert cut.usage.output_tokens == 2
    events = list(client.responses.create(**{**SETTINGS, "max_output_tokens": 2}, stream=True))
    assert events[-1].type == "response.incomplete"
    assert check_events(events).output[-1].status == "incomplete"


def test_instructions_and_items(server, client):
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
             {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "What is\n\nthe capital of France?"}]
    expected = native(server, turns)
    answer = client.responses.create(**{**SETTINGS, "instructions": "Be brief.", "input": [
        {"role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "user", "content": [{"type": "input_text", "text": "What is"},
                                     {"type": "input_text", "text": "the capital of France?"}]}]})
    assert answer.output_text == expected["message"]["content"]
    assert answer.usage.input_tokens == expected["prompt_eval_count"]
    assert answer.instructions == "Be brief."


def test_reasoning(server, client):
    body = {"model": "thinker", "from": "smol", "template": THINKING, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200
    settings = {**SETTINGS, "model": "thinker", "reasoning": {"effort": "low"}}
    whole = client.responses.create(**settings)
    (item,) = whole.output
    assert item.type == "reasoning" and item.summary[0].text == item.encrypted_content
    events = list(client.responses.create(**settings, stream=True))
    assert check_events(events).output[0].summary == item.summary
    # Given back it is part of the prompt.
    turns = [{"role": "user", "content": "a"}, item.model_dump(), {"role": "assistant", "content": "b"},
             {"role": "user", "content": "c"}]
    with_thinking = client.responses.create(**{**settings, "input": turns}).usage.input_tokens
    del turns[1]
    assert with_thinking > client.responses.create(**{**settings, "input": turns}).usage.input_tokens + 5
    assert client.responses.create(**{**settings, "reasoning": {"effort": "none"}}).output_text


@pytest.fixture(scope="module")
def qwen(server):
    body = {"model": "qwen", "files": {"m.gguf": upload_qwen(server)}, "template": TOOLS, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200
    return "qwen"


def test_tools(client, qwen):
    settings = {"model": qwen, "tools": [TOOL], "temperature": 0, "max_output_tokens": 80}
    turns = [{"role": "user", "content": "What is the weather in Paris?"}]
    whole = client.responses.create(**settings, input=turns)
    call = whole.output[-1]
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Paris"})
    assert whole.tools[0].name == "get_weather" and whole.status == "completed"
    streamed = check_events(list(client.responses.create(**settings, input=turns, stream=True))).output[-1]
    assert (streamed.name, streamed.arguments) == (call.name, call.arguments) and streamed.call_id != call.call_id
    turns += [item.model_dump() for item in whole.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "14 degrees and rain"})
    answer = client.responses.create(model=qwen, input=turns, temperature=0, max_output_tokens=60)
    assert "14" in answer.output_text
    none = client.responses.create(**settings, input=turns[:1], tool_choice="none")
    assert all(item.type == "message" for item in none.output)


def test_strict_clients_find_every_field(server, qwen):
    """Newer clients can be told to check answers against their types."""
    strict = openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0, _strict_response_validation=True)
    first = strict.responses.create(**SETTINGS)
    assert first.usage.input_tokens_details.cache_write_tokens == (
        first.usage.input_tokens - first.usage.input_tokens_details.cached_tokens)
    assert strict.responses.create(**SETTINGS).usage.input_tokens_details.cached_tokens > 0
    assert check_events(list(strict.responses.create(**SETTINGS, stream=True))).output_text == first.output_text
    for choice in ("auto", {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_weather"}]}):
        called = strict.responses.create(model=qwen, tools=[TOOL], tool_choice=choice, temperature=0, max_output_tokens=80,
                                         input="What is the weather in Paris?")
        assert called.output[-1].name == "get_weather"
    assert strict.responses.input_tokens.count(model="smol", input="Hi").input_tokens > 0


def test_the_count_of_an_input_is_that_of_its_response(client, qwen):
    for settings in ({"model": "smol", "input": "What is the capital of France?"},
                     {"model": "smol", "input": [{"role": "user", "content": "Hi"}], "instructions": "Be brief."},
                     {"model": qwen, "input": "Hi", "tools": [TOOL]},
                     {"model": qwen, "input": "Hi", "tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}}):
        count = client.responses.input_tokens.count(**settings)
        assert count.object == "response.input_tokens"
        answer = client.responses.create(**settings, max_output_tokens=1, temperature=0)
        assert count.input_tokens == answer.usage.input_tokens > 0, settings
    long = client.responses.input_tokens.count(model="smol", input="word " * 9000)
    assert long.input_tokens > 9000  # whole, whatever the context
    with pytest.raises(openai.NotFoundError):
        client.responses.input_tokens.count(model="none", input="Hi")
    with pytest.raises(openai.BadRequestError, match="input is required"):
        client.responses.input_tokens.count(model="smol")


def test_only_the_allowed_tools_are_offered(client, qwen):
    other = {"type": "function", "name": "send_mail", "description": "Sends a mail",
             "parameters": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}
    settings = {"model": qwen, "tools": [TOOL, other], "temperature": 0, "max_output_tokens": 80}

    def allowed(mode, *names):
        return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in names]}

    def count(**more):
        return client.responses.input_tokens.count(model=qwen, input="Say hello.", **more).input_tokens
    assert count(tools=settings["tools"], tool_choice=allowed("auto", "send_mail")) == count(tools=[other])
    assert count(tools=settings["tools"], tool_choice=allowed("auto")) == count()
    answer = client.responses.create(**settings, input="Say hello.", tool_choice=allowed("required", "send_mail"))
    assert answer.output[-1].name == "send_mail"  # though the question asks for no call
    assert answer.tool_choice.mode == "required" and len(answer.tools) == 2
    for choice, text in [(allowed("must", "send_mail"), "must be auto or required"),
                         (allowed("auto", "x"), 'allows "x", which is none of the tools'),
                         (allowed("required"), "there are no tools"),
                         ({**allowed("auto"), "tools": [{"type": "mcp"}]}, 'tools of type "mcp"')]:
        with pytest.raises(openai.BadRequestError) as error:
            client.responses.create(**settings, input="Hi", tool_choice=choice)
        assert text in error.value.message, choice


def test_errors_have_their_kinds(client):
    with pytest.raises(openai.NotFoundError, match="model 'none' not found"):
        client.responses.create(**{**SETTINGS, "model": "none"})
    for settings, text in [
            ({"model": ""}, "model is required"), ({"input": []}, "input is required"), ({"input": ""}, "input is"),
            ({"input": [{"type": "zzz"}]}, 'input[0]: unknown input item type: "zzz"'),
            ({"input": [{"role": "user", "content": "a"}, {"x": 1}]}, "input[1]: input item missing required 'type'"),
            ({"input": [{"type": "web_search_call"}]}, "no message"),
            ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "file inputs are not"),
            ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "invalid message format"),
            ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]}, "base64"),
            ({"input": [{"type": "function_call", "name": "f", "call_id": "c", "arguments": "["}]},
             "invalid tool call arguments"),
            ({"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]}, "name is required"),
            ({"tools": [{"type": "web_search"}]}, 'tools of type "web_search"'), ({"tools": [TOOL]}, "support tools"),
            ({"previous_response_id": "resp_1"}, "send the whole input"), ({"background": True}, "background"),
            ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
            ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "no schema"),
            ({"reasoning": {"effort": "huge"}}, "invalid reasoning value"), ({"truncation": "x"}, "truncation is")]:
        with pytest.raises(openai.BadRequestError) as error:
            client.responses.create(**{**SETTINGS, **settings})
        assert text in error.value.message, settings
    long = {**SETTINGS, "input": "word " * 2000, "extra_body": {"num_ctx": 1024}}
    assert client.responses.create(**long).usage.input_tokens < 1024
    with pytest.raises(openai.BadRequestError, match="num_ctx is 1024"):
        client.responses.create(**long, truncation="disabled")


FIELDS = ["model", "input", "instructions", "stream", "max_output_tokens", "temperature", "top_p", "reasoning", "text",
          "tools", "tool_choice", "parallel_tool_calls", "truncation", "previous_response_id", "options", "metadata"]


def test_wrong_types_in_every_field(server):
    for field in FIELDS:
        refused = 0
        for value in ({"a": {"b": 1}}, [[1]], "\u0000\ud800", -1.5, 2**70, True):
            body = {**SETTINGS, "max_output_tokens": 1, field: value}
            status, _, text = server.request("POST", "/v1/responses", body)
            assert status in (200, 400, 404), (field, value, text)
            if status != 200:
                refused += 1
                assert json.loads(text)["error"]["message"], (field, value)
        assert refused >= 2, field


def test_a_client_that_goes_away_stops_the_work(server, client):
    stream = client.responses.create(**{**SETTINGS, "max_output_tokens": 100_000, "temperature": 1.5}, stream=True,
                                     extra_body={"options": NO_END})
    next(iter(stream))
    stream.close()
    assert server.comes_to_rest()


def test_a_runner_that_dies_fails_the_response(server, client):
    stream = client.responses.create(**{**SETTINGS, "max_output_tokens": 100_000, "temperature": 1.5}, stream=True,
                                     extra_body={"options": NO_END})
    events = list(itertools.islice(stream, 8))
    for runner in server.children("runner"):
        os.kill(runner, signal.SIGKILL)
    events += list(stream)
    last = events[-1]
    assert last.type == "response.failed" and last.response.status == "failed"
    assert last.response.error.message.startswith("model runner has unexpectedly stopped")
    check_events(events)
    assert client.responses.create(**SETTINGS).output_text


def test_the_stream_on_the_wire(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/responses", json.dumps({**SETTINGS, "stream": True}))
    answer = connection.getresponse()
    assert (answer.getheader("Content-Type"), answer.getheader("Cache-Control")) == ("text/event-stream", "no-cache")
    events = [event.split("\n") for event in answer.read().decode().strip().split("\n\n")]
    assert all(name == "event: " + json.loads(data.removeprefix("data: "))["type"] for name, data in events)


def test_javascript(server):
    said = run_javascript("openai_responses.mjs", """
import OpenAI from 'openai'
const client = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'ignored', maxRetries: 0 })
const settings = { model: 'smol', input: 'What is the capital of France?', max_output_tokens: 16, temperature: 0 }
const whole = await client.responses.create(settings)
const stream = client.responses.stream(settings)
let text = ''
stream.on('response.output_text.delta', (event) => { text += event.delta })
const final = await stream.finalResponse()
if (text !== whole.output_text || final.output_text !== text) throw new Error('differ: ' + text)
console.log(text)
""", server.url)
    assert "Paris" in said
