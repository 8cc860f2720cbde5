"""Whole scenes cut over loopback, against rasterio, GDAL and plain counting; how much is asked for; what goes wrong."""

import contextlib
import dataclasses
import itertools
import json
import math
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.warp
from pyproj import Geod
from rasterio.windows import Window as RasterioWindow
from shapely.geometry import Point, shape

from s2chips_core.chips import cutting
from s2chips_core.chips.cutting import Chip, CutRequest, Refusal, cut_scene, cut_scenes
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.chips.reader import HEADER_FIRST_BYTES
from s2chips_core.chips.scene_cut import chip_bytes
from s2chips_core.config import Settings
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.providers import PROVIDERS, collection_profile
from s2chips_core.scenes.scene import Scene
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import ULX_M, ULY_M, asset_of, make_cog
from tests.chips.scenes import (
    expected_chip,
    make_files,
    make_pixels,
    make_scene,
    make_settings,
    padded_window,
    request_at,
    with_offset,
)

PIXELS = make_pixels()
FILES = make_files(PIXELS)
RAISED = with_offset(PIXELS)
SETTINGS = make_settings()
BANDS = SETTINGS.tiling.bands
SERVED: dict[str, bytes | Path] = {**FILES, **{"c1-" + name: data for name, data in make_files(RAISED).items()}}
SEA = [(450, 450), (451, 450), (450, 451), (511, 513), (520, 640), (400, 700)]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """Of this test alone: what a test before has left in flight may still arrive at its own."""
    with serving(SERVED) as server:
        yield server


def cut(
    server: RangeServer, scene: Scene, requests: list[CutRequest], settings: Settings = SETTINGS, **more: Any
) -> list[Chip | Refusal]:
    """All of the scene, in the order of the requests; each must be answered exactly once."""
    fetcher = Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)
    answers = list(cut_scene(scene, requests, settings=settings, fetcher=fetcher, **more))
    assert fetcher.requests == len(server.asked)
    assert sorted(a.request.target_id for a in answers) == sorted(r.target_id for r in requests)
    by_id = {a.request.target_id: a for a in answers}
    return [by_id[r.target_id] for r in requests]


def only_chips(answers: list[Chip | Refusal]) -> list[Chip]:
    assert all(isinstance(a, Chip) for a in answers), [a for a in answers if isinstance(a, Refusal)]
    return [a for a in answers if isinstance(a, Chip)]


def assert_same_pixels(reflectance: np.ndarray, expected: np.ndarray) -> None:
    """Bit-equal; SWIR within a rounding of float32, because GDAL rounds the digital numbers to it on the way."""
    assert reflectance.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(reflectance[:4], expected[:4])
    np.testing.assert_array_equal(reflectance == 0, expected == 0)
    np.testing.assert_allclose(reflectance[4:], expected[4:], rtol=2.0**-22, atol=0)


