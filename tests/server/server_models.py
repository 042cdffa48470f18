"""Servers that hold a real model."""
import hashlib
import json
import os
import pathlib

import pytest
from cria_server import Server

# Calls tools. CRIA_TEST_QWEN names a larger one instead, which follows the tests' wishes better.
QWEN = os.environ.get("CRIA_TEST_QWEN", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")

# Options of SmolLM2's answers that do not end by themselves.
NO_END = {"repeat_penalty": 1.3, "logit_bias": {"0": -100, "2": -100}}


def upload(server, path=None):
    path = path or pathlib.Path(os.environ["CRIA_TEST_MODEL"])
    data = path.read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, _, _ = server.request("POST", f"/api/blobs/{digest}", data)
    assert status == 201
    return digest


def server_with_model(folder, **settings):
    server = Server(folder, **settings)
    digest = upload(server)
    body = {"model": "smol", "files": {"model.gguf": digest}, "parameters": {"temperature": 0},
            "license": "Apache-2.0", "stream": False}
    status, _, text = server.request("POST", "/api/create", body)
    assert (status, json.loads(text)) == (200, {"status": "success"})
    server.digest = digest
    return server


def upload_qwen(server):
    path = pathlib.Path(os.environ["CRIA_TEST_MODEL"]).parent / QWEN
    if not path.exists():
        pytest.skip(f"{path} is missing; tools/fetch_models.py gets it")
    return upload(server, path)
