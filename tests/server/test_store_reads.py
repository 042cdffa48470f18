"""What a request reads of the store: nothing twice, and nothing that has changed since."""
import json
import pathlib
import time

import pytest
from server_models import server_with_model

LICENSE = "All rights given. " * 50_000
YOUNG = 2.5  # seconds: a younger manifest might change without its times telling


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("reads"))
    yield server
    server.close()


def create(server, system, name="told"):
    body = {"model": name, "from": "smol", "system": system, "template": "[{{ .System }}] {{ .Prompt }}",
            "license": LICENSE, "stream": False}
    assert server.request("POST", "/api/create", body)[0] == 200


def rendered(server):
    body = {"model": "told", "prompt": "Hi", "stream": False, "_debug_render_only": True}
    status, _, text = server.request("POST", "/api/generate", body)
    assert status == 200, text
    return json.loads(text)["_debug_info"]["rendered_template"]


def bytes_read(server):
    lines = pathlib.Path(f"/proc/{server.process.pid}/io").read_text().splitlines()
    return int(lines[0].split()[1])


def test_a_manifest_that_has_not_changed_is_not_read_again(server):
    create(server, "first")
    time.sleep(YOUNG)
    assert rendered(server) == "[first] Hi"
    before = bytes_read(server)
    for _ in range(5):
        assert rendered(server) == "[first] Hi"
    assert bytes_read(server) - before < len(LICENSE)


def test_a_change_is_seen_by_the_next_request(server):
    for wait in (0, YOUNG):
        for system in ("one", "two"):
            create(server, system)
            time.sleep(wait)
            assert rendered(server) == rendered(server) == f"[{system}] Hi"
    create(server, "three", name="other")
    manifests = server.folder / "models/manifests/registry.ollama.ai/library"
    (manifests / "told/latest").write_bytes((manifests / "other/latest").read_bytes())  # another program, in place
    assert rendered(server) == "[three] Hi"
    assert server.request("DELETE", "/api/delete", {"model": "told"})[0] == 200
    assert server.error("POST", "/api/generate", {"model": "told", "prompt": "Hi"})[0] == 404
