"""The AIS of a day: recorded around its overpasses, or read from a file. The doors of this stage to the dataset.

Not here: waiting for windows (`recording`), synthetic ships (`synthetic`), tables (`tables`), targets (`targets`).
"""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.capture import DONE, SOURCE, Clock, Progress
from s2chips_core.ais.capture_record import (
    MISSED,
    CaptureRecord,
    PassRecord,
    best_record,
    read_records,
    write_record,
)
from s2chips_core.ais.dataset import claim_dataset
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.fixes_of_window import AREA_MARGIN_DEG
from s2chips_core.ais.recording import record_windows, utc_now
from s2chips_core.ais.snapshots import read_snapshots, write_snapshots
from s2chips_core.ais.synthetic import SOURCE as SYNTHETIC
from s2chips_core.ais.synthetic import synthetic_fixes
from s2chips_core.ais.table_cells import MAX_BYTES
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.ais.windows import CaptureGroup, Window, windows_of_plan
from s2chips_core.config import Settings
from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.storage import Storage

MOST_NAMES = 20
"""Of one file, that are remembered."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What there is of a day's AIS after a recording, whenever it was recorded."""

    ais_source: str
    fixes: int
    ships: int
    keys: list[str]
    """Of the snapshots."""
    passes: tuple[PassRecord, ...] = ()
    """How each window was recorded, by the capture that listened to most of it; without those that no capture tried."""
    missed: tuple[Window, ...] = ()
    """Windows that have closed, and of which nothing was listened to."""


def record_day(
    day: date,
    *,
    settings: Settings,
    storage: Storage,
    clock: Clock = utc_now,
    api_key: str | None = None,
    group: CaptureGroup | None = None,
    stop: threading.Event | None = None,
    progress: Progress = lambda text: None,
    meeting_folder: Path | None = None,
) -> Recorded:
    """Record AIS for the overpasses of a day's plan, and add it to the snapshot of each tile.

    Real AIS is recorded when it is there to be heard: this waits for each window that has not closed yet, and what was
    missed is in the result. Captures that were killed are finished first. Synthetic AIS is made up at once, and replaces
    what was made up before.

    Args:
        day: UTC.
        settings: `ais.source` says which.
        storage: the dataset.
        clock: aware UTC; for real AIS it must run.
        api_key: of the AIS service; synthetic AIS needs none.
        group: record these windows instead of the plan's.
        stop: ends the recording within a second; what was heard is kept.
        progress: told what is waited for, and how it goes.
        meeting_folder: where the processes of this machine take turns; none: `connection_limit.default_folder`.

    Raises:
        StorageError: the day has no overpass plan, or the dataset cannot be written.
        MixedAisError: the dataset is of the other kind of AIS.
        AisKeyError: there is no key, or the service does not take it.
        CaptureError: the service could not be reached in any whole group of windows, or the clock stands still.
    """
    if settings.ais.source == "synthetic":
        return _record_synthetic_day(day, settings, storage, clock)
    windows = group.windows if group else windows_of_plan(tables.read_table(storage, layout.plan(day), PLAN_SCHEMA))
    record_windows(
        windows,
        settings=settings,
        storage=storage,
        clock=clock,
        api_key=api_key,
        stop=stop or threading.Event(),
        progress=progress,
        meeting_folder=meeting_folder,
    )
    return recorded_of_day(day, windows, storage=storage, now=clock())


def recorded_of_day(day: date, windows: Sequence[Window], *, storage: Storage, now: datetime) -> Recorded:
    """What there is of a day's real AIS.

    Args:
        day: UTC.
        windows: those that were to be recorded; of other days they play no part.
        storage: the dataset.
        now: aware UTC; what is still open is not missed.
    """
    records = read_records(storage, day)
    of_day = [(window, best_record(window, records)) for window in windows if window.day == day]
    fixes = read_snapshots(storage, day)
    return Recorded(
        ais_source=SOURCE,
        fixes=len(fixes),
        ships=fixes["mmsi"].nunique(),
        keys=[key for key in storage.list(layout.ais_folder(day)) if layout.is_snapshot(key)],
        passes=tuple(best for _, best in of_day if best is not None),
        missed=tuple(window for window, best in of_day if window.end <= now and (best is None or best.status == MISSED)),
    )


