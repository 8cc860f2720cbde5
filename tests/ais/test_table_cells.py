"""Cells out of bytes: encodings, delimiters, compression, spreadsheets, damage."""

import csv
import gzip
import io
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.table_cells import Cells, excel_days_to_unix_ms, read_cells
from s2chips_core.errors import InputError


def _is_header(header: list[str]) -> int:
    return len(header) if "mmsi" in header else 0


def _read(data: bytes, filename: str = "ships.csv") -> Cells:
    return read_cells(data, filename, _is_header)


def _book(*sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for number, rows in enumerate(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for row in rows:
            sheet.append(row)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


TEXT = "mmsi,name\n1,Ærø Ütersen\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_gzip(encoding: str, packed: bool) -> None:
    data = TEXT.encode(encoding)
    cells = _read(gzip.compress(data) if packed else data)
    assert (cells.header, cells.rows, cells.row_numbers) == (["mmsi", "name"], [["1", "Ærø Ütersen"]], [2])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_line_ends(delimiter: str, end: str) -> None:
    text = end.join(delimiter.join(line) for line in (["mmsi", "lat"], ["1", "2"], ["3", "4"]))
    assert _read(text.encode()).rows == [["1", "2"], ["3", "4"]]


def test_blank_lines_count_but_are_no_rows() -> None:
    cells = _read(b"\nmmsi,lat\n\n1,2\n,\n3,4\n\n")
    assert (cells.header, cells.row_numbers) == (["mmsi", "lat"], [4, 6])


def test_excels_own_hint_line_is_no_header() -> None:
    cells = _read(b"sep=;\nmmsi;lat\n1;2\n")
    assert (cells.header, cells.row_numbers) == (["mmsi", "lat"], [3])


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])), min_size=2, max_size=2), max_size=8
    )
)
def test_what_pythons_csv_writes_comes_back(rows: list[list[str]]) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL)
    writer.writerow(["mmsi", "name"])
    writer.writerows(rows)
    expected = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    assert _read(sink.getvalue().encode()).rows == expected


def test_xlsx_gives_values_from_the_sheet_with_the_header() -> None:
    eleven = datetime(2025, 10, 27, 11)  # noqa: DTZ001
    data = _book([["notes"], ["nothing"]], [[None], ["mmsi", "time"], [1, eleven], [None, None], ["2", 45957.5]])
    cells = _read(data, "ships.xlsx")
    assert (cells.header, cells.row_numbers) == (["mmsi", "time"], [3, 5])
    assert cells.rows == [[1, eleven], ["2", 45957.5]]


def test_formulas_are_not_evaluated() -> None:
    assert _read(_book([["mmsi", "lat"], ["=1+1", 5]])).rows == [[None, 5]]


def test_days_of_both_excel_calendars() -> None:
    """45957 is 2025-10-27 in Excel's help; the 1904 calendar is 1462 days behind."""
    day_ms = 86_400_000
    expected = int((datetime(2025, 10, 27) - datetime(1970, 1, 1)).total_seconds() * 1000)  # noqa: DTZ001
    assert excel_days_to_unix_ms(datetime(1899, 12, 30)) + 45957 * day_ms == expected  # noqa: DTZ001
    assert excel_days_to_unix_ms(datetime(1904, 1, 1)) + (45957 - 1462) * day_ms == expected  # noqa: DTZ001


def _zip_of(name: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, "x")
    return sink.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n \n",
        b",,\n,,\n",
        b"PK\x03\x04 not really",
        _zip_of("photo.txt"),
        b"\xd0\xcf\x11\xe0old",
        b"\x1f\x8bnot gzip",
        gzip.compress(b"mmsi\n" * 50, mtime=0)[:-12],
        _book([["mmsi"], [1]])[:-200],
        _book([]),
        b'mmsi,lat\n1,"' + b"x" * 140_000,
    ],
)
def test_what_is_no_table_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(InputError, match=r"ships\.dat"):
        _read(data, "ships.dat")


_SOUND = _book([["mmsi", "lat"], [244660123, 1.5], [244660124, 2.5]])


@given(st.lists(st.tuples(st.integers(4, len(_SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_damaged_spreadsheet_is_read_or_refused(damage: list[tuple[int, int]]) -> None:
    data = bytearray(_SOUND)
    for at, value in damage:
        data[at] = value
    try:
        cells = _read(bytes(data), "ships.xlsx")
    except InputError as error:
        assert "ships.xlsx" in str(error)  # noqa: PT017
    else:
        assert len(cells.rows) == len(cells.row_numbers)


# --- Parquet


def _parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_parquet_gives_plain_values_with_nulls_where_there_is_nothing() -> None:
    at = datetime(2025, 10, 27, 11, 4, 22, 123_456, tzinfo=UTC)
    data = _parquet(
        whole=pa.array([1, None]),
        real=pa.array([1.5, float("nan")]),
        money=pa.array([Decimal("1.25"), None], pa.decimal128(6, 2)),
        text=pa.array(["a", ""]).dictionary_encode(),
        when=pa.array([at, None], pa.timestamp("ns", tz="UTC")),
    )
    cells = read_cells(data, "x", lambda header: 1)
    assert cells.header == ["whole", "real", "money", "text", "when"]
    assert cells.rows == [[1, 1.5, 1.25, "a", at.replace(microsecond=123_000)]], "a row without content is left out"
    assert cells.row_numbers == [2]
    assert cells.excel_epoch is None


@pytest.mark.parametrize("cut", [5, 40, -1])
def test_damaged_parquet_is_refused(cut: int) -> None:
    with pytest.raises(InputError, match="no readable Parquet file"):
        read_cells(_parquet(a=[1, 2])[:cut], "x.parquet", lambda header: 1)


def test_parquet_without_columns_is_no_table() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({}), sink)
    with pytest.raises(InputError):
        read_cells(sink.getvalue(), "x.parquet", lambda header: 1)


def test_the_delimiter_of_a_header_that_will_not_do_is_found_all_the_same() -> None:
    assert read_cells(b"a;b;c\n1;2;3\n", "x", lambda header: 0).header == ["a", "b", "c"]
