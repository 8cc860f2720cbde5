"""Which searches find the scenes around many points: grouped in space and time, so that thousands need a handful.

Pure. Points fall into cells of one degree; the box around the points of a cell stands for it. Time is cut into equal
spans, and all boxes of a span go into one search as one geometry. Short spans need many searches, long ones find scenes that
no point asks for: the length is the one that should need the fewest requests. So there are at most as many searches as cells
of space and time that hold points, and mostly a hundredth of that. Not here: asking the service (`search`).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import mapping

from s2chips_core.overpasses.tile_grid import Area

CELL_DEG = 1.0
SHORTEST_SPAN_S = 86_400.0
MOST_BOXES = 150
"""Boxes in one search: its geometry stays below 20 kB."""
STEPS_PER_DEGREE = 100.0
"""Boxes end at hundredths of a degree: shorter to write down, and at most 1.1 km larger."""
SCENES_A_BOX_AND_DAY = 1.5
"""A box around a cell touches four tiles or so, each imaged every two or three days."""
SCENES_A_REQUEST = 100
"""So many scenes that nobody wants may be found more to save one request: half a page, half a megabyte."""
METRES_PER_DEGREE = 110_500.0
"""Shortest degree of latitude (at the equator), rounded down: a margin made with it is never too small."""

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSearch:
    """One search: a geometry and a time range."""

    intersects: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon, longitudes within [-180, 180], split at the antimeridian."""
    boxes: int
    """How many boxes it was made of."""
    start: np.datetime64
    end: np.datetime64
    """UTC, both included."""


def plan_searches(
    lon: Floats,
    lat: Floats,
    time: npt.NDArray[np.datetime64],
    *,
    before_s: float,
    after_s: float,
    margin_m: float,
    latest: np.datetime64,
) -> list[PlannedSearch]:
    """Searches that together cover every point from `before_s` before its time to `after_s` after it.

    Args:
        lon, lat: shape (points,), degrees.
        time: shape (points,), UTC.
        before_s, after_s: how far to look around each time, seconds.
        margin_m: how far to look around each point, metres.
        latest: nothing is looked for after this; a window that only begins later is left out.

    Returns:
        In order of time. No search covers a window that no point has, but for the union of boxes within one span.
    """
    start = time.astype("datetime64[ms]") - np.timedelta64(round(before_s * 1000), "ms")
    end = np.minimum(time.astype("datetime64[ms]") + np.timedelta64(round(after_s * 1000), "ms"), latest)
    kept = start <= end
    lon, lat, start, end = lon[kept], lat[kept], start[kept], end[kept]
    if not len(lon):
        return []
    origin = start.min()
    begins_s = (start - origin).astype(np.int64) / 1000.0
    ends_s = (end - origin).astype(np.int64) / 1000.0
    span_s = _span_s(begins_s, ends_s, _cells(lon, lat))
    point, span = _spans_of(begins_s, ends_s, span_s)
    planned = []
    for number in np.unique(span):
        rows = point[span == number]
        from_s = max(float(begins_s[rows].min()), number * span_s)
        to_s = min(float(ends_s[rows].max()), (number + 1) * span_s)
        boxes = _boxes(lon[rows], lat[rows], margin_m)
        chunks = [boxes[first : first + MOST_BOXES] for first in range(0, len(boxes), MOST_BOXES)]
        planned += [
            PlannedSearch(
                intersects=union_geometry(chunk),
                boxes=len(chunk),
                start=origin + np.timedelta64(math.floor(from_s * 1000), "ms"),
                end=origin + np.timedelta64(math.ceil(to_s * 1000), "ms"),
            )
            for chunk in chunks
        ]
    return planned


