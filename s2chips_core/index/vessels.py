"""The vessels around the chips of one source of a day: read once for each scene, for the labels of all its chips.

Here: which AIS is looked at. Not here: where vessels were (`ais.vessels`), which of them are in a chip (`labels`). Targets
that are placed at the sensing time have the source's fixes beside them; those that are taken as reported have the other
targets of the same datatake, as their matches place them.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA, Floats
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.ais.vessels import MOTION, VESSEL_COLUMNS, Moment, circle_around, vessels_at
from s2chips_core.chips.grid import PIXEL_M, Transform
from s2chips_core.config import Settings
from s2chips_core.index.labels import PlacedVessels, labels_of_chip, place_vessel, place_vessels
from s2chips_core.scenes.matches import MatchStatus
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

AT_SENSING_TIME = "at_sensing_time"
HULL_MOST_M = 1022.0
"""The longest hull that AIS can tell (A and B of 511 m): from so far away one can reach into a chip."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SceneVessels:
    """The vessels of one scene."""

    epsg: int
    placed: PlacedVessels
    motion: Mapping[str, Floats]
    """What each ship said with the fix nearest to the sensing time: `mmsi` in order, and `MOTION`. Empty where ships are
    taken as reported."""

    def labels(self, match: Mapping[str, Any], *, lat: float, lon: float, transform: Transform, size_px: int) -> list[Any]:
        """The labels of a chip.

        Args:
            match: of its target.
            lat, lon: of the chip's centre: where its target is, whatever else is known of it.
            transform: of the chip.
            size_px: its side.
        """
        target = {**match, "lat": lat, "lon": lon, **self._said(int(match["mmsi"]))}
        return labels_of_chip(place_vessel(target, self.epsg), self.placed, transform, size_px)

    def _said(self, mmsi: int) -> dict[str, Any]:
        if not self.motion:
            return {}
        n = int(np.searchsorted(self.motion["mmsi"], mmsi))
        known = n < len(self.motion["mmsi"]) and self.motion["mmsi"][n] == mmsi
        return {name: self.motion[name].item(n) for name in MOTION} if known else {}


def read_vessels(
    storage: Storage, ais_day: date, source_id: str, matches: Sequence[Mapping[str, Any]], settings: Settings
) -> dict[str, SceneVessels]:
    """The vessels of every scene that a source of a day got, by the scene's JSON.

    Args:
        storage: the dataset.
        ais_day: the day.
        source_id: its capture or a file.
        matches: all rows of MATCH_SCHEMA of that source and day.
        settings: `ais.max_gap_min` and `tiling.chip_size_px` are looked at.
    """
    matched = [match for match in matches if match["status"] == MatchStatus.MATCHED]
    by_scene: dict[str, list[Mapping[str, Any]]] = {}
    for match in matched:
        by_scene.setdefault(match["scene"], []).append(match)
    at_sensing = {text: of_scene for text, of_scene in by_scene.items() if of_scene[0]["position_mode"] == AT_SENSING_TIME}
    found: dict[str, pd.DataFrame] = {}
    if at_sensing:
        margin_m = settings.tiling.chip_size_px * PIXEL_M + HULL_MOST_M
        moments = [_moment(of_scene, margin_m) for of_scene in at_sensing.values()]
        fixes = _fixes(storage, ais_day, source_id)
        frames = vessels_at(fixes, moments, max_gap_s=settings.ais.max_gap_min * 60.0)
        found |= dict(zip(at_sensing, frames, strict=True))
    found |= {text: _as_reported(of_scene, matches) for text, of_scene in by_scene.items() if text not in at_sensing}
    return {text: _on_grid(frame, Scene.from_json(text).epsg, moving=text in at_sensing) for text, frame in found.items()}


def _on_grid(frame: pd.DataFrame, epsg: int, *, moving: bool) -> SceneVessels:
    motion = {name: frame[name].to_numpy(np.float64, na_value=np.nan) for name in ("mmsi", *MOTION)} if moving else {}
    return SceneVessels(epsg=epsg, placed=place_vessels(frame, epsg), motion=motion)


def _moment(matches: Sequence[Mapping[str, Any]], margin_m: float) -> Moment:
    """The sensing time, and a circle around all chips of a scene."""
    lat, lon = (np.array([match[name] for match in matches], dtype=np.float64) for name in ("lat", "lon"))
    middle_lat, middle_lon, radius_m = circle_around(lat, lon)
    return Moment(time=matches[0]["scene_datetime"], lat=middle_lat, lon=middle_lon, radius_m=radius_m + margin_m)


def _fixes(storage: Storage, ais_day: date, source_id: str) -> pd.DataFrame:
    """FIX_SCHEMA: what a source knows of a day; of a file the days around too, for a ship's way goes on at midnight."""
    if source_id == layout.CAPTURE:
        return read_snapshots(storage, ais_day)
    keys = [layout.ais_file(ais_day + timedelta(days=n), source_id) for n in (-1, 0, 1)]
    rows = tables.concat([tables.read_table(storage, k, TARGET_SCHEMA) for k in keys if storage.exists(k)], TARGET_SCHEMA)
    good = rows[rows["invalid_reason"].isna()].rename(columns={"ais_time": "time", "ais_lat": "lat", "ais_lon": "lon"})
    return tables.to_frame(tables.conform(good, FIX_SCHEMA, source_id))


def _as_reported(of_scene: Sequence[Mapping[str, Any]], matches: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The other ships of the datatake where they reported to be; ships that only the cap left without a scene too."""
    datatake, sensed = of_scene[0]["datatake"], of_scene[0]["scene_datetime"]
    same = [m for m in matches if m["status"] == MatchStatus.MATCHED and m["datatake"] == datatake]
    most_dt_s = max(abs(match["dt_s"]) for match in same)
    over_cap = [
        {**m, "lat": m["ais_lat"], "lon": m["ais_lon"], "position_method": "as_reported"}
        for m in matches
        if m["status"] == MatchStatus.OVER_CAP and abs((m["ais_time"] - sensed).total_seconds()) <= most_dt_s
    ]
    return _frame([*same, *over_cap]).drop_duplicates("mmsi", ignore_index=True)


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{name: row[name] for name in VESSEL_COLUMNS} for row in rows], columns=list(VESSEL_COLUMNS))
