"""The AIS of a day: recorded around its overpasses, or read from a file. The doors of this stage to the dataset.

Not here: synthetic ships (`synthetic`), tables (`tables`), targets (`targets`).
"""

import dataclasses
import hashlib
import json
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.ais.synthetic import synthetic_fixes
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError, InputError, MixedAisError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.storage import Storage

AREA_MARGIN_DEG = 0.05
"""AIS is recorded this far beyond the tile: a ship that enters between recording and sensing is known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was recorded for a day."""

    ais_source: str
    fixes: int
    ships: int
    keys: list[str]


def record_day(day: date, *, settings: Settings, storage: Storage) -> Recorded:
    """Record AIS for every overpass of the day's plan and write one snapshot for each tile.

    Raises:
        ConfigError: `ais.source` is `aisstream`: capture is not in this version.
        StorageError: the day has no overpass plan.
        MixedAisError: the dataset is of real AIS.
    """
    if settings.ais.source != "synthetic":
        raise ConfigError(
            "configuration",
            "ais.source",
            settings.ais.source,
            "'synthetic', or an AIS file (chip-from-file): capture from aisstream.io is not in this version, and synthetic "
            "ships never stand in for real ones unasked",
        )
    plan = tables.read_table(storage, layout.plan(day), PLAN_SCHEMA)
    claim_dataset(storage, {"synthetic"})
    for key in storage.list(layout.ais_folder(day)):
        # Made again, not recorded again: another seed or number of ships replaces what was made up before.
        if layout.is_snapshot(key):
            storage.delete(key)
    fixes = synthetic_fixes_of_plan(plan, settings)
    keys = write_snapshots(storage, day, fixes, metadata={"ais_source": "synthetic"})
    return Recorded(ais_source="synthetic", fixes=len(fixes), ships=fixes["mmsi"].nunique(), keys=keys)


def synthetic_fixes_of_plan(plan: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Synthetic fixes for every overpass of a plan: the same plan and settings give the same ships."""
    return tables.concat(
        [
            synthetic_fixes(
                tile_id,
                tile_area(tile_id, AREA_MARGIN_DEG),
                overpass_time.to_pydatetime(),
                ships=settings.ais.synthetic_ships_per_tile,
                seed=settings.ais.synthetic_seed,
                window_min=settings.ais.window_min,
            )
            for tile_id, overpass_time in zip(plan["tile_id"], plan["overpass_time"], strict=True)
        ],
        FIX_SCHEMA,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileDays:
    """The rows of an AIS file, by UTC day."""

    source_id: str
    targets: dict[date, pd.DataFrame]
    """Day -> TARGET_SCHEMA. Rows whose day cannot be told are with the day when the file was first read."""
    fixes: pd.DataFrame
    """FIX_SCHEMA: the good rows of the whole file as fixes, for ships that are placed at the sensing time."""


def read_file(path: Path, *, storage: Storage, now: datetime, position: str = "as_reported") -> FileDays:
    """Read an AIS table, and keep what was read of each day beside the day's snapshots.

    Args:
        path: the CSV or XLSX file.
        storage: where the rows of each day are kept.
        now: the time of rows that tell none, unless the file has been read before: then it is the time of that.
        position: `as_reported` takes every row where it says; `at_sensing_time` takes the rows of a ship as its track.

    Raises:
        InputError: the file cannot be read as a table with `mmsi`, `lat` and `lon`.
        MixedAisError: the dataset is of synthetic AIS and this is real, or the other way round.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), error.strerror, "a readable CSV or XLSX file") from error
    source_id = layout.file_source(hashlib.sha256(data).hexdigest())
    first_read = _first_read(storage, source_id, now)
    targets = read_ais_table(data, path.name, now=first_read, source_id=source_id)
    targets = tables.to_frame(tables.conform(targets.assign(position_mode=position), TARGET_SCHEMA, path.name))
    claim_dataset(storage, set(targets["ais_source"]))
    storage.put(layout.ais_file_note(source_id), json.dumps({"first_read": first_read.isoformat()}).encode())
    days = targets["ais_time"].dt.date.where(targets["ais_time"].notna(), first_read.date())
    by_day = {day: rows.reset_index(drop=True) for day, rows in targets.groupby(days)}
    for day, rows in by_day.items():
        tables.write_table(storage, layout.ais_file(day, source_id), rows, TARGET_SCHEMA)
    good = targets[targets["invalid_reason"].isna()]
    fixes = good.rename(columns={"ais_time": "time", "ais_lat": "lat", "ais_lon": "lon"})
    fixes = tables.to_frame(tables.conform(fixes, FIX_SCHEMA, path.name))
    return FileDays(source_id=source_id, targets=by_day, fixes=fixes)


def claim_dataset(storage: Storage, ais_sources: set[str]) -> None:
    """Note what kind of AIS a dataset is of, before anything of it is written; later AIS must be of the same kind.

    Args:
        storage: the dataset.
        ais_sources: what is about to be recorded or read: aisstream, file, synthetic.

    Raises:
        MixedAisError: it is of the other kind, or the AIS itself is of both.
    """
    if not ais_sources:
        return
    kinds = {"synthetic" if source == "synthetic" else "real" for source in ais_sources}
    with storage.lock("dataset"):
        key = layout.dataset_note()
        known = str(json.loads(storage.get(key))["ais"]) if storage.exists(key) else None
        if kinds != {known or min(kinds)}:
            raise MixedAisError(known, sorted(ais_sources))
        if known is None:
            storage.put(key, json.dumps({"ais": min(kinds)}).encode())


def _first_read(storage: Storage, source_id: str, now: datetime) -> datetime:
    """When this file was first read: its rows without a time stay where they are, however often it is chipped."""
    key = layout.ais_file_note(source_id)
    if not storage.exists(key):
        return now
    return datetime.fromisoformat(json.loads(storage.get(key))["first_read"])