def union_geometry(areas: Sequence[Area]) -> dict[str, Any]:
    """One GeoJSON geometry for many boxes.

    Args:
        areas: west, south, east, north, degrees; at least one. `west` > `east` crosses the antimeridian, and is split there.
    """
    boxes = []
    for west, south, east, north in areas:
        halves = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        boxes += [shapely.box(a, south, b, north) for a, b in halves]
    geometry: dict[str, Any] = mapping(shapely.normalize(shapely.union_all(boxes)).reverse())
    return geometry


def _span_s(begins_s: Floats, ends_s: Floats, cell: npt.NDArray[np.int64]) -> float:
    """The length of a span, a day or a power of two times that, that should need the fewest requests."""
    _, cell = np.unique(cell, return_inverse=True)
    cells = int(cell.max()) + 1
    best_s, fewest, span_s = SHORTEST_SPAN_S, math.inf, SHORTEST_SPAN_S
    while True:
        point, span = _spans_of(begins_s, ends_s, span_s)
        spans, boxes = np.unique(np.unique(span * cells + cell[point]) // cells, return_counts=True)
        searches = int((-(-boxes // MOST_BOXES)).sum())
        scenes = SCENES_A_BOX_AND_DAY * float(boxes.sum()) * span_s / 86_400.0
        requests = searches + scenes / SCENES_A_REQUEST
        if requests < fewest:
            best_s, fewest = span_s, requests
        if len(spans) == 1:
            return best_s
        span_s *= 2.0


def _spans_of(begins_s: Floats, ends_s: Floats, span_s: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs (point, span number) of every span that a point's window touches."""
    first = np.floor(begins_s / span_s).astype(np.int64)
    count = np.floor(ends_s / span_s).astype(np.int64) - first + 1
    point = np.repeat(np.arange(len(first)), count)
    step = np.arange(len(point)) - np.repeat(np.cumsum(count) - count, count)
    return point, first[point] + step


def _boxes(lon: Floats, lat: Floats, margin_m: float) -> list[Area]:
    """A box around the points of each cell, `margin_m` larger on each side."""
    lon = (lon + 180.0) % 360.0 - 180.0
    _, inverse = np.unique(_cells(lon, lat), return_inverse=True)
    count = int(inverse.max()) + 1
    west, south = np.full(count, 180.0), np.full(count, 90.0)
    east, north = np.full(count, -180.0), np.full(count, -90.0)
    np.minimum.at(west, inverse, lon)
    np.maximum.at(east, inverse, lon)
    np.minimum.at(south, inverse, lat)
    np.maximum.at(north, inverse, lat)
    margin_deg = margin_m / METRES_PER_DEGREE
    south, north = np.maximum(south - margin_deg, -90.0), np.minimum(north + margin_deg, 90.0)
    farthest = np.maximum(np.abs(south), np.abs(north))
    with np.errstate(divide="ignore"):
        margin_lon_deg = np.minimum(margin_deg / np.cos(np.radians(np.minimum(farthest, 90.0))), 180.0)
    west, east = _down(west - margin_lon_deg), -_down(-east - margin_lon_deg)
    south, north = _down(south), -_down(-north)
    around = (east - west >= 360.0) | (farthest > 89.9)
    west, east = np.where(around, -180.0, west), np.where(around, 180.0, east)
    # Beyond the antimeridian: west > east.
    west = np.where(west < -180.0, west + 360.0, west)
    east = np.where(east > 180.0, east - 360.0, east)
    return [tuple(map(float, box)) for box in np.column_stack([west, south, east, north])]  # type: ignore[misc]


def _cells(lon: Floats, lat: Floats) -> npt.NDArray[np.int64]:
    """The number of each point's cell; `lon` of any turn."""
    lon = (lon + 180.0) % 360.0 - 180.0
    return np.floor(lat / CELL_DEG).astype(np.int64) * 1000 + np.floor(lon / CELL_DEG).astype(np.int64)


def _down(degrees: Floats) -> Floats:
    """The next step below, never above."""
    return np.minimum(degrees, np.floor(degrees * STEPS_PER_DEGREE) / STEPS_PER_DEGREE)
