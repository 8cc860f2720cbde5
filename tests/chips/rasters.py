"""Rasters as GDAL writes them, in memory, for the tests of this folder."""

from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy as rio_copy

from s2chips_core.scenes.scene import Asset

ULX_M, ULY_M = 600000.0, 6300000.0


def make_tiff(
    array: np.ndarray,
    *,
    gsd_m: int = 10,
    ulx_m: float = ULX_M,
    uly_m: float = ULY_M,
    epsg: int = 32632,
    **options: Any,
) -> bytes:
    """A one-band raster: a tiled, deflated GeoTIFF with predictor 2, unless the options say otherwise."""
    profile = {
        "driver": "GTiff",
        "dtype": str(array.dtype),
        "count": 1,
        "height": array.shape[0],
        "width": array.shape[1],
        "crs": f"EPSG:{epsg}",
        "transform": Affine(gsd_m, 0, ulx_m, 0, -gsd_m, uly_m),
        "nodata": 0,
    }
    profile |= {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "predictor": 2} | options
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(array, 1)
        return bytes(memory.read())


def make_cog(
    array: np.ndarray,
    blocksize: int = 128,
    *,
    gsd_m: int = 10,
    ulx_m: float = ULX_M,
    uly_m: float = ULY_M,
    epsg: int = 32632,
    **options: Any,
) -> bytes:
    """The same in GDAL's COG layout: the directory first, the blocks last, a size before and a tail after each."""
    plain = make_tiff(array, gsd_m=gsd_m, ulx_m=ulx_m, uly_m=uly_m, epsg=epsg, compress="none", predictor=1)
    with MemoryFile(plain) as source, MemoryFile() as target:
        with source.open() as dataset:
            options = {"compress": "DEFLATE", "predictor": "YES", "sparse_ok": True} | options
            rio_copy(dataset, target.name, driver="COG", blocksize=blocksize, **options)
        return bytes(target.read())


def make_jp2(
    array: np.ndarray,
    blocksize: int = 128,
    *,
    gsd_m: int = 10,
    ulx_m: float = ULX_M,
    uly_m: float = ULY_M,
    epsg: int = 32632,
    **options: Any,
) -> bytes:
    """Lossless JPEG 2000 in tiles; with TLM="YES" it lists them."""
    options = {"quality": "100", "reversible": "YES"} | options
    plain = make_tiff(array, nodata=None, gsd_m=gsd_m, ulx_m=ulx_m, uly_m=uly_m, epsg=epsg)
    with MemoryFile(plain) as source, MemoryFile(ext=".jp2") as target:
        with source.open() as dataset:
            rio_copy(dataset, target.name, driver="JP2OpenJPEG", blockxsize=blocksize, blockysize=blocksize, **options)
        return bytes(target.read())


def asset_of(href: str, array: np.ndarray, gsd_m: int = 10, **changes: Any) -> Asset:
    """What an item would say of the raster."""
    facts = {"href": href, "gsd_m": gsd_m, "ulx_m": ULX_M, "uly_m": ULY_M, "rows": array.shape[0], "cols": array.shape[1]}
    return Asset(**(facts | changes))