@pytest.mark.parametrize("size", [256, 128, 100])
def test_chips_are_the_right_pixels_in_the_right_place(server: RangeServer, size: int) -> None:
    settings = make_settings(tiling={"include_swir": True, "chip_size_px": size})
    scene = make_scene(server, PIXELS)
    for (col, row), chip in zip(SEA, only_chips(cut(server, scene, [request_at(*p) for p in SEA], settings)), strict=True):
        assert_same_pixels(chip.reflectance, expected_chip(PIXELS, BANDS, col, row, size))
        assert chip.bands == ("B02", "B03", "B04", "B08", "B11", "B12")
        assert chip.transform == (10, 0, ULX_M + 10 * (col - size // 2), 0, -10, ULY_M - 10 * (row - size // 2))
        assert (chip.epsg, chip.boa_offset_dn, chip.boa_offset_source) == (32632, 0, "flag")
        assert (chip.verdict, chip.scl_present, chip.masks) == ("pass", True, None)
        numbers = chip.numbers
        assert (numbers.qa_cloud_frac, numbers.qa_land_frac, numbers.qa_nodata_frac) == (0.0, 0.0, 0.0)
        assert numbers.qa_water_frac == 1.0
        assert numbers.valid_px == 64 * 64


@pytest.mark.parametrize("method", ["bicubic", "nearest"])
def test_clay10_is_the_ten_bands_in_clays_order(method: str) -> None:
    """Against GDAL's warper and numpy, with the offset in the pixels and without."""
    pixels = make_pixels(red_edge=True)
    order = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    # What the other keys say is not looked at.
    tiling = {"band_profile": "clay10", "include_swir": True, "resample": method}
    settings = make_settings(tiling=tiling, gate={"enabled": False})
    places = [*SEA, (690, 820)]
    for stored, flag, offset_dn in ((pixels, True, 0), (with_offset(pixels), False, -1000)):
        with serving(make_files(stored)) as server:
            scene = make_scene(server, stored, boa_offset_flag=flag)
            chips = only_chips(cut(server, scene, [request_at(*place) for place in places], settings))
        for (col, row), chip in zip(places, chips, strict=True):
            assert (chip.bands, chip.boa_offset_dn) == (order, offset_dn)
            for layer, band in zip(chip.reflectance, order, strict=True):
                expected = expected_band(pixels, band, col, row, method)
                if band in ("B02", "B03", "B04", "B08") or method == "nearest":
                    np.testing.assert_array_equal(layer, expected)
                else:
                    np.testing.assert_array_equal(layer == 0, expected == 0)
                    np.testing.assert_allclose(layer, expected, rtol=2.0**-22, atol=0)


def expected_band(pixels: dict[str, np.ndarray], band: str, col: int, row: int, method: str) -> np.ndarray:
    if method == "nearest" and band not in ("B02", "B03", "B04", "B08"):
        pixels = {**pixels, band: pixels[band].repeat(2, axis=0).repeat(2, axis=1)}
        dn = padded_window(pixels[band], row - 128, col - 128, 256)
        return np.where(dn == 0, np.float32(0), dn.astype(np.float32) / np.float32(10_000))
    return expected_chip(pixels, (band,), col, row)[0]


def test_clay10_of_a_scene_without_red_edge_says_which_are_missing(server: RangeServer) -> None:
    settings = make_settings(tiling={"band_profile": "clay10"})
    [answer] = cut(server, make_scene(server, PIXELS), [request_at(450, 450)], settings)
    assert isinstance(answer, Refusal)
    assert answer.reason == "missing_asset"
    assert answer.detail == "scene S2B_32VPH_20251027_0_L2A lists no B05, B06, B07, B8A"
    assert not server.asked


@pytest.mark.parametrize("col", [0, 1, 127, 128, 871, 872, 999, -128, -129])
def test_every_edge_of_the_raster(server: RangeServer, col: int) -> None:
    settings = make_settings(tiling={"include_swir": True}, gate={"enabled": False})
    places = [(col, row) for row in (0, 129, 450, 871, 999)]
    answers = cut(server, make_scene(server, PIXELS), [request_at(*p) for p in places], settings)
    for (_, row), answer in zip(places, answers, strict=True):
        expected = expected_chip(PIXELS, BANDS, col, row)
        if expected.any():
            assert isinstance(answer, Chip)
            assert_same_pixels(answer.reflectance, expected)
            assert answer.transform[2] == ULX_M + 10 * (col - 128)
            assert answer.transform[5] == ULY_M - 10 * (row - 128)
        else:
            assert isinstance(answer, Refusal)
            assert answer.reason == "nodata"


def test_the_footprint_is_the_ground_around_the_ship(server: RangeServer) -> None:
    (chip,) = only_chips(cut(server, make_scene(server, PIXELS), [request_at(450, 450)]))
    polygon = shape(chip.footprint)
    assert polygon.contains(Point(chip.request.lon, chip.request.lat))
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(polygon)
    assert area == pytest.approx(2560**2, rel=2e-3)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "bicubic"])
