"""The pages of a search; how they come over HTTP, `tests.scenes.test_search` tests."""

import gzip
import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pystac_client.exceptions import APIError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError
from urllib3.util import retry

from s2chips_core.errors import ArchiveError
from s2chips_core.scenes import search_pages
from s2chips_core.scenes.search_pages import MOST_REDIRECTS, RETRY_AFTER_LONGEST_S, CountingStacIO, open_client, read_pages
from tests.scenes.samples import item
from tests.scenes.stac_rig import StacRig, serve


def test_pages_never_go_round_for_ever() -> None:
    def pages(*, fresh: bool, token: bool) -> Iterator[dict[str, Any]]:
        for n in range(10_000):
            link = {"rel": "next", "href": "http://x/", "body": {"next": n if token else 0}}
            yield {"features": [{"id": str(n if fresh else 0)}], "links": [link]}

    with pytest.raises(ArchiveError, match="page 2 holds only items of earlier pages"):
        list(read_pages("http://x", pages(fresh=False, token=True)))
    with pytest.raises(ArchiveError, match="page 2 points to a page that was read already"):
        list(read_pages("http://x", pages(fresh=True, token=False)))
    with pytest.raises(ArchiveError, match="more than 20 pages"):
        list(read_pages("http://x", pages(fresh=True, token=True), most_pages=20))


def test_the_recorded_pages_of_earth_search_are_read(shared_data: Path) -> None:
    """Between its two pages one more item was published; of 115,912,757 announced the recording holds 20."""
    folder = shared_data / "stac" / "earth-search-v1"
    pages = [json.loads((folder / f"search_2025-07-31_page{n}.json").read_text(encoding="utf-8")) for n in (1, 2)]
    ids = [tree["id"] for tree in itertools.islice(read_pages("earth-search", iter(pages)), 20)]
    assert len(set(ids)) == 20
    with pytest.raises(ArchiveError, match="announced 115912757 items and sent 20"):
        list(read_pages("earth-search", iter(pages)))


def test_an_item_published_while_pages_are_read_is_no_failure() -> None:
    link = {"rel": "next", "href": "http://x/"}
    pages = [
        {"features": [{"id": "a"}], "numberMatched": 2, "links": [link]},
        {"features": [{"id": "b"}], "numberMatched": 3},
    ]
    assert [tree["id"] for tree in read_pages("http://x", iter(pages))] == ["a", "b"]


