"""The geometry of the report's map: a local Web Mercator in kilometres, fitted to the day.

Here: footprints as SVG paths, what the map shows first. Not here: the projection (`overpasses.mercator`), drawing, zooming
and the graticule (`templates/`). Lines between vertices are straight on the map: no footprint is so long that this shows.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import shapely
import shapely.geometry

from s2chips_core.overpasses.mercator import MAX_LAT_DEG, Floats, find_central_meridian_deg, mercator_km, svg_path

_T = TypeVar("_T")

_MIN_VIEW_KM = 12.0
_PADDING = 0.05
_SEAM_KM = 1e-3
_DECIMALS = 3  # of a kilometre: to the metre


_BATCH_CHIPS = 500


class Places(Protocol):
    """Chips on the map; a dict is one."""

    def items(self) -> Iterable[tuple[str, tuple[str, float, float, bytes]]]:
        """Item id and (label, lon, lat, footprint as WKB)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box on the map, kilometres; y grows southwards as SVG has it."""

    x: float
    y: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A footprint or a place on the map."""

    key: str
    """What it stands for: the id of an item of the page, or a scene id."""
    label: str
    d: str
    """The outline as an SVG path; empty for a mere place."""
    x: float
    y: float
    """Where its mark or name stands."""
    box: Box


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DayMap:
    """All of a day's map. x = radius * (lon - lon0), y = -radius * (psi(lat) - psi(lat0)), kilometres."""

    lon0_deg: float
    lat0_deg: float
    scenes: tuple[Shape, ...]
    chips: tuple[Shape, ...]
    refused: tuple[Shape, ...]
    home: Box
    """Chips and scenes; where there are none, everything."""
    whole: Box
    """Everything, refused targets too."""


def build_map(
    *,
    scenes: Mapping[str, tuple[str, Mapping[str, Any]]],
    chips: Places,
    refused: Mapping[str, tuple[str, float, float]],
) -> DayMap | None:
    """Put a day on its map; None where nothing has a place.

    Args:
        scenes: scene id -> (label, footprint as GeoJSON geometry, WGS 84 lon/lat).
        chips: item id and (label, lon, lat, footprint as WKB, WGS 84 lon/lat); gone through twice.
        refused: item id -> (label, lon, lat); those that are no place on Earth are left out.
    """
    placed = {k: v for k, v in refused.items() if abs(v[1]) <= 180.0 and abs(v[2]) <= 90.0}
    outlines = {k: shapely.geometry.shape(footprint) for k, (_, footprint) in scenes.items()}
    points = np.array([(lon, lat) for _, lon, lat in placed.values()], dtype=np.float64).reshape(-1, 2)
    of_chips = []
    for several in _batched(chips.items(), _BATCH_CHIPS):
        of_chips.append(np.array([(lon, lat) for _, (_, lon, lat, _) in several], dtype=np.float64))
        of_chips.append(shapely.get_coordinates(shapely.from_wkb([wkb for _, (_, _, _, wkb) in several])))
    everything = np.concatenate([points, shapely.get_coordinates([*outlines.values()]), *of_chips])
    if everything.size == 0:
        return None
    lats = np.clip(everything[:, 1], -MAX_LAT_DEG, MAX_LAT_DEG)
    lon0, lat0 = find_central_meridian_deg(everything[:, 0]), float(lats.min() + lats.max()) / 2.0

    def place(lon: float, lat: float) -> tuple[float, float]:
        x, y = mercator_km(np.array([lon]), np.array([lat]), lon0_deg=lon0, lat0_deg=lat0)
        return float(x[0]), float(y[0])

    def outline(geometry: Any) -> Any:
        # Footprints that were cut at 180 degrees are joined again: on this map there is no cut.
        def project(coordinates: Floats) -> Floats:
            x, y = mercator_km(coordinates[:, 0], coordinates[:, 1], lon0_deg=lon0, lat0_deg=lat0)
            return np.column_stack([x, y])

        flat = shapely.transform(shapely.force_2d(geometry), project)
        return shapely.union_all(shapely.get_parts(shapely.make_valid(flat)), grid_size=_SEAM_KM)

    scene_shapes = []
    for key, geometry in outlines.items():
        flat = outline(geometry)
        box = _box_around([flat.bounds])
        scene_shapes.append(Shape(key=key, label=scenes[key][0], d=svg_path(flat, _DECIMALS), x=box.x, y=box.y, box=box))
    chip_shapes = []
    for key, (label, lon, lat, wkb) in chips.items():
        flat = outline(shapely.from_wkb(wkb))
        x, y = place(lon, lat)
        box = _box_around([flat.bounds])
        chip_shapes.append(Shape(key=key, label=label, d=svg_path(flat, _DECIMALS), x=x, y=y, box=box))
    marks = []
    for key, (label, lon, lat) in placed.items():
        x, y = place(lon, lat)
        marks.append(Shape(key=key, label=label, d="", x=x, y=y, box=Box(x=x, y=y, width=0.0, height=0.0)))

    near = [_bounds(s.box) for s in (*scene_shapes, *chip_shapes)]
    far = [_bounds(s.box) for s in marks]
    return DayMap(
        lon0_deg=lon0,
        lat0_deg=lat0,
        scenes=tuple(scene_shapes),
        chips=tuple(chip_shapes),
        refused=tuple(marks),
        home=_view(near or far),
        whole=_view(near + far),
    )


def _batched(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    left = iter(things)
    while several := list(itertools.islice(left, size)):
        yield several


def _bounds(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.x + box.width, box.y + box.height


def _box_around(bounds: Iterable[Sequence[float]]) -> Box:
    west, north, east, south = (list(edge) for edge in zip(*bounds, strict=True))
    return Box(x=min(west), y=min(north), width=max(east) - min(west), height=max(south) - min(north))


def _view(bounds: Sequence[Sequence[float]]) -> Box:
    box = _box_around(bounds)
    width = max(box.width * (1 + 2 * _PADDING), _MIN_VIEW_KM)
    height = max(box.height * (1 + 2 * _PADDING), _MIN_VIEW_KM)
    return Box(x=box.x + (box.width - width) / 2, y=box.y + (box.height - height) / 2, width=width, height=height)
