"""The files of a chip, read back by rasterio."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from rasterio.io import MemoryFile

from s2chips_core.chips.artefacts import encode_geotiff, encode_masks
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.gate import GateNumbers, GateVerdict

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")


def make_chip(size: int = 256, masks: bool = True) -> Chip:
    random = np.random.default_rng(0)
    reflectance = (random.integers(1, 3000, (6, size, size)) / 10000).astype("float32")
    reflectance[:, :5] = 0
    return Chip(
        request=CutRequest(target_id="t", mmsi=1, lat=36.0, lon=-5.0, chip_id="0123456789abcdef"),
        bands=BANDS,
        reflectance=reflectance,
        epsg=32630,
        transform=(10.0, 0.0, 299990.0, 0.0, -10.0, 4000030.0),
        footprint={},
        numbers=GateNumbers(),
        verdict=GateVerdict.PASS,
        boa_offset_dn=0,
        boa_offset_source="flag",
        scl_present=True,
        masks=random.choice([0, 1, 255], (5, size, size)).astype("uint8") if masks else None,
    )


@pytest.mark.parametrize("size", [256, 100, 32, 512])
@pytest.mark.parametrize("compression", ["deflate", "zstd", "lzw", "none"])
@pytest.mark.parametrize("geotiff", ["gtiff", "cog"])
def test_geotiff_is_the_chip(geotiff: Any, compression: Any, size: int) -> None:
    chip = make_chip(size)
    data = encode_geotiff(
        chip, tags={"chip_id": "0123456789abcdef", "note": "ø = 1"}, geotiff=geotiff, compression=compression
    )
    with MemoryFile(data) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(), chip.reflectance)
        assert dataset.dtypes == ("float32",) * 6
        assert dataset.descriptions == BANDS
        assert dataset.crs.to_epsg() == 32630
        assert tuple(dataset.transform)[:6] == chip.transform
        assert dataset.nodata == 0
        assert dataset.profile["tiled"] or (geotiff == "cog" and size <= 128)  # GDAL's COG blocks are 128 px or more
        assert dataset.tags()["chip_id"] == "0123456789abcdef"
        assert dataset.tags()["note"] == "ø = 1"
        assert (dataset.compression.value if dataset.compression else "none").lower() == compression
        layout = dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
        assert layout == ("COG" if geotiff == "cog" and compression != "none" else None)
        # `valid` in any reader's words: nodata where the chip has none.
        np.testing.assert_array_equal(dataset.read_masks() != 0, chip.reflectance != 0)


@pytest.mark.parametrize("geotiff", ["gtiff", "cog"])
def test_the_same_chip_is_the_same_bytes(geotiff: Any) -> None:
    one, other = (encode_geotiff(make_chip(), tags={"a": "b"}, geotiff=geotiff, compression="deflate") for _ in range(2))
    assert one == other


def test_the_directory_is_written_once_and_before_the_pixels() -> None:
    data = encode_geotiff(make_chip(), tags={"note": "x"}, geotiff="gtiff", compression="deflate")
    assert data[:4] == b"II*\0"
    assert int.from_bytes(data[4:8], "little") < 64
    assert data.count(b"<GDALMetadata>") == 1
    assert data.index(b"</GDALMetadata>") < 4096


def test_deflate_makes_it_smaller() -> None:
    chip = make_chip()
    assert len(encode_geotiff(chip, tags={}, geotiff="gtiff", compression="deflate")) < 0.6 * chip.reflectance.nbytes


def test_masks() -> None:
    chip = make_chip()
    with MemoryFile(encode_masks(chip)) as memory, memory.open() as dataset:
        np.testing.assert_array_equal(dataset.read(), chip.masks)
        assert dataset.descriptions == ("cloud", "land", "water", "valid", "scl")
        assert (dataset.dtypes[0], dataset.nodata, dataset.crs.to_epsg()) == ("uint8", 255, 32630)
        assert tuple(dataset.transform)[:6] == chip.transform


def test_masks_that_were_not_cut() -> None:
    with pytest.raises(ValueError, match=r"expected masks\.persist"):
        encode_masks(dataclasses.replace(make_chip(), masks=None))
