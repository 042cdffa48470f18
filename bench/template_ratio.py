#!/usr/bin/env python3
"""Writing the prompt of 100 messages by published Jinja templates: Cria and the PyPI package jinja2, in turn.

    python3 bench/template_ratio.py build/dev/bench/bench_templates ../shared/data/templates/jinja/*.jinja

Five rounds of both sides; prints the medians and the ratio of each round, over the templates that both render.
Needs jinja2 (any version; printed).
"""
import pathlib
import statistics
import subprocess
import sys
import time

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROUNDS, SMALL_ROUNDS = 5, 11


def conversation():
    sentence = "words " * 40
    return [{"role": "assistant" if i % 2 else "user", "content": f"{i} {sentence}"} for i in range(99)]


def environment():
    """As the transformers library sets it up."""
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=["jinja2.ext.loopcontrols"])
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = time.strftime
    return env


def theirs(paths):
    found, messages = {}, conversation()
    for path in paths:
        try:
            template = environment().from_string(path.read_text())
            variables = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
            template.render(**variables)
            times = []
            for _ in range(SMALL_ROUNDS):
                start = time.perf_counter()
                template.render(**variables)
                times.append((time.perf_counter() - start) * 1e6)
            found[path.stem] = statistics.median(times)
        except jinja2.exceptions.TemplateError:
            pass
    return found


def ours(program, paths):
    lines = subprocess.run([program, *map(str, paths)], capture_output=True, text=True).stdout.splitlines()
    return {words[1]: float(words[2]) for words in map(str.split, lines) if words[0] == "jinja"}


def main():
    program, paths = sys.argv[1], [pathlib.Path(text) for text in sys.argv[2:]]
    rounds = [(ours(program, paths), theirs(paths)) for _ in range(ROUNDS)]
    both = sorted(set(rounds[0][0]) & set(rounds[0][1]))
    ratios = [statistics.median(b[name] / a[name] for name in both) for a, b in rounds]
    mine = {name: statistics.median(a[name] for a, _ in rounds) for name in both}
    print(f"{len(both)} templates, jinja2 {jinja2.__version__}: Cria {statistics.median(mine.values()):.0f} us "
          f"(slowest {max(mine.values()):.0f}, {max(mine, key=mine.get)}), "
          f"jinja2 {statistics.median(statistics.median(b[n] for n in both) for _, b in rounds):.0f} us; "
          f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
