"""A forward proxy, as HTTP_PROXY and HTTPS_PROXY name it: it alone knows where the hosts of the tests are."""
import http.server
import socket
import threading
import urllib.parse

from listener import Listener


class ForwardProxy:
    """Every host leads to 127.0.0.1:`port`."""

    def __init__(self, port):
        self.upstream = port
        self.lines = []  # the first line of every request
        self.server = Listener(("127.0.0.1", 0), type("Handler", (Forward,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Forward(http.server.BaseHTTPRequestHandler):
    """One request per connection: bytes are copied both ways until one side ends."""
    protocol_version = "HTTP/1.1"
    rbufsize = 0
    proxy = None

    def log_message(self, *arguments):
        pass

    def relay(self):
        self.close_connection = True
        self.proxy.lines.append(self.requestline)
        with socket.create_connection(("127.0.0.1", self.proxy.upstream)) as upstream:
            if self.command == "CONNECT":
                self.send_response_only(200)
                self.end_headers()
            else:
                url = urllib.parse.urlsplit(self.path)
                target = url.path + (f"?{url.query}" if url.query else "")
                kept = [f"{name}: {value}" for name, value in self.headers.items()
                        if name.lower() not in ("connection", "proxy-connection")]
                lines = [f"{self.command} {target} HTTP/1.1", *kept, "Connection: close", "", ""]
                upstream.sendall("\r\n".join(lines).encode())
            back = threading.Thread(target=copy, args=(upstream, self.connection), daemon=True)
            back.start()
            copy(self.connection, upstream)
            back.join()

    do_CONNECT = do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = relay


def copy(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
