"""What is asked of an export.

Here: the options and what they may be. Not here: carrying them out (`dataset`).
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args

from s2chips_core.errors import ConfigError, InputError
from s2chips_core.sections import Band

KEY_VARIABLE = "S2CHIPS_EXPORT_KEY"
KEY_LEAST_CHARACTERS = 16

Format = Literal["stac", "webdataset", "coco", "geoparquet"]
Split = Literal["train", "val", "test"]
Assets = Literal["copy", "link"]
Array = Literal["tif", "npy"]
Categories = Literal["ship", "ship_type"]
FORMATS: tuple[Format, ...] = get_args(Format)
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Which chips, in which form. InputError names the option that cannot be."""

    formats: tuple[str, ...] = FORMATS
    """stac, webdataset, coco, geoparquet: at least one."""
    splits: tuple[str, ...] = SPLITS
    """train, val, test: at least one."""
    bands: tuple[str, ...] | None = None
    """Bands of the exported chips, in this order; chips that lack one are left out. None: each chip as it is."""
    where: str | None = None
    """A condition on columns of the index, as `pandas.DataFrame.eval` reads it: `qa_cloud_frac < 0.01`."""
    without_ais: bool = False
    """Leave out what names a ship; see `pseudonyms`."""
    assets: str = "copy"
    """`copy`, or `link`: hard links to the dataset's files, on the same file system."""
    array: str = "tif"
    """How pixels are in the WebDataset shards: the GeoTIFF, or a numpy array of the same values."""
    shard_chips: int = 1000
    """Most chips of a shard."""
    shard_mb: int = 500
    """Most megabytes (10^6 bytes) of a shard, but for one that a single chip fills."""
    seed: int = 0
    """Of the order of chips in the shards: same seed, same shards."""
    categories: str = "ship"
    """COCO categories: one for all ships, or one for each ship type of AIS."""

    def __post_init__(self) -> None:
        _each_of("format", self.formats, FORMATS)
        _each_of("split", self.splits, SPLITS)
        if self.bands is not None:
            _each_of("bands", self.bands, get_args(Band))
        for name, kind in (("assets", Assets), ("array", Array), ("categories", Categories)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(f"export option {name}", getattr(self, name), f"one of {', '.join(get_args(kind))}")
        for name in ("shard_chips", "shard_mb"):
            if getattr(self, name) < 1:
                raise InputError(f"export option {name}", getattr(self, name), "a whole number from 1")
        if self.assets == "link" and self.rewrites:
            raise InputError("export option assets", "link", "copy: without AIS, or with bands, chips are written anew")

    @property
    def rewrites(self) -> bool:
        """Whether files of chips are written anew, so that they are no copies."""
        return self.without_ais or self.bands is not None

    @property
    def chip_files(self) -> bool:
        """Whether chips lie as files of their own in the export: every format but the shards refers to them."""
        return set(self.formats) != {"webdataset"}

    def to_dict(self) -> dict[str, Any]:
        """For the manifest; a condition may name a ship, so without AIS only that there is one is told."""
        told = dataclasses.asdict(self)
        if self.without_ais and self.where is not None:
            told["where"] = "(not told: it may name a ship)"
        return told


def export_key(environment: Mapping[str, str]) -> bytes | None:
    """The key of pseudonyms that `environment` holds, if any.

    Raises:
        ConfigError: it is too short to keep anybody from trying them all; the key itself is not shown.
    """
    text = environment.get(KEY_VARIABLE, "")
    if not text:
        return None
    if len(text) < KEY_LEAST_CHARACTERS:
        expected = f"at least {KEY_LEAST_CHARACTERS}, such as `openssl rand -hex 32` prints"
        raise ConfigError("environment", KEY_VARIABLE, f"{len(text)} characters", expected)
    return text.encode()


def _each_of(name: str, given: tuple[str, ...], allowed: typing.Sequence[str]) -> None:
    unknown = [value for value in given if value not in allowed]
    if not given or unknown or len(set(given)) < len(given):
        raise InputError(f"export option {name}", list(given), f"each once, at least one of {', '.join(allowed)}")
