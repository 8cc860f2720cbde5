"""Rows of a plan as overpasses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from s2chips_core import tables
from s2chips_core.overpasses.overpass_list import group_overpasses
from s2chips_core.overpasses.plan import PLAN_SCHEMA

AT = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)


def plan(*rows: tuple[str, str, float, int | None]) -> pd.DataFrame:
    """(tile, satellite, seconds after AT, relative orbit)."""
    table: list[dict[str, Any]] = []
    for tile, satellite, after_s, orbit in rows:
        at = AT + timedelta(seconds=after_s)
        times = dict.fromkeys(("overpass_time", "window_start", "window_end"), at)
        sigma = {"time_sigma_s": after_s / 10, "imaging": "planned", "source": "tle"}
        table.append({"tile_id": tile, "satellite": satellite, "relative_orbit": orbit, **times, **sigma})
    return tables.to_frame(tables.conform(pd.DataFrame(table), PLAN_SCHEMA, "sample"))


def test_tiles_of_one_crossing_are_one_overpass() -> None:
    rows = plan(("30STE", "S2B", 16, 94), ("30STF", "S2B", 2, 94), ("30STF", "S2A", 3, 94), ("30STF", "S2B", 6050, 137))
    found = group_overpasses(rows)
    assert [(one.satellite, one.tiles) for one in found] == [
        ("S2B", ("30STF", "30STE")),
        ("S2A", ("30STF",)),
        ("S2B", ("30STF",)),
    ]
    first = found[0]
    assert (first.start, first.stop) == (AT + timedelta(seconds=2), AT + timedelta(seconds=16))
    assert (first.relative_orbit, first.time_sigma_s, first.source) == (94, 1.6, "tle")


def test_orbits_part_what_time_does_not() -> None:
    """Arctic and Antarctic tiles of two orbits may be less than half an hour apart."""
    rows = plan(("a", "S2B", 0, 94), ("b", "S2B", 1200, 94), ("c", "S2B", 2400, 95))
    assert [one.relative_orbit for one in group_overpasses(rows)] == [94, 95]
    unknown = plan(("a", "S2B", 0, None), ("b", "S2B", 1200, None), ("c", "S2B", 2400, None), ("d", "S2B", 4800, None))
    assert [len(one.tiles) for one in group_overpasses(unknown)] == [3, 1]


def test_an_empty_plan_has_none() -> None:
    assert group_overpasses(tables.empty(PLAN_SCHEMA)) == []
