"""The overpass plan: when each tile is imaged, and from when to when AIS is recorded around that moment.

Here: what a plan is made of, which tiles it is for, and the plan by `backfill`, which takes real scenes of the archive as
the schedule. Not here: the sources that look ahead (`tle_plan`, `segment_passes`, `repeat_cycle`), choosing among them
(`combine`, `planning`), and searching the archive (`scenes.observed`).
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import date, datetime

import pandas as pd
import pyarrow as pa
from shapely.geometry.base import BaseGeometry

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import is_tile
from s2chips_core.overpasses.tile_shapes import tiles_touching
from s2chips_core.sections import Area, SatelliteTracking
from s2chips_core.tables import TIMESTAMP

PLAN_SCHEMA = pa.schema(
    [
        pa.field("tile_id", pa.string(), nullable=False),
        pa.field("satellite", pa.string(), nullable=False),
        pa.field("relative_orbit", pa.int64()),
        pa.field("absolute_orbit", pa.int64()),
        pa.field("overpass_time", TIMESTAMP, nullable=False),
        pa.field("window_start", TIMESTAMP, nullable=False),
        pa.field("window_end", TIMESTAMP, nullable=False),
        pa.field("time_sigma_s", pa.float64(), nullable=False),
        pa.field("imaging", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_epoch", TIMESTAMP),
    ]
)
"""`overpass_time`: when the tile is sensed. `time_sigma_s`: its standard error. `imaging`: planned, expected or unknown.
`source`: what said so; `source_epoch`: how old that is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Swath:
    """What one satellite sees while its camera can see the tiles that are asked for."""

    satellite: str
    relative_orbit: int | None
    absolute_orbit: int | None
    start: datetime
    """Aware UTC: when the first line of `geometry` is sensed."""
    stop: datetime
    geometry: BaseGeometry
    """Polygon or MultiPolygon, WGS 84 lon/lat degrees, cut at the antimeridian (RFC 7946, section 3.1.9)."""
    imaging: str
    """As in PLAN_SCHEMA."""
    source: str
    """As in PLAN_SCHEMA."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When tiles are imaged."""

    passes: pd.DataFrame
    """PLAN_SCHEMA, sorted by overpass time, tile and satellite."""
    swaths: tuple[Swath, ...] = ()
    """In order of time; empty where the source does not know them."""
    notes: tuple[str, ...] = ()
    """What a reader must know, one sentence each: refused sources, disagreements, a satellite that was moved."""


OBSERVED_COLUMNS = ("tile_id", "satellite", "datatake_id", "datetime", "relative_orbit")
"""A scene of the archive as an observation: `datetime` is when the tile was sensed (UTC); `datatake_id` and `relative_orbit`
may be null."""

SAME_PASS = pd.Timedelta(minutes=30)
"""Two times of one tile and satellite nearer than this are one pass: the next is an orbit (100 min) away at least."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What the archive has seen, and what asking cost."""

    frame: pd.DataFrame
    """OBSERVED_COLUMNS; a scene that was processed twice may be in there twice."""
    requests: int


Observe = Callable[[Sequence[str], datetime, datetime], Observed]
"""Asks the archive for the scenes of tiles sensed from a time (aware UTC) until before another."""


def watched_tiles(tracking: SatelliteTracking) -> list[str]:
    """The tiles of the configuration, by name and by area, sorted and each once.

    Raises:
        InputError: a name is none of a tile: it would be planned, and never be in the archive.
    """
    named = {_two_digit_zone(tile) for tile in tracking.tiles}
    for tile in sorted(named):
        if not is_tile(tile):
            raise InputError("satellite_tracking.tiles", tile, "a tile of Sentinel-2's grid, such as 30STF")
    for area in tracking.areas:
        named.update(tiles_touching(_box(area)))
    return sorted(named)


