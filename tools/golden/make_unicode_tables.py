#!/usr/bin/env python3
"""Writes src/text/tokenizer/unicode_ranges.inc: the code-point classes of the pre-tokenizers.

The tables have the Unicode version of the Python that runs this (3.11: Unicode 14.0, the version of
PCRE2 10.42 and utf8proc 2.8 as well). Run it from the root of the repository.
"""
import sys
import unicodedata

# White_Space is a property of its own; the general categories Z* and Cc do not give it.
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
          0x202F, 0x205F, 0x3000}
BITS = {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 4, "Lo": 4, "M": 8, "N": 16, "P": 32, "S": 64}


def code_point_class(c):
    if c in SPACES:
        return 128
    category = unicodedata.category(chr(c))
    return BITS.get(category, BITS.get(category[0], 0))


def main():
    ranges, last = [], -1
    for c in range(0x110000):
        k = code_point_class(c)
        if k != last:
            ranges.append((c, k))
            last = k
    with open("src/text/tokenizer/unicode_ranges.inc", "w") as out:
        out.write(f"// Made by tools/golden/make_unicode_tables.py: Unicode {unicodedata.unidata_version}.\n")
        out.write("// First code point << 8 | class; a range ends where the next one begins.\n")
        line = ""
        for c, k in ranges:
            item = f"{c << 8 | k:#x},"
            if len(line) + len(item) > 99:
                out.write(line + "\n")
                line = ""
            line += item
        out.write(line + "\n")
    print(len(ranges), "ranges", file=sys.stderr)


main()
