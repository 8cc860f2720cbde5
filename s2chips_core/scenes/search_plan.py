"""Which searches find the scenes around many points: grouped in space and time, so that thousands need a handful.

Pure. Points fall into cells of one degree; the box around the points of a cell stands for it. Time is cut into equal
spans, and all boxes of a span go into one search as one geometry. Not here: asking the service (`search`).
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
MOST_SPANS = 40
MOST_BOXES = 150
"""Boxes in one search: its body stays below 20 kB."""
METRES_PER_DEGREE = 110_500.0
"""Shortest degree of latitude (at the equator), rounded down: a margin made with it is never too small."""

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSearch:
    """One search: a geometry and a time range."""

    intersects: dict[str, Any]
    """GeoJSON Polygon or MultiPolygon, longitudes within [-180, 180], split at the antimeridian."""
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
    span_s = _span_s(begins_s, ends_s)
    point, span = _spans_of(begins_s, ends_s, span_s)
    planned = []
    for number in np.unique(span):
        rows = point[span == number]
        from_s = max(float(begins_s[rows].min()), number * span_s)
        to_s = min(float(ends_s[rows].max()), (number + 1) * span_s)
        boxes = _boxes(lon[rows], lat[rows], margin_m)
        planned += [
            PlannedSearch(
                intersects=union_geometry(boxes[first : first + MOST_BOXES]),
                start=origin + np.timedelta64(math.floor(from_s * 1000), "ms"),
                end=origin + np.timedelta64(math.ceil(to_s * 1000), "ms"),
            )
            for first in range(0, len(boxes), MOST_BOXES)
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


def _span_s(begins_s: Floats, ends_s: Floats) -> float:
    """The shortest span, at least a day, of which at most MOST_SPANS are not empty."""
    span_s = SHORTEST_SPAN_S
    while len(np.unique(_spans_of(begins_s, ends_s, span_s)[1])) > MOST_SPANS:
        span_s *= 2.0
    return span_s


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
    cell = np.floor(lat / CELL_DEG).astype(np.int64) * 1000 + np.floor(lon / CELL_DEG).astype(np.int64)
    _, inverse = np.unique(cell, return_inverse=True)
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
    west, east = west - margin_lon_deg, east + margin_lon_deg
    around = (east - west >= 360.0) | (farthest > 89.9)
    west, east = np.where(around, -180.0, west), np.where(around, 180.0, east)
    # Beyond the antimeridian: west > east.
    west = np.where(west < -180.0, west + 360.0, west)
    east = np.where(east > 180.0, east - 360.0, east)
    return [tuple(map(float, box)) for box in np.column_stack([west, south, east, north])]  # type: ignore[misc]
