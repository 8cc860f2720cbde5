"""The overpass plan by orbital elements: SGP4, the camera's swath, daylight descending passes.

Here: which passes there are, with which elements each is computed, and the plan's rows, swaths and notes. Not here: reading
elements (`elements`), the orbit (`orbit`), and the camera's geometry (`swath`). Elements do not know whether the camera is
on: where it records a part of a tile only, the product's time is that part's, up to 10 s away.
"""

import bisect
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from s2chips_core import tables
from s2chips_core.overpasses.element_checks import ON_TRACK_KM
from s2chips_core.overpasses.elements import Elements, RefusedElements, satrec_of
from s2chips_core.overpasses.orbit import (
    NODAL_PERIOD_S,
    Floats,
    absolute_orbit,
    earth_fixed_km,
    next_node,
    node_longitude_deg,
    relative_orbit,
)
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Plan, Swath, build_passes
from s2chips_core.overpasses.swath import Looks, Tracks, find_looks, swath_polygons, trace
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M
from s2chips_core.overpasses.tile_shapes import tile_outlines

SOURCE = "tle"
IMAGING = "unknown"
MIN_COVERED_KM2 = 100.0
"""What of a tile (12,056 km²) a pass must see. The track is known to 2 km, and along a side of a tile that is a sliver of
220 km² or none."""
MIN_SUN_ELEVATION_DEG = 3.0
"""The camera records from 8 degrees, Sentinel-2B in 2025 from 5: at the ends of the segments of four of ESA's plans the Sun
is at 4.6 or more. A tile of which it records a corner has its centre where the Sun is up to 1.5 lower: 20EPT of 2025-07-31
at 4.2."""
_SIGMA_AT_EPOCH_S = 0.4
_SIGMA_PER_AGE_S, _SIGMA_EXPONENT = 0.075, 1.6
_JOIN_S = 16.0  # a tile's length: nearer parts are one swath
_SQUARE_KM2 = (TILE_SIDE_M / 1000.0) ** 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """One descending half of an orbit."""

    node_s: float
    """Of the descending node, Unix time."""
    elements: Elements
    relative_orbit: int | None
    absolute_orbit: int | None


def time_sigma_s(age_days: npt.ArrayLike) -> Floats:
    """Standard error of a time from elements of an age, seconds.

    0.4 s against real tile times; the rest grows with the age as 107 element sets of 2016-2026 differ from each other along
    the track: 0.1 s rms in a day, 1.2 s in 5, 2 s in 7, 10 s in 18, 17 s in 35.

    >>> time_sigma_s([0, 5, 14]).round(1).tolist()
    [0.4, 1.1, 5.1]
    """
    sigma: Floats = np.hypot(_SIGMA_AT_EPOCH_S, _SIGMA_PER_AGE_S * np.abs(np.asarray(age_days, float)) ** _SIGMA_EXPONENT)
    return sigma


def plan_by_tle(
    elements: Sequence[Elements],
    tiles: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    window_min: float,
    max_age_days: float,
    min_sun_elevation_deg: float = MIN_SUN_ELEVATION_DEG,
    satellites: Sequence[str] | None = None,
    refused: Sequence[RefusedElements] = (),
) -> Plan:
    """When tiles are in the swath by day, on the descending half of an orbit, whether or not the camera is on.

    Each pass is computed with the elements of its satellite whose epoch is nearest to it.

    Args:
        elements: of any satellites and epochs.
        tiles: MGRS names.
        start: first overpass time, aware UTC.
        end: overpass times are before it.
        window_min: recording time each side of the overpass, minutes.
        max_age_days: largest time from an epoch to a pass; further passes are not planned.
        min_sun_elevation_deg: least elevation of the Sun where the tile is seen.
        satellites: the satellites to plan; None: those of `elements`.
        refused: element sets that were not accepted, for the notes.

    Returns:
        Passes of tiles of which 100 km² or more are seen; `overpass_time` is that of the centroid of what is seen,
        `source_epoch` the elements' epoch, `imaging` unknown. Orbit numbers are null while a satellite is off the reference
        tracks. The swaths are the parts that see those tiles. The notes say what was not planned and why.

    Raises:
        InputError: a tile's name is no MGRS square, or SGP4 cannot follow elements for `max_age_days`.
    """
    names = sorted(set(tiles))
    asked = sorted({one.satellite for one in elements}) if satellites is None else list(dict.fromkeys(satellites))
    notes = [one.reason for one in refused]
    frames: list[pd.DataFrame] = []
    swaths: list[Swath] = []
    corners_km = _corners_km(names)
    for satellite in asked:
        own = [one for one in elements if one.satellite == satellite]
        passes, problems = _passes_of(own, satellite, start, end, max_age_days)
        notes += problems
        if not passes or not names:
            continue
        tracks = trace([satrec_of(one.elements) for one in passes], np.array([one.node_s for one in passes]))
        looks = find_looks(tracks, corners_km, MIN_COVERED_KM2 / _SQUARE_KM2)
        kept = (looks.time_s >= start.timestamp()) & (looks.time_s < end.timestamp())
        looks = _select(looks, kept & (looks.sun_elevation_deg >= min_sun_elevation_deg))
        frames.append(_rows(passes, looks, satellite, np.array(names, dtype=object)))
        swaths += _swaths(passes, tracks, looks)
    table = build_passes(pd.concat(frames, ignore_index=True), window_min) if frames else tables.empty(PLAN_SCHEMA)
    return Plan(passes=table, swaths=tuple(sorted(swaths, key=lambda one: (one.start, one.satellite))), notes=tuple(notes))


