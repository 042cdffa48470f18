"""Requests of every kind against a server that is being disturbed, and what may come of each.

A request ends well with the answer that the undisturbed server gave, or with one of the errors that the disturbance explains.
Anything else (a lost connection, another text, silence beyond the deadline) is noted in `Traffic.wrong`.
"""
import collections
import http.client
import json
import os
import random
import signal
import socket
import struct
import threading
import time

DEADLINE = 120  # seconds from a request to its end
KILLED = "model runner has unexpectedly stopped"
BUSY = "server busy, please try again.  maximum pending requests exceeded"

QUESTIONS = ["What is the capital of France?", "Name three colours.", "Count to ten.", "Why is the sky blue?"]
LONG = "The harbour of the old town was busy that day. " * 40
GREEDY = {"temperature": 0, "num_predict": 24}


def messages(question):
    return [{"role": "system", "content": "You are brief."}, {"role": "user", "content": question}]


def lines_of(body):
    """The JSON objects of lines or of server-sent events."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


def text_of(body):
    """What an answer of any dialect says, whole or streamed; raises KeyError for one that has no end."""
    parts = lines_of(body)
    if "embeddings" in parts[0]:
        return json.dumps(parts[0]["embeddings"])
    if "choices" in parts[0]:
        choices = [part["choices"][0] for part in parts if part["choices"]]
        if choices[-1]["finish_reason"] is None:
            raise KeyError("finish_reason")
        said = [choice.get("message") or choice.get("delta") or {"content": choice.get("text")} for choice in choices]
        return "".join(part.get("content") or "" for part in said)
    if not parts[-1]["done"]:
        raise KeyError("done")
    return "".join(part["response"] if "response" in part else part["message"]["content"] for part in parts)


def error_of(body):
    """The message of an error, also of one in the middle of a stream; None without one."""
    last = lines_of(body)[-1]
    error = last.get("error")
    return error["message"] if isinstance(error, dict) else error


def requests():
    """{name: (path, body)} of all that have one right answer."""
    found = {}
    for number, question in enumerate(QUESTIONS):
        for stream in (False, True):
            end = f" {number}{' streamed' if stream else ''}"
            chat = {"messages": messages(question), "stream": stream}
            found["chat" + end] = ("/api/chat", {"model": "smol", "options": GREEDY, **chat})
            found["other chat" + end] = ("/api/chat", {"model": "other", "options": GREEDY, **chat})
            found["generate" + end] = ("/api/generate", {"model": "smol", "prompt": LONG + question, "options": GREEDY,
                                                         "stream": stream})
            openai = {"model": "smol", "temperature": 0, "max_tokens": 24}
            found["v1 chat" + end] = ("/v1/chat/completions", {**openai, **chat})
            found["v1 text" + end] = ("/v1/completions", {**openai, "prompt": question, "stream": stream})
        found[f"embed {number}"] = ("/api/embed", {"model": "smol", "input": [question, LONG]})
    return found


class Traffic:
    def __init__(self, server, seed, users):
        self.server, self.seed, self.users = server, seed, users
        self.requests = requests()
        self.expected = {}
        self.counts = collections.Counter()
        self.wrong = []
        self.slowest = 0.0
        self.lock = threading.Lock()

    def learn(self):
        """The answers of a server that nobody disturbs."""
        for name, (path, body) in self.requests.items():
            status, _, answer = self.server.request("POST", path, body)
            assert status == 200, (name, answer)
            self.expected[name] = text_of(answer)

    def run(self, seconds):
        """All users at once, and a killer of runners."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.user, args=(number, end)) for number in range(self.users)]
        threads.append(threading.Thread(target=self.kill_runners, args=(end,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.seed += 1000

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def note(self, what):
        with self.lock:
            self.wrong.append(what)

    def user(self, number, end):
        chance = random.Random(self.seed + number)
        connection = self.connect()
        actions = [self.ask] * 14 + [self.leave] * 3 + [self.half_a_request] * 2 + [self.nonsense, self.unload]
        while time.monotonic() < end:
            action = chance.choice(actions)
            try:
                connection = action(chance, connection) or connection
            except Exception as error:  # noqa: BLE001 - whatever it is, the server should not have caused it
                self.note(f"{action.__name__}: {error!r}")
                connection.close()
                connection = self.connect()
        connection.close()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=DEADLINE)

    def exchange(self, connection, path, body):
        start = time.monotonic()
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
        answer = connection.getresponse()
        status, said = answer.status, answer.read()
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - start)
        return status, said

    def ask(self, chance, connection):
        name = chance.choice(list(self.requests))
        if name.startswith(("other", "embed")) and chance.random() < 0.9:  # each of these changes the runner
            name = f"chat {chance.randrange(len(QUESTIONS))}"
        status, said = self.exchange(connection, *self.requests[name])
        error = error_of(said)
        if status == 503 and error == BUSY:
            self.count("refused, queue full")
            time.sleep(chance.uniform(0, 1))
        elif error is not None and error.startswith(KILLED) and status in (200, 500):
            self.count("runner killed")
        elif status != 200 or error is not None:
            self.note(f"{name}: {status} {said[-300:]!r}")
        elif text_of(said) != self.expected[name]:
            self.note(f"{name}: {text_of(said)!r} instead of {self.expected[name]!r}")
        else:
            self.count("answered")

    def leave(self, chance, _):
        """A client that goes away in the middle, politely or not."""
        body = {"model": "smol", "prompt": LONG * chance.choice([1, 4]), "raw": True, "stream": chance.random() < 0.8,
                "options": {"num_predict": 2000, "temperature": 1, "num_ctx": 4096}}
        with socket.create_connection(("127.0.0.1", self.server.port), DEADLINE) as client:
            client.sendall(self.head("/api/generate", body) + json.dumps(body).encode())
            client.settimeout(chance.choice([0.05, 0.5, 2]))
            try:
                client.recv(chance.choice([1, 1000]))
            except TimeoutError:
                pass
            if chance.random() < 0.5:  # a reset instead of an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.count("left")

    def half_a_request(self, chance, _):
        body = {"model": "smol", "prompt": LONG}
        whole = self.head("/api/generate", body) + json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", self.server.port), DEADLINE) as client:
            client.sendall(whole[:chance.randrange(1, len(whole))])
            time.sleep(chance.choice([0, 0.2]))
            if chance.random() < 0.3:
                client.shutdown(socket.SHUT_WR)
        self.count("half a request")

    def nonsense(self, chance, connection):
        path, body, status = chance.choice([("/api/chat", b"{", 400), ("/api/chat", {"model": "none"}, 404),
                                            ("/v1/chat/completions", {"model": "smol", "messages": 5}, 400),
                                            ("/nowhere", {}, 404)])
        got, said = self.exchange(connection, path, body)
        if got != status:
            self.note(f"{path} {body}: {got} {said[:300]!r} instead of {status}")
        self.count("nonsense")

    def unload(self, chance, connection):
        status, said = self.exchange(connection, "/api/generate", {"model": chance.choice(["smol", "other"]), "keep_alive": 0})
        if status != 200:
            self.note(f"unload: {status} {said!r}")
        self.count("unload")

    @staticmethod
    def head(path, body):
        return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(json.dumps(body))}\r\n\r\n").encode()

    def kill_runners(self, end):
        chance = random.Random(self.seed - 1)
        while time.monotonic() < end:
            time.sleep(min(chance.uniform(3, 12), max(0, end - time.monotonic())))
            for pid in self.server.children("runner")[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.count("kills")
                except ProcessLookupError:
                    pass