def backfill_plan(
    observed: pd.DataFrame, tiles: Sequence[str], satellites: Sequence[str], window_min: float
) -> pd.DataFrame:
    """One row for each tile and datatake that was really imaged.

    Args:
        observed: OBSERVED_COLUMNS; `relative_orbit` may be missing. A scene that was processed twice may be in there twice.
        tiles: the tiles to keep.
        satellites: the satellites to keep.
        window_min: recording time each side of the overpass, minutes.

    Returns:
        PLAN_SCHEMA, sorted by overpass time, tile and satellite; `imaging` is `planned`: it has happened.
    """
    kept = passes_of(observed, tiles, satellites)
    return build_passes(
        pd.DataFrame(
            {
                "tile_id": kept["tile_id"],
                "satellite": kept["satellite"],
                "relative_orbit": kept["relative_orbit"],
                "absolute_orbit": kept["absolute_orbit"],
                "overpass_time": kept["datetime"],
                "time_sigma_s": 0.0,
                "imaging": "planned",
                "source": "backfill",
                "source_epoch": kept["datetime"],
            }
        ),
        window_min,
    )


def passes_of(observed: pd.DataFrame, tiles: Sequence[str], satellites: Sequence[str]) -> pd.DataFrame:
    """The observations of tiles and satellites, one for each pass, with its `absolute_orbit` as far as they tell it.

    Returns:
        `tile_id`, `satellite`, `datetime`, `relative_orbit`, `absolute_orbit` (Int64), sorted by tile, satellite and time.
    """
    kept = observed[observed["tile_id"].isin(list(tiles)) & observed["satellite"].isin(list(satellites))]
    kept = kept.sort_values(["tile_id", "satellite", "datetime"], ignore_index=True)
    # Products of one pass differ by less than the 16 s in which a tile is sensed, also those of its two datastrips.
    since = kept.groupby(["tile_id", "satellite"])["datetime"].diff()
    number = (since.isna() | (since > SAME_PASS)).cumsum()
    orbit = pd.array([_absolute_orbit(text) for text in kept["datatake_id"]], dtype="Int64")
    relative = kept["relative_orbit"] if "relative_orbit" in kept else pd.Series([None] * len(kept), dtype=object)
    kept = kept[["tile_id", "satellite", "datetime"]].assign(
        relative_orbit=relative.astype("Int64"), absolute_orbit=orbit, number=number
    )
    return kept.groupby("number").first().reset_index(drop=True)


def build_passes(rows: pd.DataFrame, window_min: float) -> pd.DataFrame:
    """PLAN_SCHEMA from all columns but the window, which is put around each overpass; sorted, times to the millisecond."""
    margin = pd.Timedelta(milliseconds=round(window_min * 60_000)).as_unit("ms")
    time = pd.to_datetime(rows["overpass_time"], utc=True).dt.round("ms").astype("datetime64[ms, UTC]")
    epoch = pd.to_datetime(rows["source_epoch"], utc=True).dt.round("ms").astype("datetime64[ms, UTC]")
    plan = rows.assign(overpass_time=time, window_start=time - margin, window_end=time + margin, source_epoch=epoch)
    return sort_passes(tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "overpass plan")))


def sort_passes(plan: pd.DataFrame) -> pd.DataFrame:
    """By overpass time, tile and satellite."""
    return plan.sort_values(["overpass_time", "tile_id", "satellite"], ignore_index=True)


def of_day(plan: pd.DataFrame, day: date) -> pd.DataFrame:
    """The rows whose overpass is on the UTC day."""
    rows: pd.DataFrame = plan[plan["overpass_time"].dt.date == day].reset_index(drop=True)
    return rows


def _absolute_orbit(datatake_id: object) -> int | None:
    """`GS2B_20231223T190819_035503` ends with the absolute orbit."""
    last = datatake_id.rsplit("_", 1)[-1] if isinstance(datatake_id, str) else ""
    return int(last) if last.isdigit() and len(last) == 6 else None


def _two_digit_zone(tile: str) -> str:
    return tile if tile[1].isdigit() else f"0{tile}"


def _box(area: Area) -> tuple[float, float, float, float]:
    return area.west, area.south, area.east, area.north
