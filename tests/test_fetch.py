"""The HTTP door: what it refuses, what it tries again, and that a range is the bytes asked for."""

import contextlib
import dataclasses
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2chips_core.errors import HostNotAllowedError, MissingAssetError, ReadError
from s2chips_core.fetch import Fetcher, FetchStats
from s2chips_core.sandbox.server import serve
from tests.chips.range_server import RangeServer, serving

BODY = bytes(i * 7 % 251 for i in range(300_000))


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving({"a.tif": BODY, "empty": b""}) as server:
        yield server


def wait_until(true: Callable[[], bool], most_s: float = 20.0) -> None:
    end = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


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
    assert (fetcher.requests, fetcher.bytes) == (3, len(BODY) + 90)
    wait_until(lambda: server.sent_bytes == len(BODY) + 90)  # it counts when all is sent, which we may be the first to know
    assert len(server.asked) == 3
    assert (fetcher.stats() - before).bytes == 90


@pytest.mark.parametrize("ranges", [True, False])
def test_a_range_behind_the_end(server: RangeServer, fetcher: Fetcher, ranges: bool) -> None:
    server.fault = lambda number, path: None if ranges else "ignore_range"
    with pytest.raises(ReadError, match="the file ends before" if ranges else "lies behind its end"):
        fetcher.get_range(server.href("a.tif"), len(BODY), 1)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["reset", "short", *[(status, {}) for status in (429, 500, 502, 503, 504)]])
def test_faults_are_tried_again_with_growing_waits(
    server: RangeServer, fetcher: Fetcher, waits: list[float], fault: str | tuple[int, dict[str, str]]
) -> None:
    server.fault = lambda number, path: fault if number <= 3 else None
    assert fetcher.get_range(server.href("a.tif"), 1000, 5000) == BODY[1000:6000]
    first_s = 0.04 if fault in ("reset", "short") else 0.1
    assert waits == pytest.approx([first_s, first_s * 2.5, first_s * 6.25])
    assert (fetcher.requests, fetcher.stats().retries) == (4, 3)


@pytest.mark.parametrize("fault", ["short", "reset"])
def test_a_whole_body_that_breaks_off_is_tried_again(server: RangeServer, fetcher: Fetcher, fault: str) -> None:
    server.fault = lambda number, path: fault if number == 1 else None
    assert fetcher.get(server.href("a.tif")) == BODY


def test_retry_after_is_kept_to_and_bounded(server: RangeServer, fetcher: Fetcher, waits: list[float]) -> None:
    answers = iter([(429, {"Retry-After": "7"}), (503, {"Retry-After": "99999"}), (503, {"Retry-After": "soon"}), None])
    server.fault = lambda number, path: next(answers)
    fetcher.get_range(server.href("a.tif"), 0, 1)
    assert waits == pytest.approx([7.0, 60.0, 0.625])


@pytest.mark.parametrize("said", ["Fri, 31 Dec 99999 23:59:59 GMT", "9" * 5000, "-3", "0.5", ""])
def test_a_retry_after_that_is_no_time_is_not_kept_to(
    server: RangeServer, fetcher: Fetcher, waits: list[float], said: str
) -> None:
    server.fault = lambda number, path: (503, {"Retry-After": said}) if number == 1 else None
    assert fetcher.get_range(server.href("a.tif"), 0, 1) == BODY[:1]
    assert waits == pytest.approx([0.1])


def test_a_kept_connection_that_ends_is_no_fault_of_the_host(
    server: RangeServer, fetcher: Fetcher, waits: list[float]
) -> None:
    """A host closes what was idle for long, which crosses the next request on its way; every second one does here."""
    server.fault = lambda number, path: "reset" if number % 2 == 0 else None
    for begin in range(0, 50_000, 1000):
        assert fetcher.get_range(server.href("a.tif"), begin, 1000) == BODY[begin : begin + 1000]
    assert waits == []
    stats = fetcher.stats()
    assert stats.requests == len(server.asked) == 50 + stats.retries
    assert stats.broken == stats.retries == 49


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


