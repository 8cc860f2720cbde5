"""Candidates: every pair of a target and a scene that is near it in time and place, with the ship's place at that time.

Pure, and arrays throughout: 100,000 targets and 300 scenes are usual. Not here: which pair wins (`matching`) and what to say
when none does (`refusals`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core.ais.position import as_reported_sigma_m, positions_at
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.scene import Scene

SHIP_SPEED_M_S = 31.0
"""60 knots. No ship is looked for farther from its reported place than it can have gone at this speed."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ships:
    """The targets that are looked at; every array has shape (ships,)."""

    mmsi: Ints
    time_ms: Ints
    """AIS time, milliseconds since 1970 UTC."""
    lon: Floats
    lat: Floats
    sog_kn: Floats
    at_sensing: Bools
    """Placed at the sensing time from their fixes; the others are taken where they reported."""
    captured: Bools
    """Recorded around an overpass: `max_dt_s` holds for them, not for rows of a file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a scene must keep to."""

    window_s: float
    """Largest time between scene and AIS time, seconds."""
    max_dt_s: float
    """The same for ships that are placed at the sensing time."""
    max_gap_s: float
    """Largest time between scene and nearest fix, for those, seconds."""
    cloud_cover_max: float
    """Percent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs whose scene holds the ship; every array has shape (pairs,), in order of ship, then scene."""

    ship: Ints
    scene: Ints
    dt_ms: Ints
    """Scene time - AIS time."""
    lon: Floats
    lat: Floats
    """Where the ship was at the scene's time; where that is refused or the scene is out of reach: as reported."""
    x_m: Floats
    y_m: Floats
    """The same in the scene's UTM zone."""
    position_method: Objects
    position_gap_s: Floats
    position_sigma_m: Floats
    refusal: Objects
    """Why the ship cannot be placed at the scene's time, else none."""
    in_reach: Bools
    """Whether the time between them is within the limit of this ship."""
    clear: Bools
    """Whether the scene's cloud is within the limit."""

    @property
    def usable(self) -> Bools:
        """Pairs that may become a chip."""
        return self.in_reach & self.clear & ~self.refused

    @property
    def refused(self) -> Bools:
        """Pairs whose ship cannot be placed."""
        refused: Bools = self.refusal != np.array(None, dtype=object)
        return refused

    def take(self, rows: npt.NDArray[np.intp] | Bools) -> "Pairs":
        """Some of the pairs."""
        return Pairs(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})


def scene_times_ms(scenes: Sequence[Scene]) -> Ints:
    """Milliseconds since 1970 UTC."""
    times = [scene.datetime.replace(tzinfo=None) for scene in scenes]
    return np.array(times, dtype="datetime64[ms]").astype(np.int64)


