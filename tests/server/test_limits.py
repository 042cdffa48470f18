"""Options of a request are limits of that request: what they say loads nothing anew. What a runner has room for, and how much of it."""
import concurrent.futures
import json
import os
import re
import urllib.request

import pytest
from cria_server import eventually
from server_models import server_with_model

BODY = {"model": "smol", "prompt": "Once upon a time", "raw": True, "stream": False}
GREEDY = {"temperature": 0, "num_predict": 16}


def ask(server, **options):
    status, _, text = server.request("POST", "/api/generate", {**BODY, "options": {**GREEDY, **options}})
    assert status == 200, text
    return json.loads(text)


def loaded(server):
    (one,) = json.loads(server.request("GET", "/api/status")[2])["loaded"]
    return one


def log(server):
    return (server.folder / "log").read_text()


def starts(server):
    _, _, text = server.request("GET", "/metrics")
    return sum(float(n) for n in re.findall(r"^cria_runner_starts_total\{.*\} (\S+)", text.decode(), re.M))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("limits"))
    yield server
    server.close()


def test_nothing_is_loaded_anew(server):
    answer = ask(server)
    pid = loaded(server)["pid"]
    for options in ({"num_ctx": 512}, {"num_ctx": 4096}, {}, {"num_ctx": 1 << 20}, {"num_batch": 8}, {"num_batch": 512},
                    {"num_gpu": 0}, {"use_mmap": False}):
        assert ask(server, **options)["response"] == answer["response"], options
        assert loaded(server)["pid"] == pid, options
    for path in ("/api/embed", "/api/generate"):
        status, _, _ = server.request("POST", path, {"model": "smol", "input": "a", "prompt": "a", "stream": False,
                                                     "options": {"num_ctx": 64, "num_predict": 1}})
        assert status == 200 and loaded(server)["pid"] == pid
    assert starts(server) == 1
    assert "reloading" not in log(server)


def test_names_of_the_same_weights_share_a_runner_and_keep_their_words(server):
    ask(server)
    pid = loaded(server)["pid"]
    for name, system in (("formal", "You are formal."), ("pirate", "You are a pirate.")):
        body = {"model": name, "from": "smol", "system": system, "template": "[{{ .System }}] {{ .Prompt }}", "stream": False,
                "parameters": {"num_ctx": 300}}
        assert server.request("POST", "/api/create", body)[0] == 200
    for name, system in (("formal", "[You are formal.] Hi"), ("pirate", "[You are a pirate.] Hi")) * 2:
        body = {"model": name, "prompt": "Hi", "stream": False, "_debug_render_only": True, "options": {"num_predict": 1}}
        status, _, text = server.request("POST", "/api/generate", body)
        assert status == 200 and json.loads(text)["_debug_info"]["rendered_template"] == system, text
    long = {"model": "pirate", "prompt": "word " * 500, "stream": False, "options": {"num_predict": 1}}
    assert json.loads(server.request("POST", "/api/generate", long)[2])["prompt_eval_count"] < 300
    assert json.loads(server.request("POST", "/api/generate", {**long, "model": "smol"})[2])["prompt_eval_count"] > 500
    assert loaded(server)["pid"] == pid


def test_two_contexts_at_once(server):
    options = {"num_predict": 400, "logit_bias": {"0": -100, "2": -100}}  # it never ends by itself

    def length(num_ctx):
        status, _, text = server.request("POST", "/api/generate", {
            **BODY, "shift": False, "options": {**GREEDY, **options, "num_ctx": num_ctx}})
        assert status == 200
        answer = json.loads(text)
        assert answer["done_reason"] == "length"
        return answer["prompt_eval_count"] + answer["eval_count"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(length, (100, 200))) == [101, 201]


def test_another_number_of_threads_is_a_reason(server):
    if (os.cpu_count() or 1) < 2 or loaded(server)["threads"] < 2:
        pytest.skip("needs two cores")
    first = ask(server)["response"]
    before = loaded(server)
    assert "reloaded_because" not in before
    assert ask(server, num_thread=1)["response"] == first
    now = loaded(server)
    assert now["pid"] != before["pid"] and now["threads"] == 1
    assert now["reloaded_because"] == "num_thread is 1"
    assert "reloading smol:latest: num_thread is 1" in log(server)
    assert ask(server)["response"] == first
    assert loaded(server)["pid"] == now["pid"]  # who has no wish takes what is there
    server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})


