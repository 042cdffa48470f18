#!/usr/bin/env python3
"""Writes tests/cases/jinja/cases.json: small Jinja programs with what the real Jinja2 makes of them.

Needs jinja2 (made with 3.1.6). The environment is that of Hugging Face's transformers: immutable sandbox, trim_blocks,
lstrip_blocks, loop controls, its tojson, raise_exception, strftime_now and generation tag. Programs of the group
"mutation" run in the sandbox that allows changing lists and dicts: published templates do it, and other engines let them.
A case holds "expected", or "error": "syntax" (with the line) or "render" (with "raises" when raise_exception did it).
"""
import datetime
import json
import pathlib

import jinja2
from jinja2 import ext, nodes, sandbox

DATA = {
    "s": "Hello World", "e": "", "u": "Grüße 猫 😀", "n": 7, "z": 0, "neg": -3, "f": 2.5, "t": True, "no": None,
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "el": [], "d": {"b": 1, "a": "x", "items": 5}, "ed": {},
    "nested": {"x": {"y": [10, {"z": "deep"}]}},
    "users": [{"name": "Bob", "age": 30, "on": True}, {"name": "alice", "age": 25, "on": False},
              {"name": "Carl", "age": 30}],
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "  U "},
                 {"role": "assistant", "content": "A"}],
    "html": "<a href=\"x\">'&'</a>", "multi": "one\ntwo\n\nthree", "spaces": "  a  b c  ",
}

