"""A port for health probes alone (``SEPERATE_HEALTH_ENDPOINT=true``): it asks the front what it answers."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, urlsplit

PATHS = frozenset(("/", "/livez", "/readyz"))
PROBE_SECONDS = 10


def _connection(service: SplitResult) -> http.client.HTTPConnection:
    """To the front; its certificate is for other names than the address it is reached by here."""
    if service.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            str(service.hostname), service.port, timeout=PROBE_SECONDS, context=context
        )
    return http.client.HTTPConnection(str(service.hostname), service.port, timeout=PROBE_SECONDS)


@contextmanager
def listening(host: str, port: int, service: str) -> Iterator[int]:
    """Answers on ``port`` (0: any free one) for the service at the URL ``service``; gives the port.

    Raises:
        OSError: the port cannot be bound.
    """
    address = urlsplit(service)

    class Handler(BaseHTTPRequestHandler):
        """One probe."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Asks the front."""
            status, body = 404, b""
            if self.path.partition("?")[0] in PATHS:
                connection = _connection(address)
                try:
                    connection.request("GET", self.path)
                    answer = connection.getresponse()
                    status, body = answer.status, answer.read()
                except OSError as exc:
                    status, body = 503, str(exc).encode()
                finally:
                    connection.close()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the base class's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Probes are not worth a line."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
