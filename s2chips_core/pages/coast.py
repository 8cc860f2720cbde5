"""The coast line of the map: the land of Natural Earth, coarse for the whole world and fine where the chips are.

Here: from the TopoJSON files of `vendor/` to what the map draws. Not here: the map (`templates/dataset_map.js`).

TopoJSON: https://github.com/topojson/topojson-specification, arcs are quantised and delta-coded. Its rings are of a sphere:
one that crosses the antimeridian jumps by 360°, and one around a pole does not close on a plane. Both are unrolled here, so
that longitudes may lie outside of ±180°. The map draws the world three times side by side.
"""

import functools
import gzip
import importlib.resources
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import shapely.affinity

from s2chips_core.pages.packing import pack

COARSE, FINE = "land-50m.json", "land-10m.json.gz"
FINE_TOLERANCE_DEG = 0.002
"""About 200 m, a tenth of what a scale of 1:10 million promises."""
_COARSE_STEP_DEG, _FINE_STEP_DEG = 0.012, 1e-4
"""So fine are points stored: 16 bits for the world, 32 bits for the rest."""
_TURN = 360.0
_LAST_PARALLEL = 85.06
"""Web Mercator ends there."""

Ring = npt.NDArray[np.float64]


def decode_land(topology: Any) -> list[shapely.Polygon]:
    """The polygons of a TopoJSON topology with one object `land`, on a plane of longitude and latitude, degrees."""
    scale, shift = np.array(topology["transform"]["scale"]), np.array(topology["transform"]["translate"])
    arcs = [np.cumsum(np.array(arc), axis=0) * scale + shift for arc in topology["arcs"]]

    def ring(parts: Sequence[int]) -> Ring:
        # A number below zero is an arc backwards: ~0 is the first. Neighbours share their end point.
        lines = [arcs[n] if n >= 0 else arcs[~n][::-1] for n in parts]
        return unroll(np.concatenate([lines[0], *(line[1:] for line in lines[1:])]))

    geometries = topology["objects"]["land"]["geometries"]
    shapes = [shape for one in geometries for shape in (one["arcs"] if one["type"] == "MultiPolygon" else [one["arcs"]])]
    polygons = []
    for outer, *inner in shapes:
        shell = ring(outer)
        middle = (shell[:, 0].min() + shell[:, 0].max()) / 2
        shell[:, 0] -= _TURN * round(middle / _TURN)
        holes = []
        for hole in map(ring, inner):
            hole[:, 0] += _TURN * round((shell[0, 0] - hole[0, 0]) / _TURN)
            holes.append(hole)
        polygons.append(shapely.Polygon(shell, holes))
    return polygons


def unroll(ring: Ring) -> Ring:
    """A closed ring without jumps over the antimeridian; one that goes around a pole is led past it.

    Args:
        ring: (points, 2), longitude and latitude, degrees, the last point is the first.
    """
    steps = np.diff(ring[:, 0])
    lons = ring[0, 0] + np.concatenate([[0.0], np.cumsum(steps - _TURN * np.round(steps / _TURN))])
    found = np.column_stack([lons, ring[:, 1]])
    if abs(lons[-1] - lons[0]) > _TURN / 2:
        pole = math.copysign(90.0, float(ring[:, 1].mean()))
        found = np.vstack([found, [[lons[-1], pole], [lons[0], pole], found[0]]])
    return found


@functools.cache
def read_land(name: str) -> list[shapely.Polygon]:
    """The land of `COARSE` or `FINE`."""
    data = (importlib.resources.files("s2chips_core.pages") / "vendor" / name).read_bytes()
    return decode_land(json.loads(gzip.decompress(data) if name.endswith(".gz") else data))


def build_coarse() -> dict[str, Any]:
    """The world, as the map takes it (`pack_polygons`)."""
    top = shapely.box(-3 * _TURN, -_LAST_PARALLEL, 3 * _TURN, _LAST_PARALLEL)
    reach = [polygon for polygon in read_land(COARSE) if polygon.bounds[1] < -_LAST_PARALLEL]
    whole = [polygon for polygon in read_land(COARSE) if polygon.bounds[1] >= -_LAST_PARALLEL]
    cut = [part for polygon in reach for part in parts_of(shapely.intersection(shapely.make_valid(polygon), top))]
    return {"land": pack_polygons([*whole, *cut], _COARSE_STEP_DEG, np.dtype(np.int16))}