def test_both_collections_give_the_same_chip(server: RangeServer, method: str) -> None:
    settings = make_settings(tiling={"include_swir": True, "resample": method})
    removed = cut(server, make_scene(server, PIXELS), [request_at(*p) for p in SEA], settings)
    assets = {b: asset_of(server.href(f"c1-{b}.tif"), dn, 20 if dn.shape[0] == 500 else 10) for b, dn in RAISED.items()}
    scene = make_scene(server, PIXELS, collection="sentinel-2-c1-l2a", boa_offset_flag=None, assets=assets)
    server.asked.clear()
    carried = cut(server, scene, [request_at(*p) for p in SEA], settings)
    for one, other in zip(only_chips(removed), only_chips(carried), strict=True):
        np.testing.assert_array_equal(one.reflectance, other.reflectance)
        assert (one.boa_offset_dn, other.boa_offset_dn) == (0, -1000)
        assert one.numbers == other.numbers


def refused(answers: list[Chip | Refusal]) -> list[str]:
    return [str(a.reason) if isinstance(a, Refusal) else "chipped" for a in answers]


WHERE = {"sea": (450, 450), "cloud": (200, 200), "land": (800, 450), "nodata": (450, 910), "beyond": (450, 5000)}
REQUESTS = [request_at(*place) for place in WHERE.values()]


def test_reasons(server: RangeServer) -> None:
    answers = cut(server, make_scene(server, PIXELS), REQUESTS)
    assert refused(answers) == ["chipped", "gate_cloud", "gate_land", "nodata", "nodata"]
    cloud = answers[1]
    assert isinstance(cloud, Refusal)
    assert cloud.detail == "100.0% of the 4096 valid pixels of the 64 x 64 px at the centre are cloud, at most 5.0% may be"
    assert cloud.numbers is not None
    assert cloud.numbers.qa_cloud_frac == 1.0


def test_without_scl(server: RangeServer) -> None:
    scene = make_scene(server, PIXELS, without=("SCL",))
    answers = cut(server, scene, REQUESTS)
    assert refused(answers) == ["chipped", "gate_water", "gate_water", "nodata", "nodata"]
    assert isinstance(answers[0], Chip)
    assert (answers[0].verdict, answers[0].scl_present, answers[0].numbers.qa_cloud_frac) == ("pass_ndwi_only", False, None)
    reject = make_settings(gate={"on_missing_scl": "reject"})
    server.asked.clear()
    assert set(refused(cut(server, scene, REQUESTS, reject))) == {"missing_asset"}
    assert not server.asked
    gone = make_scene(
        server, {**PIXELS}, assets={**scene.assets, "SCL": asset_of(server.href("gone.tif"), PIXELS["SCL"], 20)}
    )
    # The item lists an SCL: it is missing, not absent, and nothing is judged without it.
    assert refused(cut(server, gone, REQUESTS[:1])) == ["missing_asset"]


def test_gate_off_measures_and_keeps(server: RangeServer) -> None:
    answers = cut(server, make_scene(server, PIXELS), REQUESTS, make_settings(gate={"enabled": False}))
    assert refused(answers) == ["chipped", "chipped", "chipped", "chipped", "nodata"]
    cloud = answers[1]
    assert isinstance(cloud, Chip)
    assert cloud.verdict == "off"
    assert (cloud.numbers.qa_cloud_frac, cloud.numbers.qa_water_frac) == (1.0, pytest.approx(0, abs=0.01))
    edge = answers[3]
    assert isinstance(edge, Chip)
    assert edge.numbers.qa_nodata_frac == pytest.approx((910 + 128 - 900) / 256)


@pytest.mark.parametrize(
    ("masks", "expected", "verdict"),
    [
        ({"use_scl": False}, ["chipped", "gate_water", "gate_water", "nodata", "nodata"], "pass_ndwi_only"),
        ({"use_ndwi": False}, ["chipped", "gate_cloud", "gate_land", "nodata", "nodata"], "pass"),
        ({"use_scl": False, "use_ndwi": False}, ["chipped", "chipped", "chipped", "nodata", "nodata"], "off"),
    ],
)
def test_masks_that_are_not_used(server: RangeServer, masks: dict[str, bool], expected: list[str], verdict: str) -> None:
    answers = cut(server, make_scene(server, PIXELS), REQUESTS, make_settings(masks=masks))
    assert refused(answers) == expected
    assert isinstance(answers[0], Chip)
    assert answers[0].verdict == verdict
    if not masks.get("use_scl", True):
        assert not any(a.path == "SCL.tif" for a in server.asked)


