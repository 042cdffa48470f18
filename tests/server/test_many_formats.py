"""Answers under schemas of many kinds at many temperatures, judged by an independent validator: none may be wrong.

    CRIA_FORMAT_ANSWERS=1000 tests/server/run.py --cria ... --work ... -k test_many_formats -s     prints the counts (default: 48)
"""
import collections
import concurrent.futures
import json
import os

import jsonschema
import pytest
import random_schemas
from server_models import server_with_model, upload_qwen

ANSWERS = int(os.environ.get("CRIA_FORMAT_ANSWERS", "48"))
AT_ONCE = 16
TEMPERATURES = [0, 0.3, 0.8, 1.0, 1.5, 2.0]
LIMIT = 160  # tokens


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("many"), OLLAMA_NUM_PARALLEL=str(AT_ONCE), OLLAMA_CONTEXT_LENGTH="1024")
    digest = upload_qwen(server)
    status, _, _ = server.request("POST", "/api/create", {"model": "qwen", "files": {"m.gguf": digest}, "stream": False})
    assert status == 200
    yield server
    server.close()


def one(server, number, model):
    """(what became of it, the schema, the answer)"""
    schema = random_schemas.make(number)
    jsonschema.Draft202012Validator.check_schema(schema)
    options = {"temperature": TEMPERATURES[number % len(TEMPERATURES)], "seed": number, "num_predict": LIMIT,
               **({"top_k": 0, "top_p": 1.0} if number % 2 else {})}
    status, _, text = server.request("POST", "/api/chat", {
        "model": model, "messages": [{"role": "user", "content": "Describe something, as JSON."}], "format": schema, "options": options,
        "stream": False})
    answer = json.loads(text)
    if status != 200:
        return ("refused" if "not supported" in answer["error"] or "format" in answer["error"] else "failed"), schema, answer["error"]
    content = answer["message"]["content"]
    if answer["done_reason"] == "length":
        return "cut by the limit", schema, content
    try:
        value = json.loads(content)
    except json.JSONDecodeError:
        return "no JSON", schema, content
    # Of this draft: a bare FormatChecker has draft 3's `time`, which knows no zones.
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    return ("invalid" if list(validator.iter_errors(value)) else "valid"), schema, content


@pytest.mark.parametrize("model,share", [("smol", 0.7), ("qwen", 0.3)])
def test_no_answer_is_wrong(server, model, share):
    numbers = range(1, 1 + round(ANSWERS * share))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda number: one(server, number, model), numbers))
    counts = collections.Counter(result[0] for result in results)
    print(f"\n{model}: {dict(counts)} of {len(results)}")
    wrong = [result for result in results if result[0] not in ("valid", "cut by the limit")]
    assert not wrong, (counts, wrong[:5])
    assert counts["valid"] > len(results) / 3
