"""Recorded AIS around made-up matches, and a small dataset of chips that it vouches for or not."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.config import Settings
from s2chips_core.fetch import Fetcher
from s2chips_core.index.day import DayResult, chip_day, write_day_tables
from s2chips_core.index.geojson import write_daily_geojson
from s2chips_core.index.parts import scene_days
from s2chips_core.index.prune import PruneResult, prune_chips
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import Storage
from tests.datasets import everything
from tests.index.chips import DAY, NOW, SETTINGS, Cutter, match_of, scene_by_scene, scenes_of_days, write_matches
from tests.index.index_record import without_record

FILE = layout.file_source("0123456789abcdef")
NEXT_DAY = DAY + timedelta(days=1)
PRUNED_AT = datetime(2025, 11, 2, 2, 0, 0, tzinfo=UTC)
TRASH = "20251102T020000Z"
GOING = {244_660_001, 244_660_002}
"""Ships of `make_dataset` that AIS does not vouch for."""


def fixes_of(match: Mapping[str, Any], *, north_deg: float = 0.0, late_s: float = 0.0, **changes: Any) -> pd.DataFrame:
    """Two fixes of a ship that lies where its match has it, 40 s before and 30 s after the scene; moved and late."""
    sensed = match["scene_datetime"]
    rows = [
        {
            "mmsi": match["mmsi"],
            "time": sensed + timedelta(seconds=s + late_s),
            "lat": match["lat"] + north_deg,
            "lon": match["lon"],
            "sog_kn": 0.0,
            "ais_source": match["ais_source"],
            **changes,
        }
        for s in (-40, 30)
    ]
    return tables.to_frame(tables.conform(pd.DataFrame(rows), FIX_SCHEMA, "fixes"))


def write_snapshot(storage: Storage, fixes: Iterable[pd.DataFrame], day: date = DAY, tile: str = "30STF") -> None:
    """Fixes as a capture leaves them."""
    tables.write_table(storage, layout.ais_snapshot(day, tile), tables.concat(fixes, FIX_SCHEMA), FIX_SCHEMA)


def write_file_rows(storage: Storage, matches: Sequence[Mapping[str, Any]], day: date = DAY, source: str = FILE) -> None:
    """Rows of a file as they are kept; each match's own AIS."""
    rows = pd.DataFrame([{**match, "source_id": source, "ais_source": "file"} for match in matches])
    tables.write_table(storage, layout.ais_file(day, source), rows, TARGET_SCHEMA)


def chip(
    storage: Storage, source: str = layout.CAPTURE, *, day: date = DAY, settings: Settings = SETTINGS, cutter: Any = None
) -> DayResult:
    """One run of a source, with the tables and indexes that follow."""
    result = chip_day(
        day,
        source,
        settings=settings,
        storage=storage,
        fetcher=Fetcher(()),
        cut=scene_by_scene(cutter or Cutter({244_660_003: RefusalReason.GATE_CLOUD})),
        clock=lambda: NOW,
        software_version="0.1.0",
    )
    write_day_tables(day, storage)
    for scene_day in {*result.scene_days, *scene_days(storage)}:
        write_daily_geojson(storage, scene_day)
    build_tiles_index(storage)
    return result


def make_dataset(storage: Storage) -> Storage:
    """Chips of ships 0, 1, 2 (sensed on the next day), 4 by the capture and of 1, 5 by a file; 3 is refused.

    AIS has moved ship 1, which both sources have, and does not know ship 2; it vouches for the others.
    """
    later = scenes_of_days(2)[1]
    captured = [match_of(0), match_of(1), match_of(2, scene=later), match_of(3), match_of(4)]
    of_file = [match_of(1), match_of(5)]
    write_matches(storage, captured)
    write_matches(storage, of_file, source=FILE)
    write_snapshot(storage, [fixes_of(captured[0]), fixes_of(captured[1], north_deg=0.01), fixes_of(captured[4])])
    write_snapshot(storage, [fixes_of(of_file[1])], NEXT_DAY)
    chip(storage)
    chip(storage, FILE)
    return storage


def prune(storage: Storage, *, dry_run: bool = False, settings: Settings = SETTINGS, **more: Any) -> PruneResult:
    """`prune_chips` at PRUNED_AT."""
    more = {"now": PRUNED_AT, "software_version": "0.1.0"} | more
    return prune_chips(settings=settings, storage=storage, dry_run=dry_run, **more)


def files(storage: Storage) -> dict[str, bytes]:
    """Every file but the locks; of the index without its record, which tells when the parts were written."""
    data, index = everything(storage), layout.tiles_index()
    if index in data:
        data[index] = without_record(data[index])
    return data
