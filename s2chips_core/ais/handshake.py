"""Opening and ending a WebSocket: in a thread that nobody has to wait for, and in words that a person understands.

Not here: what is said over it (`aisstream`).
"""

import email.utils
import logging
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

MOST_FRAME_BYTES = 1 << 20
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 0.5
PING_S = 20.0
"""From one ping to the next, and how long an answer may take: after both the line is cut."""


class Opening:
    """A connection that is being made in a thread of its own: neither DNS nor a silent host keeps anybody from stopping."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._future: Future[ClientConnection] = Future()
        self._future.set_running_or_notify_cancel()
        threading.Thread(target=self._open, name="ais-connect", daemon=True).start()

    def wait(self, timeout_s: float) -> ClientConnection:
        """The connection; TimeoutError when it is not there in time, OSError or WebSocketException when there is none."""
        error = self._future.exception(timeout_s)  # raises TimeoutError while there is no result
        if isinstance(error, TimeoutError):
            raise ConnectionError(f"no answer within {OPEN_TIMEOUT_S:g} s") from error
        if isinstance(error, ValueError):  # a redirect to what is no address, or to a name that is none
            raise ConnectionError(f"cannot connect ({type(error).__name__})") from error
        return self._future.result()

    def abandon(self) -> None:
        """Close the connection as soon as it is there."""
        self._future.add_done_callback(_close)

    def _open(self) -> None:
        try:
            made = connect(
                self._url,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MOST_FRAME_BYTES,
                max_queue=1024,
                compression=None,
                logger=_quiet_logger(),
            )
        except Exception as error:  # noqa: BLE001 - raised again by `wait`
            self._future.set_exception(error)
        else:
            self._future.set_result(made)


def _close(made: Future[ClientConnection]) -> None:
    if made.exception() is None:
        with made.result():
            pass


def other_host(connection: ClientConnection, url: str) -> str | None:
    """The host that a redirect has led to, when it is not that of the URL."""
    parts = urlsplit(url)
    # RFC 9110, section 7.2: the Host header, without the port that is the scheme's own.
    asked = parts.netloc.rpartition("@")[2].lower().removesuffix(":443" if parts.scheme == "wss" else ":80")
    had = connection.request.headers["Host"].lower() if connection.request else ""
    return None if had == asked else had


def closing_reason(error: ConnectionClosed) -> str:
    """How a connection ended, in a few words, with its code."""
    frame = error.rcvd or error.sent
    # RFC 6455, section 7.4.1: 1006 stands for an end without a close frame.
    said = re.sub(r"[^ -~]", "", frame.reason)[:80] if frame else ""
    return f"connection closed ({frame.code if frame else 1006}{f': {said}' if said else ''})"


def failure_reason(error: Exception) -> str:
    """Why a connection could not be made, in a few words."""
    if isinstance(error, InvalidStatus):
        return f"HTTP {error.response.status_code}"
    for one in _chain(error):
        if isinstance(one, socket.gaierror):
            return "the host name cannot be found"
        if isinstance(one, ssl.SSLError):
            return f"TLS: {getattr(one, 'verify_message', '') or one.strerror or 'failed'}"
        if isinstance(one, ConnectionRefusedError):
            return "connection refused"
        if isinstance(one, ConnectionResetError):
            return "connection reset"
    if isinstance(error, InvalidHandshake | EOFError):
        return "no WebSocket answer"
    return str(error) if isinstance(error, ConnectionError) else f"cannot connect ({type(error).__name__})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def retry_after_s(error: Exception, now: datetime) -> float | None:
    """`Retry-After` of an HTTP answer: seconds, or a date (RFC 9110, section 10.2.3)."""
    text = error.response.headers.get("Retry-After") if isinstance(error, InvalidStatus) else None
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a number that no calendar holds
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


def _quiet_logger() -> logging.Logger:
    """One that no configuration turns on: websockets shows every frame at DEBUG, and the first has the key in it."""
    logger = logging.Logger("s2chips.websockets", level=logging.WARNING)
    logger.addHandler(logging.NullHandler())
    return logger
