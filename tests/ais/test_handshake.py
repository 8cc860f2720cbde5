"""Opening a connection in the background, and saying in words why there is none."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from s2chips_core.ais.handshake import Opening, closing_reason, failure_reason, other_host, retry_after_s
from s2chips_core.sandbox.ais_server import AisServed, serve_ais

NOW = datetime(2025, 10, 27, 12, tzinfo=UTC)


@pytest.fixture
def served() -> Iterator[AisServed]:
    with serve_ais() as served:
        yield served


def answer(status: int, retry_after: str | None = None) -> InvalidStatus:
    headers = Headers({} if retry_after is None else {"Retry-After": retry_after})
    return InvalidStatus(Response(status, "", headers))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("120", 120.0),
        ("0", 0.0),
        ("Mon, 27 Oct 2025 12:00:30 GMT", 30.0),
        ("Mon, 27 Oct 2025 11:00:30 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, expected: float | None) -> None:
    assert retry_after_s(answer(429, text), NOW) == expected


def test_other_failures_have_no_retry_after() -> None:
    assert retry_after_s(ConnectionRefusedError(), NOW) is None


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (answer(429), "HTTP 429"),
        (answer(503), "HTTP 503"),
        (socket.gaierror(-2, "Name or service not known"), "the host name cannot be found"),
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (_caused(InvalidMessage("no answer"), ConnectionResetError()), "connection reset"),
        (InvalidMessage("no answer"), "no WebSocket answer"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), "TLS: certificate verify failed"),
        (OSError(113, "No route to host"), "cannot connect (OSError)"),
    ],
)
def test_why_there_is_no_connection(error: Exception, says: str) -> None:
    assert failure_reason(error).startswith(says)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionClosedError(None, None), "connection closed (1006)"),
        (ConnectionClosedError(Close(1001, ""), None), "connection closed (1001)"),
        (ConnectionClosedError(Close(1013, "try\nagain\x00 later"), None), "connection closed (1013: tryagain later)"),
        (
            ConnectionClosedError(None, Close(1011, "keepalive ping timeout")),
            "connection closed (1011: keepalive ping timeout)",
        ),
    ],
)
def test_how_a_connection_ended(error: ConnectionClosedError, says: str) -> None:
    assert closing_reason(error) == says


def test_a_connection_that_is_there_is_given(served: AisServed) -> None:
    with Opening(served.url).wait(5.0) as connection:
        assert other_host(connection, served.url) is None
        assert other_host(connection, "ws://127.0.0.1:1/v0/stream") == served.url.split("/")[2]


def test_a_host_that_says_nothing_does_not_hold_anybody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        opening = Opening(f"ws://127.0.0.1:{deaf.getsockname()[1]}/")
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            opening.wait(0.1)
        assert time.monotonic() - began < 1.0
        opening.abandon()


def test_a_connection_that_nobody_waits_for_is_closed(served: AisServed) -> None:
    Opening(served.url).abandon()
    until = time.monotonic() + 5
    while not (served.counters.connections == 1 and served.counters.open == 0):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert served.subscriptions == []


@pytest.mark.parametrize(
    "where", ["ws://[bad", "ws://x:99999999/", "ws://x:abc/", "ws://" + "a" * 70 + ".example/", "ws://..x/"]
)
def test_a_redirect_to_no_address_is_a_failed_connection(where: str) -> None:
    class Nowhere(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", where)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Nowhere) as redirecting:
        thread = threading.Thread(target=redirecting.serve_forever)
        thread.start()
        opening = Opening(f"ws://127.0.0.1:{redirecting.server_address[1]}/v0/stream")
        try:
            with pytest.raises(ConnectionError, match="cannot connect") as refused:
                opening.wait(15.0)
        finally:
            redirecting.shutdown()
            thread.join()
    assert failure_reason(refused.value).startswith("cannot connect (")


def test_a_redirect_to_another_host_is_noticed(served: AisServed) -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", served.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Elsewhere) as redirecting:
        thread = threading.Thread(target=redirecting.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{redirecting.server_address[1]}/v0/stream"
        with Opening(url).wait(5.0) as connection:
            assert other_host(connection, url) == served.url.split("/")[2]
        redirecting.shutdown()
        thread.join()
