"""docs/openapi.yaml: the routes that the server has, and answers that are as it says, whatever is sent.

    tests/server/run.py --cria ... --work ... -k test_openapi --api-examples 2000     looks longer (default: a minute)
"""
import json
import os
import pathlib
import re

import hypothesis
import pytest
import schemathesis
import yaml
from server_models import server_with_model
from schemathesis.checks import (content_type_conformance, response_headers_conformance, response_schema_conformance,
                                 status_code_conformance)

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/openapi.yaml"
EXAMPLES = int(os.environ.get("CRIA_API_EXAMPLES", "25"))
# What is documented: not in this version, too many wait, no space.
DOCUMENTED = {501, 503, 507}
# These talk to registries: tests/registry has them, with registries that are there.
REMOTE = "^/api/(pull|push|outdated)$"
ASKS_A_MODEL = re.compile("/api/(generate|chat|embed|embeddings|tokenize|detokenize|rerank|show)|/v1/")
LENGTHS = ("num_predict", "max_tokens", "max_completion_tokens", "max_output_tokens", "n")
LOADS_ANEW = ("num_thread", "keep_alive")

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance, response_headers_conformance]

schema = schemathesis.openapi.from_path(str(FILE))


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def tame(path, body):
    """The same request to a model that is there, with a short answer; what is wrong in it stays."""
    if not isinstance(body, dict) or not ASKS_A_MODEL.match(path):
        return
    if isinstance(body.get("model"), str) and len(body["model"]) % 8:
        body["model"] = "smol"
    options = body.setdefault("options", {})
    for place in [body] + [options] * isinstance(options, dict):
        for name in LENGTHS:
            if is_number(place.get(name)) and (place[name] > 2 or place[name] < 0):
                place[name] = 2
        for name in LOADS_ANEW:
            if is_number(place.get(name)):
                del place[name]
    if isinstance(options, dict):
        options.setdefault("num_predict", 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("openapi"))
    yield server
    server.close()


def test_it_describes_every_route():
    table = (ROOT / "src/server/routes.cpp").read_text()
    routes = {(method.lower(), re.sub(r"\*$", "{}", path))
              for method, path in re.findall(r'Route\{"([A-Z]+)", "([^"]+)"', table)}
    assert len(routes) > 30
    paths = yaml.safe_load(FILE.read_text())["paths"]
    described = {(method, re.sub(r"\{\w+\}", "{}", path))
                 for path, item in paths.items() for method in item if method != "parameters"}
    assert described == routes


def test_every_part_of_it_is_used():
    text = FILE.read_text()
    document = yaml.safe_load(text)
    for kind, parts in document["components"].items():
        for name in parts:
            assert f'"#/components/{kind}/{name}"' in text, (kind, name)
    schema.validate()


@pytest.mark.parametrize("path", ["/api/pull", "/api/push"])
def test_requests_to_registries_that_are_wrong(server, path):
    for body in (b"", b"{", b"[]", b"5", {"model": 5}, {"model": "../x"}, {"model": ["a"]}):
        assert server.request("POST", path, body)[0] == 400, body


@schema.exclude(path_regex=REMOTE).parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize="CRIA_API_EXAMPLES" not in os.environ,
                     suppress_health_check=list(hypothesis.HealthCheck), database=None,
                     phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
def test_answers_are_as_described(case, server):
    tame(case.path, case.body)
    response = case.call(base_url=server.url, timeout=60)
    assert response.status_code < 500 or response.status_code in DOCUMENTED, response.text
    case.validate_response(response, checks=CHECKS)
    if "application/x-ndjson" in response.headers.get("content-type", []):
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert "error" in lines[-1] or lines[-1].get("done") or lines[-1].get("status") == "success", lines[-1]
