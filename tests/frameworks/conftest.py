"""One server for all frameworks, with a model that calls tools."""
import json

import pytest
from cria_server import Server
from server_models import upload_qwen

# Qwen's own form, with a word to call functions: the small model needs one.
TEMPLATE = """<|im_start|>system
{{ if .Tools }}You call functions. Their signatures:
<tools>
{{ range .Tools }}{{ json . }}
{{ end }}</tools>
For each function call return a json object with function name and arguments within <tool_call></tool_call> tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>{{ else }}You are a helpful assistant.{{ end }}<|im_end|>
{{ range .Messages }}<|im_start|>{{ if eq .Role "tool" }}user
<tool_response>
{{ .Content }}
</tool_response>{{ else }}{{ .Role }}
{{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }}{{ end }}<|im_end|>
{{ end }}<|im_start|>assistant
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("frameworks"))
    digest = upload_qwen(server)
    body = {"model": "qwen", "files": {"model.gguf": digest}, "template": TEMPLATE,
            "parameters": {"temperature": 0, "num_ctx": 4096, "num_predict": 200}, "stream": False}
    status, _, text = server.request("POST", "/api/create", body)
    assert (status, json.loads(text)) == (200, {"status": "success"})
    status, _, _ = server.request("POST", "/api/copy", {"source": "qwen", "destination": "twin"})
    assert status == 200
    yield server
    server.close()


# These leave it to the model whether it calls, and 0.5 billion parameters often write the call into a block of code instead.
# Where the dialect can say that a tool must be called, the same tests are expected to pass.
UP_TO_THE_MODEL = ["test_agent_loop"]
WITHOUT_TOOL_CHOICE = ["test_tool_calling", "test_tool_calling_async", "test_tool_calling_with_no_arguments",
                       "test_bind_runnables_as_tools", "test_unicode_tool_call_integration"]


def pytest_collection_modifyitems(items):
    for item in items:
        forced = getattr(item.cls, "has_tool_choice", True)
        name = getattr(item, "originalname", item.name)
        if name in UP_TO_THE_MODEL or (name in WITHOUT_TOOL_CHOICE and forced is False):
            item.add_marker(pytest.mark.xfail(reason="the small model need not call the tool"))
