"""Arguments of tool calls while the model writes them, by the clients of each dialect."""
import json

import anthropic
import ollama
import openai
import pytest
from server_models import server_with_model, upload_qwen
from test_answers import TOOLS, WEATHER

NOTE = {"type": "object", "properties": {"title": {"type": "string", "maxLength": 40},
                                         "lines": {"type": "array", "items": {"type": "string", "maxLength": 30},
                                                   "minItems": 3, "maxItems": 3}},
        "required": ["title", "lines"], "additionalProperties": False}
CHAT_TOOL = {"type": "function", "function": {"name": "write_note", "parameters": NOTE}}
CHAT_CHOICE = {"type": "function", "function": {"name": "write_note"}}
ASKED = [{"role": "user", "content": "Write a note with three things to buy."}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("pieces"))
    digest = upload_qwen(server)
    status, _, _ = server.request("POST", "/api/create", {"model": "qwen", "files": {"m.gguf": digest},
                                                          "template": TOOLS, "stream": False})
    assert status == 200
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)


def streamed_calls(chunks):
    """The calls by their index, as a client collects them, and the content."""
    calls, content = {}, ""
    for chunk in chunks:
        delta = chunk.choices[0].delta
        content += delta.content or ""
        for one in delta.tool_calls or []:
            if one.index not in calls:
                assert one.id and one.type == "function" and one.function.name
                calls[one.index] = {"id": one.id, "name": one.function.name, "pieces": []}
            else:
                assert one.id is None and one.function.name is None
            calls[one.index]["pieces"].append(one.function.arguments)
    return calls, content


@pytest.mark.parametrize("settings", [
    {"tools": [CHAT_TOOL], "tool_choice": CHAT_CHOICE, "messages": ASKED},
    {"tools": [CHAT_TOOL, WEATHER], "tool_choice": "required", "messages": ASKED},
    {"tools": [WEATHER], "messages": [{"role": "user", "content": "What is the weather in Paris?"}]}])
def test_chat(client, settings):
    """Named, required, and of the model's own will inside <tool_call>."""
    settings = {"model": "qwen", "temperature": 0, "max_tokens": 300, **settings}
    choice = client.chat.completions.create(**settings).choices[0]
    (whole,) = choice.message.tool_calls
    chunks = list(client.chat.completions.create(**settings, stream=True))
    calls, content = streamed_calls(chunks)
    assert list(calls) == [0] and content == choice.message.content
    assert calls[0]["name"] == whole.function.name
    assert len(calls[0]["pieces"]) >= 4
    assert "".join(calls[0]["pieces"]) == whole.function.arguments
    assert chunks[-1].choices[0].finish_reason == choice.finish_reason == "tool_calls"


def test_each_of_several_answers_has_calls_of_its_own(client):
    chunks = client.chat.completions.create(model="qwen", messages=ASKED, tools=[CHAT_TOOL], tool_choice=CHAT_CHOICE,
                                            n=3, seed=5, temperature=1, max_tokens=400, stream=True)
    texts, ids = {}, set()
    for chunk in chunks:
        (choice,) = chunk.choices
        for one in choice.delta.tool_calls or []:
            assert one.index == 0
            texts[choice.index] = texts.get(choice.index, "") + one.function.arguments
            ids |= {one.id} - {None}
    assert sorted(texts) == [0, 1, 2] and len(ids) == 3
    assert all(len(json.loads(text)["lines"]) == 3 for text in texts.values())


def test_a_call_that_is_cut(client):
    """Its arguments do not parse, it counts as none, and what was written is the content, as in the whole answer."""
    settings = {"model": "qwen", "temperature": 0, "max_tokens": 14, "messages": ASKED, "tools": [CHAT_TOOL],
                "tool_choice": CHAT_CHOICE}
    choice = client.chat.completions.create(**settings).choices[0]
    assert not choice.message.tool_calls and choice.finish_reason == "length"
    assert choice.message.content.startswith("{")
    chunks = list(client.chat.completions.create(**settings, stream=True))
    calls, content = streamed_calls(chunks)
    assert content == choice.message.content and chunks[-1].choices[0].finish_reason == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(calls[0]["pieces"]))
    _, items = responses(client, {"max_output_tokens": 14})
    assert [(item.type, item.status) for item in items] == [("function_call", "incomplete"), ("message", "incomplete")]


def responses(client, more):
    settings = {"model": "qwen", "temperature": 0, "max_output_tokens": 300, "input": ASKED[0]["content"],
                "tools": [{"type": "function", "name": "write_note", "parameters": NOTE}],
                "tool_choice": {"type": "function", "name": "write_note"}, **more}
    events = list(client.responses.create(**settings, stream=True))
    return events, events[-1].response.output


def test_responses(client):
    events, (item,) = responses(client, {})
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    (done,) = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert len(deltas) >= 4 and "".join(deltas) == done.arguments == item.arguments
    assert {e.item_id for e in events if "arguments" in e.type} == {item.id}
    assert len(json.loads(item.arguments)["lines"]) == 3 and item.status == "completed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    whole = client.responses.create(
        model="qwen", temperature=0, max_output_tokens=300, input=ASKED[0]["content"],
        tools=[{"type": "function", "name": "write_note", "parameters": NOTE}],
        tool_choice={"type": "function", "name": "write_note"})
    assert whole.output[0].arguments == item.arguments


def test_anthropic(server):
    client = anthropic.Anthropic(base_url=server.url, api_key="ignored", max_retries=0)
    settings = {"model": "qwen", "max_tokens": 300, "messages": ASKED, "extra_body": {"temperature": 0},
                "tools": [{"name": "write_note", "input_schema": NOTE}],
                "tool_choice": {"type": "tool", "name": "write_note"}}
    whole = client.messages.create(**settings)
    with client.messages.stream(**settings) as stream:
        deltas = [e.delta.partial_json for e in stream if e.type == "content_block_delta"]
        final = stream.get_final_message()
    assert len(deltas) >= 4 and json.loads("".join(deltas)) == whole.content[0].input
    assert final.content[0].input == whole.content[0].input and final.stop_reason == "tool_use"
    with client.messages.stream(**{**settings, "max_tokens": 14}) as stream:
        cut = stream.get_final_message()
    assert cut.stop_reason == "max_tokens" and [block.type for block in cut.content] == ["tool_use", "text"]


def test_the_native_api_keeps_calls_whole(server):
    parts = list(ollama.Client(server.url).chat(
        "qwen", [{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER], stream=True,
        options={"temperature": 0, "num_predict": 80}))
    calls = [call for part in parts for call in part.message.tool_calls or []]
    assert [(call.function.name, call.function.arguments) for call in calls] == [("get_weather", {"city": "Paris"})]