def test_memory_is_taken_as_it_is_used(server):
    ask(server)
    # The runner tells what it took after the answer.
    assert eventually(lambda: loaded(server)["memory"]["kv"] > 0)
    memory = loaded(server)["memory"]
    (shown,) = json.loads(server.request("GET", "/api/ps")[2])["models"]
    assert memory["kv"] < memory["kv_limit"]
    assert shown["size"] == memory["weights"] + memory["scratch"] + memory["kv"]
    before = memory["kv"]
    server.request("POST", "/api/generate", {
        **BODY, "prompt": "word " * 3000, "options": {"num_predict": 1}})
    assert eventually(lambda: loaded(server)["memory"]["kv"] > before)


def test_more_than_the_cache_holds(tmp_path):
    server = server_with_model(tmp_path, CRIA_KV_MEMORY="40")
    answer = ask(server)
    longest = loaded(server)["context_length"]
    assert 1024 <= longest < 4096
    body = {**BODY, "options": {"num_ctx": 5000}}
    status, _, text = server.request("POST", "/api/generate", body)
    assert status == 400
    error = json.loads(text)["error"]
    assert "num_ctx is 5000" in error and f"room for {longest} tokens" in error
    status, _, text = server.request("POST", "/api/embed", {"model": "smol", "input": "x", "options": {"num_ctx": 5000}})
    assert status == 400 and "num_ctx is 5000" in json.loads(text)["error"]
    assert ask(server, num_ctx=longest)["response"] == answer["response"]
    # More at a time than it has room for: they take turns, and say what they say alone.
    prompts = [f"{word} " * 300 for word in ("one", "two", "red", "sea", "old")]

    def long(prompt):
        body = {**BODY, "prompt": prompt, "options": {**GREEDY, "num_predict": 60}}
        status, _, text = server.request("POST", "/api/generate", body)
        assert status == 200, text
        return json.loads(text)["response"]
    alone = [long(prompt) for prompt in prompts]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(long, prompts * 2)) == alone * 2
    assert starts(server) == 1
    server.close()


def test_sixteen_users_at_once_without_a_word_about_places(tmp_path):
    """All are answered, as many at a time as /api/status says, and as if each were alone."""
    server = server_with_model(tmp_path, OLLAMA_NUM_PARALLEL="")
    words = ["red", "sea", "old", "one", "tree", "song", "king", "rain", "gold", "moon", "ship", "fire", "snow", "road", "bird", "salt"]
    never_ends = {**GREEDY, "num_predict": 200, "logit_bias": {"0": -100, "2": -100}}

    def tell(word):
        body = {**BODY, "prompt": f"Once upon a time there was a {word}", "options": never_ends}
        status, _, text = server.request("POST", "/api/generate", body)
        assert status == 200, text
        return json.loads(text)["response"]
    alone = [tell(word) for word in words]
    assert len(set(alone)) == 16
    places = loaded(server)["parallel"]
    assert places > 1
    most = 0
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(tell, word) for word in words]
        while not all(one.done() for one in answers):
            requests = json.loads(server.request("GET", "/api/status")[2])["requests"]
            running = [one for one in requests if one["phase"] in ("prompt", "generating")]
            most = max(most, len(running))
        assert [one.result() for one in answers] == alone
    assert most == min(16, places)
    assert starts(server) == 1
    server.close()


def test_texts_pause_nobody_while_there_are_pages(tmp_path):
    server = server_with_model(tmp_path, OLLAMA_DEBUG="1")
    body = {**BODY, "stream": True, "options": {**GREEDY, "num_ctx": 64, "num_predict": 400, "logit_bias": {"0": -100, "2": -100}}}
    request = urllib.request.Request(server.url + "/api/generate", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=120) as answer:
        for i, line in enumerate(answer):
            if i in (200, 300):
                assert server.request("POST", "/api/embed", {"model": "smol", "input": "a text"})[0] == 200
            last = json.loads(line)
    assert i > 300 and last["done"] and last["shifted"] > 0, last
    assert "waits for pages" not in log(server)
    server.close()
