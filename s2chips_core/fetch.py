"""The HTTP door: whole bodies and byte ranges from the hosts that the configuration allows, with retries and counters.

Here: how an answer is checked, what is tried again, and how many requests a host has in flight. Not here: which hrefs may be
asked (`hrefs`), sockets (`connections`), the law of the limit (`host_limit`), what the bytes mean (`chips.cog`,
`scenes.providers`) and the STAC service itself (`scenes.search`). Range requests: RFC 9110, section 14.
"""

import dataclasses
import http
import http.client
import random as _random
import re
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from typing import Protocol

import urllib3
from urllib3.exceptions import InvalidHeader

from s2chips_core.connections import Connection, Connections, InterruptedReadError
from s2chips_core.errors import MissingAssetError, ReadError
from s2chips_core.host_limit import Failure, HostLimit
from s2chips_core.hrefs import Address, check_allowed, check_listed, host_of, target_of, without_query

__all__ = ["FetchStats", "Fetcher", "Signer", "check_allowed", "host_of", "without_query"]

BACKOFF_FIRST_S = 0.2
BACKOFF_GROWTH = 3.0
BACKOFF_LONGEST_S = 20.0
RETRY_AFTER_LONGEST_S = 60.0
CONNECT_LONGEST_S = 10.0
WHOLE_BODY_MOST_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1 << 20
_STATUS_FAILURES = {
    429: Failure.REFUSED,
    503: Failure.REFUSED,
    500: Failure.SERVER_ERROR,
    502: Failure.SERVER_ERROR,
    504: Failure.SERVER_ERROR,
}
_GONE = frozenset({404, 410})
_UNSIGNED = frozenset({401, 403})
Body = bytes  # Fetcher.bytes, a counter, hides the name in there
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


class Signer(Protocol):
    """Makes the URL that is really asked from an href, for archives whose URLs expire. Called from many threads."""

    def sign(self, href: str) -> str:
        """What to ask for `href`; called at every attempt, so the signer keeps what it made."""
        ...

    def renew(self, href: str) -> bool:
        """The server answered 401 or 403 to what `sign` gave: forget it. Whether another attempt makes sense."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchStats:
    """What a Fetcher has done so far; two of them can be added and subtracted."""

    requests: int
    """Requests sent, those tried again included."""
    bytes: int
    """Body bytes received."""
    retries: int
    """Requests that repeated one that failed."""
    refused: int = 0
    """Answers 429 and 503."""
    server_error: int = 0
    """Answers 500, 502 and 504."""
    broken: int = 0
    """Connections that were refused, reset, or closed before there was an answer."""
    timeout: int = 0
    """Times that a host was silent for too long."""
    short: int = 0
    """Bodies that ended too early."""
    signature: int = 0
    """Answers 401 and 403 to a signed href."""

    def __add__(self, other: "FetchStats") -> "FetchStats":
        """What both did."""
        names = [field.name for field in dataclasses.fields(self)]
        return FetchStats(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __sub__(self, earlier: "FetchStats") -> "FetchStats":
        """What was done since `earlier`."""
        names = [field.name for field in dataclasses.fields(self)]
        return FetchStats(**{name: getattr(self, name) - getattr(earlier, name) for name in names})


class _AgainError(Exception):
    """This attempt failed in a way that another may not."""

    def __init__(self, failure: Failure, problem: str, wait_s: float = 0.0) -> None:
        self.failure, self.problem, self.wait_s = failure, problem, wait_s
        super().__init__(problem)


class _Host:
    """A host and the threads that wait for a place in its limit."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.limit = HostLimit(most, clock)
        self.changed = threading.Condition(threading.Lock())


