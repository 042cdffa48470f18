"""kill -9 in the middle of a pull, again and again: little is fetched twice and the end is correct."""
import http.client
import random

from models import MIB, model_files, noise, write_model
from transfers import check_progress, events, pull, push

SIZE = 128 * MIB
PART = MIB
KILLS = 20


def test_twenty_kills(new_server, proxy):
    writer = new_server("writer")
    name = f"{proxy.host}/lab/kills:1"
    write_model(writer.models, name, [("model", noise(SIZE, 51)), ("system", b"Be brief.")])
    push(writer, name)
    proxy.bytes_per_second = 12 * MIB
    chance = random.Random(20)
    moved, furthest = [], 0
    for _ in range(KILLS):
        reader = new_server("reader", CRIA_PART_BYTES=str(PART))
        before = proxy.downloaded()
        # A kill comes late by what arrives until this thread sees the progress: 0.7 MiB, and on a busy machine more.
        goal = furthest + chance.randrange(600 << 10, 1200 << 10)
        seen = []
        try:
            for event in events(reader, "pull", name, insecure=True):
                seen.append(event)
                if event.get("total") == SIZE and event.get("completed", 0) >= goal:
                    reader.process.kill()
        except (http.client.HTTPException, OSError):
            pass
        reader.process.wait(60)
        check_progress(seen)
        furthest = max(event.get("completed", 0) for event in seen if event.get("total") == SIZE)
        assert furthest >= goal and seen[-1] != {"status": "success"}
        moved.append(proxy.downloaded() - before)
    proxy.bytes_per_second = 0
    reader = new_server("reader", CRIA_PART_BYTES=str(PART))
    pull(reader, name)
    assert model_files(reader.models, name) == model_files(writer.models, name)
    twice = proxy.downloaded() - SIZE
    assert twice <= KILLS * PART + MIB, (twice, moved)
    assert [path.name for path in (reader.models / "blobs").iterdir() if "partial" in path.name] == []
