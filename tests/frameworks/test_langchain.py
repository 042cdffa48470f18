"""LangChain's standard suites of integrations, through its packages for Ollama and for OpenAI."""
import pytest
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from server_models import QWEN

ADDRESS = {}  # of the server, for properties that get no fixtures


@pytest.fixture(scope="module", autouse=True)
def address(server):
    ADDRESS["ollama"] = {"base_url": server.url}
    ADDRESS["openai"] = {"base_url": server.url + "/v1", "api_key": "none"}


class TestChatOllama(ChatModelIntegrationTests):
    supports_json_mode = True
    has_tool_choice = False  # the package has no such argument
    supports_model_override = True
    model_override_value = "twin"

    @property
    def chat_model_class(self):
        return ChatOllama

    @property
    def chat_model_params(self):
        return {"model": "qwen", "temperature": 0, **ADDRESS["ollama"]}

    # Its text is {"name": "你好啊集团", "arguments": ...}: no tool has the customer's name. Where the dialect can ask for
    # a call, and with 1.5 billion parameters also here, the test passes.
    @pytest.mark.xfail("-0.5b-" in QWEN, strict=True, reason="so small a model calls the customer instead of the tool")
    def test_unicode_tool_call_integration(self, model):
        super().test_unicode_tool_call_integration(model)


class TestChatOpenAI(ChatModelIntegrationTests):
    supports_json_mode = True
    has_tool_choice = True
    supports_model_override = True
    model_override_value = "twin"

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {"model": "qwen", "temperature": 0, "stream_usage": True, **ADDRESS["openai"]}


class TestChatOpenAIResponses(TestChatOpenAI):
    @property
    def chat_model_params(self):
        return {"model": "qwen", "temperature": 0, "use_responses_api": True, **ADDRESS["openai"]}


class TestOllamaEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OllamaEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "qwen", **ADDRESS["ollama"]}


class TestOpenAIEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self):
        # Without the check it sends texts instead of another model's tokens.
        return {"model": "qwen", "check_embedding_ctx_length": False, **ADDRESS["openai"]}
