"""The artefacts of a chip as files: encoded together, written all or not at all, looked at to see whether they still stand.

Not here: the formats (`chips.artefacts`, `chips.quicklook`) and when a chip is written (`day`).
"""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from s2chips_core import layout
from s2chips_core.chips.artefacts import encode_geotiff, encode_masks
from s2chips_core.chips.chip import Chip
from s2chips_core.chips.quicklook import encode_quicklook
from s2chips_core.config import Settings
from s2chips_core.errors import StorageError
from s2chips_core.index.geojson import feature_bytes
from s2chips_core.index.records import ChipKey, properties, sidecar
from s2chips_core.storage import Storage

MASKS_SUFFIX = "_masks.tif"

TAG_FIELDS = (
    "chip_id",
    "mmsi",
    "lat",
    "lon",
    "scene_id",
    "scene_datetime",
    "boa_offset_dn",
    "boa_offset_source",
    "gate_verdict",
    "fingerprint",
    "software_version",
    "config_hash",
)
"""Index fields that are tags of the GeoTIFF: what the fingerprint decides. What AIS may correct later is in the sidecar."""


def suffixes(*, masks: bool) -> tuple[str, ...]:
    """The artefacts that a chip has, in the order of writing; `masks`: `masks.persist`."""
    return tuple(s for s in layout.CHIP_SUFFIXES if masks or s != MASKS_SUFFIX)


def encode_artefacts(row: Mapping[str, Any], chip: Chip, settings: Settings) -> dict[str, bytes]:
    """The bytes of every artefact of a chip by suffix, in the order of writing.

    Args:
        row: its index row.
        chip: its pixels; with masks when `masks.persist`.
        settings: the formats.
    """
    said = properties(row)
    encoded = {
        ".geojson": feature_bytes(row),
        ".json": sidecar(row),
        "_quicklook.jpg": encode_quicklook(chip.reflectance, chip.bands),
        ".tif": encode_geotiff(
            chip,
            tags={name: str(said[name]) for name in TAG_FIELDS},
            geotiff=settings.storage.geotiff,
            compression=settings.storage.compression,
        ),
    }
    if settings.masks.persist:
        encoded[MASKS_SUFFIX] = encode_masks(chip)
    return {suffix: encoded[suffix] for suffix in suffixes(masks=settings.masks.persist)}


def write_artefacts(storage: Storage, path: str, encoded: Mapping[str, bytes]) -> None:
    """Write the artefacts of the chip at `path`, the `.tif` last.

    When one cannot be written, or the run is broken off, all of it is deleted: new sidecars must not stand beside an older
    `.tif`.

    Args:
        storage: the dataset.
        path: key of the `.tif`, where the index names no chip.
        encoded: bytes by suffix, in the order of writing.

    Raises:
        StorageError: one cannot be written.
    """
    done = False
    try:
        for key, data in zip(layout.chip_artefacts(path, tuple(encoded)), encoded.values(), strict=True):
            storage.put(key, data)
        done = True
    finally:
        if not done:
            # What cannot be deleted now is in the journal, and the next run of this day and source does it.
            with contextlib.suppress(StorageError):
                delete_artefacts(storage, path)


def delete_artefacts(storage: Storage, path: str) -> None:
    """Delete all artefacts of the chip at `path`, the `.tif` first: where it is, the others are."""
    for key in reversed(layout.chip_artefacts(path)):
        storage.delete(key)


def are_intact(storage: Storage, key: ChipKey, *, masks: bool) -> bool:
    """Whether all artefacts are there and were made as `key` says: the sidecar carries its fingerprint."""
    if not all(storage.exists(k) for k in layout.chip_artefacts(key.path, suffixes(masks=masks))):
        return False
    try:
        said = json.loads(storage.get(layout.chip_artefacts(key.path, (".json",))[0]))
    except ValueError:
        return False  # somebody edited it: the chip is made anew
    return isinstance(said, dict) and said.get("fingerprint") == key.fingerprint