def _passes_of(
    own: Sequence[Elements], satellite: str, start: datetime, end: datetime, max_age_days: float
) -> tuple[list[_Pass], list[str]]:
    """Descending passes that touch the time, in order, and what is to be said of them."""
    if not own:
        return [], [f"{satellite} is not planned: there are no orbital elements of it."]
    ordered = sorted(own, key=lambda one: one.epoch)
    epochs_s = [one.epoch.timestamp() for one in ordered]
    passes: list[_Pass] = []
    without: list[tuple[float, float]] = []
    # The half around a node reaches 25 min to either side.
    at_s, last_s = start.timestamp() - 1_800.0, end.timestamp() + 1_800.0
    while at_s < last_s:
        epoch_s = epochs_s[_nearest(epochs_s, at_s)]
        age_s = abs(at_s - epoch_s)
        if age_s > max_age_days * 86_400.0 + 1e-3:
            without.append((at_s, age_s / 86_400.0))
            fresh_s = epoch_s - max_age_days * 86_400.0
            at_s = min(at_s + NODAL_PERIOD_S, fresh_s) if fresh_s > at_s else at_s + NODAL_PERIOD_S
            continue
        node_s = next_node(satrec_of(ordered[_nearest(epochs_s, at_s)]), at_s, ascending=False)
        chosen = ordered[_nearest(epochs_s, node_s)]
        if node_s < last_s and abs(node_s - chosen.epoch.timestamp()) <= max_age_days * 86_400.0:
            passes.append(_numbered(chosen, node_s))
        at_s = node_s + NODAL_PERIOD_S / 2
    without = [(moment_s, age) for moment_s, age in without if start.timestamp() <= moment_s <= end.timestamp()]
    return passes, [*_age_notes(satellite, without, end - start, max_age_days), *_track_notes(satellite, passes)]


def _nearest(ordered: Sequence[float], value: float) -> int:
    right = min(max(bisect.bisect(ordered, value), 1), len(ordered) - 1) if len(ordered) > 1 else 0
    return right if right == 0 or abs(ordered[right] - value) < abs(value - ordered[right - 1]) else right - 1


def _numbered(elements: Elements, node_s: float) -> _Pass:
    """The pass through a descending node, with its orbit's numbers."""
    satrec = satrec_of(elements)
    node_s = next_node(satrec, node_s - NODAL_PERIOD_S / 4, ascending=False)
    begun_s = next_node(satrec, node_s - NODAL_PERIOD_S * 0.75, ascending=True)
    relative = absolute = None
    if abs(elements.track_offset_km) <= ON_TRACK_KM:
        relative = relative_orbit(node_longitude_deg(satrec, begun_s))
        counted_s = next_node(satrec, elements.epoch.timestamp() - NODAL_PERIOD_S + 60.0, ascending=True)
        revolution = elements.revolution + round((begun_s - counted_s) / NODAL_PERIOD_S)
        absolute = absolute_orbit(elements.satellite, revolution, relative)
    return _Pass(node_s=node_s, elements=elements, relative_orbit=relative, absolute_orbit=absolute)


