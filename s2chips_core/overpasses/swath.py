"""What the camera sees while a satellite passes: look angles, when a point is sensed, the swath's edges.

Here: the descending halves of orbits as tracks that can be asked at any time, the camera's geometry on them, the part of
each tile inside the swath, and the swath as a polygon. Not here: which passes there are and what is planned of them
(`tle_plan`).

The camera looks across the ground track, in its middle straight down the ellipsoid's normal (geodetic pointing, yaw
steering). Against ESA's plan polygons (2024-12) both ends of a line and its middle are sensed within 0.01 s of each other.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from s2chips_core.overpasses.antimeridian import cut_polygon
from s2chips_core.overpasses.orbit import (
    FLATTENING,
    SEMI_MAJOR_KM,
    Floats,
    Satrec,
    geodetic_up,
    lonlat_below,
    propagate,
    sun_direction,
)

Ints = npt.NDArray[np.intp]
Polygons = npt.NDArray[np.object_]

HALF_FIELD_DEG = 10.3
"""Half of the camera's field of view: the edges of ESA's plan polygons are 10.296 to 10.302 degrees from straight down. That
is 288 km of ground where the satellite is lowest and 298 km where it is highest, nominally 290 km."""
_STEP_S = 60.0  # cubic interpolation between states is within 0.3 m
_REACH_S = 28 * 60.0  # either side of the node; a descending half takes 50 min
_GROUND_SPEED_KM_S = 6.72
_TILE_REACH_KM = 80.0  # half the diagonal of a tile, and some
_SWATH_REACH_KM = 150.0
_MEAN_RADIUS_KM = 6371.0
_PASSES_AT_ONCE = 50  # of the whole grid half a million pairs of a tile and a state
_EDGE_STEP_S = 10.0  # 67 km: at 83 degrees latitude the straight line in lon/lat is 0.8 km off


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """Descending halves of orbits, from the northernmost to the southernmost point; Unix times, Earth-fixed kilometres."""

    start_s: Floats
    """Shape (passes,)."""
    stop_s: Floats
    """Shape (passes,)."""
    first_s: Floats
    """Of the first state; the others follow every 60 s. Shape (passes,)."""
    position_km: Floats
    """Shape (passes, states, 3)."""
    velocity_km_s: Floats
    """Shape (passes, states, 3)."""

    def state(self, which: Ints, time_s: Floats) -> tuple[Floats, Floats]:
        """Position and velocity on pass `which` at times (cubic Hermite interpolation)."""
        steps = (time_s - self.first_s[which]) / _STEP_S
        number = np.clip(steps.astype(np.intp), 0, self.position_km.shape[1] - 2)
        u = (steps - number)[:, None]
        r0, r1 = self.position_km[which, number], self.position_km[which, number + 1]
        v0, v1 = self.velocity_km_s[which, number] * _STEP_S, self.velocity_km_s[which, number + 1] * _STEP_S
        c2, c3 = 3.0 * (r1 - r0) - 2.0 * v0 - v1, v0 + v1 - 2.0 * (r1 - r0)
        return r0 + u * (v0 + u * (c2 + u * c3)), (v0 + u * (2.0 * c2 + u * 3.0 * c3)) / _STEP_S

    def frame(self, which: Ints, time_s: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Position, unit vectors along, to the right and up (geodetic), and height (km)."""
        position, velocity = self.state(which, time_s)
        up, height = geodetic_up(position)
        along = velocity - _dot(velocity, up)[:, None] * up
        along /= np.linalg.norm(along, axis=1)[:, None]
        return position, along, np.cross(along, up), up, height


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Tiles that passes see a part of; arrays of one length."""

    track: Ints
    tile: Ints
    time_s: Floats
    """When the centroid of the part is sensed."""
    covered: Floats
    """Area of the part, of the tile's."""
    first_s: Floats
    last_s: Floats
    """When the part's first and last line are sensed."""
    sun_elevation_deg: Floats
    """At the centroid."""


def trace(satrecs: Sequence[Satrec], node_s: Floats) -> Tracks:
    """The descending halves around descending nodes, `satrecs[i]` around `node_s[i]`.

    Raises:
        InputError: as `orbit.propagate`.
    """
    offsets = np.arange(-_REACH_S, _REACH_S + 1.0, _STEP_S)
    times = node_s[:, None] + offsets
    position, velocity = np.empty((*times.shape, 3)), np.empty((*times.shape, 3))
    groups: dict[int, list[int]] = {}
    for number, satrec in enumerate(satrecs):
        groups.setdefault(id(satrec), []).append(number)
    for numbers in groups.values():
        position[numbers], velocity[numbers] = propagate(satrecs[numbers[0]], times[numbers])
    middle = offsets.size // 2
    south = velocity[:, :, 2] < 0.0
    # The last state before the middle that goes north, and the first one after it.
    top = middle - 1 - np.argmin(south[:, middle - 1 :: -1], axis=1)
    bottom = middle + np.argmin(south[:, middle:], axis=1) - 1
    return Tracks(
        start_s=_turn(times, velocity, top),
        stop_s=_turn(times, velocity, bottom),
        first_s=times[:, 0],
        position_km=position,
        velocity_km_s=velocity,
    )


