"""Two GeoTIFFs of a chip that differ in one thing each."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from s2chips_core.chips.artefacts import encode_geotiff, encode_masks
from s2chips_core.chips.chip import MASK_BANDS, Chip, CutRequest
from s2chips_core.index.chip_difference import mask_differences, raster_differences
from s2chips_core.storage import LocalStorage
from tests.index.chips import chip_of, scene_of

CHIP = chip_of(CutRequest(target_id="t", mmsi=219_000_001, lat=36.0, lon=-5.5, chip_id="a"), scene_of())


def encoded(chip: Chip = CHIP, **tags: str) -> bytes:
    return encode_geotiff(chip, tags={"mmsi": "1", **tags}, geotiff="gtiff", compression="deflate")


def found(stored: bytes, new: bytes, told: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return list(raster_differences("c.tif", stored, new, told=told))


def test_nothing() -> None:
    assert found(encoded(), encoded()) == []
    cog = encode_geotiff(CHIP, tags={"mmsi": "1"}, geotiff="cog", compression="zstd")
    assert found(cog, encoded()) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"epsg": 32629}, "crs"),
        ({"transform": (10.0, 0.0, 300_020.0, 0.0, -10.0, 4_000_000.0)}, "transform"),
        ({"bands": ("B02", "B03", "B08", "B04")}, "descriptions"),
    ],
)
def test_one_fact(changes: dict[str, Any], name: str) -> None:
    [(where, text)] = found(encoded(), encoded(dataclasses.replace(CHIP, **changes)))
    assert (where, text.split(":")[0]) == ("file", name)
    assert "in the file" in text


def test_another_shape_is_told_and_no_pixel_compared() -> None:
    fewer = dataclasses.replace(CHIP, bands=("B02",), reflectance=CHIP.reflectance[:1])
    assert [text.split(":")[0] for _, text in found(encoded(), encoded(fewer))] == ["count", "dtypes", "descriptions"]


def test_pixels_with_count_and_largest_difference_of_each_band() -> None:
    pixels = CHIP.reflectance.copy()
    pixels[1, 3, 4] += np.float32(0.25)
    pixels[1, 5, 6] -= np.float32(0.5)
    pixels[3, 0, 0] = np.nan
    assert found(encoded(), encoded(dataclasses.replace(CHIP, reflectance=pixels))) == [
        ("B03", "B03: 2 of 1024 pixels differ, by at most 0.5"),
        ("B08", "B08: 1 of 1024 pixels differ, by at most nan"),
    ]


def test_tags_but_those_that_were_told() -> None:
    assert found(encoded(note="a"), encoded(mmsi="2"), ("note",)) == [("file", "tag mmsi: 1 in the file, 2 now")]


@pytest.mark.parametrize("stored", [b"", b"no TIFF"])
def test_what_is_no_raster(stored: bytes) -> None:
    [(where, text)] = found(stored, encoded())
    assert (where, text.startswith("c.tif cannot be read: ")) == ("file", True)


def test_masks(storage: LocalStorage) -> None:
    masks = np.zeros((len(MASK_BANDS), 32, 32), np.uint8)
    with_masks = dataclasses.replace(CHIP, masks=masks)
    assert list(mask_differences(storage, "c.tif", None)) == []
    assert list(mask_differences(storage, "c.tif", masks)) == ["c_masks.tif is gone"]
    storage.put("c_masks.tif", encode_masks(with_masks))
    assert list(mask_differences(storage, "c.tif", masks)) == []
    other = masks.copy()
    other[2, :2, 0], other[0, 1, 1] = 1, 255
    assert list(mask_differences(storage, "c.tif", other)) == [
        "mask cloud: 1 of 1024 pixels differ",
        "mask water: 2 of 1024 pixels differ",
    ]
    [text] = mask_differences(storage, "c.tif", masks[:, :16])
    assert text.startswith("c_masks.tif: shape (5, 32, 32)")
    storage.put("c_masks.tif", b"x")
    [text] = mask_differences(storage, "c.tif", masks)
    assert text.startswith("c_masks.tif cannot be read: ")
