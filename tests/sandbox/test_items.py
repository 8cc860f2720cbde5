import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import shapely
import shapely.geometry

Items = dict[str, dict[str, Any]]


def test_ids_are_those_of_earth_search(items: Items) -> None:
    assert set(items) == {
        *(f"S2B_{tile}_20251012_0_L2A" for tile in ("29SQV", "30STE", "30SUE")),
        *(f"S2C_{tile}_20251027_0_L2A" for tile in ("29SQV", "30STE", "30SUE")),
        *(f"S2B_T{tile}_20251012T111541_L2A" for tile in ("29SQV", "30STE", "30SUE")),
        "S2B_30SUE_20251012_1_L2A",
    }


@pytest.mark.parametrize(
    ("recorded", "collection"),
    [
        ("search_2024-05-17_page1.json", "sentinel-2-l2a"),
        ("itemcollection_c1_13TDE_2024_ten_items.json", "sentinel-2-c1-l2a"),
    ],
)
def test_items_have_the_shape_of_real_ones(items: Items, shared_data: Path, recorded: str, collection: str) -> None:
    features = json.loads((shared_data / "stac/earth-search-v1" / recorded).read_text())["features"]
    real = next(f for f in features if f["collection"] == collection)
    # What belongs to the real archive's own processing and storage.
    theirs = ("earthsearch:", "processing:", "storage:", "view:azimuth", "view:incidence", "s2:reflectance_conversion")
    for item in items.values():
        if item["collection"] != collection:
            continue
        assert set(item) == set(real)
        missing = {k for k in real["properties"] if not k.startswith(theirs)} - set(item["properties"])
        assert not missing
        for key, value in item["properties"].items():
            if key in real["properties"] and not isinstance(value, int | float):
                assert type(value) is type(real["properties"][key]), key
        for key, asset in item["assets"].items():
            bands, theirs_bands = asset["raster:bands"][0], real["assets"][key]["raster:bands"][0]
            assert {k: v for k, v in theirs_bands.items() if k != "bits_per_sample"} == bands
            assert asset["proj:shape"] == real["assets"][key]["proj:shape"]
            assert asset["type"] == real["assets"][key]["type"]


def test_what_makes_real_archives_awkward_is_there(items: Items) -> None:
    first, second = items["S2B_30SUE_20251012_0_L2A"], items["S2B_30SUE_20251012_1_L2A"]
    assert first["properties"]["datetime"] == second["properties"]["datetime"]
    assert first["properties"]["s2:datatake_id"][:-5] == second["properties"]["s2:datatake_id"][:-5]
    assert first["properties"]["s2:processing_baseline"] < second["properties"]["s2:processing_baseline"]
    assert {i for i, item in items.items() if "scl" not in item["assets"]} == {"S2C_29SQV_20251027_0_L2A"}
    for key in ("rededge1", "rededge2", "rededge3", "nir08"):
        assert {i for i, item in items.items() if key in item["assets"]} == {i for i in items if i.startswith("S2C_")}
    assert {i for i, item in items.items() if item["properties"]["created"] > "2025-10-29T12"} == {
        "S2C_30SUE_20251027_0_L2A"
    }
    cloudy = {i for i, item in items.items() if item["properties"]["eo:cloud_cover"] > 30}
    assert cloudy == {"S2B_29SQV_20251012_0_L2A", "S2B_T29SQV_20251012T111541_L2A"}
    for item in items.values():
        flagged = "earthsearch:boa_offset_applied" in item["properties"]
        assert flagged == (item["collection"] == "sentinel-2-l2a")


def test_percentages_are_those_of_the_pixels(items: Items, sandbox_archive: Path) -> None:
    names = {4: "vegetation", 6: "water", 9: "high_proba_clouds", 3: "cloud_shadow"}
    for item_id in ("S2B_30SUE_20251012_0_L2A", "S2B_29SQV_20251012_0_L2A"):
        said = items[item_id]["properties"]
        with rasterio.open(sandbox_archive / items[item_id]["assets"]["scl"]["href"]) as file:
            scl = file.read(1)
        valid = (scl > 0).sum()
        for value, name in names.items():
            assert said[f"s2:{name}_percentage"] == pytest.approx(100 * (scl == value).sum() / valid, abs=1e-5)
        assert said["s2:nodata_pixel_percentage"] == pytest.approx(100 * (scl == 0).mean(), abs=1e-5)
        clouds = np.isin(scl, (8, 9, 10)).sum()
        assert said["eo:cloud_cover"] == pytest.approx(100 * clouds / valid, abs=1e-5)


@pytest.mark.parametrize("item_id", ["S2B_30SUE_20251012_0_L2A", "S2B_29SQV_20251012_0_L2A"])
def test_the_footprint_is_that_of_the_data(items: Items, sandbox_archive: Path, item_id: str) -> None:
    item = items[item_id]
    with rasterio.open(sandbox_archive / item["assets"]["scl"]["href"]) as file:
        valid = (file.read(1) > 0).astype(np.uint8)
        shapes = list(rasterio.features.shapes(valid, valid > 0, transform=file.transform))
        said = shapely.geometry.shape(rasterio.warp.transform_geom("EPSG:4326", file.crs, item["geometry"]))
    seen = shapely.union_all([shapely.geometry.shape(shape) for shape, _ in shapes])
    assert seen.symmetric_difference(said).area / seen.area < 2e-3
    assert shapely.hausdorff_distance(seen.exterior, said.exterior) < 60  # jagged by 20 m pixels, sagging chords
    assert shapely.geometry.shape(item["geometry"]).bounds == pytest.approx(item["bbox"])
