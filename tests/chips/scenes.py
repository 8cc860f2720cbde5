"""A small scene, its files and a chip computed by rasterio and GDAL alone, for the tests of this folder."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pyproj import Transformer
from rasterio import Affine
from rasterio.warp import Resampling, reproject

from s2chips_core.chips.cutting import CutRequest
from s2chips_core.config import Settings
from s2chips_core.scenes.scene import Scene
from tests.chips.range_server import RangeServer
from tests.chips.rasters import ULX_M, ULY_M, asset_of, make_cog

SIDE_PX = 1000
BANDS_10 = ("B02", "B03", "B04", "B08")
RED_EDGE = ("B05", "B06", "B07", "B8A")
BANDS_20 = ("B11", "B12", "SCL", *RED_EDGE)
WATER, CLOUD, BARE = 6, 9, 5


def make_pixels(seed: int = 5, *, red_edge: bool = False) -> dict[str, np.ndarray]:
    """Digital numbers without the offset: sea in the west, land from column 700 on, no data in the last 100 rows,
    thick cloud around row 200, column 200."""
    random = np.random.default_rng(seed)
    sea = {"B02": 500, "B03": 450, "B04": 300, "B08": 150, "B11": 90, "B12": 70}
    land = {"B02": 700, "B03": 900, "B04": 1000, "B08": 2500, "B11": 2200, "B12": 1500}
    if red_edge:
        sea |= {"B05": 250, "B06": 200, "B07": 190, "B8A": 140}
        land |= {"B05": 1300, "B06": 2000, "B07": 2300, "B8A": 2600}
    pixels = {}
    for band in sea:
        n = SIDE_PX if band in BANDS_10 else SIDE_PX // 2
        k = SIDE_PX // n
        dn = np.full((n, n), sea[band]) + random.integers(-40, 41, (n, n))
        dn[:, 700 // k :] = land[band] + random.integers(-60, 61, (n, n - 700 // k))
        dn[100 // k : 300 // k, 100 // k : 300 // k] = 6000 + random.integers(0, 500, (200 // k, 200 // k))
        dn[900 // k :] = 0
        pixels[band] = dn.astype("uint16")
    scl = np.full((SIDE_PX // 2, SIDE_PX // 2), WATER, "uint8")
    scl[:, 350:] = BARE
    scl[50:150, 50:150] = CLOUD
    scl[450:] = 0
    return pixels | {"SCL": scl}


def with_offset(pixels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same scene with ESA's +1000."""
    return {
        band: dn if band == "SCL" else np.where(dn > 0, dn.astype("uint32") + 1000, 0).astype("uint16")
        for band, dn in pixels.items()
    }


def make_files(pixels: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    return {f"{band}.tif": make_cog(dn, 256, gsd_m=gsd_of(band)) for band, dn in pixels.items()}


def gsd_of(band: str) -> int:
    return 20 if band in BANDS_20 else 10


def make_scene(
    server: RangeServer, pixels: Mapping[str, np.ndarray], without: tuple[str, ...] = (), **changes: Any
) -> Scene:
    """What the archive would say of it; `sentinel-2-l2a`, offset removed."""
    assets = {
        band: asset_of(server.href(f"{band}.tif"), dn, gsd_of(band)) for band, dn in pixels.items() if band not in without
    }
    facts: dict[str, Any] = {
        "scene_id": "S2B_32VPH_20251027_0_L2A",
        "provider": "earth_search",
        "collection": "sentinel-2-l2a",
        "datetime": datetime(2025, 10, 27, 10, 36, 41, tzinfo=UTC),
        "platform": "S2B",
        "datatake_id": None,
        "mgrs_tile": "32VPH",
        "epsg": 32632,
        "cloud_cover": 5.0,
        "processing_baseline": "05.11",
        "sequence": 0,
        "revision": "1",
        "boa_offset_flag": True,
        "footprint": {},
        "assets": assets,
    }
    return Scene(**(facts | changes))


def make_settings(**sections: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {"satellite_tracking": {"tiles": ["32VPH"]}, "tiling": {"include_swir": True}}
    return Settings.model_validate(tree | sections)


def request_at(col: int, row: int, right_m: float = 5.0, down_m: float = 5.0) -> CutRequest:
    """A ship in that pixel of the scene."""
    to_lonlat = Transformer.from_crs(32632, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(ULX_M + 10 * col + right_m, ULY_M - 10 * row - down_m)
    return CutRequest(
        target_id=f"{col}-{row}", mmsi=219000000 + col, lat=lat, lon=lon, chip_id=f"{col:08x}{row & 0xFFFFFFFF:08x}"
    )


def padded_window(array: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return np.pad(array, 1000)[top + 1000 :, left + 1000 :][:size, :size]


_FINE: dict[int, np.ndarray] = {}


def to_10_m(array: np.ndarray) -> np.ndarray:
    """A 20 m raster on the 10 m grid, by GDAL."""
    if id(array) not in _FINE:
        fine = np.zeros((2 * array.shape[0], 2 * array.shape[1]), "float32")
        reproject(
            array,
            fine,
            src_transform=Affine(20, 0, ULX_M, 0, -20, ULY_M),
            dst_transform=Affine(10, 0, ULX_M, 0, -10, ULY_M),
            src_crs="EPSG:32632",
            dst_crs="EPSG:32632",
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling.cubic,
        )
        _FINE[id(array)] = fine
    return _FINE[id(array)]


def expected_chip(
    pixels: Mapping[str, np.ndarray], bands: tuple[str, ...], col: int, row: int, size: int = 256
) -> np.ndarray:
    """The chip of a scene without offset: GDAL warps what is of 20 m, numpy cuts and divides."""
    layers = []
    for band in bands:
        dn = to_10_m(pixels[band]) if band in BANDS_20 else pixels[band]
        dn = padded_window(dn, row - size // 2, col - size // 2, size).astype("float64")
        layers.append(np.where(dn == 0, 0, np.clip(dn / 10000, 0.0001, 1)).astype("float32"))
    return np.stack(layers)
