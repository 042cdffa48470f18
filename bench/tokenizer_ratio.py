#!/usr/bin/env python3
"""Encoding speed against the PyPI package `tokenizers`, on one core and the same vocabulary.

    python3 bench/tokenizer_ratio.py BENCH_TOKENIZER VOCABULARY.gguf TEXT

Builds the other tokenizer from the GGUF file (byte-level BPE with the splitting of GPT-2, Llama 3 or
Qwen 2), checks that both count the same tokens, and prints both speeds. Without the package it prints ours.
"""
import os
import re
import struct
import subprocess
import sys
import time

WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*" \
       r"|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {"llama-bpe": WORD % "{1,3}", "qwen2": WORD % ""}


def read_metadata(path):
    data, at = open(path, "rb").read(), 24
    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}

    def number(code):
        nonlocal at
        value = struct.unpack_from("<" + code, data, at)[0]
        at += struct.calcsize("<" + code)
        return value

    def value(kind):
        nonlocal at
        if kind == 8:
            size = number("Q")
            at += size
            return data[at - size:at].decode("utf-8", "replace")
        if kind == 9:
            element, count = number("I"), number("Q")
            return [value(element) for _ in range(count)]
        return number(scalars[kind])

    return {value(8): value(number("I")) for _ in range(struct.unpack_from("<Q", data, 16)[0])}


def theirs(path, text):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    meta = read_metadata(path)
    pre, tokens = meta["tokenizer.ggml.pre"], meta["tokenizer.ggml.tokens"]
    types = meta["tokenizer.ggml.token_type"]
    vocab = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    merges = [tuple(m.split(" ", 1)) for m in meta["tokenizer.ggml.merges"]]
    model = models.BPE(vocab=vocab, merges=merges, ignore_merges=pre == "llama-bpe")
    tokenizer = Tokenizer(model)
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if pre in SPLITS:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    elif pre == "gpt-2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        sys.exit(f"no rule here for pre-tokenizer {pre}")
    count, best = len(tokenizer.encode(text).ids), 1e9
    for _ in range(5):
        start = time.perf_counter()
        tokenizer.encode(text)
        best = min(best, time.perf_counter() - start)
    return count, len(text.encode()) / best / 1e6


def main():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    bench, vocabulary, text = sys.argv[1:4]
    line = subprocess.run([bench, vocabulary, text], capture_output=True, text=True, check=True).stdout
    print(line, end="")
    count, speed = re.search(r"(\d+) tokens, ([\d.]+) MB/s", line).groups()
    try:
        other_count, other = theirs(vocabulary, open(text, encoding="utf-8", newline="").read())
    except ImportError:
        print("the package tokenizers is not installed: no ratio")
        return
    print(f"tokenizers: {other_count} tokens, {other:.1f} MB/s; ratio {float(speed) / other:.1f}")
    # A BOS may be the only difference.
    if not 0 <= int(count) - other_count <= 1:
        sys.exit("the token counts differ")


main()
