"""The HTTP door: whole bodies and byte ranges from the hosts that the configuration allows, with retries and counters.

Here: which hrefs may be asked, how a range answer is checked, what is tried again. Not here: what the bytes mean
(`chips.cog`, `scenes.providers`) and the STAC service itself (`scenes.search`). Range requests: RFC 9110, section 14.
"""

import dataclasses
import http
import ipaddress
import random as _random
import re
import threading
import time
from collections.abc import Callable

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError, SSLError
from urllib3.util import Timeout, parse_url

from s2chips_core.errors import HostNotAllowedError, MissingAssetError, ReadError

BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 20.0
RETRY_AFTER_LONGEST_S = 60.0
WHOLE_BODY_MOST_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1 << 18
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
Body = bytes  # Fetcher.bytes, a counter, hides the name in there
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchStats:
    """What a Fetcher has done so far."""

    requests: int
    """Requests sent, those tried again included."""
    bytes: int
    """Body bytes received."""
    retries: int
    """Requests that repeated one that failed."""

    def __sub__(self, earlier: "FetchStats") -> "FetchStats":
        """What was done since `earlier`."""
        return FetchStats(
            requests=self.requests - earlier.requests,
            bytes=self.bytes - earlier.bytes,
            retries=self.retries - earlier.retries,
        )


def without_query(href: str) -> str:
    """The href as an error or a log may show it: a query can carry a signature."""
    return re.sub(r"[?#].*", "", href, flags=re.DOTALL)


def host_of(href: str) -> str:
    """What `stac.allowed_hosts` must list for `href`, in lower case.

    Returns:
        `host` for https on its own port, `host:port` for any other port and for plain http, `s3://bucket`, `file://`.

    Raises:
        ReadError: it is no absolute URL, or one that readers understand differently (user name, backslash, blank).
    """
    shown = without_query(href)
    if re.search(r"[\\\s\x00-\x1f\x7f]", href):
        raise ReadError(shown, "has a blank, backslash or control character, expected a plain URL")
    try:
        url = parse_url(href)
    except LocationParseError as error:
        raise ReadError(shown, "is no URL") from error
    if url.scheme == "file":
        return "file://"
    if not url.scheme or not url.host:
        raise ReadError(shown, "is no absolute URL, expected https://host/path")
    if url.auth is not None:
        raise ReadError(re.sub(r"//[^/]*@", "//", shown), "carries a user name, expected none")
    host = url.host.lower()
    if url.scheme not in ("http", "https"):
        return f"{url.scheme}://{host}"
    default = 443 if url.scheme == "https" else 80
    port = url.port or default
    return host if url.scheme == "https" and port == 443 else f"{host}:{port}"


def check_allowed(href: str, allowed_hosts: tuple[str, ...]) -> None:
    """Refuse an href that may not be asked; nothing is connected to.

    Raises:
        HostNotAllowedError: its host is not listed, or it is plain http to something that is not this machine.
        ReadError: it is listed, but this version has no reader for its scheme.
    """
    host = host_of(href)
    scheme = href.partition(":")[0].lower()
    listed = {entry.lower() for entry in allowed_hosts}
    if host not in listed and scheme != "file":
        raise HostNotAllowedError(without_query(href), host, allowed_hosts)
    if scheme not in ("http", "https"):
        raise ReadError(without_query(href), f"this version has no reader for {scheme}://, expected https://")
    if scheme == "http" and not _is_loopback(host):
        raise HostNotAllowedError(without_query(href), f"http://{host}", allowed_hosts)


def _is_loopback(host_port: str) -> bool:
    host = host_port.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _AgainError(Exception):
    """This attempt failed in a way that another may not."""

    def __init__(self, problem: str, wait_s: float | None = None) -> None:
        self.problem, self.wait_s = problem, wait_s
        super().__init__(problem)