def test_persisted_masks(server: RangeServer) -> None:
    settings = make_settings(masks={"persist": True}, gate={"enabled": False})
    col, row = 690, 820
    (chip,) = only_chips(cut(server, make_scene(server, PIXELS), [request_at(col, row)], settings))
    assert chip.masks is not None
    cloud, land, water, valid, scl = chip.masks
    rows, cols = np.mgrid[row - 128 : row + 128, col - 128 : col + 128]
    np.testing.assert_array_equal(valid, rows < 900)
    np.testing.assert_array_equal(cloud, np.where(rows < 900, 0, 255))
    np.testing.assert_array_equal(land, np.where(rows < 900, cols >= 700, 255))
    np.testing.assert_array_equal(water, np.where(rows < 900, cols < 700, 255))
    fine = np.kron(PIXELS["SCL"], np.ones((2, 2), np.uint8))
    inside = fine[row - 128 : row + 128, col - 128 : col + 128]
    np.testing.assert_array_equal(scl[: inside.shape[0], : inside.shape[1]], inside)
    assert set(np.unique(inside)) == {0, 5, 6}


def test_persisted_masks_without_scl_know_no_class(server: RangeServer) -> None:
    settings = make_settings(masks={"persist": True, "use_scl": False})
    (chip,) = only_chips(cut(server, make_scene(server, PIXELS), [request_at(*SEA[0])], settings))
    assert chip.masks is not None
    assert (chip.masks[4] == 255).all()


def test_only_scl_is_read_for_what_it_refuses(server: RangeServer) -> None:
    assert refused(cut(server, make_scene(server, PIXELS), [request_at(200, 200)])) == ["gate_cloud"]
    assert {a.path for a in server.asked} == {"SCL.tif"}


def test_only_two_bands_are_read_for_what_ndwi_refuses(server: RangeServer) -> None:
    scene = make_scene(server, PIXELS, without=("SCL",))
    assert refused(cut(server, scene, [request_at(800, 450)])) == ["gate_water"]
    # Of the other bands the directories, which are asked for together; no block.
    assert {a.path for a in server.asked if a.first} == {"B03.tif", "B08.tif"}


def test_each_byte_is_asked_for_once(server: RangeServer) -> None:
    cut(server, make_scene(server, PIXELS), [request_at(*p) for p in SEA])
    for name in FILES:
        ranges = sorted((a.first, a.last) for a in server.asked if a.path == name)
        assert ranges[0] == (0, HEADER_FIRST_BYTES - 1)
        blocks = ranges[1:]
        assert blocks
        assert all(one[1] < other[0] for one, other in itertools.pairwise(blocks))  # type: ignore[operator]


