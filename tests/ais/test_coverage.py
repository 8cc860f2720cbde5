"""What of a window was listened to: gaps, late starts, silences, quiet seas."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.ais.capture_record import MISSED, PARTIAL, RECORDED, Gap
from s2chips_core.ais.coverage import LATE_START, NOTHING_HEARD, SILENCE, Coverage
from s2chips_core.ais.windows import Window

NOON = datetime(2025, 10, 27, 12, tzinfo=UTC)
WINDOW = Window(
    tile_id="30STF", satellite="S2C", overpass_time=NOON, start=NOON - timedelta(minutes=5), end=NOON + timedelta(minutes=5)
)


def at(seconds: float) -> datetime:
    """Seconds after the window opens."""
    return WINDOW.start + timedelta(seconds=seconds)


def of(*gaps: tuple[float, float, str]) -> tuple[Gap, ...]:
    return tuple(Gap(start=at(start), end=at(end), reason=reason) for start, end, reason in gaps)


def listening(begun: float = -5.0) -> Coverage:
    return Coverage(at(begun), lull_s=60.0)


def hear(coverage: Coverage, start: float, end: float, every_s: float = 1.0) -> None:
    """A message now and then, from the start to the end of a connection that is open."""
    for n in range(int((end - start) / every_s) + 1):
        coverage.heard(at(start + n * every_s))
    coverage.alive(at(end))


def test_a_window_that_was_listened_to_is_recorded() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 750)
    found = coverage.pass_record(WINDOW, "done", fixes=7, ships=3)
    assert (found.status, found.covered_s, found.gaps, found.fixes, found.ships) == (RECORDED, 600.0, (), 7, 3)
    assert found.window == WINDOW


def test_a_late_start_is_a_gap() -> None:
    coverage = listening(begun=100)
    coverage.opened(at(101.5))
    hear(coverage, 102, 750)
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert (found.status, found.covered_s) == (PARTIAL, 498.5)
    assert found.gaps == of((0, 101.5, LATE_START))


def test_what_kept_from_connecting_is_told_from_a_late_start() -> None:
    coverage = listening(begun=100)
    coverage.lost("HTTP 429")
    coverage.opened(at(130))
    hear(coverage, 131, 750)
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((0, 100, LATE_START), (100, 130, "HTTP 429"))


def test_a_disconnect_is_a_gap_with_its_reason() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    coverage.lost("connection closed (1006)")
    coverage.opened(at(202.25))
    hear(coverage, 203, 750)
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert found.gaps == of((200, 202.25, "connection closed (1006)"))
    assert found.covered_s == 597.75


def test_the_last_reason_is_what_kept_it_from_connecting_again() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    coverage.lost("connection closed (1001)")
    coverage.lost("HTTP 503")
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((200, 600, "HTTP 503"))


@pytest.mark.parametrize("ended", ["stopped", "the capture was killed"])
def test_what_comes_after_the_end_has_its_reason(ended: str) -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    assert coverage.pass_record(WINDOW, ended, fixes=0, ships=0).gaps == of((200, 600, ended))


def test_never_connected_is_missed() -> None:
    coverage = listening()
    coverage.lost("connection refused")
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert (found.status, found.covered_s, found.gaps) == (MISSED, 0.0, of((0, 600, "connection refused")))


def test_a_dead_feed_in_a_busy_sea_is_a_gap() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    coverage.alive(at(290))
    coverage.lost(SILENCE)
    coverage.opened(at(292))
    hear(coverage, 293, 750)
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert found.gaps == of((200, 292, SILENCE))
    assert coverage.quiet_s() == 0.0


def test_a_feed_that_begins_dead_is_found_out_by_what_comes_later() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    coverage.alive(at(56))
    coverage.lost(SILENCE)
    coverage.opened(at(58))
    hear(coverage, 59, 750, every_s=2.0)
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((0, 58, SILENCE))


def test_a_silence_that_ends_by_itself_is_judged_too() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    hear(coverage, 259, 300)
    hear(coverage, 400, 750)
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((300, 400, SILENCE))


def test_a_quiet_sea_is_listened_to() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, 20, 560, every_s=90.0)
    coverage.alive(at(750))
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert (found.status, found.gaps) == (RECORDED, ())
    assert coverage.quiet_s() == pytest.approx(6 * 90 + 190)


def test_a_quiet_sea_still_has_the_gaps_of_its_reconnects() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    coverage.heard(at(30))
    coverage.alive(at(90))
    coverage.lost(SILENCE)
    coverage.opened(at(91.5))
    coverage.alive(at(750))
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((90, 91.5, SILENCE))


def test_where_nothing_at_all_was_heard_nothing_is_claimed() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    coverage.alive(at(56))
    coverage.lost(SILENCE)
    coverage.opened(at(57.5))
    coverage.alive(at(750))
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    assert found.status == MISSED
    assert found.gaps == of((0, 56, NOTHING_HEARD), (56, 57.5, SILENCE), (57.5, 600, NOTHING_HEARD))


def test_a_line_that_was_cut_is_only_sure_up_to_the_last_message() -> None:
    coverage = listening()
    coverage.opened(at(-4))
    hear(coverage, -3, 200)
    coverage.alive(at(238))
    coverage.ended_dead(40.0, "connection closed (1011)")
    coverage.opened(at(240))
    hear(coverage, 241, 750)
    assert coverage.pass_record(WINDOW, "done", fixes=0, ships=0).gaps == of((200, 240, "connection closed (1011)"))


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["opened", "heard", "alive", "lost", "dead"]),
        # The clock of the machine may be set, back and forth.
        st.floats(0.001, 200.0) | st.sampled_from([-3600.0, -300.0, -1.0, 3600.0]),
    ),
    max_size=40,
)


@given(EVENTS, st.floats(-300, 300))
def test_covered_and_gaps_make_up_the_window_and_survive_json(events: list[tuple[str, float]], begun: float) -> None:
    coverage, time = Coverage(at(begun), lull_s=60.0), begun
    is_open = False
    for kind, after_s in events:
        time += after_s
        if kind == "opened" and not is_open:
            coverage.opened(at(time))
            is_open = True
        elif is_open and kind in ("heard", "alive"):
            getattr(coverage, kind)(at(time))
        elif kind in ("lost", "dead") and (is_open or kind == "lost"):
            coverage.lost("lost") if kind == "lost" else coverage.ended_dead(40.0, "dead")
            is_open = False
    found = coverage.pass_record(WINDOW, "done", fixes=0, ships=0)
    gaps_s = sum((gap.end - gap.start).total_seconds() for gap in found.gaps)
    assert found.covered_s + gaps_s == pytest.approx(600.0, abs=0.01)
    assert all(WINDOW.start <= gap.start < gap.end <= WINDOW.end for gap in found.gaps)
    assert list(found.gaps) == sorted(found.gaps, key=lambda gap: gap.start)
    again = Coverage.from_dict(json.loads(json.dumps(coverage.to_dict())))
    assert again.pass_record(WINDOW, "done", fixes=0, ships=0) == found
