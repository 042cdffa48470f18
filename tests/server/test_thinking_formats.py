"""A thought first, and then what `format` asks for: with a real model, under a template that thinks as Qwen3's does."""
import json

import jsonschema
import ollama
import openai
import pytest
from server_models import server_with_model, upload_qwen

# As Qwen3's own template: the model opens its thought itself, or finds it closed where it is not to think.
TEMPLATE = """{{ range $i, $_ := .Messages }}<|im_start|>{{ .Role }}
{{ if .Thinking }}<think>
{{ .Thinking }}
</think>

{{ end }}{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ if and $.IsThinkSet (not $.Think) }}<think>

</think>

{{ end }}"""
# The same, but the thought has begun with the prompt, as with QwQ and DeepSeek.
INSIDE = TEMPLATE.split("{{ if and $.IsThinkSet")[0] + "{{ if $.Think }}<think>\n{{ end }}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}, "letters": {"type": "integer", "minimum": 1, "maximum": 40}},
          "required": ["city", "letters"], "additionalProperties": False}
# The model was not trained to think, so it is shown how.
MESSAGES = [
    {"role": "system", "content": "You think in <think></think> first, and then answer with JSON."},
    {"role": "user", "content": "What is the capital of Italy?"},
    {"role": "assistant", "thinking": "The capital of Italy is Rome. Rome has 4 letters.", "content": '{"city": "Rome", "letters": 4}'},
    {"role": "user", "content": "What is the capital of Spain?"},
    {"role": "assistant", "thinking": "The capital of Spain is Madrid. Madrid has 6 letters.", "content": '{"city": "Madrid", "letters": 6}'},
    {"role": "user", "content": "What is the capital of France?"}]
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("thinking"))
    digest = upload_qwen(server)
    for name, template in (("opens", TEMPLATE), ("inside", INSIDE)):
        status, _, text = server.request("POST", "/api/create", {"model": name, "files": {"m.gguf": digest}, "template": template,
                                                                 "stream": False})
        assert status == 200, text
    yield server
    server.close()


def ask(server, model, stream=False, think=True, **options):
    client = ollama.Client(server.url)
    options = {"temperature": 0, "num_predict": 200, **options}
    parts = client.chat(model, MESSAGES, think=think, format=SCHEMA, options=options, stream=stream)
    parts = list(parts) if stream else [parts]
    return ("".join(part.message.thinking or "" for part in parts), "".join(part.message.content or "" for part in parts),
            parts[-1].done_reason)


@pytest.mark.parametrize("model", ["opens", "inside"])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7, "seed": 3}, {"temperature": 1, "seed": 4}])
def test_the_thought_is_free_and_the_answer_is_not(server, model, settings):
    thinking, content, reason = ask(server, model, **settings)
    assert ask(server, model, stream=True, **settings) == (thinking, content, reason)
    if reason == "length" and settings:
        pytest.skip("at this temperature the thought did not end")
    assert reason == "stop"
    VALIDATOR.validate(json.loads(content))
    if not settings:
        assert thinking.count(" ") >= 3 and not thinking.lstrip().startswith("{")  # words, no JSON
        assert "Paris" in thinking + content
    assert "<think>" not in content and "</think>" not in content + thinking


def test_without_thinking_there_is_only_the_answer(server):
    thinking, content, reason = ask(server, "opens", think=False)
    assert (thinking, reason) == ("", "stop")
    VALIDATOR.validate(json.loads(content))


@pytest.mark.parametrize("stream", [False, True])
def test_a_thought_that_never_ends(server, stream):
    """The limit ends it, and what was thought is no answer."""
    thinking, content, reason = ask(server, "inside", stream=stream, num_predict=5)
    assert thinking and content == "" and reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_in_the_thought(server, stream):
    thinking, content, reason = ask(server, "inside", stream=stream, stop=["capital"])
    assert "capital" not in thinking and content == "" and reason == "stop"


def test_openai(server):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="ignored", max_retries=0)
    settings = {"model": "inside", "temperature": 0, "max_tokens": 200, "reasoning_effort": "high",
                "messages": [{"role": m["role"], "content": m["content"], **({"reasoning": m["thinking"]} if "thinking" in m else {})}
                             for m in MESSAGES],
                "response_format": {"type": "json_schema", "json_schema": {"name": "capital", "strict": True, "schema": SCHEMA}}}
    choice = client.chat.completions.create(**settings).choices[0]
    VALIDATOR.validate(json.loads(choice.message.content))
    assert choice.message.reasoning and choice.finish_reason == "stop"
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**settings, stream=True)]
    assert "".join(delta.content or "" for delta in deltas) == choice.message.content
    assert "".join(getattr(delta, "reasoning", None) or "" for delta in deltas) == choice.message.reasoning