def record_synthetic(
    plan: pd.DataFrame, day: date, *, settings: Settings, storage: Storage, clock: Clock = utc_now
) -> Recorded:
    """Make up AIS for a plan, marked synthetic everywhere; what was made up for its tiles on that day is replaced.

    Args:
        plan: PLAN_SCHEMA, overpasses of the day.
        day: UTC.
        settings: how many ships, and their seed.
        storage: the dataset.
        clock: when that was, for the record.

    Raises:
        MixedAisError: the dataset is of real AIS.
    """
    claim_dataset(storage, {SYNTHETIC})
    for tile in sorted(set(plan["tile_id"])):
        for suffix in ("parquet", "xlsx"):
            storage.delete(layout.ais_snapshot(day, tile, suffix))
    fixes = synthetic_fixes_of_plan(plan, settings)
    keys = write_snapshots(storage, day, fixes, metadata={"ais_source": SYNTHETIC})
    passes = []
    for window in windows_of_plan(plan):
        of_window = fixes[(fixes["tile_id"] == window.tile_id) & (fixes["overpass_time"] == window.overpass_time)]
        passes.append(
            PassRecord(
                window=window,
                covered_s=(window.end - window.start).total_seconds(),
                gaps=(),
                fixes=len(of_window),
                ships=of_window["mmsi"].nunique(),
            )
        )
    if passes:
        group = CaptureGroup(windows=tuple(one.window for one in passes))
        record = CaptureRecord(
            capture_id=f"{SYNTHETIC}-{group.group_id}",
            ais_source=SYNTHETIC,
            url="",
            started_at=clock(),
            ended_at=clock(),
            ended=DONE,
            connections=0,
            messages=0,
            ignored={},
            lost=0,
            passes=tuple(passes),
        )
        write_record(storage, record)
    return Recorded(ais_source=SYNTHETIC, fixes=len(fixes), ships=fixes["mmsi"].nunique(), keys=keys, passes=tuple(passes))


def _record_synthetic_day(day: date, settings: Settings, storage: Storage, clock: Clock) -> Recorded:
    plan = tables.read_table(storage, layout.plan(day), PLAN_SCHEMA)
    claim_dataset(storage, {SYNTHETIC})
    for key in [*storage.list(layout.ais_folder(day)), *storage.list(layout.captures_of_day(day))]:
        # Made again, not recorded again: another seed or number of ships replaces what was made up before.
        if layout.is_snapshot(key) or key.startswith(f"{layout.captures_of_day(day)}/"):
            storage.delete(key)
    return record_synthetic(plan, day, settings=settings, storage=storage, clock=clock)


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
    known_as: tuple[str, ...] = ()
    """Under which names the same bytes were read before."""


def read_file(
    path: Path,
    *,
    storage: Storage,
    now: datetime,
    position: str = "as_reported",
    columns: Mapping[str, str] | None = None,
) -> FileDays:
    """Read an AIS table, and keep what was read of each day beside the day's snapshots.

    Args:
        path: the CSV, XLSX or Parquet file.
        storage: where the rows of each day are kept.
        now: the time of rows that tell none, unless the file has been read before: then it is the time of that.
        position: `as_reported` takes every row where it says; `at_sensing_time` takes the rows of a ship as its track.
        columns: `Settings.ais.columns`.

    Raises:
        InputError: the file cannot be read as a table with `mmsi`, `lat` and `lon`.
        MixedAisError: the dataset is of synthetic AIS and this is real, or the other way round.
    """
    data = _read_bytes(path)
    source_id = layout.file_source(hashlib.sha256(data).hexdigest())
    first_read, known_as = _earlier_reading(storage, source_id, now)
    targets = read_ais_table(data, path.name, now=first_read, source_id=source_id, named=columns)
    targets = tables.to_frame(tables.conform(targets.assign(position_mode=position), TARGET_SCHEMA, path.name))
    claim_dataset(storage, set(targets["ais_source"]))
    names = list(dict.fromkeys([*known_as, path.name]))[-MOST_NAMES:]
    note = {"first_read": first_read.isoformat(), "names": names}
    storage.put(layout.ais_file_note(source_id), json.dumps(note).encode())
    days = targets["ais_time"].dt.date.where(targets["ais_time"].notna(), first_read.date())
    by_day = {day: rows.reset_index(drop=True) for day, rows in targets.groupby(days)}
    for day, rows in by_day.items():
        tables.write_table(storage, layout.ais_file(day, source_id), rows, TARGET_SCHEMA)
    good = targets[targets["invalid_reason"].isna()]
    fixes = good.rename(columns={"ais_time": "time", "ais_lat": "lat", "ais_lon": "lon"})
    fixes = tables.to_frame(tables.conform(fixes, FIX_SCHEMA, path.name))
    return FileDays(source_id=source_id, targets=by_day, fixes=fixes, known_as=known_as)


def check_file(path: Path, *, storage: Storage, now: datetime, columns: Mapping[str, str] | None = None) -> None:
    """Read an AIS table and keep nothing: only to see whether it can be read. Arguments and errors as for `read_file`."""
    targets = read_ais_table(_read_bytes(path), path.name, now=now, source_id="file-checked", named=columns)
    if storage.exists(layout.dataset_note()):  # else there would be something to note
        claim_dataset(storage, set(targets["ais_source"]))


def _read_bytes(path: Path) -> bytes:
    """As much of it as tells that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(str(path), error.strerror, "a readable CSV, XLSX or Parquet file") from error


def _earlier_reading(storage: Storage, source_id: str, now: datetime) -> tuple[datetime, tuple[str, ...]]:
    """When this file was first read, and under which names.

    Its rows without a time stay where they are, however often it is chipped.
    """
    key = layout.ais_file_note(source_id)
    if not storage.exists(key):
        return now, ()
    note = json.loads(storage.get(key))
    return datetime.fromisoformat(note["first_read"]), tuple(note.get("names", ()))
