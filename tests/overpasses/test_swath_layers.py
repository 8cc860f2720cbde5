"""Swaths and tiles as layers of the picture."""

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely

from s2chips_core.overpasses import svg
from s2chips_core.overpasses import swath_layers as layers
from s2chips_core.overpasses.map_view import MapView, fit_view
from s2chips_core.overpasses.plan import Swath
from s2chips_core.overpasses.tile_shapes import tile_outlines, tiles_touching

AT = datetime(2025, 10, 27, 11, 4, tzinfo=UTC)
STRIP = shapely.Polygon([(-6.2, 40.0), (-2.8, 39.5), (-4.4, 33.0), (-7.6, 33.4)])


def swath(
    satellite: str = "S2B", orbit: int | None = 94, after_h: float = 0.0, geometry: Any = STRIP, source: str = "tle"
) -> Swath:
    start = AT + timedelta(hours=after_h)
    return Swath(
        satellite=satellite,
        relative_orbit=orbit,
        absolute_orbit=None,
        start=start,
        stop=start + timedelta(seconds=60),
        geometry=geometry,
        imaging="expected",
        source=source,
    )


@pytest.fixture
def view() -> MapView:
    return fit_view(np.array([-8.0, -2.0]), np.array([34.0, 38.0]), width_px=900.0, least_km=330.0)


# Machado, Oliveira and Fernandes (2009), severity 1.0, linear RGB.
_DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
_PROTANOPIA = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
_TRITANOPIA = np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]])


@pytest.mark.parametrize("seen_by", [np.eye(3), _DEUTERANOPIA, _PROTANOPIA, _TRITANOPIA])
def test_satellites_differ_for_every_colour_vision(seen_by: Any) -> None:
    def lab(colour: str) -> Any:
        rgb = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        xyz = to_xyz @ np.clip(seen_by @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    colours = [lab(colour) for colour in layers.SATELLITE_COLOURS.values()]
    assert len(colours) == 3
    # CIE 1976: 2.3 is just noticeable; ten times that is another colour at a glance.
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2)) > 23


def test_swaths_of_one_ground_track_are_one_shape(view: MapView) -> None:
    again = [swath(after_h=h) for h in (0, 240, 480)]
    tracks = layers.draw_tracks([*again, swath("S2A"), swath(orbit=None), swath(orbit=None, after_h=1)], view, 0.2)
    assert [(t.satellite, t.relative_orbit) for t in tracks] == [("S2B", 94), ("S2A", 94), ("S2B", None), ("S2B", None)]
    assert tracks[1].shape.within(tracks[0].shape), "the second satellite's outline is inside, so that both are seen"
    assert not tracks[1].shape.equals(tracks[0].shape)
    far = layers.draw_tracks([swath(geometry=shapely.box(100, 0, 101, 1))], view, 0.2)
    assert far == []


def test_the_line_says_the_source(view: MapView) -> None:
    for source, (_, dash) in layers.SOURCES.items():
        (path,) = layers.track_paths(layers.draw_tracks([swath(source=source)], view, 0.2), thick=True)
        assert ("stroke-dasharray" in path) == bool(dash)
        assert f'stroke="{layers.SATELLITE_COLOURS["S2B"]}"' in path
    assert len({layers.dashes_of(s) for s in ("acquisition_plan", "tle", "repeat_cycle")}) == 3
    assert layers.dashes_of("another") == ""
    assert layers.colour_of("S2D") not in layers.SATELLITE_COLOURS.values()


def test_too_many_tracks_leave_the_first_day() -> None:
    many = [swath(orbit=n, after_h=n) for n in range(60)]
    assert layers.swaths_to_draw(many[::-1]) == many
    more = [*many, swath(orbit=60, after_h=60)]
    assert layers.swaths_to_draw(more) == many[:24]
    assert layers.swaths_to_draw([]) == []


def test_tracks_are_named_once_and_apart(view: MapView) -> None:
    shifted = shapely.transform(STRIP, lambda c: np.add(c, (2.0, 0.0)))
    tracks = layers.draw_tracks([swath(), swath("S2A"), swath(orbit=51, geometry=shifted)], view, 0.2)
    labels = svg.Labels(view.width_px, view.height_px)
    drawn = layers.name_tracks(tracks, labels, view, [])
    assert re.findall(r">(R\d+)<", drawn) == ["R051", "R094"]
    assert re.findall(r">([ABC])<", drawn) == ["B", "A", "B"]
    pills = re.findall(r'<rect class="sm-pill" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawn)
    boxes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in (map(float, pill) for pill in pills)]
    assert len(boxes) == 2
    assert not boxes[0].intersects(boxes[1])
    assert boxes[1].centroid.within(tracks[0].shape)
    # Where everything is in the way the name lies on it all the same.
    everywhere = [(0.0, 0.0, view.width_px, view.height_px)]
    assert "R094" in layers.name_tracks(tracks, svg.Labels(view.width_px, view.height_px), view, everywhere)


def test_each_tile_has_its_outline_until_they_are_many(view: MapView) -> None:
    names = ["30STE", "30STF", "30SUF"]
    looks = {"30STE": ("S2A", "backfill"), "30STF": ("S2C", "repeat_cycle")}
    few = layers.draw_tiles(names, tile_outlines(names), looks, view, 0.2, coloured=True)
    assert [tile.name for tile in few] == names
    paths = layers.tile_paths(few, coloured=True)
    assert all(f"<title>{name}</title>" in path for name, path in zip(names, paths, strict=True))
    assert layers.SATELLITE_COLOURS["S2A"] in paths[0]
    assert layers.SATELLITE_COLOURS["S2C"] in paths[1]
    assert "stroke-dasharray" in paths[1]
    assert 'class="sm-nopass"' in paths[2]
    plain = layers.tile_paths(few, coloured=False)
    assert not any(colour in path for path in plain for colour in layers.SATELLITE_COLOURS.values())

    names = tiles_touching((-12, 26, 4, 44))
    assert len(names) > layers.MAX_SINGLE_TILES
    outlines = tile_outlines(names, points_per_edge=1)
    many = layers.draw_tiles(names, outlines, {names[0]: ("S2A", "tle")}, view, 0.2, coloured=True)
    assert [tile.look for tile in many] == [("S2A", "tle"), None], "those that look alike are one shape"


def test_coarser_shapes_have_fewer_vertices_and_nearly_the_same_area() -> None:
    teeth = [(x, 100.0 + 2 * (x % 2)) for x in range(101)]
    comb = shapely.Polygon([*teeth, (100.0, 0.0), (0.0, 0.0)])
    coarse = layers.coarsen(comb, 4.0)
    assert shapely.get_num_points(coarse.exterior) < 12
    assert coarse.area == pytest.approx(comb.area, rel=0.02)
    assert layers.coarsen(comb, 0.0) is comb
    board = shapely.union_all([shapely.box(x, y, x + 2, y + 2) for x in range(0, 40, 4) for y in range(0, 40, 4)])
    assert len(shapely.get_parts(layers.coarsen(board, 3.0))) == 1, "gaps close"
