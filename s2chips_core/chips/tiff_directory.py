"""The first directory of a TIFF, as far as the blocks of a COG need it. Pure: bytes in, values out.

Here: classic TIFF and BigTIFF of either byte order, tiled, deflate, predictor none, horizontal or floating point, one sample
of 8, 16 or 32 bits. Anything else is answered with the reason (`Unsupported`), so that the caller can turn to GDAL. Not
here: getting the bytes (`reader`), decoding blocks (`cog`). Sources: TIFF 6.0 (sections 2 and 15), the BigTIFF design, and
GDAL's GTiff driver page (sparse files, GDAL_NODATA).
"""

import dataclasses
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

HEADER_MOST_BYTES = 4 * 1024 * 1024
"""A directory that reaches further into the file than this is left to GDAL."""
BLOCK_MOST_PX = 4096 * 4096

_SUBFILE_TYPE, _IMAGE_WIDTH, _IMAGE_LENGTH, _BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _SAMPLES_PER_PIXEL, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_LENGTH = 266, 277, 284, 317, 322, 323
_TILE_OFFSETS, _TILE_BYTE_COUNTS, _SAMPLE_FORMAT = 324, 325, 339
_MODEL_PIXEL_SCALE, _MODEL_TIEPOINT, _GDAL_NODATA = 33550, 33922, 42113
_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 12: "f8", 16: "u8"}
"""TIFF field types that the wanted tags use: BYTE, ASCII, SHORT, LONG, DOUBLE, LONG8."""
_NUMBER, _TEXT, _REAL = frozenset({1, 3, 4, 16}), frozenset({2}), frozenset({12})
_WANTED = {
    **dict.fromkeys((_SUBFILE_TYPE, _IMAGE_WIDTH, _IMAGE_LENGTH, _BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC), _NUMBER),
    **dict.fromkeys((_FILL_ORDER, _SAMPLES_PER_PIXEL, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILE_LENGTH), _NUMBER),
    **dict.fromkeys((_TILE_OFFSETS, _TILE_BYTE_COUNTS, _SAMPLE_FORMAT), _NUMBER),
    **dict.fromkeys((_MODEL_PIXEL_SCALE, _MODEL_TIEPOINT), _REAL),
    _GDAL_NODATA: _TEXT,
}
"""Tag -> the field types it may have."""
_DEFLATE = frozenset({8, 32946})
_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    34887: "LERC",
    34925: "LZMA",
    50000: "ZSTD",
    50001: "WebP",
    50002: "JPEG XL",
}
"""Those that GDAL writes and that are left to it."""
_SAMPLES = {(1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (2, 8): "i1", (2, 16): "i2", (2, 32): "i4", (3, 32): "f4"}
"""Sample format (1 unsigned, 2 signed, 3 floating point) and bits -> numpy's name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What must be known of the first image of a file to read its blocks."""

    rows: int
    cols: int
    block_rows: int
    block_cols: int
    dtype: np.dtype[Any]
    """Integers of 8, 16 or 32 bits or float32, in the byte order of the file."""
    predictor: int
    """1 none, 2 horizontal differencing, 3 floating point."""
    offsets: npt.NDArray[np.int64]
    """(blocks down, blocks across): where each block begins, bytes; 0 where the file is sparse."""
    byte_counts: npt.NDArray[np.int64]
    """The same shape: compressed bytes; 0 where the file is sparse."""
    nodata: float | None
    """GDAL_NODATA, as it says."""
    origin_m: tuple[float, float] | None
    """Upper-left corner in the file's own CRS, where it has a tie point at pixel 0, 0."""
    pixel_m: tuple[float, float] | None
    """Pixel width and height."""

    def is_sparse(self, block_row: int, block_col: int) -> bool:
        """Whether the file leaves this block out: all of it is nodata."""
        return not (self.offsets[block_row, block_col] and self.byte_counts[block_row, block_col])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NeedMore:
    """The directory reaches beyond the bytes given."""

    length: int
    """Bytes from the start of the file that are needed (at least)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unsupported:
    """This file is for GDAL, and why."""

    reason: str


class _TooShortError(Exception):
    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(length)


def parse_header(head: bytes) -> Header | NeedMore | Unsupported:
    """The first directory of a TIFF, from the first bytes of the file."""
    try:
        found = _parse_directory(head)
    except _TooShortError as error:
        if error.length > HEADER_MOST_BYTES:
            return Unsupported(f"its directory reaches to byte {error.length}")
        return NeedMore(length=error.length)
    return found if isinstance(found, Unsupported) else _build_header(*found)


def _take(head: bytes, start: int, length: int) -> bytes:
    if start + length > len(head):
        raise _TooShortError(start + length)
    return head[start : start + length]


def _parse_directory(head: bytes) -> tuple[dict[int, npt.NDArray[np.generic]], str] | Unsupported:
    """Tag -> values, and the byte order as numpy writes it."""
    order = {b"II": "<", b"MM": ">"}.get(_take(head, 0, 2))
    if order is None:
        return Unsupported(f"begins with {head[:4]!r}, no TIFF")
    (version,) = struct.unpack(order + "H", _take(head, 2, 2))
    if version == 42:
        (start,) = struct.unpack(order + "I", _take(head, 4, 4))
        count_format, entry_format, inline = "H", "HHI4s", 4
    elif version == 43:
        offset_size, zero, start = struct.unpack(order + "HHQ", _take(head, 4, 12))
        if (offset_size, zero) != (8, 0):
            return Unsupported(f"BigTIFF with offsets of {offset_size} bytes")
        count_format, entry_format, inline = "Q", "HHQ8s", 8
    else:
        return Unsupported(f"TIFF version {version}, expected 42 or 43")
    count_size, entry_size = struct.calcsize("=" + count_format), struct.calcsize("=" + entry_format)
    (count,) = struct.unpack(order + count_format, _take(head, start, count_size))
    if count > 4096:
        return Unsupported(f"a directory of {count} tags")
    entries = _take(head, start + count_size, count * entry_size)
    tags: dict[int, npt.NDArray[np.generic]] = {}
    missing = 0
    for tag, kind, length, raw in struct.iter_unpack(order + entry_format, entries):
        if tag not in _WANTED or tag in tags:
            continue
        if kind not in _WANTED[tag]:
            return Unsupported(f"tag {tag} is of field type {kind}")
        dtype = np.dtype(order + _TYPES[kind])
        size = dtype.itemsize * length
        if size <= inline:
            data = raw[:size]
        else:
            (where,) = struct.unpack(order + ("I" if inline == 4 else "Q"), raw)
            if where + size > len(head):
                missing = max(missing, where + size)
                continue
            data = head[where : where + size]
        tags[tag] = np.frombuffer(data, dtype)
    if missing:
        raise _TooShortError(missing)
    return tags, order


def _build_header(tags: dict[int, npt.NDArray[np.generic]], order: str) -> Header | Unsupported:
    def one(tag: int, default: int) -> int:
        values = tags.get(tag)
        return default if values is None or not values.size else int(values[0])

    compression, sample = one(_COMPRESSION, 1), (one(_SAMPLE_FORMAT, 1), one(_BITS_PER_SAMPLE, 1))
    predictors = (1, 2, 3) if sample == (3, 32) else (1, 2)
    rules: list[tuple[int, int, Callable[[int], bool], str]] = [
        (_SUBFILE_TYPE, 0, lambda v: not v & 5, "as kind of its first image, expected 0 (neither an overview nor a mask)"),
        (_SAMPLES_PER_PIXEL, 1, lambda v: v == 1, "samples a pixel, expected 1"),
        (_PREDICTOR, 1, lambda v: v in predictors, f"as predictor, expected one of {predictors}"),
        (_PHOTOMETRIC, 1, lambda v: v in (1, 3), "as photometric interpretation, expected 1 or 3"),
        (_FILL_ORDER, 1, lambda v: v == 1, "as fill order, expected 1"),
        (_PLANAR, 1, lambda v: v in (1, 2), "as planar configuration, expected 1 or 2"),
    ]
    if _TILE_OFFSETS not in tags or _TILE_BYTE_COUNTS not in tags:
        return Unsupported("it is not tiled")
    if compression not in _DEFLATE:
        name = _COMPRESSIONS.get(compression, "unknown")
        return Unsupported(f"it has {compression} as compression ({name}), expected 8 or 32946 (deflate)")
    if sample not in _SAMPLES:
        return Unsupported(
            f"it has {sample[1]} bits a sample of sample format {sample[0]}, expected 8, 16 or 32 as integer or 32 as float"
        )
    for tag, default, holds, words in rules:
        if not holds(one(tag, default)):
            return Unsupported(f"it has {one(tag, default)} {words}")
    rows, cols = one(_IMAGE_LENGTH, 0), one(_IMAGE_WIDTH, 0)
    block_rows, block_cols = one(_TILE_LENGTH, 0), one(_TILE_WIDTH, 0)
    if min(rows, cols, block_rows, block_cols) <= 0 or block_rows * block_cols > BLOCK_MOST_PX:
        return Unsupported(f"{rows} x {cols} pixels in blocks of {block_rows} x {block_cols}")
    shape = (-(-rows // block_rows), -(-cols // block_cols))
    offsets, counts = tags[_TILE_OFFSETS], tags[_TILE_BYTE_COUNTS]
    if not offsets.size == counts.size == math.prod(shape):
        return Unsupported(f"{offsets.size} block offsets and {counts.size} block sizes, expected {math.prod(shape)}")
    dtype = np.dtype(_SAMPLES[sample]).newbyteorder("<" if order == "<" else ">")
    most = 2 * block_rows * block_cols * dtype.itemsize + 65536
    if int(counts.max()) > most or int(offsets.max()) > 1 << 62:
        return Unsupported(f"a block of {int(counts.max())} bytes at {int(offsets.max())}")
    nodata = _parse_nodata(tags.get(_GDAL_NODATA))
    if isinstance(nodata, Unsupported):
        return nodata
    origin, pixel = _parse_georeference(tags.get(_MODEL_TIEPOINT), tags.get(_MODEL_PIXEL_SCALE))
    return Header(
        rows=rows,
        cols=cols,
        block_rows=block_rows,
        block_cols=block_cols,
        dtype=dtype,
        predictor=one(_PREDICTOR, 1),
        offsets=offsets.astype("int64").reshape(shape),
        byte_counts=counts.astype("int64").reshape(shape),
        nodata=nodata,
        origin_m=origin,
        pixel_m=pixel,
    )


def _parse_nodata(values: npt.NDArray[np.generic] | None) -> float | Unsupported | None:
    if values is None:
        return None
    text = values.tobytes().split(b"\0")[0].strip()
    try:
        return float(text)
    except ValueError:
        return Unsupported(f"GDAL_NODATA {text!r} is no number")


def _parse_georeference(
    tiepoint: npt.NDArray[np.generic] | None, scale: npt.NDArray[np.generic] | None
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    if tiepoint is None or scale is None or tiepoint.size != 6 or scale.size < 2:
        return None, None
    col, row, _, x, y, _ = tiepoint.astype("float64").tolist()
    if col or row:
        return None, None
    width, height = scale.astype("float64").tolist()[:2]
    return (x, y), (width, height)
