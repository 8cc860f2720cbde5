"""Excel workbooks, read back by openpyxl and as plain XML."""

import io
import tracemalloc
from datetime import datetime

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter
from openpyxl.utils.escape import unescape

from s2chips_core.ais import workbook
from s2chips_core.ais.workbook import FORMULA_STARTS, MAX_CHARACTERS, Sheet, workbook_bytes


def _book(frame: pd.DataFrame, **options: int) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(workbook_bytes([Sheet("t", frame)], **options)))


def _rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(_book(frame)["t"].iter_rows(values_only=True))


def test_numbers_texts_times_and_nothing() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, -(2**53)], dtype="Int64"),
            "float": [0.1, float("nan"), 1e-300],
            "text": pd.Series(["A & <B>", None, ' "quoted" '], dtype=object),
            "time": pd.Series(pd.to_datetime(["2026-03-30T01:18:46.067Z", None, "2000-02-29T23:59:59.999Z"])).dt.as_unit(
                "ms"
            ),
        }
    )
    assert _rows(frame) == [
        ("whole", "float", "text", "time"),
        (1, 0.1, "A & <B>", datetime.fromisoformat("2026-03-30T01:18:46.067")),
        (None, None, None, None),
        (-(2**53), 1e-300, ' "quoted" ', datetime.fromisoformat("2000-02-29T23:59:59.999")),
    ]


def test_times_of_other_zones_and_units_are_utc() -> None:
    at = pd.Timestamp("2026-03-30T03:18:46+02:00")
    for unit in ("s", "ms", "us", "ns"):
        assert _rows(pd.DataFrame({"t": [at.as_unit(unit)]}))[1] == (datetime.fromisoformat("2026-03-30T01:18:46"),)


@given(st.datetimes(datetime.fromisoformat("1901-01-01"), datetime.fromisoformat("2200-01-01")))
@settings(max_examples=30)
def test_times_are_right_to_the_millisecond(at: datetime) -> None:
    stamp = pd.Timestamp(at, tz="UTC").floor("ms")
    read = _rows(pd.DataFrame({"t": pd.Series([stamp])}))[1][0]
    assert abs(pd.Timestamp(read, tz="UTC") - stamp) <= pd.Timedelta("1ms")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_text_makes_a_file_that_can_be_read(texts: list[str]) -> None:
    data = workbook_bytes([Sheet("t", pd.DataFrame({"t": pd.Series(texts, dtype=object)}))])
    read = [row[0].value or "" for row in openpyxl.load_workbook(io.BytesIO(data))["t"].iter_rows(min_row=2)]
    kept = [
        "".join(c for c in text if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"))
        for text in texts
    ]
    # A carriage return is written as ECMA-376 (22.9.2.19, ST_Xstring) has it; Excel turns it back, openpyxl only when asked.
    assert [unescape(text) for text in read] == kept


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_what_looks_like_a_formula_is_marked_as_text(start: str) -> None:
    frame = pd.DataFrame({"t": pd.Series([f"{start}1+1", "plain"], dtype=object)})
    formula, plain = (_book(frame)["t"].cell(row, 1) for row in (2, 3))
    assert (unescape(formula.value), formula.data_type, formula.quotePrefix) == (f"{start}1+1", "s", True)
    assert (plain.value, plain.quotePrefix) == ("plain", False)


def test_a_text_ends_where_a_cell_does() -> None:
    assert len(str(_rows(pd.DataFrame({"t": ["X" * 40_000]}))[1][0])) == MAX_CHARACTERS


def test_columns_beyond_z_are_where_they_belong() -> None:
    frame = pd.DataFrame({f"c{n}": [n if n % 3 else None] for n in range(60)})
    sheet = _book(frame)["t"]
    for n in range(60):
        assert sheet[f"{get_column_letter(n + 1)}1"].value == f"c{n}"
        assert sheet[f"{get_column_letter(n + 1)}2"].value == (n if n % 3 else None)


@pytest.mark.parametrize(("rows", "sheets"), [(0, [1]), (10, [11]), (11, [11, 2]), (20, [11, 11]), (25, [11, 11, 6])])
def test_rows_beyond_a_sheet_go_on_to_the_next(rows: int, sheets: list[int]) -> None:
    book = _book(pd.DataFrame({"n": range(rows)}), sheet_rows=11)
    assert book.sheetnames == ["t", "t 2", "t 3"][: len(sheets)]
    assert [sheet.max_row for sheet in book] == sheets
    assert [row[0] for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)] == list(range(rows))


def test_chunks_of_rows_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_AT_ONCE", 10)
    assert [row[0] for row in _rows(pd.DataFrame({"n": range(25)}))[1:]] == list(range(25))


def test_no_more_than_some_rows_are_objects_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times = pd.Series(pd.date_range("2026-01-01", periods=10_000, freq="s", tz="UTC"))
    frame = pd.DataFrame({str(n): times for n in range(4)})

    def peak_bytes() -> int:
        tracemalloc.start()
        try:
            workbook_bytes([Sheet("t", frame)])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(workbook, "_AT_ONCE", 10_000)
    all_at_once = peak_bytes()
    monkeypatch.setattr(workbook, "_AT_ONCE", 250)
    assert peak_bytes() < all_at_once - 500_000, "40,000 numbers are 1 MB"


def test_several_sheets_one_without_a_header() -> None:
    first, second = pd.DataFrame({"a": [1]}), pd.DataFrame({"x": ["k"], "y": ["v"]})
    data = workbook_bytes([Sheet("one", first), Sheet('<"&">', second, header=False)])
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["one", '<"&">']
    assert list(book['<"&">'].iter_rows(values_only=True)) == [("k", "v")]
    assert workbook_bytes([Sheet("one", first), Sheet('<"&">', second, header=False)]) == data
