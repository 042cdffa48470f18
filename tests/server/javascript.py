"""Runs a script with the JavaScript clients that run.py has installed."""
import os
import pathlib
import subprocess

import pytest


def run_javascript(name, script, *arguments):
    clients = pathlib.Path(os.environ["CRIA_CLIENTS"])
    if not (clients / "node_modules").exists():
        pytest.skip("npm is not installed")
    path = clients / name
    path.write_text(script)
    answer = subprocess.run(["node", path, *arguments], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