def test_pieces_change_nothing(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [request_at(*p) for p in SEA] + REQUESTS[1:]
    scene = make_scene(server, PIXELS)
    whole = cut(server, scene, requests)
    monkeypatch.setattr(cutting, "PIECES_AT_ONCE", 1 << 40)  # one ship after the other
    server.asked.clear()
    parts = cut(server, scene, requests)
    assert refused(whole) == refused(parts)
    for one, other in zip(whole, parts, strict=True):
        if isinstance(one, Chip) and isinstance(other, Chip):
            np.testing.assert_array_equal(one.reflectance, other.reflectance)


def assert_no_thread_is_left() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("cut"):
            thread.join(5)
            assert not thread.is_alive()


def many_scenes(server: RangeServer, count: int) -> list[tuple[Scene, list[CutRequest]]]:
    """Scenes of the same pixels under names of their own; their ships are of five kinds."""
    groups = []
    for number in range(count):
        scene = make_scene(server, PIXELS, scene_id=f"S{number}")
        ships = [*SEA[number % 3 :: 3], *list(WHERE.values())[1:4]][: 1 + number % 5]
        requests = [dataclasses.replace(request_at(*p), target_id=f"{number}/{p[0]}-{p[1]}") for p in ships]
        groups.append((scene, requests))
    return groups


def by_target(answers: Iterable[Chip | Refusal]) -> dict[str, Any]:
    """What a result is, so that two of them can be compared."""
    found: dict[str, Any] = {}
    for answer in answers:
        assert answer.request.target_id not in found, "answered twice"
        bits = answer.reflectance.tobytes() if isinstance(answer, Chip) else answer.detail
        found[answer.request.target_id] = (bits, answer.numbers)
    return found


def all_scenes(
    server: RangeServer, groups: Iterable[tuple[Scene, list[CutRequest]]], settings: Settings = SETTINGS, **more: Any
) -> dict[str, Any]:
    with contextlib.closing(Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)) as fetcher:
        try:
            return by_target(cut_scenes(groups, settings=settings, fetcher=fetcher, **more))
        finally:
            fetcher.interrupt()
            assert_no_thread_is_left()


def test_many_scenes_at_once_give_what_each_gives_alone(server: RangeServer) -> None:
    groups = many_scenes(server, 45)
    alone: dict[str, Any] = {}
    for scene, requests in groups[:5]:
        server.asked.clear()
        alone |= by_target(cut(server, scene, requests))
    server.asked.clear()
    opened: dict[str, str] = {}
    together = all_scenes(server, iter(groups), opened=opened.__setitem__)
    assert len(together) == sum(len(requests) for _, requests in groups)
    assert {target: together[target] for target in alone} == alone
    assert set(opened.values()) == {"cog"}
    assert all_scenes(server, reversed([(s, r[::-1]) for s, r in groups])) == together


def test_no_block_is_fetched_twice_in_a_scene_of_many_pieces(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(col, row) for col in range(320, 560, 30) for row in range(320, 780, 40)]
    requests = [request_at(*p) for p in places]
    whole = cut(server, make_scene(server, PIXELS), requests)
    monkeypatch.setattr(cutting, "PIECES_AT_ONCE", 1 << 40)  # one ship after the other
    server.asked.clear()
    parts = cut(server, make_scene(server, PIXELS), requests)
    assert by_target(parts) == by_target(whole)
    for name in FILES:
        ranges = sorted((a.first, a.last) for a in server.asked if a.path == name)
        assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges[1:]))  # type: ignore[operator]


def test_memory_stays_within_its_budget_whatever_the_number_of_ships(server: RangeServer) -> None:
    """3,000 ships and room for 64 chips and no block."""
    settings = make_settings(compute={"memory_mb": 16}, tiling={"chip_size_px": 128})
    random = np.random.default_rng(1)
    places = np.stack([random.integers(320, 560, 300), random.integers(320, 770, 300)], axis=1).tolist()
    requests = [request_at(*p) for p in sorted({(c, r) for c, r in places})]
    scene = make_scene(server, PIXELS)
    expected = {r.target_id: a for r, a in zip(requests, only_chips(cut(server, scene, requests, settings)), strict=True)}
    memory = MemoryBudget(16 * 1024 * 1024)
    fetcher = Fetcher((server.host,), timeout_s=10)
    groups = [
        (scene, [dataclasses.replace(r, target_id=f"{n}/{r.target_id}") for r in requests])
        for n in range(math.ceil(3000 / len(requests)))
    ]
    answers = 0
    for answer in cut_scenes(groups, settings=settings, fetcher=fetcher, memory=memory):
        assert isinstance(answer, Chip)
        one = expected[answer.request.target_id.partition("/")[2]]
        np.testing.assert_array_equal(answer.reflectance, one.reflectance)
        answers += 1
        memory.leave(chip_bytes(settings))
    assert answers >= 3000
    assert memory.most_bytes <= memory.total_bytes
    assert memory.used_bytes == 0


