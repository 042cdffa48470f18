"""litellm, through its three ways to us: Ollama's chat and generate, and OpenAI's dialect."""
import json

import litellm
import pydantic
import pytest

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer with one word."}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Get the current weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


@pytest.fixture(params=["ollama_chat", "ollama", "openai"])
def call(server, request):
    openai = request.param == "openai"
    where = {"api_base": server.url + ("/v1" if openai else ""), **({"api_key": "none"} if openai else {})}
    return request.param, {"model": f"{request.param}/qwen", "temperature": 0, "max_tokens": 60, **where}


def test_whole_and_streamed_agree(call):
    whole = litellm.completion(messages=QUESTION, **call[1])
    said = whole.choices[0].message.content
    assert "Paris" in said
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.prompt_tokens > 10 and whole.usage.completion_tokens > 0
    parts = list(litellm.completion(messages=QUESTION, stream=True, **call[1]))
    assert "".join(part.choices[0].delta.content or "" for part in parts) == said
    assert parts[-1].choices[0].finish_reason == "stop"


def test_tools(call):
    way, arguments = call
    if way == "ollama":
        pytest.skip("litellm writes tools into the prompt of /api/generate by itself")
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = litellm.completion(messages=question, tools=[WEATHER], **arguments)
    (tool,) = answer.choices[0].message.tool_calls
    assert tool.function.name == "get_weather"
    assert "Paris" in json.loads(tool.function.arguments)["city"]


def test_schemas(call):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    answer = litellm.completion(messages=[{"role": "user", "content": "Anna is 31 years old. Write her as JSON."}],
                                response_format=Person, **call[1])
    assert Person.model_validate_json(answer.choices[0].message.content) == Person(name="Anna", age=31)


def test_an_unknown_model(call):
    way, arguments = call
    with pytest.raises((litellm.NotFoundError, litellm.APIConnectionError)) as error:
        litellm.completion(messages=QUESTION, **{**arguments, "model": f"{way}/nothing"})
    assert "not found" in str(error.value)


def test_embeddings(server):
    of_ollama = litellm.embedding(model="ollama/qwen", input=["a", "b"], api_base=server.url)
    of_openai = litellm.embedding(model="openai/qwen", input=["a", "b"], api_base=server.url + "/v1", api_key="none",
                                  encoding_format="float")
    for one, other in zip(of_ollama.data, of_openai.data, strict=True):
        assert one["embedding"] == pytest.approx(other["embedding"], abs=1e-6)