def build_pairs(
    ships: Ships, fixes: pd.DataFrame, scenes: Sequence[Scene], footprints: Sequence[Footprint], limits: Limits
) -> Pairs:
    """All pairs within the limits of time whose scene's footprint holds the ship.

    Args:
        ships: who.
        fixes: FIX_SCHEMA, to place those that are placed at the sensing time.
        scenes, footprints: what, and where it has data; of the same length.
        limits: a captured ship and a scene beyond `max_dt_s` but within `window_s` are paired too, marked out of reach.
    """
    times_ms = scene_times_ms(scenes)
    ship, scene = _near_pairs(ships, times_ms, footprints, limits)
    dt_ms = times_ms[scene] - ships.time_ms[ship]
    in_reach = ~ships.captured[ship] | (np.abs(dt_ms) <= limits.max_dt_s * 1000.0)

    lon, lat = ships.lon[ship].copy(), ships.lat[ship].copy()
    gap_s = np.abs(dt_ms) / 1000.0
    sigma_m = as_reported_sigma_m(ships.sog_kn[ship], gap_s)
    method = np.full(len(ship), "as_reported", dtype=object)
    refusal = np.full(len(ship), None, dtype=object)
    # A captured ship that is taken as reported is held to the same gap as one that is placed.
    stale = ships.captured[ship] & ~ships.at_sensing[ship] & in_reach & (gap_s > limits.max_gap_s)
    for row in np.flatnonzero(stale):
        refusal[row] = f"the ship reported {gap_s[row]:.0f} s from the sensing time, the limit is {limits.max_gap_s:.0f} s"
    rows = np.flatnonzero(ships.at_sensing[ship] & in_reach)
    if len(rows):
        placed = _place(ships.mmsi[ship[rows]], times_ms[scene[rows]], fixes, limits.max_gap_s)
        refusal[rows] = placed["refusal"].to_numpy(dtype=object)
        known = placed["refusal"].isna().to_numpy(dtype=bool)
        refusal[rows[known]] = None
        lon[rows[known]] = placed["lon"].to_numpy(np.float64)[known]
        lat[rows[known]] = placed["lat"].to_numpy(np.float64)[known]
        method[rows] = placed["position_method"].to_numpy(dtype=object)
        gap_s[rows] = placed["position_gap_s"].to_numpy(np.float64)
        sigma_m[rows] = placed["position_sigma_m"].to_numpy(np.float64)

    x_m, y_m = np.empty(len(ship)), np.empty(len(ship))
    holds = np.zeros(len(ship), dtype=bool)
    for number, group in _groups(scene, len(scenes)):
        x_m[group], y_m[group] = footprints[number].project(lon[group], lat[group])
        holds[group] = footprints[number].holds(x_m[group], y_m[group])
    cloud = np.array([item.cloud_cover for item in scenes], dtype=np.float64)
    pairs = Pairs(
        ship=ship,
        scene=scene,
        dt_ms=dt_ms,
        lon=lon,
        lat=lat,
        x_m=x_m,
        y_m=y_m,
        position_method=method,
        position_gap_s=gap_s,
        position_sigma_m=sigma_m,
        refusal=refusal,
        in_reach=in_reach,
        clear=cloud[scene] <= limits.cloud_cover_max,
    )
    kept = np.flatnonzero(holds)
    return pairs.take(kept[np.lexsort((scene[kept], ship[kept]))])


def chip_fit(
    pairs: Pairs, footprints: Sequence[Footprint], chip_size_px: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The share of each pair's chip inside the footprint, and the distance from the ship to its edge, metres."""
    share, edge_m = np.empty(len(pairs.ship)), np.empty(len(pairs.ship))
    for number, group in _groups(pairs.scene, len(footprints)):
        x, y = pairs.x_m[group], pairs.y_m[group]
        edge_m[group] = footprints[number].edge_distance_m(x, y)
        share[group] = footprints[number].chip_share(x, y, edge_m[group], chip_size_px)
    return share, edge_m


def _groups(scene: Ints, count: int) -> list[tuple[int, npt.NDArray[np.intp]]]:
    """The rows of each scene that has any."""
    order = np.argsort(scene, kind="stable")
    bounds = np.searchsorted(scene[order], np.arange(count + 1))
    return [(n, order[bounds[n] : bounds[n + 1]]) for n in range(count) if bounds[n] < bounds[n + 1]]


def _near_pairs(ships: Ships, times_ms: Ints, footprints: Sequence[Footprint], limits: Limits) -> tuple[Ints, Ints]:
    order = np.argsort(ships.time_ms, kind="stable")
    sorted_ms = ships.time_ms[order]
    window_ms = round(limits.window_s * 1000.0)
    ship, scene = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number, footprint in enumerate(footprints):
        first = np.searchsorted(sorted_ms, times_ms[number] - window_ms, side="left")
        last = np.searchsorted(sorted_ms, times_ms[number] + window_ms, side="right")
        rows = order[first:last]
        dt_s = np.abs(times_ms[number] - ships.time_ms[rows]) / 1000.0
        may_move = ships.at_sensing[rows] & (dt_s <= limits.max_gap_s)
        rows = rows[footprint.is_near(ships.lon[rows], ships.lat[rows], np.where(may_move, SHIP_SPEED_M_S * dt_s, 0.0))]
        ship.append(rows.astype(np.int64))
        scene.append(np.full(len(rows), number, dtype=np.int64))
    return np.concatenate(ship), np.concatenate(scene)


def _place(mmsi: Ints, time_ms: Ints, fixes: pd.DataFrame, max_gap_s: float) -> pd.DataFrame:
    """`positions_at`, asked once for each ship and time."""
    times, time = np.unique(time_ms, return_inverse=True)
    asked, row = np.unique(mmsi * len(times) + time, return_inverse=True)
    when = times[asked % len(times)].astype("datetime64[ms]")
    return positions_at(fixes, asked // len(times), when, max_gap_s=max_gap_s).take(row)
