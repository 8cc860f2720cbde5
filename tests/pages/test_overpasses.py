"""What the report says of a day's overpasses."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import write_record
from s2chips_core.errors import SchemaError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.plan_files import write_day
from s2chips_core.pages.day import SCRIPTS, build_report, write_report
from s2chips_core.pages.overpasses import (
    LONGEST_LINGER_S,
    MAX_ROWS,
    DayOverpasses,
    PassStatus,
    build_overpasses,
    read_overpasses,
)
from s2chips_core.storage import LocalStorage
from tests.pages.overpass_day import NOW, PASS, capture_of, make_overpasses, plan_frame, planned, recorded, window_of
from tests.pages.sample_day import SETTINGS, make_day, put_day
from tests.pages.test_day import Reader

DAY = PASS.date()
HOSTILE = "</svg><script>alert(1)</script>\" onload='x"


def statuses(known: DayOverpasses, targets: Any = (), now: Any = NOW) -> list[PassStatus]:
    return [row.status for row in build_overpasses(DAY, known, targets, now).rows]


def test_each_pass_is_judged_by_what_was_recorded() -> None:
    section = build_overpasses(DAY, make_overpasses(), [], NOW)
    assert [(row.tile, row.satellite, str(row.status)) for row in section.rows] == [
        ("30STF", "S2A", "missed"),
        ("30STF", "S2B", "recorded"),
        ("30STE", "S2B", "partial"),
        ("29SQA", "S2B", "missed"),
        ("29SQB", "S2C", "not_yet"),
    ]
    assert section.counts == (
        (PassStatus.MISSED, 2),
        (PassStatus.PARTIAL, 1),
        (PassStatus.RECORDED, 1),
        (PassStatus.NOT_YET, 1),
    )
    assert section.tile == ("Passes", "5", ["2 missed", "1 partial", "1 recorded", "1 not yet"])
    never, whole, partial, deaf, later = section.rows
    assert never.details == ("no capture listened to this window",)
    assert (whole.covered, whole.fixes, whole.ships, whole.details) == ("10 of 10 min", "4,200", "37", ())
    assert partial.covered == "8 of 10 min"
    assert partial.details == (
        "10:59:25 – 11:00:55 (1 min 30 s): late start",
        "11:04:25 – 11:04:55 (30 s): connection closed (1006)",
    )
    assert (deaf.covered, deaf.details[0][-17:]) == ("0 of 10 min", "no message at all")
    assert (later.covered, later.fixes, later.orbits) == ("", "", "")
    assert (whole.orbits, whole.sensed, whole.sigma) == ("R094, orbit 45123", "11:04:22", "± 1.5 s")
    assert (whole.window, whole.imaging, whole.source, whole.source_age) == (
        "10:59:22 – 11:09:22",
        "expected",
        "TLE",
        "3.2 days old",
    )
    assert section.warnings == (
        "2 of 5 passes were missed, no AIS was recorded: 30STF by S2A at 10:04:22; 29SQA by S2B at 11:04:28.",
    )


def test_a_window_is_missed_when_its_record_could_be_there() -> None:
    known = DayOverpasses(passes=plan_frame([planned("30STF", PASS)]))
    due = PASS + timedelta(minutes=5, seconds=LONGEST_LINGER_S)
    assert statuses(known, now=due - timedelta(seconds=1)) == [PassStatus.NOT_YET]
    assert statuses(known, now=due) == [PassStatus.MISSED]
    # Its capture goes on until the last of the windows that overlap has closed.
    both = DayOverpasses(passes=plan_frame([planned("30STF", PASS), planned("30STF", PASS + timedelta(minutes=20), "S2C")]))
    assert statuses(both, now=due) == [PassStatus.NOT_YET, PassStatus.NOT_YET]


def test_the_better_of_two_captures_counts() -> None:
    row = planned("30STF", PASS)
    first, second = recorded(window_of(row), 0.0), recorded(window_of(row, 4.0), 600.0, fixes=5, ships=2)
    captures = (capture_of([first]), capture_of([second], "20251027T110000-ffffffff"))
    known = DayOverpasses(passes=plan_frame([row]), captures=captures)
    assert statuses(known) == [PassStatus.RECORDED]


def test_synthetic_ais_is_never_called_recorded() -> None:
    row = planned("30STF", PASS, source="backfill", source_epoch=PASS)
    made_up = capture_of([recorded(window_of(row))], ais_source="synthetic", url="")
    assert statuses(DayOverpasses(passes=plan_frame([row]), captures=(made_up,))) == [PassStatus.SYNTHETIC]
    ships = [{"ais_source": "synthetic", "overpass_time": PASS}, {"ais_source": "file", "overpass_time": None}]
    assert statuses(DayOverpasses(passes=plan_frame([row])), ships) == [PassStatus.SYNTHETIC]
    real = [{"ais_source": "file", "overpass_time": PASS}]
    assert statuses(DayOverpasses(passes=plan_frame([row])), real) == [PassStatus.AFTERWARDS]


def test_what_the_archive_told_afterwards_is_missed_only_where_captures_ran() -> None:
    rows = [planned("30STF", PASS, source="backfill"), planned("29SQB", PASS, "S2C", source="backfill")]
    section = build_overpasses(DAY, DayOverpasses(passes=plan_frame(rows)), [], NOW)
    assert [row.status for row in section.rows] == [PassStatus.AFTERWARDS] * 2
    assert section.warnings == ()
    assert section.rows[0].source_age == ""
    capture = capture_of([recorded(window_of(rows[0]))])
    known = DayOverpasses(passes=plan_frame(rows), captures=(capture,))
    assert sorted(statuses(known)) == [PassStatus.MISSED, PassStatus.RECORDED]


def test_lost_messages_and_foreign_recordings_are_said() -> None:
    row = planned("30STF", PASS)
    capture = capture_of([recorded(window_of(row)), recorded(window_of(planned("30STF", PASS, "S2A")))], lost=1203)
    section = build_overpasses(DAY, DayOverpasses(passes=plan_frame([row]), captures=(capture,)), [], NOW)
    assert section.warnings == ("1,203 AIS messages were lost, because the disk was slower than the feed.",)
    assert section.elsewhere == ("30STF, 10:59:22 – 11:09:22: 0 fixes of 0 ships",)


def test_of_thousands_of_passes_the_urgent_ones_are_shown() -> None:
    tiles = [f"30S{a}{b}" for a in "TUVWX" for b in "ABCDEFGHJKLMNPQRSTUV"]
    rows = [planned(tile, PASS + timedelta(seconds=n), s) for n, tile in enumerate(tiles) for s in ("S2A", "S2B", "S2C")]
    heard = capture_of([recorded(window_of(row)) for row in rows[:-3]])
    section = build_overpasses(DAY, DayOverpasses(passes=plan_frame(rows), captures=(heard,)), [], NOW)
    assert (section.passes, len(section.rows)) == (300, MAX_ROWS)
    assert [row.status for row in section.rows[-3:]] == [PassStatus.MISSED] * 3, "in order of time"
    assert section.warnings[0].startswith("3 of 300 passes were missed")


def page_of(known: DayOverpasses | None, chips: int = 2) -> tuple[Reader, str]:
    day = make_day(chips=chips, refused=0)
    page = build_report(DAY, **day.arguments(), generated_at=NOW, software_version="0.1.0", overpasses=known)
    return Reader(page), page.decode()


@pytest.mark.parametrize("chips", [0, 2])
def test_the_section_is_on_the_page_with_or_without_ships(chips: int) -> None:
    page, _ = page_of(make_overpasses(), chips)
    text = " ".join(page.text.split())
    assert page.count("section", id="overpasses") == 1
    assert page.count("table", **{"class": "stack passes"}) == 1
    assert page.count("caption") >= 2
    assert page.count("svg", role="img") == 2, "for wide and for narrow screens"
    assert "The TLE of S2A is 40 days old and was refused." in text
    assert "2 of 5 passes were missed" in text
    assert ("No ships on this day" in text) == (chips == 0)
    assert "base station 310" in text
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert all(attributes.get("scope") in ("col", "row") for attributes in headers)
    rows = [a["class"] for tag, a in page.tags if tag == "tr" and (a.get("class") or "").startswith("p-")]
    assert rows == ["p-missed", "p-recorded", "p-partial", "p-missed", "p-not_yet"]


def test_a_day_without_a_plan_has_no_section() -> None:
    page, text = page_of(None)
    assert page.count("section", id="overpasses") == 0
    assert "Passes" not in page.text
    assert 'href="#overpasses"' not in text


def test_a_plan_without_passes_says_so() -> None:
    page, _ = page_of(DayOverpasses(passes=tables.empty(PLAN_SCHEMA), notes=("No elements of S2C.",)))
    assert "The plan has no pass over a watched tile on this day." in page.text
    assert "No elements of S2C." in page.text
    assert page.count("svg", role="img") == 0


def test_texts_of_others_stay_text() -> None:
    known = make_overpasses()
    capture = dataclasses.replace(known.captures[0], ended=HOSTILE, ignored={HOSTILE: 3}, url=HOSTILE)
    passes = known.passes.assign(satellite=HOSTILE, source=HOSTILE, imaging=HOSTILE)
    swaths = [dataclasses.replace(swath, satellite=HOSTILE, source=HOSTILE) for swath in known.swaths]
    page, _ = page_of(dataclasses.replace(known, passes=passes, captures=(capture,), notes=(HOSTILE,), swaths=swaths))
    assert page.count("script") == 1 + len(SCRIPTS), "the data and our own scripts, nothing else"
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert not any("style" in attributes for _, attributes in page.tags), "an inline style would break the policy"
    assert HOSTILE in page.text


def test_the_report_reads_plan_swaths_notes_and_captures(storage: LocalStorage) -> None:
    known = make_overpasses()
    assert read_overpasses(storage, DAY) is None
    write_record(storage, known.captures[0])
    alone = read_overpasses(storage, DAY)
    assert alone is not None
    assert (len(alone.passes), len(alone.captures)) == (0, 1), "captures at fixed intervals need no plan"
    write_day(storage, DAY, known.passes, known.swaths, list(known.notes))
    there = read_overpasses(storage, DAY)
    assert there is not None
    assert (len(there.passes), len(there.swaths), tuple(there.notes)) == (5, 1, known.notes)
    put_day(storage, make_day(chips=2, refused=0))
    written = write_report(DAY, storage=storage, settings=SETTINGS, generated_at=NOW, software_version="0.1.0")
    page = Reader(storage.get(written.key))
    assert "2 of 5 passes were missed" in page.text
    storage.put(layout.plan(DAY), tables.parquet_bytes(tables.conform(known.passes, PLAN_SCHEMA, "p").drop(["tile_id"])))
    with pytest.raises(SchemaError, match="tile_id"):
        read_overpasses(storage, DAY)
