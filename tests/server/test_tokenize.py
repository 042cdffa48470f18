"""/api/tokenize and /api/detokenize against the tokens of other implementations, and with bad input."""
import http.client
import json
import pathlib
import threading
import time

import pytest
from cria_server import eventually
from server_models import NO_END

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared/data"


def call(server, path, **body):
    status, _, text = server.request("POST", f"/api/{path}", {"model": "smol", **body})
    assert status == 200, text
    return json.loads(text)


def tokens(server, content, **options):
    return call(server, "tokenize", content=content, **options)["tokens"]


def text(server, ids):
    return call(server, "detokenize", tokens=ids)["content"]


def test_tokens_are_those_of_llama_cpp(server):
    file = DATA / "real-models/llamacpp-smollm2-135m-q4_1.json"
    if not file.exists():
        pytest.skip("no shared data")
    golden = json.loads(file.read_text())["tokenize"]
    assert len(golden) > 5
    for case in golden:
        assert tokens(server, case["text"]) == case["ids_parse_special"]
        assert tokens(server, case["text"], parse_special=False) == case["ids_plain"]
        assert tokens(server, case["text"], add_special=True) == case["ids_add_special_parse_special"]


def test_tokens_are_those_of_hugging_face_and_come_back(server):
    file = DATA / "tokenizers/extended/smollm2.jsonl"
    if not file.exists():
        pytest.skip("no shared data")
    cases = [json.loads(line) for line in file.read_text().splitlines()][:200]
    for case in cases:
        ids = tokens(server, case["text"], parse_special=case.get("has_special", False))
        assert ids == case["ids"]
        assert text(server, ids) == case["text"]


def test_pieces(server):
    answer = tokens(server, "caf\u00e9 \U0001f9a9<|im_end|>", with_pieces=True)
    assert [one["id"] for one in answer] == tokens(server, "caf\u00e9 \U0001f9a9<|im_end|>")
    data = b"".join(one["piece"].encode() if isinstance(one["piece"], str) else bytes(one["piece"]) for one in answer)
    assert data.decode() == "caf\u00e9 \U0001f9a9<|im_end|>"
    assert any(isinstance(one["piece"], list) for one in answer)  # a part of the flamingo
    broken = [one["id"] for one in answer if isinstance(one["piece"], list)][:1]
    assert "\ufffd" in text(server, broken)


def test_other_names_of_the_text(server):
    wanted = tokens(server, "Hello")
    for name in ("prompt", "text"):
        assert call(server, "tokenize", **{name: "Hello"}) == {"model": "smol", "tokens": wanted}
    assert tokens(server, "") == [] and text(server, []) == ""


@pytest.mark.parametrize("path, body, status, wanted", [
    ("tokenize", {}, 400, "content is required"), ("tokenize", {"content": 5}, 400, "cannot unmarshal"),
    ("tokenize", {"content": ["a"]}, 400, "cannot unmarshal"), ("tokenize", {"model": ""}, 400, "model is required"),
    ("tokenize", {"content": "a", "add_special": 1}, 400, "cannot unmarshal"),
    ("tokenize", {"content": "a", "model": "none"}, 404, "model 'none' not found"),
    ("tokenize", {"content": "a" * (4 << 20) + "b"}, 400, "at most 4194304"),
    ("tokenize", {"content": "a" * (1 << 20) + "b", "with_pieces": True}, 400, "at most 1048576"),
    ("detokenize", {}, 400, "tokens is required"), ("detokenize", {"tokens": "a"}, 400, "cannot unmarshal"),
    ("detokenize", {"tokens": [1, -1]}, 400, "tokens[1] is -1, which is no token id"),
    ("detokenize", {"tokens": [1.5]}, 400, "tokens[0] is 1.5"), ("detokenize", {"tokens": ["1"]}, 400, 'tokens[0] is "1"'),
    ("detokenize", {"tokens": [1 << 40]}, 400, "no token id"),
    ("detokenize", {"tokens": [49152]}, 400, "tokens holds 49152, but this model has tokens 0 to 49151"),
    ("detokenize", {"tokens": [1], "model": "none"}, 404, "model 'none' not found")])
def test_bad_input(server, path, body, status, wanted):
    got, message = server.error("POST", f"/api/{path}", {"model": "smol", **body})
    assert got == status and wanted in message, message


def test_a_long_text_holds_up_no_stream(server):
    """Tokenizing runs beside the steps, in the runner that is there whatever its context."""
    long = "Some words \u00e9\u00e8 and more. " * 120_000
    stream = {"model": "smol", "prompt": "Once upon a time", "raw": True,
              "options": {**NO_END, "num_predict": 100_000, "num_ctx": 512}}
    tokens(server, "warm")
    marks, done = [], threading.Event()

    def listen():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("POST", "/api/generate", json.dumps(stream))
        answer = connection.getresponse()
        while answer.readline() and not done.is_set():
            marks.append(time.monotonic())
        answer.close()
        connection.close()
    listener = threading.Thread(target=listen)
    listener.start()
    try:
        assert eventually(lambda: len(marks) >= 5)
        before = server.children("runner")
        during = []
        for _ in range(3):  # a busy machine may hold up the listener
            start = time.monotonic()
            assert len(tokens(server, long)) > 500_000
            end = time.monotonic()
            during.append(sum(start < mark < end for mark in marks))
            if during[-1] >= 5:
                break
        assert during[-1] >= 5, during
        assert server.children("runner") == before  # no other runner for the default context
    finally:
        done.set()
        listener.join()


def test_a_model_that_embeds_tokenizes(server):
    from bert_file import gguf
    from test_embeddings import FOLDER, create
    if not FOLDER.exists():
        pytest.skip(f"{FOLDER} is missing; tools/fetch_models.py minilm gets it")
    create(server, "minilm", gguf(FOLDER))
    golden = json.loads((DATA / "real-models/minilm.json").read_text())["texts"][0]
    answer = call(server, "tokenize", model="minilm", content=golden["text"], add_special=True)
    assert answer["tokens"] == golden["input_ids"]
