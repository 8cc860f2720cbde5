"""TIFF directories and blocks, against rasterio reading the same bytes."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from s2chips_core.chips import cog
from s2chips_core.chips.cog import Header, NeedMore, Unsupported, decode_block, parse_header
from tests.chips.rasters import make_cog, make_tiff

RNG = np.random.default_rng(7)


def noise(rows: int, cols: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (rows, cols), dtype=dtype, endpoint=True)


def read_all(data: bytes) -> np.ndarray:
    """Every pixel through the code under test, block by block."""
    header = parse_header(data)
    assert isinstance(header, Header), header
    whole = np.zeros((header.rows, header.cols), header.dtype.newbyteorder("="))
    for (row, col), start in np.ndenumerate(header.offsets):
        if header.is_sparse(row, col):
            continue
        top, left = row * header.block_rows, col * header.block_cols
        inside = whole[top : top + header.block_rows, left : left + header.block_cols]
        block = data[start : start + header.byte_counts[row, col]]
        inside[:] = decode_block(header, block, (0, inside.shape[0]), (0, inside.shape[1]))
    return whole


LAYOUTS = {
    "deflate, predictor 2": {},
    "predictor 1": {"predictor": 1},
    "big endian": {"ENDIANNESS": "BIG"},
    "big endian, predictor 1": {"ENDIANNESS": "BIG", "predictor": 1},
    "BigTIFF": {"BIGTIFF": "YES"},
    "BigTIFF, big endian": {"BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    "blocks larger than the raster": {"blockxsize": 512, "blockysize": 256},
    "blocks that are not square": {"blockxsize": 32, "blockysize": 80},
    "no nodata": {"nodata": None},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, dtype: str) -> None:
    array = noise(150, 203, dtype)
    data = make_tiff(array, **LAYOUTS[layout])
    header = parse_header(data)
    assert isinstance(header, Header)
    with MemoryFile(data) as memory, memory.open() as dataset:
        assert (header.rows, header.cols) == dataset.shape
        assert [(header.block_rows, header.block_cols)] == dataset.block_shapes
        assert header.nodata == dataset.nodata
        assert header.origin_m == (dataset.transform.c, dataset.transform.f)
        assert header.pixel_m == (dataset.transform.a, -dataset.transform.e)
        np.testing.assert_array_equal(read_all(data), dataset.read(1))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_cloud_optimised_layout_needs_its_first_bytes_only(dtype: str) -> None:
    array = noise(700, 500, dtype)
    data = make_cog(array)
    header = parse_header(data[:4096])
    assert isinstance(header, Header)
    np.testing.assert_array_equal(read_all(data), array)


def test_sparse_blocks() -> None:
    array = np.zeros((256, 256), "uint16")
    array[70:90, 130:140] = 5
    data = make_cog(array)
    header = parse_header(data)
    assert isinstance(header, Header)
    assert [header.is_sparse(r, c) for r in (0, 1) for c in (0, 1)] == [True, False, True, True]
    np.testing.assert_array_equal(read_all(data), array)


@pytest.mark.parametrize("layout", ["deflate, predictor 2", "BigTIFF", "big endian"])
def test_too_few_bytes_are_asked_for_until_they_are_enough(layout: str) -> None:
    data = make_tiff(noise(700, 900), **LAYOUTS[layout])
    length, asked = 2, 0
    while isinstance(found := parse_header(data[:length]), NeedMore):
        assert found.length > length
        length = found.length
        asked += 1
    assert isinstance(found, Header)
    assert asked < 8
    np.testing.assert_array_equal(found.offsets, parse_header(data).offsets)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tiled": False, "blockxsize": None, "blockysize": None}, "not tiled"),
        ({"compress": "lzw"}, "compression"),
        ({"compress": "zstd"}, "compression"),
        ({"compress": "none", "predictor": 1}, "compression"),
        ({"dtype": "float64"}, "sample format"),
        ({"dtype": "complex64"}, "bits"),
        ({"NBITS": 12, "predictor": 1}, "bits"),
        ({"count": 2}, "samples"),
        ({"photometric": "MINISWHITE"}, "photometric"),
    ],
)
def test_other_layouts_are_answered_with_the_reason(options: dict[str, Any], reason: str) -> None:
    array = np.ones((70, 70), options.get("dtype", "uint16"))
    options = {key: value for key, value in options.items() if value is not None}
    if options.get("tiled") is False:
        options |= {"blockxsize": 70, "blockysize": 8}
    found = parse_header(make_tiff(array, **options))
    assert isinstance(found, Unsupported)
    assert reason in found.reason


def test_what_is_no_tiff() -> None:
    for data in (b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"<?xml version='1.0'?>", b"II\x2c\x00aaaa"):
        assert isinstance(parse_header(data), Unsupported)
    assert parse_header(b"") == NeedMore(length=2)


def test_a_directory_far_into_the_file_is_left_to_gdal() -> None:
    assert isinstance(parse_header(b"II*\0" + struct.pack("<I", 100_000_000)), Unsupported)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_values_never_crashes(data: st.DataObject) -> None:
    head = bytearray(DAMAGED)
    for _ in range(data.draw(st.integers(1, 6))):
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    found = parse_header(bytes(head))
    assert isinstance(found, Header | NeedMore | Unsupported)
    if isinstance(found, Header):
        assert found.offsets.shape == (-(-found.rows // found.block_rows), -(-found.cols // found.block_cols))
        assert found.offsets.min() >= 0
        assert 0 <= found.byte_counts.min() <= found.byte_counts.max() <= 2 * cog.BLOCK_MOST_PX * 2 + 65536


DAMAGED = make_cog(noise(100, 100), 64)[:700]


@settings(deadline=None)
@given(st.data(), st.sampled_from([1, 2]), st.sampled_from(["uint8", "uint16"]))
def test_part_of_a_block(data: st.DataObject, predictor: int, dtype: str) -> None:
    row_0, row_1 = sorted(data.draw(st.lists(st.integers(0, 64), min_size=2, max_size=2, unique=True)))
    col_0, col_1 = sorted(data.draw(st.lists(st.integers(0, 64), min_size=2, max_size=2, unique=True)))
    tiff, array = PARTS[predictor, dtype]
    header = parse_header(tiff)
    assert isinstance(header, Header)
    block = tiff[header.offsets[0, 0] :][: header.byte_counts[0, 0]]
    part = decode_block(header, block, (row_0, row_1), (col_0, col_1))
    assert part.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(part, array[row_0:row_1, col_0:col_1])


PARTS = {
    (predictor, dtype): (make_tiff(array, predictor=predictor), array)
    for predictor in (1, 2)
    for dtype in ("uint8", "uint16")
    for array in [noise(64, 64, dtype)]
}


def test_damaged_blocks() -> None:
    tiff, _ = PARTS[2, "uint16"]
    header = parse_header(tiff)
    assert isinstance(header, Header)
    block = tiff[header.offsets[0, 0] :][: header.byte_counts[0, 0]]
    for damaged in (b"", block[: len(block) // 2], b"\xff" + block[1:], zlib.compress(b"short")):
        with pytest.raises(ValueError, match="deflate"):
            decode_block(header, damaged, (0, 64), (0, 64))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["B02", "c1-B08", "B11"])
def test_real_cogs(shared_data: Any, name: str) -> None:
    path = shared_data / "archive-32VPH" / f"{name}.tif"
    data = path.read_bytes()
    header = parse_header(data[:16384])
    assert isinstance(header, Header)
    assert header.predictor == 2
    assert (header.offsets == 0).any()
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(read_all(data), dataset.read(1))
