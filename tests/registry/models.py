"""Models written straight into a store folder, independently of the program, and comparisons of stores."""
import hashlib
import json
import random

LAYER = "application/vnd.ollama.image."
CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MIB = 1 << 20


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def layer(content, kind, **more):
    return {"mediaType": kind if "/" in kind else LAYER + kind, "digest": digest_of(content), "size": len(content), **more}


def manifest_of(layers, config):
    """The bytes of a manifest. `layers` is a list of (kind, content)."""
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": layer(config, CONFIG),
                       "layers": [layer(content, kind) for kind, content in layers]},
                      separators=(",", ":")).encode() + b"\n"


def config_of(family="llama"):
    return json.dumps({"model_format": "gguf", "model_family": family, "model_families": [family], "model_type": "1M",
                       "file_type": "F16", "architecture": "amd64", "os": "linux"}).encode()


def manifest_path(models, name):
    """`name` is host/namespace/model:tag."""
    repository, tag = name.rsplit(":", 1)
    return models / "manifests" / repository / tag


def write_model(models, name, layers, config=None):
    config = config or config_of()
    for content in [config, *(content for _, content in layers)]:
        blob = models / "blobs" / digest_of(content).replace(":", "-")
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
    path = manifest_path(models, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest_of(layers, config))


def copy_name(models, old, new):
    path = manifest_path(models, new)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest_path(models, old).read_bytes())


def tree(models):
    """{path: SHA-256} of the manifests and of every file in blobs/."""
    found = {}
    for part in ("manifests", "blobs"):
        for path in (models / part).rglob("*"):
            if path.is_file():
                found[str(path.relative_to(models))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def model_files(models, name):
    """{file name: content} of all that one model consists of; fails when a blob is not what its name says."""
    text = manifest_path(models, name).read_bytes()
    parsed = json.loads(text)
    files = {"manifest": text}
    for part in [*parsed["layers"], parsed["config"]]:
        content = (models / "blobs" / part["digest"].replace(":", "-")).read_bytes()
        assert digest_of(content) == part["digest"], part
        files[part["digest"]] = content
    return files
