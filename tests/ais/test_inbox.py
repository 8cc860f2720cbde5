"""Which files of the inbox are ready, and what is done with one: pure."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.ais.inbox import (
    MOST_WATCHED,
    NAME_MAX_BYTES,
    SETTLING_S,
    Dropped,
    DropRun,
    GiveUp,
    Sightings,
    Start,
    Wait,
    decide,
    is_left_alone,
    numbered_name,
    settle,
)

SHIPS = Dropped(name="ships.csv", size_bytes=100, mtime_ns=5)
SHA = "ab" * 32


def ran(name: str = "ships.csv", *, ended: bool = True, taken: bool = True) -> DropRun:
    return DropRun(run_id=f"run-of-{name}", name=name, ended=ended, taken=taken)


def test_a_file_is_ready_when_two_looks_found_it_the_same() -> None:
    ready, seen = settle([SHIPS], Sightings(), 1000.0)
    assert ready == []
    assert settle([SHIPS], seen, 1000.0 + SETTLING_S - 0.1)[0] == []
    ready, seen = settle([SHIPS], seen, 1000.0 + SETTLING_S)
    assert ready == [SHIPS]
    assert settle([SHIPS], seen, 2000.0)[0] == [SHIPS], "until somebody takes it"


@pytest.mark.parametrize("change", [{"size_bytes": 101}, {"mtime_ns": 6}, {"name": "other.csv"}])
def test_whatever_changes_begins_anew(change: dict[str, int]) -> None:
    _, seen = settle([SHIPS], Sightings(), 1000.0)
    assert settle([dataclasses.replace(SHIPS, **change)], seen, 2000.0)[0] == []  # type: ignore[arg-type]


def test_what_is_gone_is_forgotten_and_the_memory_is_bounded() -> None:
    _, seen = settle([SHIPS], Sightings(), 1000.0)
    many = [Dropped(name=f"{n}.csv", size_bytes=1, mtime_ns=n) for n in range(MOST_WATCHED + 50)]
    _, seen = settle(many, seen, 1001.0)
    assert SHIPS not in seen.since_s
    assert len(seen.since_s) == MOST_WATCHED
    first, seen = settle(many, seen, 2000.0)
    assert first == many[:MOST_WATCHED]
    _, seen = settle(many[MOST_WATCHED:], seen, 2001.0)
    assert settle(many[MOST_WATCHED:], seen, 3000.0)[0] == many[MOST_WATCHED:]


def test_a_clock_that_was_set_back_begins_anew() -> None:
    _, seen = settle([SHIPS], Sightings(), 5000.0)
    ready, seen = settle([SHIPS], seen, 1000.0)
    assert ready == []
    assert settle([SHIPS], seen, 1000.0 + SETTLING_S)[0] == [SHIPS]


@given(
    st.dictionaries(
        st.builds(Dropped, name=st.text(min_size=1), size_bytes=st.integers(0), mtime_ns=st.integers()),
        st.floats(0, 1e11),
    )
)
def test_sightings_travel_in_a_cursor(since: dict[Dropped, float]) -> None:
    assert Sightings.from_text(Sightings(since_s=since).to_text()) == Sightings(since_s=since)


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '[["a", "b", "c", "d"]]', "2025-10-27", '{"a": 1}'])
def test_a_cursor_of_another_kind_is_nothing_seen(text: str | None) -> None:
    assert Sightings.from_text(text) == Sightings()


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("ships.csv", False),
        ("SHIPS.XLSX", False),
        ("ships.parquet", False),
        ("poem.pdf", False),
        (".hidden.csv", True),
        ("~$ships.xlsx", True),
        ("ships.csv.PART", True),
        ("ships.tmp", True),
        ("ships.csv.crdownload", True),
        ("ships.csv~", True),
        ("Thumbs.db", True),
    ],
)
def test_what_is_left_alone(name: str, alone: bool) -> None:
    assert is_left_alone(name) is alone


def test_a_new_file_is_asked_for_by_name_and_content() -> None:
    assert decide("ships.csv", SHA, []) == Start(run_key=f"ships.csv@{SHA}", attempt=1, same_as=None)


def test_a_file_dropped_again_is_the_next_attempt() -> None:
    assert decide("ships.csv", SHA, [ran()]) == Start(run_key=f"ships.csv@{SHA}#2", attempt=2, same_as=None)
    assert decide("ships.csv", SHA, [ran(), ran()]) == Start(run_key=f"ships.csv@{SHA}#3", attempt=3, same_as=None)


def test_the_same_content_under_another_name_is_said() -> None:
    assert decide("b.csv", SHA, [ran("a.csv")]) == Start(run_key=f"b.csv@{SHA}", attempt=1, same_as="a.csv")
    # One that never got to its file has chipped nothing.
    assert decide("b.csv", SHA, [ran("a.csv", taken=False)]) == Start(run_key=f"b.csv@{SHA}", attempt=1, same_as=None)


def test_a_run_under_way_is_waited_for_whatever_its_name() -> None:
    for name in ("ships.csv", "other.csv"):
        decision = decide("ships.csv", SHA, [ran(name, ended=False)])
        assert isinstance(decision, Wait)
        assert name in decision.reason


def test_a_run_that_ended_without_taking_the_file_is_given_up() -> None:
    assert decide("ships.csv", SHA, [ran(taken=False)]) == GiveUp(run_id="run-of-ships.csv")
    assert isinstance(decide("ships.csv", SHA, [ran(taken=False), ran()]), Start)


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("ships.csv", "ships-2.csv"),
        ("ships.csv.gz", "ships-2.csv.gz"),
        ("ships", "ships-2"),
        ("my ships 1.2.xlsx", "my ships 1.2-2.xlsx"),
        ("a.this is no suffix at all", "a.this is no suffix at all-2"),
    ],
)
def test_numbers_go_before_the_suffix(name: str, second: str) -> None:
    assert numbered_name(name, 1) == name
    assert numbered_name(name, 2) == second


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=300),
    st.integers(1, 10_000),
)
def test_numbered_names_are_short_enough_and_differ(name: str, number: int) -> None:
    made = numbered_name(name, number)
    assert len((made + ".report.csv").encode()) <= NAME_MAX_BYTES or len(name.encode()) <= NAME_MAX_BYTES
    assert made
    assert made != numbered_name(name, number + 1)
