"""Cells of a table that somebody else wrote: bytes of a CSV, XLSX or Parquet file -> header and rows.

Here: what kind of file it is, gzip, spreadsheets, and how much of it is kept. Not here: rows of a CSV text (`csv_rows`),
columns of Parquet (`parquet_columns`), what a spreadsheet may unpack to (`workbook_limits`), and what the columns mean
(`tables`). Nothing is evaluated: of a formula the stored result counts.
"""

import gzip
import io
import itertools
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.datetime import MAC_EPOCH
from openpyxl.utils.exceptions import InvalidFileException

from s2chips_core.ais.csv_rows import read_rows
from s2chips_core.ais.parquet_columns import read_columns
from s2chips_core.ais.workbook_limits import check_workbook
from s2chips_core.errors import InputError

MAX_BYTES = 1 << 30
"""Largest table once unpacked; what unpacks to more is no AIS table."""
MAX_CELLS = 50_000_000
"""Of all sheets together, those of rows without content left out: 3 million rows of 17 columns."""
MAX_ROWS = 10_000_000
"""Of all sheets together, empty ones too; Excel has 1,048,576 a sheet."""
# What zipfile, expat and openpyxl raise on files that are cut, flipped, encrypted or of another kind.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    InvalidFileException,
    OSError,
    EOFError,
    RuntimeError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    ValueError,
)
_EXPECTED = "a CSV (.csv, .csv.gz), Excel (.xlsx) or Parquet (.parquet) table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A table as it is written."""

    header: list[str]
    rows: list[list[object]]
    """Texts (CSV) or values (XLSX, Parquet); rows without any content are left out."""
    row_numbers: list[int]
    """Of each row, as a spreadsheet counts; the first line is row 1. In Parquet that is the header, which has no line."""
    excel_epoch: datetime | None = None
    """What day 0 of a number that means a date is; none but in XLSX."""


def read_cells(data: bytes, filename: str, is_header: Callable[[list[str]], int]) -> Cells:
    """The first table in the file.

    Args:
        data: the file's bytes.
        filename: for errors only; the bytes tell what it is.
        is_header: how well the cells of a row do as a header (the delimiter and the sheet that do best are taken); at
            least 1 for one that will do.

    Raises:
        InputError: empty, too large, damaged or no table.
    """
    if len(data) > MAX_BYTES:
        raise InputError(filename, f"more than {MAX_BYTES} bytes", "a smaller table")
    if data.startswith(b"\x1f\x8b"):
        data = _unzipped(data, filename)
    if not data or data.isspace():
        raise InputError(filename, "an empty file", _EXPECTED)
    if data.startswith(b"PAR1"):
        return _parquet(data, filename)
    if data.startswith(b"PK\x03\x04"):
        return _xlsx(data, filename, is_header)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(filename, "an old Excel file (.xls)", "it saved as .xlsx or .csv")
    return _table(filename, read_rows(data, filename, is_header, _EXPECTED), _Budget(filename), None)


def _unzipped(data: bytes, filename: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(filename, f"damaged gzip ({error})", _EXPECTED) from error
    if len(content) > MAX_BYTES:
        raise InputError(filename, f"more than {MAX_BYTES} bytes once unpacked", "a smaller table")
    return content


def _xlsx(data: bytes, filename: str, is_header: Callable[[list[str]], int]) -> Cells:
    try:
        check_workbook(data, filename, most_bytes=MAX_BYTES, expected=_EXPECTED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # openpyxl tells of styles and validations it leaves aside
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            budget = _Budget(filename, rows=MAX_ROWS)
            tables = []
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some writers put down a wrong size
                tables.append(_table(filename, sheet.iter_rows(values_only=True), budget, book.epoch, allow_empty=True))
            book.close()
    except _DAMAGED as error:
        raise InputError(filename, f"no readable Excel file ({error})", _EXPECTED) from error
    filled = [table for table in tables if table.header]
    if not filled:
        raise InputError(filename, "no sheet with content", _EXPECTED)
    return max(filled, key=lambda table: min(is_header(table.header), 1))


def _parquet(data: bytes, filename: str) -> Cells:
    names, columns = read_columns(data, filename, most_cells=MAX_CELLS, most_bytes=MAX_BYTES, expected=_EXPECTED)
    lines = itertools.chain([names], zip(*columns, strict=True)) if names else []
    return _table(filename, lines, _Budget(filename), None)


class _Budget:
    """How much of a file may still be kept, all its sheets together."""

    def __init__(self, filename: str, *, cells: int = MAX_CELLS, rows: int | None = None) -> None:
        self._filename, self._cells, self._rows = filename, cells, rows

    def walk(self) -> None:
        """One more row, whatever is in it; a number of a row in a sheet makes as many empty ones before it."""
        if self._rows is not None:
            self._rows -= 1
            if self._rows < 0:
                raise InputError(self._filename, "more rows than a table has", f"at most {MAX_ROWS:,}")

    def keep(self, cells: int) -> None:
        """These are kept."""
        self._cells -= cells
        if self._cells < 0:
            raise InputError(self._filename, f"more than {MAX_CELLS:,} cells", "a smaller table, or several")


def _table(
    filename: str,
    lines: Iterable[Iterable[object]],
    budget: _Budget,
    epoch: datetime | None,
    *,
    allow_empty: bool = False,
) -> Cells:
    header: list[str] | None = None
    rows: list[list[object]] = []
    row_numbers = []
    for number, line in enumerate(lines, start=1):
        budget.walk()
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in line]
        if all(cell is None or cell == "" for cell in cells):
            continue
        budget.keep(len(cells))
        if header is None:
            header = ["" if cell is None else str(cell) for cell in cells]
        else:
            rows.append(cells)
            row_numbers.append(number)
    if header is None and not allow_empty:
        raise InputError(filename, "no line with content", _EXPECTED)
    return Cells(header=header or [], rows=rows, row_numbers=row_numbers, excel_epoch=epoch)


def excel_days_to_unix_ms(epoch: datetime) -> float:
    """Milliseconds from 1970 to the epoch of a workbook; Excel counts from 1899-12-30, or on old Macs from 1904-01-01."""
    days = -24107 if epoch == MAC_EPOCH else -25569
    return days * 86_400_000.0