@pytest.mark.parametrize("knows_if_match", [True, False])
@pytest.mark.parametrize("by", ["etag", "size"])
def test_a_file_replaced_between_ranges_is_an_error(
    server: RangeServer, fetcher: Fetcher, by: str, knows_if_match: bool
) -> None:
    server.knows_if_match = knows_if_match
    server.etags["a.tif"] = '"one"'
    fetcher.get_range(server.href("a.tif"), 0, 10)
    if by == "etag":
        server.etags["a.tif"] = '"two"'
    else:
        server.files["a.tif"] = BODY + b"more"
    with pytest.raises(ReadError, match="was replaced while it was read"):
        fetcher.get_range(server.href("a.tif"), 10, 10)
    assert len(server.asked) == 2
    fetcher.forget(server.href("a.tif"))
    assert fetcher.get_range(server.href("a.tif"), 10, 10) == BODY[10:20]


@pytest.mark.parametrize(
    ("etag", "sent"), [('"one-25"', '"one-25"'), ('W/"one"', None), ("one", None), ('"o\xe9"', None), ('"a"b"', None)]
)
def test_a_strong_etag_is_asked_to_match_once_it_is_known(
    server: RangeServer, fetcher: Fetcher, etag: str, sent: str | None
) -> None:
    server.etags["a.tif"] = etag
    for start in (0, 10):
        assert fetcher.get_range(server.href("a.tif"), start, 10) == BODY[start : start + 10]
    fetcher.get(server.href("a.tif"))
    assert [asked.if_match for asked in server.asked] == [None, sent, None]


def test_a_weak_etag_of_the_same_name_is_the_same_file(server: RangeServer, fetcher: Fetcher) -> None:
    server.etags["a.tif"] = 'W/"one"'
    fetcher.get_range(server.href("a.tif"), 0, 10)
    server.etags["a.tif"] = '"one"'
    assert fetcher.get_range(server.href("a.tif"), 10, 10) == BODY[10:20]
    server.etags["a.tif"] = 'W/"two"'
    with pytest.raises(ReadError, match="was replaced"):
        fetcher.get_range(server.href("a.tif"), 10, 10)


def test_a_412_that_nobody_asked_for_is_told_as_it_is(server: RangeServer, fetcher: Fetcher) -> None:
    server.fault = lambda number, path: (412, {})
    with pytest.raises(ReadError, match="answered 412"):
        fetcher.get_range(server.href("a.tif"), 0, 10)


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


# In flight, pauses, giving up


def test_no_more_in_flight_than_connections(server: RangeServer) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def hold() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1

    server.hold = hold
    with contextlib.closing(Fetcher((server.host,), connections=3)) as fetcher, ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda start: fetcher.get_range(server.href("a.tif"), start, 10), range(36)))
    assert got == [BODY[start : start + 10] for start in range(36)]
    assert most == 3


def test_a_host_that_refuses_many_at_once_is_asked_less(server: RangeServer) -> None:
    now = most = 0
    lock, all_refused = threading.Lock(), threading.Barrier(24)

    def fault(number: int, path: str) -> tuple[int, dict[str, str]] | None:
        return (503, {}) if number <= 24 else None

    def hold() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now) if refused.is_set() else most
        time.sleep(0.05)
        with lock:
            now -= 1

    refused = threading.Event()

    def sleep(seconds: float) -> None:
        all_refused.wait(30)  # nothing is tried again before the limit knows of all 24
        refused.set()

    server.hold, server.fault = hold, fault
    with contextlib.closing(Fetcher((server.host,), connections=24, sleep=sleep)) as fetcher:
        with ThreadPoolExecutor(24) as pool:
            got = list(pool.map(lambda start: fetcher.get_range(server.href("a.tif"), start, 10), range(24)))
        assert got == [BODY[start : start + 10] for start in range(24)]
        stats = fetcher.stats()
    assert stats.refused == stats.retries == 24
    assert stats.requests == 48
    assert 1 < most <= 13, "half of 24, and one more after a round without a failure"


def test_retry_after_holds_for_every_request_to_the_host(server: RangeServer, clock: Clock) -> None:
    fetcher = Fetcher((server.host,), retries=0, sleep=clock.sleep, clock=clock)
    server.fault = lambda number, path: (429, {"Retry-After": "7"}) if number == 1 else None
    with pytest.raises(ReadError, match="429"):
        fetcher.get_range(server.href("a.tif"), 0, 1)
    assert clock.waits == []
    fetcher.get_range(server.href("a.tif"), 0, 1)
    fetcher.get_range(server.href("a.tif"), 0, 1)
    assert clock.waits == [7.0]


