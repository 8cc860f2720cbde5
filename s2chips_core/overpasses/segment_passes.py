"""Passes over tiles by ESA's acquisition plans: the only source that knows whether the camera is on.

Here: segments of plans and tiles to `Plan`, and which time plans cover. Not here: reading the files (`acquisition_plan`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import shapely

from s2chips_core import tables
from s2chips_core.overpasses.acquisition_plan import ORBIT, AcquisitionPlan, Segment
from s2chips_core.overpasses.orbit import earth_fixed_km
from s2chips_core.overpasses.plan import PLAN_SCHEMA, SAME_PASS, Plan, Swath, build_passes
from s2chips_core.overpasses.spans import Span, gaps_of, join_spans
from s2chips_core.overpasses.strip import Pieces, Strip, build_strip, map_outline, pieces_of
from s2chips_core.overpasses.tile_shapes import tile_outlines

SOURCE = "acquisition_plan"
IMAGING = "planned"
MIN_COVERED_KM2 = 100.0
"""What of a tile (12,056 km²) a pass must see. The satellite is kept within 2 km of its reference track, and along a side of
a tile that is a sliver of 220 km² or none: less than half of it says nothing."""
LATENESS_S = 3.0
"""Real sensing minus reference orbit: mean over 15 days from 2018 to 2025 of which real tile times are known; the value of a
day is from -5 to 9. Elements of the days of a plan give 0.3 to 3.4 within it."""
TIME_SIGMA_S = 4.0
"""Its standard deviation; keeping within 2 km of the reference track alone allows ±4.3 s, the Earth turns 0.465 km/s."""
_EARTH_RADIUS_KM = 6371.0
_TILE_REACH_KM = 80.0  # half a diagonal, and some
_PIECES_AT_ONCE = 1_000


def plan_by_acquisition(
    plans: Sequence[AcquisitionPlan],
    tiles: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    satellites: Sequence[str],
    window_min: float,
) -> Plan:
    """When tiles will be recorded according to the plans.

    Segments of modes or timeliness without products do not count. Of plans of one satellite the one whose period begins
    later wins at any time both cover, of equal ones the later in `plans`. Parts of a tile in neighbouring segments are one
    pass.

    Args:
        plans: of any satellites and periods.
        tiles: MGRS names.
        start: first overpass time, aware UTC.
        end: overpass times are before it.
        satellites: the satellites to keep.
        window_min: recording time each side of the overpass, minutes.

    Returns:
        Passes with `source_epoch` the beginning of the plan's period, the swaths of the segments that make them, and notes
        of what could not be read and of times that no plan covers.

    Raises:
        InputError: a tile's name is no MGRS square.
    """
    used = [(number, plan) for number, plan in enumerate(plans) if plan.satellite in set(satellites)]
    segments = [
        (plan, segment)
        for number, plan in used
        for segment in plan.segments
        if segment.is_distributed and segment.stop > start - ORBIT and segment.start < end + ORBIT
        if _governs(number, plan, segment.start, used)
    ]
    notes = [*_problem_notes([plan for _, plan in used]), *_gap_notes(plans, satellites, start, end)]
    names = sorted(set(tiles))
    if not segments or not names:
        return Plan(passes=tables.empty(PLAN_SCHEMA), notes=tuple(notes))
    strips = [build_strip(segment.polygon) for _, segment in segments]
    corners = shapely.get_coordinates(shapely.get_exterior_ring(tile_outlines(names, points_per_edge=1))).reshape(-1, 5, 2)
    parts = _parts_seen(pieces_of(strips), earth_fixed_km(corners[:, :4, 0], corners[:, :4, 1]))
    origin = min(segment.start for _, segment in segments)
    parts = parts.join(_segment_table(segments, origin), on="segment")
    parts["sensed_s"] = parts["start_s"] + parts["after_s"] + LATENESS_S
    parts, passes = _passes(parts)
    passes["overpass_time"] = pd.Timestamp(origin).as_unit("us") + pd.to_timedelta(
        (passes["sensed_s"] * 1000).round(), unit="ms"
    )
    passes = passes[(passes["overpass_time"] >= start) & (passes["overpass_time"] < end)]
    table = passes.assign(
        tile_id=np.array(names, dtype=object)[passes["tile"].to_numpy()],
        time_sigma_s=TIME_SIGMA_S,
        imaging=IMAGING,
        source=SOURCE,
    )
    seen = np.unique(parts.loc[parts["pass"].isin(passes["pass"]), "segment"])
    return Plan(
        passes=build_passes(table, window_min),
        swaths=tuple(sorted((_swath(segments[i][1], strips[i]) for i in seen), key=lambda s: (s.start, s.satellite))),
        notes=tuple(notes),
    )


def coverage(plans: Sequence[AcquisitionPlan], satellite: str) -> list[Span]:
    """The times for which some plan says all that the satellite records: start and stop, in order, not overlapping."""
    return join_spans([(plan.start, plan.stop) for plan in plans if plan.satellite == satellite])


def _governs(number: int, plan: AcquisitionPlan, time: datetime, used: Sequence[tuple[int, AcquisitionPlan]]) -> bool:
    return not any(
        other.satellite == plan.satellite
        and (other.start, other_number) > (plan.start, number)
        and other.start <= time < other.stop
        for other_number, other in used
    )


def _segment_table(segments: Sequence[tuple[AcquisitionPlan, Segment]], origin: datetime) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "satellite": [segment.satellite for _, segment in segments],
            "relative_orbit": [segment.relative_orbit for _, segment in segments],
            "absolute_orbit": [segment.absolute_orbit for _, segment in segments],
            "start_s": [(segment.start - origin).total_seconds() for _, segment in segments],
            "source_epoch": pd.Series([plan.start for plan, _ in segments], dtype=pd.DatetimeTZDtype("us", "UTC")),
        }
    )


def _parts_seen(pieces: Pieces, squares_km: np.ndarray) -> pd.DataFrame:
    """Every tile with every segment that sees some of it: segment, tile, area_km2, after_s."""
    found = []
    for piece, tile in _near_pairs(pieces, squares_km.mean(axis=1)):
        area, after_s = pieces.part_inside(piece, squares_km[tile])
        some = area > 0.0
        part = {"segment": pieces.strip[piece[some]], "tile": tile[some], "area_km2": area[some], "after_s": after_s[some]}
        found.append(pd.DataFrame(part))
    return _by(pd.concat(found, ignore_index=True), ["segment", "tile"], "after_s")


def _near_pairs(pieces: Pieces, centres_km: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces and tiles that may touch, some thousand pairs at a time."""
    tree = shapely.STRtree(shapely.points(np.stack(_geocentric_deg(centres_km), axis=1)))
    middle_km = pieces.middle_km()
    lon, lat = _geocentric_deg(middle_km)
    reach_km = pieces.radius_km() + _TILE_REACH_KM
    reach_deg = np.degrees(reach_km / _EARTH_RADIUS_KM) + 0.1
    # The meridians that touch a spherical cap; all of them when it holds the pole.
    sine = np.sin(np.radians(reach_deg)) / np.maximum(np.cos(np.radians(lat)), 1e-9)
    width_deg = np.where(np.abs(lat) + reach_deg >= 90.0, 180.0, np.degrees(np.arcsin(np.minimum(sine, 1.0))))
    for at in range(0, len(lon), _PIECES_AT_ONCE):
        some = slice(at, at + _PIECES_AT_ONCE)
        pairs = []
        for shift in (-360.0, 0.0, 360.0):
            west, east = lon[some] - width_deg[some] + shift, lon[some] + width_deg[some] + shift
            boxes = shapely.box(west, lat[some] - reach_deg[some], east, lat[some] + reach_deg[some])
            pairs.append(tree.query(boxes))
        piece, tile = np.unique(np.concatenate(pairs, axis=1), axis=1)
        piece = piece + at
        near = np.linalg.norm(middle_km[piece] - centres_km[tile], axis=1) <= reach_km[piece]
        yield piece[near], tile[near]


