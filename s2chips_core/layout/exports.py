"""Keys of an export, relative to its own folder."""

from datetime import date

from s2chips_core.layout.names import safe, ymd


def export_manifest() -> str:
    """What an export is of; written last, so that a folder that has it is whole."""
    return "export.json"


def export_checksums() -> str:
    """The SHA-256 of every other file of an export, as `sha256sum --check` reads it."""
    return "checksums.sha256"


def export_card() -> str:
    """What a reader must know of the data."""
    return "DATACARD.md"


def export_index() -> str:
    """The rows of the chips."""
    return "chips.parquet"


def export_labels() -> str:
    """The labels of all chips."""
    return "labels.parquet"


def export_collection() -> str:
    """The root of the STAC catalogue."""
    return "stac/collection.json"


def export_catalog(scene_day: date) -> str:
    """The STAC catalogue of the chips sensed on a day."""
    return f"stac/{ymd(scene_day)}/catalog.json"


def export_item(scene_day: date, chip_id: str) -> str:
    """The STAC item of a chip."""
    return f"stac/{ymd(scene_day)}/{safe(chip_id)}.json"


def export_shard(split: str, number: int) -> str:
    """One WebDataset shard of a split, counted from 0."""
    return f"webdataset/{safe(split)}-{number:06d}.tar"


def export_instances(split: str) -> str:
    """The COCO annotations of a split."""
    return f"coco/instances_{safe(split)}.json"


def export_chip(split: str, vessel_id: str, scene_day: date, chip_id: str) -> str:
    """The `.tif` of a chip whose ship has a pseudonym; with its MMSI it lies where `chip` says."""
    return f"chips/{safe(split)}/{safe(vessel_id)}/{ymd(scene_day)}/{safe(chip_id)}.tif"
