"""One runner of a decoder generates, embeds and tokenizes: nothing is loaded anew between these, and none changes another's result."""
import concurrent.futures
import json
import re

import pytest
from server_models import server_with_model

STORY = "The lighthouse keeper climbed the stairs, one by one, and thought of the ships. " * 4
GENERATE = {"model": "smol", "prompt": STORY, "stream": False, "options": {"temperature": 0, "num_predict": 12}}


@pytest.fixture(scope="module", params=["1", "4"])
def server(tmp_path_factory, request):
    server = server_with_model(tmp_path_factory.mktemp("one"), OLLAMA_NUM_PARALLEL=request.param)
    yield server
    server.close()


def ask(server, path, body):
    status, _, text = server.request("POST", path, body)
    assert status == 200, text
    return json.loads(text)


def embed(server, texts):
    return ask(server, "/api/embed", {"model": "smol", "input": texts})["embeddings"]


def generate(server, **more):
    return ask(server, "/api/generate", {**GENERATE, **more})["response"]


def starts(server):
    _, _, text = server.request("GET", "/metrics")
    return float(re.search(r'^cria_runner_starts_total\{model="[^"]*smol[^"]*"\} (\S+)', text.decode(), re.M)[1])


def test_ten_alternations_on_one_runner(server):
    vectors = embed(server, [STORY, "short"])
    (runner,) = server.children("runner")
    text = generate(server)
    for _ in range(10):
        assert embed(server, [STORY, "short"]) == vectors
        assert generate(server) == text
        assert ask(server, "/api/tokenize", {"model": "smol", "content": "short"})["tokens"]
        assert server.children("runner") == [runner]
    assert starts(server) == 1
    assert len(vectors[0]) == 576 and text
    # As on a runner that has done nothing else.
    ask(server, "/api/generate", {"model": "smol", "keep_alive": 0})
    assert generate(server) == text and embed(server, ["short", STORY]) == vectors[::-1]
    assert starts(server) == 2


def test_at_the_same_time(server):
    vectors, text = embed(server, [STORY, "short"]), generate(server)
    (runner,) = server.children("runner")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(generate, server) for _ in range(6)]
        many = [pool.submit(embed, server, [STORY, "short"] * 5) for _ in range(4)]
        assert all(answer.result() == text for answer in answers)
        assert all(result.result() == vectors * 5 for result in many)
    assert server.children("runner") == [runner]


def test_texts_wait_for_an_answer_and_come_then(server):
    """With one place a long answer keeps texts waiting, but no longer; and texts without end keep no answer waiting."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        long = pool.submit(generate, server, options={"temperature": 0, "num_predict": 150, "repeat_penalty": 1.3})
        vectors = pool.submit(embed, server, ["short"])
        flood = pool.submit(embed, server, [STORY] * 60)
        assert len(vectors.result(60)[0]) == 576 and long.result(60)
        assert generate(server)
        assert len(flood.result(100)) == 60
