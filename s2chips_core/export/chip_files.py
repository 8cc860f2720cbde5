"""The files of a chip as they go into an export: the dataset's own, or written anew with other tags and bands.

Here: reading them, checking that they are what the index says, writing them anew. Not here: where they go (`dataset`).
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader, MemoryFile

from s2chips_core import layout
from s2chips_core.chips.artefacts import is_cog, rewrite_geotiff
from s2chips_core.errors import StorageError
from s2chips_core.export.selection import REMEDY
from s2chips_core.index.chip_files import MASKS_SUFFIX, TAG_FIELDS
from s2chips_core.index.records import plain
from s2chips_core.storage import Storage

QUICKLOOK_SUFFIX = "_quicklook.jpg"
SIDECAR_SUFFIX = ".json"
TIF_SUFFIX = ".tif"
Labels = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RasterFacts:
    """What the GeoTIFFs of a chip say of themselves."""

    rows: int
    cols: int
    cloud_optimized: bool
    mask_bands: tuple[str, ...] = ()
    """Of the masks; none where there are none. Earlier versions wrote fewer."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipFiles:
    """A chip's files and what is in them."""

    data: dict[str, bytes]
    """By suffix: `.tif`, `_masks.tif` where there are masks, `_quicklook.jpg`, `.json`."""
    raster: RasterFacts
    labels: Labels | None
    """Of the sidecar; none of a chip that was made by a version that knew no labels."""


def read_chip(storage: Storage, row: Mapping[str, Any], get: Callable[[str], bytes] | None = None) -> ChipFiles:
    """The files of a chip of the index.

    They are read in the reverse of the order in which they are written, and the index, the tags of the `.tif` and the
    sidecar must tell of the same fingerprint: then all of them are of one making, also while the dataset goes on.

    Args:
        storage: the dataset.
        row: its row of the index.
        get: the bytes of a key, when they do not come from `storage`.

    Raises:
        StorageError: a file is missing, or was made anew since.
    """
    get = get or storage.get
    path = row["path"]
    data: dict[str, bytes] = {}
    for suffix in (TIF_SUFFIX, MASKS_SUFFIX, QUICKLOOK_SUFFIX, SIDECAR_SUFFIX):
        [key] = layout.chip_artefacts(path, (suffix,))
        if suffix != MASKS_SUFFIX or storage.exists(key):
            try:
                data[suffix] = get(key)
            except StorageError as error:
                raise StorageError(key, f"of {layout.tiles_index()} cannot be read; {REMEDY} ({error})") from error
    with _opened(path, data[TIF_SUFFIX]) as tif:
        tags, facts = tif.tags(), RasterFacts(rows=tif.height, cols=tif.width, cloud_optimized=is_cog(tif))
    if MASKS_SUFFIX in data:
        with _opened(layout.chip_artefacts(path, (MASKS_SUFFIX,))[0], data[MASKS_SUFFIX]) as masks:
            facts = dataclasses.replace(facts, mask_bands=tuple(masks.descriptions))
    sidecar = _sidecar(path, data[SIDECAR_SUFFIX])
    made = {row["fingerprint"], tags.get("fingerprint"), sidecar.get("fingerprint")}
    if len(made) > 1:
        raise StorageError(path, f"is not the chip that {layout.tiles_index()} tells of; {REMEDY}")
    return ChipFiles(data=data, raster=facts, labels=sidecar.get("labels"))


def rewritten(files: ChipFiles, shown: Mapping[str, Any], labels: Labels | None) -> ChipFiles:
    """The files of a chip with what an export shows of it: its bands, and nothing of its ship that is not in `shown`.

    Pixels stay as they are.

    Args:
        files: as `read_chip` gives them.
        shown: the row of the export.
        labels: as the export shows them.
    """
    said = {name: plain(value) for name, value in shown.items() if name not in ("bbox", "geometry")}
    tags = {name: str(said[name]) for name in (*TAG_FIELDS, "vessel_id") if name in said}
    tif = rewrite_geotiff(files.data[TIF_SUFFIX], tags=tags, bands=shown["bands"])
    if labels is not None:
        said["labels"] = labels
    sidecar = (json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    data = {**files.data, TIF_SUFFIX: tif, SIDECAR_SUFFIX: sidecar}
    return ChipFiles(data=data, raster=files.raster, labels=labels)


@contextlib.contextmanager
def _opened(key: str, data: bytes) -> Iterator[DatasetReader]:
    try:
        with MemoryFile(data) as memory, memory.open(driver="GTiff") as raster:
            yield raster
    except RasterioIOError as error:
        raise StorageError(key, f"is no GeoTIFF: {error}") from error


def _sidecar(path: str, data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise StorageError(path.removesuffix(TIF_SUFFIX) + SIDECAR_SUFFIX, f"is no sidecar of a chip; {REMEDY}")
    return said
