"""A proxy before a registry that counts every byte and does harm on demand.

It forwards whole HTTP requests (Host included, so that the registry's Location headers lead back
here), and keeps a Seen of each. A Fault changes the answers of matching requests, a limited number
of times. `pages` answers some paths itself: the token server lives there.
"""
import dataclasses
import http.client
import http.server
import re
import select
import socket
import ssl
import threading
import time

from listener import Listener

PIECE = 16 << 10
DROPPED = object()  # what a fault does instead of an answer


@dataclasses.dataclass
class Seen:
    method: str
    path: str
    headers: dict
    time: float
    status: int = 0
    first: int = 0  # offset in the blob of the first byte of the answer
    sent: int = 0  # bytes of the answer's body
    received: int = 0  # bytes of the request's body


@dataclasses.dataclass
class Fault:
    """For `times` requests whose "METHOD path" matches `pattern`."""
    pattern: str
    times: int = 1
    status: int = 0  # answer this status instead of forwarding
    headers: dict = dataclasses.field(default_factory=dict)
    drop_after: int = -1  # close the connection after so many bytes of the answer's body
    drop_upload_after: int = -1  # the same of the request's body
    stall_after: int = -1  # send no more, keep the connection open
    ignore_range: bool = False
    corrupt_at: int = -1  # flip the byte at this offset of the blob; counts when it was sent
    pause: float = 0  # seconds before the first byte


class FaultProxy:
    def __init__(self, port, certificate=None):
        """Before 127.0.0.1:`port`, which speaks plain HTTP; with a certificate the proxy speaks TLS."""
        self.upstream = port
        self.lock = threading.Lock()
        self.seen, self.faults, self.pages = [], [], {}
        self.bytes_per_second = 0  # of all connections together; 0: no limit
        self.next_piece = 0.0
        self.closed = threading.Event()
        handler = type("Handler", (Relay,), {"proxy": self, "scheme": "https" if certificate else "http"})
        self.server = Listener(("127.0.0.1", 0), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    def forget(self):
        """Counts from zero again, without faults."""
        with self.lock:
            self.seen, self.faults = [], []
        self.bytes_per_second = 0

    def add(self, pattern, times=1, **what):
        with self.lock:
            self.faults.append(Fault(pattern, times, **what))

    def requests(self, pattern):
        with self.lock:
            return [seen for seen in self.seen if re.search(pattern, f"{seen.method} {seen.path}")]

    def downloaded(self, pattern="GET .*/blobs/"):
        return sum(seen.sent for seen in self.requests(pattern))

    def uploaded(self, pattern="(POST|PATCH|PUT) .*/uploads/"):
        return sum(seen.received for seen in self.requests(pattern))

    def find_fault(self, seen, attribute, none, use=True):
        """The first fault that matches and sets `attribute`; by `use` one of its times is spent."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and getattr(fault, attribute) != none and \
                        re.search(fault.pattern, f"{seen.method} {seen.path}"):
                    fault.times -= use
                    return fault
        return None

    def wait_turn(self, size):
        """Holds all connections together to bytes_per_second."""
        if not self.bytes_per_second:
            return
        with self.lock:
            now = time.monotonic()
            self.next_piece = max(self.next_piece, now) + size / self.bytes_per_second
            wait = self.next_piece - now
        time.sleep(wait)


class Relay(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True
    proxy = None
    scheme = "http"

    def log_message(self, *arguments):
        pass

    def handle(self):
        try:
            super().handle()
        except (OSError, http.client.HTTPException):
            pass

    def relay(self):
        proxy = self.proxy
        self.record = Seen(self.command, self.path, dict(self.headers), time.monotonic())
        with proxy.lock:
            proxy.seen.append(self.record)
        if fault := proxy.find_fault(self.record, "status", 0):
            self.read_body(None)
            return self.answer(fault.status, fault.headers, f"fault {fault.status}".encode())
        for path, page in proxy.pages.items():
            if self.path.split("?")[0] == path:
                self.read_body(None)
                return self.answer(*page(self))
        self.forward()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = relay

    def forward(self):
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream, timeout=60)
        try:
            self.send_upstream(upstream)
            answer = upstream.getresponse()
            self.send_back(answer)
        except (OSError, http.client.HTTPException):
            self.drop()
        finally:
            upstream.close()

    def send_upstream(self, upstream):
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        unranged = self.proxy.find_fault(self.record, "ignore_range", False)
        for name, value in self.headers.items():
            if not (unranged and name.lower() == "range") and name.lower() not in ("expect", "connection"):
                upstream.putheader(name, value)
        upstream.putheader("X-Forwarded-Proto", self.scheme)
        upstream.endheaders()
        try:
            self.read_body(upstream)
        except BrokenPipeError:
            pass  # it may have answered early

    def read_body(self, upstream):
        """The request's body, counted, to `upstream` when there is one."""
        fault = self.proxy.find_fault(self.record, "drop_upload_after", -1) if upstream else None
        for piece, raw in self.pieces():
            self.record.received += len(piece)
            self.proxy.wait_turn(len(piece))
            if fault and self.record.received > fault.drop_upload_after:
                raise ConnectionResetError
            if upstream:
                upstream.send(raw)

    def pieces(self):
        """(content, bytes as they came) of the body, chunked or not."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                line = self.rfile.readline()
                content = self.rfile.read(int(line.split(b";")[0], 16))
                yield content, line + content + self.rfile.readline()
                if not content:
                    return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            piece = self.rfile.read(min(PIECE, left))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece, piece

    def send_back(self, answer):
        self.record.status = answer.status
        match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range") or "")
        self.record.first = int(match[1]) if match else 0
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if answer.headers.get("Content-Length") is None and answer.status not in (204, 304):
            self.close_connection = True
            self.send_header("Connection", "close")
        if fault := self.proxy.find_fault(self.record, "pause", 0):
            time.sleep(fault.pause)
        self.end_headers()
        if self.command != "HEAD":
            self.send_pieces(answer)

    def send_pieces(self, answer):
        proxy, record = self.proxy, self.record
        drop = proxy.find_fault(record, "drop_after", -1)
        stall = proxy.find_fault(record, "stall_after", -1)
        while piece := answer.read(PIECE):
            if drop and record.sent + len(piece) > drop.drop_after:
                piece = piece[:drop.drop_after - record.sent]
            if stall and record.sent + len(piece) > stall.stall_after:
                piece = piece[:stall.stall_after - record.sent]
            proxy.wait_turn(len(piece))
            piece = self.corrupted(piece)
            record.sent += len(piece)  # before: the other side may be done as soon as it has them
            self.wfile.write(piece)
            if drop and record.sent >= drop.drop_after:
                return self.drop()
            if stall and record.sent >= stall.stall_after:
                return self.stall()

    def corrupted(self, piece):
        first = self.record.first + self.record.sent
        fault = self.proxy.find_fault(self.record, "corrupt_at", -1, use=False)
        if fault is None or not first <= fault.corrupt_at < first + len(piece):
            return piece
        fault.times -= 1
        changed = bytearray(piece)
        changed[fault.corrupt_at - first] ^= 1
        return bytes(changed)

    def answer(self, status, headers, body):
        self.record.status, self.record.sent = status, len(body)
        self.send_response_only(status)
        for name, value in {"Content-Type": "text/plain", **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stall(self):
        """Until the client gives up."""
        while not self.proxy.closed.is_set():
            if select.select([self.connection], [], [], 0.1)[0]:
                break
        self.drop()

    def drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
