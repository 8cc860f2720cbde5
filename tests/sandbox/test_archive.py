import itertools
import json
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.windows import Window

from s2chips_core.ais.synthetic import SyntheticShip, synthetic_fleet
from s2chips_core.errors import StorageError
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.sandbox import archive
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES, build_archive
from tests.sandbox_fixtures import SEED, SHIPS_PER_TILE

Items = dict[str, dict[str, Any]]
CHIP = 256


def _time(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["properties"]["datetime"])


def _fleets(items: Items, day: str) -> list[SyntheticShip]:
    """The fleets of all tiles of a day, as `ais_snapshots` makes them."""
    out = []
    for tile in DEMO_TILES:
        time = next(_time(i) for i in items.values() if i["id"].endswith(f"_{tile}_{day}_0_L2A"))
        out += synthetic_fleet(tile, tile_area(tile, 0.05), time, ships=SHIPS_PER_TILE, seed=SEED)
    return out


def _pixel(item: dict[str, Any], ship: SyntheticShip) -> tuple[int, int]:
    """Column and row of the ship at the scene's own time."""
    to_utm = pyproj.Transformer.from_crs(4326, item["properties"]["proj:epsg"], always_xy=True)
    x, y = to_utm.transform(*ship.at(_time(item)))
    _, _, ulx, _, _, uly = item["assets"]["nir"]["proj:transform"]
    return int((x - ulx) // 10), int((uly - y) // 10)


def _read(folder: Path, item: dict[str, Any], key: str, window: Window) -> np.ndarray:
    with rasterio.open(folder / item["assets"][key]["href"]) as file:
        pixels: np.ndarray = file.read(1, window=window, boundless=True, fill_value=0)
    return pixels


@pytest.mark.parametrize("day", ["20251012", "20251027"])
def test_hulls_are_bright_where_the_ships_are_at_the_scenes_own_time(items: Items, sandbox_archive: Path, day: str) -> None:
    found = missed = 0
    for item in items.values():
        if day not in item["id"] or item["collection"] != "sentinel-2-l2a" or item["properties"]["s2:sequence"] != "0":
            continue
        ships = _fleets(items, day)
        places = np.array([_pixel(item, ship) for ship in ships])
        for ship, (col, row) in zip(ships, places, strict=True):
            crowd = (np.abs(places - (col, row)).max(axis=1) < 40).sum() > 1
            if ship.length_m < 30 or crowd or not (200 < col < 10780 and 200 < row < 10780):
                continue
            nir = _read(sandbox_archive, item, "nir", Window(col - 32, row - 32, 64, 64)).astype(int)
            water = np.median(nir)
            if water > 110 or nir.min() < 40:  # land, cloud or edge
                continue
            peak = np.array(np.unravel_index(nir.argmax(), nir.shape)) - 32
            # The brightest place is the superstructure, aft of the middle.
            if nir.max() > 3 * water and np.hypot(*peak) * 10 < ship.length_m / 2 + 20:
                found += 1
            else:
                missed += 1
    assert found >= 12
    assert missed <= 0.06 * found


@pytest.mark.parametrize("day", ["S2B_{}_20251012_0_L2A", "S2C_{}_20251027_0_L2A"])
def test_a_ship_is_seen_in_both_tiles_that_overlap_there(items: Items, sandbox_archive: Path, day: str) -> None:
    west, east = items[day.format("29SQV")], items[day.format("30STE")]
    seen = 0
    for ship in _fleets(items, day.split("_")[2]):
        if ship.length_m < 40:
            continue
        peaks = []
        for item in (west, east):
            col, row = _pixel(item, ship)
            if not (200 < col < 10780 and 200 < row < 10780):
                break
            nir = _read(sandbox_archive, item, "nir", Window(col - 15, row - 15, 30, 30))
            peaks.append(int(nir.max()) if np.median(nir) < 110 and nir.min() > 40 else 0)
        if len(peaks) == 2 and min(peaks) > 0:
            assert min(peaks) > 600  # visible in both, though they lie in two zones
            seen += 1
    assert seen >= 1


def test_both_collections_show_the_same_reflectance(items: Items, sandbox_archive: Path) -> None:
    without, with_offset = items["S2B_30SUE_20251012_0_L2A"], items["S2B_T30SUE_20251012T111541_L2A"]
    for key in ("blue", "nir", "swir16"):
        window = Window(0, 2000, 2400, 2400)
        plain = _read(sandbox_archive, without, key, window).astype(int)
        raised = _read(sandbox_archive, with_offset, key, window).astype(int)
        assert np.array_equal(plain == 0, raised == 0)
        valid = plain > 0
        assert np.array_equal(plain[valid], np.maximum(raised[valid] - 1000, 1))


def test_the_reprocessed_scene_differs_a_little(items: Items, sandbox_archive: Path) -> None:
    window = Window(0, 8000, 2048, 2048)
    first = _read(sandbox_archive, items["S2B_30SUE_20251012_0_L2A"], "red", window).astype(float)
    again = _read(sandbox_archive, items["S2B_30SUE_20251012_1_L2A"], "red", window).astype(float)
    land = first > 1000
    assert land.any()
    assert 1.005 < (again[land] / first[land]).mean() < 1.02


def test_scl_is_consistent_with_the_pixels(items: Items, sandbox_archive: Path) -> None:
    item = items["S2B_30STE_20251012_0_L2A"]
    window = Window(0, 0, 5490, 5490)
    scl = _read(sandbox_archive, item, "scl", window)
    swir = _read(sandbox_archive, item, "swir16", window).astype(int)
    with rasterio.open(sandbox_archive / item["assets"]["nir"]["href"]) as file:
        nir = file.read(1)[::2, ::2].astype(int)
    with rasterio.open(sandbox_archive / item["assets"]["green"]["href"]) as file:
        green = file.read(1)[::2, ::2].astype(int)
    assert set(np.unique(scl)) >= {3, 4, 5, 6, 8, 9}
    water, plants, bare, cloud = scl == 6, scl == 4, scl == 5, scl == 9
    ndwi = (green - nir) / np.maximum(green + nir, 1)
    assert (ndwi[water] > 0.05).mean() > 0.995
    assert np.percentile(swir[water], 99) < 120
    assert (ndwi[plants] < -0.2).mean() > 0.98
    assert (ndwi[bare] < 0.05).mean() > 0.98
    assert (nir[cloud] > 3_500).mean() > 0.98
    assert nir[scl == 3].mean() < nir[(scl > 3) & (scl < 7)].mean()


def test_red_edge_lies_between_red_and_near_infrared(items: Items, sandbox_archive: Path) -> None:
    item, window = items["S2C_30STE_20251027_0_L2A"], Window(0, 0, 5490, 5490)
    scl = _read(sandbox_archive, item, "scl", window)
    red, nir = (
        _read(sandbox_archive, item, key, Window(0, 0, 10980, 10980))[::2, ::2].astype(int) for key in ("red", "nir")
    )
    edge = [_read(sandbox_archive, item, f"rededge{n}", window).astype(int) for n in (1, 2, 3)]
    narrow = _read(sandbox_archive, item, "nir08", window).astype(int)
    plants, water = scl == 4, scl == 6
    assert plants.any()
    for lower, higher in itertools.pairwise([red, *edge, narrow]):
        assert (lower[plants] < higher[plants]).mean() > 0.98
    assert np.abs(narrow - nir)[plants].mean() < 0.1 * nir[plants].mean()
    for band in (*edge, narrow):
        assert np.percentile(band[water], 90) < 300
        assert ((band > 0) == (scl > 0)).all()


def test_the_same_ground_in_two_zones(items: Items, sandbox_archive: Path) -> None:
    """A place on both tiles is land on both or sea on both."""
    west, east = items["S2C_29SQV_20251027_0_L2A"], items["S2C_30STE_20251027_0_L2A"]
    generator = np.random.default_rng(1)
    lon, lat = generator.uniform(-6.25, -5.65, 3000), generator.uniform(35.2, 36.05, 3000)
    values = []
    for item in (west, east):
        x, y = pyproj.Transformer.from_crs(4326, item["properties"]["proj:epsg"], always_xy=True).transform(lon, lat)
        with rasterio.open(sandbox_archive / item["assets"]["swir22"]["href"]) as file:
            values.append(np.array([v[0] for v in file.sample(np.column_stack([x, y]))]))
    differ = (values[0] > 300) != (values[1] > 300)
    assert differ.mean() < 0.01


def test_overviews_look_like_the_scene(items: Items, sandbox_archive: Path) -> None:
    path = sandbox_archive / items["S2B_30SUE_20251012_0_L2A"]["assets"]["nir"]["href"]
    with rasterio.open(path) as file:
        full = file.read(1)[:10976, :10976].reshape(1372, 8, 1372, 8).astype(float)
    with rasterio.open(path, overview_level=2) as file:
        small = file.read(1)[:1372, :1372].astype(float)
    count = (full > 0).sum(axis=(1, 3))
    mean = full.sum(axis=(1, 3)) / np.maximum(count, 1)
    whole = count == 64
    assert np.abs(small - mean)[whole].max() < 130  # averaged three times, each in steps of up to 64
    assert (small[count == 0] == 0).all()


def test_it_is_small_and_has_what_the_demo_needs(items: Items, sandbox_archive: Path) -> None:
    assert sum(path.stat().st_size for path in sandbox_archive.rglob("*")) < 300e6
    assert len(DEMO_TILES) >= 3
    assert len(DEMO_DAYS) == 2
    # By a rough judgement of the pixels alone: what becomes of the ships of both days.
    tally: Counter[str] = Counter()
    for day in ("20251012", "20251027"):
        scenes = [
            i
            for i in items.values()
            if i["id"].endswith(f"{day}_0_L2A")
            and i["properties"]["eo:cloud_cover"] <= 30
            and datetime.fromisoformat(i["properties"]["created"]) <= DEMO_NOW
        ]
        published = {i["properties"]["grid:code"][5:] for i in items.values() if day in i["id"]}
        if day == "20251027":
            published.discard("30SUE")
        for ship in _fleets(items, day):
            tally[_fate(ship, scenes, sandbox_archive)] += 1
    assert tally["chip"] >= 30
    assert min(tally[fate] for fate in ("cloud", "land", "edge", "outside")) >= 1


def _fate(ship: SyntheticShip, scenes: list[dict[str, Any]], folder: Path) -> str:
    best = "outside"
    for item in scenes:
        col, row = _pixel(item, ship)
        if not (0 <= col < 10980 and 0 <= row < 10980):
            continue
        window = Window(col - CHIP // 2, row - CHIP // 2, CHIP, CHIP)
        nir, green = (_read(folder, item, key, window).astype(float) for key in ("nir", "green"))
        if nir[CHIP // 2, CHIP // 2] == 0:
            continue
        if (nir == 0).mean() > 0.05:
            best = "edge" if best == "outside" else best
            continue
        centre = np.s_[96:160, 96:160]
        if (nir[centre] > 1_500).mean() < 0.03 and ((green - nir) / np.maximum(green + nir, 1))[centre].mean() > 0.3:
            return "chip"
        return "cloud" if (green[centre] > 2_600).mean() > 0.05 else "land"
    return best


def test_a_complete_archive_is_left_alone_and_a_broken_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def quick(folder: Path, seed: int, ships_per_tile: int, tell: object) -> None:
        made.append((seed, ships_per_tile))
        (folder / "item-x.json").write_text("{}")

    monkeypatch.setattr(archive, "_build", quick)
    folder = tmp_path / "a"
    for seed in (1, 1, 2):
        assert build_archive(folder, seed=seed, ships_per_tile=3) == folder
    assert made == [(1, 3), (2, 3)]
    (folder / "item-x.json").write_text("longer")
    build_archive(folder, seed=2, ships_per_tile=3)
    assert made == [(1, 3), (2, 3), (2, 3)]
    assert json.loads((folder / "archive.json").read_text())["files"] == {"item-x.json": 2}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["a"]


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "me.jpg").write_bytes(b"x")
    with pytest.raises(StorageError, match="has no archive"):
        build_archive(folder, seed=1, ships_per_tile=1)
    assert (folder / "me.jpg").is_file()


def test_a_build_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path, *_: object) -> None:
        shutil.copy(__file__, folder / "half.tif")
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_build", broken)
    with pytest.raises(KeyboardInterrupt):
        build_archive(tmp_path / "a", seed=1, ships_per_tile=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
