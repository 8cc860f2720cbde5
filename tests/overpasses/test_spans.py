"""Joining and subtracting spans of time."""

import doctest
import itertools
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.overpasses import spans as module
from s2chips_core.overpasses.spans import day_span, gaps_of, join_spans, overlap

DAY = datetime(2025, 10, 27, tzinfo=UTC)
SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)))


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def test_examples() -> None:
    assert doctest.testmod(module).attempted == 2
    assert doctest.testmod(module).failed == 0


def test_a_day() -> None:
    assert day_span(date(2025, 10, 27)) == (DAY, at(24))


@given(SPANS)
def test_joined_spans_cover_the_same_time(spans: list[tuple[int, int]]) -> None:
    whole = [(at(first), at(first + length)) for first, length in spans]
    joined = join_spans(whole)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(joined))
    for hour in range(62):
        moment = at(hour + 0.5)
        assert any(a <= moment < b for a, b in whole) == any(a <= moment < b for a, b in joined)


@given(SPANS, st.integers(0, 60), st.integers(1, 20))
def test_gaps_are_what_is_left(spans: list[tuple[int, int]], first: int, length: int) -> None:
    whole = [(at(start), at(start + hours)) for start, hours in spans]
    span = at(first), at(first + length)
    gaps = gaps_of(whole, span)
    assert gaps == join_spans(gaps)
    for hour in range(85):
        moment = at(hour + 0.5)
        covered = any(a <= moment < b for a, b in whole)
        assert any(a <= moment < b for a, b in gaps) == (span[0] <= moment < span[1] and not covered)
    assert overlap(whole, span) == (gaps != [span])
