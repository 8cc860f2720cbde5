"""The layers of the picture of a plan: swaths by ground track, tiles, and the names on both.

Not here: the frame and its degrees (`map_view`), the whole picture with legend and list (`swath_map`).
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from s2chips_core.overpasses import svg
from s2chips_core.overpasses.map_view import Geometries, MapView
from s2chips_core.overpasses.mercator import svg_path
from s2chips_core.overpasses.plan import Swath

MAX_SINGLE_TILES = 200
"""Up to so many tiles each has its own outline, and maybe its name."""
MAX_TRACKS = 60
"""Of more ground tracks only the swaths of the first day are drawn: all of them would cover everything."""
SATELLITE_COLOURS: Mapping[str, str] = {"S2A": "#7b3294", "S2B": "#e69f00", "S2C": "#009e73"}
"""Far apart for any colour vision: violet of ColorBrewer's PRGn, orange and bluish green of Okabe and Ito (2008)."""
_OTHER_COLOUR = "#66717b"
_LETTER_COLOURS = {"S2B": svg.INK}  # on the disc; white on the others
SOURCES: Mapping[str, tuple[str, str]] = {
    "acquisition_plan": ("ESA acquisition plan", ""),
    "tle": ("Orbital elements (TLE)", "7 3.5"),
    "repeat_cycle": ("Repeat cycle", "1.5 3.5"),
    "backfill": ("Archive (backfill)", ""),
}
"""Source -> what people call it, and its `stroke-dasharray`."""
_INSET_PX = 3.0

Look = tuple[str, str]
"""Satellite and source of a tile's first pass."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """All swaths of one satellite along one ground track, by one source."""

    satellite: str
    relative_orbit: int | None
    source: str
    swaths: int
    """How many."""
    last_start: datetime
    """Of the last of them."""
    shape: BaseGeometry
    """Pixels of the frame."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TileShape:
    """A tile, or all tiles that look alike."""

    name: str
    """Empty for several."""
    look: Look | None
    """None: no pass."""
    shape: BaseGeometry
    """Pixels of the frame."""


def colour_of(satellite: str) -> str:
    """The satellite's colour; grey for one that is not known here."""
    return SATELLITE_COLOURS.get(satellite, _OTHER_COLOUR)


def satellite_disc(satellite: str, x: float, y: float) -> str:
    """The satellite's colour and letter."""
    return svg.disc(x, y, 6.5, satellite[-1:], colour_of(satellite), _LETTER_COLOURS.get(satellite, "#ffffff"))


def dashes_of(source: str) -> str:
    """`stroke-dasharray` of a source."""
    return SOURCES.get(source, (source, ""))[1]


def swaths_to_draw(swaths: Sequence[Swath]) -> list[Swath]:
    """In order of time: all, or where they have too many ground tracks those of the first 24 hours."""
    in_order = sorted(swaths, key=lambda swath: (swath.start, swath.satellite))
    if len({_ground(swath) for swath in in_order}) <= MAX_TRACKS:
        return in_order
    return [swath for swath in in_order if swath.start < in_order[0].start + timedelta(days=1)]


def draw_tracks(swaths: Sequence[Swath], view: MapView, tolerance_px: float) -> list[Track]:
    """What is seen of the swaths, those of one ground track, satellite and source as one; in the order of the swaths."""
    by_ground: dict[tuple[Any, ...], list[Swath]] = {}
    for swath in swaths:
        by_ground.setdefault(_ground(swath), []).append(swath)
    frame = shapely.box(0, 0, view.width_px, view.height_px)
    satellites: dict[object, list[str]] = {}
    tracks = []
    for key, members in by_ground.items():
        shape = view.draw([swath.geometry for swath in members], tolerance_px)
        if not shape.intersects(frame):
            continue
        # All satellites fly over the same ground: the outlines of the second and third are drawn inside the first.
        there = satellites.setdefault(key[-1], [])
        if members[0].satellite not in there:
            there.append(members[0].satellite)
        inset_px = _INSET_PX * there.index(members[0].satellite)
        inner = shape.buffer(-inset_px, join_style="mitre") if inset_px else shape
        tracks.append(
            Track(
                satellite=members[0].satellite,
                relative_orbit=members[0].relative_orbit,
                source=members[0].source,
                swaths=len(members),
                last_start=max(swath.start for swath in members),
                shape=shape if inner.is_empty else inner,
            )
        )
    return tracks


def coarsen(shape: BaseGeometry, tolerance_px: float) -> BaseGeometry:
    """The shape with fewer vertices: what is narrower than `tolerance_px`, and each gap that is, may go."""
    if tolerance_px <= 0:
        return shape
    closed = shape.buffer(tolerance_px / 2, join_style="mitre").buffer(-tolerance_px / 2, join_style="mitre")
    return shapely.simplify(closed, tolerance_px / 2)


def track_paths(tracks: Sequence[Track], *, thick: bool) -> list[str]:
    """The swaths, semi-transparent in the colour of the satellite, the line as the source has it."""
    # What lies on the same ground shares its share of colour: three satellites would else make it grey.
    sharing = Counter(track.relative_orbit for track in tracks)
    full = 0.2 if len(tracks) <= 12 else 0.12
    return [
        svg.path(
            svg_path(track.shape, 1),
            fill=colour_of(track.satellite),
            fill_opacity=full if track.relative_orbit is None else max(full / sharing[track.relative_orbit], 0.05),
            stroke=colour_of(track.satellite),
            stroke_width=1.7 if thick else 1.0,
            dash=dashes_of(track.source),
            css=_css_of(track.satellite),
        )
        for track in tracks
    ]


