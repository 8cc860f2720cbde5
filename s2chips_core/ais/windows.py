"""Capture windows: from when to when AIS is recorded for which pass, and what is recorded together.

Windows that overlap, the time for late messages included, are one group: one connection carries the boxes of all of them.
Pure. Not here: recording (`capture`), what was recorded (`capture_record`), when runs start (`s2chips_dagster.sensors`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

SAME_PASS = timedelta(minutes=30)
"""Two plans of one pass differ by seconds; passes of one satellite over one tile are an orbit (100 min) apart."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When AIS is recorded for one pass over one tile. Times are aware UTC."""

    tile_id: str
    satellite: str
    """S2A, S2B or S2C; empty for a recording that belongs to no pass (`periodic_ais_capture`)."""
    overpass_time: datetime | None
    """None for a recording that belongs to no pass."""
    start: datetime
    end: datetime

    def is_same_pass(self, other: "Window") -> bool:
        """Whether both are of one pass, though the plan may have moved it by seconds."""
        if (self.tile_id, self.satellite) != (other.tile_id, other.satellite):
            return False
        return abs((self.overpass_time or self.start) - (other.overpass_time or other.start)) < SAME_PASS

    @property
    def day(self) -> date:
        """The UTC day whose snapshots it fills: that of the overpass, also when it opens before midnight."""
        return (self.overpass_time or self.start).date()

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON takes."""
        return {
            "tile_id": self.tile_id,
            "satellite": self.satellite,
            "overpass_time": None if self.overpass_time is None else self.overpass_time.isoformat(),
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Window":
        """The window of `to_dict`; KeyError or ValueError when it is none."""
        overpass = values["overpass_time"]
        return cls(
            tile_id=str(values["tile_id"]),
            satellite=str(values["satellite"]),
            overpass_time=None if overpass is None else datetime.fromisoformat(overpass).astimezone(UTC),
            start=datetime.fromisoformat(values["start"]).astimezone(UTC),
            end=datetime.fromisoformat(values["end"]).astimezone(UTC),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptureGroup:
    """Windows that are recorded over one connection, in order of start, tile and satellite; at least one."""

    windows: tuple[Window, ...]

    @property
    def start(self) -> datetime:
        """When the first opens."""
        return min(window.start for window in self.windows)

    @property
    def end(self) -> datetime:
        """When the last closes; messages for it still arrive for `ais.linger_s`."""
        return max(window.end for window in self.windows)

    @property
    def group_id(self) -> str:
        """`YYYYMMDDTHHMMSS-<8 hex>`: the start, and a hash of the windows; usable in keys."""
        text = json.dumps([window.to_dict() for window in self.windows], sort_keys=True)
        return f"{self.start:%Y%m%dT%H%M%S}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def windows_of_plan(passes: pd.DataFrame) -> list[Window]:
    """A window for each row of PLAN_SCHEMA, in order of start, tile and satellite."""
    columns = ["tile_id", "satellite", "overpass_time", "window_start", "window_end"]
    windows = [
        Window(
            tile_id=tile_id,
            satellite=satellite,
            overpass_time=overpass.to_pydatetime().astimezone(UTC),
            start=start.to_pydatetime().astimezone(UTC),
            end=end.to_pydatetime().astimezone(UTC),
        )
        for tile_id, satellite, overpass, start, end in passes[columns].itertuples(index=False)
    ]
    return sorted(windows, key=_order)


def group_windows(windows: Sequence[Window], linger_s: float) -> list[CaptureGroup]:
    """Windows that overlap, directly or through others, as one group; the groups in order of time.

    Args:
        windows: any order.
        linger_s: a connection listens on for so long after a window, seconds; what opens meanwhile joins the group.
    """
    groups: list[list[Window]] = []
    until: datetime | None = None
    for window in sorted(windows, key=_order):
        closes = window.end + timedelta(seconds=linger_s)
        if until is not None and window.start <= until:
            groups[-1].append(window)
            until = max(until, closes)
        else:
            groups.append([window])
            until = closes
    return [CaptureGroup(windows=tuple(group)) for group in groups]


def _order(window: Window) -> tuple[datetime, str, str]:
    return window.start, window.tile_id, window.satellite
