"""The sections of a chip: each band once, and shares that are the whole."""

from s2chips_core.config import parse_settings
from s2chips_core.sections import CLAY10
from tests.sections.trees import SOMEWHERE, refused


def test_each_band_once() -> None:
    error = refused({**SOMEWHERE, "tiling": {"bands_core": ["B02", "B11"]}})
    assert (error.key, "each band once" in error.expected) == ("tiling", True)


def test_the_bands_of_a_chip_in_file_order() -> None:
    tiling = parse_settings({**SOMEWHERE, "tiling": {"bands_core": ["B08", "B02"]}}, "x").tiling
    assert tiling.bands == ("B08", "B02")
    assert tiling.model_copy(update={"include_swir": True}).bands == ("B08", "B02", "B11", "B12")
    assert tiling.model_copy(update={"band_profile": "clay10", "include_swir": True}).bands == CLAY10


def test_shares_are_the_whole() -> None:
    error = refused({**SOMEWHERE, "splits": {"train": 0.5, "val": 0.1, "test": 0.1}})
    assert (error.key, error.expected) == ("splits", "train + val + test = 1, they are 0.7")
    thirds = {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3}
    assert parse_settings({**SOMEWHERE, "splits": thirds}, "x").splits.train == 1 / 3
