"""Reranking: a tiny cross-encoder against the scores of transformers; what hostile clients send."""
import json
import math
import pathlib

import pytest
from bert_file import RANK, byte_pairs, gguf
from test_embeddings import create
from test_openapi import CHECKS, schema

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "shared/data/tiny-models/bert-reranker"
CLS, SEP = 0, 2  # as the golden's pairs have them


@pytest.fixture(scope="module")
def reranker(server):
    if not FOLDER.exists():
        pytest.skip("no shared data")
    create(server, "ranks", gguf(FOLDER, RANK, byte_pairs(FOLDER, CLS, SEP)))
    yield server
    server.request("DELETE", "/api/delete", {"model": "ranks"})


def rerank(server, path="/v1/rerank", **body):
    status, _, text = server.request("POST", path, {"model": "ranks", **body})
    assert status == 200, text
    return json.loads(text)


def golden():
    return json.loads((FOLDER / "golden.json").read_text())["pairs"]


def test_scores_are_those_of_transformers(reranker):
    for query in {pair["query"] for pair in golden()}:
        pairs = [pair for pair in golden() if pair["query"] == query]
        answer = rerank(reranker, query=query, documents=[pair["document"] for pair in pairs])
        assert answer["object"] == "list" and answer["model"] == "ranks"
        tokens = sum(len(pair["input_ids"]) for pair in pairs)
        assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
        assert sorted(one["index"] for one in answer["results"]) == list(range(len(pairs)))
        for one in answer["results"]:
            score = one["relevance_score"]
            assert abs(math.log(score / (1 - score)) - pairs[one["index"]]["score"][0]) < 1e-3
        scores = [one["relevance_score"] for one in answer["results"]]
        assert scores == sorted(scores, reverse=True)


def test_shape(reranker):
    documents = ["Hello world", {"text": "The quick brown fox"}, "", {"text": "Hello world", "id": 5}]
    answer = rerank(reranker, "/api/rerank", query="fox", documents=documents, return_documents=True)
    texts = ["Hello world", "The quick brown fox", "", "Hello world"]
    for one in answer["results"]:
        assert one["document"] == {"text": texts[one["index"]]}
    order = [one["index"] for one in answer["results"]]
    assert order.index(0) + 1 == order.index(3)  # the same score: in the order of the request
    assert "document" not in rerank(reranker, query="fox", documents=documents)["results"][0]
    best = rerank(reranker, query="fox", documents=documents, top_n=2)["results"]
    assert [one["index"] for one in best] == order[:2]
    assert len(rerank(reranker, query="fox", documents=documents, top_n=50)["results"]) == 4


def test_company_changes_no_score(reranker):
    documents = [f"Document {i} about " + "foxes " * (i % 50) for i in range(300)]
    scores = {one["index"]: one["relevance_score"]
              for one in rerank(reranker, query="fox", documents=documents)["results"]}
    for i in (0, 49, 299):
        assert rerank(reranker, query="fox", documents=[documents[i]])["results"][0]["relevance_score"] == scores[i]


def test_what_is_too_long(reranker):
    long = "x y z " * 400
    answer = rerank(reranker, query="fox", documents=[long, "a"])
    assert answer["usage"]["total_tokens"] > 256
    one, = rerank(reranker, query="fox", documents=[long])["results"]
    assert one == {"index": 0, "relevance_score": [r for r in answer["results"] if r["index"] == 0][0]["relevance_score"]}
    assert rerank(reranker, query="fox", documents=[long])["usage"]["total_tokens"] == 256
    assert answer["cria"] == {"truncated": {"inputs": [{"index": 0, "tokens": answer["cria"]["truncated"]["tokens"]}],
                                            "tokens": answer["cria"]["truncated"]["tokens"]}}
    assert "cria" not in rerank(reranker, query="fox", documents=["a"])
    case = schema["/v1/rerank"]["POST"].Case(body={"model": "ranks", "query": "fox", "documents": ["a", long]},
                                             media_type="application/json")
    response = case.call(base_url=reranker.url)
    assert response.headers["x-cria-truncated"] == [f"inputs=1, tokens={answer['cria']['truncated']['tokens']}"]
    case.validate_response(response, checks=CHECKS)
    refused = {"model": "ranks", "query": "fox", "documents": [long], "truncate": False}
    status, message = reranker.error("POST", "/api/rerank", refused)
    assert status == 400 and message.startswith("query and document exceed the context length: ")
    status, message = reranker.error("POST", "/api/rerank", {"model": "ranks", "query": long, "documents": ["a"]})
    assert status == 400 and message.startswith("the query is too long: ")


def test_only_cross_encoders_rank(reranker):
    request = {"model": "smol", "query": "fox", "documents": ["a"]}
    status, message = reranker.error("POST", "/api/rerank", request)
    assert status == 400 and message.startswith('"smol" does not support rerank, which takes a cross-encoder')
    status, error = reranker.error("POST", "/v1/rerank", request)
    assert status == 400 and error["type"] == "invalid_request_error"
    assert reranker.error("POST", "/api/embed", {"model": "ranks", "input": "a"}) == (
        400, "this model ranks pairs of texts; it gives no embeddings")
    assert reranker.error("POST", "/api/chat", {"model": "ranks", "messages": [{"role": "user", "content": "a"}]}) == (
        400, '"ranks" does not support chat')
    _, _, text = reranker.request("POST", "/api/show", {"model": "ranks"})
    assert json.loads(text)["capabilities"] == ["rerank"]


@pytest.mark.parametrize("change, wanted", [
    ({"model": None}, "model is required"), ({"query": ""}, "query is required"), ({"query": 5}, "cannot unmarshal"),
    ({"documents": None}, "documents is required"), ({"documents": []}, "documents is required"),
    ({"documents": "a"}, "cannot unmarshal"), ({"documents": [5]}, "cannot unmarshal"),
    ({"documents": [{"title": "x"}]}, "documents[0] has no text"), ({"documents": ["a"] * 10_001}, "at most 10000"),
    ({"top_n": 0}, "top_n is 0"), ({"top_n": -1}, "top_n is -1"), ({"top_n": 1.5}, "cannot unmarshal"),
    ({"return_documents": "yes"}, "cannot unmarshal")])
def test_bad_input(reranker, change, wanted):
    body = {"model": "ranks", "query": "fox", "documents": ["a"], **change}
    status, message = reranker.error("POST", "/api/rerank", body)
    assert status == 400 and wanted in message, message
    assert reranker.error("POST", "/api/rerank", {**body, "model": "none", "query": "q", "documents": ["a"],
                                                  "top_n": 1, "return_documents": False}) == (404, "model 'none' not found")
