"""The AIS of a day: what is recorded for a plan, and a file split into its days."""

import hashlib
import itertools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyproj
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import RECORDED, CaptureRecord, PassRecord, read_records, write_record
from s2chips_core.ais.dataset import claim_dataset
from s2chips_core.ais.day import check_file, read_file, record_day, record_synthetic, synthetic_fixes_of_plan
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.fixes_of_window import AREA_MARGIN_DEG
from s2chips_core.ais.snapshots import read_snapshots, write_snapshots
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.ais.windows import windows_of_plan
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import AisKeyError, InputError, MixedAisError, StorageError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.datasets import everything

DAY = date(2025, 10, 27)
PASS = datetime(2025, 10, 27, 11, 4, 22, 123_000, UTC)
NOW = datetime(2025, 10, 30, 12, tzinfo=UTC)


def settings_of(**ais: object) -> Settings:
    ais = {"source": "synthetic", "synthetic_ships_per_tile": 6, **ais}
    return parse_settings({"satellite_tracking": {"tiles": ["30STE"]}, "ais": ais}, "test")


def plan_of(*passes: tuple[str, datetime], side: timedelta = timedelta()) -> pd.DataFrame:
    frame = pd.DataFrame(passes, columns=["tile_id", "overpass_time"])
    frame["overpass_time"] = pd.to_datetime(frame["overpass_time"], utc=True).astype("datetime64[ms, UTC]")
    return frame.assign(
        satellite="S2B",
        window_start=frame["overpass_time"] - side,
        window_end=frame["overpass_time"] + side,
        time_sigma_s=0.0,
        imaging="planned",
        source="backfill",
    )


def put_plan(storage: LocalStorage, *passes: tuple[str, datetime], side: timedelta = timedelta()) -> None:
    tables.write_table(storage, layout.plan(DAY), plan_of(*passes, side=side), PLAN_SCHEMA)


def test_each_tile_of_the_plan_gets_its_snapshot(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), ("30SUE", PASS + timedelta(seconds=4)))
    recorded = record_day(DAY, settings=settings_of(), storage=storage)
    fixes = read_snapshots(storage, DAY)
    assert (recorded.ais_source, recorded.fixes, recorded.ships) == ("synthetic", len(fixes), fixes["mmsi"].nunique())
    assert recorded.ships == 12
    assert set(fixes["ais_source"]) == {"synthetic"}
    assert set(recorded.keys) == {
        layout.ais_snapshot(DAY, tile, suffix) for tile in ("30STE", "30SUE") for suffix in ("parquet", "xlsx")
    }
    assert all(storage.exists(key) for key in recorded.keys)
    window = pd.Timedelta(minutes=settings_of().ais.window_min)
    assert ((fixes["time"] - fixes["overpass_time"]).abs() <= window).all()


def test_ships_are_on_their_tile_or_just_beyond(storage: LocalStorage) -> None:
    fixes = synthetic_fixes_of_plan(plan_of(("30STE", PASS)), settings_of(synthetic_ships_per_tile=40))
    x, y = pyproj.Transformer.from_crs(4326, 32630, always_xy=True).transform(fixes["lon"], fixes["lat"])
    # 30STE: upper left corner 199980, 4000020 in EPSG:32630, 109.8 km wide (ESA's tiling grid).
    away = AREA_MARGIN_DEG * 112_000 + 12_000  # the box around the slanted tile, and ten minutes at full speed
    assert (np.abs(np.array(x) - 254_880) < 54_900 + away).all()
    assert (np.abs(np.array(y) - 3_945_120) < 54_900 + away).all()


def test_the_same_plan_gives_the_same_ships_and_another_seed_others() -> None:
    plan = plan_of(("30STE", PASS))
    first = synthetic_fixes_of_plan(plan, settings_of())
    pd.testing.assert_frame_equal(first, synthetic_fixes_of_plan(plan, settings_of()))
    other = synthetic_fixes_of_plan(plan, settings_of(synthetic_seed=1))
    assert set(zip(first["lon"], first["lat"], strict=True)).isdisjoint(zip(other["lon"], other["lat"], strict=True))


