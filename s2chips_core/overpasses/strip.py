"""The strip of ground that a pushbroom camera sweeps, from its outline in an acquisition plan.

The outline begins at the centre of the start edge, goes along one side, over the centre of the stop edge (vertex n/2) and
back along the other side. Vertices that face each other lie on one line across the track, sensed at one moment: against an
orbit by sgp4 from elements of the same days both ends of a line and its centre agree to 0.01 s. From one line to the next
it is exactly 60 s, only the last piece is shorter. So a strip is a row of pieces, each between two cross lines, and a point
is placed in a piece by its distances from the four planes through its edges and the Earth's centre: neither longitudes that
jump at the antimeridian nor the poles are special. Against the same orbit the time of a point is right to 0.06 s root mean
square, and to 0.4 s in a strip of one piece shorter than 60 s.

Here: outline to strip, what of a tile lies in a piece, and the outline for a map. Not here: whose strip it is.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from s2chips_core.errors import InputError
from s2chips_core.overpasses.antimeridian import cut_polygon
from s2chips_core.overpasses.orbit import FLATTENING, earth_fixed_km

CROSS_LINE_S = 60.0
GROUND_SPEED_KM_S = 6.713  # mean of both sides of 4,000 whole pieces: 6.69 to 6.73
_WHOLE_PIECE_KM = (398.0, 405.0)  # measured 399.6 to 403.1
_WIDTH_KM = (250.0, 350.0)  # measured 288 to 298
_MAX_PIECE_KM = 500.0
_MIN_LENGTH_KM = 0.05
_MAX_OFF_CENTRE_KM = 10.0
_MAX_VERTICES = 1_000
_MIN_COS_TURN = 0.95  # from one line to the next; measured 0.998
_MAX_COS_ACROSS = 0.1  # between track and lines; measured 0.004
_MAP_STEPS = 5  # points for each edge of 400 km: an arc of 80 km leaves its chord in longitude/latitude by 0.5 km at 75°


class Vertex(NamedTuple):
    """A corner of an outline, degrees; the longitude may run on beyond ±180."""

    lon: float
    lat: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strip:
    """Cross lines of a strip in the order of time."""

    first_km: np.ndarray
    """Ends on the side of vertex 1, Earth-fixed (WGS 84, EPSG:4978) kilometres, shape (lines, 3)."""
    second_km: np.ndarray
    """Ends on the other side, shape (lines, 3)."""
    after_s: np.ndarray
    """When each line is sensed, seconds after the first, shape (lines,)."""


def build_strip(outline: Sequence[Vertex]) -> Strip:
    """The strip of an outline.

    Args:
        outline: its vertices, the closing one left out; at least 6 and an even number.

    Raises:
        InputError: it is no outline of a strip as this module knows it.
    """
    count = len(outline)
    if count < 6 or count % 2 or count > _MAX_VERTICES:
        raise InputError("polygon", f"{count} vertices", f"an even number from 6 to {_MAX_VERTICES}")
    degrees = np.array(outline, dtype=float)
    points = earth_fixed_km(degrees[:, 0], degrees[:, 1])
    half = count // 2
    first, second = points[1:half], points[half + 1 :][::-1]
    width = np.linalg.norm(first - second, axis=1)
    if width.min() < _WIDTH_KM[0] or width.max() > _WIDTH_KM[1]:
        expected = f"a strip {_WIDTH_KM[0]:.0f} to {_WIDTH_KM[1]:.0f} km wide between vertices that face each other"
        raise InputError("polygon", f"a width of {width.min():.0f} to {width.max():.0f} km", expected)
    middle = (first + second) / 2
    off_centre = np.linalg.norm(points[[0, half]] - middle[[0, -1]], axis=1).max()
    if off_centre > _MAX_OFF_CENTRE_KM:
        expected = f"vertices 0 and {half} in the middle of the start and stop edge, within {_MAX_OFF_CENTRE_KM:.0f} km"
        raise InputError("polygon", f"{off_centre:.0f} km beside it", expected)
    _refuse_crooked(first, second, middle)
    length = (_lengths(first) + _lengths(second)) / 2
    if length.max() > _MAX_PIECE_KM or length.min() < _MIN_LENGTH_KM:
        expected = f"{_MIN_LENGTH_KM} to {_MAX_PIECE_KM:.0f} km from one vertex of a side to the next"
        raise InputError("polygon", f"{length.min():.2f} to {length.max():.0f} km", expected)
    whole = (length >= _WHOLE_PIECE_KM[0]) & (length <= _WHOLE_PIECE_KM[1])
    # The speed changes by 0.1 % from a piece to the next and by 0.6 % around the Earth.
    speed = length[whole][-1] / CROSS_LINE_S if whole.any() else GROUND_SPEED_KM_S
    seconds = np.where(whole, CROSS_LINE_S, length / speed)
    return Strip(first_km=first, second_km=second, after_s=np.concatenate([[0.0], np.cumsum(seconds)]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Pieces of many strips, one row each."""

    strip: np.ndarray
    """Number of the strip, shape (pieces,)."""
    start_s: np.ndarray
    """First cross line, seconds after the strip's first, shape (pieces,)."""
    duration_s: np.ndarray
    corners_km: np.ndarray
    """First and second end of the first cross line, first and second end of the next: shape (pieces, 4, 3)."""

    def middle_km(self) -> np.ndarray:
        """Shape (pieces, 3)."""
        middle: np.ndarray = self.corners_km.mean(axis=1)
        return middle

    def radius_km(self) -> np.ndarray:
        """Distance of the furthest corner from the middle, shape (pieces,)."""
        radius: np.ndarray = np.linalg.norm(self.corners_km - self.middle_km()[:, None], axis=2).max(axis=1)
        return radius

    def part_inside(self, piece: np.ndarray, squares_km: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What of squares lies in pieces.

        Args:
            piece: row of the piece for each square, shape (n,); the square is not on the far side of the Earth.
            squares_km: corners of the squares in order around, Earth-fixed kilometres, shape (n, 4, 3).

        Returns:
            Area in km² (right to 1 %), and the moment when its centroid is sensed, seconds after the strip's first line; not
            a number where the area is 0. Shape (n,).
        """
        corners = self.corners_km[piece]
        first, second, next_first, next_second = (corners[:, i] for i in range(4))
        along = _between(squares_km, _plane(first, second), _plane(next_first, next_second))
        across = _between(squares_km, _plane(first, next_first), _plane(second, next_second))
        length = (np.linalg.norm(next_first - first, axis=1) + np.linalg.norm(next_second - second, axis=1)) / 2
        width = (np.linalg.norm(second - first, axis=1) + np.linalg.norm(next_second - next_first, axis=1)) / 2
        share, middle = _in_unit_square(along, across)
        return share * length * width, self.start_s[piece] + middle * self.duration_s[piece]


def pieces_of(strips: Sequence[Strip]) -> Pieces:
    """All pieces of some strips, in order; at least one strip."""
    corners = [np.stack([s.first_km[:-1], s.second_km[:-1], s.first_km[1:], s.second_km[1:]], axis=1) for s in strips]
    return Pieces(
        strip=np.repeat(np.arange(len(strips)), [len(c) for c in corners]),
        start_s=np.concatenate([s.after_s[:-1] for s in strips]),
        duration_s=np.concatenate([np.diff(s.after_s) for s in strips]),
        corners_km=np.concatenate(corners),
    )


def map_outline(strip: Strip) -> BaseGeometry:
    """The strip as Polygon or MultiPolygon in WGS 84 lon/lat degrees, cut at the antimeridian (RFC 7946, section 3.1.9)."""
    ring = np.concatenate([strip.first_km, strip.second_km[::-1], strip.first_km[:1]])
    steps = np.arange(_MAP_STEPS)[:, None] / _MAP_STEPS
    dense = np.concatenate([a + (b - a) * steps for a, b in itertools.pairwise(ring)])
    lon = np.degrees(np.arctan2(dense[:, 1], dense[:, 0]))
    # A chord lies inside the Earth: only the direction from the centre counts.
    lat = np.degrees(np.arctan2(dense[:, 2], (1.0 - FLATTENING) ** 2 * np.hypot(dense[:, 0], dense[:, 1])))
    return cut_polygon(lon, lat)


def _refuse_crooked(first: np.ndarray, second: np.ndarray, middle: np.ndarray) -> None:
    across, along = _unit(second - first), _unit(np.diff(middle, axis=0))
    turns = [(across[:-1] * across[1:]).sum(axis=1), (along[:-1] * along[1:]).sum(axis=1)]
    slant = np.abs((across[:-1] * along).sum(axis=1)).max()
    if min(t.min(initial=1.0) for t in turns) < _MIN_COS_TURN or slant > _MAX_COS_ACROSS:
        raise InputError(
            "polygon", "sides that turn, cross or slant", "two sides beside each other, lines across at right angles"
        )


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit


def _lengths(side: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(np.diff(side, axis=0), axis=1)
    return lengths


def _plane(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Unit normals of the planes through the Earth's centre and two points, shape (n, 3)."""
    return _unit(np.cross(a, b))


def _between(points: np.ndarray, plane: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where points (n, k, 3) lie between two planes (n, 3): 0 in the first, 1 in the other, shape (n, k)."""
    to_plane = np.einsum("nkx,nx->nk", points, plane)
    to_other = np.einsum("nkx,nx->nk", points, other)
    share: np.ndarray = to_plane / (to_plane - to_other)
    return share


def _in_unit_square(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area of convex quadrilaterals (n, 4) inside the unit square, and x of its centroid."""
    quads = shapely.polygons(np.stack([x, y], axis=-1))
    cut = (x.min(axis=1) < 0.0) | (x.max(axis=1) > 1.0) | (y.min(axis=1) < 0.0) | (y.max(axis=1) > 1.0)
    quads[cut] = shapely.clip_by_rect(quads[cut], 0.0, 0.0, 1.0, 1.0)
    middle = np.full(len(quads), np.nan)
    some = ~shapely.is_empty(quads)
    middle[some] = shapely.get_x(shapely.centroid(quads[some]))
    return shapely.area(quads), middle
