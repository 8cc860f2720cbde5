"""The HTTP door: what it refuses, what it tries again, and that a range is the bytes asked for."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2chips_core.errors import HostNotAllowedError, MissingAssetError, ReadError
from s2chips_core.fetch import Fetcher, check_allowed, host_of
from tests.chips.range_server import RangeServer, serving

BODY = bytes(i * 7 % 251 for i in range(300_000))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving({"a.tif": BODY, "empty": b""}) as server:
        yield server


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> list[float]:
    return clock.waits


@pytest.fixture
def fetcher(server: RangeServer, clock: Clock) -> Iterator[Fetcher]:
    fetcher = Fetcher((server.host,), sleep=clock.sleep, random=lambda: 1.0, clock=clock, timeout_s=5)
    yield fetcher
    fetcher.close()


@pytest.mark.parametrize(
    ("href", "host"),
    [
        ("https://Sentinel-COGs.s3.us-west-2.amazonaws.com/a/B02.tif", "sentinel-cogs.s3.us-west-2.amazonaws.com"),
        ("https://a.example:443/x", "a.example"),
        ("https://a.example:8443/x", "a.example:8443"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://a.example/x", "a.example:80"),
        ("http://[::1]:81/x", "[::1]:81"),
        ("s3://sentinel-s2-l2a/tiles/x.jp2", "s3://sentinel-s2-l2a"),
        ("file:///etc/passwd", "file://"),
        ("gs://bucket/x", "gs://bucket"),
    ],
)
def test_host_of(href: str, host: str) -> None:
    assert host_of(href) == host


@pytest.mark.parametrize(
    "href",
    [
        "B02.tif",
        "/vsicurl/https://a.example/x",
        "https://a.example@evil.example/x",
        "https://a.example\\@evil.example/x",
        "https://a.example /x",
        "https:///x",
        "http://a.example:99999/x",
    ],
)
def test_hrefs_that_readers_understand_differently_are_refused(href: str) -> None:
    with pytest.raises(ReadError):
        host_of(href)


@pytest.mark.parametrize(
    ("href", "allowed", "error"),
    [
        ("https://evil.example/x", ("a.example",), HostNotAllowedError),
        ("https://a.example.evil.example/x", ("a.example",), HostNotAllowedError),
        ("https://a.example:8443/x", ("a.example",), HostNotAllowedError),
        ("http://a.example/x", ("a.example",), HostNotAllowedError),
        ("http://a.example/x", ("a.example:80",), HostNotAllowedError),
        ("http://127.0.0.1:81/x", ("127.0.0.1:80",), HostNotAllowedError),
        ("http://127.0.0.1.evil.example:80/x", ("127.0.0.1.evil.example:80",), HostNotAllowedError),
        ("s3://other/x", ("s3://sentinel-s2-l2a",), HostNotAllowedError),
        ("s3://sentinel-s2-l2a/x", ("s3://sentinel-s2-l2a",), ReadError),
        ("file:///etc/passwd", ("file://",), ReadError),
        ("ftp://a.example/x", ("ftp://a.example",), ReadError),
    ],
)
def test_refused_before_any_connection(href: str, allowed: tuple[str, ...], error: type[ReadError]) -> None:
    fetcher = Fetcher(allowed)
    with pytest.raises(ReadError) as caught:
        fetcher.get_range(href, 0, 1)
    assert type(caught.value) is error
    assert fetcher.requests == 0


@pytest.mark.parametrize(
    "href", ["http://127.0.0.1:80/x", "http://localhost:80/x", "http://[::1]:80/x", "https://a.example/x"]
)
def test_allowed(href: str) -> None:
    check_allowed(href, ("127.0.0.1:80", "LOCALHOST:80", "[::1]:80", "a.example"))


def test_an_error_does_not_tell_the_signature() -> None:
    with pytest.raises(HostNotAllowedError) as caught:
        Fetcher(()).get("https://a.example/B02.tif?sig=verysecret")
    assert "B02.tif" in str(caught.value)
    assert "verysecret" not in str(caught.value)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(start=st.integers(0, len(BODY) - 1), length=st.integers(1, 2 * len(BODY)), ranges=st.booleans())
def test_a_range_is_the_bytes_asked_for(
    server: RangeServer, fetcher: Fetcher, start: int, length: int, ranges: bool
) -> None:
    server.fault = lambda number, path: None if ranges else "ignore_range"
    assert fetcher.get_range(server.href("a.tif"), start, length) == BODY[start : start + length]


def test_get_and_counters(server: RangeServer, fetcher: Fetcher) -> None:
    assert fetcher.get(server.href("a.tif")) == BODY
    assert fetcher.get(server.href("empty")) == b""
    before = fetcher.stats()
    fetcher.get_range(server.href("a.tif"), 10, 90)
    assert (fetcher.requests, fetcher.bytes) == (3, len(BODY) + 90) == (len(server.asked), server.sent_bytes)
    assert (fetcher.stats() - before).bytes == 90


@pytest.mark.parametrize("ranges", [True, False])
def test_a_range_behind_the_end(server: RangeServer, fetcher: Fetcher, ranges: bool) -> None:
    server.fault = lambda number, path: None if ranges else "ignore_range"
    with pytest.raises(ReadError):
        fetcher.get_range(server.href("a.tif"), len(BODY), 1)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["reset", "short", *[(status, {}) for status in (429, 500, 502, 503, 504)]])
def test_faults_are_tried_again_with_growing_waits(
    server: RangeServer, fetcher: Fetcher, waits: list[float], fault: str | tuple[int, dict[str, str]]
) -> None:
    server.fault = lambda number, path: fault if number <= 3 else None
    assert fetcher.get_range(server.href("a.tif"), 1000, 5000) == BODY[1000:6000]
    assert waits == pytest.approx([0.2, 0.6, 1.8])
    assert (fetcher.requests, fetcher.stats().retries) == (4, 3)


@pytest.mark.parametrize("fault", ["short", "reset"])
def test_a_whole_body_that_breaks_off_is_tried_again(server: RangeServer, fetcher: Fetcher, fault: str) -> None:
    server.fault = lambda number, path: fault if number == 1 else None
    assert fetcher.get(server.href("a.tif")) == BODY


def test_retry_after_is_kept_to_and_bounded(server: RangeServer, fetcher: Fetcher, waits: list[float]) -> None:
    answers = iter([(429, {"Retry-After": "7"}), (503, {"Retry-After": "99999"}), (503, {"Retry-After": "soon"}), None])
    server.fault = lambda number, path: next(answers)
    fetcher.get_range(server.href("a.tif"), 0, 1)
    assert waits == pytest.approx([7.0, 60.0, 1.8])


def test_gives_up_after_the_last_attempt(server: RangeServer, waits: list[float]) -> None:
    fetcher = Fetcher((server.host,), retries=2, sleep=waits.append)
    server.fault = lambda number, path: (503, {})
    with pytest.raises(ReadError, match="503, 3 attempts"):
        fetcher.get_range(server.href("a.tif"), 0, 1)
    assert (len(waits), len(server.asked)) == (2, 3)


def test_nobody_listens(server: RangeServer, waits: list[float]) -> None:
    fetcher = Fetcher(("127.0.0.1:1",), retries=1, sleep=waits.append)
    with pytest.raises(ReadError, match="no answer"):
        fetcher.get("http://127.0.0.1:1/x")


def test_a_silent_server_is_a_timeout(server: RangeServer) -> None:
    release = threading.Event()
    server.hold = lambda: (release.wait(5), None)[1]
    fetcher = Fetcher((server.host,), retries=0, timeout_s=0.2)
    with pytest.raises(ReadError, match="no answer"):
        fetcher.get_range(server.href("a.tif"), 0, 1)
    release.set()


def test_gone_is_a_missing_asset_at_once(server: RangeServer, fetcher: Fetcher) -> None:
    with pytest.raises(MissingAssetError):
        fetcher.get_range(server.href("gone.tif"), 0, 1)
    assert len(server.asked) == 1


def test_forbidden_is_no_missing_asset(server: RangeServer, fetcher: Fetcher) -> None:
    server.fault = lambda number, path: (403, {})
    with pytest.raises(ReadError, match="answered 403") as caught:
        fetcher.get_range(server.href("a.tif"), 0, 1)
    assert not isinstance(caught.value, MissingAssetError)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(server: RangeServer, fetcher: Fetcher, status: int) -> None:
    server.fault = lambda number, path: (status, {"Location": server.href("a.tif")}) if path == "moved" else None
    with pytest.raises(ReadError, match="redirects are not followed"):
        fetcher.get(server.href("moved"))
    assert [a.path for a in server.asked] == ["moved"]


@pytest.mark.parametrize("by", ["etag", "size"])
def test_a_file_replaced_between_ranges_is_an_error(server: RangeServer, fetcher: Fetcher, by: str) -> None:
    server.etags["a.tif"] = '"one"'
    fetcher.get_range(server.href("a.tif"), 0, 10)
    if by == "etag":
        server.etags["a.tif"] = '"two"'
    else:
        server.files["a.tif"] = BODY + b"more"
    with pytest.raises(ReadError, match="replaced"):
        fetcher.get_range(server.href("a.tif"), 10, 10)
    fetcher.forget(server.href("a.tif"))
    assert fetcher.get_range(server.href("a.tif"), 10, 10) == BODY[10:20]


@pytest.mark.parametrize("said", ["bytes 1-10/300000", "bytes 0-8/300000", "bytes 0-10/300000", "0-9", "bytes */300000"])
def test_another_range_than_asked_for_is_an_error(server: RangeServer, fetcher: Fetcher, said: str) -> None:
    server.fault = lambda number, path: (206, {"Content-Range": said})
    with pytest.raises(ReadError, match="Content-Range"):
        fetcher.get_range(server.href("a.tif"), 0, 10)


def test_threads_share_one_fetcher(server: RangeServer, fetcher: Fetcher) -> None:
    starts = range(0, 200_000, 1000)
    server.fault = lambda number, path: "reset" if number % 10 == 0 else None
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda start: fetcher.get_range(server.href("a.tif"), start, 1000), starts))
    assert got == [BODY[start : start + 1000] for start in starts]
    assert fetcher.requests == len(server.asked)
    assert fetcher.bytes == sum(map(len, got))


def test_a_length_of_nothing_is_a_mistake_of_the_caller(fetcher: Fetcher) -> None:
    for start, length in itertools.product((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="expected start >= 0"):
            fetcher.get_range("https://a.example/x", start, length)
