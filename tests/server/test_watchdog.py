"""A runner that does not get on is seen and ended, however it got stuck; a slow one is left alone."""
import concurrent.futures
import ctypes
import json
import os
import signal
import threading
import time

import pytest

from cria_server import eventually
from server_models import NO_END, server_with_model

LIMIT = 6  # seconds
BODY = {"model": "smol", "prompt": "Once upon a time", "raw": True, "stream": False, "options": {"num_predict": 4}}
NO_PROGRESS = f"the model runner made no progress for {LIMIT}s and was ended; the next request starts a new one"
SEIZE, INTERRUPT, WAIT_ALL = 0x4206, 0x4207, 0x40000000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = server_with_model(tmp_path_factory.mktemp("watchdog"), CRIA_WATCHDOG=str(LIMIT))
    yield server
    server.close()


def works(server):
    return server.request("POST", "/api/generate", BODY)[0] == 200


def runner_of(server):
    assert works(server)
    (runner,) = server.children("runner")
    return runner


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


class StoppedThread:
    """One thread of a process stands still, the others go on: its tracer is a thread of ours."""

    def __init__(self, thread):
        self.done = threading.Event()
        self.held = concurrent.futures.Future()
        self.tracer = threading.Thread(target=self.hold, args=(thread,))
        self.tracer.start()
        self.held.result(10)

    def hold(self, thread):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        try:
            for request in (SEIZE, INTERRUPT):
                if libc.ptrace(request, thread, None, None) != 0:
                    raise OSError(ctypes.get_errno(), "ptrace")
            os.waitpid(thread, WAIT_ALL)
            self.held.set_result(True)
        except OSError as error:
            return self.held.set_exception(error)
        self.done.wait()

    def end(self):
        self.done.set()
        self.tracer.join()


def test_a_stopped_process_is_ended(server):
    runner = runner_of(server)
    os.kill(runner, signal.SIGSTOP)
    start = time.time()
    assert server.error("POST", "/api/generate", BODY) == (500, NO_PROGRESS)
    # A look that began with the request before counts whole: an eighth of the limit.
    assert LIMIT * 0.87 < time.time() - start < 3 * LIMIT
    assert eventually(lambda: not alive(runner))
    assert runner_of(server) != runner
    assert f"runner {runner}: {NO_PROGRESS} (requests: 1)" in (server.folder / "log").read_text()


def test_a_process_that_stops_in_an_answer_ends_it_with_the_reason(server):
    runner = runner_of(server)
    body = {**BODY, "stream": True, "options": {**NO_END, "num_predict": 100_000, "temperature": 1}}
    lines = []

    def ask():
        lines.extend(server.request("POST", "/api/generate", body)[2].decode().strip().splitlines())
    asking = threading.Thread(target=ask)
    asking.start()
    assert eventually(lambda: any(r["phase"] == "generating" for r in
                                  json.loads(server.request("GET", "/api/status")[2])["requests"]))
    os.kill(runner, signal.SIGSTOP)
    asking.join(3 * LIMIT)
    assert json.loads(lines[-1]) == {"error": NO_PROGRESS}
    assert works(server)


def test_a_stuck_engine_is_ended_though_its_process_goes_on(server):
    """The engine's thread is the process's first one; the one that answers /api/tokenize goes on."""
    runner = runner_of(server)
    try:
        stopped = StoppedThread(runner)
    except OSError as error:
        pytest.skip(f"this system lets nobody stop a single thread: {error}")
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.error, "POST", "/api/generate", BODY)
            answered = 0
            while not asked.done():
                answered += server.request("POST", "/api/tokenize", {"model": "smol", "content": "Hi"})[0] == 200
                time.sleep(0.1)
            assert asked.result() == (500, NO_PROGRESS)
            assert answered > 5
    finally:
        stopped.end()
    assert runner_of(server) != runner


def test_a_stopped_idle_runner_is_not_noticed_until_it_is_asked(server):
    runner = runner_of(server)
    os.kill(runner, signal.SIGSTOP)
    time.sleep(1.5 * LIMIT)
    assert alive(runner)
    os.kill(runner, signal.SIGCONT)
    assert runner_of(server) == runner


def test_a_slow_runner_is_left_alone(tmp_path):
    """The plainest kernels, one thread, and that stopped two thirds of the time: its first step, of a whole prompt,
    takes longer than the limit."""
    limit = LIMIT // 2
    server = server_with_model(tmp_path, CRIA_WATCHDOG=str(limit), CRIA_CPU="scalar", OLLAMA_NUM_THREADS="1")
    try:
        runner = runner_of(server)
        body = {**BODY, "prompt": "word " * 60, "options": {"num_predict": 1}}
        start = time.time()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.request, "POST", "/api/generate", body)
            while not asked.done():
                os.kill(runner, signal.SIGSTOP)
                time.sleep(0.4)
                os.kill(runner, signal.SIGCONT)
                time.sleep(0.2)
            assert asked.result()[0] == 200
        assert time.time() - start > 1.2 * limit
        assert runner_of(server) == runner
    finally:
        server.close()


def test_a_server_that_stood_still_as_well_blames_nobody(server):
    """As when a container is frozen or a machine sleeps."""
    runner = runner_of(server)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.request, "POST", "/api/generate", {**BODY, "options": {"num_predict": 300}})
        time.sleep(0.2)
        os.kill(runner, signal.SIGSTOP)
        os.kill(server.process.pid, signal.SIGSTOP)
        time.sleep(2 * LIMIT)
        os.kill(server.process.pid, signal.SIGCONT)
        time.sleep(0.5)
        os.kill(runner, signal.SIGCONT)
        assert asked.result()[0] == 200
    assert runner_of(server) == runner