def test_chips_that_nobody_takes_hold_the_readers_up(server: RangeServer) -> None:
    settings = make_settings(compute={"memory_mb": 16})
    memory = MemoryBudget(16 * 1024 * 1024)
    groups = many_scenes(server, 40)
    answers = cut_scenes(groups, settings=settings, fetcher=Fetcher((server.host,), timeout_s=10), memory=memory)
    chips = 0
    while chips < 6:
        chips += isinstance(next(answers), Chip)
    time.sleep(0.5)
    asked = len(server.asked)
    time.sleep(0.5)
    assert len(server.asked) == asked, "nothing is read while six chips are with somebody"
    assert memory.waiting
    for _ in range(chips):
        memory.leave(chip_bytes(settings))
    for answer in answers:
        if isinstance(answer, Chip):
            memory.leave(chip_bytes(settings))
    assert memory.used_bytes == 0
    assert memory.most_bytes <= memory.total_bytes


def test_faults_in_one_of_ten_requests_change_nothing(server: RangeServer) -> None:
    groups = many_scenes(server, 12)
    expected = all_scenes(server, groups)
    kinds = itertools.cycle(["reset", "short", (503, {})])
    server.fault = lambda number, path: next(kinds) if number % 10 == 0 else None
    assert all_scenes(server, groups) == expected


def test_an_error_of_the_groups_and_of_a_step_reaches_the_caller(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Any]:
        yield many_scenes(server, 1)[0]
        raise OSError("no such list")

    with pytest.raises(OSError, match="no such list"):
        all_scenes(server, broken())
    monkeypatch.setattr("s2chips_core.chips.block_windows.inflate_rows", lambda *given, **more: [][1])
    with pytest.raises(IndexError):
        all_scenes(server, many_scenes(server, 3))


@pytest.mark.parametrize("workers", [1, 32])
def test_any_number_of_workers(server: RangeServer, workers: int) -> None:
    settings = make_settings(compute={"workers": workers})
    answers = cut(server, make_scene(server, PIXELS), [request_at(*p) for p in SEA] + REQUESTS[1:], settings)
    assert refused(answers) == ["chipped"] * 6 + ["gate_cloud", "gate_land", "nodata", "nodata"]


def test_missing_band(server: RangeServer) -> None:
    answers = cut(server, make_scene(server, PIXELS, without=("B12", "B04")), REQUESTS)
    assert set(refused(answers)) == {"missing_asset"}
    assert isinstance(answers[0], Refusal)
    assert answers[0].detail == "scene S2B_32VPH_20251027_0_L2A lists no B04, B12"
    assert not server.asked


@pytest.mark.parametrize("band", ["B03", "B04", "B11", "SCL"])
def test_a_band_that_is_gone_or_broken(server: RangeServer, band: str) -> None:
    scene = make_scene(server, PIXELS)
    requests = [REQUESTS[0], REQUESTS[4]]
    server.fault = lambda number, path: (404, {}) if path == f"{band}.tif" else None
    assert refused(cut(server, scene, requests))[0] == "missing_asset"
    server.asked.clear()
    server.fault = lambda number, path: (500, {}) if path == f"{band}.tif" else None
    answers = cut(server, scene, requests)
    assert refused(answers)[0] == "read_error"
    assert isinstance(answers[0], Refusal)
    assert "the server answered 500, 9 attempts" in answers[0].detail


def test_a_lost_block_refuses_its_own_ships_only(server: RangeServer) -> None:
    from s2chips_core.chips.cog import Header, parse_header

    header = parse_header(FILES["B08.tif"])
    assert isinstance(header, Header)
    lost = range(int(header.offsets[3, 0]), int(header.offsets[3, 1]))  # rows 768 and on, columns 0 to 255
    server.fault = lambda number, path: (500, {}) if path == "B08.tif" and server.asked[number - 1].first in lost else None
    answers = cut(server, make_scene(server, PIXELS), [request_at(450, 450), request_at(130, 700)])
    assert refused(answers) == ["chipped", "read_error"]