def test_a_host_that_only_fails_is_given_up_and_others_are_not(
    server: RangeServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fetcher = Fetcher(("127.0.0.1:1", server.host), sleep=clock.sleep, clock=clock, random=lambda: 1.0)
    problems = []
    for number in range(1000):
        with pytest.raises(ReadError) as caught:
            fetcher.get_range(f"http://127.0.0.1:1/{number}", 0, 1)
        problems.append(str(caught.value))
    assert fetcher.requests < 40
    assert clock.now_s < 1100
    assert "http://127.0.0.1:1/999: 127.0.0.1 is given up for this run: " in problems[-1]
    assert "no answer (ConnectionRefusedError)" in problems[-1]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["127.0.0.1 is given up for this run"]
    assert fetcher.get_range(server.href("a.tif"), 0, 1) == BODY[:1]


# Interruption


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def interrupted_within_a_second(fetcher: Fetcher, reads: list[Future[bytes]], by: str = "interrupt") -> None:
    began = time.monotonic()
    getattr(fetcher, by)()
    for read in reads:
        with pytest.raises(ReadError, match="the read was interrupted"):
            read.result(timeout=10)
    assert time.monotonic() - began < 1.0 + 1.0  # a second for us, one for a busy machine


@pytest.mark.parametrize("by", ["interrupt", "close"])
def test_interrupt_ends_waiting_for_an_answer_and_for_a_place(silent: str, by: str) -> None:
    fetcher = Fetcher((silent,), connections=4)
    with ThreadPoolExecutor(8) as pool, contextlib.closing(fetcher):
        reads = [pool.submit(fetcher.get_range, f"http://{silent}/x", 0, 10) for _ in range(8)]
        wait_until(lambda: fetcher.requests == 4)
        time.sleep(0.1)
        interrupted_within_a_second(fetcher, reads, by)
    assert fetcher.requests == 4
    with pytest.raises(ReadError, match="interrupted"):
        fetcher.get(f"http://{silent}/x")
    assert fetcher.requests == 4


@pytest.mark.parametrize("declared", [b"Content-Length: 1000\r\n", b""], ids=["known length", "until it closes"])
def test_interrupt_ends_a_body_that_stands_still(declared: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        fetcher = Fetcher((host,))
        with ThreadPoolExecutor(1) as pool, contextlib.closing(fetcher):
            read = pool.submit(fetcher.get, f"http://{host}/x")
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + declared + b"\r\nhalf of it")
                time.sleep(0.1)
                interrupted_within_a_second(fetcher, [read])


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "50"}])
def test_interrupt_ends_sleeping(server: RangeServer, headers: dict[str, str]) -> None:
    server.fault = lambda number, path: (503, headers)
    fetcher = Fetcher((server.host,), retries=100)
    with ThreadPoolExecutor(4) as pool, contextlib.closing(fetcher):
        reads = [pool.submit(fetcher.get_range, server.href("a.tif"), 0, 10) for _ in range(4)]
        wait_until(lambda: fetcher.stats().retries > 0)
        time.sleep(0.1)
        interrupted_within_a_second(fetcher, reads)


# Signatures


class Signing:
    """Signs hrefs of s3://eodata and of the server with a counter; `good` is what the server takes."""

    def __init__(self, server: RangeServer) -> None:
        self.server, self.version, self.makes_sense = server, 1, True
        self.renewed: list[str] = []

    def sign(self, href: str) -> str:
        name = href.rpartition("/")[2]
        return self.server.href(f"{name}?sig=secret{self.version}")

    def renew(self, href: str) -> bool:
        self.renewed.append(href)
        self.version += 1
        return self.makes_sense


def expires(server: RangeServer, status: int, good: str) -> None:
    server.fault = lambda number, path: None if server.asked[number - 1].query == f"sig={good}" else (status, {})


@pytest.mark.parametrize("status", [401, 403])
def test_a_signature_that_ran_out_is_renewed(server: RangeServer, clock: Clock, status: int) -> None:
    signing = Signing(server)
    fetcher = Fetcher((server.host, "s3://eodata"), signer=signing, sleep=clock.sleep, clock=clock)
    server.etags["a.tif"] = '"one"'
    expires(server, status, "secret2")
    assert fetcher.get_range("s3://eodata/a.tif", 5, 10) == BODY[5:15]
    assert fetcher.size("s3://eodata/a.tif") == len(BODY)
    assert signing.renewed == ["s3://eodata/a.tif"]
    assert [asked.query for asked in server.asked] == ["sig=secret1", "sig=secret2"]
    stats = fetcher.stats()
    assert (stats.requests, stats.retries, stats.signature) == (2, 1, 1)
    signing.version = 3
    expires(server, status, "secret3")
    server.etags["a.tif"] = '"two"'
    with pytest.raises(ReadError, match="was replaced") as caught:  # versions go by the href without signature
        fetcher.get_range("s3://eodata/a.tif", 5, 10)
    assert "secret" not in str(caught.value)
    assert caught.value.href == "s3://eodata/a.tif"


