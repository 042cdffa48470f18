"""Nothing is cut silently: messages that are dropped, text that is cut out, a context that runs over, in every dialect."""
import json

import anthropic
import ollama
import openai
import pytest
from cria_server import eventually
from javascript import run_javascript
from server_models import server_with_model
from test_openapi import CHECKS, schema

CONTEXT = 64
WORDS = "word " * 60
DROPPED = [{"role": "user", "content": WORDS}, {"role": "assistant", "content": WORDS}]
LAST = {"role": "user", "content": "Say yes."}
FITS = [LAST]
LOSES_MESSAGES = [*DROPPED, LAST]
LOSES_TEXT = [{"role": "user", "content": "word " * 300}]
# Does not stop by itself: it runs over once.
ENDLESS = {"logit_bias": {"0": -100, "2": -100}}
RUNS_OVER = 70
HALF = (CONTEXT - 4) // 2
CHATS = ["/api/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages"]
TEXTS = ["/api/generate", "/v1/completions"]
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truncation")
    with open(folder / "records", "wb") as records:
        server = server_with_model(folder, out=records, OLLAMA_CONTEXT_LENGTH=str(CONTEXT), CRIA_LOG_FORMAT="json")
        yield server
        server.close()


def body_of(path, messages, limit, stream, **rest):
    body = {"model": "smol", "stream": stream, **rest}
    options = body.setdefault("options", {})
    if path.startswith("/api/"):
        options["num_predict"] = limit
    else:
        body["max_output_tokens" if path == "/v1/responses" else "max_tokens"] = limit
    if path in TEXTS:
        body["prompt"] = messages[-1]["content"]
    else:
        body["input" if path == "/v1/responses" else "messages"] = messages
    return body


def pieces_of(path, text, stream):
    """The objects of an answer."""
    lines = text.decode().splitlines()
    if not stream:
        return [json.loads(text)]
    if path.startswith("/api/"):
        return [json.loads(line) for line in lines]
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def losses_of(path, piece):
    """What one object of an answer says of losses."""
    if path.startswith("/api/"):
        return {name: piece[name] for name in ("truncated", "shifted") if name in piece}
    for inner in (piece, piece.get("response", {}), piece.get("message", {})):
        if "cria" in inner:
            return inner["cria"]
    return {}


def ask(server, path, messages, stream, limit=2, id="some", **rest):
    """(the header, losses in the pieces, prompt tokens that were read by the last piece that tells, all pieces)"""
    status, headers, text = server.request("POST", path, body_of(path, messages, limit, stream, **rest), {"X-Request-Id": id})
    assert status == 200, text
    pieces = pieces_of(path, text, stream)
    return headers["X-Cria-Truncated"], [losses_of(path, piece) for piece in pieces], pieces


def whole_length(server, messages):
    answer = server.request("POST", "/v1/messages/count_tokens", {"model": "smol", "messages": messages})[2]
    return json.loads(answer)["input_tokens"]


def read(server, messages):
    """How many tokens of a conversation the model reads, by a second way."""
    return json.loads(server.request("POST", "/api/chat", body_of("/api/chat", messages, 1, False))[2])["prompt_eval_count"]


def logged(server, id):
    lines = [json.loads(line) for line in (server.folder / "log").read_text().splitlines() if line.startswith("{")]
    return [line["msg"] for line in lines if line.get("request_id") == id and line["level"] == "warning"]


def record(server, id):
    def found():
        lines = [json.loads(line) for line in (server.folder / "records").read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("request_id") == id]
    assert eventually(found)
    return found()[-1]


def ends_a_stream(path, losses):
    """The last piece with a choice or a count tells; that of a response's or message's end tells it again."""
    return [one for one in losses if one][-1]


@BOTH
@pytest.mark.parametrize("path", CHATS)
def test_messages_that_are_dropped(server, path, stream):
    id = f"drops-{path.replace('/', '.')}-{stream}"
    whole = whole_length(server, LOSES_MESSAGES)
    tokens = whole - read(server, FITS)
    header, losses, _ = ask(server, path, LOSES_MESSAGES, stream, id=id)
    assert header == f"messages=2, tokens={tokens}"
    assert ends_a_stream(path, losses) == {"truncated": {"messages": 2, "tokens": tokens}}
    (line,) = logged(server, id)
    assert line == (f"the prompt of {whole} tokens loses its 2 oldest messages and has {whole - tokens}: "
                    f"num_ctx is {CONTEXT}")
    assert record(server, id)["truncated"] == {"messages": 2, "tokens": tokens}