def test_recording_again_adds_nothing(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS))
    record_day(DAY, settings=settings_of(), storage=storage)
    before = {key: storage.get(key) for key in storage.list(layout.ais_folder(DAY))}
    record_day(DAY, settings=settings_of(), storage=storage)
    assert {key: storage.get(key) for key in storage.list(layout.ais_folder(DAY))} == before


def test_a_day_without_overpasses_has_no_ships(storage: LocalStorage) -> None:
    put_plan(storage)
    recorded = record_day(DAY, settings=settings_of(), storage=storage)
    assert (recorded.fixes, recorded.ships, recorded.keys) == (0, 0, [])
    pd.testing.assert_frame_equal(synthetic_fixes_of_plan(plan_of(), settings_of()), tables.empty(FIX_SCHEMA))


def test_without_a_plan_nothing_is_recorded(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=layout.plan(DAY)):
        record_day(DAY, settings=settings_of(), storage=storage)
    assert storage.list(layout.ais_folder(DAY)) == []


def test_real_ais_without_a_key_is_refused_and_nothing_synthetic_stands_in(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS))
    for key in (None, ""):
        with pytest.raises(AisKeyError, match=r"AISSTREAM_API_KEY is not set.*\.env"):
            record_day(DAY, settings=settings_of(source="aisstream"), storage=storage, api_key=key)
    assert storage.list("ais") == []
    assert not storage.exists(layout.dataset_note())


def test_synthetic_windows_count_as_recorded(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), ("30SUE", PASS + timedelta(seconds=4)), side=timedelta(minutes=5))
    recorded = record_day(DAY, settings=settings_of(), storage=storage, clock=lambda: NOW)
    [record] = read_records(storage, DAY)
    assert (record.ais_source, record.ended, record.started_at) == ("synthetic", "done", NOW)
    assert [(one.window.tile_id, one.status, one.ships) for one in record.passes] == [
        ("30STE", RECORDED, 6),
        ("30SUE", RECORDED, 6),
    ]
    assert recorded.passes == record.passes
    assert recorded.missed == ()
    put_plan(storage, ("30SUE", PASS + timedelta(seconds=9)), side=timedelta(minutes=5))
    record_day(DAY, settings=settings_of(), storage=storage, clock=lambda: NOW)
    [again] = read_records(storage, DAY)
    assert [one.window.tile_id for one in again.passes] == ["30SUE"], "made again, not recorded again"


def test_synthetic_ais_for_some_tiles_leaves_the_others(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), ("30SUE", PASS + timedelta(seconds=4)))
    record_day(DAY, settings=settings_of(), storage=storage)
    plan = plan_of(("30SUE", PASS + timedelta(seconds=4)))
    record_synthetic(plan, DAY, settings=settings_of(synthetic_ships_per_tile=2), storage=storage)
    ships = read_snapshots(storage, DAY).groupby("tile_id")["mmsi"].nunique()
    assert ships.to_dict() == {"30STE": 6, "30SUE": 2}


def test_a_day_of_the_past_tells_what_was_missed(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), ("30SUE", PASS + timedelta(seconds=4)), side=timedelta(minutes=5))
    recorded = record_day(DAY, settings=settings_of(source="aisstream"), storage=storage, api_key="a-key", clock=lambda: NOW)
    assert (recorded.ais_source, recorded.fixes, recorded.ships, recorded.keys) == ("aisstream", 0, 0, [])
    assert [window.tile_id for window in recorded.missed] == ["30STE", "30SUE"]
    assert recorded.passes == ()
    assert storage.list("ais") == []


