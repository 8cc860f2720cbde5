"""The report of a file's rows: every row, in the order of the file."""

import csv
import io
from typing import Any

import pandas as pd

from s2chips_core import tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.row_report import ROW_REPORT_SCHEMA, build_row_report
from s2chips_core.index.spreadsheet import format_csv

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
    rows = read(format_csv(report))
    assert list(rows[0]) == ROW_REPORT_SCHEMA.names
    assert (rows[0]["mmsi"], rows[0]["ais_lat"], rows[0]["ais_time"]) == ("", "", "")
    assert rows[1]["ais_time"] == "2025-10-27T11:04:22.123Z"
    assert float(rows[1]["ais_lat"]) == -36.1, "a negative number is no formula"


def test_a_file_without_rows_has_a_report_without_rows() -> None:
    assert read(format_csv(build_row_report([], []))) == []
    assert build_row_report([outcomes()], []).empty
