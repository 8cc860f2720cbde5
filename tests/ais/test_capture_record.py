"""What a capture says of the windows it listened to."""

from datetime import UTC, date, datetime, timedelta

import pytest

from s2chips_core import layout
from s2chips_core.ais.capture_record import (
    MISSED,
    PARTIAL,
    RECORDED,
    CaptureRecord,
    Gap,
    PassRecord,
    best_record,
    read_records,
    write_record,
)
from s2chips_core.ais.windows import Window
from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage

MIDNIGHT = datetime(2025, 10, 28, tzinfo=UTC)


def window(minute: float, tile: str = "01KAB") -> Window:
    at = MIDNIGHT + timedelta(minutes=minute)
    side = timedelta(minutes=5)
    return Window(tile_id=tile, satellite="S2A", overpass_time=at, start=at - side, end=at + side)


def record(capture_id: str, *passes: PassRecord, hour: int = 0) -> CaptureRecord:
    at = MIDNIGHT + timedelta(hours=hour)
    return CaptureRecord(
        capture_id=capture_id,
        ais_source="aisstream",
        url="wss://stream.aisstream.io/v0/stream",
        started_at=at,
        ended_at=at + timedelta(minutes=20),
        ended="done",
        connections=1,
        messages=12,
        ignored={"base station": 3},
        lost=0,
        passes=passes,
    )


def heard(of: Window, covered_s: float, *gaps: Gap) -> PassRecord:
    return PassRecord(window=of, covered_s=covered_s, gaps=gaps, fixes=9, ships=4)


LATE = Gap(start=MIDNIGHT, end=MIDNIGHT + timedelta(minutes=2), reason="late start")


@pytest.mark.parametrize(
    ("covered_s", "gaps", "status"), [(600.0, (), RECORDED), (480.0, (LATE,), PARTIAL), (0.0, (LATE,), MISSED)]
)
def test_the_status_is_what_was_listened_to(covered_s: float, gaps: tuple[Gap, ...], status: str) -> None:
    assert heard(window(5), covered_s, *gaps).status == status


def test_each_day_gets_the_passes_that_are_its_own(storage: LocalStorage) -> None:
    before, after = heard(window(-3), 600.0), heard(window(4), 480.0, LATE)
    written = record("c1", before, after)
    keys = write_record(storage, written)
    assert keys == [layout.capture_record(date(2025, 10, 27), "c1"), layout.capture_record(date(2025, 10, 28), "c1")]
    [of_first], [of_second] = read_records(storage, date(2025, 10, 27)), read_records(storage, date(2025, 10, 28))
    assert (of_first.passes, of_second.passes) == ((before,), (after,))
    assert of_second.ignored == {"base station": 3}
    assert (of_second.started_at, of_second.ended) == (written.started_at, "done")
    assert read_records(storage, date(2025, 10, 29)) == []


def test_captures_of_a_day_are_in_order_of_time(storage: LocalStorage) -> None:
    for name, hour in (("zz", 0), ("aa", 3)):
        write_record(storage, record(name, heard(window(60 * hour + 5), 600.0), hour=hour))
    assert [one.capture_id for one in read_records(storage, MIDNIGHT.date())] == ["zz", "aa"]


def test_the_capture_that_heard_most_of_a_pass_counts() -> None:
    planned, replanned = window(5), window(5.5)
    little, much = heard(planned, 100.0, LATE), heard(replanned, 590.0, LATE)
    records = [record("a", little), record("b", much), record("c", heard(window(5, "29SQV"), 600.0))]
    assert best_record(planned, records) is much
    assert best_record(window(120), records) is None


def test_what_another_capture_listened_to_is_no_gap() -> None:
    over = window(5)
    at = [over.start + (over.end - over.start) * part / 10 for part in range(11)]
    length_s = (over.end - over.start).total_seconds()
    killed = heard(over, 0.4 * length_s, Gap(start=at[4], end=at[10], reason="the capture was killed"))
    again = heard(
        over,
        0.3 * length_s,
        Gap(start=at[0], end=at[5], reason="late start"),
        Gap(start=at[8], end=at[10], reason="silence"),
    )
    both = best_record(over, [record("a", killed), record("b", again)])
    assert both is not None
    assert [(gap.start, gap.end) for gap in both.gaps] == [(at[4], at[5]), (at[8], at[10])]
    assert (both.covered_s, both.status) == (pytest.approx(0.7 * length_s), PARTIAL)
    rest = heard(over, 0.6 * length_s, Gap(start=at[0], end=at[4], reason="late start"))
    whole = best_record(over, [record("a", killed), record("b", rest)])
    assert whole is not None
    assert (whole.covered_s, whole.status) == (pytest.approx(length_s), RECORDED)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"passes": [{}]}', b'{"passes": [], "started_at": "soon"}', b"\xff"])
def test_what_is_no_record_is_named(storage: LocalStorage, data: bytes) -> None:
    key = layout.capture_record(MIDNIGHT.date(), "broken")
    storage.put(key, data)
    with pytest.raises(StorageError, match=r"broken\.json"):
        read_records(storage, MIDNIGHT.date())