def name_tracks(tracks: Sequence[Track], labels: svg.Labels, view: MapView, avoid: Sequence[svg.Box]) -> str:
    """`R094` and the discs of its satellites, once on each ground track, where there is room, off `avoid` if it can be."""
    by_orbit: dict[int, list[Track]] = {}
    for track in tracks:
        if track.relative_orbit is not None:
            by_orbit.setdefault(track.relative_orbit, []).append(track)
    drawn = []
    for orbit, members in sorted(by_orbit.items()):
        shape = shapely.union_all([track.shape for track in members])
        satellites = sorted({track.satellite for track in members})
        width = 45.0 + 15 * len(satellites)
        for further, y in itertools.product((avoid, ()), np.arange(view.height_px - 18, 14, -12).tolist()):
            chord = _widest_chord(shape, y, view.width_px)
            if chord is None or chord[1] - chord[0] < 0.7 * width:
                continue
            west = min(max((chord[0] + chord[1] - width) / 2, 4), view.width_px - width - 4)
            box = (west, y - 11, west + width, y + 11)
            if labels.is_free(box, further):
                labels.take(box)
                discs = "".join(satellite_disc(s, west + 12 + 15 * n, y) for n, s in enumerate(satellites))
                name = svg.text(west + 8 + 15 * len(satellites), y + 4, f"R{orbit:03d}", size=11.5, weight=600)
                drawn.append(svg.pill(box) + discs + name)
                break
    return "".join(drawn)


def first_looks(passes: pd.DataFrame) -> dict[str, Look]:
    """For each tile of a plan (PLAN_SCHEMA) the satellite and source of its first pass."""
    first = passes.sort_values(["overpass_time", "satellite"]).drop_duplicates("tile_id")
    return dict(zip(first["tile_id"], zip(first["satellite"], first["source"], strict=True), strict=True))


def draw_tiles(
    names: Sequence[str],
    outlines: Geometries,
    looks: Mapping[str, Look],
    view: MapView,
    tolerance_px: float,
    *,
    coloured: bool,
) -> list[TileShape]:
    """The tiles: each on its own, or, where there are many, those that look alike as one shape.

    Args:
        names: of the tiles.
        outlines: as `tile_outlines` has them.
        looks: the first pass of each tile that has one.
        view: the frame.
        tolerance_px: an outline may be so far off.
        coloured: they are to have the colour of the satellite that passes first.
    """
    if len(names) > MAX_SINGLE_TILES:
        kinds: dict[Look | None, list[int]] = {}
        for place, tile in enumerate(names):
            look = looks.get(tile)
            kinds.setdefault(look if coloured or look is None else ("", ""), []).append(place)
        return [
            TileShape(name="", look=look, shape=view.draw(outlines[members], tolerance_px))
            for look, members in sorted(kinds.items(), key=lambda kind: str(kind[0]))
        ]
    return [
        TileShape(name=tile, look=looks.get(tile), shape=view.draw([outline], tolerance_px))
        for tile, outline in zip(names, outlines, strict=True)
    ]


def tile_paths(tiles: Sequence[TileShape], *, coloured: bool) -> list[str]:
    """The tiles as SVG, in the colour of the satellite that passes first or, where swaths show that, as plain outlines."""
    thick = 1.1 if len(tiles) <= 40 and all(tile.name for tile in tiles) else 0.7
    return [_tile_path(tile, thick, coloured=coloured) for tile in tiles]


def tile_sample(*, passed: bool) -> str:
    """A tile for the legend, 22 px wide."""
    shape = shapely.box(4.5, -9, 17.5, 4)
    return _tile_path(TileShape(name="", look=("", "") if passed else None, shape=shape), 1.1, coloured=False)


def _tile_path(tile: TileShape, thick: float, *, coloured: bool) -> str:
    d = svg_path(tile.shape, 1)
    if tile.look is None:
        return svg.path(d, fill="none", stroke=svg.SOFT, dash="2 3", css="sm-nopass", label=tile.name)
    if not coloured:
        return svg.path(
            d, fill=svg.INK, fill_opacity=0.03, stroke=svg.INK, stroke_width=thick, css="sm-tile", label=tile.name
        )
    satellite, source = tile.look
    return svg.path(
        d,
        fill=colour_of(satellite),
        fill_opacity=0.25,
        stroke=colour_of(satellite),
        stroke_width=thick,
        dash=dashes_of(source),
        css=_css_of(satellite),
        label=tile.name,
    )


def _css_of(satellite: str) -> str:
    return f"sm-{satellite.lower()}" if satellite in SATELLITE_COLOURS else ""


def _ground(swath: Swath) -> tuple[Any, ...]:
    return swath.satellite, swath.source, swath.start if swath.relative_orbit is None else swath.relative_orbit


def _widest_chord(shape: BaseGeometry, y: float, width_px: float) -> tuple[float, float] | None:
    cut = shapely.intersection(shape, shapely.LineString([(0, y), (width_px, y)]))
    pieces = [part.bounds for part in shapely.get_parts(cut) if part.geom_type == "LineString" and part.length > 0]
    widest = max(pieces, key=lambda bounds: bounds[2] - bounds[0], default=None)
    return None if widest is None else (float(widest[0]), float(widest[2]))
