"""The report of a file's rows: complete, and harmless in a spreadsheet."""

import csv
import io
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.row_report import ROW_REPORT_SCHEMA, build_row_report, format_row_report

AT = pd.Timestamp("2025-10-27T11:04:22.123Z")


def outcome(row_number: int, name: str = "chipped", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "target_id": f"row-{row_number}",
        "source_id": "file-abc",
        "outcome": name,
        "detail": f"row {row_number}: said",
        "mmsi": 244660123,
        "ais_time": AT,
        "ais_lat": -36.1,
        "ais_lon": -5.4,
        "ais_source": "file",
        "ship_name": "ANNA",
        "row_number": row_number,
        "chip_id": f"chip{row_number}",
        "scene_id": "S2B",
    }
    return fields | changes


def outcomes(*rows: dict[str, Any]) -> pd.DataFrame:
    if not rows:
        return tables.empty(OUTCOME_SCHEMA)
    return tables.to_frame(tables.conform(pd.DataFrame(list(rows)), OUTCOME_SCHEMA, "test"))


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_rows_of_all_days_in_the_order_of_the_file_with_the_paths_of_their_chips() -> None:
    first = outcomes(outcome(5), outcome(2, "invalid_ais", mmsi=None, chip_id=None, ais_lat=None, ais_time=None))
    second = outcomes(outcome(3), outcome(4, "gate_cloud"))
    chips = [pd.DataFrame({"chip_id": ["chip5", "chip3"], "path": ["chips/5.tif", "chips/3.tif"]})]
    report = build_row_report([first, second], chips)
    assert tables.conform(report, ROW_REPORT_SCHEMA, "report").num_rows == 4
    assert report["row_number"].tolist() == [2, 3, 4, 5]
    assert report["path"].tolist() == [None, "chips/3.tif", None, "chips/5.tif"]
    assert report["chip_id"].tolist() == [None, "chip3", None, "chip5"], "a refused ship has no chip"
    rows = read(format_row_report(report))
    assert list(rows[0]) == ROW_REPORT_SCHEMA.names
    assert (rows[0]["mmsi"], rows[0]["ais_lat"], rows[0]["ais_time"]) == ("", "", "")
    assert rows[1]["ais_time"] == "2025-10-27T11:04:22.123Z"
    assert float(rows[1]["ais_lat"]) == -36.1, "a negative number is no formula"


def test_a_file_without_rows_has_a_report_without_rows() -> None:
    assert read(format_row_report(build_row_report([], []))) == []
    assert build_row_report([outcomes()], []).empty


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t'=1"),
        ("A;=1+1", "A;'=1+1"),
        ('A"=1', "A\"'=1"),
        ("ANNA = 1, -2", "ANNA = 1, -2"),
        ("ÆRØ", "ÆRØ"),
    ],
)
def test_what_a_spreadsheet_would_take_for_a_formula_is_a_text(name: str, shown: str) -> None:
    [row] = read(format_row_report(build_row_report([outcomes(outcome(2, ship_name=name))], [])))
    assert row["ship_name"] == shown


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(",;\t|"))
def test_no_cell_begins_a_formula_whatever_the_delimiter_is(name: str, delimiter: str) -> None:
    data = format_row_report(build_row_report([outcomes(outcome(2, ship_name=name, detail=f"row 2: {name}"))], []))
    text = data.decode("utf-8-sig")
    for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        for cell in line:
            plain = cell.replace('"', "")
            # Numbers with a sign are the report's own.
            assert not plain.startswith(("=", "+", "@")), (cell, text)
            assert not plain.startswith("-") or plain.split(",")[0].lstrip("-").replace(".", "").isdigit(), (cell, text)


def test_excels_own_kind_of_reader_opens_it() -> None:
    """Through a workbook, cell by cell, as a spreadsheet imports it: nothing is a formula."""
    data = format_row_report(build_row_report([outcomes(outcome(2, ship_name="=1+1"))], []))
    assert data.startswith(b"\xef\xbb\xbf")
    book = openpyxl.Workbook()
    for line in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        book.active.append(line)
    assert not [cell.value for line in book.active.iter_rows() for cell in line if cell.data_type == "f"]
