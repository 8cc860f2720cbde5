"""Outlines of tiles, against the grid that ESA publishes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod

from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.overpasses.tile_shapes import tile_outlines, tiles_touching


@pytest.mark.shared_data
def test_corners_are_those_of_the_official_grid(shared_data: Path) -> None:
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet").sample(800, random_state=1)
    rings = shapely.get_coordinates(tile_outlines(list(grid["tile"]), points_per_edge=1)).reshape(-1, 5, 2)[:, :4]
    truth = np.stack([grid[[f"lon_{c}", f"lat_{c}"]].to_numpy() for c in ("ul", "ll", "lr", "ur")], axis=1)
    off_m = Geod(ellps="WGS84").inv(*rings.reshape(-1, 2).T, *truth.reshape(-1, 2).T)[2]
    assert np.max(off_m) < 1.0  # the grid's text has ten decimals of a degree


def test_a_tile_across_the_antimeridian_is_in_one_piece() -> None:
    outline = tile_outlines(["01KAB"])[0]
    west, _, east, _ = outline.bounds
    assert 178.0 < west < 180.0 < east < 181.0
    assert outline.is_valid
    assert shapely.is_ccw(outline.exterior)


def test_points_between_corners_lie_on_the_edges_in_utm() -> None:
    coarse, fine = (tile_outlines(["33XWJ"], points_per_edge=n)[0] for n in (1, 8))
    assert shapely.get_num_points(fine.exterior) == 4 * 8 + 1
    area = [abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0]) / 1e6 for shape in (coarse, fine)]
    assert area[1] == pytest.approx(109.8**2, rel=2e-3)  # UTM stretches by at most 1.001 within a zone
    assert abs(area[0] - area[1]) > 0


def test_no_tiles_and_no_tile() -> None:
    assert tile_outlines([]).shape == (0,)
    with pytest.raises(InputError, match="99ZZZ"):
        tile_outlines(["30STF", "99ZZZ"])


@pytest.mark.parametrize("tile", ["30STF", "29SQA", "32VPH", "01KAB", "60KXF", "31XGA", "01CDH", "36CWN", "33XWJ"])
def test_touching_finds_the_tile_from_its_middle(tile: str) -> None:
    west, south, east, north = tile_area(tile)
    lon = (west + ((east - west) % 360.0) / 2 + 180.0) % 360.0 - 180.0
    lat = (south + north) / 2
    assert tile in tiles_touching((lon, lat - 0.01, lon + 0.01, lat + 0.01))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "box",
    [
        (-6.2, 35.7, -5.0, 36.3),
        (-30.0, 30.0, 30.0, 50.0),
        (-180.0, -60.0, 180.0, -50.0),
        (170.0, -20.0, -170.0, -10.0),
        (12.0, 76.0, 30.0, 81.0),
        (-180.0, -90.0, 180.0, 90.0),
    ],
)
def test_touching_agrees_with_the_published_grid(shared_data: Path, box: tuple[float, float, float, float]) -> None:
    """By the published corners, whose straight lines are off the edges by some kilometres near the poles."""
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")
    rings = np.stack([grid[[f"lon_{c}", f"lat_{c}"]].to_numpy() for c in ("ul", "ll", "lr", "ur")], axis=1)
    rings[:, :, 0] = np.unwrap(rings[:, :, 0], period=360.0, axis=1)
    outlines = shapely.polygons(rings)
    west, south, east, north = box
    east += 360.0 if east < west else 0.0

    def touched(by_deg: float) -> set[str]:
        boxes = [shapely.box(west - by_deg + n, south - by_deg, east + by_deg + n, north + by_deg) for n in (-360, 0, 360)]
        return set(grid["tile"][np.any([shapely.intersects(outlines, one) for one in boxes], axis=0)])

    found = set(tiles_touching(box))
    assert touched(-0.1) <= found <= touched(0.1)
    assert len(found) > 4