def look_at(tracks: Tracks, which: Ints, points_km: Floats, guess_s: Floats, rounds: int = 5) -> tuple[Floats, Floats]:
    """When points are in the plane of the camera's view, and where in it.

    Args:
        tracks: the passes.
        which: number of the pass, for each point.
        points_km: shape (points, 3).
        guess_s: time to start from, within a few minutes.
        rounds: of Newton's method; each takes 1/100 of the error away or more.

    Returns:
        Unix times, and distances on the ground from the middle of the swath, -1 at its left edge and 1 at its right.
    """
    time_s = guess_s
    for _ in range(rounds):
        position, along, _, _, _ = tracks.frame(which, time_s)
        time_s = time_s + _dot(points_km - position, along) / _GROUND_SPEED_KM_S
    position, _, right, up, height_km = tracks.frame(which, time_s)
    ray = points_km - position
    angle = np.arctan2(_dot(ray, right), -_dot(ray, up))
    return time_s, _ground_angle(angle, height_km) / _ground_angle(np.radians(HALF_FIELD_DEG), height_km)


def edge_lonlat(tracks: Tracks, which: Ints, time_s: Floats, side: float) -> tuple[Floats, Floats]:
    """Longitude and latitude that are seen at `side` of the field of view (-1 left edge, 1 right, 0 middle)."""
    position, _, right, up, _ = tracks.frame(which, time_s)
    angle = np.radians(side * HALF_FIELD_DEG)
    ray = np.sin(angle) * right - np.cos(angle) * up
    # On axes in units of the ellipsoid it is a sphere: |p + s·r| = 1, the nearer s.
    axes = np.array([SEMI_MAJOR_KM, SEMI_MAJOR_KM, SEMI_MAJOR_KM * (1.0 - FLATTENING)])
    p, r = position / axes, ray / axes
    rr, pr = _dot(r, r), _dot(p, r)
    length = (-pr - np.sqrt(pr * pr - rr * (_dot(p, p) - 1.0))) / rr
    return lonlat_below(position + length[:, None] * ray)


def swath_polygons(tracks: Tracks, which: Ints, start_s: Floats, stop_s: Floats) -> list[BaseGeometry]:
    """What passes see from one time to another: WGS 84 lon/lat, cut at the antimeridian (RFC 7946, section 3.1.9)."""
    if not len(which):
        return []
    lines = np.maximum(2, np.rint((stop_s - start_s) / _EDGE_STEP_S).astype(np.intp) + 1)
    ends = np.cumsum(lines)
    number = np.arange(ends[-1]) - np.repeat(ends - lines, lines)
    times = np.repeat(start_s, lines) + number * np.repeat((stop_s - start_s) / (lines - 1), lines)
    of_line = np.repeat(which, lines)
    right, left = (np.column_stack(edge_lonlat(tracks, of_line, times, side)) for side in (1.0, -1.0))
    # Southwards on the right, in the west, and back on the left: counterclockwise.
    return [cut_polygon(*np.concatenate([right[a:b], left[a:b][::-1]]).T) for a, b in zip(ends - lines, ends, strict=True)]


def find_looks(tracks: Tracks, corners_km: Floats, least: float) -> Looks:
    """Every tile with every pass that sees at least a share `least` of it.

    Args:
        tracks: the passes.
        corners_km: of the tiles, in order around each, Earth-fixed, shape (tiles, 4, 3).
        least: of the tile's area, 0 to 1.
    """
    track, tile, time_s = _near(tracks, corners_km.mean(axis=1))
    corners = corners_km[tile]
    four = np.repeat(track, 4)
    position, along, _, _, _ = tracks.frame(track, time_s)
    guess = time_s[:, None] + _dot(corners - position[:, None], along[:, None]) / _GROUND_SPEED_KM_S
    times, side = (a.reshape(-1, 4) for a in look_at(tracks, four, corners.reshape(-1, 3), guess.ravel(), rounds=2))
    # In units of the pass and of half the swath, what is seen is a rectangle.
    begun, length = tracks.start_s[track], (tracks.stop_s - tracks.start_s)[track]
    whole, cut = _clip((times - begun[:, None]) / length[:, None], side)
    covered = shapely.area(cut) / shapely.area(whole)
    seen = (covered >= least) & (covered > 0.0)
    covered, cut, track, tile, begun, length = (a[seen] for a in (covered, cut, track, tile, begun, length))
    middle, bounds = shapely.get_coordinates(shapely.centroid(cut)), shapely.bounds(cut)
    at_s = begun + middle[:, 0] * length
    return Looks(
        track=track,
        tile=tile,
        time_s=at_s,
        covered=covered,
        first_s=begun + bounds[:, 0] * length,
        last_s=begun + bounds[:, 2] * length,
        sun_elevation_deg=_sun_elevation_deg(tracks, track, at_s, middle[:, 1]),
    )


