"""The pages of a search; how they come over HTTP, `tests.scenes.test_search` tests."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pystac_client.exceptions import APIError

from s2chips_core.errors import ArchiveError
from s2chips_core.scenes.search_pages import CountingStacIO, read_pages
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
