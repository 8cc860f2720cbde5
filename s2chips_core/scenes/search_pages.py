"""The pages of a STAC search: asking with patience, following links, and seeing that nothing is missing.

Every page is had or the search fails: half an answer is never passed on as a whole one. Not here: what is asked (`search`).
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from pystac import Link
from pystac.errors import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import PreparedRequest, Request, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import DecodeError, HTTPError, InvalidHeader, ProtocolError, ReadTimeoutError

from s2chips_core.errors import ArchiveError, ReadError
from s2chips_core.hrefs import check_allowed, host_of, without_query

MOST_PAGES = 1000
TIMEOUT_S = (10.0, 60.0)
RETRIES = 5
BACKOFF_MOST_S = 20.0
BODY_BROKE_OFF = (ProtocolError, DecodeError, ReadTimeoutError)
RETRY_AFTER_LONGEST_S = 60
ANSWER_MOST_BYTES = 64 * 1024 * 1024
"""Unpacked; a page is asked for with 4 MB."""
SEARCH_MOST_BYTES = 1024 * 1024 * 1024
"""Of all pages of one search, unpacked."""
ANSWER_LONGEST_S = 300.0
"""From the first byte of an answer to its last."""
MOST_REDIRECTS = 3
_AT_ONCE_BYTES = 1 << 18
FOREIGN = (
    *(ArchiveError, APIError, STACError, OSError, ValueError, OverflowError),
    *(KeyError, IndexError, TypeError, AttributeError, RecursionError),
)
"""What pystac-client trips over: it reads foreign JSON without looking."""


class _Retry(Retry):
    """Bodies of answers that are tried again are not read: they may have no end."""

    def increment(self, *args: Any, **kwargs: Any) -> "_Retry":
        response = kwargs.get("response")
        if response is not None:
            response.close()
        return super().increment(*args, **kwargs)

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds; 0 for what is no number, no date, or one that no calendar holds."""
        try:
            return super().parse_retry_after(retry_after)
        except (InvalidHeader, ValueError, OverflowError):
            return 0.0


