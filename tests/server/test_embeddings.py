"""Embeddings: all-MiniLM-L6-v2 against sentence vectors of transformers, through the official
clients; a decoder; what hostile clients send."""
import base64
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import re
import socket
import struct
import threading

import ollama
import openai
import pytest
from bert_file import gguf
from cria_server import eventually
from server_models import server_with_model
from test_openapi import CHECKS, schema

FOLDER = pathlib.Path(os.environ["CRIA_TEST_MODEL"]).parent / "all-MiniLM-L6-v2"
GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "shared/data/real-models/minilm.json"
WIDTH = 384


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def create(server, name, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert server.request("POST", f"/api/blobs/{digest}", data)[0] in (200, 201)
    status, _, text = server.request("POST", "/api/create",
                                     {"model": name, "files": {"m.gguf": digest}, "stream": False})
    assert (status, json.loads(text)) == (200, {"status": "success"})


@pytest.fixture(scope="module")
def embedder(server):
    if not FOLDER.exists():
        pytest.skip(f"{FOLDER} is missing; tools/fetch_models.py minilm gets it")
    create(server, "minilm", gguf(FOLDER))
    yield server
    for name in ("minilm", "minilm-cls"):
        server.request("DELETE", "/api/delete", {"model": name})


def embed(server, **body):
    status, _, text = server.request("POST", "/api/embed", dict({"model": "minilm"}, **body))
    assert status == 200, text
    return json.loads(text)


def test_sentence_vectors_are_those_of_transformers(embedder):
    if not GOLDEN.exists():
        pytest.skip("no shared data")
    golden = json.loads(GOLDEN.read_text())["texts"]
    # The reference cut its texts at 256 tokens.
    answer = embed(embedder, input=[case["text"] for case in golden], options={"num_ctx": 256})
    assert answer["prompt_eval_count"] == sum(len(case["input_ids"]) for case in golden)
    for mine, case in zip(answer["embeddings"], golden):
        assert 1 - cosine(mine, case["embedding"]) < 1e-5, case["text"][:60]
        assert abs(sum(x * x for x in mine) - 1) < 1e-5


def test_company_and_order_change_no_bit(embedder):
    texts = [f"Sentence number {i} " + "speaks of the sea. " * (i % 40) for i in range(100)]
    together = embed(embedder, input=texts)["embeddings"]
    for i in (0, 1, 39, 99):
        assert embed(embedder, input=texts[i])["embeddings"] == [together[i]]
    assert embed(embedder, input=texts[::-1])["embeddings"] == together[::-1]


def test_dimensions_are_cut_and_normalised_again(embedder):
    whole, = embed(embedder, input="a cat")["embeddings"]
    cut, = embed(embedder, input="a cat", dimensions=5)["embeddings"]
    length = math.sqrt(sum(x * x for x in whole[:5]))
    assert len(cut) == 5
    assert all(abs(x - y / length) < 1e-6 for x, y in zip(cut, whole))
    assert embed(embedder, input="a cat", dimensions=5000)["embeddings"] == [whole]


def test_truncation(embedder):
    long = "word " * 5000
    answer = embed(embedder, input=long)
    assert answer["prompt_eval_count"] == 512
    # [CLS] and [SEP] stay around the first 510 words.
    assert answer["embeddings"] == embed(embedder, input="word " * 510)["embeddings"]
    status, message = embedder.error("POST", "/api/embed", {"model": "minilm", "input": ["a", long], "truncate": False})
    assert status == 400
    assert message.startswith("the input length exceeds the context length: 5002 tokens, but the context is 512")
    status, message = embedder.error("POST", "/api/embeddings", {"model": "minilm", "prompt": long})
    assert status == 500 and "5002 tokens, but the context is 512" in message
    status, error = embedder.error("POST", "/v1/embeddings", {"model": "minilm", "input": long, "truncate": False})
    assert status == 400 and "5002 tokens, but the context is 512" in error["message"]


def test_which_inputs_were_cut(embedder):
    long, longer = "word " * 600, "word " * 5000  # and [CLS], [SEP]
    wanted = {"inputs": [{"index": 1, "tokens": 90}, {"index": 3, "tokens": 4490}], "tokens": 4580}
    for path, told in (("/api/embed", lambda answer: answer["truncated"]), ("/v1/embeddings", lambda answer: answer["cria"]["truncated"])):
        id = "cut-by" + path.replace("/", ".")
        status, headers, text = embedder.request("POST", path, {"model": "minilm", "input": ["a", long, "b", longer]},
                                                 {"X-Request-Id": id})
        assert status == 200 and headers["X-Cria-Truncated"] == "inputs=2, tokens=4580"
        assert told(json.loads(text)) == wanted
        log = (embedder.folder / "log").read_text()
        assert re.search(f'request={id} msg="2 of 4 inputs are longer than the context and lose their ends, 4580 tokens"', log)
        status, headers, text = embedder.request("POST", path, {"model": "minilm", "input": ["a", "b"]})
        assert headers["X-Cria-Truncated"] is None and not {"truncated", "cria"} & set(json.loads(text))
    _, headers, text = embedder.request("POST", "/api/embeddings", {"model": "minilm", "prompt": "a"})
    assert headers["X-Cria-Truncated"] is None and list(json.loads(text)) == ["embedding"]


def test_answers_that_were_cut_are_as_the_document_says(embedder):
    for path in ("/api/embed", "/v1/embeddings"):
        case = schema[path]["POST"].Case(body={"model": "minilm", "input": ["a", "word " * 600]}, media_type="application/json")
        response = case.call(base_url=embedder.url, timeout=60)
        assert response.status_code == 200 and response.headers["x-cria-truncated"] == ["inputs=1, tokens=90"]
        case.validate_response(response, checks=CHECKS)


def test_clients_take_answers_that_were_cut(embedder):
    client = openai.OpenAI(base_url=embedder.url + "/v1", api_key="any", _strict_response_validation=True)
    assert client.embeddings.create(model="minilm", input=["word " * 600], encoding_format="float").cria["truncated"]["tokens"] == 90
    assert len(ollama.Client(embedder.url).embed("minilm", "word " * 600).embeddings) == 1


def test_the_older_endpoint(embedder):
    status, _, text = embedder.request("POST", "/api/embeddings", {"model": "minilm", "prompt": "a cat"})
    assert status == 200
    vector, = embed(embedder, input="a cat")["embeddings"]
    old = json.loads(text)
    assert list(old) == ["embedding"]
    assert [struct.pack("f", x) for x in old["embedding"]] == [struct.pack("f", x) for x in vector]
    assert json.loads(embedder.request("POST", "/api/embeddings", {"model": "minilm"})[2]) == {"embedding": []}


def test_only_loading(embedder):
    for body in ({}, {"input": None}, {"input": ""}, {"input": []}):
        assert embed(embedder, **body) == {"model": "minilm", "embeddings": []}


def test_ollama_client(embedder):
    client = ollama.Client(embedder.url)
    answer = client.embed("minilm", ["a cat", "a kitten", "the stock market"])
    cat, kitten, market = answer.embeddings
    assert cosine(cat, kitten) > 0.6 > 0.3 > cosine(cat, market)
    assert answer.prompt_eval_count == 4 + 4 + 5  # with [CLS] and [SEP]
    assert answer.total_duration > 0
    assert "embedding" in client.show("minilm").capabilities
    assert len(client.embeddings("minilm", "a cat").embedding) == WIDTH
    with pytest.raises(ollama.ResponseError) as error:
        client.embed("nothing", "a")
    assert error.value.status_code == 404
    assert error.value.error == 'model "nothing" not found, try pulling it first'
    for refused in (lambda: client.generate("minilm", "Hi"), lambda: client.chat("minilm", [{"role": "user", "content": "Hi"}])):
        with pytest.raises(ollama.ResponseError) as error:
            refused()
        assert error.value.status_code == 400
        assert "does not support" in error.value.error


TOKEN_IDS = "invalid input type: token ids are not supported, send the texts " \
            "(with langchain-openai: check_embedding_ctx_length=False)"


def test_openai_client(embedder):
    client = openai.OpenAI(base_url=embedder.url + "/v1", api_key="any")
    native = embed(embedder, input=["a cat", ""])["embeddings"]
    by_default = client.embeddings.create(model="minilm", input=["a cat", ""])  # base64 on the wire
    numbers = client.embeddings.create(model="minilm", input=["a cat", ""], encoding_format="float")
    for answer in (by_default, numbers):
        assert [item.index for item in answer.data] == [0, 1]
        assert [[struct.pack("f", x) for x in item.embedding] for item in answer.data] == \
               [[struct.pack("f", x) for x in vector] for vector in native]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 6
    assert len(client.embeddings.create(model="minilm", input="x", dimensions=7).data[0].embedding) == 7
    raw = json.loads(embedder.request("POST", "/v1/embeddings", {"model": "minilm", "input": "a cat",
                                                                 "encoding_format": "BASE64"})[2])
    assert base64.b64decode(raw["data"][0]["embedding"]) == struct.pack(f"<{WIDTH}f", *native[0])
    for wrong, kind, message in (({"input": []}, openai.BadRequestError, "invalid input"),
                                 ({"input": ["a", 1]}, openai.BadRequestError, "invalid input type"),
                                 ({"input": [1, 2]}, openai.BadRequestError, TOKEN_IDS),
                                 ({"input": [[1, 2], [3]]}, openai.BadRequestError, TOKEN_IDS),
                                 ({"input": "x", "encoding_format": "hex"}, openai.BadRequestError,
                                  "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."),
                                 ({"input": "x", "model": "nothing"}, openai.NotFoundError,
                                  'model "nothing" not found, try pulling it first')):
        with pytest.raises(kind) as error:
            client.embeddings.create(**dict({"model": "minilm"}, **wrong))
        assert error.value.body["message"] == message


def test_a_decoder_embeds_and_still_generates(server):
    client = ollama.Client(server.url)
    both = client.embed("smol", ["The capital of France is", "x " * 700]).embeddings
    assert [len(vector) for vector in both] == [576, 576]
    assert client.embed("smol", "x " * 700).embeddings == [both[1]]
    answer = client.generate("smol", "The capital of France is", raw=True, options={"num_predict": 4})
    assert answer.response.strip().startswith("Paris")


def test_wrong_requests(embedder):
    for body, status, message in (
            ({"input": 5}, 400, "invalid input type"), ({"input": ["a", 1]}, 400, "invalid input type"),
            ({"input": {"a": 1}}, 400, "invalid input type"), ({"input": [["a"]]}, 400, "invalid input type"),
            ({"input": "a", "dimensions": -1}, 400, "dimensions is -1, expected 0 (all) or more"),
            ({"input": "a", "model": ""}, 404, "model '' not found")):
        assert embedder.error("POST", "/api/embed", dict({"model": "minilm"}, **body)) == (status, message)
    for body in ({"truncate": "yes"}, {"dimensions": 1.5}, {"model": 7}, {"options": 3}):
        assert embedder.error("POST", "/api/embed", dict({"model": "minilm", "input": "a"}, **body))[0] == 400
    assert embedder.error("POST", "/api/embeddings", {"prompt": "x"}) == (400, "model is required")


def test_strange_texts(embedder):
    strange = ["", " ", "\0", "a\0b", "\ud83d\ude00" * 300, "\u202e\ufeff\u0300" * 50, "[MASK] [CLS]", "x" * 1_000_000]
    answer = embed(embedder, input=strange)
    assert [len(vector) for vector in answer["embeddings"]] == [WIDTH] * len(strange)
    assert all(math.isfinite(x) for vector in answer["embeddings"] for x in vector)
    assert answer["embeddings"][0] == answer["embeddings"][1] == answer["embeddings"][2]  # [CLS] [SEP]


def test_very_many_inputs(embedder):
    answer = embed(embedder, input=["a"] * 10_000)
    first = answer["embeddings"][0]
    assert all(vector == first for vector in answer["embeddings"])
    assert len(answer["embeddings"]) == 10_000
    status, message = embedder.error("POST", "/api/embed", {"model": "minilm", "input": ["a"] * 50_000})
    assert status == 400 and "more than one answer holds" in message


def test_a_client_that_leaves_stops_the_work(embedder):
    embed(embedder, input="warm")

    def used():
        return sum(embedder.processor_seconds(pid) for pid in embedder.children("runner"))
    body = json.dumps({"model": "minilm", "input": ["some words " * 200] * 3000}).encode()
    with socket.create_connection(("127.0.0.1", embedder.port)) as client:
        client.sendall(b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        before = used()
        assert eventually(lambda: used() > before + 0.5, 30)

    def idle():
        before = used()
        threading.Event().wait(0.5)
        return used() - before < 0.05
    assert eventually(idle, 20)
    assert len(embed(embedder, input="still here")["embeddings"]) == 1


def test_requests_at_the_same_time(embedder):
    texts = [f"thread {i}" for i in range(8)]
    wanted = [embed(embedder, input=text)["embeddings"][0] for text in texts]
    got = [None] * len(texts)

    def ask(i):
        got[i] = [embed(embedder, input=[texts[i]] * 20)["embeddings"] for _ in range(3)]
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, answers in enumerate(got):
        assert answers == [[wanted[i]] * 20] * 3


def test_requests_that_are_computed_together_do_not_wait(tmp_path):
    """64 at once where three may wait: an encoder, and a decoder with a single place."""
    server = server_with_model(tmp_path, OLLAMA_MAX_QUEUE="3", OLLAMA_NUM_PARALLEL="1")
    names = ["smol"]
    if FOLDER.exists():
        create(server, "minilm", gguf(FOLDER))
        names.append("minilm")
    for name in names:
        alone = embed(server, model=name, input="thread 0")["embeddings"]
        assert json.loads(server.request("GET", "/api/status")[2])["loaded"][-1]["texts_together"] == 64
        start = threading.Barrier(64)

        def ask(i):
            start.wait()
            return server.request("POST", "/api/embed", {"model": name, "input": f"thread {i}"})
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(ask, range(64)))
        assert [status for status, _, _ in answers] == [200] * 64, name
        assert json.loads(answers[0][2])["embeddings"] == alone
    server.close()


def test_other_poolings(embedder):
    create(embedder, "minilm-cls", gguf(FOLDER, pooling=2))
    first, = embed(embedder, model="minilm-cls", input="a cat")["embeddings"]
    mean, = embed(embedder, input="a cat")["embeddings"]
    assert 0.2 < cosine(first, mean) < 0.999
    create(embedder, "minilm-cls", gguf(FOLDER, pooling=4))
    status, message = embedder.error("POST", "/api/embed", {"model": "minilm-cls", "input": "a"})
    # The checkpoint's pooler is there, its classifier is not.
    assert status == 500 and message.endswith("the file has no tensor cls.output.weight"), message