def _geocentric_deg(points_km: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = points_km.T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _passes(parts: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parts with the number of their `pass`, and one row for each pass that sees enough of its tile."""
    parts = parts.sort_values(["tile", "satellite", "sensed_s"], ignore_index=True)
    since_s = parts.groupby(["tile", "satellite"])["sensed_s"].diff()
    parts["pass"] = (since_s.isna() | (since_s > SAME_PASS.total_seconds())).cumsum()
    # At the seam of two plans both may hold a segment.
    parts = parts[parts["source_epoch"] == parts.groupby("pass")["source_epoch"].transform("max")]
    most = parts.loc[parts.groupby("pass")["area_km2"].idxmax()].set_index("pass")
    whole = _by(parts, ["pass"], "sensed_s").set_index("pass")
    passes = most.assign(area_km2=whole["area_km2"], sensed_s=whole["sensed_s"]).reset_index()
    return parts, passes[passes["area_km2"] >= MIN_COVERED_KM2]


def _by(parts: pd.DataFrame, keys: list[str], time: str) -> pd.DataFrame:
    """Sum of areas and time of their common centroid."""
    weighted = parts[keys].assign(area_km2=parts["area_km2"], moment=parts["area_km2"] * parts[time])
    summed = weighted.groupby(keys, as_index=False)[["area_km2", "moment"]].sum()
    summed[time] = summed["moment"] / summed["area_km2"]
    return summed.drop(columns="moment")


def _swath(segment: Segment, strip: Strip) -> Swath:
    start = segment.start + timedelta(seconds=LATENESS_S)
    return Swath(
        satellite=segment.satellite,
        relative_orbit=segment.relative_orbit,
        absolute_orbit=segment.absolute_orbit,
        start=start,
        stop=start + timedelta(seconds=float(strip.after_s[-1])),
        geometry=map_outline(strip),
        imaging=IMAGING,
        source=SOURCE,
    )


def _problem_notes(plans: Sequence[AcquisitionPlan]) -> list[str]:
    return [
        f"acquisition plan {plan.source}: {len(plan.problems)} problem(s), the first: {plan.problems[0]}"
        for plan in plans
        if plan.problems
    ]


def _gap_notes(plans: Sequence[AcquisitionPlan], satellites: Sequence[str], start: datetime, end: datetime) -> Iterator[str]:
    for satellite in dict.fromkeys(satellites):
        for begin, until in gaps_of(coverage(plans, satellite), (start, end)):
            yield f"no acquisition plan covers {satellite} from {begin:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"
