"""Snapshots: one Parquet and one Excel file for each tile, which only ever grow."""

import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
from openpyxl.utils.escape import unescape

from s2chips_core import layout, tables
from s2chips_core.ais import snapshots
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import METADATA_KEY, add_up, read_snapshots, write_snapshots, xlsx_bytes
from s2chips_core.ais.synthetic import synthetic_fixes
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets

DAY = date(2025, 10, 27)
OVERPASS = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)


def _fixes(tile_id: str = "30STF", seed: int = 1, ships: int = 8) -> pd.DataFrame:
    return synthetic_fixes(tile_id, (-6, 35.5, -5, 36.5), OVERPASS, ships=ships, seed=seed, window_min=5)


def _sorted(fixes: pd.DataFrame) -> pd.DataFrame:
    return fixes.sort_values(["tile_id", "mmsi", "time", "lat"], ignore_index=True)


@pytest.mark.on_bucket("rclone")
def test_each_tile_has_a_parquet_and_an_excel_file_and_reads_back(storage: LocalStorage) -> None:
    fixes = tables.concat([_fixes(), _fixes("30SUF")], FIX_SCHEMA)
    keys = write_snapshots(storage, DAY, fixes, metadata=None)
    assert keys == [
        f"ais/20251027/ais_overpass_{tile}.{suffix}" for tile in ("30STF", "30SUF") for suffix in ("parquet", "xlsx")
    ]
    pd.testing.assert_frame_equal(_sorted(read_snapshots(storage, DAY)), _sorted(fixes))
    assert pd.read_parquet(io.BytesIO(storage.get(keys[0])))["mmsi"].tolist() == sorted(_fixes()["mmsi"])


def test_the_same_capture_again_changes_no_byte(storage: LocalStorage) -> None:
    keys = write_snapshots(storage, DAY, _fixes(), metadata={"run": 1})
    before = [storage.get(key) for key in keys]
    assert write_snapshots(storage, DAY, _fixes().sample(frac=1, random_state=1), metadata={"run": 1}) == keys
    assert [storage.get(key) for key in keys] == before


def test_two_captures_of_a_tile_add_up(storage: LocalStorage) -> None:
    fixes = _fixes()
    half = len(fixes) // 2
    write_snapshots(storage, DAY, fixes[: half + 5], metadata={"first": 1, "both": "old"})
    key = write_snapshots(storage, DAY, fixes[half - 5 :], metadata={"second": 2, "both": "new"})[0]
    pd.testing.assert_frame_equal(read_snapshots(storage, DAY), fixes)
    facts = json.loads(pq.read_schema(io.BytesIO(storage.get(key))).metadata[METADATA_KEY])
    assert facts == {"first": 1, "second": 2, "both": "new"}


def _received(fixes: pd.DataFrame, second: float, **values: object) -> pd.DataFrame:
    """The fixes as another capture had them."""
    at = pd.Series(pd.Timestamp(OVERPASS) + pd.to_timedelta(second, unit="s"), index=fixes.index)
    return fixes.assign(received_at=at, time_utc=at, message_type=f"heard at {second}", **values)


def test_two_captures_of_one_pass_do_not_double_its_fixes(storage: LocalStorage) -> None:
    fixes = _fixes()
    moved = pd.Series(pd.Timestamp(OVERPASS) + pd.Timedelta("3s"), index=fixes.index)  # a newer plan
    write_snapshots(storage, DAY, _received(fixes, 80, ship_name=None), metadata=None)
    write_snapshots(storage, DAY, _received(fixes, 70, ship_type=None, overpass_time=moved), metadata=None)
    there = read_snapshots(storage, DAY)
    assert len(there) == len(fixes)
    assert set(there["message_type"]) == {"heard at 70"}  # received first, though written last
    assert set(there["overpass_time"]) == {moved[0]}
    pd.testing.assert_frame_equal(there[["ship_name", "ship_type"]], fixes[["ship_name", "ship_type"]])


