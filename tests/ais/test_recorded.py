"""Reading recorded AIS: captures and rows of files, days, and what is left out."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.recorded import RECORDED_COLUMNS, RecordedAis, read_recorded, recorded_days
from s2chips_core.errors import SchemaError
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, match_of
from tests.index.recorded_ais import FILE, fixes_of, write_file_rows, write_snapshot

TOMORROW = DAY + timedelta(days=1)
ALL = np.arange(244_660_000, 244_660_010)


def write_all(storage: LocalStorage) -> None:
    write_snapshot(storage, [fixes_of(match_of(0)), fixes_of(match_of(1))])
    write_snapshot(storage, [fixes_of(match_of(0))], tile="30SUE")
    write_snapshot(storage, [fixes_of(match_of(2))], TOMORROW)
    write_file_rows(storage, [match_of(3), match_of(4, invalid_reason="bad"), match_of(5, ais_time=None, mmsi=None)])
    storage.put(layout.ais_snapshot(DAY, "30STF", "xlsx"), b"no table")
    storage.put(layout.ais_file_note(FILE), b"{}")
    storage.put(layout.capture_record(DAY, "c"), b"{}")


def test_tables_by_day(storage: LocalStorage) -> None:
    assert recorded_days(storage) == {}
    write_all(storage)
    assert recorded_days(storage) == {
        DAY: [layout.ais_file(DAY, FILE), layout.ais_snapshot(DAY, "30STF"), layout.ais_snapshot(DAY, "30SUE")],
        TOMORROW: [layout.ais_snapshot(TOMORROW, "30STF")],
    }


def test_fixes_of_captures_and_good_rows_of_files(storage: LocalStorage) -> None:
    write_all(storage)
    found = RecordedAis(storage, ALL).fixes([DAY])
    assert list(found.columns) == list(RECORDED_COLUMNS)
    assert found["mmsi"].value_counts().to_dict() == {244_660_000: 4, 244_660_001: 2, 244_660_003: 1}
    [row] = found[found["mmsi"] == 244_660_003].to_dict("records")
    match = match_of(3)
    assert (row["time"], row["lat"], row["lon"]) == (match["ais_time"], match["ais_lat"], match["ais_lon"])
    assert (row["ais_source"], row["sog_kn"]) == ("file", 12.5)


def test_only_the_ships_asked_for(storage: LocalStorage) -> None:
    write_all(storage)
    recorded = RecordedAis(storage, np.array([244_660_002]))
    assert recorded.days() == [DAY, TOMORROW]
    assert recorded.fixes([DAY]).empty
    assert set(recorded.fixes([DAY, TOMORROW, TOMORROW])["mmsi"]) == {244_660_002}


def test_a_day_is_read_once_while_it_is_looked_at(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(storage)
    read: list[str] = []
    get = storage.get
    monkeypatch.setattr(storage, "get", lambda key: (read.append(key), get(key))[1])
    recorded = RecordedAis(storage, ALL)
    first = recorded.fixes([DAY, TOMORROW])
    again = recorded.fixes([TOMORROW])
    assert len(read) == len(set(read)) == 4
    pd.testing.assert_frame_equal(again, first[first["mmsi"] == 244_660_002].reset_index(drop=True))


def test_what_is_no_table_of_ais_is_named(storage: LocalStorage) -> None:
    key = layout.ais_snapshot(DAY, "30STF")
    storage.put(key, tables.parquet_bytes(tables.conform(fixes_of(match_of(0)), FIX_SCHEMA, "x").drop_columns(["lat"])))
    with pytest.raises(SchemaError, match=r"ais_overpass_30STF.*\['lat'\] are missing"):
        read_recorded(storage, [key], ALL)
