"""Connections to hosts, kept open between requests, that another thread can end.

Here: sockets, TLS, and which connection may be used again. The answer's head is parsed by http.client. Not here: which hosts
may be asked, what is tried again (`fetch`). Why not urllib3's pool: docs/design/0008-reading.md.
"""

import contextlib
import http.client
import io
import math
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, cast

from urllib3.util.wait import wait_for_read, wait_for_write

from s2chips_core.hrefs import Address

LOOK_S = 0.25
"""How often a thread that waits for a host looks whether it was interrupted, seconds."""
DRAIN_MOST_BYTES = 64 * 1024
"""A longer rest of a body is not read to keep its connection: a new one is cheaper."""
LEAST_BYTES_S = 1000.0
"""A server that sends less in a second, for as long as it may be silent, is given up: a block would take hours."""
HEAD_MOST_BYTES = 1 << 20
"""Of an answer before its body. http.client takes interim answers (100) as long as they come."""
TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class InterruptedReadError(Exception):
    """`interrupt` was called. Not one of the project's errors: the caller makes one that names the href."""


class StaleConnectionError(ConnectionError):
    """A kept connection ended before there was an answer: the host had let go of it, which says nothing of the host."""


class Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, address: Address, sock: socket.socket) -> None:
        self.address, self.sock = address, sock
        self.response: http.client.HTTPResponse | None = None
        self.kept = False
        """Whether it has carried an answer before."""


