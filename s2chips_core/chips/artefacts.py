"""A chip as the bytes of a GeoTIFF, and its masks as the bytes of another.

Here: the formats. Not here: where they are stored (`index.chip_files`), the picture (`quicklook`).
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader, MemoryFile
from rasterio.shutil import copy as copy_raster

from s2chips_core.chips.chip import MASK_BANDS, NOT_KNOWN, Chip
from s2chips_core.chips.grid import Transform

_BLOCK_MOST_PX = 128
_COG_BLOCK_LEAST_PX = 128
_COG_NEEDS_OVERVIEWS_PX = 512
"""Validators ask for overviews of rasters larger than this only."""
_LEVELS = {"deflate": ("ZLEVEL", "1"), "zstd": ("ZSTD_LEVEL", "1")}
"""Level 1 without predictor: for whole numbers of 1e-4 as float32 the smallest and the quickest (4 ms, 390 kB a chip)."""


def encode_geotiff(
    chip: Chip,
    *,
    tags: Mapping[str, str],
    geotiff: Literal["gtiff", "cog"],
    compression: Literal["deflate", "zstd", "lzw", "none"],
) -> bytes:
    """The chip as GeoTIFF: float32 reflectance, nodata 0, tiled, band descriptions, the scene's UTM zone.

    Args:
        chip: its `reflectance`, `bands`, `epsg` and `transform` are written.
        tags: metadata of the file.
        geotiff: a plain GeoTIFF with bands one after the other, or a Cloud-Optimized GeoTIFF.
        compression: of the blocks.
    """
    plain: Literal["deflate", "zstd", "lzw", "none"] = "none" if geotiff == "cog" else compression
    data = _encode(chip.reflectance, chip.bands, chip.epsg, chip.transform, nodata=0, tags=tags, compression=plain)
    return data if geotiff == "gtiff" else _to_cog(data, chip.reflectance.shape[1], compression)


def encode_masks(chip: Chip) -> bytes:
    """The chip's masks as GeoTIFF: uint8 bands cloud, land, water, valid (0 no, 1 yes) and scl (ESA's
    classes 0 to 11); 255 (nodata) not known.

    Raises:
        ValueError: the chip was cut without masks.
    """
    if chip.masks is None:
        raise ValueError(f"chip {chip.request.chip_id} was cut without masks, expected masks.persist")
    return _encode(chip.masks, MASK_BANDS, chip.epsg, chip.transform, nodata=NOT_KNOWN, tags={}, compression="deflate")


def rewrite_geotiff(data: bytes, *, tags: Mapping[str, str], bands: Sequence[str] | None = None) -> bytes:
    """A chip's GeoTIFF with other tags, and only some bands: a new file, so that nothing of the old tags is left in it.

    Pixels, place, compression and kind (plain or cloud-optimized) stay as they are.

    Args:
        data: a file of `encode_geotiff`.
        tags: all tags of the new file.
        bands: by description, in this order; none is all.

    Raises:
        ValueError: there is no such band.
    """
    with MemoryFile(data) as memory, memory.open(driver="GTiff") as source:
        names = tuple(str(name) for name in source.descriptions)
        chosen = names if bands is None else tuple(bands)
        pixels = source.read([names.index(band) + 1 for band in chosen])
        cog = is_cog(source)
        compression = (source.profile.get("compress") or "none").lower()
        written = _encode(
            pixels,
            chosen,
            source.crs.to_epsg(),
            tuple(source.transform)[:6],
            nodata=source.nodata,
            tags=tags,
            compression="none" if cog else compression,
        )
    return _to_cog(written, pixels.shape[1], compression) if cog else written


def is_cog(raster: DatasetReader) -> bool:
    """Whether an open raster says that it is a Cloud-Optimized GeoTIFF; GDAL does not let uncompressed ones say so."""
    return bool(raster.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG")


@functools.lru_cache(maxsize=128)
def _crs(epsg: int) -> CRS:
    return CRS.from_epsg(epsg)


def _block_px(size_px: int) -> int:
    """Side of a block: a multiple of 16, as TIFF wants it, and at least two beside each other.

    rasterio's `profile["tiled"]` is false for a tiled file whose blocks are as wide as the raster.
    """
    return max(16, min(_BLOCK_MOST_PX, size_px // 2 // 16 * 16))


def _encode(
    array: npt.NDArray[Any],
    bands: tuple[str, ...],
    epsg: int,
    transform: Transform,
    *,
    nodata: float,
    tags: Mapping[str, str],
    compression: str,
) -> bytes:
    count, rows, cols = array.shape
    options = dict([_LEVELS[compression]]) if compression in _LEVELS else {}
    # One environment for all steps: each of them would make and tear down its own.
    with rasterio.Env(), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            dtype=array.dtype.name,
            count=count,
            height=rows,
            width=cols,
            crs=_crs(epsg),
            transform=Affine(*transform),
            nodata=nodata,
            tiled=True,
            blockxsize=_block_px(cols),
            blockysize=_block_px(rows),
            compress=compression,
            interleave="band",
            **options,
        ) as dataset:
            # Before the pixels: what is told after them makes GDAL write the directory twice.
            dataset.descriptions = bands
            if tags:
                dataset.update_tags(**tags)
            dataset.write(np.ascontiguousarray(array))
        data: bytes = memory.read()
        return data


def _to_cog(data: bytes, size_px: int, compression: str) -> bytes:
    level = {"LEVEL": "1"} if compression in _LEVELS else {}
    with rasterio.Env(), MemoryFile(data) as source, MemoryFile(ext=".tif") as target:
        with source.open(driver="GTiff") as dataset:
            copy_raster(
                dataset,
                target.name,
                driver="COG",
                COMPRESS=compression.upper(),
                PREDICTOR="NO",
                BLOCKSIZE=str(max(_COG_BLOCK_LEAST_PX, _block_px(size_px))),
                OVERVIEWS="AUTO" if size_px > _COG_NEEDS_OVERVIEWS_PX else "NONE",
                OVERVIEW_RESAMPLING="AVERAGE",
                **level,
            )
        return bytes(target.read())
