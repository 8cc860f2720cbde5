"""A small HTTP server on loopback that knows byte ranges, counts what it is asked and can be told to fail."""

import contextlib
import dataclasses
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclasses.dataclass
class Asked:
    """One request as it came in."""

    path: str
    first: int | None
    last: int | None
    if_match: str | None = None
    query: str = ""


Fault = str | tuple[int, dict[str, str]] | None


class RangeServer:
    """Serves `files` (path without the slash -> bytes or Path).

    `fault(number, path)` may answer a request otherwise: `reset`, `short`, `ignore_range`, or (status, headers).
    """

    def __init__(self, files: dict[str, bytes | Path]) -> None:
        self.files = files
        self.etags: dict[str, str] = {}
        self.knows_if_match = True
        self.asked: list[Asked] = []
        self.fault: Callable[[int, str], Fault] = lambda number, path: None
        self.hold: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        self.sent_bytes = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                outer.answer(self)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_address[1]}"

    def href(self, name: str) -> str:
        return f"http://{self.host}/{name}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.partition("?")[0].lstrip("/")
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        first = int(asked[1]) if asked else None
        last = int(asked[2]) if asked and asked[2] else None
        with self.lock:
            query = handler.path.partition("?")[2]
            self.asked.append(Asked(name, first, last, handler.headers.get("If-Match"), query))
            number = len(self.asked)
        self.hold()
        fault = self.fault(number, name)
        if fault == "reset":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        if isinstance(fault, tuple):
            handler.send_response(fault[0])
            for key, value in fault[1].items():
                handler.send_header(key, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if name not in self.files:
            handler.send_response(404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        source = self.files[name]
        whole = source if isinstance(source, bytes) else source.read_bytes()
        if_match = handler.headers.get("If-Match")
        if self.knows_if_match and if_match is not None and if_match != self.etags.get(name):
            body, status = b"", 412
        elif first is None or fault == "ignore_range":
            body, status = whole, 200
        elif first >= len(whole):
            body, status = b"", 416
        else:
            body, status = whole[first : None if last is None else last + 1], 206
        handler.send_response(status)
        if status == 206:
            assert first is not None
            handler.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(whole)}")
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("Content-Length", str(len(body)))
        if name in self.etags:
            handler.send_header("ETag", self.etags[name])
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if fault == "short":
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            handler.wfile.write(body)
            with self.lock:
                self.sent_bytes += len(body)


@contextlib.contextmanager
def serving(files: dict[str, bytes | Path]) -> Iterator[RangeServer]:
    server = RangeServer(files)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()
