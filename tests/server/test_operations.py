"""/api/status, /metrics, request ids and logs: what an operator sees. Read by Prometheus's own parser."""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import anthropic
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bert_file import RANK, byte_pairs, gguf
from server_models import NO_END, server_with_model
from cria_server import eventually
from test_embeddings import create
from test_rerank import FOLDER as RERANKER

BODY = {"model": "smol", "prompt": "Once upon a time", "raw": True, "stream": False, "options": {"num_predict": 8}}
ENDLESS = {**BODY, "stream": True, "options": {**NO_END, "num_predict": 100_000, "temperature": 1}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("operations"))
    yield server
    server.close()


def metrics(server):
    """{(name, labels): value}"""
    status, headers, text = server.request("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))), 0)


def status(server):
    return json.loads(server.request("GET", "/api/status")[2])


def open_stream(server, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/api/generate", json.dumps(body), headers)
    return connection


def test_counters_agree_with_what_the_answers_say(server):
    before = metrics(server)
    answers = [json.loads(server.request("POST", "/api/generate", BODY)[2]) for _ in range(3)]
    model = {"model": "smol:latest"}
    after = {}

    def grown(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    def counted():  # a client may have its answer a moment before that is counted
        after.update(metrics(server))
        return grown("cria_time_per_output_token_seconds_count", **model) == 3
    assert eventually(counted)
    after.update(metrics(server))  # one scrape may fall between two of a request's counters
    assert grown("cria_prompt_tokens_total", **model) == sum(a["prompt_eval_count"] for a in answers)
    assert grown("cria_generated_tokens_total", **model) == sum(a["eval_count"] for a in answers)
    assert grown("cria_prompt_cached_tokens_total", **model) == 2 * (answers[0]["prompt_eval_count"] - 1)
    assert grown("cria_requests_total", route="/api/generate", status="200") == 3
    for name in ("time_to_first_token", "queue_wait", "time_per_output_token"):
        assert grown(f"cria_{name}_seconds_count", **model) == 3
        assert grown(f"cria_{name}_seconds_sum", **model) > 0 or name == "queue_wait"
    assert value(after, "cria_models_loaded") == 1
    pages = value(after, "cria_kv_pages", **model)
    assert 0 < value(after, "cria_kv_pages_used", **model) <= pages
    assert value(after, "cria_runner_starts_total", **model) >= 1


def test_a_killed_runner_is_counted_once(server):
    server.request("POST", "/api/generate", BODY)
    before = metrics(server)
    (runner,) = server.children("runner")
    assert runner == status(server)["loaded"][0]["pid"]
    os.kill(runner, signal.SIGKILL)
    assert eventually(lambda: status(server)["counts"]["loaded"] == 0)
    server.request("POST", "/api/generate", BODY)
    after = metrics(server)
    for name in ("cria_runner_failures_total", "cria_runner_starts_total"):
        assert value(after, name, model="smol:latest") - value(before, name, model="smol:latest") == 1
    server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
    assert eventually(lambda: not server.children("runner"))
    assert value(metrics(server), "cria_runner_failures_total", model="smol:latest") == \
        value(after, "cria_runner_failures_total", model="smol:latest")


def test_hostile_labels_make_no_series(server):
    server.request("POST", "/api/generate", BODY)
    server.request("GET", "/nothing")
    count = len(metrics(server))
    for i in range(300):
        server.request("POST", "/api/generate", {"model": f"none{i}", "prompt": "x"})
        server.request("GET", f"/nothing/{i}")
        server.request("FROB", f"/api/tags/{i}")
    for name in ("SMOL", "sMol:LATEST", "library/smol", "registry.ollama.ai/library/smol"):
        assert server.request("POST", "/api/generate", {**BODY, "model": name})[0] == 200
    after = metrics(server)
    assert {dict(labels)["model"] for _, labels in after if dict(labels).get("model")} == {"smol:latest"}
    assert len(after) <= count + 40  # a 404 of /api/generate and the like, nothing per name


def test_status_follows_a_request(server):
    server.request("POST", "/api/generate", BODY)
    connection = open_stream(server, ENDLESS, **{"X-Request-Id": "mine-1"})
    answer = connection.getresponse()
    assert answer.headers["X-Request-Id"] == "mine-1"
    for _ in range(5):
        answer.readline()
    assert eventually(lambda: status(server)["counts"]["requests"] == 2)  # the first one's handler may be ending
    now = status(server)
    (mine,) = [r for r in now["requests"] if r["id"] == "mine-1"]
    assert mine["phase"] == "generating" and mine["model"] == "smol:latest" and mine["route"] == "/api/generate"
    assert mine["generated_tokens"] >= 5 and mine["prompt_tokens"] > 0 and mine["seconds"] > 0
    assert now["counts"]["requests"] == len(now["requests"]) == 2  # that one and the one that asks
    (loaded,) = now["loaded"]
    assert loaded["requests"] == 1 and loaded["memory"]["weights"] > 50_000_000
    assert now["cloud"] == {"disabled": True, "source": "config"}
    answer.close()
    connection.close()
    assert eventually(lambda: status(server)["counts"]["requests"] == 1)
    assert status(server)["loaded"][0]["requests"] == 0


def test_queued_requests_have_positions(server):
    """While a stream holds the model, requests that want another runner of it wait their turn."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two cores: another number of threads is what a runner is loaded anew for")
    server.request("POST", "/api/generate", BODY)
    stream = open_stream(server, ENDLESS)
    answer = stream.getresponse()
    answer.readline()
    waiting = []
    for i in range(3):
        body = {**BODY, "options": {"num_predict": 1, "num_thread": 1}}
        waiting.append(open_stream(server, body, **{"X-Request-Id": f"wait-{i}"}))
        assert eventually(lambda: status(server)["counts"]["queued"] == i + 1)
    queue = status(server)["queued"]
    assert queue == [{"id": f"wait-{i}", "model": "smol:latest", "position": i + 1} for i in range(3)]
    assert value(metrics(server), "cria_requests_queued") == 3
    phases = {r["id"]: r["phase"] for r in status(server)["requests"]}
    assert all(phases[f"wait-{i}"] == "queued" for i in range(3))
    answer.close()
    stream.close()
    for connection in waiting:
        assert connection.getresponse().status == 200
        connection.close()
    assert status(server)["counts"]["queued"] == 0


def test_requests_that_wait_for_a_place_have_positions_and_a_limit(tmp_path):
    """One answer at a time, and three may wait: for a place in the runner or for another runner."""
    server = server_with_model(tmp_path, OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="3")
    streams = []

    def wait(name, route="/api/generate", **body):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", route, json.dumps({"model": "smol", **body}), {"X-Request-Id": name})
        streams.append(connection)

    def queue():
        return [(one["id"], one["position"]) for one in status(server)["queued"]]
    try:
        server.request("POST", "/api/generate", BODY)
        stream = open_stream(server, ENDLESS)
        answer = stream.getresponse()
        answer.readline()
        wait("answer", **{**BODY, "options": {"num_predict": 1}})
        assert eventually(lambda: queue() == [("answer", 1)])
        wait("vector", "/api/embed", input=["a", "b"])
        assert eventually(lambda: queue() == [("answer", 1), ("vector", 2)])
        wait("reload", **{**BODY, "options": {"num_predict": 1, "num_ctx": 1024}})
        assert eventually(lambda: queue() == [("answer", 1), ("vector", 2), ("reload", 3)])
        assert value(metrics(server), "cria_requests_queued") == 3
        phases = {r["id"]: r["phase"] for r in status(server)["requests"]}
        assert all(phases[name] == "queued" for name, _ in queue())
        busy = (503, "server busy, please try again.  maximum pending requests exceeded")
        assert server.error("POST", "/api/generate", BODY) == busy
        assert server.error("POST", "/api/embed", {"model": "smol", "input": "x"}) == busy
        assert server.error("POST", "/api/generate", {**BODY, "options": {"num_ctx": 512}}) == busy
        # These need no place.
        assert server.request("POST", "/api/tokenize", {"model": "smol", "content": "x"})[0] == 200
        assert server.request("POST", "/api/generate", {"model": "smol"})[0] == 200
        streams.pop(0).close()
        assert eventually(lambda: queue() == [("vector", 1), ("reload", 2)])
        time.sleep(0.2)  # of waiting, which is measured below
        answer.close()
        stream.close()
        for connection in streams:
            assert connection.getresponse().status == 200
        assert queue() == []
        assert eventually(lambda: value(metrics(server), "cria_queue_wait_seconds_sum", model="smol:latest") > 0.1)
    finally:
        server.close()


def test_scrapes_while_streams_run_and_a_model_unloads(server):
    failures, stop = [], threading.Event()

    def scrape():
        while not stop.is_set():
            try:
                metrics(server)
                status(server)
            except Exception as error:  # shown below
                failures.append(error)
    scrapers = [threading.Thread(target=scrape) for _ in range(3)]
    streams = [open_stream(server, {**ENDLESS, "options": {"num_predict": 20}}) for _ in range(16)]
    for scraper in scrapers:
        scraper.start()
    try:
        for stream in streams:
            lines = stream.getresponse().read().decode().strip().splitlines()
            assert json.loads(lines[-1])["done"]
        for _ in range(3):
            server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
            assert server.request("POST", "/api/generate", BODY)[0] == 200
    finally:
        stop.set()
        for scraper in scrapers:
            scraper.join()
    assert not failures


def test_request_ids(server):
    for given in ("abc", "A.b_c:d-1", "x" * 128):
        assert server.request("GET", "/api/tags", headers={"X-Request-Id": given})[1]["X-Request-Id"] == given
    made = set()
    for odd in ("", "x" * 129, "a b", 'a"b', "a\\b", "\xff"):
        made.add(server.request("GET", "/api/tags", headers={"X-Request-Id": odd})[1]["X-Request-Id"])
    assert len(made) == 6 and all(re.fullmatch("req_[0-9a-f]{24}", id) for id in made)
    assert server.request("GET", "/api/tags", headers={"X-Request-Id": "\x1b[2J"})[0] == 400  # no HTTP
    for path in ("/nothing", "/api/chat", "/"):
        assert server.request("GET", path)[1]["X-Request-Id"]
    client = anthropic.Anthropic(base_url=server.url, api_key="x", max_retries=0)
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(model="none", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    assert missing.value.request_id == missing.value.body["request_id"]


def test_an_error_and_the_log_name_the_request(server):
    body = {"model": "smol", "prompt": "x", "options": {"temperature": "hot"}}
    code, headers, _ = server.request("POST", "/api/generate", body, {"X-Request-Id": "find-me"})
    assert (code, headers["X-Request-Id"]) == (400, "find-me")
    server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
    server.request("POST", "/api/generate", BODY, {"X-Request-Id": "loads-it"})
    assert re.search(r'request=loads-it msg="loading smol', (server.folder / "log").read_text())


def test_logs_as_json(tmp_path):
    for format in ("json", "text"):
        folder = tmp_path / format
        folder.mkdir()
        environment = dict(os.environ, OLLAMA_HOST="127.0.0.1:0", OLLAMA_MODELS=str(folder / "models"),
                           HOME=str(folder), CRIA_LOG_FORMAT=format)
        process = subprocess.Popen([os.environ["CRIA"], "serve"], env=environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        log = []
        for line in process.stderr:
            log.append(line)
            if "Listening on" in line:
                break
        url = "http://" + re.search(r"Listening on (127\.0\.0\.1:\d+)", log[-1])[1]
        hostile = urllib.request.Request(url + "/a%22b%0A%1b[2J", headers={"X-Request-Id": "hostile-1"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(hostile, timeout=10)
        process.terminate()
        out = process.communicate(timeout=15)[0]
        if format == "json":
            assert all({"time", "level", "role", "msg"} <= set(json.loads(line)) for line in log)
            (record,) = [r for r in map(json.loads, filter(lambda l: l.startswith("{"), out.splitlines()))
                         if r["request_id"] == "hostile-1"]
            assert record["status"] == 404 and record["route"] == "none" and record["seconds"] >= 0
            assert "[GIN]" not in out
        else:
            assert re.search(r"^\[GIN\] .* \| 404 \| ", out, re.M)
            assert all(re.match(r'time=\S+ level=info role=serve msg="', line) for line in log), log


def test_lines_of_the_runner_name_the_request(tmp_path):
    """Several at once: each line has the id of the request that it is about."""
    server = server_with_model(tmp_path, OLLAMA_DEBUG="1", OLLAMA_NUM_PARALLEL="4")
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: server.request("POST", "/api/generate", {
                "model": "smol", "prompt": "word " * (20 + 10 * i), "stream": False, "raw": True, "options": {"num_predict": 8}},
                {"X-Request-Id": f"of-the-runner-{i}"}), range(4)))
    finally:
        server.close()
    lines = (tmp_path / "log").read_text().splitlines()
    for i in range(4):
        mine = [line for line in lines if f"request=of-the-runner-{i} " in line and "role=runner" in line]
        assert any(f"{20 + 10 * i} prompt tokens" in line or f"{21 + 10 * i} prompt tokens" in line for line in mine), mine
        assert any("after 8 tokens" in line for line in mine), mine


@pytest.mark.parametrize("kind, told", [("q4_0", False), ("Q8_0", False), ("q3", True)])
def test_every_type_of_the_kv_cache_serves(tmp_path, kind, told):
    """Ollama's q4_0 is kept in q8_0; what is no type counts as the default, and is told."""
    server = server_with_model(tmp_path, OLLAMA_KV_CACHE_TYPE=kind)
    try:
        answer = server.request("POST", "/api/generate", {"model": "smol", "prompt": "word", "stream": False,
                                                          "options": {"num_predict": 2}})
        assert answer[0] == 200, answer[2]
    finally:
        server.close()
    log = (tmp_path / "log").read_text()
    assert (f"invalid environment variable, using default: OLLAMA_KV_CACHE_TYPE={kind}" in log) == told


def test_lines_of_the_runner_name_the_requests_that_are_no_answers(tmp_path):
    server = server_with_model(tmp_path, OLLAMA_DEBUG="1")
    requests = [("embed", {"input": ["word", "word word"]}, 200, "2 inputs of 3 tokens"),
                ("tokenize", {"content": "word word word"}, 200, "14 bytes are 3 tokens"),
                ("detokenize", {"tokens": [0, 1, 2, 3]}, 200, "4 tokens are"),
                ("embed", {"input": "word " * 50, "truncate": False, "options": {"num_ctx": 8}}, 400, "exceeds the context")]
    if RERANKER.exists():
        create(server, "ranks", gguf(RERANKER, RANK, byte_pairs(RERANKER, 0, 2)))
        requests.append(("rerank", {"model": "ranks", "query": "a", "documents": ["b", "c", "d"]}, 200, "3 inputs of"))
    try:
        for i, (path, body, status, _) in enumerate(requests):
            answer = server.request("POST", f"/api/{path}", {"model": "smol", **body}, {"X-Request-Id": f"{path}-{i}"})
            assert answer[0] == status, answer[2]
    finally:
        server.close()
    lines = (tmp_path / "log").read_text().splitlines()
    for i, (path, _, _, said) in enumerate(requests):
        mine = [line for line in lines if f"request={path}-{i} " in line and "role=runner" in line]
        assert any(said in line for line in mine), (path, mine)