@BOTH
@pytest.mark.parametrize("path", [*CHATS, *TEXTS])
def test_text_that_is_cut_out(server, path, stream):
    id = f"cuts-{path.replace('/', '.')}-{stream}"
    whole, left = whole_length(server, LOSES_TEXT), CONTEXT - HALF
    header, losses, _ = ask(server, path, LOSES_TEXT, stream, id=id)
    assert header == f"messages=0, tokens={whole - left}"
    assert ends_a_stream(path, losses) == {"truncated": {"messages": 0, "tokens": whole - left}}
    (line,) = logged(server, id)
    assert line.startswith(f"prompt of {whole} tokens is cut to {left}: ")


@BOTH
@pytest.mark.parametrize("path", [*CHATS, *TEXTS])
def test_a_context_that_runs_over(server, path, stream):
    id = f"runs-over-{path.replace('/', '.')}-{stream}"
    header, losses, _ = ask(server, path, FITS, stream, RUNS_OVER, id, options=dict(ENDLESS))
    assert header is None
    assert [one for one in losses if one] == [{"shifted": HALF}]
    (line,) = logged(server, id)
    assert line.startswith(f"the context of {CONTEXT} tokens is full: ")
    assert record(server, id)["shifted"] == HALF
    # Refused: the answer ends where the context does, and says so.
    header, losses, pieces = ask(server, path, FITS, stream, RUNS_OVER, id + "-not", options=dict(ENDLESS), shift=False)
    assert not any(losses) and not logged(server, id + "-not")
    assert '"length"' in json.dumps(pieces) or '"incomplete"' in json.dumps(pieces) or '"max_tokens"' in json.dumps(pieces)


@BOTH
@pytest.mark.parametrize("path", [*CHATS, *TEXTS])
def test_without_a_loss_nothing_is_different(server, path, stream):
    header, losses, pieces = ask(server, path, FITS, stream, id="whole")
    assert header is None and not any(losses)
    assert "cria" not in json.dumps(pieces) and not logged(server, "whole")
    assert not {"truncated", "shifted"} & set(record(server, "whole"))


@pytest.mark.parametrize("path", [*CHATS, *TEXTS])
def test_truncation_that_is_refused_is_an_error_with_both_numbers(server, path):
    whole = whole_length(server, LOSES_TEXT)
    for rest, words in (({"truncate": False}, f"{whole} tokens, but num_ctx is {CONTEXT}"),
                        ({"shift": False}, f"{whole} tokens, num_ctx is {CONTEXT}")):
        for stream in (False, True):
            status, headers, text = server.request("POST", path, body_of(path, LOSES_TEXT, 2, stream, **rest))
            assert status == 400 and words in text.decode(), text
            assert headers["X-Cria-Truncated"] is None


def test_where_a_response_says_it_first(server):
    """With the first event, as it is known by then."""
    for path, first in (("/v1/responses", "response.created"), ("/v1/messages", "message_start")):
        _, losses, pieces = ask(server, path, LOSES_MESSAGES, True)
        assert pieces[0]["type"] == first and losses[0]["truncated"]["messages"] == 2


def test_several_answers(server):
    """They read one prompt, and each runs over for itself."""
    rest = {"options": dict(ENDLESS), "n": 2}
    _, (losses,), _ = ask(server, "/v1/chat/completions", FITS, False, RUNS_OVER, **rest)
    assert losses == {"shifted": 2 * HALF}
    _, losses, _ = ask(server, "/v1/chat/completions", FITS, True, RUNS_OVER, **rest)
    assert [one for one in losses if one] == [{"shifted": HALF}] * 2
    header, (losses,), _ = ask(server, "/v1/chat/completions", LOSES_MESSAGES, False, n=2)
    assert losses["truncated"]["messages"] == 2 and header.startswith("messages=2, ")


def test_ollama_client(server):
    client = ollama.Client(server.url)
    answer = client.chat("smol", LOSES_MESSAGES, options={"num_predict": 2})
    assert answer.message.content and answer.done
    parts = list(client.chat("smol", LOSES_MESSAGES, options={"num_predict": 2}, stream=True))
    assert parts[-1].done
    assert client.generate("smol", "word " * 300, options={"num_predict": 2}).done


