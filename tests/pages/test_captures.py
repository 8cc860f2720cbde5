"""What the report says of captures."""

from datetime import timedelta

from s2chips_core.ais.capture_record import Gap
from s2chips_core.ais.windows import windows_of_plan
from s2chips_core.pages.captures import capture_row, clock, elsewhere, gap_text, merge_gaps, some
from tests.pages.overpass_day import PASS, capture_of, plan_frame, planned, recorded, window_of

DAY = PASS.date()


def gap(start_s: float, end_s: float, reason: str = "silence") -> Gap:
    return Gap(start=PASS + timedelta(seconds=start_s), end=PASS + timedelta(seconds=end_s), reason=reason)


def test_a_capture_in_numbers() -> None:
    window = window_of(planned("30STF", PASS))
    row = capture_row(capture_of([recorded(window, 580.0, (gap(0, 20),))], lost=3, connections=4), DAY)
    assert (row.windows, row.connections, row.reconnections, row.messages, row.lost) == (1, 4, 3, 12345, 3)
    assert row.ignored == (("base station", 310), ("no position", 7)), "most first, none of none"
    assert row.gaps == ("11:04:22 – 11:04:42 (20 s): silence",)
    assert row.listened == "10:59:22 – 11:11:52"
    assert capture_row(capture_of([recorded(window)], connections=0), DAY).reconnections == 0


def test_one_gap_of_several_windows_is_one() -> None:
    windows = [window_of(planned(tile, PASS)) for tile in ("30STE", "30STF", "30SUF")]
    record = capture_of(
        [
            recorded(windows[0], 0, (gap(0, 30), gap(50, 60))),
            recorded(windows[1], 0, (gap(0, 20), gap(30, 40))),
            recorded(windows[2], 0, (gap(0, 30), gap(5, 10, "connection closed (1006)"))),
        ]
    )
    assert merge_gaps(record) == [gap(0, 40), gap(5, 10, "connection closed (1006)"), gap(50, 60)]


def test_recordings_of_no_planned_pass_are_told() -> None:
    known, other = planned("30STF", PASS), planned("30STF", PASS + timedelta(hours=3))
    record = capture_of([recorded(window_of(known, 9.0)), recorded(window_of(other), fixes=1200, ships=9)])
    windows = windows_of_plan(plan_frame([known]))
    assert elsewhere(windows, [record], DAY) == ["30STF, 13:59:22 – 14:09:22: 1,200 fixes of 9 ships"]


def test_texts() -> None:
    assert gap_text(gap(-3600 * 12, 0), DAY).startswith("2025-10-26 23:04:22 – 11:04:22 (12 h 0 min): ")
    assert clock(PASS, DAY) == "11:04:22"
    assert some(["a", "b"], "more") == ["a", "b"]
    assert some(list("abcdefg"), "more gaps") == ["a", "b", "c", "d", "e", "and 2 more gaps"]