def _corners_km(names: Sequence[str]) -> Floats:
    """Corners of the tiles, Earth-fixed; their edges leave the great circle by 20 m."""
    outlines = tile_outlines(names, points_per_edge=1)
    lonlat = shapely.get_coordinates(outlines).reshape(-1, 5, 2)[:, :4]
    return earth_fixed_km(lonlat[:, :, 0], lonlat[:, :, 1])


def _select(looks: Looks, kept: npt.NDArray[np.bool_]) -> Looks:
    return Looks(**{field.name: getattr(looks, field.name)[kept] for field in dataclasses.fields(Looks)})


def _rows(passes: Sequence[_Pass], looks: Looks, satellite: str, names: npt.NDArray[np.object_]) -> pd.DataFrame:
    epoch = np.array([one.elements.epoch.timestamp() for one in passes])
    relative = pd.array([one.relative_orbit for one in passes], dtype="Int64")
    absolute = pd.array([one.absolute_orbit for one in passes], dtype="Int64")
    return pd.DataFrame(
        {
            "tile_id": names[looks.tile],
            "satellite": satellite,
            "relative_orbit": relative[looks.track],
            "absolute_orbit": absolute[looks.track],
            "overpass_time": _times(looks.time_s),
            "time_sigma_s": time_sigma_s((looks.time_s - epoch[looks.track]) / 86_400.0),
            "imaging": IMAGING,
            "source": SOURCE,
            "source_epoch": _times(epoch)[looks.track],
        }
    )


def _times(time_s: Floats) -> npt.NDArray[np.datetime64]:
    return np.rint(time_s * 1000.0).astype("int64").astype("datetime64[ms]")


def _swaths(passes: Sequence[_Pass], tracks: Tracks, looks: Looks) -> Iterator[Swath]:
    """For each pass its runs of lines that see the tiles."""
    order = np.lexsort((looks.first_s, looks.track))
    track, begins, ends = looks.track[order], looks.first_s[order], looks.last_s[order]
    ends = np.maximum.accumulate(ends)  # an earlier pass has ended half an orbit before
    fresh = (track[1:] != track[:-1]) | (begins[1:] > ends[:-1] + _JOIN_S)
    if not track.size:
        return
    firsts, lasts = np.append(0, np.flatnonzero(fresh) + 1), np.append(np.flatnonzero(fresh), -1)
    geometries = swath_polygons(tracks, track[firsts], begins[firsts], ends[lasts])
    for number, begin_s, end_s, geometry in zip(track[firsts], begins[firsts], ends[lasts], geometries, strict=True):
        one = passes[number]
        yield Swath(
            satellite=one.elements.satellite,
            relative_orbit=one.relative_orbit,
            absolute_orbit=one.absolute_orbit,
            start=datetime.fromtimestamp(float(begin_s), UTC),
            stop=datetime.fromtimestamp(float(end_s), UTC),
            geometry=geometry,
            imaging=IMAGING,
            source=SOURCE,
        )


def _age_notes(satellite: str, without: Sequence[tuple[float, float]], whole: timedelta, max_age_days: float) -> list[str]:
    if not without:
        return []
    span = " to ".join(
        f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%dT%H:%MZ}" for moment_s, _ in (without[0], without[-1])
    )
    ages = [age for _, age in without]
    days = min(len(without) * NODAL_PERIOD_S / 86_400.0, whole / timedelta(days=1))
    asked = f"{days:.1f} of {whole / timedelta(days=1):.1f} days"
    away = f"{min(ages):.1f} to {max(ages):.1f} days away, {max_age_days:g} are allowed"
    return [f"{satellite} is not planned for {asked}, from {span}: the nearest orbital elements are {away}."]


def _track_notes(satellite: str, passes: Sequence[_Pass]) -> list[str]:
    off = {one.elements.epoch: one.elements for one in passes if abs(one.elements.track_offset_km) > ON_TRACK_KM}
    return [
        f"{satellite} is being moved: by its elements of {epoch:%Y-%m-%dT%H:%MZ} it is {abs(one.track_offset_km):.0f} km "
        "off the reference tracks and drifting. Its times hold; its orbits have no number until it is on a track again."
        for epoch, one in off.items()
    ]