def test_requests_and_bytes_of_all_threads_are_counted() -> None:
    asker = CountingStacIO(retries=0)
    with serve(StacRig([item(0)])) as rig:
        size = len(asker.request(rig.url))
        threads = [threading.Thread(target=asker.request, args=(rig.url,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert asker.requests == rig.requests == 21
    assert asker.bytes == 21 * size


@contextmanager
def _answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that answers everything by `answer`; its URL, and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with suppress(OSError):
                answer(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _say(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


ELSEWHERE = [
    "http://127.0.0.1:{other}/search",
    "http://localhost:{own}/search",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/",
    "http://2852039166/latest/",
    "http://0251.0376.0251.0376/latest/",
    "https://10.0.0.1/search",
    "https://user@127.0.0.1:{own}/search",
    "http://127.0.0.1:{own}@evil.example/search",
    "http://127.0.0.1:{own}.evil.example/search",
    "http://127.0.0.1.:{own}/search",
    "file:///etc/passwd",
    "/etc/passwd",
    "ftp://127.0.0.1:{own}/x",
    "data:application/json,{{}}",
    "//127.0.0.1:{other}/search",
    "\\\\127.0.0.1\\share\\x",
]


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("by", ["next", "search", "redirect"])
def test_nothing_but_the_service_itself_is_asked(by: str, where: str) -> None:
    """Neither by the link to the next page, nor by the landing page's link to the search, nor by a redirect."""
    with _answering(lambda handler: _say(handler, 200, b'{"features": []}')) as (other, asked):
        rig = StacRig([])
        with serve(rig):
            href = where.format(other=other.rpartition(":")[2], own=rig.url.rpartition(":")[2])
            if by == "next":
                rig.change_page = lambda page, number: page.update(links=[{"rel": "next", "href": href}])
            elif by == "search":
                search = {"rel": "search", "type": "application/geo+json", "method": "POST", "href": href}
                landing = rig.landing()
                rig.landing = lambda: {**landing, "links": [search]}  # type: ignore[method-assign]
            pages_at = rig.url
            redirecting = _answering(lambda handler: _say(handler, 307, Location=href))
            with redirecting as (redirects, _):
                asker = CountingStacIO(retries=0)
                asker.endpoint = redirects if by == "redirect" else pages_at
                # What has no host of its own counts from the service, and is asked there.
                stays = by == "search" and where.startswith(("/", "\\"))
                with nullcontext() if stays else pytest.raises(ArchiveError) as refused:
                    if by == "redirect":
                        list(read_pages(redirects, asker.get_pages(redirects, "POST", {})))
                    else:
                        client = open_client(pages_at, asker)
                        found = client.search(
                            collections=["x"],
                            datetime="2025-01-01/2025-01-02",
                            intersects={"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
                            limit=10,
                        )
                        list(read_pages(pages_at, asker.get_pages(found.url, "POST", found.get_parameters())))
    assert asked == []
    assert refused is None or "root:" not in str(refused.value)


def test_a_redirect_within_the_service_is_followed_and_a_circle_is_not() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/v1":
            _say(handler, 308, Location="/v1/")
        elif handler.path == "/round":
            _say(handler, 302, Location="/round")
        else:
            _say(handler, 200, b'{"features": [{"id": "a"}]}')

    with _answering(answer) as (url, asked):
        asker = CountingStacIO(retries=0)
        assert [tree["id"] for tree in read_pages(url, asker.get_pages(f"{url}/v1", "POST", {}))] == ["a"]
        assert asked == ["POST /v1", "POST /v1/"]
        with pytest.raises(ArchiveError, match="Exceeded 3 redirects"):
            list(read_pages(url, asker.get_pages(f"{url}/round", "POST", {})))
    assert len(asked) == 2 + 1 + MOST_REDIRECTS


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_without_an_end_is_given_up_in_little_memory(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(search_pages, "ANSWER_MOST_BYTES", 2_000_000)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if packed:
            _say(handler, 200, gzip.compress(b" " * 300_000_000, 1), Content_Encoding="gzip")
            return
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 100_000)

    with _answering(answer) as (url, _):
        tracemalloc.start()
        try:
            with pytest.raises(ArchiveError, match="an answer of more than 2000000 bytes"):
                list(read_pages(url, CountingStacIO(retries=0).get_pages(url, "POST", {})))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20_000_000 + 300_000_000 * packed, "the server's own text is in this process too"


@pytest.mark.parametrize("status", [302, 429, 503])
def test_what_comes_with_a_redirect_or_a_refusal_is_not_read(status: int) -> None:
    """It may have no end, and nobody would look at it."""
    sent: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", "/round")
        handler.end_headers()
        handler.close_connection = True
        sent.append(0)
        while sent[-1] < 200_000_000:
            handler.wfile.write(b" " * 100_000)
            sent[-1] += 100_000

    with _answering(answer) as (url, asked), pytest.raises(ArchiveError):
        list(read_pages(url, CountingStacIO(retries=1, backoff_s=0.0).get_pages(url, "POST", {})))
    assert len(asked) == (1 + MOST_REDIRECTS if status == 302 else 2)
    assert max(sent) < 100_000_000, "read to its end"


@pytest.mark.parametrize(
    "said", ["Mon, 01 Jan 9999999999 00:00:00 GMT", "Mon, 01 Jan " + "9" * 30 + " 00:00:00 GMT", "-5", "soon"]
)
def test_a_retry_after_that_is_none_is_as_if_it_were_not_there(said: str) -> None:
    answers = [503, 200]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status = answers.pop(0)
        _say(handler, status, b'{"features": []}', **({"Retry_After": said} if status == 503 else {}))

    with _answering(answer) as (url, asked):
        assert list(read_pages(url, CountingStacIO(retries=1, backoff_s=0.0).get_pages(url, "POST", {}))) == []
    assert len(asked) == 2


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_pages, "ANSWER_LONGEST_S", 0.3)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.02)

    with _answering(answer) as (url, _), pytest.raises(ArchiveError, match=r"has not ended after 0\.3 s"):
        list(read_pages(url, CountingStacIO(retries=0).get_pages(url, "POST", {})))


def test_pages_of_one_search_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_pages, "SEARCH_MOST_BYTES", 1_000_000)
    counter = itertools.count()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        number = next(counter)
        link = {"rel": "next", "href": f"{url}/{number}"}
        _say(handler, 200, json.dumps({"features": [{"id": f"{number}", "x": "y" * 200_000}], "links": [link]}).encode())

    with _answering(answer) as (url, asked):
        with pytest.raises(ArchiveError, match="more than 1000000 bytes for one search"):
            list(read_pages(url, CountingStacIO(retries=0).get_pages(url, "POST", {})))
        assert len(asked) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"features": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"features": [{"id": ' + b"9" * 5000 + b"}]}",
        b'{"features": [{"id": []}]}',
        b'{"features": [{"id": "\\ud800"}], "links": [{"rel": "next", "href": "\\ud800"}]}',
        b'{"features": {"id": 1}}',
        b'{"features": [], "links": 5}',
        b"\xff\xfe\x00",
        b"null",
        b"",
    ],
    ids=range(10),
)
def test_what_is_no_page_is_an_error_of_the_archive(body: bytes) -> None:
    with _answering(lambda handler: _say(handler, 200, body)) as (url, _), pytest.raises(ArchiveError) as refused:
        list(read_pages(url, CountingStacIO(retries=0).get_pages(url, "POST", {})))
    str(refused.value).encode()


@pytest.mark.parametrize("said", ["99999999999", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-5", "59"])
def test_a_service_cannot_make_us_wait_for_ever(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counter, slept = itertools.count(1), list[float]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if next(counter) == 1:
            _say(handler, 503, b"", Retry_After=said)
        else:
            _say(handler, 200, b'{"id": "whole"}')

    monkeypatch.setattr(retry.time, "sleep", slept.append)
    with _answering(answer) as (url, _):
        assert CountingStacIO(retries=2, backoff_s=0.0).read_json(url) == {"id": "whole"}
    assert all(0 <= seconds <= RETRY_AFTER_LONGEST_S for seconds in slept)
    assert (sum(slept) > 50) == (said in ("99999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "59"))


def test_an_answer_that_stands_still_is_asked_for_again() -> None:
    counter, over = itertools.count(1), threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = b'{"id": "whole"}'
        if next(counter) > 2:
            _say(handler, 200, body)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:5])
        handler.wfile.flush()
        over.wait(10)

    with _answering(answer) as (url, asked):
        asker = CountingStacIO(retries=2, backoff_s=0.0)
        asker.timeout = (5.0, 0.3)
        assert asker.read_json(url) == {"id": "whole"}
        over.set()
        assert len(asked) == 3


def test_those_who_began_together_do_not_ask_again_together(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(search_pages.time, "sleep", waits.append)
    with _answering(lambda handler: _say(handler, 200, b"<html>")) as (url, _):
        for _ in range(2):
            with pytest.raises(ValueError, match="Expecting value"):
                CountingStacIO(retries=3, backoff_s=0.5).read_json(url)
    first, second = waits[:3], waits[3:]
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert all(0.5 * 2**n <= wait_s < 0.5 * (2**n + 1) for waited in (first, second) for n, wait_s in enumerate(waited))
    adapter = CountingStacIO().session.get_adapter("https://x/")
    assert isinstance(adapter, HTTPAdapter)
    failed = adapter.max_retries
    for _ in range(3):
        failed = failed.increment("GET", "/", error=ProtocolError("reset"))
    assert len({failed.get_backoff_time() for _ in range(5)}) == 5


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("body", ["<html>", "\ud800"])
def test_an_answer_that_is_no_json_is_asked_for_again(times: int, body: str) -> None:
    with serve(StacRig([item(0)])) as rig:
        whole = rig.landing()
        rig.landing = lambda: whole if rig.requests > times else body  # type: ignore[assignment,method-assign,return-value]
        asker = CountingStacIO(retries=2, backoff_s=0.0)
        if times == 2:
            assert asker.read_json(rig.url)["id"] == "rig"
        else:
            with pytest.raises((ValueError, APIError), match=r"Expecting value|codec can't decode"):
                asker.read_json(rig.url)
        assert rig.requests == 3
