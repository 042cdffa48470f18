"""Thinking and tool calls, from a real model to the official client."""
import ollama
import pytest
from server_models import server_with_model, upload_qwen

THINKING = """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ if .Think }}<think>
{{ end }}"""

TOOLS = """<|im_start|>system
You call functions.{{ if .Tools }} Their signatures:
<tools>
{{ range .Tools }}{{ json . }}
{{ end }}</tools>
For each function call return a json object with function name and arguments within <tool_call></tool_call> tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>{{ end }}<|im_end|>
{{ range .Messages }}<|im_start|>{{ if eq .Role "tool" }}user
<tool_response>
{{ .Content }}
</tool_response>{{ else }}{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
"""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Get the current weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("answers"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    return ollama.Client(server.url)


def test_thinking_is_told_from_the_answer(client):
    client.create("thinker", from_="smol", template=THINKING)
    assert "thinking" in client.show("thinker").capabilities
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    options = {"temperature": 0, "num_predict": 24}
    # The prompt ends inside the thinking, which this model never closes.
    thought = client.chat("thinker", messages, options=options).message
    assert thought.thinking and not thought.content
    parts = list(client.chat("thinker", messages, think=True, options=options, stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == thought.thinking
    answer = client.chat("thinker", messages, think=False, options=options).message
    assert answer.content and not answer.thinking
    client.delete("thinker")
    with pytest.raises(ollama.ResponseError) as error:
        client.chat("smol", messages, think=True)
    assert (error.value.status_code, error.value.error) == (400, '"smol" does not support thinking')


@pytest.fixture(scope="module")
def qwen(server, client):
    client.create("qwen", files={"model.gguf": upload_qwen(server)})
    return "qwen"


def check_tool_calls(client, model):
    assert "tools" in client.show(model).capabilities
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    options = {"temperature": 0, "num_predict": 80}
    message = client.chat(model, messages, tools=[WEATHER], options=options).message
    call = message.tool_calls[0].function
    assert (call.name, dict(call.arguments)) == ("get_weather", {"city": "Paris"})
    assert "tool_call" not in message.content
    parts = list(client.chat(model, messages, tools=[WEATHER], options=options, stream=True))
    calls = [c for part in parts for c in part.message.tool_calls or []]
    assert [(c.function.name, dict(c.function.arguments)) for c in calls] == [(call.name, {"city": "Paris"})]
    return [*messages, message]


def test_tool_calls_by_a_go_template(client, qwen):
    client.create("caller", from_=qwen, template=TOOLS)
    messages = check_tool_calls(client, "caller")
    messages += [{"role": "tool", "tool_name": "get_weather", "content": "14 degrees and rain"}]
    # Without tools: this small model would call again.
    answer = client.chat("caller", messages, options={"temperature": 0, "num_predict": 80}).message
    assert "14" in answer.content and not answer.tool_calls
    client.delete("caller")


def test_tool_calls_by_the_models_own_template(client, qwen):
    """It asks for tags, but this model writes a block of code, as those that were trained on code do."""
    check_tool_calls(client, qwen)


def test_tools_need_a_template_that_shows_them(client):
    with pytest.raises(ollama.ResponseError) as error:
        client.chat("smol", [{"role": "user", "content": "hi"}], tools=[WEATHER])
    assert error.value.status_code == 400
    assert "does not support tools" in error.value.error
