#!/usr/bin/env python3
"""Writes the vocabularies inside the package mistral-common (1.13.1) as GGUF files for the golden tests.

    pip install --no-deps mistral-common==1.13.1
    python3 tools/golden/make_mistral_vocabularies.py OUT_DIR [PACKAGE_DIR]

OUT_DIR is the folder that CRIA_TEST_MODELS names. PACKAGE_DIR is the folder mistral_common, found by itself
when it is installed.
"""
import base64
import importlib.util
import json
import os
import struct
import sys


def string(data):
    return struct.pack("<Q", len(data)) + data


def key(name, kind):
    return string(("tokenizer.ggml." + name).encode()) + struct.pack("<I", kind)


def write_gguf(path, model, pre, tokens, types, scores=None, merges=None):
    pairs = [key("model", 8) + string(model), key("pre", 8) + string(pre)]
    pairs.append(key("tokens", 9) + struct.pack("<IQ", 8, len(tokens)) + b"".join(map(string, tokens)))
    pairs.append(key("token_type", 9) + struct.pack(f"<IQ{len(types)}i", 5, len(types), *types))
    if scores:
        pairs.append(key("scores", 9) + struct.pack(f"<IQ{len(scores)}f", 6, len(scores), *scores))
    if merges:
        pairs.append(key("merges", 9) + struct.pack("<IQ", 8, len(merges)) + b"".join(map(string, merges)))
    for name, value in (("bos_token_id", 1), ("eos_token_id", 2), ("unknown_token_id", 0)):
        pairs.append(key(name, 4) + struct.pack("<I", value))
    with open(path, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, 0, len(pairs)) + b"".join(pairs))
    print(path, len(tokens), "tokens")


def byte_letters():
    letters, after = [], 256
    for b in range(256):
        printable = 32 < b < 127 or (b > 160 and b != 173)
        letters.append(chr(b if printable else after).encode())
        after += not printable
    return letters


def parts_below(ranks, token, limit):
    """The two parts that `token` is merged from, by the merges of lower rank."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], limit))
        if ranks.get(parts[best] + parts[best + 1], limit) >= limit:
            return None
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return parts


def tekken(source, path):
    data = json.load(open(source))
    special = data["config"]["default_num_special_tokens"]
    count = data["config"]["default_vocab_size"] - special
    words = [base64.b64decode(entry["token_bytes"]) for entry in data["vocab"][:count]]
    ranks = {word: i for i, word in enumerate(words)}
    letters = byte_letters()
    spell = lambda word: b"".join(letters[b] for b in word)
    named = {entry["rank"]: entry["token_str"] for entry in data.get("special_tokens") or []}
    tokens = [named.get(i, f"<SPECIAL_{i}>").encode() for i in range(special)] + [spell(w) for w in words]
    merges = []
    for rank, word in enumerate(words):
        parts = parts_below(ranks, word, rank) if len(word) > 1 else None
        if parts:
            merges.append(b" ".join(map(spell, parts)))
    write_gguf(path, b"gpt2", b"tekken", tokens, [3] * special + [1] * count, merges=merges)


def fields(data):
    """Fields of a protobuf message: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            size = varint() if size is None else size
            yield tag >> 3, data[at:at + size]
            at += size


def sentencepiece(source, path):
    tokens, scores, types = [], [], []
    for number, value in fields(open(source, "rb").read()):
        if number != 1:
            continue
        piece = dict(fields(value))
        tokens.append(piece[1])
        scores.append(struct.unpack("<f", piece.get(2, b"\0\0\0\0"))[0])
        types.append(piece.get(3, 1))
    write_gguf(path, b"llama", b"default", tokens, types, scores=scores)


def main():
    out = sys.argv[1]
    package = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(
        importlib.util.find_spec("mistral_common").origin)
    os.makedirs(out, exist_ok=True)
    name = "mistral_instruct_tokenizer_240323.model.v3"
    sentencepiece(os.path.join(package, "data", name), os.path.join(out, "mistral-spm-v3.gguf"))
    tekken(os.path.join(package, "data", "tekken_240911.json"), os.path.join(out, "mistral-tekken-240911.gguf"))


main()