def build_fine(lons: npt.NDArray[np.float64], lats: npt.NDArray[np.float64]) -> dict[str, Any] | None:
    """The surroundings of the chips: at least 1° around each; none without chips.

    Args:
        lons, lats: of the chips, (n,), degrees.

    Returns:
        `region`, which is sea before `land` is drawn on it, and the `coast` as lines: where the region ends is no coast.
    """
    cells = {(int(x), int(y)) for x, y in zip(np.floor(lons), np.floor(lats), strict=True)}
    if not cells:
        return None
    region = shapely.unary_union([shapely.box(x - 1, y - 1, x + 2, y + 2) for x, y in sorted(cells)])
    fine = read_land(FINE)
    bounds = shapely.bounds(fine)
    land: list[shapely.Polygon] = []
    coast: list[shapely.LineString] = []
    for part in parts_of(region):
        west, south, east, north = part.bounds
        for polygon in _turned(fine, bounds, part):
            # A little beyond the part, so that where it is cut first is no boundary within it.
            near = shapely.clip_by_rect(polygon, west - 0.1, south - 0.1, east + 0.1, north + 0.1)
            # What mending leaves over as lines has no inside, and would hide the boundary of the rest.
            mended = shapely.make_valid(shapely.simplify(near, FINE_TOLERANCE_DEG))
            thin = shapely.MultiPolygon(parts_of(mended))
            land += parts_of(shapely.intersection(thin, part))
            coast += parts_of(shapely.intersection(shapely.boundary(thin), part), "LineString")
    step, kind = _FINE_STEP_DEG, np.dtype(np.int32)
    rings = [shapely.get_coordinates(line) for line in coast]
    return {
        "region": pack_polygons(parts_of(region), step, kind),
        "land": pack_polygons(land, step, kind),
        "coast": {**_pack_rings(rings, step, kind), "polygons": [1] * len(rings)},
    }


def parts_of(geometry: shapely.Geometry, kind: str = "Polygon") -> list[Any]:
    """The parts of a geometry that are of one type."""
    return [part for part in shapely.get_parts(shapely.get_parts(geometry)) if part.geom_type == kind]


def pack_polygons(polygons: Iterable[shapely.Polygon], step_deg: float, kind: "np.dtype[Any]") -> dict[str, Any]:
    """`points`: all of them, packed, in steps of `step`; `rings`: points of each ring; `polygons`: rings of each polygon."""
    rings, counts = [], []
    for polygon in polygons:
        of_polygon = [polygon.exterior, *polygon.interiors]
        rings += [shapely.get_coordinates(ring)[:-1] for ring in of_polygon]
        counts.append(len(of_polygon))
    return {**_pack_rings(rings, step_deg, kind), "polygons": counts}


def _pack_rings(rings: Sequence[Ring], step_deg: float, kind: "np.dtype[Any]") -> dict[str, Any]:
    points = np.concatenate(rings) if rings else np.zeros((0, 2))
    stored = np.round(points / step_deg).astype(kind)
    return {"step": step_deg, "points": pack(stored.ravel()), "rings": [len(ring) for ring in rings]}


def _turned(
    polygons: Sequence[shapely.Polygon], bounds: npt.NDArray[np.float64], part: shapely.Geometry
) -> Iterable[shapely.Polygon]:
    """Each polygon whose bounds, (n, 4), meet those of a part, one turn to the west or east too."""
    west, south, east, north = part.bounds
    left, bottom, right, top = bounds.T
    for n in np.flatnonzero((bottom <= north) & (top >= south)).tolist():
        for turn in (-_TURN, 0.0, _TURN):
            if left[n] + turn <= east and right[n] + turn >= west:
                yield polygons[n] if turn == 0.0 else shapely.affinity.translate(polygons[n], turn)
