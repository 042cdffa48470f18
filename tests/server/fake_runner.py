#!/usr/bin/env -S python3 -SE
"""A runner without a model, for tests of the scheduler. The model's path says how it behaves:
words separated by '-': "slow" loads for ever, "refuse" fails to load, "crash" dies at the first
request, "garbage" sends no JSON, "endless" speaks until it is cancelled, "mute" never answers a prompt, "toil" gives
signs of life for five seconds before it does, "half" has used half of its KV cache, "unread" has read 40 of 100 bytes of weights, "promised" says what it was told of
other runners' memory, "needs" with a number after it takes so many of 1000 bytes, of which every "half" holds 123."""
import json
import socket
import struct
import sys
import time

channel = socket.socket(fileno=3)
greeted = False


def receive():
    header = channel.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        sys.exit(0)
    (size,) = struct.unpack("<I", header)
    return json.loads(channel.recv(size, socket.MSG_WAITALL))


def send(message):
    global greeted
    if not greeted:
        message["protocol"] = 1
        greeted = True
    body = json.dumps(message).encode()
    channel.sendall(struct.pack("<I", len(body)) + body)


load = receive()
assert load["type"] == "load" and load["protocol"] == 1
words = load["model_path"].split("-")
send({"type": "progress", "fraction": 0.5})
if "slow" in words:
    receive()
if "refuse" in words:
    send({"type": "failure", "id": 0, "kind": "invalid_input", "message": "this file is broken"})
    sys.exit(1)
if "needs" in words:
    needed = int(words[words.index("needs") + 1])
    available = 1000 - 123 * (load["promised_bytes"] // 10)  # 10 of the 123 are not taken yet
    if needed > available:
        send({"type": "failure", "id": 0, "kind": "out_of_memory", "message": "too little memory",
              "shortage": {"needed": needed, "available": available}})
        sys.exit(1)
send({"type": "loaded", "context_length": min(load["num_ctx"], 8192), "longest_context": 8192, "weight_bytes": 100, "kv_bytes": 20,
      "scratch_bytes": 3, "backend": "fake", "threads": 1, "parallel": max(load["parallel"], 1), "texts_together": 64, "sandboxed": True})
if "half" in words:
    send({"type": "usage", "pages": 10, "pages_used": 1, "pages_touched": 5,
          "weight_bytes_unread": 60 if "unread" in words else 0})
while True:
    request = receive()
    if request["type"] == "tokenize":
        send({"type": "done", "id": request["id"], "reason": "stop"})
    if request["type"] != "generate":
        continue
    if "promised" in words:
        request["prompt"] = str(load["promised_bytes"])
    if "crash" in words:
        sys.exit(7)
    if "garbage" in words:
        channel.sendall(b"\x05\x00\x00\x00hello")
        time.sleep(100)
    if "mute" in words:
        continue
    if "toil" in words:
        for _ in range(100):
            send({"type": "alive", "steps": True})
            time.sleep(0.05)
    if "endless" in words:
        while True:
            try:
                if channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    break
            except BlockingIOError:
                pass
            send({"type": "text", "id": request["id"], "content": "again "})
            time.sleep(0.001)
        cancel = receive()
        assert cancel == {"type": "cancel", "id": request["id"]}, cancel
        send({"type": "failure", "id": request["id"], "kind": "cancelled", "message": "the request was cancelled"})
        continue
    send({"type": "text", "id": request["id"], "content": ("" if "promised" in words else "echo ") + request["prompt"]})
    send({"type": "done", "id": request["id"], "reason": "stop", "prompt_tokens": 1, "generated_tokens": 2})
