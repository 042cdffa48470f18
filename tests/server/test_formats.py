"""Answers that obey a format: generations of the real model, judged by an independent validator."""
import json
import re

import jsonschema
import ollama
import pytest

SCHEMAS = {
    "person": {"type": "object", "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "email": {"type": "string", "format": "email"}, "tags": {"type": "array", "items": {"enum": ["a", "b", 3]}, "maxItems": 3}},
        "required": ["name", "age", "tags"], "additionalProperties": False},
    "number": {"type": "object", "properties": {
        "x": {"type": "number", "exclusiveMinimum": -1.5, "maximum": 2.25}, "y": {"type": ["null", "boolean"]}},
        "required": ["x", "y"]},
    "pattern": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"}},
    "union": {"type": "object", "required": ["shape"], "properties": {"shape": {"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "circle"}, "r": {"type": "integer", "maximum": 99, "minimum": 1}},
         "required": ["kind", "r"]},
        {"type": "object", "properties": {"kind": {"const": "box"}, "size": {"type": "array", "maxItems": 2, "minItems": 2,
         "prefixItems": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "integer", "minimum": 10, "maximum": 20}],
         "items": False}}, "required": ["kind", "size"]}]}}},
    "tree": {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "value": {"type": "string", "maxLength": 4}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "required": ["value", "next"], "additionalProperties": False}}},
    "date": {"type": "object", "properties": {"at": {"type": "string", "format": "date-time"},
                                              "id": {"type": "string", "format": "uuid"}}, "required": ["at", "id"]},
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("temperature", [0, 0.8, 2.0])
def test_answers_validate(server, name, temperature):
    client = ollama.Client(host=server.url)
    validator = jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    whole = 0
    for seed in range(1 if temperature == 0 else 6):
        answer = client.chat("smol", messages=[{"role": "user", "content": "Tell me about a person, a shape and a date."}],
                             format=SCHEMAS[name], options={
                                 "temperature": temperature, "top_k": 0, "top_p": 1.0, "seed": seed, "num_predict": 160})
        if answer.done_reason == "length":
            continue  # cut off: no whole JSON
        whole += 1
        errors = list(validator.iter_errors(json.loads(answer.message.content)))
        assert not errors, (answer.message.content, errors)
    assert whole > 0 or name == "tree" or temperature == 2.0


def test_json_mode(server):
    client = ollama.Client(host=server.url)
    answer = client.generate("smol", "Write a JSON object about a cat.", format="json",
                             options={"temperature": 0, "num_predict": 200})
    if answer.done_reason == "stop":
        assert isinstance(json.loads(answer.response), dict)
    assert answer.response.startswith("{")


def test_grammar_and_regex(server):
    for form, oracle in [({"type": "regex", "regex": "(yes|no), because [a-z ]{5,20}\\."}, r"(yes|no), because [a-z ]{5,20}\."),
                         ({"type": "gbnf", "grammar": 'root ::= "<" [0-9]{3} ">"'}, r"<[0-9]{3}>")]:
        status, _, text = server.request("POST", "/api/generate", {
            "model": "smol", "prompt": "Is the sky blue?", "format": form, "stream": False, "options": {"temperature": 1, "seed": 3}})
        assert status == 200, text
        assert re.fullmatch(oracle, json.loads(text)["response"])


@pytest.mark.parametrize("form, words", [
    ("xml", "invalid format"), ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"properties": {"a": {"not": {}}}}, "#/properties/a"), ({"type": "gbnf", "grammar": "root ::= root"}, "left recursion"),
    ({"type": "gbnf"}, "expected"), ({"type": "regex", "regex": "("}, "not closed"), (7, "invalid format")])
def test_refused_with_a_reason(server, form, words):
    status, _, text = server.request("POST", "/api/generate", {"model": "smol", "prompt": "x", "format": form, "stream": False})
    assert status >= 400
    assert words in json.loads(text)["error"]
