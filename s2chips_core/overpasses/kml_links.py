"""Links of a web page that lead to KML.

Here: HTML to addresses, in a time that grows with the page and no faster. Python's own HTML parser takes a minute for 200 kB
of opened tags, and stops with an AssertionError at others. Not here: asking for what is found (`sources`).
"""

import contextlib
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote, urldefrag, urljoin

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""Of a page no more is looked at."""
HREF_MOST_CHARS = 2000
_TAG = re.compile(r"<(a|base)\s([^<>]{1,4000})>", re.IGNORECASE)
_HREF = re.compile(r"""(?<![^\s"'])href\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_DATE = re.compile(r"20\d{6}")


def kml_links(page: bytes, url: str) -> list[str]:
    """The addresses that a web page links to and that mention KML, each once.

    Args:
        page: HTML.
        url: where it is from.

    Returns:
        Absolute URLs without fragment. Those with the latest dates in their names come first: which are asked when there are
        more than are asked at once is a guess, what is in them decides.
    """
    base, hrefs = "", []
    for tag, href in _hrefs(page[:MAX_PAGE_BYTES].decode("utf-8", errors="replace")):
        if tag == "a":
            hrefs.append(href)
        else:
            base = base or href
    found = []
    for href in hrefs:
        if "kml" in unquote(href).lower():
            with contextlib.suppress(ValueError):  # no URL at all, such as http://[
                found.append(urldefrag(urljoin(urljoin(url, base), href.strip())).url)
    return sorted(dict.fromkeys(found), key=lambda link: max(_DATE.findall(link), default=""), reverse=True)


def _hrefs(text: str) -> Iterator[tuple[str, str]]:
    """`a` or `base` and its href, in the order of the page; those in comments are none."""
    for part in _outside_comments(text):
        for tag in _TAG.finditer(part):
            found = _HREF.search(tag[2])
            href = html.unescape(next((value for value in found.groups() if value), "")) if found else ""
            if href and len(href) <= HREF_MOST_CHARS:
                yield tag[1].lower(), href


def _outside_comments(text: str) -> Iterator[str]:
    at = 0
    while (begins := text.find("<!--", at)) >= 0:
        yield text[at:begins]
        ends = text.find("-->", begins + 4)
        if ends < 0:
            return
        at = ends + 3
    yield text[at:]
