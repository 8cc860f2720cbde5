"""The pages of a STAC search: asking with patience, following links, and seeing that nothing is missing.

Every page is had or the search fails: half an answer is never passed on as a whole one. Not here: what is asked (`search`).
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from pystac import Link
from pystac.errors import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3 import Retry

from s2chips_core.errors import ArchiveError

MOST_PAGES = 1000
TIMEOUT_S = (10.0, 60.0)
RETRIES = 5
BACKOFF_MOST_S = 20.0
BODY_IS_BROKEN = (ChunkedEncodingError, ContentDecodingError, UnicodeDecodeError)


class CountingStacIO(StacApiIO):
    """pystac-client's HTTP with timeouts, retries (POST too: a search changes nothing) and counters. For any thread."""

    def __init__(self, *, retries: int = RETRIES, backoff_s: float = 0.5) -> None:
        super().__init__(
            timeout=TIMEOUT_S,
            max_retries=Retry(
                total=retries,
                backoff_factor=backoff_s,
                backoff_max=BACKOFF_MOST_S,
                status_forcelist=(429, 500, 502, 503, 504),
                allowed_methods=None,
                respect_retry_after_header=True,
            ),
        )
        self._retries, self._backoff_s = retries, backoff_s
        self.requests = 0
        self.bytes = 0
        """Of the answers' texts, unpacked."""
        self._lock = threading.Lock()

    def request(self, *args: Any, **kwargs: Any) -> str:
        """Count, then ask."""
        with self._lock:
            self.requests += 1
        text: str = super().request(*args, **kwargs)
        with self._lock:
            self.bytes += len(text)
        return text

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same as ever; a body that broke off, or is no JSON, is asked for again: urllib3 has no part in bodies."""
        for number in range(self._retries + 1):
            try:
                read: dict[str, Any] = super().read_json(source, *args, **kwargs)
                return read
            except ValueError:
                if number == self._retries:
                    raise
            except APIError as error:
                if number == self._retries or not isinstance(error.__context__, BODY_IS_BROKEN):
                    raise
            time.sleep(min(self._backoff_s * 2**number, BACKOFF_MOST_S))
        raise AssertionError("the loop above returns or raises")

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every page up to the one without a next link, empty ones too: pystac-client takes those for the end."""
        page = self.read_json(url, method=method, parameters=parameters)
        while True:
            yield page
            following = [link for link in page.get("links", []) if link["rel"] == "next"]
            if not following:
                return
            page = self.read_json(Link.from_dict(following[0]), parameters=parameters)


def open_client(endpoint: str, stac_io: StacApiIO) -> Client:
    """Read the landing page.

    Raises:
        ArchiveError: it is no STAC API that can be searched.
    """
    try:
        client = Client.open(endpoint, stac_io=stac_io)
    except (APIError, STACError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(endpoint, f"the landing page cannot be read: {error}") from error
    if not client.conforms_to("ITEM_SEARCH"):
        raise ArchiveError(endpoint, "the landing page does not say that items can be searched (conformance item-search)")
    return client


def read_pages(endpoint: str, pages: Iterator[dict[str, Any]], most_pages: int = MOST_PAGES) -> Iterator[dict[str, Any]]:
    """The items of all pages of one search, each id once.

    Args:
        endpoint: whom to name in an error.
        pages: asks for one page after the other.
        most_pages: more than this is refused.

    Raises:
        ArchiveError: a page failed or is no page, pages repeat, there are too many, or fewer items came than were announced.
    """
    seen: set[str] = set()
    followed: set[str] = set()
    announced: int | None = None
    number = 0
    # pystac-client reads foreign JSON without looking: what it trips over is the service's answer.
    try:
        for page in pages:
            number += 1
            if number > most_pages:
                raise ArchiveError(endpoint, f"more than {most_pages} pages for one search")
            fresh = [item for item in page["features"] if item["id"] not in seen]
            if page["features"] and not fresh:
                raise ArchiveError(endpoint, f"page {number} holds only items of earlier pages")
            for item in fresh:
                seen.add(item["id"])
                yield item
            announced = _announced(page, announced)
            following = [link for link in page.get("links", []) if link["rel"] == "next"]
            for link in following[:1]:
                token = json.dumps(link, sort_keys=True)
                if token in followed:
                    raise ArchiveError(endpoint, f"page {number} points to a page that was read already")
                followed.add(token)
    except (APIError, STACError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"page {number + 1} of a search cannot be read ({type(error).__name__}): {error}"
        raise ArchiveError(endpoint, problem) from error
    if announced is not None and len(seen) < announced:
        raise ArchiveError(endpoint, f"announced {announced} items and sent {len(seen)}")


def _announced(page: dict[str, Any], before: int | None) -> int | None:
    """The least that any page announced: the number changes while a living archive is read."""
    context = page.get("context")
    matched = page.get("numberMatched", context.get("matched") if isinstance(context, dict) else None)
    if not isinstance(matched, int):
        return before
    return matched if before is None else min(before, matched)
