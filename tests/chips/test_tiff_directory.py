"""TIFF directories, against rasterio reading the same bytes."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from s2chips_core.chips.tiff_directory import BLOCK_MOST_PX, Header, NeedMore, Unsupported, parse_header
from tests.chips.rasters import make_cog, make_tiff

RNG = np.random.default_rng(7)


def noise(rows: int, cols: int, dtype: str = "uint16") -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, (rows, cols), dtype=dtype, endpoint=True)


LAYOUTS: dict[str, dict[str, Any]] = {
    "deflate, predictor 2": {},
    "predictor 1": {"predictor": 1},
    "big endian": {"ENDIANNESS": "BIG"},
    "BigTIFF": {"BIGTIFF": "YES"},
    "BigTIFF, big endian": {"BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    "blocks larger than the raster": {"blockxsize": 512, "blockysize": 256},
    "blocks that are not square": {"blockxsize": 32, "blockysize": 80},
    "no nodata": {"nodata": None},
    "nodata -1.5": {"nodata": -1.5, "dtype": "float32", "predictor": 3},
    "a palette": {"photometric": "PALETTE", "dtype": "uint8"},
    "int8": {"dtype": "int8"},
    "int16, big endian": {"dtype": "int16", "ENDIANNESS": "BIG"},
    "uint32": {"dtype": "uint32"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_gdal_says_of_the_file(layout: str) -> None:
    options = LAYOUTS[layout]
    data = make_tiff(noise(150, 203).astype(options.get("dtype", "uint16")), **options)
    header = parse_header(data)
    assert isinstance(header, Header), header
    with MemoryFile(data) as memory, memory.open() as dataset:
        assert (header.rows, header.cols) == dataset.shape
        assert [(header.block_rows, header.block_cols)] == dataset.block_shapes
        assert header.dtype == np.dtype(dataset.dtypes[0]).newbyteorder(">" if "ENDIANNESS" in options else "<")
        assert header.nodata == dataset.nodata
        assert header.origin_m == (dataset.transform.c, dataset.transform.f)
        assert header.pixel_m == (dataset.transform.a, -dataset.transform.e)
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
        assert header.predictor == int(structure.get("PREDICTOR", 1))
        for row, col in np.ndindex(header.offsets.shape):
            offset, size = (dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE"))
            assert (int(offset), int(size)) == (header.offsets[row, col], header.byte_counts[row, col])


@pytest.mark.parametrize("blocksize", [128, 256, 512])
def test_a_cloud_optimised_file_needs_its_first_bytes_only(blocksize: int) -> None:
    array = noise(700, 500)
    data = make_cog(array, blocksize)
    header = parse_header(data[:4096])
    assert isinstance(header, Header)
    np.testing.assert_array_equal(header.offsets, parse_header(data).offsets)  # type: ignore[union-attr]
    assert header.offsets.min() > 4096 or header.byte_counts.min() < 4096


def test_sparse_blocks() -> None:
    array = np.zeros((256, 256), "uint16")
    array[70:90, 130:140] = 5
    header = parse_header(make_cog(array))
    assert isinstance(header, Header)
    assert [header.is_sparse(r, c) for r in (0, 1) for c in (0, 1)] == [True, False, True, True]


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
        ({"compress": "lzw"}, "5 as compression (LZW)"),
        ({"compress": "zstd"}, "50000 as compression (ZSTD)"),
        ({"compress": "lerc", "predictor": 1}, "34887 as compression (LERC)"),
        ({"compress": "jpeg", "predictor": 1, "dtype": "uint8"}, "7 as compression (JPEG)"),
        ({"compress": "none", "predictor": 1}, "1 as compression (none)"),
        ({"dtype": "float64"}, "64 bits a sample of sample format 3"),
        ({"dtype": "complex64"}, "64 bits a sample of sample format 6"),
        ({"NBITS": 12, "predictor": 1}, "12 bits"),
        ({"NBITS": 16, "dtype": "float32", "predictor": 1}, "16 bits a sample of sample format 3"),
        ({"count": 2}, "2 samples"),
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


@pytest.mark.parametrize(
    ("tag", "kind", "value", "reason"),
    [
        (317, 3, 3, "it has 3 as predictor"),
        (254, 4, 1, "it has 1 as kind of its first image"),
        (254, 4, 4, "it has 4 as kind of its first image"),
        (256, 12, 0, "tag 256 is of field type 12"),
        (266, 3, 2, "it has 2 as fill order"),
        (322, 4, 1 << 20, "in blocks of 64 x 1048576"),
        (322, 4, 0, "in blocks of 64 x 0"),
        (324, 4, 100, "block offsets and"),
        (42113, 2, 0x78, "GDAL_NODATA b'x' is no number"),
    ],
)
def test_tags_that_cannot_be(tag: int, kind: int, value: int, reason: str) -> None:
    data = bytearray(make_tiff(noise(70, 70)))
    # The entry that is replaced: its own, or one that may be missing.
    entries = {struct.unpack_from("<H", data, at)[0]: at for at in entry_offsets(bytes(data))}
    at = entries.get(tag, entries[284])
    struct.pack_into("<HHII", data, at, tag, kind, 1 if tag != 42113 else 2, value)
    found = parse_header(bytes(data))
    assert isinstance(found, Unsupported), found
    assert reason in found.reason


def entry_offsets(data: bytes) -> list[int]:
    """Where the entries of the first directory of a classic little-endian TIFF are."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    return [start + 2 + 12 * number for number in range(count)]


