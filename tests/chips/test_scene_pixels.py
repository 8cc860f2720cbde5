"""Ships on the grid of their scene."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s2chips_core.chips.engine import Engine
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.chips.scene_pixels import ScenePixels, Ship
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import RangeServer, serving
from tests.chips.scenes import make_files, make_pixels, make_scene, padded_window, request_at, to_10_m

PIXELS = make_pixels()


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with serving(make_files(PIXELS)) as server:
        yield server


@pytest.fixture
def pixels(server: RangeServer) -> Iterator[ScenePixels]:
    failures: list[BaseException] = []
    with ThreadPoolExecutor(2) as pool:
        memory = MemoryBudget(1 << 30)
        engine = Engine(Fetcher((server.host,)), network=pool, processor=pool, memory=memory, failed=failures.append)
        yield ScenePixels(make_scene(server, PIXELS), "B03", "cubic", engine)
    assert failures == []


def read(pixels: ScenePixels, ships: list[Ship], bands: list[str]) -> None:
    for step in (pixels.open, pixels.read):
        done = threading.Event()
        step(*((bands, ships) if step == pixels.open else (ships, bands)), done.set)  # type: ignore[operator]
        assert done.wait(20)


@pytest.mark.parametrize(("right_m", "down_m"), [(0.01, 0.01), (9.99, 9.99), (5, 5), (0.01, 9.99)])
def test_the_ships_pixel_is_the_middle_of_its_window(pixels: ScenePixels, right_m: float, down_m: float) -> None:
    (ship,) = pixels.place([request_at(321, 654, right_m, down_m)], 256)
    assert (ship.window.col_off + 128, ship.window.row_off + 128) == (321, 654)
    assert pixels.transform(ship) == (10, 0, 600000 + 10 * (321 - 128), 0, -10, 6300000 - 10 * (654 - 128))


def test_ships_are_taken_along_the_blocks(pixels: ScenePixels) -> None:
    places = [(9000, 10), (100, 2000), (50, 1000), (8000, 1500), (7000, 1030)]
    ships = pixels.place([request_at(*place) for place in places], 64)
    order = [(ship.window.col_off + 32, ship.window.row_off + 32) for ship in ships]
    assert order == [(50, 1000), (9000, 10), (100, 2000), (7000, 1030), (8000, 1500)]


@pytest.mark.parametrize("place", [(450, 450), (451, 451), (450, 890)])
def test_both_grids_on_the_chips_own(pixels: ScenePixels, place: tuple[int, int]) -> None:
    col, row = place
    ships = pixels.place([request_at(*place)], 64)
    read(pixels, ships, ["B08", "B11", "SCL"])
    (ship,) = ships
    assert pixels.problem(ship, ["B08", "B11", "SCL"]) is None
    box = (row - 32, col - 32, 64)
    nearest = {band: PIXELS[band].repeat(2, axis=0).repeat(2, axis=1) for band in ("B11", "SCL")}
    np.testing.assert_array_equal(pixels.classes(ship), padded_window(nearest["SCL"], *box))
    np.testing.assert_array_equal(pixels.digital_numbers(ship, "B08"), padded_window(PIXELS["B08"], *box))
    np.testing.assert_array_equal(pixels.digital_numbers(ship, "B11"), padded_window(nearest["B11"], *box))
    np.testing.assert_array_equal(pixels.has_data(ship, "B11"), padded_window(nearest["B11"], *box) > 0)
    fine = padded_window(to_10_m(PIXELS["B11"]), *box).astype("float64")
    expected = np.where(fine == 0, 0, np.clip((fine - 50) / 10000, 0.0001, 1))
    np.testing.assert_allclose(pixels.reflectance(ship, "B11", -50), expected, rtol=2.0**-20)
    dn = padded_window(PIXELS["B08"], *box).astype("float64")
    expected = np.where(dn == 0, 0, np.clip((dn - 1000) / 10000, 0.0001, 1)).astype("float32")
    np.testing.assert_array_equal(pixels.reflectance(ship, "B08", -1000), expected)
