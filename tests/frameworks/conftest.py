"""One server for all frameworks, with a model that calls tools."""
import json
import os

import pytest
from cria_server import Server
from server_models import upload_qwen

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network for prices


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("frameworks"))
    body = {"model": "qwen", "files": {"model.gguf": upload_qwen(server)}, "stream": False,
            # Without a penalty so small a model may say one sentence over and over inside of a string.
            "parameters": {"temperature": 0, "num_ctx": 4096, "num_predict": 200, "repeat_penalty": 1.1}}
    status, _, text = server.request("POST", "/api/create", body)
    assert (status, json.loads(text)) == (200, {"status": "success"})
    status, _, _ = server.request("POST", "/api/copy", {"source": "qwen", "destination": "twin"})
    assert status == 200
    yield server
    server.close()