@pytest.mark.parametrize("fault", ["reset", "short", (503, {}), "ignore_range"])
def test_faults_change_no_pixel(server: RangeServer, fault: Any) -> None:
    server.fault = lambda number, path: fault if number % 3 == 0 else None
    (chip,) = only_chips(cut(server, make_scene(server, PIXELS), [request_at(450, 450)]))
    assert_same_pixels(chip.reflectance, expected_chip(PIXELS, BANDS, 450, 450))


@pytest.mark.parametrize(("carried", "offset_dn"), [(False, 0), (True, -1000)])
@pytest.mark.parametrize("without", [(), ("SCL",)])
def test_a_contradicting_flag_is_resolved_from_the_pixels(
    server: RangeServer, carried: bool, offset_dn: int, without: tuple[str, ...]
) -> None:
    names = "c1-{}.tif" if carried else "{}.tif"
    assets = {b: asset_of(server.href(names.format(b)), dn, 20 if dn.shape[0] == 500 else 10) for b, dn in PIXELS.items()}
    assets = {band: asset for band, asset in assets.items() if band not in without}
    scene = make_scene(server, PIXELS, boa_offset_flag=None, assets=assets)
    for chip in only_chips(cut(server, scene, [request_at(*p) for p in SEA])):
        assert (chip.boa_offset_dn, chip.boa_offset_source) == (offset_dn, "pixels")


def test_an_offset_that_stays_ambiguous_is_refused(server: RangeServer) -> None:
    bright = {b: dn if b == "SCL" else np.full_like(dn, 3000) for b, dn in PIXELS.items()}
    with serving(make_files(bright)) as other:
        scene = make_scene(other, bright, boa_offset_flag=None)
        settings = make_settings(gate={"enabled": False})
        answers = cut(other, scene, [request_at(450, 450), request_at(300, 450)], settings)
    assert refused(answers) == ["read_error", "read_error"]
    assert isinstance(answers[0], Refusal)
    assert "the radiometric offset is not known: " in answers[0].detail


@pytest.mark.parametrize("left_px", [0, 1])
def test_a_20_m_grid_that_begins_elsewhere(server: RangeServer, left_px: int) -> None:
    """The corner of the 20 m raster may lie some 10 m from that of the 10 m raster; the ground is what counts."""
    settings = make_settings(tiling={"include_swir": True, "resample": "nearest"})
    ulx_m = ULX_M - 10 * left_px
    with serving({**FILES, "B11.tif": make_cog(PIXELS["B11"], 256, gsd_m=20, ulx_m=ulx_m)}) as other:
        scene = make_scene(other, PIXELS)
        moved = {**scene.assets, "B11": asset_of(other.href("B11.tif"), PIXELS["B11"], 20, ulx_m=ulx_m)}
        (chip,) = only_chips(cut(other, make_scene(other, PIXELS, assets=moved), [request_at(450, 450)], settings))
    fine = PIXELS["B11"].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(
        chip.reflectance[4], fine[322 : 322 + 256, 322 + left_px : 322 + left_px + 256].astype("float32") / np.float32(10000)
    )


def test_a_grid_that_does_not_fit(server: RangeServer) -> None:
    scene = make_scene(server, PIXELS)
    moved = {**scene.assets, "B11": asset_of(scene.assets["B11"].href, PIXELS["B11"], 20, ulx_m=ULX_M + 5)}
    answers = cut(server, make_scene(server, PIXELS, assets=moved), [request_at(450, 450)])
    assert refused(answers) == ["read_error"]
    assert isinstance(answers[0], Refusal)
    assert "do not fit the scene's grid" in answers[0].detail


def test_hosts_that_are_not_allowed_are_never_asked(server: RangeServer) -> None:
    scene = make_scene(server, PIXELS)
    evil = {**scene.assets, "B12": asset_of("https://evil.example/B12.tif", PIXELS["B12"], 20)}
    answers = cut(server, make_scene(server, PIXELS, assets=evil), [request_at(450, 450)])
    assert refused(answers) == ["read_error"]
    assert isinstance(answers[0], Refusal)
    assert "'evil.example' is not in stac.allowed_hosts" in answers[0].detail