def test_a_day_that_was_recorded_needs_no_key(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), ("30SUE", PASS + timedelta(seconds=4)), side=timedelta(minutes=5))
    first, second = windows_of_plan(tables.read_table(storage, layout.plan(DAY), PLAN_SCHEMA))
    fixes = synthetic_fixes_of_plan(plan_of(("30STE", PASS)), settings_of()).assign(ais_source="aisstream")
    keys = write_snapshots(storage, DAY, fixes, metadata=None)
    heard = PassRecord(window=first, covered_s=600.0, gaps=(), fixes=len(fixes), ships=6)
    unheard = PassRecord(window=second, covered_s=0.0, gaps=(), fixes=0, ships=0)
    write_record(storage, record_of(heard, unheard))
    recorded = record_day(DAY, settings=settings_of(source="aisstream"), storage=storage, clock=lambda: NOW)
    assert (recorded.fixes, recorded.ships, sorted(recorded.keys)) == (len(fixes), 6, sorted(keys))
    assert recorded.passes == (heard, unheard)
    assert recorded.missed == (second,)


def record_of(*passes: PassRecord) -> CaptureRecord:
    return CaptureRecord(
        capture_id="before",
        ais_source="aisstream",
        url="wss://stream.aisstream.io/v0/stream",
        started_at=PASS,
        ended_at=PASS,
        ended="done",
        connections=1,
        messages=1,
        ignored={},
        lost=0,
        passes=passes,
    )


def test_a_day_without_overpasses_needs_no_key_either(storage: LocalStorage) -> None:
    put_plan(storage)
    assert record_day(DAY, settings=settings_of(source="aisstream"), storage=storage).missed == ()


def test_real_ais_does_not_come_into_a_synthetic_dataset(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS), side=timedelta(minutes=5))
    record_day(DAY, settings=settings_of(), storage=storage)
    before = {key: storage.get(key) for key in storage.list("ais")}
    running = itertools.count()
    with pytest.raises(MixedAisError):
        record_day(
            DAY,
            settings=settings_of(source="aisstream"),
            storage=storage,
            api_key="a-key",
            clock=lambda: PASS + timedelta(milliseconds=next(running)),
        )
    assert {key: storage.get(key) for key in storage.list("ais")} == before


ROWS = """mmsi,lat,lon,overpass_time,captured_time
244660123,36.1251,-5.4302,2025-10-26T23:59:59.999Z,
244660124,36.2104,-5.3566,2025-10-27T00:00:00Z,
244660125,36.2104,-5.3566,2025-10-27T11:00:00Z,2025-10-26T23:58:00Z
244660126,36.2,-5.3,2025-10-27T01:30:00+02:00,
244660127,36.2,-5.3,,
244660128,36.2,-5.3,yesterday,
"""


def read(storage: LocalStorage, path: Path) -> dict[date, set[int]]:
    found = read_file(path, storage=storage, now=NOW)
    return {day: set(rows["mmsi"]) for day, rows in found.targets.items()}


def test_a_file_is_split_by_the_utc_day_of_its_rows(storage: LocalStorage, tmp_path: Path) -> None:
    file = tmp_path / "ships.csv"
    file.write_text(ROWS)
    found = read_file(file, storage=storage, now=NOW)
    by_day = {day: set(rows["mmsi"]) for day, rows in found.targets.items()}
    # The third row is of the day when it was heard, the fourth of the day that it was in UTC.
    assert by_day == {
        date(2025, 10, 26): {244660123, 244660125, 244660126},
        DAY: {244660124},
        date(2025, 10, 30): {244660127, 244660128},
    }
    last = found.targets[date(2025, 10, 30)].set_index("mmsi")
    assert last["time_inferred"].to_dict() == {244660127: True, 244660128: False}
    assert "yesterday" in last.loc[244660128, "invalid_reason"]
    assert sum(len(rows) for rows in found.targets.values()) == 6

    # The source is named after the bytes, and what was read is kept for each day.
    assert found.source_id == f"file-{hashlib.sha256(ROWS.encode()).hexdigest()[:12]}"
    for day, rows in found.targets.items():
        kept = tables.read_table(storage, layout.ais_file(day, found.source_id), TARGET_SCHEMA)
        pd.testing.assert_frame_equal(kept, rows)
        assert set(kept["source_id"]) == {found.source_id}