def _near(tracks: Tracks, centres_km: Floats) -> tuple[Ints, Ints, Floats]:
    """Passes and tiles that may meet, with the time when the tile's centre is abeam."""
    centre = centres_km / np.linalg.norm(centres_km, axis=1)[:, None]
    below = tracks.position_km / np.linalg.norm(tracks.position_km, axis=2)[:, :, None]
    passes, states = below.shape[:2]
    half_step_km = _STEP_S * _GROUND_SPEED_KM_S / 2
    reach_km = np.hypot(_SWATH_REACH_KM + _TILE_REACH_KM, half_step_km) + 15.0  # geodetic and geocentric nadir: 3 km
    chord = 2.0 * np.sin(reach_km / _MEAN_RADIUS_KM / 2.0)
    tiles_near = cKDTree(centre)
    found: list[tuple[Ints, Ints, Floats]] = []
    for at in range(0, passes, _PASSES_AT_ONCE):
        some = below[at : at + _PASSES_AT_ONCE].reshape(-1, 3)
        pairs = cKDTree(some).sparse_distance_matrix(tiles_near, chord, output_type="ndarray")
        # Of each pass and tile the state that is nearest, of two the first.
        pairs = pairs[np.lexsort((pairs["i"], pairs["v"], pairs["j"], pairs["i"] // states))]
        track, tile, step = pairs["i"] // states, pairs["j"], pairs["i"] % states
        first = np.ones(len(pairs), dtype=bool)
        first[1:] = (track[1:] != track[:-1]) | (tile[1:] != tile[:-1])
        track, tile, step = track[first] + at, tile[first], step[first]
        time_s, side = look_at(tracks, track, centres_km[tile], tracks.first_s[track] + step * _STEP_S, rounds=3)
        reach = 1.0 + _TILE_REACH_KM / (_SWATH_REACH_KM - 6.0)
        margin_s = 1.5 * _TILE_REACH_KM / _GROUND_SPEED_KM_S
        near = (
            (np.abs(side) <= reach)
            & (time_s >= tracks.start_s[track] - margin_s)
            & (time_s <= tracks.stop_s[track] + margin_s)
        )
        found.append((track[near], tile[near], time_s[near]))
    tracks_, tiles, times = (np.concatenate(column) for column in zip(*found, strict=True))
    return tracks_, tiles, times


def _clip(x: Floats, y: Floats) -> tuple[Polygons, Polygons]:
    """Quadrilaterals as they are, and cut to 0 ≤ x ≤ 1, -1 ≤ y ≤ 1."""
    whole: Polygons = shapely.polygons(np.stack([x, y], axis=-1))
    cut = whole.copy()
    inside = ((x >= 0.0) & (x <= 1.0) & (np.abs(y) <= 1.0)).all(axis=1)
    cut[~inside] = shapely.clip_by_rect(whole[~inside], 0.0, -1.0, 1.0, 1.0)
    return whole, cut


def _sun_elevation_deg(tracks: Tracks, which: Ints, time_s: Floats, side: Floats) -> Floats:
    _, _, right, up, height_km = tracks.frame(which, time_s)
    turned = side * _ground_angle(np.radians(HALF_FIELD_DEG), height_km)
    zenith = np.cos(turned)[:, None] * up + np.sin(turned)[:, None] * right
    elevation: Floats = np.degrees(np.arcsin(np.clip(_dot(zenith, sun_direction(time_s)), -1.0, 1.0)))
    return elevation


def _turn(times: Floats, velocity: Floats, before: Ints) -> Floats:
    """When the northward velocity passes zero between states `before` and the next."""
    rows = np.arange(len(times))
    v0, v1 = velocity[rows, before, 2], velocity[rows, before + 1, 2]
    turn: Floats = times[rows, before] + _STEP_S * v0 / (v0 - v1)
    return turn


def _ground_angle(look_rad: Floats, height_km: Floats) -> Floats:
    """At the Earth's centre, between the point below and the point seen at a look angle (sphere)."""
    return np.arcsin((1.0 + height_km / _MEAN_RADIUS_KM) * np.sin(look_rad)) - look_rad


def _dot(a: Floats, b: Floats) -> Floats:
    product: Floats = np.einsum("...i,...i->...", a, b)
    return product