# group -> programs. A program is its text, or (text, variables of its own).
CASES = {
    "literals": [
        "{{ 1 }} {{ 1.5 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }}",
        "{{ 'a' }}{{ \"b\" }}{{ 'a' 'b' \"c\" }}", r"{{ 'a\nb\t\\\'\"' }}", r"{{ '\x41\u00e9\U0001F600\101' }}",
        r"{{ '\d\w' }}", "{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}", "{{ [] }} {{ () }} {{ {} }}",
        "{{ [1, 'a', none, true, 2.0] }}", "{{ (1,) }} {{ (1, 2) }} {{ 1, 2 }}", "{{ {'a': 1, 'b': [2], 3: none} }}",
        "{{ [1, 2,] }} {{ {'a': 1,} }}", "{{ 1.0 }} {{ 100.0 }} {{ 1e15 }} {{ 1e16 }} {{ 1e-4 }} {{ 1e-5 }} {{ 0.1 + 0.2 }}",
        "{{ ['it\\'s', \"q\\\"\", 'both\\'\"', 'nl\\n', '\\x01'] }}", "{{ [u] }}", "{{ 123456789012 * 1000 }}",
        "{{ {'a': {'b': ('c',)}} }}", "{{ -0.0 }} {{ 5. }}", "{{ [1.5, -2, +3] }}",
    ],
    "arithmetic": [
        "{{ 7 + 2 }} {{ 7 - 2 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ 7 ** 2 }}",
        "{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7 % -3 }} {{ 7 // -2 }}", "{{ 6 / 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }}",
        "{{ 7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ -7.5 % 2 }}", "{{ 1 + 2 * 3 - 4 / 2 }}", "{{ (1 + 2) * 3 }}",
        "{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}", "{{ true + 1 }} {{ true * 3 }} {{ false - 1 }}", "{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ 'a' * -1 }}|",
        "{{ [1] * 3 }} {{ [1] + [2] }} {{ (1,) + (2,) }}", "{{ 'a' + 'b' }}", "{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] }}", "{{ 1 ~ 2 + 3 }}",
        "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ 'a' + none }}", "{{ none + 1 }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1.0 / 0 }}",
        "{{ [1] + (2,) }}", "{{ -'a' }}", "{{ {} + {} }}", "{{ missing + 1 }}", "{{ 'a' ~ missing ~ 'b' }}", "{{ 10 - 2 - 3 }} {{ 100 / 10 / 2 }}",
        "{{ +n }} {{ -n }} {{ - -n }} {{ -f }} {{ -true }}", "{{ 1 - 1.0 }} {{ 3 * 1.0 }}", "{{ 1_0 + 1 }}", "{{ [1] - [1] }}",
    ],
    "comparison": [
        "{{ 1 < 2 }} {{ 2 <= 2 }} {{ 3 > 2 }} {{ 3 >= 4 }} {{ 1 == 1.0 }} {{ 1 != 2 }}", "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 == 2 }}",
        "{{ 'a' < 'b' }} {{ 'B' < 'a' }} {{ 'é' > 'z' }}", "{{ 1 == true }} {{ 0 == false }} {{ 1 == '1' }} {{ none == none }} {{ none == false }}",
        "{{ [1, 2] == [1, 2] }} {{ [1] == (1,) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}", "{{ [1, 2] < [1, 3] }} {{ (1,) < (1, 2) }}",
        "{{ 'ell' in s }} {{ 'x' in s }} {{ '' in s }} {{ 1 in l }} {{ 9 in l }} {{ 'a' in d }} {{ 'zz' not in d }}",
        "{{ 1 in (1, 2) }} {{ 1.0 in l }} {{ none in [none] }} {{ [1] in [[1]] }}", "{{ 1 < 'a' }}", "{{ 1 in 5 }}", "{{ 1 in 'abc' }}", "{{ none < 1 }}",
        "{{ 'a' in missing }} {{ missing == missing2 }} {{ missing == none }}", "{{ missing < 1 }}", "{{ not 1 == 2 }} {{ not (1 == 1) }}",
        "{{ 'a' in ['a'] and 'b' not in ['a'] }}", "{{ [] in {} }}", "{{ {} < {} }}", "{{ 1 in range(3) }} {{ 'a' in d.keys() }}",
    ],
    "logic": [
        "{{ 1 and 2 }} {{ 0 and 2 }} {{ 1 or 2 }} {{ 0 or 2 }} {{ '' or none }} {{ none or 'x' }}", "{{ not '' }} {{ not 'a' }} {{ not not 1 }}",
        "{{ true and false or true }} {{ true or false and false }}", "{{ 1 if true else 2 }} {{ 1 if false else 2 }} [{{ 1 if false }}]",
        "{{ 'a' if 0 else 'b' if 0 else 'c' }}", "{{ (1 if t) + 1 }}", "{{ (missing or 'd') }} {{ missing and 1 }}|", "{{ 1 and missing.x }}", "{{ 0 and missing.x }}",
        "{% if el or ed or z or e or no or missing %}y{% else %}n{% endif %}", "{% if l and d and s and n and 0.1 %}y{% endif %}", "{{ not missing }}",
        "{{ 1 if 2 if 0 else 3 else 4 }}", "{{ l or el }} {{ el or l }}",
    ],
    "access": [
        "{{ d.a }} {{ d['a'] }} {{ d.get('b') }} {{ d['items'] }}", "{{ d.items is callable }} {{ d.nope is defined }} {{ d['nope'] is defined }}",
        "{{ nested.x.y[1].z }} {{ nested['x']['y'][0] }} {{ nested.x.y.0 }}", "{{ l[0] }} {{ l[-1] }} {{ l[5] is defined }} {{ l['a'] is defined }}",
        "{{ s[0] }} {{ s[-1] }} {{ s[99] is defined }} {{ u[6] }} {{ u[8] }}", "{{ s[1:3] }} {{ s[:3] }} {{ s[-3:] }} {{ s[::-1] }} {{ s[::2] }} {{ s[5:1] }}|",
        "{{ u[1:7] }} {{ u[::-1] }}", "{{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ l[::2] }} {{ l[-100:100] }} {{ (1, 2, 3)[1:] }}", "{{ l[3:0:-1] }} {{ l[:0:-1] }} {{ l[5::-2] }}",
        "{{ l[::0] }}", "{{ l['a':] }}", "{{ missing.x }}", "{{ missing['x'] }}", "{{ missing[0:1] }}", "{{ no.x is defined }} {{ n.x is defined }} {{ s.x is defined }}", "{{ d.x.y }}",
        "{{ d[none] is defined }} {{ {none: 1}[none] }} {{ {1: 'a'}[1] }} {{ {1: 'a'}[1.0] }} {{ {1: 'a'}[true] }}", "{{ d[[]] is defined }}", "{{ [[1, 2], [3]][0][1] }}",
        "{{ 'abc'[1] }} {{ [1, 2][1] }} {{ {'a': 1}.a }} {{ (1, 2)[0] }}", "{{ l[true] }} {{ l[1.0] is defined }}", "{{ missing }}|{{ d.nope }}|{{ l[9] }}", "{{ nested.x.y[1]['z'][0] }}",
        "{{ {1: 2, 1: 3} }}", "{{ {[]: 1} }}", "{{ {(1, 2): 3}[(1, 2)] }}", "{{ range(10)[2:5] }} {{ range(5)[-1] }}", "{{ {'a': 1, 'b': 2}['b'] }}", "{{ no[0] is defined }}",
    ],
    "if": [
        "{% if n == 7 %}a{% elif n == 8 %}b{% else %}c{% endif %}", "{% if n == 6 %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}", "{% if 0 %}a{% endif %}|",
        "{% if 1 %}{% if 0 %}x{% else %}y{% endif %}{% endif %}", "{% if true %}{% set v = 1 %}{% endif %}{{ v }}", "{% if false %}{% set v = 1 %}{% endif %}{{ v is defined }}",
        "{% if not tools is defined %}{% set tools = 'none' %}{% endif %}{{ tools }}", "{% if 1 %}a", "{% if %}{% endif %}", "{% endif %}", "{% if 1 %}{% else %}{% else %}{% endif %}", "{% elif 1 %}",
    ],
    "for": [
        "{% for i in l %}{{ i }},{% endfor %}", "{% for i in [] %}x{% else %}empty{% endfor %}", "{% for i in l %}x{% else %}empty{% endfor %}", "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
        "{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}", "{% for c in 'añ' %}[{{ c }}]{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }} {% endfor %}",
        "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for i in l if i > 1 %}{{ i }}{{ loop.length }}{{ loop.last }} {% endfor %}", "{% for i in l if i > 9 %}x{% else %}none{% endfor %}",
        "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}",
        "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in [1, 1, 2] %}{{ loop.changed(i) }} {% endfor %}", "{% for i in l %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}", "{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
        "{% for i in l %}{% set x = i %}{% endfor %}{{ x is defined }}", "{% set x = 0 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "{% for i in l %}{% if loop.first %}{% set q = 1 %}{% endif %}{{ q is defined }} {% endfor %}",
        "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% for j in l %}{% break %}{% endfor %}{{ i }}{% endfor %}",
        "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}", "{% for i in missing %}x{% else %}empty{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}",
        "{% for i in l %}{{ i }}", "{% for i in %}{% endfor %}", "{% for in l %}{% endfor %}", "{% break %}", "{{ loop is defined }}", "{% for i in l %}{% endfor %}{{ i is defined }}", "{% for x in l|sort %}{{ x }}{% endfor %}", "{% for i in 1, 2 %}{{ i }}{% endfor %}",
        "{% for i in l %}{{ loop }}{% endfor %}", "{% for m in messages[1:] %}{{ loop.index0 }}{{ m.role }} {% endfor %}", "{% for k, v in d|items %}{{ k }}:{{ v }} {% endfor %}", "{% for i in (1, 2) %}{{ loop.last and 'end' or i }}{% endfor %}",
        "{% for m in messages %}{{ m['role'] if loop.last else '' }}{% endfor %}", "{% for true in l %}{% endfor %}", "{% for i in range(3) %}{% for j in range(i) %}{{ loop.length }}{% else %}-{% endfor %}{% endfor %}",
    ],
    "set": [
        "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2] %}{{ a + b }}", "{% set (a, b) = 'xy' %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a, b = 1 %}", "{% set a, b = [1, 2, 3] %}",
        "{% set ns = namespace(x=1, y='q') %}{% set ns.x = ns.x + 1 %}{{ ns.x }}{{ ns.y }}", "{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }} {{ ns.b is defined }}",
        "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}", "{% set d.x = 1 %}", "{% set nope.x = 1 %}", "{% set x %}a{{ n }}b{% endset %}{{ x }}", "{% set x | upper %}a{{ n }}b{% endset %}{{ x }}", "{% set x | replace('a', 'b') | upper %}aa{% endset %}{{ x }}",
        "{% set x %}{% set y = 1 %}{% endset %}{{ y is defined }}", "{% set x = 1 if false else 2 %}{{ x }}", "{% set n = n + 1 %}{{ n }}", "{% set = 1 %}", "{% set 1 = 2 %}", "{% set x %}a", "{% set x = %}", "{% set none = 1 %}", "{% set a.b, c = 1, 2 %}",
        "{% set ns = namespace(a=namespace(b=1)) %}{{ ns.a.b }}", "{% set ns = namespace(a=[]) %}{{ ns.a }}{% set ns.a = ns.a + [1] %}{{ ns.a }}", "{% set x = 'a' 'b' %}{{ x }}", "{% set ns = namespace(x=1) %}{% set ns.x %}block{% endset %}{{ ns.x }}",
        "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}",
    ],
    "macro": [
        "{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}", "{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m(b=0, a=9) }}", "{% macro m(a) %}[{{ a }}]{{ a is defined }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "{{ m() }}{% macro m() %}x{% endmacro %}",
        "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}", "{% macro m() %}{{ i is defined }}{% endmacro %}{% for i in l %}{{ m() }} {% endfor %}",
        "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}body{{ n }}{% endcall %}", "{% macro m() %}<{{ caller(1, 2) }}>{% endmacro %}{% call(a, b) m() %}{{ a }}-{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", "{% macro m(a) %}{% set a = a + 1 %}{{ a }}{% endmacro %}{{ m(1) }}",
        "{% macro m(a=n) %}{{ a }}{% endmacro %}{{ m() }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% macro k() %}in{% endmacro %}{{ k() }}{% endmacro %}{{ m() }}{{ k is defined }}", "{% macro m() -%}\n  x\n{%- endmacro %}[{{ m() }}]", "{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }} {{ m.name }}",
        "{% macro m(a b) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m() %}", "{% macro %}{% endmacro %}", "{% macro m() %}{{ 1 }}{% endmacro %}{{ m() + '2' }} {{ m()|length }}", "{% set ns = namespace(v=0) %}{% macro m() %}{% set ns.v = ns.v + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.v }}",
        "{% macro m(x) %}{% for i in x %}{% if i is mapping %}{{ m(i.l) }}{% else %}{{ i }}{% endif %}{% endfor %}{% endmacro %}{{ m([1, {'l': [2, 3]}]) }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "{% call 5 %}{% endcall %}",
    ],
    "blocks": [
        "{% filter upper %}ab{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aa{% endfilter %}", "{% raw %}{{ x }}{% if %}{% endraw %}", "a{% raw -%}  x  {%- endraw %}b", "{% generation %}g{{ n }}{% endgeneration %}", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
        "{# comment #}a{# {{ x }} #}b", "{# a\nb #}c", "{# open", "{% raw %}x", "{% nonsense %}", "{%%}", "{{}}", "{{ }}", "{{ 1", "{% if 1 ", "{{ 'a }}", "{{ a b }}", "{{ (1 }}", "{{ 1) }}", "{{ [1, 2 }}", "{{ $ }}", "{{ a | }}", "{{ a is }}", "{{ a. }}", "{{ a[ }}", "{{ a[] }}",
        "{% extends 'x' %}", "{% include 'x' %}", "{{ 1 }}}", "{ { x } }", "}} %} #}", "{{ '}}' }} {{ '%}' }}", "{{ {'a': {'b': 1}}['a'] }}", "{{ {'a':{}} }}", "{% filter nope %}x{% endfilter %}", "{% if 1 %}{% for x in l %}{% endif %}{% endfor %}", "a\n{% generation %}\nb\n{% endgeneration %}\nc",
    ],
    "whitespace": [
        "a\n{% if 1 %}\nb\n{% endif %}\nc\n", "  {% if 1 %}\n  b\n  {% endif %}\n", "a {% if 1 %} b {% endif %} c", "a {%- if 1 -%} b {%- endif -%} c", "a\n\n{{- n -}}\n\nb", "a\n  {{ n }}\n  b", "{{ n }}\n{{ n }}\n", "x\n  {# c #}\ny", "x {#- c -#} y", "x\n  {%+ if 1 %}\n  y{% endif +%}\nz", "x\n  {#+ c +#}\ny",
        "a\n\n\n", "\n", "\n\na", "a\r\nb\r\n", "a\rb", "  {% set x = 1 %}  b", "\t{% if 1 %}\tb{% endif %}\n\tc", "{% for i in l %}\n{{ i }}\n{% endfor %}\n", "{%- for i in l %}\n  - {{ i }}\n{%- endfor %}\n", "{% for i in l -%}\n  {{ i }}\n{%- endfor %}", "a{# c #}\nb", "a\n{# c #}\n\nb", "{{ 'x' }}\n{%- if 1 %}\ny{% endif %}",
        "  {{- n }}  ", "a\u00a0\u2003{%- if 1 %}b{% endif %}", "x {{ n -}} \n\t y", "{{-n}}", "{{ n+}}", "{{+n}}", "{%- set a = 1 -%}\n\n{{ a }}", "l1\n   {% if 0 %}x{% endif %}   l2", "x   {% set a = 1 %}\ny", "a\n{%- raw -%}\n b \n{%- endraw -%}\nc", "  {% raw %}\n x{% endraw %}\ny", "{% if 1 %}\n\nb{% endif %}", "{% if 1 -%}\n\n\t b{% endif %}",
        "a\n    {%- if 1 %}b{% endif %}", "{{ '\\n' }}a\n", "a{% if 1 %}   \nb{% endif %}",
    ],
    "tests": [
        "{{ n is defined }} {{ missing is defined }} {{ missing is undefined }} {{ n is not defined }} {{ not n is defined }}", "{{ s is string }} {{ n is string }} {{ no is none }} {{ n is none }} {{ no is not none }}", "{{ d is mapping }} {{ l is mapping }} {{ s is mapping }}",
        "{{ s is iterable }} {{ l is iterable }} {{ d is iterable }} {{ n is iterable }} {{ no is iterable }} {{ (l|map('string')) is iterable }}", "{{ s is sequence }} {{ l is sequence }} {{ d is sequence }} {{ n is sequence }} {{ (1,) is sequence }}", "{{ t is true }} {{ t is false }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}",
        "{{ t is boolean }} {{ 1 is boolean }} {{ 1 is number }} {{ 1.5 is number }} {{ t is number }} {{ s is number }}", "{{ 1 is integer }} {{ 1.0 is integer }} {{ t is integer }} {{ 1.0 is float }} {{ 1 is float }}", "{{ range is callable }} {{ n is callable }} {{ s.upper is callable }}", "{{ 3 is odd }} {{ 4 is odd }} {{ 4 is even }} {{ -3 is odd }} {{ 0 is even }}",
        "{{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 9 is divisibleby 0 }}", "{{ 1 is in [1] }} {{ 1 is in(l) }} {{ 9 is not in l }}", "{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is le 1 }} {{ 1 is gt 0 }} {{ 1 is ge 2 }}", "{{ 1 is greaterthan 0 }} {{ 1 is lessthan 0 }} {{ 2 is sameas 2 }} {{ no is sameas none }} {{ 1 is sameas true }}",
        "{{ 'abc' is lower }} {{ 'aBc' is lower }} {{ 'ABC' is upper }} {{ '12' is upper }}", "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }}", "{{ n is nope }}", "{{ s is odd }}", "{{ n is defined and s is string }} {{ n is defined if t else 0 }}", "{{ n is divisibleby 7 and 1 }}", "{{ 1 + 1 is odd }}", "{{ d.a is defined }} {{ d.q is defined }} {{ nested.x.y is sequence }}",
        "{{ messages[0]['role'] is string }} {{ messages[9] is defined }}", "{{ 'a' is defined is defined }}", "{{ no is defined }} {{ none is defined }} {{ missing is none }}", "{{ e is none }} {{ el is iterable and el is not mapping }}", "{{ s is not string or n is number }}",
    ],
    "text filters": [
        "{{ s|upper }} {{ s|lower }} {{ u|upper }} {{ u|lower }} {{ 'straße'|upper }}", "{{ s|length }} {{ u|length }} {{ l|count }} {{ d|length }} {{ e|length }}", "{{ n|length }}", "{{ no|length }}", "{{ missing|length }}", "[{{ spaces|trim }}] [{{ 'xxaxx'|trim('x') }}] [{{ n|trim }}] [{{ '\u00a0a\u2003'|trim }}]", "{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 2) }} {{ s|replace('', '-') }} {{ 'a1a'|replace(1, 2) }}",
        "{{ 'hello wORLD-foo (bar) <baz'|title }} {{ \"it's\"|title }}", "{{ 'hELLO wORLD'|capitalize }} {{ ''|capitalize }}|", "{{ n|string + 'x' }} {{ no|string }} {{ l|string }} {{ missing|string }}|", "{{ html|escape }} {{ html|e }} {{ html|safe }}", "{{ '<a>'|safe + '<b>' }} {{ '<b>' + '<a>'|safe }} {{ '<a>'|safe ~ '<b>' }} {{ '<a>'|escape + '<' }} {{ '<a>'|escape|escape }}",
        "{{ multi|indent }}", "{{ multi|indent(2, true) }}", "{{ multi|indent(2, blank=true) }}", "{{ multi|indent('> ', first=true) }}", "{{ 'a\n'|indent(2) }}|", "{{ 'one two  three'|wordcount }} {{ \"don't\"|wordcount }} {{ ''|wordcount }}", "[{{ 'ab'|center(7) }}] [{{ 'abc'|center(6) }}] [{{ 'abc'|center(2) }}]", "{{ '%s-%d'|format('a', 5) }} {{ '%(x)s'|format(x=1) }}", "{{ s|truncate(8) }} {{ s|truncate(5, true, '', 0) }} {{ s|truncate(8, false, '...', 0) }} {{ 'foo bar baz qux'|truncate(9) }}",
        "{{ s|reverse }} {{ u|reverse }}", "{{ s|first }} {{ s|last }} {{ e|first is defined }}", "{{ s|list }}", "{{ 'abc'|attr('upper') is callable }} {{ d|attr('a') is defined }}", "{{ s|nope }}", "{{ s|upper(1) }}", "{{ s|replace('a') }}", "{{ no|upper }} {{ 5|upper }} {{ true|lower }}", "{{ s|default('x') }} {{ missing|default('x') }} {{ missing|d }}| {{ e|default('x') }}| {{ e|default('x', true) }} {{ no|default('x') }} {{ no|d('x', boolean=true) }} {{ missing.x|default('y') }}",
        "{{ d.q|default('x') }} {{ l[9]|default('x') }} {{ missing|default(n) }}", "{{ '  a'|trim|upper|length }}", "{{ -1|abs }} {{ (-1)|abs }} {{ 2.5|abs }} {{ 'a'|abs }}",
    ],
    "number filters": [
        "{{ '42'|int }} {{ ' 42 '|int }} {{ '4.7'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ -3.9|int }} {{ true|int }} {{ none|int }} {{ '0x1f'|int(base=16) }} {{ 'ff'|int(0, 16) }} {{ '1e3'|int }}", "{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(1) }} {{ 3|float }} {{ none|float }} {{ '1e3'|float }}", "{{ missing|int }}", "{{ missing|float }}",
        "{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.4|round(0, 'ceil') }} {{ 2.6|round(method='floor') }} {{ 1234.5|round(-2) }}", "{{ 7|round }} {{ 1.005|round(2) }} {{ 0.125|round(2) }} {{ -2.5|round }}", "{{ 'a'|round }}", "{{ 2.5|round(0, 'nope') }}", "{{ 5|abs }} {{ -5.5|abs }} {{ 0|abs }}", "{{ 10|string|length }} {{ 10|float|string }}",
    ],
    "list filters": [
        "{{ l|first }} {{ l|last }} {{ el|first is defined }} {{ d|first }} {{ d|last }}", "{{ l|join }} {{ l|join(', ') }} {{ w|join('-') }} {{ users|join(',', attribute='name') }} {{ s|join('.') }} {{ el|join(',') }}| {{ d|join(',') }} {{ [1, none, true]|join(' ') }}", "{{ l|sort }} {{ l|sort(reverse=true) }} {{ w|sort }} {{ w|sort(case_sensitive=true) }} {{ users|sort(attribute='age')|map(attribute='name')|join(',') }} {{ users|sort(attribute='age,name')|map(attribute='name')|list if false }}",
        "{{ [1, 'a']|sort }}", "{{ l|reverse|list }} {{ l|list }} {{ d|list }} {{ 'ab'|list }} {{ (1, 2)|list }}", "{{ l|sum }} {{ users|sum(attribute='age') }} {{ el|sum }} {{ l|sum(start=10) }} {{ [[1], [2]]|sum(start=[]) }}", "{{ ['a']|sum }}", "{{ l|min }} {{ l|max }} {{ w|min }} {{ w|max }} {{ el|max is defined }} {{ users|max(attribute='age') }}", "{{ w|unique|list }} {{ [1, 2, 1]|unique|list }} {{ w|unique(true)|list }} {{ users|unique(attribute='age')|map(attribute='name')|list }}",
        "{{ l|map('string')|list }} {{ w|map('upper')|join }} {{ users|map(attribute='name')|list }} {{ users|map(attribute='on', default='?')|list }} {{ w|map('replace', 'a', 'z')|list }} {{ [[1, 2], [3]]|map('first')|list }} {{ [[1, 2]]|map('join', '+')|list }} {{ [{'a': {'b': 1}}]|map(attribute='a.b')|list }} {{ [[5, 6]]|map(attribute=1)|list }}",
        "{{ l|map|list }}", "{{ l|map('nope')|list }}", "{{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ [0, 1, '', 'a', none]|select|list }} {{ [0, 1, '']|reject|list }} {{ l|select('gt', 1)|list }} {{ l|select('in', [1, 2])|list }} {{ l|select('>', 2)|list }}", "{{ users|selectattr('on')|map(attribute='name')|list }} {{ users|rejectattr('on')|map(attribute='name')|list }} {{ users|selectattr('age', 'equalto', 30)|list|length }} {{ users|selectattr('on', 'defined')|list|length }} {{ users|rejectattr('name', 'in', ['Bob'])|map(attribute='name')|list }}",
        "{{ l|select('nope')|list }}", "{{ messages|selectattr('role', 'eq', 'user')|first }} {{ (messages|selectattr('role', 'eq', 'x')|first) is defined }}", "{% if messages|selectattr('role', 'eq', 'x') %}truthy{% endif %}", "{{ (l|select)|length }}", "{{ (l|map('string'))[0] is defined }}", "{{ none|select|list }} {{ none|map('upper')|list }}", "{{ none|join }}", "{{ none|list }}", "{% set g = l|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = l|map('string') %}{{ g|first }}{{ g|first }}{{ g|join }}",
        "{{ d|dictsort }} {{ {'b': 1, 'A': 2}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|dictsort(reverse=true) }} {{ {'b': 1, 'a': 2}|dictsort(false, 'value', true) }}", "{% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}", "{{ l|dictsort }}", "{{ d|items|list }} {{ missing|items|list }}", "{{ l|items|list }}", "{% for k, g in users|groupby('age') %}{{ k }}:{{ g|map(attribute='name')|join(',') }};{% endfor %}", "{% for g in users|groupby('on', default=none) %}{{ g.grouper }}{{ g.list|length }} {% endfor %}",
        "{{ w|groupby(0)|map('first')|list }}", "{{ [1, 2, 3, 4, 5]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 'x')|list }}", "{{ [1, 2, 3, 4, 5]|slice(3)|list }} {{ [1, 2, 3, 4]|slice(3, 'x')|list }}", "{{ 5|list }}", "{{ 5|first }}", "{{ l|sort|first }} {{ l|sort|last }}", "{{ range(5)|list }} {{ range(5)|sum }} {{ range(1, 10, 3)|list }}", "{{ l|join(1) }}",
    ],
    "json": [
        "{{ d|tojson }} {{ l|tojson }} {{ s|tojson }} {{ n|tojson }} {{ f|tojson }} {{ t|tojson }} {{ no|tojson }}", "{{ u|tojson }} {{ u|tojson(ensure_ascii=true) }} {{ html|tojson }} {{ '\\n\\t\\\\\"/\\x01\\x7f'|tojson }}", "{{ nested|tojson }}", "{{ nested|tojson(indent=2) }}", "{{ {'a': [], 'b': {}, 'c': [[]]}|tojson(indent=4) }}", "{{ d|tojson(separators=(',', ':')) }} {{ d|tojson(separators=[' ; ', ' = ']) }}", "{{ d|tojson(sort_keys=true) }} {{ d|tojson(sort_keys=true, indent=1) }}",
        "{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}", "{{ (1, 2)|tojson }} {{ [1.0, 1e100, 1e-7, 123456789.125]|tojson }}", "{{ missing|tojson }}", "{{ range|tojson }}", "{{ range(3)|tojson }}", "{{ l|map('string')|tojson }}", "{{ [d, d]|tojson(indent='--') }}", "{{ d|tojson(indent=0) }}", "{{ l|tojson(indent=2, separators=(',', ': ')) }}", "{{ {'b': 1, 1: 2}|tojson(sort_keys=true) }}", "{{ {(1,): 2}|tojson }}", "{{ ('<' + s)|tojson|length }}", "{{ e|tojson }}{{ el|tojson }}{{ ed|tojson }}", "{{ d|tojson(false, 2) }}",
    ],
    "string methods": [
        "{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.swapcase() }} {{ 'hELLO'.capitalize() }} {{ \"it's a b2b\".title() }}", "[{{ spaces.strip() }}] [{{ spaces.lstrip() }}] [{{ spaces.rstrip() }}] [{{ 'xyaxy'.strip('xy') }}] [{{ 'xyaxy'.lstrip('xy') }}] [{{ 'xyaxy'.rstrip('yx') }}] [{{ '\\n a\\n'.strip('\\n') }}] [{{ ' a '.strip(none) }}]", "{{ 'a,b,,c'.split(',') }} {{ spaces.split() }} {{ 'a,b,c'.split(',', 1) }} {{ ''.split(',') }} {{ ''.split() }} {{ 'a  b c'.split(none, 1) }} {{ 'a--b'.split('--') }} {{ 'abc'.split('x') }} {{ 'a,b,c'.split(sep=',', maxsplit=1) }}",
        "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.rsplit(none, 1) }} {{ 'a b'.rsplit() }}", "{{ 'a'.split('') }}", "{{ 'ab</think>cd'.split('</think>')[-1].lstrip('\\n') }}", "{{ multi.splitlines() }} {{ multi.splitlines(true) }} {{ 'a\\r\\nb\\rc'.splitlines() }}", "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}",
        "{{ s.startswith('He') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('W', 6) }} {{ s.endswith('ld') }} {{ s.endswith(('a', 'd')) }} {{ s.endswith('lo', 0, 5) }} {{ e.startswith('') }}", "{{ s.startswith(['H']) }}", "{{ s.startswith(1) }}", "{{ s.find('o') }} {{ s.find('o', 5) }} {{ s.find('x') }} {{ s.rfind('o') }} {{ s.index('W') }} {{ u.find('猫') }} {{ s.find('o', -4) }}", "{{ s.index('x') }}", "{{ s.count('l') }} {{ s.count('') }} {{ 'aaaa'.count('aa') }} {{ s.count('l', 4) }}",
        "{{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ 'ab'.replace('', '-') }} {{ 'ab'.replace('', '-', 2) }}", "{{ ','.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join({'a': 1, 'b': 2}) }}", "{{ ','.join([1]) }}", "{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'a1'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \\t'.isspace() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ '1'.isupper() }} {{ '12'.isdecimal() }} {{ '12'.isnumeric() }} {{ 'é'.isalpha() }}",
        "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ 'abc'.removeprefix('x') }}", "[{{ 'ab'.center(6) }}] [{{ 'ab'.center(5, '*') }}] [{{ 'ab'.ljust(4) }}] [{{ 'ab'.rjust(4, '.') }}] {{ '42'.zfill(5) }} {{ '-42'.zfill(5) }}", "{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format(1, 2) }} {{ '{x}'.format(x=5) }} {{ '{{}}'.format() }} {{ '{0[a]} {0[b]}'.format(d) }} {{ '{!r}'.format('a') }} {{ '{}'.format(none) }}",
        "{{ '{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd') }} {{ '{:5d}|{:05d}|{:+d}|{:x}|{:X}|{:#x}|{:b}|{:o}'.format(42, 42, 42, 255, 255, 255, 5, 8) }}", "{{ '{:.2f}|{:8.3f}|{:e}|{:g}|{:,}|{:%}|{:.3}'.format(3.14159, 2.5, 12345.678, 0.0001, 1234567, 0.25, 'abcdef') }}", "{{ '{}'.format() }}", "{{ '{'.format(1) }}", "{{ '}'.format(1) }}", "{{ '{:d}'.format('a') }}", "{{ '{} {0}'.format(1) }}",
        "{{ '%s %s' % ('a', 1) }} {{ '%d' % 5 }} {{ '%5d|%-5d|%05d|%+d' % (1, 2, 3, 4) }} {{ '%.2f' % 3.14159 }} {{ '%x %X %o' % (255, 255, 8) }} {{ '%%' % () }} {{ '%r' % 'a' }} {{ '%(a)s' % {'a': 1} }} {{ '%s' % none }} {{ '%5s|%-5s|%.2s' % ('a', 'b', 'cdef') }} {{ '%c' % 'x' }} {{ '%e' % 12345.678 }} {{ '%g' % 0.00001 }}", "{{ '%d' % 'a' }}", "{{ '%s' % () }}", "{{ '%s' % (1, 2) }}", "{{ '%z' % 1 }}", "{{ s.nope() }}", "{{ s.upper(1) }}", "{{ s.strip(1) }}", "{{ 'ÀÉ'.lower() }} {{ 'àß'.upper() }} {{ 'ǆ'.title() }}", "{{ 'a\\u2028b'.splitlines()|length }} {{ 'a b'.casefold() }}", "{{ ('a' + 'b').upper() }} {{ 'a,b'.split(',')[0].upper() }}",
    ],
    "collection methods": [
        "{{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ d.keys()|list }} {{ d.values()|list }} {{ {'a': 1}.items() }} {{ {'a': 1}.keys() }} {{ {'a': 1}.values() }}", "{% for k, v in {'x': 1}.items() %}{{ k }}{{ v }}{% endfor %} {{ {'a': 1}.items()|list }} {{ {'a': 1}.items()|length }} {{ {}.items() is true }}", "{{ {'a': 1}.copy() }} {{ ('a', 'b', 'a').count('a') }} {{ l.index(2) }} {{ l.count(1) }} {{ (1, 2).index(2) }} {{ l.copy() }}", "{{ d.get() }}", "{{ l.index(9) }}", "{{ d.get([]) }}", "{{ l.nope() }}", "{{ 'a' in {'a': 1}.keys() }} {{ 1 in {'a': 1}.values() }}",
        "{{ d.append }}|", "{{ {'get': 1}.get is callable }} {{ {'get': 1}['get'] }}", "{{ no.get('x') }}", "{{ messages[0].get('role', '') }} {{ messages[0].get('name', 'none') }}",
    ],
    "mutation": [
        "{% set a = [1] %}{% set _ = a.append(2) %}{{ a }} {{ a.append(3) }} {{ a }}", "{% set a = [1, 2, 3] %}{{ a.pop() }}{{ a.pop(0) }}{{ a }}", "{% set a = [3, 1] %}{% set _ = a.insert(0, 9) %}{% set _ = a.extend([5, 6]) %}{{ a }}{% set _ = a.remove(1) %}{{ a }}{% set _ = a.reverse() %}{{ a }}{% set _ = a.sort() %}{{ a }}{% set _ = a.clear() %}{{ a }}", "{% set a = {'x': 1} %}{% set _ = a.update({'y': 2}) %}{{ a }}{{ a.pop('x') }}{{ a.pop('q', 'no') }}{{ a }}{{ a.setdefault('k', 5) }}{{ a }}{% set _ = a.clear() %}{{ a }}",
        "{% set a = [] %}{% set b = a %}{% set _ = b.append(1) %}{{ a }}", "{{ [].pop() }}", "{{ {}.pop('x') }}", "{{ [1].remove(2) }}", "{% set a = [] %}{% for i in l %}{% set _ = a.append(i * 2) %}{% endfor %}{{ a }}", "{{ (1,).append(2) }}", "{% set a = [2, 1] %}{% set _ = a.sort(reverse=true) %}{{ a }}{% set _ = a.insert(-1, 7) %}{{ a }}",
    ],
    "functions": [
        "{{ range(3) }} {{ range(1, 4)|list }} {{ range(5, 0, -2)|list }} {{ range(0)|list }} {{ range(3)|length }} {{ range(0, 6, 2) }}", "{{ range() }}", "{{ range('a') }}", "{{ range(1, 5, 0) }}", "{{ range(100001) }}", "{{ range(100000)|length }}", "{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([['a', 1]]) }} {{ dict() }}",
        "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}", "{% set j = joiner('; ') %}{{ j() }}a{{ j() }}b{{ j() }}c", "{% set j = joiner() %}{{ j() }}a{{ j() }}b", "{{ raise_exception('no ' ~ n) }}", "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}", "before{{ raise_exception(5) }}",
        "{{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%H:%M:%S %A %B %j') }}", "{{ nope() }}", "{{ n() }}", "{{ 'a'() }}", "{{ namespace }}" if False else "{{ namespace(a=1).a }}", "{{ range(2, 3).x is defined }}", "{{ strftime_now() }}", "{{ raise_exception() }}",
    ],
    "conversations": [
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content|trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", ("{%- if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set sys = messages[0]['content'] %}{%- else %}{% set loop_messages = messages %}{%- endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{{ '[INST] ' + sys + '\n' + message['content'] if loop.first and sys is defined else message.content }}{% endfor %}", None),
        ("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% elif p['type'] == 'image' %}<img>{% endif %}{% endfor %}{% endif %}{% endfor %}", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}, {"role": "user", "content": "b"}]}),
        ("{% for t in tools %}{{ t.function|tojson }}\n{% endfor %}{{ tools|tojson(indent=4) }}", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string", "enum": ["<", "é"]}}}}}]}),
        ("{% for m in messages %}{% if m.tool_calls %}{% for tc in m.tool_calls %}{{ tc.function.name }}({% for k, v in tc.function.arguments|items %}{{ k }}={{ v|tojson if v is not string else v }}{{ ', ' if not loop.last }}{% endfor %}){% endfor %}{% endif %}{% endfor %}", {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1, "b": "x", "c": [True, None]}}}]}]}),
        ("{% set ns = namespace(last=-1) %}{% for m in messages[::-1] %}{% set i = messages|length - 1 - loop.index0 %}{% if ns.last < 0 and m.role == 'user' %}{% set ns.last = i %}{% endif %}{% endfor %}{{ ns.last }}", None),
        ("{% if content is defined and '</think>' in content %}{% set r = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{{ r }}|{{ content }}{% endif %}", {"content": "<think>\nwhy\n</think>\n\nanswer"}),
    ],
}


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class Generation(ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment(kind):
    env = kind(trim_blocks=True, lstrip_blocks=True, extensions=[ext.loopcontrols, Generation])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime(2026, 1, 15, 9, 30).strftime(form)
    return env


def run(env, text, variables):
    try:
        program = env.from_string(text)
    except jinja2.TemplateSyntaxError as e:
        return {"error": "syntax", "line": e.lineno}
    except SyntaxError:  # of the Python it was compiled to: "break" outside a loop
        return {"error": "syntax"}
    try:
        return {"expected": program.render(**variables)}
    except jinja2.exceptions.TemplateError as e:
        if type(e) is jinja2.exceptions.TemplateError:
            return {"error": "render", "raises": str(e)}
        return {"error": "render"}
    except Exception:  # what Python itself raises: TypeError, ZeroDivisionError, ...
        return {"error": "render"}


def main():
    immutable = environment(sandbox.ImmutableSandboxedEnvironment)
    mutable = environment(sandbox.SandboxedEnvironment)
    cases = []
    for group, programs in CASES.items():
        for program in programs:
            text, own = program if isinstance(program, tuple) else (program, None)
            case = {"group": group, "template": text}
            if own:
                case["variables"] = own
            variables = json.loads(json.dumps({**DATA, **(own or {})}))
            case.update(run(mutable if group == "mutation" else immutable, text, variables))
            if " at 0x" in case.get("expected", ""):
                raise SystemExit(f"prints an address: {text}")
            cases.append(case)
    path = pathlib.Path(__file__).parent.parent.parent / "tests/cases/jinja/cases.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(c, ensure_ascii=False) for c in cases)
    path.write_text(f'{{"data": {json.dumps(DATA, ensure_ascii=False)},\n "cases": [\n{lines}\n]}}\n')
    print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors")


if __name__ == "__main__":
    main()