class _Received(io.RawIOBase):
    """What a server sends, as long as that does not come too slowly: a timeout of the socket starts anew at every byte."""

    def __init__(self, sock: socket.socket, patience_s: float) -> None:
        self._sock, self._patience_s = sock, patience_s
        self._until_s = time.monotonic() + patience_s
        self.left_bytes: float = HEAD_MOST_BYTES
        """How much may come yet."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if time.monotonic() > self._until_s:
            raise TimeoutError(f"less than {LEAST_BYTES_S:g} bytes a second for {self._patience_s:g} s")
        if self.left_bytes <= 0:
            raise ConnectionAbortedError(f"a head of more than {HEAD_MOST_BYTES} bytes")
        size = self._sock.recv_into(buffer)
        self.left_bytes -= size
        self._until_s += size / LEAST_BYTES_S
        return size

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)


class Connections:
    """All connections of one Fetcher; safe to share between threads."""

    def __init__(self, *, timeout_s: float, connect_s: float) -> None:
        """Args:
        timeout_s: longest silence of a server, seconds.
        connect_s: longest time until a server takes a connection, seconds.
        """
        self._timeout_s, self._connect_s = timeout_s, connect_s
        self._lock = threading.Lock()
        self._idle: dict[Address, list[Connection]] = {}
        self._used: set[socket.socket] = set()
        self._tls: ssl.SSLContext | None = None
        self.interrupted = threading.Event()
        weakref.finalize(self, _close_all, self._idle)  # for those who forget to close

    def ask(self, address: Address, head: bytes, *, fresh: bool = False) -> Connection:
        """Send a request; returns the connection with its `response`, whose head has been read.

        Args:
            address: whom to ask.
            head: the request.
            fresh: over a new connection, whatever has been kept.

        Raises:
            InterruptedReadError: see `interrupt`.
            StaleConnectionError: there is no answer, and may well be one over a new connection.
            ssl.SSLError, OSError, http.client.HTTPException: there is no answer.
        """
        connection = Connection(address, self._open(address)) if fresh else self._take(address)
        try:
            connection.sock.sendall(head)
            self._wait(wait_for_read, connection.sock, self._timeout_s)
            received = _Received(connection.sock, self._timeout_s)
            connection.response = response = http.client.HTTPResponse(cast(socket.socket, received), method="GET")
            response.begin()
            received.left_bytes = math.inf
        except BaseException as error:
            self.drop(connection)
            self._raise_interrupted(error)
            if connection.kept and isinstance(error, (ConnectionError, *TLS_ENDS)):
                raise StaleConnectionError(f"a kept connection had ended ({type(error).__name__})") from error
            raise
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep the connection when the body has been read to its end, or nearly so; else close it."""
        response = connection.response
        try:
            keep = response is not None and not response.will_close
            if keep and response is not None and not response.isclosed():
                keep = response.length is not None and response.length <= DRAIN_MOST_BYTES
                if keep:
                    response.read()
        except (OSError, http.client.HTTPException):
            keep = False
        with self._lock:
            keep = keep and not self.interrupted.is_set()
            if keep:
                connection.kept = True
                self._used.discard(connection.sock)
                self._idle.setdefault(connection.address, []).append(connection)
        if not keep:
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Close the connection."""
        if connection.response is not None:
            connection.response.close()
        self._close(connection.sock)

    def interrupt(self) -> None:
        """End all that wait, now and later, with InterruptedReadError."""
        with self._lock:
            self.interrupted.set()
            for sock in self._used:
                with contextlib.suppress(OSError):  # it is not connected yet, or no more
                    # Not SSLSocket.shutdown: it takes the encryption away from under the thread that reads.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            _close_all(self._idle)

    def _take(self, address: Address) -> Connection:
        while True:
            with self._lock:
                if self.interrupted.is_set():
                    raise InterruptedReadError
                kept = self._idle.get(address)
                connection = kept.pop() if kept else None
                if connection is not None:
                    self._used.add(connection.sock)
            if connection is None:
                return Connection(address, self._open(address))
            # What comes unasked is the host's goodbye: this connection is of no use any more.
            if not wait_for_read(connection.sock, 0.0):
                return connection
            self._close(connection.sock)

    def _open(self, address: Address) -> socket.socket:
        problem: OSError | None = None
        for family, kind, protocol, _, where in socket.getaddrinfo(address.host, address.port, 0, socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            self._use(sock)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                try:
                    sock.connect(where)
                except BlockingIOError:
                    self._wait(wait_for_write, sock, self._connect_s)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code:
                        raise OSError(code, "cannot connect")  # noqa: B904 - the one above is no reason
                sock.settimeout(self._timeout_s)
                return self._encrypt(sock, address) if address.scheme == "https" else sock
            except BaseException as error:
                self._close(sock)
                self._raise_interrupted(error)
                if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
                    raise
                problem = error
        raise problem or OSError(f"no address of {address.host}")

    def _encrypt(self, sock: socket.socket, address: Address) -> socket.socket:
        with self._lock:
            if self._tls is None:
                self._tls = ssl.create_default_context()
                self._tls.set_alpn_protocols(["http/1.1"])
            context = self._tls
        # The socket moves into the one that encrypts; until then it stands in `_used` under both, so that it can be ended.
        secure = context.wrap_socket(sock, server_hostname=address.host, do_handshake_on_connect=False)
        self._use(secure, instead_of=sock)
        try:
            secure.do_handshake()
        except BaseException:
            self._close(secure)
            raise
        return secure

    def _use(self, sock: socket.socket, instead_of: socket.socket | None = None) -> None:
        with self._lock:
            if instead_of is not None:
                self._used.discard(instead_of)
            self._used.add(sock)
            interrupted = self.interrupted.is_set()
        if interrupted:
            self._close(sock)
            raise InterruptedReadError

    def _close(self, sock: socket.socket) -> None:
        with self._lock:
            self._used.discard(sock)
        sock.close()

    def _wait(self, ready: Callable[[socket.socket, float], bool], sock: socket.socket, most_s: float) -> None:
        """Until `sock` is ready; in short steps, because not every system wakes a thread whose socket is shut down."""
        end = time.monotonic() + most_s
        while not ready(sock, min(LOOK_S, most_s)):
            if self.interrupted.is_set():
                raise InterruptedReadError
            if time.monotonic() >= end:
                raise TimeoutError(f"silent for {most_s:g} s")

    def _raise_interrupted(self, error: BaseException) -> None:
        if self.interrupted.is_set() and isinstance(error, Exception):
            raise InterruptedReadError from error


def _close_all(idle: dict[Address, list[Connection]]) -> None:
    while idle:
        _, kept = idle.popitem()
        for connection in kept:
            connection.sock.close()
