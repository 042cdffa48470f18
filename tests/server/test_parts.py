"""Models that were cut into several files."""
import hashlib
import json
import os
import pathlib

import pytest
from gguf_parts import cut

NAMES = [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def parts():
    return cut(pathlib.Path(os.environ["CRIA_TEST_MODEL"]).read_bytes(), 3)


def uploaded(server, parts):
    digests = ["sha256:" + hashlib.sha256(part).hexdigest() for part in parts]
    for digest, part in zip(digests, parts):
        assert server.request("POST", f"/api/blobs/{digest}", part)[0] in (200, 201)
    return digests


def create(server, body):
    status, _, answer = server.request("POST", "/api/create", body)
    return status, [json.loads(line) for line in answer.splitlines()]


def test_parts_become_one_model_that_answers_as_the_whole(server, parts):
    digests = uploaded(server, parts)
    status, lines = create(server, {"model": "parts", "files": dict(zip(NAMES, digests))})
    assert status == 200 and lines[-1] == {"status": "success"}, lines
    steps = [line for line in lines if line["status"] == "merging 3 parts"]
    assert steps[-1]["completed"] == steps[-1]["total"] == sum(map(len, parts))
    question = {"prompt": "The capital of France is", "raw": True, "stream": False,
                "options": {"temperature": 0, "num_predict": 16}}
    answers = [json.loads(server.request("POST", "/api/generate", {"model": model, **question})[2])["response"]
               for model in ("parts", "smol")]
    assert answers[0] == answers[1] and "Paris" in answers[0]
    kept = {path.name for path in server.blobs()}
    assert not kept & {digest.replace(":", "-") for digest in digests}, "the parts are of no more use"
    assert server.request("DELETE", "/api/delete", {"model": "parts"})[0] == 200


@pytest.mark.parametrize("files, message", [
    ({0: 0, 2: 2}, "part 2 of 3 is missing: m-00002-of-00003.gguf"),
    ({1: 1, 2: 2}, "part 1 of 3 is missing: m-00001-of-00003.gguf"),
    ({0: 0, 1: 2, 2: 1}, "says that it is part 3 of 3, not 2 of 3"),
    ({0: 0, 1: 1, 2: 1}, "says that it is part 2 of 3, not 3 of 3"),
])
def test_parts_that_do_not_fit_are_refused(server, parts, files, message):
    digests = uploaded(server, parts)
    named = {NAMES[name]: digests[part] for name, part in files.items()}
    _, lines = create(server, {"model": "wrong", "files": named})
    assert message in lines[-1]["error"]
    assert server.request("POST", "/api/show", {"model": "wrong"})[0] == 404


def test_more_files_than_any_model_has_are_refused_at_once(server, parts):
    digest, = uploaded(server, parts[:1])
    files = {f"m-{n:05}-of-50000.gguf": digest for n in range(1, 50001)}
    status, message = server.error("POST", "/api/create", {"model": "many", "files": files})
    assert (status, message) == (400, "50000 files are too many, the limit is 2000")
