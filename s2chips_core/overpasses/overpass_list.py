"""Overpasses: what one satellite sees of all watched tiles in one go, as people speak of it.

A plan has a row for each tile; ten tiles along one strait are one overpass. Not here: the plan itself (`plan`).
"""

import dataclasses
from datetime import datetime, timedelta

import pandas as pd

SAME_OVERPASS = timedelta(minutes=30)
"""A satellite crosses its daylit half in 50 min; passes over neighbouring tiles are seconds apart, orbits 100 min."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overpass:
    """Tiles that a satellite senses one after the other."""

    satellite: str
    relative_orbit: int | None
    source: str
    """Of the first of its rows."""
    start: datetime
    """When the first tile is sensed, aware UTC."""
    stop: datetime
    """When the last is."""
    tiles: tuple[str, ...]
    """In order of time."""
    time_sigma_s: float
    """The largest of its rows."""


def group_overpasses(passes: pd.DataFrame) -> list[Overpass]:
    """The overpasses of a plan (PLAN_SCHEMA), in order of time and satellite."""
    if passes.empty:
        return []
    rows = passes.sort_values(["satellite", "overpass_time", "tile_id"], ignore_index=True)
    orbit = rows["relative_orbit"]
    starts = (rows["satellite"] != rows["satellite"].shift()) | (rows["overpass_time"].diff() > SAME_OVERPASS)
    starts |= (orbit != orbit.shift()).fillna(False).astype(bool)
    groups = rows.groupby(starts.cumsum(), sort=False).agg(
        satellite=("satellite", "first"),
        relative_orbit=("relative_orbit", "first"),
        source=("source", "first"),
        start=("overpass_time", "first"),
        stop=("overpass_time", "last"),
        tiles=("tile_id", tuple),
        time_sigma_s=("time_sigma_s", "max"),
    )
    found = [
        Overpass(
            satellite=group["satellite"],
            relative_orbit=None if pd.isna(group["relative_orbit"]) else int(group["relative_orbit"]),
            source=group["source"],
            start=group["start"].to_pydatetime(),
            stop=group["stop"].to_pydatetime(),
            tiles=group["tiles"],
            time_sigma_s=float(group["time_sigma_s"]),
        )
        for group in groups.to_dict("records")
    ]
    return sorted(found, key=lambda one: (one.start, one.satellite))
