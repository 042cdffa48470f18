#!/usr/bin/env python3
"""Runs the tests of this folder, or of another that has `test_*.py`, against a built program, as ctest does:

    tests/server/run.py --cria build/dev/cria --work build/dev/clients [--tests tests/registry]

The packages of the folder's requirements.txt and package.json, or of this one's, are installed into --work once. Without a registry or without the model the exit code is 77, which ctest calls skipped.
"""
import argparse
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
UV = "uv==0.13.9"
SKIPPED = 77


def skip(why):
    print(f"SKIPPED, NOTHING WAS TESTED: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def install_python(python, requirements):
    """uv asks for many packages at once: seconds where pip takes minutes. pip stays for registries that only its own settings name."""
    pip = [python, "-m", "pip", "install", "-q"]
    uv = [python, "-m", "uv", "pip", "install", "-q", "--python", python]
    if subprocess.run([*pip, UV]).returncode == 0 and subprocess.run([*uv, "-r", requirements]).returncode == 0:
        return True
    return subprocess.run([*pip, "-r", requirements]).returncode == 0


def install(work, folder):
    """The venv's interpreter; the JS clients beside it when npm is there."""
    python = work / "venv" / "bin" / "python"
    wanted = (folder / "requirements.txt").read_text() + (folder / "package.json").read_text()
    stamp = work / "installed"
    if not (stamp.exists() and stamp.read_text() == wanted):
        shutil.rmtree(work, ignore_errors=True)
        venv.create(work / "venv", with_pip=True)
        if not install_python(python, folder / "requirements.txt"):
            skip("the Python clients could not be installed (no registry?)")
        shutil.copy(folder / "package.json", work)
        if shutil.which("npm"):
            if subprocess.run(["npm", "install", "--silent"], cwd=work).returncode != 0:
                skip("the JavaScript clients could not be installed (no registry?)")
        stamp.write_text(wanted)
    return python


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cria", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--tests", default=HERE, type=pathlib.Path)
    arguments, rest = parser.parse_known_args()
    models = pathlib.Path(os.environ.get("CRIA_TEST_MODELS", "~/.cache/cria-test-models")).expanduser()
    if not (models / MODEL).exists():
        skip(f"{models / MODEL} is missing; tools/fetch_models.py gets it")
    work = arguments.work.resolve()
    work.parent.mkdir(parents=True, exist_ok=True)
    with open(work.with_suffix(".lock"), "w") as lock:  # ctest may run several of these at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = install(work, arguments.tests if (arguments.tests / "requirements.txt").exists() else HERE)
    environment = dict(os.environ, CRIA=str(arguments.cria.resolve()), CRIA_TEST_MODEL=str(models / MODEL),
                       CRIA_CLIENTS=str(arguments.work.resolve()), PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(HERE))
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", arguments.tests, *rest]
    sys.exit(subprocess.run(command, env=environment).returncode)


if __name__ == "__main__":
    main()
