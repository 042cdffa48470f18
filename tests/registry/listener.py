"""The HTTP server below the tests' registries and proxies."""
import http.server


class Listener(http.server.ThreadingHTTPServer):
    """With room for all connections of a download while the accepting thread stands still: a handshake
    that is dropped comes again only after a second."""
    request_queue_size = 128
    daemon_threads = True
