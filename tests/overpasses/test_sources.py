"""The door to elements and plans: what is asked, how often, and what is said when it fails."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.errors import InputError
from s2chips_core.overpasses.kml_links import kml_links
from s2chips_core.overpasses.sources import FAILURE_PAUSE, MOST_FILES, MOST_LINKS, SourceTexts, read_sources
from s2chips_core.storage import LocalStorage
from tests.chips.range_server import RangeServer, serving

NOW = datetime(2025, 10, 27, 12, 0, 0, 500_000, tzinfo=UTC)
GOOD = b"good elements"
PAGE = b"""<!DOCTYPE html><html><body>
<a href="/documents/d/sentinel/s2a_mp_acq__kml_20251020t120000_20251107t150000">S2A</a>
<a href='documents/S2B_MP_ACQ__KML_20251023T120000_20251110T150000.KML#top'>S2B</a>
<a href="/documents/d/sentinel/s2a_mp_acq__kml_20251020t120000_20251107t150000">again</a>
<a href="/about.html">About</a> <link href="/style-kml.css">
</body></html>"""


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving({}) as server:
        yield server


def check(data: bytes, source: str) -> None:
    if not data.startswith(b"good"):
        raise InputError(source, data[:40], "something good")


def read(storage: LocalStorage, *sources: object, after: timedelta = timedelta(), **more: Any) -> SourceTexts:
    arguments = {"cache_hours": 12, "check": check, "now": NOW + after, **more}
    return read_sources([str(source) for source in sources], storage=storage, **arguments)


def test_files_and_folders(storage: LocalStorage, tmp_path: Path) -> None:
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "b.kml").write_bytes(b"good b")
    (folder / "a.kml").write_bytes(b"bad a")  # a file is handed on: whoever reads it says what is wrong with it
    (folder / ".hidden").write_bytes(b"x")
    (folder / "inner").mkdir()
    single = tmp_path / "single.tle"
    single.write_bytes(GOOD)
    found = read(storage, folder, single, folder)
    assert [(Path(t.source).name, t.data, t.fetched_at) for t in found.texts] == [
        ("a.kml", b"bad a", None),
        ("b.kml", b"good b", None),
        ("single.tle", GOOD, None),
    ]
    assert found.notes == ()
    assert found.requests == 0
    assert storage.list("plan") == []


def test_what_cannot_be_read_is_a_note_and_the_rest_goes_on(storage: LocalStorage, tmp_path: Path) -> None:
    good = tmp_path / "good.tle"
    good.write_bytes(GOOD)
    (tmp_path / "empty").mkdir()
    found = read(storage, tmp_path / "none.tle", tmp_path / "empty", good)
    assert [text.data for text in found.texts] == [GOOD]
    assert len(found.notes) == 2
    assert "none.tle: cannot be read: No such file or directory" in found.notes[0]
    assert f"got 'a folder of 0 files', expected 1 to {MOST_FILES} files" in found.notes[1]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("http://celestrak.org/x", "http://celestrak.org/x: plain http:// only to this machine, expected https://"),
        ("ftp://celestrak.org/x", "no reader for ftp://"),
        ("file:///etc/passwd", "no reader for file://"),
        ("https://me@celestrak.org/x", "carries a user name"),
        ("https:///x", "is no absolute URL"),
    ],
)
def test_addresses_that_are_not_asked(storage: LocalStorage, source: str, said: str) -> None:
    found = read(storage, source)
    assert found.texts == ()
    [note] = found.notes
    assert said in note
    assert found.requests == 0


def test_a_copy_is_used_until_it_is_too_old(storage: LocalStorage, server: RangeServer) -> None:
    server.files["gp.php"] = GOOD
    url = f"{server.href('gp.php')}?GROUP=resource&token=verysecret"
    first = read(storage, url)
    [text] = first.texts
    assert (text.data, text.fetched_at) == (GOOD, NOW.replace(microsecond=0))
    assert text.source == server.href("gp.php")
    assert first.requests == len(server.asked) == 1

    server.files["gp.php"] = b"good and newer"
    for hours in (0, 2, 11.9):
        again = read(storage, url, after=timedelta(hours=hours))
        assert again.texts == first.texts
        assert (again.notes, again.requests) == ((), 0)
    later = read(storage, url, after=timedelta(hours=12))
    assert [t.data for t in later.texts] == [b"good and newer"]
    assert len(server.asked) == 2
    # One copy is kept, and its name does not tell the query.
    assert len(storage.list("plan")) == 1
    assert "secret" not in storage.list("plan")[0]
    # Another query is another source.
    read(storage, f"{server.href('gp.php')}?GROUP=active", after=timedelta(hours=13))
    assert len(server.asked) == 3


def test_one_address_is_asked_once_though_it_is_named_twice(storage: LocalStorage, server: RangeServer) -> None:
    server.files["a"] = GOOD
    found = read(storage, server.href("a"), server.href("a"))
    assert len(found.texts) == len(server.asked) == 1


@pytest.mark.parametrize("fault", ["reset", "short", (503, {}), (403, {}), (301, {"Location": "/other"}), "nonsense"])
def test_a_failure_is_said_and_an_older_copy_used(storage: LocalStorage, server: RangeServer, fault: Any) -> None:
    server.files["gp.php"] = GOOD
    url = server.href("gp.php")
    read(storage, url)
    if fault == "nonsense":  # CelesTrak's 200 that is none
        server.files["gp.php"] = b"GP data has not updated since your last successful download"
    else:
        server.fault = lambda number, path: fault
    found = read(storage, url, after=timedelta(hours=50))
    assert [(t.data, t.fetched_at) for t in found.texts] == [(GOOD, NOW.replace(microsecond=0))]
    [note] = found.notes
    assert note.startswith(url)
    assert note.endswith("; the copy of 2025-10-27 12:00 UTC (2 days old) is used instead")
    assert len(server.asked) == 2  # not tried again: who insists is blocked

    # Neither is it asked again at once by the next run, which says why.
    soon = read(storage, url, after=timedelta(hours=50) + FAILURE_PAUSE / 2)
    assert [t.data for t in soon.texts] == [GOOD]
    assert "not asked again before 14:15" in soon.notes[0]
    assert len(server.asked) == 2
    # Then it is; the failure is forgotten.
    server.fault = lambda number, path: None
    server.files["gp.php"] = b"good again"
    healed = read(storage, url, after=timedelta(hours=50) + FAILURE_PAUSE)
    assert [t.data for t in healed.texts] == [b"good again"]
    assert healed.notes == ()
    assert len(storage.list("plan")) == 1


def test_a_failure_without_a_copy_is_a_note(storage: LocalStorage, server: RangeServer) -> None:
    server.files["good"] = GOOD
    found = read(storage, server.href("none"), server.href("good"))
    assert [t.data for t in found.texts] == [GOOD]
    [note] = found.notes
    assert note == f"{server.href('none')}: the server answered 404"


def test_a_copy_from_later_than_now_is_the_last_resort(storage: LocalStorage, server: RangeServer) -> None:
    """A clock that was set back, for a rehearsal."""
    server.files["a"] = GOOD
    read(storage, server.href("a"))
    server.files["a"] = b"good then"
    assert [t.data for t in read(storage, server.href("a"), after=-timedelta(days=30)).texts] == [b"good then"]
    assert len(server.asked) == 2


def test_a_page_is_followed_to_its_plans(storage: LocalStorage, server: RangeServer) -> None:
    server.files["web/plans"] = PAGE
    server.files["documents/d/sentinel/s2a_mp_acq__kml_20251020t120000_20251107t150000"] = b"good a"
    server.files["web/documents/S2B_MP_ACQ__KML_20251023T120000_20251110T150000.KML"] = b"good b"
    told: list[object] = []
    found = read(storage, server.href("web/plans"), follow_links=True, progress=told.append)
    assert [t.data for t in found.texts] == [b"good b", b"good a"]  # the later first
    assert found.notes == ()
    assert found.requests == len(told) == 3
    again = read(storage, server.href("web/plans"), follow_links=True, after=timedelta(hours=3))
    assert again.texts == found.texts
    assert len(server.asked) == 3


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b'<?xml version="1.0"?>\n', b"<!-- a --> <!-- b -->\n"])
def test_a_page_is_known_by_what_it_is(storage: LocalStorage, server: RangeServer, before: bytes) -> None:
    server.files["page"] = before + b'<!DOCTYPE html><a href="a.kml">A</a>'
    server.files["a.kml"] = GOOD
    assert [t.data for t in read(storage, server.href("page"), follow_links=True).texts] == [GOOD]


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_name_is_not_the_working_directory(storage: LocalStorage, source: str) -> None:
    found = read(storage, source)
    assert found.texts == ()
    assert found.notes == ("source: got '', expected the path of a file or folder, or a URL",)


def test_comments_without_end_take_no_time(storage: LocalStorage, server: RangeServer) -> None:
    """With backtracking the time doubles with each: 60 of them would take thousands of years."""
    server.files["page"] = b"<!---->" * 60 + b"x"
    [said] = read(storage, server.href("page"), follow_links=True).notes
    assert "something good" in said


def test_a_kml_is_a_kml_though_a_page_might_come(storage: LocalStorage, server: RangeServer) -> None:
    server.files["plan"] = b"good kml"
    assert [t.data for t in read(storage, server.href("plan"), follow_links=True).texts] == [b"good kml"]


def test_a_link_that_fails_or_is_something_else_is_a_note(storage: LocalStorage, server: RangeServer) -> None:
    server.files["plans"] = b"""<html><a href="a.kml">a</a><a href="what-is-kml">b</a><a href="c.kml">c</a></html>"""
    server.files["a.kml"] = b"good a"
    server.files["what-is-kml"] = b"<html>KML is a format</html>"
    found = read(storage, server.href("plans"), follow_links=True)
    assert [t.data for t in found.texts] == [b"good a"]
    assert len(found.notes) == 2
    assert found.notes[0].startswith(server.href("what-is-kml"))
    assert found.notes[1] == f"{server.href('c.kml')}: the server answered 404"


def test_links_to_other_hosts_are_not_followed(storage: LocalStorage, server: RangeServer) -> None:
    server.files["plans"] = b"""<html><a href="https://evil.example/a.kml">a</a><a href="http://[/kml">?</a>
        <a href="javascript:kml()">j</a><a href="https://x\\@y/kml">y</a></html>"""
    found = read(storage, server.href("plans"), follow_links=True)
    assert found.texts == ()
    others = f"{server.href('plans')}: 1 of 3 links to KML lead to other hosts (evil.example) and are not followed"
    assert sum(note.startswith(others) for note in found.notes) == 1
    assert len(found.notes) == 3  # the two that are no addresses at all
    assert len(server.asked) == 1


def test_a_page_without_plans_is_no_source(storage: LocalStorage, server: RangeServer) -> None:
    server.files["plans"] = b"<html>The acquisition plans have moved.</html>"
    found = read(storage, server.href("plans"), follow_links=True)
    assert found.texts == ()
    assert "a web page without a link to KML" in found.notes[0]
    # Where no page is expected it is not read as one.
    server.files["tle"] = PAGE
    assert "expected something good" in read(storage, server.href("tle")).notes[0]


def test_not_more_than_some_links_are_asked(storage: LocalStorage, server: RangeServer) -> None:
    days = [f"202510{day:02d}" for day in range(1, MOST_LINKS + 6)]
    server.files["plans"] = ("<html>" + "".join(f"<a href='{day}.kml'>x</a>" for day in days)).encode()
    server.files |= {f"{day}.kml": f"good {day}".encode() for day in days}
    found = read(storage, server.href("plans"), follow_links=True)
    assert [t.data.decode() for t in found.texts] == [f"good {day}" for day in reversed(days[-MOST_LINKS:])]


def test_kml_links() -> None:
    assert kml_links(PAGE, "https://a.example/web/sentinel/plans") == [
        "https://a.example/web/sentinel/documents/S2B_MP_ACQ__KML_20251023T120000_20251110T150000.KML",
        "https://a.example/documents/d/sentinel/s2a_mp_acq__kml_20251020t120000_20251107t150000",
    ]
    assert kml_links(b"<base href='/b/'><a href='x%2Ekml'>", "https://a.example/c/d") == ["https://a.example/b/x%2Ekml"]
    assert kml_links(b"\xff<a href>kml</a><a nohref", "https://a.example") == []