def test_a_signature_that_cannot_be_renewed_is_an_error_at_once(server: RangeServer, clock: Clock) -> None:
    signing = Signing(server)
    signing.makes_sense = False
    fetcher = Fetcher((server.host, "s3://eodata"), signer=signing, sleep=clock.sleep, clock=clock)
    server.fault = lambda number, path: (403, {})
    with pytest.raises(ReadError, match=r"s3://eodata/a\.tif: the server answered 403$"):
        fetcher.get_range("s3://eodata/a.tif", 5, 10)
    assert len(server.asked) == 1


def test_signatures_that_are_never_right_end(server: RangeServer, clock: Clock) -> None:
    fetcher = Fetcher((server.host, "s3://eodata"), retries=3, signer=Signing(server), sleep=clock.sleep, clock=clock)
    server.fault = lambda number, path: (403, {})
    with pytest.raises(ReadError, match="403, 4 attempts"):
        fetcher.get("s3://eodata/a.tif")
    assert len(server.asked) == 4


def test_what_is_not_signed_is_not_renewed(server: RangeServer, fetcher: Fetcher) -> None:
    class Nothing:
        def sign(self, href: str) -> str:
            return href

        def renew(self, href: str) -> bool:
            raise AssertionError("nothing was signed")

    server.fault = lambda number, path: (403, {})
    with contextlib.closing(Fetcher((server.host,), signer=Nothing())) as fetcher, pytest.raises(ReadError, match="403"):
        fetcher.get(server.href("a.tif"))


@pytest.mark.parametrize("allowed", [("s3://eodata",), ()])
def test_both_hosts_must_be_allowed(server: RangeServer, allowed: tuple[str, ...]) -> None:
    fetcher = Fetcher(allowed or (server.host,), signer=Signing(server))
    with pytest.raises(HostNotAllowedError) as caught:
        fetcher.get_range("s3://eodata/a.tif", 5, 10)
    assert caught.value.host == (server.host if allowed else "s3://eodata")
    assert "secret" not in str(caught.value)
    assert server.asked == []


# Many threads, many faults


@pytest.mark.parametrize(
    ("requests", "threads", "share"), [(600, 32, 0.1), (2000, 48, 0.3)], ids=["10 % faults", "30 % faults"]
)
def test_mixed_faults_change_no_byte(tmp_path: Path, requests: int, threads: int, share: float) -> None:
    whole = bytes(i * i % 253 for i in range(400_000))
    (tmp_path / "a.tif").write_bytes(whole)
    starts = [(number * 7919) % 380_000 for number in range(requests)]
    with serve(tmp_path) as served:
        each = 1 - (1 - share) ** (1 / 4)
        for number, kind in enumerate(("503", "429", "reset", "short")):
            served.faults.fail(kind, probability=each, seed=number)  # type: ignore[arg-type]
        href = f"http://{served.host}/data/a.tif"
        fetcher = Fetcher((served.host,), retries=30, sleep=lambda s: time.sleep(min(s, 0.05)))
        with contextlib.closing(fetcher), ThreadPoolExecutor(threads) as pool:
            got = list(pool.map(lambda start: fetcher.get_range(href, start, 4000), starts))
        stats, faults = fetcher.stats(), served.counters.faults
    assert got == [whole[start : start + 4000] for start in starts]
    assert stats.requests == requests + stats.retries == served.counters.requests["data"]
    assert stats.retries == stats.refused + stats.broken + stats.short == faults
    assert min(stats.refused, stats.broken, stats.short) > 0
    assert faults / stats.requests == pytest.approx(share, rel=0.25)


def test_counters_can_be_added_and_subtracted() -> None:
    names = [field.name for field in dataclasses.fields(FetchStats)]
    one = FetchStats(**{name: number for number, name in enumerate(names, start=10)})
    two = FetchStats(**{name: number * number for number, name in enumerate(names, start=3)})
    assert one + two - two == one
    assert dataclasses.astuple(one + one) == tuple(2 * number for number in range(10, 10 + len(names)))
