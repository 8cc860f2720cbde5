"""The map's geometry, against pyproj's Web Mercator and shapely."""

import re

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from s2chips_core.overpasses.mercator import MAX_LAT_DEG
from s2chips_core.pages.day_map import build_map
from tests.pages.sample_day import make_scene, square

TO_WEB_MERCATOR = Transformer.from_crs(4326, 3857, always_xy=True)


def outline(d: str) -> shapely.Polygon:
    """The outer ring of an SVG path."""
    return shapely.Polygon([tuple(map(float, pair.split())) for pair in re.split("[ML]", d.partition("Z")[0])[1:]])


def test_nothing_has_no_map() -> None:
    assert build_map(scenes={}, chips={}, refused={}) is None
    assert build_map(scenes={}, chips={}, refused={"a": ("no place", 181.0, 91.0)}) is None


def test_chips_are_where_pyproj_puts_them() -> None:
    lon, lat = -5.43, 36.12
    shape = square(lon, lat)
    scene = make_scene("s", -5.4, 36.1)
    found = build_map(
        scenes={"s": ("30STF", scene.footprint)}, chips={"c": ("A", lon, lat, shape.wkb)}, refused={"far": ("B", 3.0, 36.1)}
    )
    assert found is not None
    x0, y0 = TO_WEB_MERCATOR.transform(found.lon0_deg, found.lat0_deg)
    corners = np.column_stack(TO_WEB_MERCATOR.transform(*shapely.get_coordinates(shape).T)) - (x0, y0)
    truth = shapely.Polygon(corners * (1e-3, -1e-3))
    drawn = outline(found.chips[0].d)
    assert drawn.symmetric_difference(truth).area < 0.002 * truth.area
    assert drawn.contains(shapely.Point(found.chips[0].x, found.chips[0].y))
    assert outline(found.scenes[0].d).contains(drawn)


def test_the_first_view_holds_the_scenes_and_the_whole_view_everything() -> None:
    scene = make_scene("s", -5.4, 36.1)
    found = build_map(scenes={"s": ("30STF", scene.footprint)}, chips={}, refused={"far": ("B", 20.0, 10.0)})
    assert found is not None
    box, far = found.scenes[0].box, found.refused[0]
    home = shapely.box(found.home.x, found.home.y, found.home.x + found.home.width, found.home.y + found.home.height)
    assert home.contains(shapely.box(box.x, box.y, box.x + box.width, box.y + box.height))
    assert not home.contains(shapely.Point(far.x, far.y))
    whole = shapely.box(found.whole.x, found.whole.y, found.whole.x + found.whole.width, found.whole.y + found.whole.height)
    assert whole.contains(home)
    assert whole.contains(shapely.Point(far.x, far.y))


@pytest.mark.parametrize("cut", [False, True])
def test_a_footprint_across_180_degrees_is_one_small_outline(cut: bool) -> None:
    """As an item writes it uncut, and as RFC 7946 section 3.1.9 cuts it."""
    uncut = {"type": "Polygon", "coordinates": [[[179.5, -17], [-179.5, -17], [-179.5, -16], [179.5, -16], [179.5, -17]]]}
    halves = [
        [[[179.5, -17], [180, -17], [180, -16], [179.5, -16], [179.5, -17]]],
        [[[-180, -17], [-179.5, -17], [-179.5, -16], [-180, -16], [-180, -17]]],
    ]
    footprint = {"type": "MultiPolygon", "coordinates": halves} if cut else uncut
    found = build_map(scenes={"s": ("01KAB", footprint)}, chips={}, refused={})
    assert found is not None
    assert found.lon0_deg % 360.0 == pytest.approx(180.0)
    shape = found.scenes[0]
    assert shape.d.count("M") == 1, "the cut shows"
    assert shape.box.width == pytest.approx(6378.137 * np.radians(1.0), abs=0.01)
    assert found.home.width < 130.0


def test_beyond_mercator_places_are_held_at_its_edge() -> None:
    found = build_map(
        scenes={}, chips={}, refused={"n": ("pole", 0.0, 90.0), "e": ("edge", 0.0, MAX_LAT_DEG), "s": ("south", 0.0, 0.0)}
    )
    assert found is not None
    north, edge, _ = found.refused
    assert north.y == edge.y
    assert np.isfinite(found.whole.height)