def test_of_two_equal_tags_the_first_counts_as_in_gdal() -> None:
    array = noise(70, 70)
    data = bytearray(make_tiff(array))
    entries = {struct.unpack_from("<H", data, at)[0]: at for at in entry_offsets(bytes(data))}
    struct.pack_into("<HHII", data, entries[339], 317, 3, 1, 1)
    header = parse_header(bytes(data))
    assert isinstance(header, Header)
    with MemoryFile(bytes(data)) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), array)
        assert header.predictor == 2


def test_what_is_no_tiff() -> None:
    for data in (b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"<?xml version='1.0'?>", b"II\x2c\x00aaaa"):
        assert isinstance(parse_header(data), Unsupported)
    assert parse_header(b"") == NeedMore(length=2)


def test_a_directory_far_into_the_file_is_left_to_gdal() -> None:
    assert isinstance(parse_header(b"II*\0" + struct.pack("<I", 100_000_000)), Unsupported)


DAMAGED = [
    make_cog(noise(100, 100), 64)[:700],
    make_tiff(noise(100, 100), BIGTIFF="YES", ENDIANNESS="BIG"),
    make_tiff(noise(100, 100, "uint8")),
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_bytes_are_values_never_crashes(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(DAMAGED) - 1))
    head = bytearray(DAMAGED[number])
    if number != 1 and data.draw(st.booleans()):
        at = data.draw(st.sampled_from(entry_offsets(DAMAGED[number])))
        numbers = st.sampled_from([0, 1, 2, 12, 16, 255, 65535, 1 << 31, (1 << 32) - 1]) | st.integers(0, (1 << 32) - 1)
        struct.pack_into("<HII", head, at + 2, data.draw(st.integers(0, 18)), data.draw(numbers), data.draw(numbers))
    else:
        near = st.integers(0, 300) | st.integers(0, len(head) - 1) | st.integers(max(0, len(head) - 700), len(head) - 1)
        for _ in range(data.draw(st.integers(1, 6))):
            head[data.draw(near)] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 3)) == 0:
        del head[data.draw(st.integers(0, len(head))) :]
    found = parse_header(bytes(head))
    if isinstance(found, NeedMore):
        assert len(head) < found.length <= 4 * 1024 * 1024
    elif isinstance(found, Header):
        assert found.offsets.shape == found.byte_counts.shape
        assert found.offsets.shape == (-(-found.rows // found.block_rows), -(-found.cols // found.block_cols))
        assert found.offsets.min() >= 0
        assert 0 <= found.byte_counts.min() <= found.byte_counts.max() <= 2 * BLOCK_MOST_PX * 4 + 65536
    else:
        assert isinstance(found, Unsupported)
