#!/usr/bin/env python3
"""Masks of bench_grammar beside those of llguidance (pip install llguidance gguf): the same schema, text and vocabulary.

    bench/grammar_ratio.py build/dev/bench/bench_grammar MODEL.gguf [PAIRS]

Prints the median ratio (llguidance's time to Cria's: above 1 Cria is faster) of compiling and of the mean mask of a second pass.
Both run on one thread. llguidance keeps no masks between tokens, so its first pass is like its second.
"""
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

import gguf
import llguidance

SOURCE = (pathlib.Path(__file__).parent / "grammar.cpp").read_text()
LITERALS = {name: "".join(re.findall(r'R"json\((.*?)\)json"', part, re.S))
            for name, part in re.findall(r"(kSchema|kText) =(.*?);\n", SOURCE, re.S)}


def byte_of():
    """The letters that GPT-2 vocabularies write for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


class Vocabulary:
    def __init__(self, path):
        fields = gguf.GGUFReader(path).fields
        letters = byte_of()
        texts = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        self.tokens = [bytes(letters[c] for c in text) if kind == 1 else text.encode() for text, kind in zip(texts, types)]
        self.special_token_ids = [i for i, kind in enumerate(types) if kind != 1]
        self.eos_token_id = fields["tokenizer.ggml.eos_token_id"].contents()
        self.bos_token_id = None
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def __call__(self, text):
        """The longest token each time: they only ask for short texts, to see what a token looks like."""
        data = text if isinstance(text, bytes) else text.encode()
        out = []
        while data:
            size = next(n for n in range(min(len(data), 64), 0, -1) if data[:n] in self.ids)
            out.append(self.ids[data[:size]])
            data = data[size:]
        return out


def theirs(tokenizer, schema, text):
    start = time.perf_counter()
    # The same freedom: no undeclared keys, other white space than ours.
    grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    compiled = time.perf_counter() - start
    times = []
    for token in tokenizer.greedy_tokenize(text):
        start = time.perf_counter()
        matcher.compute_bitmask()
        matcher.consume_token(token)
        times.append(time.perf_counter() - start)
    assert not matcher.is_error(), matcher.get_error()
    return compiled * 1e6, statistics.mean(times) * 1e6


def main():
    program, model = sys.argv[1:3]
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Vocabulary(model)))
    compiles, first, again = [], [], []
    for _ in range(pairs):
        ours = json.loads(subprocess.run([program, model], check=True, capture_output=True).stdout)
        compiled, mask = theirs(tokenizer, LITERALS["kSchema"], LITERALS["kText"])
        compiles.append(compiled / ours["compile_us"])
        first.append(mask / ours["first"]["mean_us"])
        again.append(mask / ours["again"]["mean_us"])
    for name, ratios in ("compile", compiles), ("mask, first answer", first), ("mask, later answers", again):
        print(f"{name}: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