def test_the_order_of_captures_plays_no_part(storage: LocalStorage, datasets: Datasets, tmp_path: Path) -> None:
    fixes = _fixes()
    captures = [_received(fixes[:60], 80), _received(fixes[40:], 70), _received(fixes[20:80], 75, ship_name=None)]
    other = datasets.at(tmp_path / "other")
    for capture in captures:
        write_snapshots(storage, DAY, capture, metadata=None)
    for capture in reversed(captures):
        write_snapshots(other, DAY, capture, metadata=None)
    assert len(read_snapshots(storage, DAY)) == len(fixes)
    pd.testing.assert_frame_equal(read_snapshots(storage, DAY), read_snapshots(other, DAY))


@pytest.mark.parametrize(
    ("column", "value"),
    [("mmsi", 219000001), ("lat", 36.0), ("lon", -5.5), ("sog_kn", None), ("cog_deg", 1.0), ("heading_deg", 2.0),
     ("ais_source", "aisstream")],
)  # fmt: skip
def test_what_makes_another_fix(column: str, value: object) -> None:
    fixes = _fixes(ships=1)[:1]
    assert len(add_up(fixes, fixes)) == 1
    assert len(add_up(fixes, fixes.assign(**{column: value}))) == 2


def test_fixes_without_arrival_come_after_those_with() -> None:
    fixes = _fixes(ships=1)[:1]
    both = add_up(fixes.assign(destination="SECOND", call_sign="C"), _received(fixes, 5, destination="FIRST"))
    assert both.loc[0, ["destination", "call_sign"]].tolist() == ["FIRST", "C"]
    assert both.loc[0, "received_at"] == pd.Timestamp(OVERPASS) + pd.Timedelta("5s")


def test_facts_of_several_captures_are_side_by_side_and_written_also_without_new_fixes(storage: LocalStorage) -> None:
    fixes = _fixes()
    gap = {"gaps": [{"start": "a", "end": "b", "reason": "silence"}], "lost": 0}
    write_snapshots(storage, DAY, fixes, metadata={"ais_source": "synthetic", "captures": {"c1": gap}})
    parquet, xlsx = write_snapshots(storage, DAY, fixes[:1], metadata={"captures": {"c2": {"lost": 3}}})
    write_snapshots(storage, DAY, fixes[:1], metadata={"captures": {"c2": {"gaps": []}}})  # finished again
    facts = json.loads(pq.read_schema(io.BytesIO(storage.get(parquet))).metadata[METADATA_KEY])
    assert facts == {"ais_source": "synthetic", "captures": {"c1": gap, "c2": {"gaps": []}}}
    about = dict(_book(storage.get(xlsx))["about"].iter_rows(values_only=True))
    assert about == {
        "ais_source": "synthetic",
        "captures / c1 / gaps": json.dumps(gap["gaps"], sort_keys=True),
        "captures / c1 / lost": "0",
        "captures / c2 / gaps": "[]",
    }


def test_a_missing_excel_file_is_made_again(storage: LocalStorage) -> None:
    _, xlsx = write_snapshots(storage, DAY, _fixes(), metadata=None)
    before = storage.get(xlsx)
    storage.delete(xlsx)
    write_snapshots(storage, DAY, _fixes(), metadata=None)
    assert storage.get(xlsx) == before


