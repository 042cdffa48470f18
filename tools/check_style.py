#!/usr/bin/env python3
"""Fails on source files above 600 lines, on stray marks of unfinished work, and on getenv outside base."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
LONG_ALLOWED = re.compile(r"(_tables?|_ranges)\.(cpp|h|inc)$")  # generated or plain tables
LIMIT = 600


def main():
    problems = []
    for path in sorted((ROOT / "src").rglob("*.*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        lines = path.read_text().splitlines()
        name = path.relative_to(ROOT)
        if len(lines) > LIMIT and not LONG_ALLOWED.search(path.name):
            problems.append(f"{name}: {len(lines)} lines, the limit is {LIMIT}")
        for number, line in enumerate(lines, 1):
            if re.search(r"\b(FIXME|XXX)\b|TODO(?!\(#\d+\))", line):
                problems.append(f"{name}:{number}: unfinished: {line.strip()}")
            if re.search(r'TEST_CASE\([^)]*;', line):
                problems.append(f"{name}:{number}: CTest cuts a test's name at ';', and runs nothing")
            if "getenv(" in line and path.parent.name != "base" and not path.name.endswith("_test.cpp"):
                problems.append(f"{name}:{number}: settings are read in base/settings only")
    print("\n".join(problems) or "style: ok")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
