"""An HTTP answer: what its status means, whether it is the range that was asked for, and its body.

Here: the answer alone. Not here: asking, and trying again (`fetch`). Range requests: RFC 9110, section 14; conditions:
section 13.
"""

import http
import http.client
import re
import zlib
from collections.abc import Callable

import urllib3
from urllib3.exceptions import InvalidHeader

from s2chips_core.errors import MissingAssetError, ReadError
from s2chips_core.host_limit import Failure
from s2chips_core.hrefs import without_query

RETRY_AFTER_LONGEST_S = 60.0
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
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class AgainError(Exception):
    """This attempt failed in a way that another may not."""

    def __init__(self, failure: Failure, problem: str, wait_s: float = 0.0, *, stale: bool = False) -> None:
        """Args:
        failure: how.
        problem: the same for people.
        wait_s: how long the host asked to be left alone, seconds.
        stale: the host is not to blame, and a new connection may be tried at once.
        """
        self.failure, self.problem, self.wait_s, self.stale = failure, problem, wait_s, stale
        super().__init__(problem)


class Answer:
    """One answer whose head has been read."""

    def __init__(self, href: str, response: http.client.HTTPResponse, count: Callable[[int], None]) -> None:
        """Args:
        href: what was asked, unsigned.
        response: as http.client gives it.
        count: told the size of what is read, bytes.
        """
        self._href, self._response, self._count = href, response, count
        self._shown = without_query(href)

    def check_status(self, *, ranged: bool, matched: str | None, renew: Callable[[str], bool] | None) -> None:
        """Refuse an answer that carries no content.

        Args:
            ranged: a range was asked for.
            matched: the ETag that the file had to have.
            renew: the `Signer.renew` of what was asked; none when it was not signed.

        Raises:
            AgainError, MissingAssetError, ReadError
        """
        response = self._response
        status = response.status
        if status == http.HTTPStatus.OK or (ranged and status == http.HTTPStatus.PARTIAL_CONTENT):
            return
        said = f"the server answered {status}"
        if status in _GONE:
            raise MissingAssetError(self._shown, said)
        if status in _STATUS_FAILURES:
            raise AgainError(_STATUS_FAILURES[status], said, _retry_after_s(response))
        if status in _UNSIGNED and renew is not None and renew(self._href):
            raise AgainError(Failure.SIGNATURE, said)
        if status == http.HTTPStatus.PRECONDITION_FAILED and matched:
            raise ReadError(self._shown, f"was replaced while it was read: it no longer has the ETag {matched}")
        if status == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ReadError(self._shown, f"{said}: the file ends before the bytes that were asked for")
        if 300 <= status < 400:
            raise ReadError(self._shown, f"{said}: redirects are not followed")
        raise ReadError(self._shown, said)

    def read_whole(self) -> bytes:
        """The whole body, decoded if the server encoded it.

        Raises:
            AgainError: it ended too early.
            ReadError: it is too large, or in an encoding that nobody asked for.
            OSError, http.client.HTTPException: it broke off.
        """
        response = self._response
        declared = response.length
        body = self._receive(WHOLE_BODY_MOST_BYTES + 1)
        if declared is not None and len(body) < min(declared, WHOLE_BODY_MOST_BYTES + 1):
            raise AgainError(Failure.SHORT, f"the body ended after {len(body)} of {declared} bytes")
        encoding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            body = _inflate(self._shown, body)
        elif encoding != "identity":
            raise ReadError(self._shown, f"the server encodes the body as {encoding!r}, which was not asked for")
        if len(body) > WHOLE_BODY_MOST_BYTES:
            raise ReadError(self._shown, f"is larger than {WHOLE_BODY_MOST_BYTES} bytes")
        return body

    def read_range(self, start: int, length: int, check_version: Callable[[str | None, int | None], None]) -> bytes:
        """`length` bytes from `start` on; fewer only where the file ends.

        Args:
            start: first byte.
            length: bytes asked for.
            check_version: called with the ETag and the size of the file before the body is read; raises what is not right.

        Raises:
            AgainError: the body ended too early.
            ReadError: this is another range, or an encoded one.
            OSError, http.client.HTTPException: it broke off.
        """
        response = self._response
        expected: int | None
        if (response.headers.get("Content-Encoding") or "identity").lower() != "identity":
            raise ReadError(self._shown, "the server encodes ranges, expected the bytes as they are")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            expected, total = _check_content_range(self._shown, response, start, length)
            skip = 0
        else:  # 200: the server knows no ranges and sends everything
            total = response.length
            if total is not None and start >= total:
                raise ReadError(self._shown, f"byte {start} lies behind its end, it has {total}")
            expected, skip = (min(length, total - start) if total is not None else None), start
        check_version(response.headers.get("ETag"), total)
        dropped = 0
        while dropped < skip:
            chunk = self._receive(min(skip - dropped, _CHUNK_BYTES))
            if not chunk:
                problem = f"the body ended after {dropped} bytes, before the range at {skip}"
                raise AgainError(Failure.SHORT, problem)
            dropped += len(chunk)
        body = self._receive(length if expected is None else expected)
        if expected is not None and len(body) != expected:
            raise AgainError(Failure.SHORT, f"the body ended after {len(body)} of {expected} bytes")
        return body

    def _receive(self, most: int) -> bytes:
        """Up to `most` body bytes; fewer where the body ends."""
        response = self._response
        if response.length is not None and not response.chunked:
            # One buffer of the right size, filled by the socket: nothing is copied.
            parts = [response.read(min(most, response.length))] if most else []
        else:
            parts, left = [], most
            while left and (part := response.read(min(left, _CHUNK_BYTES))):
                parts.append(part)
                left -= len(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._count(len(body))
        return body


def _check_content_range(shown: str, response: http.client.HTTPResponse, start: int, length: int) -> tuple[int, int | None]:
    """The body length the 206 answer promises and the size of the file, or ReadError when it is not the range asked for."""
    said = response.headers.get("Content-Range") or ""
    parts = _CONTENT_RANGE.fullmatch(said)
    if parts is None:
        raise ReadError(shown, f"Content-Range {said!r}, expected bytes {start}-{start + length - 1}/size")
    first, last = int(parts[1]), int(parts[2])
    total = None if parts[3] == "*" else int(parts[3])
    asked_last = start + length - 1
    wanted_last = asked_last if total is None else min(asked_last, total - 1)
    if first != start or (last != wanted_last if total is not None else not start <= last <= asked_last):
        raise ReadError(shown, f"Content-Range {said!r}, expected bytes {start}-{wanted_last}")
    return last - first + 1, total


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    said = response.headers.get("Retry-After")
    if said is None:
        return 0.0
    try:
        return min(urllib3.Retry().parse_retry_after(said), RETRY_AFTER_LONGEST_S)
    except (InvalidHeader, ValueError, OverflowError):  # a date or number that is none, or that no calendar holds
        return 0.0


def _inflate(shown: str, data: bytes) -> bytes:
    """A body that came as gzip or deflate though it was not asked for; at most one byte more than is allowed."""
    whole = bytearray()
    try:
        while data and len(whole) <= WHOLE_BODY_MOST_BYTES:
            stream = zlib.decompressobj(wbits=47)  # zlib's or gzip's header
            whole += stream.decompress(data, WHOLE_BODY_MOST_BYTES + 1 - len(whole))
            if not stream.eof and len(whole) <= WHOLE_BODY_MOST_BYTES:
                raise AgainError(Failure.SHORT, f"the encoded body ended after {len(whole)} bytes")
            data = stream.unused_data
    except zlib.error as error:
        raise ReadError(shown, f"the body cannot be decoded: {error}") from error
    return bytes(whole)