def test_openai_client(server):
    """Additional fields reach who looks for them, and disturb nobody else."""
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0, _strict_response_validation=True)
    chat = {"model": "smol", "messages": LOSES_MESSAGES, "max_tokens": 2}
    raw = client.chat.completions.with_raw_response.create(**chat)
    said = raw.parse().cria["truncated"]
    assert raw.headers["X-Cria-Truncated"] == f"messages={said['messages']}, tokens={said['tokens']}"
    *_, last = client.chat.completions.create(**chat, stream=True)
    assert last.cria["truncated"] == said
    assert client.completions.create(model="smol", prompt="word " * 300, max_tokens=2).cria["truncated"]["tokens"] > 100
    # The strict form wants a field of caches that OpenAI alone has.
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0)
    response = {"model": "smol", "input": LOSES_MESSAGES, "max_output_tokens": 2}
    assert client.responses.create(**response).cria["truncated"] == said
    *_, last = client.responses.create(**response, stream=True)
    assert last.response.cria["truncated"] == said


def test_anthropic_client(server):
    client = anthropic.Anthropic(base_url=server.url, api_key="any", max_retries=0, _strict_response_validation=True)
    settings = {"model": "smol", "messages": LOSES_MESSAGES, "max_tokens": 2}
    raw = client.messages.with_raw_response.create(**settings)
    said = raw.parse().cria["truncated"]
    assert raw.headers["X-Cria-Truncated"] == f"messages={said['messages']}, tokens={said['tokens']}"
    with client.messages.stream(**settings) as stream:
        assert stream.get_final_message().cria["truncated"] == said


def test_javascript_clients(server):
    said = run_javascript("truncation.mjs", """
import OpenAI from 'openai'
import Anthropic from '@anthropic-ai/sdk'
const messages = JSON.parse(process.argv[3])
const open = new OpenAI({ baseURL: process.argv[2] + '/v1', apiKey: 'any', maxRetries: 0 })
const chat = { model: 'smol', messages, max_tokens: 2 }
const said = [(await open.chat.completions.create(chat)).cria]
for await (const chunk of await open.chat.completions.create({ ...chat, stream: true })) if (chunk.cria) said.push(chunk.cria)
said.push((await open.chat.completions.stream(chat).finalChatCompletion()).choices.length && said[0])
said.push((await open.responses.create({ model: 'smol', input: messages, max_output_tokens: 2 })).cria)
const claude = new Anthropic({ baseURL: process.argv[2], apiKey: 'any', maxRetries: 0 })
said.push((await claude.messages.create(chat)).cria)
said.push((await claude.messages.stream(chat).finalMessage()).cria)
console.log(JSON.stringify(said))
""", server.url, json.dumps(LOSES_MESSAGES))
    told = json.loads(said)
    assert len(told) == 6 and told[0]["truncated"]["messages"] == 2 and told == [told[0]] * 6


@pytest.mark.parametrize("path", [*CHATS, *TEXTS])
def test_answers_with_losses_are_as_the_document_says(server, path):
    """The fuzz test seldom makes a prompt that is too long."""
    for messages, limit, options in ((LOSES_TEXT, 2, {}), (FITS, RUNS_OVER, dict(ENDLESS))):
        case = schema[path]["POST"].Case(body=body_of(path, messages, limit, False, options=options),
                                         media_type="application/json")
        response = case.call(base_url=server.url, timeout=60)
        assert response.status_code == 200 and losses_of(path, response.json())
        case.validate_response(response, checks=CHECKS)


def test_pages_of_a_browser_may_read_the_header_where_their_origin_is_allowed(server):
    body = body_of("/api/chat", LOSES_MESSAGES, 2, False)
    for origin in ("http://localhost:3000", "app://obsidian.md"):
        status, headers, _ = server.request("POST", "/api/chat", body, {"Origin": origin})
        assert status == 200 and headers["X-Cria-Truncated"].startswith("messages=2"), origin
        assert headers["Access-Control-Allow-Origin"] == origin
        assert "X-Cria-Truncated" in headers["Access-Control-Expose-Headers"].split(", ")
    status, headers, _ = server.request("POST", "/api/chat", body, {"Origin": "https://evil.example"})
    assert status == 403
    for name in ("Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "X-Cria-Truncated"):
        assert name not in headers
