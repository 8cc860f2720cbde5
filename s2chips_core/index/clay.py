"""Chips of a dataset as batches for the Clay foundation model v1.5: rows of `tiles.parquet` in, numpy arrays out.

Here: reading the chips. Not here: what is computed of them (`chips.clay`), which rows to take and in which order
(select, shuffle and split the table first).
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from rasterio.errors import RasterioIOError
from rasterio.io import MemoryFile

from s2chips_core.chips.clay import (
    SIZE_PX,
    ClayBatch,
    Floats,
    Hour,
    band_positions,
    check_bands,
    encode_latlon,
    encode_time,
    gsd_m,
    normalise,
    waves_um,
)
from s2chips_core.errors import InputError, StorageError
from s2chips_core.storage import Storage

Rows = pd.DataFrame | Iterable[Mapping[str, Any]]
"""Rows of the index, of which `ROW_FIELDS` are read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    chip_id: str
    path: str
    scene_datetime: datetime
    lat: float
    lon: float


ROW_FIELDS = tuple(field.name for field in dataclasses.fields(_Row))


def read_clay_batch(storage: Storage, rows: Rows, *, bands: Sequence[str] | None = None, hour: Hour = "noon") -> ClayBatch:
    """The chips of `rows`, in their order.

    Args:
        storage: the dataset.
        rows: at least one row of `tiles.parquet`; all chips are held in memory, see `iter_clay_batches` for many.
        bands: which, in which order; none is all bands of the first chip, in its order, and every other chip must be of
            the same bands.
        hour: `noon` for every chip, or `real`.

    Raises:
        InputError: no row, a column is missing, an unknown band, a chip without one of the bands or of another size.
        StorageError: a chip is not there, or is no GeoTIFF.
    """
    chosen = list(_rows(rows))
    if not chosen:
        raise InputError("rows", "none", "at least one row of tiles.parquet")
    same = bands is None
    wanted = check_bands(bands if bands is not None else _bands_of(storage, chosen[0].path))
    return _read_batch(storage, chosen, wanted, hour, same=same)


def iter_clay_batches(
    storage: Storage, rows: Rows, *, batch_size: int = 32, bands: Sequence[str] | None = None, hour: Hour = "noon"
) -> Iterator[ClayBatch]:
    """The chips of `rows` in batches, in their order; the last batch may be smaller.

    Rows are taken and chips read when a batch is asked for, so that no more than one batch is held here.

    Args:
        storage, rows, bands, hour: as of `read_clay_batch`, but there may be no row at all.
        batch_size: chips of a batch.

    Raises:
        InputError, StorageError: as `read_clay_batch`; arguments are checked at once, chips when their batch is read.
    """
    if batch_size < 1:
        raise InputError("batch_size", batch_size, "1 or more")
    encode_time([], hour=hour)
    return _batches(storage, _rows(rows), batch_size, None if bands is None else check_bands(bands), hour)


def _batches(
    storage: Storage, rows: Iterator[_Row], batch_size: int, bands: tuple[str, ...] | None, hour: Hour
) -> Iterator[ClayBatch]:
    same = bands is None
    while chosen := list(itertools.islice(rows, batch_size)):
        if bands is None:
            bands = check_bands(_bands_of(storage, chosen[0].path))
        yield _read_batch(storage, chosen, bands, hour, same=same)


def _read_batch(storage: Storage, rows: Sequence[_Row], bands: tuple[str, ...], hour: Hour, *, same: bool) -> ClayBatch:
    # Cheap and able to fail: before any chip is read.
    time = encode_time([row.scene_datetime for row in rows], hour=hour)
    latlon = encode_latlon([row.lat for row in rows], [row.lon for row in rows])
    pixels = np.empty((len(rows), len(bands), SIZE_PX, SIZE_PX), np.float32)
    for out, row in zip(pixels, rows, strict=True):
        out[...] = _read_pixels(storage, row.path, bands, same=same)
    return ClayBatch(
        chip_ids=tuple(row.chip_id for row in rows),
        bands=bands,
        pixels=pixels,
        time=time,
        latlon=latlon,
        waves=waves_um(bands),
        gsd=gsd_m(),
    )


def _read_pixels(storage: Storage, path: str, bands: tuple[str, ...], *, same: bool) -> Floats:
    with _open(storage, path) as raster:
        found = tuple(map(str, raster.descriptions))
        if same and set(found) != set(bands):
            expected = f"{', '.join(bands)} as the first chip has, or `bands` named"
            raise InputError(path, f"bands {', '.join(found)}", expected)
        positions = band_positions(found, bands, path)
        # The header tells the size: a raster that is far too large is refused unread.
        if raster.shape != (SIZE_PX, SIZE_PX):
            raise InputError(path, "{} × {} px".format(*raster.shape), f"{SIZE_PX} × {SIZE_PX} px")
        reflectance = raster.read([position + 1 for position in positions])
    return normalise(reflectance, bands, where=path)


def _bands_of(storage: Storage, path: str) -> tuple[str, ...]:
    with _open(storage, path) as raster:
        return check_bands(tuple(map(str, raster.descriptions)), path)


@contextlib.contextmanager
def _open(storage: Storage, path: str) -> Iterator[Any]:
    """The chip as a rasterio dataset; StorageError also for what fails while it is read."""
    if not storage.exists(path):
        raise StorageError(path, "there is no such chip: are the rows of this dataset, and of its present tiles.parquet?")
    data = storage.get(path)
    if not data:  # rasterio takes an empty memory file for one that is to be written
        raise StorageError(path, "is no GeoTIFF that can be read: it is empty")
    try:
        with MemoryFile(data) as memory, memory.open(driver="GTiff") as raster:
            yield raster
    except RasterioIOError as error:
        raise StorageError(path, f"is no GeoTIFF that can be read: {error}") from error


def _rows(rows: Rows) -> Iterator[_Row]:
    if isinstance(rows, pd.DataFrame):
        _check_fields(rows.columns)
        columns = (rows[name] for name in ROW_FIELDS)
        return (_Row(**dict(zip(ROW_FIELDS, values, strict=True))) for values in zip(*columns, strict=True))
    return (_row(row) for row in rows)


def _row(row: Mapping[str, Any]) -> _Row:
    _check_fields(row.keys())
    return _Row(**{name: row[name] for name in ROW_FIELDS})


def _check_fields(names: Iterable[str]) -> None:
    missing = set(ROW_FIELDS).difference(names)
    if missing:
        raise InputError("rows", f"no {', '.join(sorted(missing))}", f"{', '.join(ROW_FIELDS)} as in tiles.parquet")
