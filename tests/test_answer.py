"""Answers: bodies of every form, as a server sends them byte for byte."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any

import pytest

from s2chips_core import answer as answer_module
from s2chips_core.answer import AgainError, Answer
from s2chips_core.errors import ReadError
from s2chips_core.host_limit import Failure

BODY = bytes(range(200)) * 50


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def make_answer(data: bytes, count: Callable[[int], None] = lambda size: None) -> Answer:
    response = HTTPResponse(_Socket(data), method="GET")  # type: ignore[arg-type]
    response.begin()
    return Answer("https://a.example/x?sig=secret", response, count)


def make_body(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {said}", *headers, "", ""]).encode() + body


def no_check(etag: str | None, total: int | None) -> None:
    pass


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[begin : begin + size] for begin in range(0, len(body), size)]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        make_body(BODY),
        chunked(BODY, 77),
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        make_body(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"),
        make_body(gzip.compress(BODY[:99], mtime=0) + gzip.compress(BODY[99:], mtime=0), "Content-Encoding: x-gzip"),
        make_body(zlib.compress(BODY), "Content-Encoding: Deflate"),
    ],
    ids=["length", "chunked", "until it closes", "gzip", "two gzip members", "deflate"],
)
def test_whole_bodies(data: bytes) -> None:
    sizes: list[int] = []
    assert make_answer(data, sizes.append).read_whole() == BODY
    assert 0 < sum(sizes) <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        make_body(BODY[:-1], length=len(BODY)),
        make_body(gzip.compress(BODY, mtime=0)[:-9], "Content-Encoding: gzip"),
    ],
)
def test_a_body_that_ends_too_early(data: bytes) -> None:
    with pytest.raises(AgainError) as caught:
        make_answer(data).read_whole()
    assert caught.value.failure is Failure.SHORT


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (make_body(BODY, "Content-Encoding: br"), "'br', which was not asked for"),
        (make_body(BODY, "Content-Encoding: gzip"), "cannot be decoded"),
    ],
)
def test_a_body_that_cannot_be_decoded(data: bytes, problem: str) -> None:
    with pytest.raises(ReadError, match=problem) as caught:
        make_answer(data).read_whole()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_that_is_too_large(monkeypatch: pytest.MonkeyPatch, encoded: bool) -> None:
    monkeypatch.setattr(answer_module, "WHOLE_BODY_MOST_BYTES", 9_999)
    data = make_body(gzip.compress(BODY), "Content-Encoding: gzip") if encoded else make_body(BODY)
    with pytest.raises(ReadError, match="larger than 9999"):
        make_answer(data).read_whole()
    monkeypatch.setattr(answer_module, "WHOLE_BODY_MOST_BYTES", 10_000)
    assert make_answer(data).read_whole() == BODY


@pytest.mark.parametrize("whole", [make_body(BODY), chunked(BODY, 64), b"HTTP/1.0 200 OK\r\n\r\n" + BODY])
@pytest.mark.parametrize(("start", "length"), [(0, 10), (5000, 100), (9_990, 100)])
def test_a_range_out_of_a_whole_body(whole: bytes, start: int, length: int) -> None:
    assert make_answer(whole).read_range(start, length, no_check) == BODY[start : start + length]


def test_a_range_tells_version_and_size_before_its_body_is_read() -> None:
    data = make_body(BODY[5:15], "Content-Range: bytes 5-14/10000", 'ETag: "one"', status="206 Partial Content")
    seen: list[Any] = []
    assert make_answer(data).read_range(5, 10, lambda etag, total: seen.append((etag, total))) == BODY[5:15]
    assert seen == [('"one"', 10_000)]

    class ReplacedError(Exception):
        pass

    def refuse(etag: str | None, total: int | None) -> None:
        raise ReplacedError

    counted: list[int] = []
    with contextlib.suppress(ReplacedError):
        make_answer(data, counted.append).read_range(5, 10, refuse)
    assert counted == []


def test_an_encoded_range_is_no_range() -> None:
    data = make_body(BODY[5:15], "Content-Range: bytes 5-14/10000", "Content-Encoding: gzip", status="206 Partial Content")
    with pytest.raises(ReadError, match="encodes ranges"):
        make_answer(data).read_range(5, 10, no_check)


def test_a_body_that_was_not_cut_is_not_copied() -> None:
    """The bytes are the ones that were read from the socket, not a second buffer of the same size."""
    data = make_body(BODY, f"Content-Range: bytes 0-{len(BODY) - 1}/10000", status="206 Partial Content")
    answer = make_answer(data)
    seen: list[bytes] = []
    read = answer._response.read
    answer._response.read = lambda amt=None: seen.append(read(amt)) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    body = answer.read_range(0, len(BODY), no_check)
    assert body is seen[0]