@pytest.mark.parametrize("position", ["as_reported", "at_sensing_time"])
def test_the_good_rows_of_a_file_are_fixes_too(storage: LocalStorage, tmp_path: Path, position: str) -> None:
    file = tmp_path / "ships.csv"
    file.write_text(ROWS)
    found = read_file(file, storage=storage, now=NOW, position=position)
    assert {mode for rows in found.targets.values() for mode in rows["position_mode"]} == {position}
    # All days in one: a track may cross midnight. The row of "yesterday" is no fix.
    assert sorted(found.fixes["mmsi"]) == [244660123, 244660124, 244660125, 244660126, 244660127]
    heard = found.fixes.set_index("mmsi").loc[244660125]
    assert heard["time"] == pd.Timestamp("2025-10-26T23:58:00Z")
    assert (heard["lat"], heard["lon"]) == (36.2104, -5.3566)


def test_a_file_beside_a_capture_is_no_capture(storage: LocalStorage, tmp_path: Path) -> None:
    put_plan(storage, ("30STE", PASS))
    recorded = record_day(DAY, settings=settings_of(), storage=storage)
    file = tmp_path / "ships.csv"
    file.write_text("mmsi,lat,lon,overpass_time,source\n244660124,36.2,-5.3,2025-10-27T11:00:00Z,synthetic\n")
    read(storage, file)
    assert len(read_snapshots(storage, DAY)) == recorded.fixes


def test_the_same_rows_as_a_spreadsheet(storage: LocalStorage, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in ROWS.splitlines():
        book.active.append(line.split(","))
    book.save(tmp_path / "ships.xlsx")
    (tmp_path / "ships.csv").write_text(ROWS)
    assert read(storage, tmp_path / "ships.xlsx") == read(storage, tmp_path / "ships.csv")


def test_a_file_with_a_header_only_has_no_days(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("mmsi,lat,lon\n")
    assert read(storage, tmp_path / "none.csv") == {}


@pytest.mark.parametrize(("name", "data"), [("a.csv", b"ship,where\nx,y\n"), ("a.xlsx", b"\x00\x01"), ("a.csv", b"")])
def test_what_is_no_table_is_refused_and_nothing_is_kept(
    storage: LocalStorage, tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=name):
        read(storage, tmp_path / name)
    assert storage.list("ais") == []


def test_a_file_that_is_not_there(storage: LocalStorage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv"):
        read(storage, tmp_path / "none.csv")
    with pytest.raises(InputError, match="readable CSV, XLSX or Parquet"):
        read(storage, tmp_path)


def test_looking_at_a_file_keeps_nothing_and_refuses_as_reading_it_does(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "ships.csv").write_text(ROWS)
    check_file(tmp_path / "ships.csv", storage=storage, now=NOW)
    assert everything(storage) == {}
    with pytest.raises(InputError, match=r"ais\.columns\.lat"):
        check_file(tmp_path / "ships.csv", storage=storage, now=NOW, columns={"lat": "Breite"})
    claim_dataset(storage, {"synthetic"})
    with pytest.raises(MixedAisError, match="synthetic AIS, got file"):
        check_file(tmp_path / "ships.csv", storage=storage, now=NOW)


def test_a_file_is_remembered_under_its_names(storage: LocalStorage, tmp_path: Path) -> None:
    for name, known in (("a.csv", ()), ("b.csv", ("a.csv",)), ("a.csv", ("a.csv", "b.csv"))):
        (tmp_path / name).write_text(ROWS)
        assert read_file(tmp_path / name, storage=storage, now=NOW).known_as == known


def test_synthetic_ships_that_are_made_again_replace_the_old(storage: LocalStorage) -> None:
    put_plan(storage, ("30STE", PASS))
    record_day(DAY, settings=settings_of(synthetic_ships_per_tile=5), storage=storage)
    again = record_day(DAY, settings=settings_of(synthetic_ships_per_tile=2, synthetic_seed=7), storage=storage)
    kept = read_snapshots(storage, DAY)
    assert kept["mmsi"].nunique() == again.ships == 2
    assert len(kept) == again.fixes
