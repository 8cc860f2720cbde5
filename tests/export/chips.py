"""A small dataset with real GeoTIFFs, pictures, masks and labels, for the tests of exports."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from s2chips_core import layout, tables
from s2chips_core.chips.chip import MASK_BANDS, CutRequest
from s2chips_core.chips.grid import utm_xy
from s2chips_core.config import Settings
from s2chips_core.index.chip_files import encode_artefacts
from s2chips_core.index.records import PART_SCHEMA, chip_key, index_frame, row_from_chip
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, NOW, SETTINGS, chip_of, labels_alone, match_of, matches_frame, scenes_of_days

SIZE_PX = 32
EXPORTED_AT = datetime(2025, 11, 30, 9, 30, tzinfo=UTC)
VERSION = "0.1.0"
SWIR = SETTINGS.override({"tiling": {"include_swir": True}, "masks": {"persist": True}})
"""Six bands and masks."""
MMSI = 244_660_000
OTHER_MMSI = 311_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A chip that is in the dataset."""

    row: dict[str, Any]
    """Of the index parts, with labels."""
    pixels: np.ndarray


def ship(number: int, **changes: Any) -> dict[str, Any]:
    """What the AIS of ship `number` says: every third has no size."""
    sized = {"length_m": 60.0, "width_m": 12.0, "heading_deg": 30.0 + 10 * number} if number % 3 else {}
    return {"ship_type": ("Cargo", "Tug", None)[number % 3], "call_sign": None, **sized, **changes}


def neighbour(target: Mapping[str, Any], number: int, **changes: Any) -> dict[str, Any]:
    """The label of another ship of the same chip: its box reaches beyond the right edge."""
    box = [30.0, 4.0, 36.0, 4.0, 36.0, 10.0, 30.0, 10.0]
    placed = {"col": 31.0, "row": 7.0, "box": box, "box_source": "dimensions", "truncated": True}
    sizes = {
        "length_m": 60.0,
        "width_m": 60.0,
        "to_bow_m": 41.5,
        "to_stern_m": 18.5,
        "to_port_m": 7.25,
        "to_starboard_m": 52.75,
    }
    named = {"mmsi": OTHER_MMSI + number, "ship_name": f"NEIGHBOUR Å {number}", "ship_type": "Tanker", "is_target": False}
    return {**target, **placed, **sizes, **named, **changes}


def keep(
    storage: LocalStorage, number: int, scene: Scene, *, settings: Settings = SETTINGS, neighbours: int = 0, **changes: Any
) -> Kept:
    """Put the chip of ship `number` into the dataset; the index knows it when `index` has been called."""
    match = match_of(number, scene=scene, **{k: v for k, v in ship(number, **changes).items() if k in MATCH_SCHEMA.names})
    plain = tables.conform(matches_frame([match]), MATCH_SCHEMA, "m").to_pylist()[0]
    key = chip_key(plain, settings)
    request = CutRequest(target_id=plain["target_id"], mmsi=plain["mmsi"], lat=key.lat, lon=key.lon, chip_id=key.chip_id)
    masks = np.random.default_rng(number).integers(0, 2, (len(MASK_BANDS), SIZE_PX, SIZE_PX)).astype("uint8")
    x, y = (float(v[0]) // 10 * 10 for v in utm_xy(np.array([key.lon]), np.array([key.lat]), scene.epsg))
    transform = (10.0, 0.0, x - SIZE_PX // 2 * 10, 0.0, -10.0, y + 10 + SIZE_PX // 2 * 10)
    chip = chip_of(request, scene, settings, transform=transform, masks=masks if settings.masks.persist else None)
    labels = labels_alone(plain, key, chip, settings)
    labels += [neighbour(labels[0], n) for n in range(neighbours)]
    row = row_from_chip(plain, key, chip, labels, created_at=NOW, software_version=VERSION, config_hash=settings.config_hash)
    for suffix, data in encode_artefacts(row, chip, settings).items():
        storage.put(layout.chip_artefacts(key.path, (suffix,))[0], data)
    return Kept(row=row, pixels=chip.reflectance)


def index(storage: LocalStorage, kept: Sequence[Kept]) -> None:
    """Write parts and `tiles.parquet` of these chips."""
    rows = index_frame(chip.row for chip in kept)
    days = rows["scene_datetime"].dt.date
    for day in sorted(set(days)):
        tables.write_table(storage, layout.index_part(day, DAY, layout.CAPTURE), rows[days == day], PART_SCHEMA)
    build_tiles_index(storage)


def make_dataset(storage: LocalStorage, **changes: Any) -> dict[str, Kept]:
    """16 chips of 12 ships on three days, by chip_id: some with six bands and masks, some with a second ship in them."""
    days = scenes_of_days(3)
    numbers = [(n, days[n % 3]) for n in range(12)] + [(n, days[(n + 1) % 3]) for n in range(4)]
    kept = [
        keep(storage, n, scene, settings=SWIR if n % 2 else SETTINGS, neighbours=n % 4 == 1, **changes)
        for n, scene in numbers
    ]
    index(storage, kept)
    return {chip.row["chip_id"]: chip for chip in kept}
