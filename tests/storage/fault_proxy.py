"""A proxy on loopback between a process and a bucket that loses answers, refuses, resets and waits."""

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Rule = Callable[[str, str], str]
"""Method and path of a request -> what becomes of it: a name of `Proxy.serve`, or "" to pass it on."""


class Proxy:
    """Where it listens, and what it does."""

    def __init__(self, target: str, rule: Rule) -> None:
        self._target, self.rule = urlsplit(target), rule
        self.done: list[tuple[str, str, str]] = []
        """Method, path and fault of each request, as they came."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    super().handle()

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.serve(self, body)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = serve  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        """One request.

        `500` and `reset`: it never reaches the bucket. `done-500`, `done-reset`: it is done, and the answer lost. `hang`:
        no answer for as long as anybody waits. `slow-…`: so many seconds before it is passed on. `unconditional`: without
        its If-Match.
        """
        fault = self.rule(asked.command, asked.path)
        self.done.append((asked.command, asked.path, fault))
        if fault.startswith("slow-"):
            time.sleep(float(fault.removeprefix("slow-")))
        if fault == "hang":
            time.sleep(120)
        if fault in ("reset", "hang"):
            _reset(asked)
            return
        if fault != "500":
            status, headers, answer = self._pass_on(asked, body, fault)
            if fault == "done-reset":
                _reset(asked)
                return
        if fault.endswith("500"):
            status, headers, answer = 500, [], b"<Error><Code>InternalError</Code></Error>"
        asked.send_response_only(status)
        given = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection"):
                asked.send_header(name, value)
        if "content-length" not in given:
            asked.send_header("Content-Length", str(len(answer)))
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(answer)

    def _pass_on(self, asked: BaseHTTPRequestHandler, body: bytes, fault: str) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(str(self._target.hostname), self._target.port, timeout=60)
        try:
            connection.putrequest(asked.command, asked.path, skip_host=True, skip_accept_encoding=True)
            for name, value in asked.headers.items():
                if fault == "unconditional" and name.lower() == "if-match":
                    continue
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


def _reset(asked: BaseHTTPRequestHandler) -> None:
    asked.close_connection = True
    asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asked.connection.close()


@contextlib.contextmanager
def serve_faults(target: str, rule: Rule) -> Iterator[Proxy]:
    """A proxy to `target` while the block runs."""
    proxy = Proxy(target, rule)
    thread = threading.Thread(target=proxy.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
        thread.join()
