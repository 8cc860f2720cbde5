"""Links of web pages, also of pages that are made to take long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.overpasses.kml_links import kml_links
from tests.reliability import often

URL = "https://a.example/c/d"


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<a class="x" href="one.kml">1</a>', ["https://a.example/c/one.kml"]),
        ("<A\nHREF = 'one.KML'>", ["https://a.example/c/one.KML"]),
        ("<a href=one.kml?a=1&amp;b=2#top>", ["https://a.example/c/one.kml?a=1&b=2"]),
        ("<!-- <a href='old.kml'> --><a href='new.kml'>", ["https://a.example/c/new.kml"]),
        ("<abbr href='one.kml'><area href='two.kml'>", []),
        ("<a data-href='one.kml'>", []),
        ("<base href='//evil.example/'><a href='x.kml'>", ["https://evil.example/x.kml"]),
        ("<a href='http://[.kml'>", []),
        ("<a href='" + "x" * 3000 + ".kml'>", []),
    ],
)
def test_links_as_pages_write_them(page: str, found: list[str]) -> None:
    assert kml_links(page.encode(), URL) == found


PIECES = [
    "<a",
    "<a ",
    "<!--",
    "-->",
    "<![",
    "<!",
    "&",
    "<a href='",
    '<a href="kml',
    "</",
    "<script>",
    " x='",
    "<?",
    " href=",
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_page_of_one_piece_takes_no_longer_than_its_length(piece: str) -> None:
    """The limit is 100 times what it takes, and a thousandth of what a parser with a square in it takes."""
    page = (piece * (4_000_000 // len(piece))).encode()
    start = time.process_time()
    kml_links(page, URL)
    assert time.process_time() - start < 20.0


@settings(max_examples=often(200, 5000), deadline=None)
@given(st.binary(max_size=200) | st.lists(st.sampled_from([*PIECES, "kml", ">", "=", '"', "\ud800", "\0"]), max_size=30))
def test_any_page_gives_addresses(page: bytes | list[str]) -> None:
    data = page if isinstance(page, bytes) else "".join(page).encode("utf-8", "surrogatepass")
    assert all(isinstance(link, str) for link in kml_links(data, URL))
