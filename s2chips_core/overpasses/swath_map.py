"""A picture of the plan as SVG: tiles and swaths on a map, and the overpasses in a list.

Here: what stands where. Not here: the part of the Earth that is shown (`map_view`), how swaths and tiles are drawn
(`swath_layers`), texts and lines as SVG (`svg`), the overpasses themselves (`overpass_list`).

The picture brings its own background and needs nothing else: no script, style sheet, id or address. It looks by presentation
attributes alone, so that a Content-Security-Policy does not change it; its classes (`sm-…`) let a page restyle it.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import pandas as pd
import shapely

from s2chips_core.overpasses import svg
from s2chips_core.overpasses import swath_layers as layers
from s2chips_core.overpasses.map_view import Geometries, MapView, fit_view
from s2chips_core.overpasses.mercator import short
from s2chips_core.overpasses.overpass_list import Overpass, group_overpasses
from s2chips_core.overpasses.plan import Swath
from s2chips_core.overpasses.tile_shapes import tile_outlines

MAX_BYTES = 150_000
"""Of the picture: Dagster stores it in its event log."""
MAX_LISTED = 15
LEAST_WIDTH_PX = 300
_TOLERANCE_PX = 0.25
_COARSER_PX = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
_LEAST_KM, _LEAST_WITH_SWATHS_KM = 330.0, 620.0  # a swath is 290 km wide: both its edges are seen
_SIDE, _LEFT, _RIGHT, _BELOW = 16.0, 46.0, 16.0, 22.0
_TIME_PX, _COLUMN_PX, _ROW_PX = 156.0, 340.0, 21.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What is to be shown."""

    title: str
    width: int
    names: list[str]
    outlines: Geometries
    looks: Mapping[str, layers.Look]
    swaths: int
    """All there are."""
    overpasses: list[Overpass]
    view: MapView


