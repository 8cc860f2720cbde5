"""Which windows are started and which were missed: values in, values out, no clock but the argument."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.capture_record import CaptureRecord, Gap, PassRecord
from s2chips_core.ais.timing import (
    MOST_ATTEMPTS,
    RECORD_GRACE,
    REMEMBERED,
    CaptureRun,
    Memory,
    RunState,
    closed,
    distinct,
    judge,
    next_start,
    passes_key,
    select_starts,
)
from s2chips_core.ais.windows import Window

PASS = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)
LEAD_S, LINGER_S = 150.0, 150.0
MINUTE = timedelta(minutes=1)


def window(
    overpass: datetime = PASS, tile_id: str = "30STF", satellite: str = "S2B", half: timedelta = 5 * MINUTE
) -> Window:
    return Window(tile_id=tile_id, satellite=satellite, overpass_time=overpass, start=overpass - half, end=overpass + half)


def run(state: RunState, *windows: Window, run_id: str = "0123456789ab") -> CaptureRun:
    return CaptureRun(run_id=run_id, state=state, windows=windows)


def starts(windows: Sequence[Window], now: datetime, *runs: CaptureRun) -> list[tuple[list[Window], int]]:
    found = select_starts(windows, runs, now, lead_s=LEAD_S, linger_s=LINGER_S)
    return [(list(each.group.windows), each.attempt) for each in found]


def record(one: Window, covered_s: float, *reasons: str) -> CaptureRecord:
    gaps = tuple(Gap(start=one.start, end=one.start + MINUTE, reason=reason) for reason in reasons)
    return CaptureRecord(
        capture_id="c",
        ais_source="aisstream",
        url="wss://x",
        started_at=one.start,
        ended_at=one.end,
        ended="done",
        connections=1,
        messages=1,
        ignored={},
        lost=0,
        passes=(PassRecord(window=one, covered_s=covered_s, gaps=gaps, fixes=3, ships=2),),
    )


def test_a_capture_starts_in_time_for_its_window_and_not_before() -> None:
    one = window()
    due = one.start - timedelta(seconds=LEAD_S)
    assert starts([one], due - timedelta(milliseconds=1)) == []
    assert starts([one], due) == [([one], 1)]
    assert next_start([one], due - MINUTE, LEAD_S) == due
    assert next_start([one], due, LEAD_S) is None


def test_a_late_start_takes_what_is_left() -> None:
    """The daemon was down: one window has closed, one is open, one is to come, all of one group."""
    early, middle, late = window(PASS - 9 * MINUTE), window(tile_id="30SUE"), window(PASS + 9 * MINUTE, tile_id="29SQV")
    assert starts([early, middle, late], PASS) == [([middle, late], 1)]
    assert starts([early], early.end) == [], "closed"
    assert starts([early], early.end - timedelta(milliseconds=1)) == [([early], 1)]


def test_windows_that_overlap_are_one_capture_and_others_are_their_own() -> None:
    chain = [window(PASS + n * 9 * MINUTE, tile_id=f"30ST{letter}") for n, letter in enumerate("EFG")]
    apart = window(PASS + 60 * MINUTE, tile_id="29SQV")
    assert starts([apart, *chain], chain[0].start) == [(chain, 1)]
    assert starts([apart, *chain], apart.start, run(RunState.DONE, *chain)) == [([apart], 1)]


@pytest.mark.parametrize("state", [RunState.ACTIVE, RunState.DONE, RunState.CANCELLED, RunState.REFUSED])
@pytest.mark.parametrize("moved_s", [-40, 0, 40])
def test_a_window_that_a_run_has_is_not_started_again_also_when_the_plan_moved_it(state: RunState, moved_s: int) -> None:
    planned_again = window(PASS + timedelta(seconds=moved_s))
    assert starts([planned_again], PASS, run(state, window())) == []


def test_what_a_new_plan_adds_to_a_running_group_gets_a_capture_of_its_own() -> None:
    old, added = window(), window(PASS + MINUTE, tile_id="30SUE")
    assert starts([old, added], PASS, run(RunState.ACTIVE, old)) == [([added], 1)]
    other_satellite = window(satellite="S2C")
    assert starts([old, other_satellite], PASS, run(RunState.ACTIVE, old)) == [([other_satellite], 1)]


def test_a_failed_capture_is_tried_again_a_few_times() -> None:
    one = window()
    assert MOST_ATTEMPTS == 3, "what docs/operations.md says"
    for failed in range(1, MOST_ATTEMPTS):
        assert starts([one], PASS, *[run(RunState.FAILED, one)] * failed) == [([one], failed + 1)]
    assert starts([one], PASS, *[run(RunState.FAILED, one)] * MOST_ATTEMPTS) == []
    assert starts([one], PASS, run(RunState.FAILED, one), run(RunState.ACTIVE, one)) == []
    assert starts([one], PASS, run(RunState.FAILED, one), run(RunState.REFUSED, one)) == [], "no storm with a refused key"
    fresh = window(tile_id="30SUE")
    assert starts([one, fresh], PASS, run(RunState.FAILED, one)) == [([one, fresh], 2)]


def test_run_keys_are_of_passes_and_not_of_times() -> None:
    now = PASS - 6 * MINUTE
    [planned] = select_starts([window()], [], now, lead_s=LEAD_S, linger_s=LINGER_S)
    [again] = select_starts([window(PASS + timedelta(seconds=47))], [], now, lead_s=LEAD_S, linger_s=LINGER_S)
    assert planned.run_key == again.run_key
    assert planned.run_key.startswith("20251027T11-")
    failed = run(RunState.FAILED, window())
    [second] = select_starts([window()], [failed], now, lead_s=LEAD_S, linger_s=LINGER_S)
    assert second.run_key == planned.run_key.removesuffix("-1") + "-2"
    others = [
        window(tile_id="30SUE"),
        window(satellite="S2C"),
        window(PASS + timedelta(minutes=101)),
        window(PASS + 24 * 60 * MINUTE),
    ]
    assert len({passes_key([one]) for one in [window(), *others]}) == 5
    assert passes_key(others) == passes_key(others[::-1])


def test_a_window_over_midnight_is_of_the_day_of_its_pass() -> None:
    midnight = datetime(2025, 10, 28, tzinfo=UTC)
    before, after = window(midnight - 2 * MINUTE, tile_id="01KAB"), window(midnight + 2 * MINUTE, tile_id="60KZG")
    [(both, attempt)] = starts([before, after], before.start)
    assert (both, attempt) == ([before, after], 1)
    assert [one.day for one in both] == [date(2025, 10, 27), date(2025, 10, 28)]


def test_a_pass_that_is_in_the_plans_of_two_days_is_one() -> None:
    midnight = datetime(2025, 10, 28, tzinfo=UTC)
    old, new = window(midnight - timedelta(seconds=3)), window(midnight + timedelta(seconds=4))
    assert distinct([old, new]) == [new]
    assert starts([old, new], midnight) == [([new], 1)]
    next_orbit = window(midnight + timedelta(minutes=100))
    assert distinct([old, next_orbit]) == [old, next_orbit]


def test_a_window_is_judged_when_its_record_must_be_there() -> None:
    one = window()
    at = one.end + timedelta(seconds=LINGER_S) + RECORD_GRACE
    assert closed([one], at - timedelta(milliseconds=1), LINGER_S) == []
    assert closed([one], at, LINGER_S) == [one]


def test_missed_is_what_no_record_covers() -> None:
    heard, silent, never = window(), window(tile_id="30SUE"), window(tile_id="29SQV")
    records = [record(heard, 600.0), record(silent, 0.0, "silence", "silence", "connection closed (1006)")]
    done = run(RunState.DONE, heard, silent, never)
    judged = judge([heard, silent, never], [done], records, [], None)
    assert judged.recorded == (heard,)
    assert [each.window for each in judged.missed] == [silent, never]
    assert judged.missed[0].reason == "A capture listened to nothing of the window: silence, connection closed (1006)."
    assert judged.missed[1].reason == (
        "Nothing was recorded in 1 run(s); of the last, 01234567: it ended without a record of the window."
    )


def test_a_record_of_a_moved_pass_counts_and_so_does_a_part() -> None:
    moved = window(PASS + timedelta(seconds=30))
    assert judge([moved], [], [record(window(), 12.0, "late start")], [], None).recorded == (moved,)


@pytest.mark.parametrize(
    ("runs", "idle", "said"),
    [
        ([], None, "No capture was running: the daemon was down, or the plan came after the window."),
        ([], "AISSTREAM_API_KEY is not set", "AISSTREAM_API_KEY is not set"),
        ([RunState.FAILED, RunState.FAILED], None, "in 2 run(s); of the last, 01234567: it failed."),
        ([RunState.FAILED, RunState.REFUSED], None, "the AIS service did not take the key"),
        ([RunState.CANCELLED], None, "it was cancelled"),
    ],
)
def test_the_reason_of_a_missed_window(runs: list[RunState], idle: str | None, said: str) -> None:
    [missed] = judge([window()], [run(state, window()) for state in runs], [], [], idle).missed
    assert said in missed.reason


def test_what_a_run_or_a_journal_still_holds_is_not_missed() -> None:
    one = window()
    held = judge([one], [run(RunState.ACTIVE, window(PASS + timedelta(seconds=9)))], [], [], None)
    left = judge([one], [run(RunState.FAILED, one)], [], [window(PASS + timedelta(seconds=9))], None)
    assert held == left == judge([], [], [], [], None)
    assert judge([one], [run(RunState.FAILED, one)], [], [window(tile_id="29SQV")], None).missed


def test_a_judged_window_is_judged_once_and_forgotten_in_the_end() -> None:
    one, other = window(), window(tile_id="29SQV")
    memory = Memory().add([one], PASS)
    assert memory.without([window(PASS + timedelta(seconds=30)), other]) == [other]
    assert memory.add([other], one.end + REMEMBERED - MINUTE).judged == (other, one)
    assert memory.add([], one.end + REMEMBERED).judged == ()


@given(
    times=st.lists(st.integers(0, 10**6).map(lambda n: PASS + n * timedelta(seconds=31)), max_size=5),
    asked=st.none() | st.dates(),
)
def test_memory_survives_as_text(times: list[datetime], asked: date | None) -> None:
    judged = tuple(window(when) for when in times)
    memory = Memory(judged=judged, plan_asked=asked)
    assert Memory.from_text(memory.to_text()) == memory


def test_memory_of_a_recording_without_a_pass() -> None:
    periodic = Window(tile_id="30STF", satellite="", overpass_time=None, start=PASS, end=PASS + MINUTE)
    assert Memory.from_text(Memory(judged=(periodic,)).to_text()).judged == (periodic,)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{}", "[]", "nonsense", '{"judged":[["30STF"]]}', '{"judged":[1]}', '{"plan_asked":7}'),
        '{"judged":[["30STF","S2B",null,"0001-01-01T00:00:00+14:00","2025-10-27T11:00:00+00:00"]]}',
    ],
)
def test_a_cursor_that_is_none_is_an_empty_memory(text: str | None) -> None:
    assert Memory.from_text(text) == Memory()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["30STF", "30SUE"]), st.sampled_from(["S2A", "S2B"]), st.integers(0, 30)), max_size=12
    ),
    st.integers(1, 60),
)
def test_every_pass_is_recorded_once_whatever_the_plan_and_the_ticks(
    passes: list[tuple[str, str, int]], tick_min: int
) -> None:
    """A day of ticks with a daemon that starts what it is told: no pass twice, none left out that was open at a tick."""
    windows = [window(PASS + n * 100 * MINUTE, tile, satellite) for tile, satellite, n in passes]
    runs: list[CaptureRun] = []
    now, last = PASS - 10 * MINUTE, PASS + 3200 * MINUTE
    seen = set()
    while now < last:
        seen |= {one for one in windows if one.start - timedelta(seconds=LEAD_S) <= now < one.end}
        found = select_starts(windows, runs, now, lead_s=LEAD_S, linger_s=LINGER_S)
        runs += [run(RunState.DONE, *start.group.windows) for start in found]
        now += tick_min * MINUTE
    recorded = [one for each in runs for one in each.windows]
    assert len(recorded) == len(set(recorded))
    assert seen <= set(recorded)


def test_thousands_of_windows_are_chosen_from_quickly() -> None:
    windows = [window(PASS + (n // 100) * 30 * MINUTE, tile_id=f"{n % 100:02d}XYZ") for n in range(5000)]
    runs = [run(RunState.DONE, *windows[n : n + 100]) for n in range(0, 4900, 100)]
    began = time.monotonic()
    [start] = select_starts(windows, runs, PASS + 49 * 30 * MINUTE, lead_s=LEAD_S, linger_s=LINGER_S)
    assert len(start.group.windows) == 100
    assert time.monotonic() - began < 2.0
