"""Numbers that make no sense, in every numeric field: a clear answer, and the runner lives on."""
import itertools
import json
import os

import pytest
from cria_server import eventually
from server_models import server_with_model

KILLED = "unexpectedly stopped"
# Not JSON, or a number that nothing here can hold: never an answer.
IMPOSSIBLE = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e", "--1", "0x10", "01", ".5", "1_000"]
WRONG = ['"5"', "[]", "[1]", "{}", "true", '""', '"NaN"']  # JSON, but no number
EXTREME = ["0", "-1", "-2147483649", "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
           "1" + "0" * 300, "1e308", "-1e308", "1e-308", "0.5", "-0.0", "null"]
OPTIONS = ["seed", "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty",
           "frequency_penalty", "num_keep", "num_ctx", "num_batch", "num_thread", "num_gpu"]
OPENAI = ["temperature", "top_p", "n", "seed", "presence_penalty", "frequency_penalty", "top_logprobs", "num_ctx"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("numbers"))
    yield server
    server.close()


def requests():
    """(field, path, body with @ where the number goes)."""
    for name in OPTIONS:
        yield f"options.{name}", "/api/generate", {"prompt": "Hi", "raw": True, "options": {"num_predict": 1, name: "@"}}
    for name in ("temperature", "num_keep", "num_ctx"):
        yield f"chat options.{name}", "/api/chat", {"messages": [{"role": "user", "content": "Hi"}],
                                                    "options": {"num_predict": 1, name: "@"}}
    yield "top_logprobs", "/api/generate", {"prompt": "Hi", "logprobs": True, "top_logprobs": "@", "options": {"num_predict": 1}}
    yield "context", "/api/generate", {"prompt": "Hi", "context": [1, "@"], "options": {"num_predict": 1}}
    for name in OPENAI:
        yield f"v1 {name}", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "logprobs": True,
                                                     name: "@"}
    for name in ("temperature", "top_p", "top_k"):
        yield f"anthropic {name}", "/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, name: "@"}


REQUESTS = list(requests())
# These say how long an answer may be, so only numbers that are none are tried.
LENGTHS = [("options.num_predict", "/api/generate", {"prompt": "Hi", "options": {"num_predict": "@"}}),
           ("v1 max_tokens", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": "@"}),
           ("v1 max_output_tokens", "/v1/responses", {"input": "Hi", "max_output_tokens": "@"}),
           ("anthropic max_tokens", "/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": "@"})]


def ask(server, path, body, number):
    text = json.dumps({"model": "smol", "stream": False, **body}).replace('"@"', number)
    status, _, said = server.request("POST", path, text.encode())
    return status, json.loads(said)


def message_of(said):
    error = said["error"]
    return error["message"] if isinstance(error, dict) else error


@pytest.mark.parametrize("path,body", [case[1:] for case in REQUESTS + LENGTHS], ids=[case[0] for case in REQUESTS + LENGTHS])
def test_what_is_no_number_is_refused(server, path, body):
    for number in IMPOSSIBLE:
        status, said = ask(server, path, body, number)
        assert status == 400 and len(message_of(said)) > 5, (number, status, said)


@pytest.mark.parametrize("path,body", [case[1:] for case in REQUESTS], ids=[case[0] for case in REQUESTS])
def test_wrong_types_and_extremes_are_answered_or_refused(server, path, body):
    for number in itertools.chain(WRONG, EXTREME):
        if "n" in body and number in ("2147483648", "9223372036854775807"):
            continue  # so many answers
        status, said = ask(server, path, body, number)
        assert status in (200, 400, 500), (number, status, said)
        if status != 200:
            assert len(message_of(said)) > 5 and KILLED not in message_of(said), (number, said)
    assert eventually(lambda: ask(server, "/api/generate", {"prompt": "Hi", "options": {"num_predict": 1}}, "1")[0] == 200)


def test_no_runner_died(server):
    log = (server.folder / "log").read_text()
    assert "signal" not in log.lower().replace("signal 15: stopping", ""), log[-3000:]


def test_more_threads_than_cores_are_not_started(server):
    status, said = ask(server, "/api/generate", {"prompt": "Hi", "options": {"num_predict": 1, "num_thread": "@"}}, "4096")
    assert status == 200, said
    (runner,) = server.children("runner")
    assert len(os.listdir(f"/proc/{runner}/task")) <= len(os.sched_getaffinity(0)) + 6