def swath_map_svg(
    passes: pd.DataFrame, swaths: Sequence[Swath], tiles: Sequence[str], *, title: str, width: int = 960
) -> str:
    """The picture of a plan.

    Args:
        passes: PLAN_SCHEMA.
        swaths: what the satellites see, any order; none for plans whose source does not know them: then each tile has the
            colour of the satellite that passes it first.
        tiles: MGRS names of the watched tiles; those of the passes when empty.
        title: above the picture; any text.
        width: pixels, LEAST_WIDTH_PX or more.

    Returns:
        An `<svg>` of at most MAX_BYTES in UTF-8; north is up, Web Mercator.

    Raises:
        InputError: a tile's name is none.
        ValueError: `width` is too small.
    """
    if width < LEAST_WIDTH_PX:
        raise ValueError(f"width {width}, expected {LEAST_WIDTH_PX} or more")
    names = sorted(set(tiles) or set(passes["tile_id"]))
    outlines = tile_outlines(names, points_per_edge=2 if len(names) <= layers.MAX_SINGLE_TILES else 1)
    places = shapely.get_coordinates(outlines if names else [swath.geometry for swath in swaths])
    least_km = _LEAST_WITH_SWATHS_KM if swaths else _LEAST_KM
    scene = _Scene(
        title=title,
        width=width,
        names=names,
        outlines=outlines,
        looks=layers.first_looks(passes),
        swaths=len(swaths),
        overpasses=group_overpasses(passes),
        view=fit_view(places[:, 0], places[:, 1], width_px=width - _LEFT - _RIGHT, least_km=least_km),
    )
    chosen = layers.swaths_to_draw(swaths)
    tracks = layers.draw_tracks(chosen, scene.view, _TOLERANCE_PX)
    drawn = layers.draw_tiles(names, outlines, scene.looks, scene.view, _TOLERANCE_PX, coloured=not swaths)
    complete = len(chosen) == len(swaths)
    for coarser_px in _COARSER_PX:
        coarse = [dataclasses.replace(tile, shape=layers.coarsen(tile.shape, coarser_px)) for tile in drawn]
        thin = [dataclasses.replace(track, shape=layers.coarsen(track.shape, coarser_px)) for track in tracks]
        picture = _picture(scene, thin, coarse, complete=complete)
        if len(picture.encode()) <= MAX_BYTES:
            return picture
    while thin and len(picture.encode()) > MAX_BYTES:
        thin = thin[: len(thin) // 2]
        picture = _picture(scene, thin, coarse, complete=False)
    return picture


def _picture(scene: _Scene, tracks: Sequence[layers.Track], tiles: Sequence[layers.TileShape], *, complete: bool) -> str:
    room = scene.width - 2 * _SIDE
    subtitle = _subtitle(scene)
    parts = [svg.text(_SIDE, 30, svg.fit_text(scene.title, room, 17), size=17, weight=650)]
    y = 30.0
    for line in svg.wrap_text(subtitle, room, 12.5):
        y += 19
        parts.append(svg.text(_SIDE, y, line, size=12.5, css="sm-soft"))
    legend, y = svg.draw_legend(_legend_items(scene, tracks, complete=complete), _SIDE, y + 14, room)
    map_top = y + 8
    overpasses, bottom = _list(scene.overpasses, map_top + scene.view.height_px + _BELOW + 14, scene.width)
    parts += [legend, _map(scene, tracks, tiles, map_top), overpasses]
    said = [
        f"{_time(one.start)}, {one.satellite}{_orbit(one.relative_orbit)}, {_tiles_text(one.tiles)}."
        for one in scene.overpasses[:MAX_LISTED]
    ]
    return svg.document(scene.width, bottom, scene.title, " ".join([f"{subtitle}.", *said]), "".join(parts))


def _map(scene: _Scene, tracks: Sequence[layers.Track], tiles: Sequence[layers.TileShape], top: float) -> str:
    """The frame with what is in it, and its degrees. An `<svg>` in the `<svg>` cuts what reaches out, without an id."""
    view, single = scene.view, len(scene.names) <= layers.MAX_SINGLE_TILES
    w, h = view.width_px, view.height_px
    boxes = [(tile.name, tile.shape.bounds) for tile in tiles if single and not tile.shape.is_empty]
    meridians, parallels = view.meridians(), view.parallels()
    lines = "".join(f"M{short(x, 1)} 0V{short(h, 1)}" for x, _ in meridians)
    lines += "".join(f"M0 {short(y, 1)}H{short(w, 1)}" for y, _ in parallels)
    size = f'width="{short(w, 1)}" height="{short(h, 1)}"'
    inside = [f'<rect class="sm-sea" {size} fill="{svg.SEA}"/>']
    inside.append(svg.path(lines, fill="none", stroke=svg.GRID, css="sm-grid"))
    inside += layers.track_paths(tracks, thick=single)
    inside += layers.tile_paths(tiles, coloured=not scene.swaths)
    labels = svg.Labels(w, h)
    bar = view.scale_bar(min(110.0, w / 4))
    if bar is not None:
        labels.take((6, h - 32, bar[0] + 18, h - 4))
        inside.append(svg.scale_bar(bar[0], f"{bar[1]:,.0f} km", 12, h - 12))
    if single:
        inside.append(layers.name_tracks(tracks, labels, view, [box for _, box in boxes]))
    inside.append(labels.draw_names(boxes))
    outside = [
        svg.text(_LEFT + x, top + h + 16, label, size=11, css="sm-soft", anchor="middle")
        for x, label in meridians
        if 12 < x < w - 12
    ]
    outside += [
        svg.text(_LEFT - 6, top + y + 4, label, size=11, css="sm-soft", anchor="end")
        for y, label in parallels
        if 4 < y < h - 4
    ]
    place = f'x="{short(_LEFT, 1)}" y="{short(top, 1)}" {size}'
    return (
        f'<svg {place}>{"".join(inside)}</svg><rect class="sm-frame" {place} fill="none" stroke="{svg.FRAME}"/>'
        + "".join(outside)
    )


def _legend_items(scene: _Scene, tracks: Sequence[layers.Track], *, complete: bool) -> list[svg.LegendItem]:
    counts = Counter(one.satellite for one in scene.overpasses)
    items = []
    for satellite in sorted(set(counts) | {track.satellite for track in tracks}):
        colour = layers.colour_of(satellite)
        ground = svg.rect(0, -9, 22, 13, fill=colour, fill_opacity=0.25, stroke=colour)
        label = f"{satellite} · {_count(counts[satellite], 'overpass', 'overpasses')}"
        items.append(svg.LegendItem(sample=ground + layers.satellite_disc(satellite, 11, -2.5), label=label))
    there = {one.source for one in scene.overpasses} | {track.source for track in tracks}
    for source in [*(s for s in layers.SOURCES if s in there), *sorted(there - set(layers.SOURCES))]:
        name, dash = layers.SOURCES.get(source, (source, ""))
        line = svg.path("M0-2.5H22", fill="none", stroke=svg.INK, stroke_width=1.7, dash=dash, css="sm-line")
        items.append(svg.LegendItem(sample=line, label=name))
    passed = sum(tile in scene.looks for tile in scene.names)
    if passed and scene.swaths:
        items.append(svg.LegendItem(sample=layers.tile_sample(passed=True), label="Watched tile"))
    elif passed:
        items.append(svg.LegendItem(sample="", label="Tiles in the colour of their first pass"))
    if passed < len(scene.names):
        items.append(svg.LegendItem(sample=layers.tile_sample(passed=False), label="Watched tile, no pass"))
    if not complete:
        until = f", until {_time(max(track.last_start for track in tracks))}" if tracks else ""
        number = sum(track.swaths for track in tracks)
        items.append(svg.LegendItem(sample="", label=f"Drawn are {number:,} of {scene.swaths:,} swaths{until}"))
    return items


def _list(overpasses: Sequence[Overpass], top: float, width: int) -> tuple[str, float]:
    """The overpasses in columns; what it draws, and where it ends."""
    if not overpasses:
        return "", top - 10
    columns = max(1, int((width - 2 * _SIDE) // _COLUMN_PX))
    column_px = (width - 2 * _SIDE) / columns
    listed = overpasses if len(overpasses) <= MAX_LISTED else overpasses[: MAX_LISTED - 1]
    left_out = len(overpasses) - len(listed)
    rows = -(-(len(listed) + (left_out > 0)) // columns)

    def at(place: int) -> tuple[float, float]:
        return _SIDE + (place // rows) * column_px, top + 8 + _ROW_PX * (place % rows)

    drawn = []
    for place, one in enumerate(listed):
        x, y = at(place)
        words = [f"{one.satellite}{_orbit(one.relative_orbit)}", _tiles_text(one.tiles)]
        if one.time_sigma_s >= 0.5:
            words.append(f"± {one.time_sigma_s:.0f} s")
        drawn.append(layers.satellite_disc(one.satellite, x + 7, y - 4))
        drawn.append(svg.text(x + 20, y, _time(one.start), size=12.5, weight=600))
        room = column_px - 20 - _TIME_PX - 4
        drawn.append(
            svg.text(x + 20 + _TIME_PX, y, svg.wrap_text(" · ".join(words), room, 12.5)[0], size=12.5, css="sm-soft")
        )
    if left_out:
        x, y = at(len(listed))
        drawn.append(svg.text(x, y, f"and {left_out:,} more until {_time(overpasses[-1].start)}", size=12.5, css="sm-soft"))
    return "".join(drawn), top + 8 + _ROW_PX * (rows - 1)


def _subtitle(scene: _Scene) -> str:
    over = f"{_count(len(scene.overpasses), 'overpass', 'overpasses')} of {_count(len(scene.names), 'tile', 'tiles')}"
    if not scene.overpasses:
        return over
    first, last = scene.overpasses[0].start, scene.overpasses[-1].start
    days = f"{first.day} {first:%B %Y}"
    if first.date() != last.date():
        days = f"{days} to {last.day} {last:%B %Y}"
    return f"{over} · {days} · times are UTC"


def _orbit(relative_orbit: int | None) -> str:
    return "" if relative_orbit is None else f" R{relative_orbit:03d}"


def _time(moment: datetime) -> str:
    return f"{moment:%a} {moment.day} {moment:%b %H:%M:%S}"


def _tiles_text(tiles: Iterable[str]) -> str:
    found = list(dict.fromkeys(tiles))
    return found[0] if len(found) == 1 else f"{len(found):,} tiles"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
