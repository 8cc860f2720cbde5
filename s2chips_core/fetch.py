"""The HTTP door: whole bodies and byte ranges from the hosts that the configuration allows, with retries and counters.

Here: how an answer is checked, what is tried again, and how many requests a host has in flight. Not here: which hrefs may be
asked (`hrefs`), sockets (`connections`), the law of the limit (`host_limit`), what the bytes mean (`chips.cog`,
`scenes.providers`) and the STAC service itself (`scenes.search`). Range requests: RFC 9110, section 14.
"""

import dataclasses
import http.client
import logging
import random as _random
import re
import ssl
import threading
import time
from collections.abc import Callable
from typing import Protocol

from s2chips_core.answer import AgainError, Answer
from s2chips_core.connections import TLS_ENDS, Connection, Connections, InterruptedReadError, StaleConnectionError
from s2chips_core.errors import ReadError
from s2chips_core.host_limit import Failure, HostLimit
from s2chips_core.hrefs import Address, check_allowed, check_listed, host_of, target_of, without_query

__all__ = ["FetchStats", "Fetcher", "Signer", "check_allowed", "host_of", "without_query"]

log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.1
BACKOFF_FIRST_BROKEN_S = 0.04
"""After a connection that broke or a body that was short: chance more often than load."""
BACKOFF_GROWTH = 2.5
BACKOFF_LONGEST_S = 20.0
CONNECT_LONGEST_S = 10.0
Body = bytes  # Fetcher.bytes, a counter, hides the name in there
_BROKEN = frozenset({Failure.BROKEN, Failure.SHORT})
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
        retries: int = 8,
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

    def count(self, done: FetchStats) -> None:
        """Add what a Fetcher elsewhere did on behalf of this one."""
        with self._lock:
            self._requests += done.requests
            self._bytes += done.bytes
            self._repeated += done.retries
            for failure in Failure:
                self._failures[failure] += getattr(done, failure.value)

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
        return self._persist(href, "", lambda answer: answer.read_whole())

    def get_range(self, href: str, start: int, length: int) -> Body:
        """`length` bytes of `href` from `start` on; fewer only where the file ends.

        Raises:
            HostNotAllowedError, MissingAssetError, ReadError: see the class; also when the file changed since its first
                range was read, or `start` lies behind its end.
        """
        if start < 0 or length <= 0:
            raise ValueError(f"start {start}, length {length}: expected start >= 0 and length > 0")

        def check_version(etag: str | None, total: int | None) -> None:
            self._check_version(href, etag, total)

        asked = f"Range: bytes={start}-{start + length - 1}\r\n"
        return self._persist(href, asked, lambda answer: answer.read_range(start, length, check_version))

    def size(self, href: str) -> int:
        """Size of the file in bytes, as the answers to its ranges told; ReadError when none has told it."""
        with self._lock:
            _, total = self._versions.get(href, (None, None))
        if total is None:
            raise ReadError(without_query(href), "the server does not tell its size")
        return total

    def _persist(self, href: str, asked: str, read: Callable[[Answer], Body]) -> Body:
        if self._signer is not None:  # its scheme may be one that only the signer understands
            check_listed(href, self.allowed_hosts)
        for number in range(self._retries + 1):
            try:
                return self._attempt_at_once_again(href, asked, read)
            except AgainError as error:
                if number == self._retries:
                    raise ReadError(without_query(href), f"{error.problem}, {number + 1} attempts") from error.__cause__
                first_s = BACKOFF_FIRST_BROKEN_S if error.failure in _BROKEN else BACKOFF_FIRST_S
                wait_s = min(first_s * BACKOFF_GROWTH**number, BACKOFF_LONGEST_S)
                with self._lock:
                    self._repeated += 1
                self._sleep(max(wait_s * (0.5 + 0.5 * self._random()), error.wait_s))
            except InterruptedReadError as error:
                raise ReadError(without_query(href), "the read was interrupted") from error
        raise AssertionError("the loop above returns or raises")

    def _attempt_at_once_again(self, href: str, asked: str, read: Callable[[Answer], Body]) -> Body:
        """One request; a second one where the first went over a kept connection that the host had let go of."""
        try:
            return self._attempt(href, asked, read)
        except AgainError as error:
            if not error.stale:
                raise
        with self._lock:
            self._repeated += 1
        return self._attempt(href, asked, read, fresh=True)

    def _attempt(self, href: str, asked: str, read: Callable[[Answer], Body], *, fresh: bool = False) -> Body:
        """One request, in its place in the limit of its host."""
        signed = self._signer.sign(href) if self._signer else href
        address, head = target_of(signed, self.allowed_hosts)
        host = self._host(address)
        started_in = self._enter(host, href, address)
        failed: AgainError | None = None
        answered = False
        try:
            body = self._ask(href, address, head, asked, read, signed=signed != href, fresh=fresh)
            answered = True
        except AgainError as error:
            failed = error
            raise
        except ReadError:
            answered = True
            raise
        finally:
            with host.changed:
                was_asked = host.limit.given_up is None
                if failed is not None and not failed.stale:
                    host.limit.failed(started_in, failed.failure, failed.problem, failed.wait_s)
                elif answered:
                    host.limit.succeeded(started_in)
                else:
                    host.limit.dropped()
                if host.limit.given_up:
                    if was_asked:
                        log.warning("%s is given up for this run: %s", address.host, host.limit.given_up)
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
        read: Callable[[Answer], Body],
        *,
        signed: bool,
        fresh: bool,
    ) -> Body:
        etag = self._strong_etag(href) if asked else None
        head += f"{asked}If-Match: {etag}\r\n\r\n".encode("ascii") if etag else f"{asked}\r\n".encode("ascii")
        with self._lock:
            self._requests += 1
        connection: Connection | None = None
        try:
            connection = self._connections.ask(address, head, fresh=fresh)
            response = connection.response
            assert response is not None
            answer = Answer(href, response, self._count_bytes)
            renew = self._signer.renew if self._signer is not None and signed else None
            answer.check_status(ranged=bool(asked), matched=etag, renew=renew)
            body = read(answer)
            self._raise_when_interrupted(None)  # a body of unknown length ends where its socket was ended
            return body
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, TLS_ENDS) and connection is None:
                raise ReadError(without_query(href), f"no trusted connection: {error}") from error
            self._raise_when_interrupted(error)
            failure = Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.BROKEN
            said = "no answer" if connection is None else "the body broke off"
            stale = isinstance(error, StaleConnectionError)
            raise AgainError(failure, f"{said} ({type(error).__name__})", stale=stale) from error
        except AgainError as error:
            self._raise_when_interrupted(error)
            raise
        finally:
            if connection is not None:
                self._connections.give_back(connection)

    def _raise_when_interrupted(self, error: Exception | None) -> None:
        if self._connections.interrupted.is_set():
            raise InterruptedReadError from error

    def _count_bytes(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _strong_etag(self, href: str) -> str | None:
        etag, _ = self._versions.get(href, (None, None))
        return etag if etag is not None and _STRONG_ETAG.fullmatch(etag) else None

    def _check_version(self, href: str, etag: str | None, total: int | None) -> None:
        with self._lock:
            before_etag, before_total = self._versions.setdefault(href, (etag, total))
        if (etag and before_etag and etag.removeprefix("W/") != before_etag.removeprefix("W/")) or (
            total is not None and before_total is not None and total != before_total
        ):
            raise ReadError(
                without_query(href),
                f"was replaced while it was read: {before_total} bytes, ETag {before_etag}; now {total}, {etag}",
            )
