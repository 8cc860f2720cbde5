"""Windows of a plan, and which of them are recorded together."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais.windows import SAME_PASS, CaptureGroup, Window, group_windows, windows_of_plan
from s2chips_core.overpasses.plan import PLAN_SCHEMA

NOON = datetime(2025, 10, 27, 12, tzinfo=UTC)


def window(minute: float, tile: str = "30STF", satellite: str = "S2A", *, side_min: float = 5.0) -> Window:
    at = NOON + timedelta(minutes=minute)
    side = timedelta(minutes=side_min)
    return Window(tile_id=tile, satellite=satellite, overpass_time=at, start=at - side, end=at + side)


def test_a_plan_gives_one_window_a_row_in_order_of_start() -> None:
    rows = [
        {
            "tile_id": tile,
            "satellite": "S2B",
            "overpass_time": at,
            "window_start": at,
            "window_end": at + pd.Timedelta("1min"),
        }
        for tile, at in (
            ("30STF", pd.Timestamp(NOON)),
            ("29SQV", pd.Timestamp(NOON)),
            ("01CCV", pd.Timestamp("2025-10-27T00:00Z")),
        )
    ]
    plan = pd.DataFrame(rows).assign(time_sigma_s=1.0, imaging="unknown", source="tle")
    windows = windows_of_plan(tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "plan")))
    assert [one.tile_id for one in windows] == ["01CCV", "29SQV", "30STF"]
    assert windows[2].overpass_time == NOON
    assert windows[2].end == NOON + timedelta(minutes=1)
    assert windows_of_plan(tables.empty(PLAN_SCHEMA)) == []


def test_what_overlaps_is_one_group_also_through_a_third() -> None:
    first, second, third, later = window(0), window(9, "29SQV"), window(18, "30SUE"), window(60)
    groups = group_windows([later, third, first, second], linger_s=0)
    assert [group.windows for group in groups] == [(first, second, third), (later,)]
    assert (groups[0].start, groups[0].end) == (first.start, third.end)


@pytest.mark.parametrize(("linger_s", "groups"), [(0, 2), (119, 2), (120, 1)])
def test_what_opens_while_late_messages_are_waited_for_joins(linger_s: float, groups: int) -> None:
    assert len(group_windows([window(0), window(12, "29SQV")], linger_s)) == groups


@given(st.lists(st.tuples(st.integers(0, 1440), st.integers(1, 60)), max_size=30), st.integers(0, 600))
def test_no_two_groups_overlap_and_none_is_lost(times: list[tuple[int, int]], linger_s: int) -> None:
    windows = [window(at, f"T{n}", side_min=side) for n, (at, side) in enumerate(times)]
    groups = group_windows(windows, linger_s)
    assert sorted(one.tile_id for group in groups for one in group.windows) == sorted(one.tile_id for one in windows)
    for before, after in itertools.pairwise(groups):
        assert before.end + timedelta(seconds=linger_s) < after.start


def test_a_pass_that_was_planned_anew_is_the_same_pass() -> None:
    assert window(0).is_same_pass(window(1.5))
    assert not window(0).is_same_pass(window(SAME_PASS.total_seconds() / 60))
    assert not window(0).is_same_pass(window(0, "29SQV"))
    assert not window(0).is_same_pass(window(0, satellite="S2B"))


def test_a_window_belongs_to_the_day_of_its_pass() -> None:
    just_after_midnight = window(12 * 60 + 1)
    assert just_after_midnight.start.date() == date(2025, 10, 27)
    assert just_after_midnight.day == date(2025, 10, 28)


@pytest.mark.parametrize("overpass", [NOON, None])
def test_a_window_survives_json(overpass: datetime | None) -> None:
    one = Window(tile_id="30STF", satellite="", overpass_time=overpass, start=NOON, end=NOON + timedelta(minutes=10))
    assert Window.from_dict(one.to_dict()) == one
    assert one.day == NOON.date()


def test_the_name_of_a_group_says_when_and_differs_with_what() -> None:
    one, other = CaptureGroup(windows=(window(0),)), CaptureGroup(windows=(window(0, "29SQV"),))
    assert one.group_id.startswith("20251027T115500-")
    assert one.group_id != other.group_id
    assert one.group_id == CaptureGroup(windows=(window(0),)).group_id
