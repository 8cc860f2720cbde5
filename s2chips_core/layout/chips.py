"""Keys of chips, of the scenes they were cut from, and of the settings that decided what is in them."""

import re
from datetime import date

from s2chips_core.layout.names import day_of, safe, ymd


def chips_folder() -> str:
    """All artefacts of all chips."""
    return "chips"


def chip_folder(split: str, mmsi: int, scene_day: date) -> str:
    """Where the artefacts of a chip lie."""
    return f"chips/{safe(split)}/{mmsi}/{ymd(scene_day)}"


def chip(split: str, mmsi: int, scene_day: date, chip_id: str, suffix: str = ".tif") -> str:
    """One artefact of a chip: `.tif`, `.geojson`, `.json`, `_quicklook.jpg` or `_masks.tif`."""
    return f"{chip_folder(split, mmsi, scene_day)}/{safe(chip_id)}{suffix}"


CHIP_SUFFIXES = (".geojson", ".json", "_quicklook.jpg", "_masks.tif", ".tif")
"""In the order of writing: where the `.tif` is, the others are."""


def chip_artefacts(path: str, suffixes: tuple[str, ...] = CHIP_SUFFIXES) -> list[str]:
    """The keys of the artefacts whose `.tif` is `path`, in the order of writing."""
    return [path.removesuffix(".tif") + suffix for suffix in suffixes]


def scene_day_of_chip(path: str) -> date | None:
    """The day on which the chip at `path` was sensed; none when it is no path of a chip."""
    found = re.fullmatch(r"chips/[^/]+/[^/]+/([^/]+)/[^/]+", path)
    return day_of(found[1]) if found else None


def scene_snapshot(scene_id: str, sha256_hex: str) -> str:
    """A scene as it was when chips were cut from it, named after its id and its content; written once."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", scene_id).lstrip("._-")[:100]
    return f"provenance/scenes/{name or 'scene'}-{safe(sha256_hex[:16])}.json"


def deciding_configs() -> str:
    """All settings that decided what is in chips."""
    return "provenance/configs"


def deciding_config(config_hash: str) -> str:
    """The settings that decided what is in chips, named after their hash; written once."""
    return f"{deciding_configs()}/{safe(config_hash)}.json"
