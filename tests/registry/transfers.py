"""Pulls and pushes over the API, as NDJSON that is checked on the way."""
import http.client
import json


class Refused(Exception):
    """The error that the server reported."""


def events(server, verb, model, timeout=120, **fields):
    """The objects of POST /api/pull or /api/push as they arrive."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request("POST", f"/api/{verb}", json.dumps({"model": model, **fields}))
        answer = connection.getresponse()
        for line in answer:
            event = json.loads(line)
            if "error" in event:
                raise Refused(event["error"])
            yield event
    finally:
        connection.close()


def check_progress(seen):
    """Progress never goes back, never exceeds a total, and a total stays what it is."""
    done, totals = {}, {}
    for event in seen:
        if "digest" not in event:
            continue
        digest, completed, total = event["digest"], event.get("completed", 0), event["total"]
        assert totals.setdefault(digest, total) == total, event
        assert done.get(digest, 0) <= completed <= total, (done.get(digest), event)
        done[digest] = completed
    return done, totals


def transfer(server, verb, model, **fields):
    seen = list(events(server, verb, model, **{"insecure": True, **fields}))
    check_progress(seen)
    assert seen and seen[-1] == {"status": "success"}, seen[-3:]
    return seen


def pull(server, model, **fields):
    return transfer(server, "pull", model, **fields)


def push(server, model, **fields):
    return transfer(server, "push", model, **fields)


def refusal(server, verb, model, **fields):
    """The error text of a transfer that must fail, and the events before it."""
    seen = []
    try:
        for event in events(server, verb, model, **{"insecure": True, **fields}):
            seen.append(event)
    except Refused as error:
        check_progress(seen)
        text = str(error)
        assert text and "\n" not in text and len(text) < 1000, text
        return text
    raise AssertionError(f"{verb} {model} was not refused: {seen[-3:]}")