class _Session(Session):
    """Follows redirects within one host only, and does not read what comes with them."""

    def get_redirect_target(self, resp: Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            try:
                check_same_host(urljoin(resp.url, target), resp.url, "a redirect")
            finally:
                resp.raw.close()
        return target


class CountingStacIO(StacApiIO):
    """pystac-client's HTTP with timeouts, retries (POST too: a search changes nothing), counters and limits. For any thread.

    Of one service: whatever a link of its answers says, nothing else is asked, and no file is opened.
    """

    def __init__(self, *, retries: int = RETRIES, backoff_s: float = 0.5) -> None:
        super().__init__(timeout=TIMEOUT_S, max_retries=None)
        self.session = _Session()
        self.session.max_redirects = MOST_REDIRECTS
        adapter = HTTPAdapter(
            max_retries=_Retry(
                total=retries,
                backoff_factor=backoff_s,
                backoff_jitter=backoff_s,
                backoff_max=BACKOFF_MOST_S,
                status_forcelist=(429, 500, 502, 503, 504),
                allowed_methods=None,
                respect_retry_after_header=True,
                retry_after_max=RETRY_AFTER_LONGEST_S,
            )
        )
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)
        self.endpoint: str | None = None
        """The service; none: whatever is asked first."""
        self._retries, self._backoff_s = retries, backoff_s
        self.requests = 0
        self.bytes = 0
        """Of the answers' texts, unpacked."""
        self._lock = threading.Lock()
        self._read = threading.local()

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """As pystac-client's own, which takes what is no URL for the name of a file."""
        if isinstance(source, Link):
            text: str = super().read_text(source, *args, **kwargs)
            return text
        return self.request(str(source), *args, **kwargs)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Count, then ask.

        Raises:
            ArchiveError: it is not of this service, or the answer is too large or takes too long.
            APIError: the service cannot be reached or answers with an error.
        """
        with self._lock:
            self.endpoint = self.endpoint or href
            endpoint = self.endpoint
            self.requests += 1
        check_same_host(href, endpoint, "a link")
        method = (method or "GET").upper()
        if method not in ("GET", "POST"):
            raise ArchiveError(endpoint, f"a link asks for {method[:20]!r}, expected GET or POST")
        asked: dict[str, Any] = {"json": parameters} if method == "POST" else {"params": parameters or {}}
        try:
            prepared = self.session.prepare_request(Request(method=method, url=href, headers=headers, **asked))
            text = self._ask(prepared, endpoint)
        except (RequestException, HTTPError) as error:
            raise APIError(str(error)) from error
        self._read.bytes = getattr(self._read, "bytes", 0) + len(text)
        with self._lock:
            self.bytes += len(text)
        return text

    def _ask(self, prepared: PreparedRequest, endpoint: str) -> str:
        settings = self.session.merge_environment_settings(prepared.url or "", {}, True, None, None)
        with self.session.send(prepared, timeout=self.timeout, **settings) as answer:
            body, until_s = bytearray(), time.monotonic() + ANSWER_LONGEST_S
            while piece := answer.raw.read1(_AT_ONCE_BYTES, decode_content=True):
                body += piece
                if len(body) > ANSWER_MOST_BYTES:
                    raise ArchiveError(endpoint, f"an answer of more than {ANSWER_MOST_BYTES} bytes")
                if time.monotonic() > until_s:
                    raise ArchiveError(endpoint, f"an answer that has not ended after {ANSWER_LONGEST_S:g} s")
            if not 200 <= answer.status_code < 300:
                said = bytes(body[:2000]).decode("utf-8", errors="replace")
                error = APIError(said or f"the server answered {answer.status_code}")
                error.status_code = answer.status_code  # pystac-client takes a 404 for a collection that is not there
                raise error
        return body.decode("utf-8")

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As ever; a body that breaks off, stands still or is no JSON is asked for again: urllib3 has no part in bodies."""
        for number in range(self._retries + 1):
            try:
                read: dict[str, Any] = super().read_json(source, *args, **kwargs)
                return read
            except ValueError:
                if number == self._retries:
                    raise
            except APIError as error:
                if number == self._retries or not isinstance(error.__cause__, BODY_BROKE_OFF):
                    raise
            # Runs that began together do not ask again together.
            time.sleep(min(self._backoff_s * (2**number + random.random()), BACKOFF_MOST_S))  # noqa: S311 - no secret
        raise AssertionError("the loop above returns or raises")

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every page up to the one without a next link, empty ones too: pystac-client takes those for the end."""
        self._read.bytes = 0  # a search is asked by one thread
        page = self.read_json(url, method=method, parameters=parameters)
        while True:
            if self._read.bytes > SEARCH_MOST_BYTES:
                raise ArchiveError(url, f"more than {SEARCH_MOST_BYTES} bytes for one search")
            yield page
            following = [link for link in page.get("links", []) if link["rel"] == "next"]
            if not following:
                return
            page = self.read_json(Link.from_dict(following[0]), parameters=parameters)


def check_same_host(href: str, endpoint: str, what: str) -> None:
    """Refuse to ask anything but the service itself, by https or on this machine.

    Raises:
        ArchiveError: `href` leads elsewhere.
    """
    try:
        host = host_of(endpoint)
        check_allowed(href, (host,))
    except ReadError as error:
        raise ArchiveError(
            endpoint, f"{what} leads to {without_query(href)[:200]!r}, which is not asked: {error}"
        ) from error


def open_client(endpoint: str, stac_io: CountingStacIO) -> Client:
    """Read the landing page.

    Raises:
        ArchiveError: it is no STAC API that can be searched.
    """
    stac_io.endpoint = endpoint
    try:
        client = Client.open(endpoint, stac_io=stac_io)
    except ArchiveError:
        raise
    except FOREIGN as error:
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
    except ArchiveError:
        raise
    except FOREIGN as error:
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
