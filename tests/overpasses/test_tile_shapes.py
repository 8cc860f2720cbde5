"""Outlines of tiles, against the grid that ESA publishes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod

from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_shapes import tile_outlines


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
