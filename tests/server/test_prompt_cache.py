"""CRIA_PROMPT_CACHE: prompts outlive the runner and the server."""
import json
import signal
import time

import pytest
from bert_file import gguf
from cria_server import Server, eventually
from server_models import server_with_model
from test_embeddings import FOLDER, create

STORY = " ".join(f"Item {i} of the list is number {i * 7}." for i in range(60))


def chat(server, text=STORY, **more):
    body = {"model": "smol", "messages": [{"role": "user", "content": text}], "max_tokens": 12, "temperature": 0, **more}
    status, _, answer = server.request("POST", "/v1/chat/completions", body)
    assert status == 200, answer
    answer = json.loads(answer)
    usage = answer["usage"]
    return answer["choices"][0]["message"]["content"], usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder with the model, and the answer without any cache."""
    folder = tmp_path_factory.mktemp("prompts")
    server = server_with_model(folder)
    text, cached, _ = chat(server)
    assert cached == 0
    assert not (server.folder / "models" / "cria" / "prompts").exists()
    server.close()
    return folder, text


def kept(server):
    return list((server.folder / "models" / "cria" / "prompts").iterdir())


def unload(server):
    server.request("POST", "/api/generate", {"model": "smol", "keep_alive": 0})
    assert eventually(lambda: not server.children("runner"))


def test_prompts_outlive_runner_server_and_kill(cold):
    folder, text = cold
    server = Server(folder, CRIA_PROMPT_CACHE="1")
    assert chat(server)[:2] == (text, 0)
    unload(server)
    again, cached, prompt = chat(server)
    assert again == text and cached == prompt - 1
    # Unloaded by the request itself, so that there is no idle moment to write in.
    other = "Something else. " + STORY
    body = {"model": "smol", "messages": [{"role": "user", "content": other}], "keep_alive": 0, "stream": False,
            "options": {"num_predict": 4, "temperature": 0}}
    assert server.request("POST", "/api/chat", body)[0] == 200
    assert eventually(lambda: not server.children("runner"))
    assert chat(server, other)[1] > 400
    file, = kept(server)
    assert file.stat().st_mode & 0o777 == 0o600
    server.close()

    server = Server(folder, CRIA_PROMPT_CACHE="1")
    assert chat(server)[:2] == (text, prompt - 1)
    # What an idle runner has written survives its being killed.
    for idle in (1, 5, 20):  # seconds: on a busy machine it begins to write later
        third = f"Number {idle}. {STORY}"
        assert chat(server, third)[1] < 60
        time.sleep(idle)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server = Server(folder, CRIA_PROMPT_CACHE="1")
        cached = chat(server, third)[1]
        if cached > 400:
            break
    assert cached > 400
    assert chat(server)[0] == text
    server.close()


def test_a_damaged_or_foreign_file_changes_no_answer(cold):
    folder, text = cold
    server = Server(folder, CRIA_PROMPT_CACHE="1")
    chat(server)
    unload(server)
    file, = kept(server)
    data = bytearray(file.read_bytes())
    for i in range(0, len(data), 5000):
        data[i] ^= 0x55
    for content in (bytes(data), b"", b"\xff" * 300_000):
        file.write_bytes(content)
        assert chat(server)[0] == text
        unload(server)
    file.unlink()
    file.mkdir()  # no file at all
    assert chat(server)[0] == text
    unload(server)
    file.rmdir()
    server.close()


def test_the_file_goes_with_the_model(cold, tmp_path):
    server = server_with_model(tmp_path)
    server.close()
    server = Server(tmp_path, CRIA_PROMPT_CACHE="1")
    chat(server)
    unload(server)
    assert len(kept(server)) == 1
    assert server.request("DELETE", "/api/delete", {"model": "smol"})[0] == 200
    assert not kept(server)
    server.close()


def test_a_model_that_only_embeds_has_no_file(tmp_path):
    if not FOLDER.exists():
        pytest.skip(f"{FOLDER} is missing; tools/fetch_models.py minilm gets it")
    server = Server(tmp_path, CRIA_PROMPT_CACHE="1")
    create(server, "minilm", gguf(FOLDER))
    for path, body in (("/api/embed", {"input": "a cat"}), ("/api/tokenize", {"content": "a cat"})):
        status, _, answer = server.request("POST", path, {"model": "minilm", "keep_alive": 0, **body})
        assert status == 200, answer
        assert eventually(lambda: not server.children("runner"))
        assert not (tmp_path / "models" / "cria" / "prompts").exists()
    server.close()
