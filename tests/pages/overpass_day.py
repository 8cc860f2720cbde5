"""A made-up day of overpasses and captures for the tests of the report: one pass of each status."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import shapely

from s2chips_core import tables
from s2chips_core.ais.capture_record import CaptureRecord, Gap, PassRecord
from s2chips_core.ais.windows import Window
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Swath
from s2chips_core.pages.overpasses import DayOverpasses

PASS = datetime(2025, 10, 27, 11, 4, 22, 123000, tzinfo=UTC)
NOW = datetime(2025, 10, 27, 18, 0, tzinfo=UTC)
TILES = ("30STF", "30STE", "29SQA", "29SQB")


def planned(tile_id: str, at: datetime, satellite: str = "S2B", source: str = "tle", **more: Any) -> dict[str, Any]:
    """A row of a plan."""
    return {
        "tile_id": tile_id,
        "satellite": satellite,
        "relative_orbit": 94,
        "absolute_orbit": 45123,
        "overpass_time": at,
        "window_start": at - timedelta(minutes=5),
        "window_end": at + timedelta(minutes=5),
        "time_sigma_s": 1.5,
        "imaging": "expected",
        "source": source,
        "source_epoch": at - timedelta(days=3.25),
        **more,
    }


def plan_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """PLAN_SCHEMA."""
    return tables.to_frame(tables.conform(pd.DataFrame(rows), PLAN_SCHEMA, "sample")) if rows else tables.empty(PLAN_SCHEMA)


def window_of(row: dict[str, Any], moved_s: float = 0.0) -> Window:
    """The window of a plan's row, as a plan had it that was off by so much."""
    by = timedelta(seconds=moved_s)
    return Window(
        tile_id=row["tile_id"],
        satellite=row["satellite"],
        overpass_time=row["overpass_time"] + by,
        start=row["window_start"] + by,
        end=row["window_end"] + by,
    )


def recorded(
    window: Window, covered_s: float = 600.0, gaps: tuple[Gap, ...] = (), fixes: int = 0, ships: int = 0
) -> PassRecord:
    """How a window was recorded."""
    return PassRecord(window=window, covered_s=covered_s, gaps=gaps, fixes=fixes, ships=ships)


def capture_of(passes: list[PassRecord], capture_id: str = "20251027T105422-0a1b2c3d", **more: Any) -> CaptureRecord:
    """A capture with one reconnection."""
    values: dict[str, Any] = {
        "ais_source": "aisstream",
        "url": "wss://stream.aisstream.io/v0/stream",
        "started_at": min(one.window.start for one in passes),
        "ended_at": max(one.window.end for one in passes) + timedelta(seconds=150),
        "ended": "done",
        "connections": 2,
        "messages": 12345,
        "ignored": {"base station": 310, "no position": 7, "never": 0},
        "lost": 0,
    }
    return CaptureRecord(capture_id=capture_id, passes=tuple(passes), **(values | more))


def make_overpasses() -> DayOverpasses:
    """Recorded, partial, tried but missed, never tried, and one that is still to come."""
    first = [planned(tile, PASS + timedelta(seconds=3 * n)) for n, tile in enumerate(TILES[:3])]
    never = planned("30STF", PASS - timedelta(hours=1), "S2A", "acquisition_plan", relative_orbit=137, imaging="planned")
    later = planned("29SQB", NOW + timedelta(hours=2), "S2C", "repeat_cycle", relative_orbit=None, absolute_orbit=None)
    start = first[1]["window_start"]
    gaps = (
        Gap(start=start, end=start + timedelta(seconds=90), reason="late start"),
        Gap(start=start + timedelta(seconds=300), end=start + timedelta(seconds=330), reason="connection closed (1006)"),
    )
    nothing = Gap(start=first[2]["window_start"], end=first[2]["window_end"], reason="no message at all")
    capture = capture_of(
        [
            recorded(window_of(first[0], 2.0), fixes=4200, ships=37),
            recorded(window_of(first[1]), 480.0, gaps, fixes=910, ships=12),
            recorded(window_of(first[2]), 0.0, (nothing,)),
        ]
    )
    swath = Swath(
        satellite="S2B",
        relative_orbit=94,
        absolute_orbit=45123,
        start=PASS - timedelta(seconds=20),
        stop=PASS + timedelta(seconds=40),
        geometry=shapely.Polygon([(-6.2, 40.0), (-2.8, 39.5), (-4.4, 33.0), (-7.6, 33.4)]),
        imaging="expected",
        source="tle",
    )
    return DayOverpasses(
        passes=plan_frame([*first, never, later]),
        swaths=(swath,),
        notes=("The TLE of S2A is 40 days old and was refused.",),
        captures=(capture,),
    )
