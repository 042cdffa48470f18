"""Schemas of every kind that docs/formats.md promises, made by a seed."""
import random

FORMATS = ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"]
PATTERNS = ["^[a-z]{3,8}$", "^[A-Z]{2}-\\d{3}$", "^(yes|no|maybe)$", "^#[0-9a-f]{6}$", "^\\d{1,3}(\\.\\d{1,3}){3}$", "x+y?z*"]
WORDS = ["name", "size", "kind", "value", "items", "note", "id", "\u00e9t\u00e9", "with space", "a\"b"]


def bounded(rng, low, high):
    first, second = sorted((rng.randint(low, high), rng.randint(low, high)))
    return first, second


def text(rng):
    kind = rng.randrange(4)
    if kind == 0:
        return {"type": "string", "format": rng.choice(FORMATS)}
    if kind == 1:
        return {"type": "string", "pattern": rng.choice(PATTERNS), "maxLength": 40}
    least, most = bounded(rng, 0, 20)
    return {"type": "string", "minLength": least, "maxLength": most}


def number(rng):
    least, most = bounded(rng, -500, 500)
    if rng.random() < 0.6:
        return {"type": "integer", "minimum": least, "maximum": most}
    return {"type": "number", "exclusiveMinimum": least - 0.5, "maximum": most + 0.25}


def constant(rng):
    values = ["red", "green", 7, -2.5, None, True, [1, "a"], {"k": "v"}, "\u65e5\u672c", "\"quoted\"\n"]
    return {"const": rng.choice(values)} if rng.random() < 0.3 else {"enum": rng.sample(values, rng.randint(1, 5))}


def array(rng, depth):
    least, most = bounded(rng, 0, 3)
    if rng.random() < 0.3:
        parts = [schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        return {"type": "array", "prefixItems": parts, "items": False, "minItems": rng.randint(0, len(parts))}
    return {"type": "array", "items": schema(rng, depth - 1), "minItems": least, "maxItems": most}


def thing(rng, depth):
    names = rng.sample(WORDS, rng.randint(1, 4))
    out = {"type": "object", "properties": {name: schema(rng, depth - 1) for name in names},
           "required": rng.sample(names, rng.randint(0, len(names)))}
    if rng.random() < 0.7:
        out["additionalProperties"] = False
    elif rng.random() < 0.5:
        out["additionalProperties"] = {"type": "integer", "minimum": 0, "maximum": 9}
    return out


def union(rng, depth):
    kinds = rng.sample(["circle", "box", "line"], rng.randint(2, 3))
    branches = [{"type": "object", "properties": {"kind": {"const": kind}, "more": schema(rng, depth - 1)}, "required": ["kind", "more"],
                 "additionalProperties": False} for kind in kinds]
    return {rng.choice(["anyOf", "oneOf"]): branches}


def tree(rng):
    return {"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "properties": {"value": rng.choice([text, number])(rng), "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "required": ["value", "next"], "additionalProperties": False}}}


def mapping(rng):
    return {"type": "object", "patternProperties": {"^[a-c][0-9]$": {"type": "integer", "minimum": 0, "maximum": 99}}, "additionalProperties": False}


def both(rng):
    least, most = bounded(rng, 0, 50)
    return {"allOf": [{"type": "integer", "minimum": least}, {"maximum": most + 1}]}


def schema(rng, depth=2):
    leaves = [text, number, constant, lambda r: {"type": ["null", "boolean"]}, both]
    inner = [array, thing, union]
    if depth <= 0 or rng.random() < 0.3:
        return rng.choice(leaves)(rng)
    return rng.choice(inner)(rng, depth)


def make(seed):
    """The schema of this seed: every eighth has recursion or keys by a pattern at its root."""
    rng = random.Random(seed)
    if seed % 8 == 0:
        return rng.choice([tree, mapping])(rng)
    return rng.choice([thing, array, union])(rng, 3)
