"""CSV for people: read back it is the table, and in a spreadsheet nothing of it runs."""

import csv
import io

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.index.spreadsheet import format_csv


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def table(**texts: str) -> pd.DataFrame:
    return pd.DataFrame({"row": [2], **{name: [text] for name, text in texts.items()}, "lat": [-36.1]})


def test_values() -> None:
    at = pd.Timestamp("2025-10-27T12:04:22.123456+01:00")
    values = pd.DataFrame({"at": [at, pd.NaT], "count": pd.array([3, None], "Int64"), "lat": [-36.1, float("nan")]})
    assert read(format_csv(values.assign(stays=[True, False], name=["ANNA", None]))) == [
        {"at": "2025-10-27T11:04:22.123Z", "count": "3", "lat": "-36.1", "stays": "True", "name": "ANNA"},
        {"at": "", "count": "", "lat": "", "stays": "False", "name": ""},
    ]


def test_no_rows() -> None:
    assert format_csv(table(name="ANNA").iloc[:0]) == b"\xef\xbb\xbfrow,name,lat\r\n"


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
    [row] = read(format_csv(table(ship_name=name)))
    assert row["ship_name"] == shown


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.sampled_from(",;\t|"))
def test_no_cell_begins_a_formula_whatever_the_delimiter_is(name: str, delimiter: str) -> None:
    data = format_csv(table(ship_name=name, detail=f"row 2: {name}"))
    text = data.decode("utf-8-sig")
    for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        for cell in line:
            plain = cell.replace('"', "")
            # Numbers with a sign are the report's own.
            assert not plain.startswith(("=", "+", "@")), (cell, text)
            assert not plain.startswith("-") or plain.split(",")[0].lstrip("-").replace(".", "").isdigit(), (cell, text)


def test_excels_own_kind_of_reader_opens_it() -> None:
    """Through a workbook, cell by cell, as a spreadsheet imports it: nothing is a formula."""
    data = format_csv(table(ship_name="=1+1"))
    assert data.startswith(b"\xef\xbb\xbf")
    book = openpyxl.Workbook()
    for line in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        book.active.append(line)
    assert not [cell.value for line in book.active.iter_rows() for cell in line if cell.data_type == "f"]