def test_nothing_to_do(server: RangeServer) -> None:
    assert cut(server, make_scene(server, PIXELS), []) == []
    assert not server.asked


def test_stop_ends_soon_and_leaves_no_thread(server: RangeServer) -> None:
    stop = threading.Event()
    fetcher = Fetcher((server.host,), timeout_s=5)
    requests = [request_at(*p) for p in SEA]
    answers = cut_scene(make_scene(server, PIXELS), requests, settings=SETTINGS, fetcher=fetcher, stop=stop)
    next(answers)
    stop.set()
    assert len(list(answers)) < len(requests) - 1
    assert_no_thread_is_left()


def test_an_iterator_that_is_given_up_stops_its_threads(server: RangeServer) -> None:
    fetcher = Fetcher((server.host,), timeout_s=5)
    answers = cut_scene(make_scene(server, PIXELS), REQUESTS, settings=SETTINGS, fetcher=fetcher)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert_no_thread_is_left()


def real_scene(folder: Path, collection: str, server: RangeServer) -> Scene:
    item = json.loads((folder / f"item-{collection}.json").read_text())
    item["links"] = [{"rel": "self", "href": server.href("item.json")}]
    return parse_item(item, PROVIDERS["earth_search"], collection_profile("earth_search", collection))


@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_the_real_archive(shared_data: Path) -> None:
    """Bands are rasterio's, both collections give the same bits, and in open water the ship is in the middle."""
    folder = shared_data / "archive-32VPH"
    ships = pd.read_csv(folder / "ais.csv").query("has_pixels")
    requests = [
        CutRequest(target_id=str(n), mmsi=s.mmsi, lat=s.lat, lon=s.lon, chip_id="0" * 16)
        for n, s in enumerate(ships.itertuples())
    ]
    # The real pixels are islands of some 100 px in a tile that is empty otherwise.
    settings = make_settings(gate={"max_nodata_frac": 1.0}, tiling={"include_swir": True})
    chips = {}
    with serving({path.name: path for path in folder.glob("*.tif")}) as server:
        for collection in ("sentinel-2-l2a", "sentinel-2-c1-l2a"):
            server.asked.clear()
            answers = cut(server, real_scene(folder, collection, server), requests, settings)
            chips[collection] = answers
    removed, carried = chips["sentinel-2-l2a"], chips["sentinel-2-c1-l2a"]
    assert refused(removed) == refused(carried)
    kept = [(r, c) for r, c in zip(removed, carried, strict=True) if isinstance(r, Chip) and isinstance(c, Chip)]
    assert len(kept) >= 22
    for one, other in kept:
        np.testing.assert_array_equal(one.reflectance, other.reflectance)
        assert (one.boa_offset_dn, other.boa_offset_dn, one.verdict) == (0, -1000, "pass_ndwi_only")
    open_water = [one for one, _ in kept if (one.numbers.qa_water_frac or 0) >= 0.95]
    assert len(open_water) >= 22
    centred = 0
    for number, band in enumerate(("B02", "B03", "B04", "B08")):
        with rasterio.open(folder / f"{band}.tif") as dataset:
            for chip, _ in kept:
                (x,), (y,) = rasterio.warp.transform("EPSG:4326", dataset.crs, [chip.request.lon], [chip.request.lat])
                row, col = dataset.index(x, y)
                box = RasterioWindow(col - 128, row - 128, 256, 256)
                dn = dataset.read(1, window=box, boundless=True, fill_value=0)
                expected = np.where(dn == 0, 0, np.clip(dn / 10000, 0.0001, 1)).astype("float32")
                np.testing.assert_array_equal(chip.reflectance[number], expected)
                assert tuple(dataset.window_transform(box))[:6] == chip.transform
                if band == "B08" and any(chip is ship for ship in open_water):
                    middle = dn[96:160, 96:160]
                    at = np.subtract(np.unravel_index(middle.argmax(), middle.shape), 32)
                    centred += bool(np.hypot(*at) <= 12)
    assert centred >= 18
