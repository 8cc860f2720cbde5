"""What differs between a stored chip and the one that was cut now: pixels, georeference, tags, masks.

Here: the comparison and its sentences. Not here: cutting again (`recut`).
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioIOError
from rasterio.io import MemoryFile

from s2chips_core import layout
from s2chips_core.chips.chip import MASK_BANDS, MaskArray
from s2chips_core.index.chip_files import MASKS_SUFFIX
from s2chips_core.storage import Storage


def raster_differences(path: str, stored: bytes, geotiff: bytes, *, told: Collection[str]) -> Iterator[tuple[str, str]]:
    """What differs between two GeoTIFFs of a chip, as rasterio reads both.

    Args:
        path: of the stored one, for a sentence.
        stored, geotiff: the files.
        told: tags that are not looked at.

    Yields:
        The band, or `file`, and a sentence with the numbers.
    """
    try:
        with (
            MemoryFile(stored or b"\0") as one,
            one.open(driver="GTiff") as old,
            MemoryFile(geotiff) as other,
            other.open(driver="GTiff") as new,
        ):
            for name in ("count", "dtypes", "shape", "crs", "transform", "nodata", "descriptions"):
                was, now = getattr(old, name), getattr(new, name)
                if was != now:
                    yield "file", f"{name}: {was} in the file, {now} now"
            was_tags, now_tags = old.tags(), new.tags()
            for name in sorted({*was_tags, *now_tags} - set(told)):
                if was_tags.get(name) != now_tags.get(name):
                    yield "file", f"tag {name}: {was_tags.get(name)} in the file, {now_tags.get(name)} now"
            if (old.count, old.shape) == (new.count, new.shape):
                for number, band in enumerate(new.descriptions, start=1):
                    text = _pixel_difference(old.read(number), new.read(number))
                    if text:
                        yield band, f"{band}: {text}"
    except RasterioIOError as error:
        yield "file", f"{path} cannot be read: {error}"


def mask_differences(storage: Storage, path: str, masks: MaskArray | None) -> Iterator[str]:
    """What differs between the `_masks.tif` beside the chip at `path` and the masks of now; nothing when it has none."""
    if masks is None:
        return
    [key] = layout.chip_artefacts(path, (MASKS_SUFFIX,))
    if not storage.exists(key):
        yield f"{key} is gone"
        return
    try:
        with MemoryFile(storage.get(key) or b"\0") as memory, memory.open(driver="GTiff") as stored:
            old = stored.read()
    except RasterioIOError as error:
        yield f"{key} cannot be read: {error}"
        return
    if old.shape != masks.shape:
        yield f"{key}: shape {old.shape} in the file, {masks.shape} now"
        return
    for name, was, now in zip(MASK_BANDS, old, masks, strict=True):
        if (count := int((was != now).sum())) > 0:
            yield f"mask {name}: {count} of {was.size} pixels differ"


def _pixel_difference(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> str | None:
    differs = ~((old == new) | (np.isnan(old) & np.isnan(new)))
    if not differs.any():
        return None
    gap = np.abs(old.astype(np.float64) - new.astype(np.float64))[differs].max()
    return f"{int(differs.sum())} of {differs.size} pixels differ, by at most {gap:.6g}"