def test_a_kill_between_the_two_files_leaves_the_parquet_and_no_older_excel(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet, xlsx = write_snapshots(storage, DAY, _fixes()[:5], metadata=None)
    with monkeypatch.context() as patched:
        patched.setattr(snapshots, "xlsx_bytes", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_snapshots(storage, DAY, _fixes(), metadata=None)
    assert len(read_snapshots(storage, DAY)) == len(_fixes())
    assert not storage.exists(xlsx)
    assert write_snapshots(storage, DAY, _fixes(), metadata=None) == [parquet, xlsx]
    assert _book(storage.get(xlsx))["fixes"].max_row == 1 + len(_fixes())


def _interrupted(*_: object) -> bytes:
    raise KeyboardInterrupt


def test_fixes_of_no_tile_have_their_own_file(storage: LocalStorage) -> None:
    keys = write_snapshots(storage, DAY, _fixes().assign(tile_id=None, overpass_time=pd.NaT), metadata=None)
    assert keys[0] == "ais/20251027/ais_overpass_untiled.parquet"
    assert read_snapshots(storage, DAY)["tile_id"].isna().all()


def test_only_snapshots_of_the_day_are_read(storage: LocalStorage) -> None:
    write_snapshots(storage, DAY, _fixes(), metadata=None)
    storage.put(layout.ais_file(DAY, "file-0123456789ab"), b"a file's rows, another table")
    assert len(read_snapshots(storage, DAY)) == len(_fixes())
    assert len(read_snapshots(storage, date(2025, 10, 28))) == 0


def _book(data: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(data))


def test_excel_holds_the_same_rows_with_utc_in_the_headers(storage: LocalStorage) -> None:
    key = write_snapshots(storage, DAY, _fixes(), metadata={"ais_source": "synthetic"})[1]
    book = _book(storage.get(key))
    assert book.sheetnames == ["fixes", "about"]
    header, first, *rest = book["fixes"].iter_rows(values_only=True)
    assert [name.removesuffix(" UTC") for name in header] == FIX_SCHEMA.names
    times = ["time UTC", "overpass_time UTC", "time_utc UTC", "received_at UTC"]
    assert [name for name in header if name.endswith(" UTC")] == times
    expected = _fixes().iloc[0]
    assert first[0] == expected["mmsi"]
    assert abs(pd.Timestamp(first[1], tz="UTC") - expected["time"]) <= pd.Timedelta(milliseconds=1)
    assert len(rest) == len(_fixes()) - 1
    assert list(book["about"].iter_rows(values_only=True)) == [("ais_source", "synthetic")]


@pytest.mark.parametrize("name", ["=1+1", "+49", "-BOAT-", "@SUM(A1)", "\tTAB", "\rCR", '=HYPERLINK("http://x","y")'])
def test_names_that_look_like_formulas_stay_text(name: str) -> None:
    cell = _book(xlsx_bytes(_fixes(ships=1).assign(ship_name=name), {}))["fixes"].cell(
        2, FIX_SCHEMA.names.index("ship_name") + 1
    )
    assert (unescape(cell.value), cell.data_type, cell.quotePrefix) == (name, "s", True)


def test_control_characters_do_not_break_the_file() -> None:
    book = _book(xlsx_bytes(_fixes(ships=1).assign(ship_name="A\x00B\x1f"), {}))
    assert book["fixes"].cell(2, FIX_SCHEMA.names.index("ship_name") + 1).value == "AB"


def test_rows_beyond_a_sheet_go_on_to_the_next() -> None:
    fixes = _fixes()
    book = _book(xlsx_bytes(fixes, {}, sheet_rows=11))
    sheets = [sheet for sheet in book if sheet.title.startswith("fixes")]
    assert [sheet.max_row for sheet in sheets[:-1]] == [11] * (len(sheets) - 1)
    assert sum(sheet.max_row - 1 for sheet in sheets) == len(fixes)
    assert len({sheet.cell(1, 2).value for sheet in sheets}) == 1


def test_an_empty_table_still_has_its_header() -> None:
    assert _book(xlsx_bytes(tables.empty(FIX_SCHEMA), {}))["fixes"].max_row == 1


def test_the_excel_file_can_be_chipped_as_a_table_and_stays_synthetic(storage: LocalStorage) -> None:
    fixes = _fixes()
    key = write_snapshots(storage, DAY, fixes, metadata=None)[1]
    targets = read_ais_table(storage.get(key), "snapshot.xlsx", now=datetime(2026, 1, 1, tzinfo=UTC), source_id="x")
    assert targets["invalid_reason"].isna().all()
    assert targets["mmsi"].tolist() == fixes["mmsi"].tolist()
    assert ((targets["ais_time"] - fixes["time"]).abs() <= pd.Timedelta(milliseconds=1)).all()
    assert set(targets["ais_source"]) == {"synthetic"}
