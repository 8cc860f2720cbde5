"""The record of segments, and the plan of the next file."""

import itertools
import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.index.geoparquet import Extent
from s2chips_core.index.tiles_segments import (
    Changed,
    Kept,
    Segment,
    SegmentDay,
    Standing,
    day_digests,
    from_record,
    plan_segments,
    to_record,
)

FIRST = date(2025, 10, 1)


def day(number: int) -> date:
    """October 2025, counted from 0."""
    return FIRST + timedelta(days=number)


def segment(*days: tuple[int, int], digest: str = "a") -> Segment:
    """Of (day, rows)."""
    rows = sum(count for _, count in days)
    return Segment(
        days=tuple(SegmentDay(day=day(number), digest=digest, rows=count) for number, count in days),
        groups=1 if rows else 0,
        size=100 * rows,
        extent=Extent(types=frozenset({"Polygon"}), bounds=(-6.5, 35.0, -5.0, 37.25)) if rows else Extent(),
    )


def wanted(*numbers: int, digest: str = "a") -> dict[date, str]:
    """Days that are wanted with one digest."""
    return {day(number): digest for number in numbers}


def changed(number: int, digest: str = "a") -> Changed:
    """A day from its parts."""
    return Changed(day=day(number), digest=digest)


def test_the_record_is_read_as_it_was_written() -> None:
    segments = (segment((0, 10), (1, 0)), segment((3, 0)), segment((4, 7)))
    assert from_record(to_record(segments)) == segments
    assert from_record(to_record(())) == ()
    assert [each.rows for each in segments] == [10, 0, 7]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"", "Expecting value"),
        (b"[]", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"format": 0, "segments": []}', "of format 0, expected 1"),
        (b'{"format": 1, "segments": [{}]}', "cannot be read"),
        (b'{"format": 1, "segments": [{"days": [], "groups": 1, "size": 1, "bounds": null, "types": []}]}', "out of order"),
        (to_record([segment((1, 1)), segment((0, 1))]), "out of order"),
        (to_record([segment((1, 1)), segment((1, 1))]), "out of order"),
        (to_record([segment((1, 1))]).replace(b"20251002", b"noday"), "noday"),
    ],
)
def test_a_record_that_is_none(record: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        from_record(record)


def test_a_day_is_another_one_with_other_parts() -> None:
    versions = {
        "indexes/parts/20251001/20251001-capture.parquet": "1",
        "indexes/parts/20251002/20251001-capture.parquet": "1",
    }
    digests = day_digests(versions)
    assert list(digests) == [day(0), day(1)]
    assert len(set(digests.values())) == 2
    more = day_digests(versions | {"indexes/parts/20251002/20251001-file-a.parquet": "1"})
    other = day_digests(dict(zip(versions, "12", strict=True)))
    assert more[day(0)] == other[day(0)] == digests[day(0)]
    assert len({digests[day(1)], more[day(1)], other[day(1)]}) == 3
    assert day_digests({}) == {}


FULL = [segment((0, 5), (1, 5)), segment((4, 10)), segment((6, 5), (9, 5))]


@pytest.mark.parametrize(
    ("days", "plan"),
    [
        (wanted(0, 1, 4, 6, 9), [Kept(number=0), Kept(number=1), Kept(number=2)]),
        # At the end, at the begin, between two that are full: beside them.
        (wanted(0, 1, 4, 6, 9, 10, 11), [Kept(number=0), Kept(number=1), Kept(number=2), (changed(10), changed(11))]),
        (wanted(-1, 0, 1, 4, 6, 9), [(changed(-1),), Kept(number=0), Kept(number=1), Kept(number=2)]),
        (wanted(0, 1, 2, 4, 6, 9), [Kept(number=0), (changed(2),), Kept(number=1), Kept(number=2)]),
        # Within one: it is written anew, what has not changed stands.
        (
            wanted(0, 1, 4, 6, 8, 9),
            [
                Kept(number=0),
                Kept(number=1),
                (Standing(number=2, day=FULL[2].days[0]), changed(8), Standing(number=2, day=FULL[2].days[1])),
            ],
        ),
        # Changed, gone, all gone.
        (
            wanted(0, 4, 6, 9) | wanted(1, digest="b"),
            [(Standing(number=0, day=FULL[0].days[0]), changed(1, "b")), Kept(number=1), Kept(number=2)],
        ),
        (wanted(1, 4, 6, 9), [(Standing(number=0, day=FULL[0].days[1]),), Kept(number=1), Kept(number=2)]),
        (wanted(0, 1, 6, 9), [Kept(number=0), Kept(number=2)]),
        ({}, []),
    ],
)
def test_what_stands(days: dict[date, str], plan: list[object]) -> None:
    assert plan_segments(FULL, days, 10) == plan


def test_a_day_goes_to_a_segment_that_is_not_full() -> None:
    before, full = segment((0, 9)), segment((4, 10))
    assert plan_segments([before, full], wanted(0, 2, 4), 10) == [
        (Standing(number=0, day=before.days[0]), changed(2)),
        Kept(number=1),
    ]
    after = segment((4, 9))
    assert plan_segments([segment((0, 10)), after], wanted(0, 2, 4), 10) == [
        Kept(number=0),
        (changed(2), Standing(number=1, day=after.days[0])),
    ]


def test_short_segments_join_one_that_is_written_anew() -> None:
    segments = [segment((0, 4)), segment((1, 10)), segment((2, 4)), segment((3, 3)), segment((4, 10)), segment((5, 4))]
    plan = plan_segments(segments, wanted(1, 2, 3, 4, 5) | wanted(0, digest="b"), 10)
    assert plan == [(changed(0, "b"),), *(Kept(number=n) for n in range(1, 6))]
    plan = plan_segments(segments, wanted(0, 2, 3, 4, 5) | wanted(1, digest="b"), 10)
    standing = {n: Standing(number=n, day=segments[n].days[0]) for n in (0, 2, 3)}
    assert plan == [(standing[0], changed(1, "b"), standing[2], standing[3]), Kept(number=4), Kept(number=5)]


def test_without_a_file_everything_is_made() -> None:
    assert plan_segments((), wanted(3, 1), 10) == [(changed(1), changed(3))]
    assert plan_segments((), {}, 10) == []


@given(
    segments=st.lists(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 12)), min_size=1, max_size=4), max_size=6),
    days=st.dictionaries(st.integers(0, 60), st.sampled_from("ab")),
)
def test_every_day_is_there_once_and_in_order(segments: list[list[tuple[int, int]]], days: dict[int, str]) -> None:
    at, made = 0, list[Segment]()
    for each in segments:
        of_segment = []
        for step, rows in each:
            at += step
            of_segment.append((at, rows))
        made.append(segment(*of_segment))
    asked = {day(number): digest for number, digest in days.items()}
    plan = plan_segments(made, asked, 10)
    found: list[tuple[date, str]] = []
    for piece in plan:
        if isinstance(piece, Kept):
            found += [(d.day, d.digest) for d in made[piece.number].days]
        else:
            found += [(d.day.day, d.day.digest) if isinstance(d, Standing) else (d.day, d.digest) for d in piece]
    assert found == sorted(asked.items())
    assert all(isinstance(a, Kept) or isinstance(b, Kept) for a, b in itertools.pairwise(plan))
    json.dumps([each.to_tree() for each in made])
