"""Numbers and outcomes as the report says them."""

from datetime import UTC, datetime, timedelta, timezone
from importlib.resources import files

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.index.outcomes import Outcome
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.pages import facts
from s2chips_core.tables import conform
from tests.pages.sample_day import make_day


def test_every_outcome_has_a_note_and_a_colour_and_a_shape_of_its_own() -> None:
    assert set(facts.OUTCOME_NOTES) == set(Outcome)
    assert len({note.mark for note in facts.OUTCOME_NOTES.values()}) == len(Outcome)
    assert len({note.label for note in facts.OUTCOME_NOTES.values()}) == len(Outcome)
    style = (files("s2chips_core.pages") / "templates" / "page.css").read_text(encoding="utf-8")
    for outcome in Outcome:
        assert f".o-{outcome} {{ --c: " in style


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "not said"),
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (151, "2 min 31 s"),
        (-3661, "1 h 1 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert facts.duration_text(seconds) == text


def test_signed_durations() -> None:
    assert [facts.duration_text(s, signed=True) for s in (151.0, -151.0, 0.1)] == ["+2 min 31 s", "−2 min 31 s", "0 s"]


@given(st.floats(-1e6, 1e6))
def test_durations_say_the_seconds(seconds: float) -> None:
    unit_s = {"h": 3600, "min": 60, "s": 1}
    words = facts.duration_text(seconds).split()
    said = sum(int(n) * unit_s[u] for n, u in zip(words[::2], words[1::2], strict=True))
    assert abs(said - abs(seconds)) <= (60 if "h" in words else 0.5)


def test_places_and_distances() -> None:
    assert facts.place_text(-5.4302, 36.1251) == "36.12510° N, 5.43020° W"
    assert facts.place_text(179.9, -0.5) == "0.50000° S, 179.90000° E"
    assert facts.place_text(None, 3.0) == "not said"
    assert [facts.distance_text(m) for m in (None, 33.6, 9949.0, 12345.0)] == ["not said", "34 m", "9,949 m", "12.3 km"]
    assert facts.share_text(0.032) == "3.2 %"


def test_times_are_utc() -> None:
    there = datetime(2025, 10, 27, 13, 4, 22, 123000, tzinfo=timezone(timedelta(hours=2)))
    assert facts.time_text(there) == "2025-10-27 11:04:22.123 UTC"
    assert facts.time_text(datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)) == "2025-10-27 11:04:22 UTC"


def test_chip_facts_tell_how_far_the_ship_was_from_its_fix() -> None:
    day = make_day(chips=1, refused=0)
    row = conform(day.index, INDEX_SCHEMA, "index").to_pylist()[0]
    said = dict(fact for _, group in facts.chip_facts(row, []) for fact in group)
    # A thousandth of a degree of latitude at 36 N is 110.96 m (NGA, meridian arc of WGS 84).
    assert said["Centre to AIS"] == "111 m"
    assert said["Chip centre"] == facts.place_text(row["lon"], row["lat"])
    assert shapely.from_wkb(row["geometry"]).contains(shapely.Point(row["lon"], row["lat"]))