class Fetcher:
    """Reads over HTTP; safe to share between threads.

    Tried again, with exponential back-off and jitter: 429, 500, 502, 503, 504 (`Retry-After` is kept to, up to a minute),
    a refused or reset connection, a timeout, a body that is too short. Redirects are not followed: their target would
    escape `allowed_hosts`.
    """

    def __init__(
        self,
        allowed_hosts: tuple[str, ...],
        *,
        retries: int = 5,
        timeout_s: float = 30.0,
        connections: int = 64,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        """Args:
        allowed_hosts: `host`, or `host:port`; plain http only for a listed `host:port` on this machine's loopback.
        retries: attempts after the first.
        timeout_s: longest silence of the server, seconds.
        connections: connections kept open to each host.
        sleep: waits that many seconds; an Event's `wait` makes waiting interruptible.
        random: 0 to 1, for the jitter.
        """
        self.allowed_hosts = allowed_hosts
        self._retries, self._sleep, self._random = retries, sleep, random
        self._http = urllib3.PoolManager(
            maxsize=connections,
            timeout=Timeout(connect=min(timeout_s, 10.0), read=timeout_s),
            retries=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "s2chips"},
        )
        self._lock = threading.Lock()
        self._requests = self._bytes = self._repeated = 0
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
            return FetchStats(requests=self._requests, bytes=self._bytes, retries=self._repeated)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.clear()

    def forget(self, href: str) -> None:
        """Let the next range of `href` be of another version than the ones before."""
        with self._lock:
            self._versions.pop(href, None)

    def get(self, href: str) -> Body:
        """The whole body of `href`.

        Raises:
            HostNotAllowedError, MissingAssetError, ReadError: see the class.
        """
        return self._persist(href, lambda: self._get_once(href))

    def get_range(self, href: str, start: int, length: int) -> Body:
        """`length` bytes of `href` from `start` on; fewer only where the file ends.

        Raises:
            HostNotAllowedError, MissingAssetError, ReadError: see the class; also when the file changed since its first
                range was read, or `start` lies behind its end.
        """
        if start < 0 or length <= 0:
            raise ValueError(f"start {start}, length {length}: expected start >= 0 and length > 0")
        return self._persist(href, lambda: self._get_range_once(href, start, length))

    def size(self, href: str) -> int:
        """Size of the file in bytes, as the answers to its ranges told; ReadError when none has told it."""
        with self._lock:
            _, total = self._versions.get(href, (None, None))
        if total is None:
            raise ReadError(without_query(href), "the server does not tell its size")
        return total

    def _persist(self, href: str, attempt: Callable[[], Body]) -> Body:
        check_allowed(href, self.allowed_hosts)
        for number in range(self._retries + 1):
            try:
                return attempt()
            except _AgainError as error:
                if number == self._retries:
                    raise ReadError(without_query(href), f"{error.problem}, {number + 1} attempts") from error.__cause__
                wait_s = min(BACKOFF_FIRST_S * 2**number, BACKOFF_LONGEST_S) * (0.5 + 0.5 * self._random())
                with self._lock:
                    self._repeated += 1
                self._sleep(max(wait_s, min(error.wait_s or 0.0, RETRY_AFTER_LONGEST_S)))
        raise AssertionError("the loop above returns or raises")

    def _get_once(self, href: str) -> Body:
        response = self._send(href, {})
        try:
            body = self._receive(href, response, 0, WHOLE_BODY_MOST_BYTES + 1)
        finally:
            _give_back(response)
        if len(body) > WHOLE_BODY_MOST_BYTES:
            raise ReadError(without_query(href), f"is larger than {WHOLE_BODY_MOST_BYTES} bytes")
        return body

    def _get_range_once(self, href: str, start: int, length: int) -> Body:
        expected: int | None
        response = self._send(href, {"Range": f"bytes={start}-{start + length - 1}"})
        try:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ReadError(without_query(href), "the server encodes ranges, expected the bytes as they are")
            if response.status == http.HTTPStatus.PARTIAL_CONTENT:
                expected, total = _check_content_range(href, response, start, length)
                skip = 0
            else:  # 200: the server knows no ranges and sends everything
                declared = response.headers.get("Content-Length")
                total = int(declared) if declared and declared.isdigit() else None
                if total is not None and start >= total:
                    raise ReadError(without_query(href), f"byte {start} lies behind its end, it has {total}")
                expected, skip = (min(length, total - start) if total is not None else None), start
            self._check_version(href, response.headers.get("ETag"), total)
            body = self._receive(href, response, skip, length)
        finally:
            _give_back(response)
        if expected is not None and len(body) != expected:
            raise _AgainError(f"the body ended after {len(body)} of {expected} bytes")
        return body

    def _send(self, href: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        with self._lock:
            self._requests += 1
        try:
            response = self._http.request(
                "GET", href, headers={**self._http.headers, **headers}, redirect=False, preload_content=False
            )
        except SSLError as error:
            raise ReadError(without_query(href), f"no trusted connection: {error}") from error
        except HTTPError as error:
            raise _AgainError(f"no answer ({type(error).__name__})") from error
        status = response.status
        wanted = {200, 206} if "Range" in headers else {200}
        if status in wanted:
            return response
        response.close()
        said = f"the server answered {status}"
        if status in _GONE:
            raise MissingAssetError(without_query(href), said)
        if status in _TRY_AGAIN:
            raise _AgainError(said, _retry_after_s(response))
        if 300 <= status < 400:
            raise ReadError(without_query(href), f"{said}: redirects are not followed")
        raise ReadError(without_query(href), said)

    def _receive(self, href: str, response: urllib3.BaseHTTPResponse, skip: int, most: int) -> Body:
        """Up to `most` body bytes after the first `skip`."""
        body, dropped = bytearray(), 0
        try:
            while len(body) < most:
                want = skip - dropped or most - len(body)
                chunk = response.read(min(want, _CHUNK_BYTES), decode_content=True)
                if not chunk:
                    break
                with self._lock:
                    self._bytes += len(chunk)
                if dropped < skip:
                    dropped += len(chunk)
                else:
                    body += chunk
        except (HTTPError, OSError) as error:
            raise _AgainError(f"the body broke off ({type(error).__name__})") from error
        if dropped < skip:
            raise _AgainError(f"the body ended after {dropped} bytes, before the range at {skip}")
        return Body(body)

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


def _check_content_range(href: str, response: urllib3.BaseHTTPResponse, start: int, length: int) -> tuple[int, int | None]:
    """The body length the 206 answer promises and the size of the file, or ReadError when it is not the range asked for."""
    said = response.headers.get("Content-Range", "")
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


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> float | None:
    said = response.headers.get("Retry-After")
    if said is None:
        return None
    try:
        return urllib3.Retry().parse_retry_after(said)
    except InvalidHeader:
        return None


def _give_back(response: urllib3.BaseHTTPResponse) -> None:
    """Return the connection to the pool when the body has been read to its end, else close it."""
    if response.length_remaining == 0:
        response.drain_conn()
        response.release_conn()
    else:
        response.close()