class Fetcher:
    """Reads over HTTP; safe to share between threads.

    Tried again, with exponential back-off and jitter: 429, 500, 502, 503, 504 (`Retry-After` is kept to by all requests to
    that host, up to a minute), a refused or reset connection, a timeout, a body that is too short. Each host has a limit of
    requests in flight that falls with its failures; one that only fails is given up (`host_limit`). Redirects are not
    followed: their target would escape `allowed_hosts`.
    """

    def __init__(
        self,
        allowed_hosts: tuple[str, ...],
        *,
        retries: int = 5,
        timeout_s: float = 30.0,
        connections: int = 64,
        signer: Signer | None = None,
        sleep: Callable[[float], object] | None = None,
        random: Callable[[], float] = _random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        allowed_hosts: `host`, or `host:port`; plain http only for a listed `host:port` on this machine's loopback.
        retries: attempts after the first.
        timeout_s: longest silence of the server, seconds.
        connections: requests in flight to each host at most.
        signer: gives what is really asked; its host must be allowed too. All else goes by the href without signature.
        sleep: waits that many seconds; without it, waiting ends with `interrupt`.
        random: 0 to 1, for the jitter.
        clock: seconds that only grow, for the limits of the hosts.
        """
        self.allowed_hosts = allowed_hosts
        self._retries, self._most, self._signer = retries, connections, signer
        self._random, self._clock = random, clock
        self._connections = Connections(timeout_s=timeout_s, connect_s=min(timeout_s, CONNECT_LONGEST_S))
        self._sleep = sleep or self._connections.interrupted.wait
        self._lock = threading.Lock()
        self._requests = self._bytes = self._repeated = 0
        self._failures = dict.fromkeys(Failure, 0)
        self._hosts: dict[Address, _Host] = {}
        self._versions: dict[str, tuple[str | None, int | None]] = {}

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._requests

    @property
    def bytes(self) -> int:
        """Body bytes received so far."""
        return self._bytes

    def stats(self) -> FetchStats:
        """A snapshot of the counters."""
        with self._lock:
            failures = {failure.value: count for failure, count in self._failures.items()}
            return FetchStats(requests=self._requests, bytes=self._bytes, retries=self._repeated, **failures)

    def interrupt(self) -> None:
        """End what waits (for an answer, for a place, between attempts) with ReadError, soon; later reads fail at once."""
        self._connections.interrupt()
        with self._lock:
            hosts = list(self._hosts.values())
        for host in hosts:
            with host.changed:
                host.changed.notify_all()

    def close(self) -> None:
        """Interrupt, and close all connections."""
        self.interrupt()

    def forget(self, href: str) -> None:
        """Let the next range of `href` be of another version than the ones before."""
        with self._lock:
            self._versions.pop(href, None)

    def get(self, href: str) -> Body:
        """The whole body of `href`.

        Raises:
            HostNotAllowedError, MissingAssetError, ReadError: see the class.
        """
        return self._persist(href, "", lambda response: self._read_whole(href, response))

    def get_range(self, href: str, start: int, length: int) -> Body:
        """`length` bytes of `href` from `start` on; fewer only where the file ends.

        Raises:
            HostNotAllowedError, MissingAssetError, ReadError: see the class; also when the file changed since its first
                range was read, or `start` lies behind its end.
        """
        if start < 0 or length <= 0:
            raise ValueError(f"start {start}, length {length}: expected start >= 0 and length > 0")
        asked = f"Range: bytes={start}-{start + length - 1}\r\n"
        return self._persist(href, asked, lambda response: self._read_range(href, response, start, length))

    def size(self, href: str) -> int:
        """Size of the file in bytes, as the answers to its ranges told; ReadError when none has told it."""
        with self._lock:
            _, total = self._versions.get(href, (None, None))
        if total is None:
            raise ReadError(without_query(href), "the server does not tell its size")
        return total

    def _persist(self, href: str, asked: str, read: Callable[[http.client.HTTPResponse], Body]) -> Body:
        if self._signer is not None:  # its scheme may be one that only the signer understands
            check_listed(href, self.allowed_hosts)
        for number in range(self._retries + 1):
            try:
                return self._attempt(href, asked, read)
            except _AgainError as error:
                if number == self._retries:
                    raise ReadError(without_query(href), f"{error.problem}, {number + 1} attempts") from error.__cause__
                wait_s = min(BACKOFF_FIRST_S * BACKOFF_GROWTH**number, BACKOFF_LONGEST_S)
                with self._lock:
                    self._repeated += 1
                self._sleep(max(wait_s * (0.5 + 0.5 * self._random()), error.wait_s))
            except InterruptedReadError as error:
                raise ReadError(without_query(href), "the read was interrupted") from error
        raise AssertionError("the loop above returns or raises")

    def _attempt(self, href: str, asked: str, read: Callable[[http.client.HTTPResponse], Body]) -> Body:
        """One request, in its place in the limit of its host."""
        signed = self._signer.sign(href) if self._signer else href
        address, head = target_of(signed, self.allowed_hosts)
        host = self._host(address)
        started_in = self._enter(host, href, address)
        failed: _AgainError | None = None
        answered = False
        try:
            body = self._ask(href, address, head, asked, read, signed=signed != href)
            answered = True
        except _AgainError as error:
            failed = error
            raise
        except ReadError:
            answered = True
            raise
        finally:
            with host.changed:
                if failed is not None:
                    host.limit.failed(started_in, failed.failure, failed.problem, failed.wait_s)
                elif answered:
                    host.limit.succeeded(started_in)
                else:
                    host.limit.dropped()
                if host.limit.given_up:
                    host.changed.notify_all()
                else:
                    host.changed.notify(host.limit.free)
            if failed is not None:
                with self._lock:
                    self._failures[failed.failure] += 1
        return body

    def _host(self, address: Address) -> _Host:
        host = self._hosts.get(address)
        if host is None:
            with self._lock:
                host = self._hosts.setdefault(address, _Host(self._most, self._clock))
        return host

    def _enter(self, host: _Host, href: str, address: Address) -> int:
        """Wait for a place in the limit of the host."""
        while True:
            with host.changed:
                while True:
                    if self._connections.interrupted.is_set():
                        raise InterruptedReadError
                    if host.limit.given_up:
                        problem = f"{address.host} is given up for this run: {host.limit.given_up}"
                        raise ReadError(without_query(href), problem)
                    pause_s = host.limit.pause_s()
                    if pause_s > 0:
                        break
                    if host.limit.free:
                        return host.limit.start()
                    host.changed.wait()
            self._sleep(pause_s)

    def _ask(
        self,
        href: str,
        address: Address,
        head: Body,
        asked: str,
        read: Callable[[http.client.HTTPResponse], Body],
        *,
        signed: bool,
    ) -> Body:
        etag = self._strong_etag(href) if asked else None
        head += f"{asked}If-Match: {etag}\r\n\r\n".encode("ascii") if etag else f"{asked}\r\n".encode("ascii")
        with self._lock:
            self._requests += 1
        connection: Connection | None = None
        try:
            connection = self._connections.ask(address, head)
            response = connection.response
            assert response is not None
            self._check_status(href, response, ranged=bool(asked), matched=etag, signed=signed)
            return read(response)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, _TLS_ENDS) and connection is None:
                raise ReadError(without_query(href), f"no trusted connection: {error}") from error
            self._raise_when_interrupted(error)
            failure = Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.BROKEN
            said = "no answer" if connection is None else "the body broke off"
            raise _AgainError(failure, f"{said} ({type(error).__name__})") from error
        except _AgainError as error:
            self._raise_when_interrupted(error)
            raise
        finally:
            if connection is not None:
                self._connections.give_back(connection)

    def _raise_when_interrupted(self, error: Exception) -> None:
        if self._connections.interrupted.is_set():
            raise InterruptedReadError from error

    def _check_status(
        self, href: str, response: http.client.HTTPResponse, *, ranged: bool, matched: str | None, signed: bool
    ) -> None:
        status = response.status
        if status == http.HTTPStatus.OK or (ranged and status == http.HTTPStatus.PARTIAL_CONTENT):
            return
        said = f"the server answered {status}"
        if status in _GONE:
            raise MissingAssetError(without_query(href), said)
        if status in _STATUS_FAILURES:
            raise _AgainError(_STATUS_FAILURES[status], said, _retry_after_s(response))
        if status in _UNSIGNED and signed and self._signer is not None and self._signer.renew(href):
            raise _AgainError(Failure.SIGNATURE, said)
        if status == http.HTTPStatus.PRECONDITION_FAILED and matched:
            raise ReadError(without_query(href), f"was replaced while it was read: it no longer has the ETag {matched}")
        if 300 <= status < 400:
            raise ReadError(without_query(href), f"{said}: redirects are not followed")
        raise ReadError(without_query(href), said)

    def _read_whole(self, href: str, response: http.client.HTTPResponse) -> Body:
        declared = response.length
        body = self._receive(response, WHOLE_BODY_MOST_BYTES + 1)
        if declared is not None and len(body) < min(declared, WHOLE_BODY_MOST_BYTES + 1):
            raise _AgainError(Failure.SHORT, f"the body ended after {len(body)} of {declared} bytes")
        encoding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            body = _inflate(href, body)
        elif encoding != "identity":
            raise ReadError(without_query(href), f"the server encodes the body as {encoding!r}, which was not asked for")
        if len(body) > WHOLE_BODY_MOST_BYTES:
            raise ReadError(without_query(href), f"is larger than {WHOLE_BODY_MOST_BYTES} bytes")
        return body

    def _read_range(self, href: str, response: http.client.HTTPResponse, start: int, length: int) -> Body:
        expected: int | None
        if (response.headers.get("Content-Encoding") or "identity").lower() != "identity":
            raise ReadError(without_query(href), "the server encodes ranges, expected the bytes as they are")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            expected, total = _check_content_range(href, response, start, length)
            skip = 0
        else:  # 200: the server knows no ranges and sends everything
            total = response.length
            if total is not None and start >= total:
                raise ReadError(without_query(href), f"byte {start} lies behind its end, it has {total}")
            expected, skip = (min(length, total - start) if total is not None else None), start
        self._check_version(href, response.headers.get("ETag"), total)
        dropped = 0
        while dropped < skip:
            chunk = self._receive(response, min(skip - dropped, _CHUNK_BYTES))
            if not chunk:
                problem = f"the body ended after {dropped} bytes, before the range at {skip}"
                raise _AgainError(Failure.SHORT, problem)
            dropped += len(chunk)
        body = self._receive(response, length if expected is None else expected)
        if expected is not None and len(body) != expected:
            raise _AgainError(Failure.SHORT, f"the body ended after {len(body)} of {expected} bytes")
        return body

    def _receive(self, response: http.client.HTTPResponse, most: int) -> Body:
        """Up to `most` body bytes; fewer where the body ends."""
        if response.length is not None and not response.chunked:
            # One buffer of the right size, filled by the socket: nothing is copied.
            parts = [response.read(min(most, response.length))] if most else []
        else:
            parts, left = [], most
            while left and (part := response.read(min(left, _CHUNK_BYTES))):
                parts.append(part)
                left -= len(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        with self._lock:
            self._bytes += len(body)
        return body

    def _strong_etag(self, href: str) -> str | None:
        etag, _ = self._versions.get(href, (None, None))
        return etag if etag is not None and _STRONG_ETAG.fullmatch(etag) else None

    def _check_version(self, href: str, etag: str | None, total: int | None) -> None:
        with self._lock:
            before_etag, before_total = self._versions.setdefault(href, (etag, total))
        if (etag and before_etag and etag != before_etag) or (
            total is not None and before_total is not None and total != before_total
        ):
            raise ReadError(
                without_query(href),
                f"was replaced while it was read: {before_total} bytes, ETag {before_etag}; now {total}, {etag}",
            )


def _check_content_range(href: str, response: http.client.HTTPResponse, start: int, length: int) -> tuple[int, int | None]:
    """The body length the 206 answer promises and the size of the file, or ReadError when it is not the range asked for."""
    said = response.headers.get("Content-Range") or ""
    parts = _CONTENT_RANGE.fullmatch(said)
    if parts is None:
        raise ReadError(without_query(href), f"Content-Range {said!r}, expected bytes {start}-{start + length - 1}/size")
    first, last = int(parts[1]), int(parts[2])
    total = None if parts[3] == "*" else int(parts[3])
    asked_last = start + length - 1
    wanted_last = asked_last if total is None else min(asked_last, total - 1)
    if first != start or (last != wanted_last if total is not None else not start <= last <= asked_last):
        raise ReadError(without_query(href), f"Content-Range {said!r}, expected bytes {start}-{wanted_last}")
    return last - first + 1, total


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    said = response.headers.get("Retry-After")
    if said is None:
        return 0.0
    try:
        return min(urllib3.Retry().parse_retry_after(said), RETRY_AFTER_LONGEST_S)
    except InvalidHeader:
        return 0.0


def _inflate(href: str, data: Body) -> Body:
    """A body that came as gzip or deflate though it was not asked for; at most one byte more than is allowed."""
    whole = bytearray()
    try:
        while data and len(whole) <= WHOLE_BODY_MOST_BYTES:
            stream = zlib.decompressobj(wbits=47)  # zlib's or gzip's header
            whole += stream.decompress(data, WHOLE_BODY_MOST_BYTES + 1 - len(whole))
            if not stream.eof and len(whole) <= WHOLE_BODY_MOST_BYTES:
                raise _AgainError(Failure.SHORT, f"the encoded body ended after {len(whole)} bytes")
            data = stream.unused_data
    except zlib.error as error:
        raise ReadError(without_query(href), f"the body cannot be decoded: {error}") from error
    return Body(whole)
