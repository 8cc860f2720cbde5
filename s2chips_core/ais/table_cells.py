"""Cells of a table that somebody else wrote: bytes of a CSV, XLSX or Parquet file -> header and rows.

Here: encodings, delimiters, spreadsheets, Parquet. Not here: what the columns mean (`tables`). Nothing is evaluated: of a
formula the stored result counts.
"""

import csv
import gzip
import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import ParseError

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl.utils.datetime import MAC_EPOCH
from openpyxl.utils.exceptions import InvalidFileException

from s2chips_core.errors import InputError

MAX_BYTES = 1 << 30
"""Largest table once unpacked; what unpacks to more is no AIS table."""
_DELIMITERS = (",", ";", "\t", "|")
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
    if data.startswith(b"\x1f\x8b"):
        data = _unzipped(data, filename)
    if not data.strip():
        raise InputError(filename, "an empty file", _EXPECTED)
    if data.startswith(b"PAR1"):
        return _parquet(data, filename)
    if data.startswith(b"PK\x03\x04"):
        return _xlsx(data, filename, is_header)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(filename, "an old Excel file (.xls)", "it saved as .xlsx or .csv")
    return _csv(_text(data), filename, is_header)


def _unzipped(data: bytes, filename: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(filename, f"damaged gzip ({error})", _EXPECTED) from error
    if len(content) > MAX_BYTES:
        raise InputError(filename, f"more than {MAX_BYTES} bytes once unpacked", "a smaller table")
    return content


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if data[1:2] == b"\0":
        return data.decode("utf-16-le", errors="replace")
    if data[:1] == b"\0":
        return data.decode("utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what Excel on Windows writes; five of its bytes mean nothing


def _csv(text: str, filename: str, is_header: Callable[[list[str]], int]) -> Cells:
    best: tuple[tuple[int, int], str] = ((-1, 0), ",")
    skip = 0
    first_lines = [line for line in text[:100_000].splitlines() if line.strip(" ,;\t|")]
    if first_lines and first_lines[0].lower().startswith("sep="):  # Excel's own hint
        first_lines, skip = first_lines[1:], 1
    if not first_lines:
        raise InputError(filename, "no line with content", _EXPECTED)
    for delimiter in _DELIMITERS:
        header = next(csv.reader(first_lines[:1], delimiter=delimiter), [])
        # Where none will do, the one that parts it best: an error tells the columns.
        best = max(best, ((is_header(header), len(header)), delimiter), key=lambda pair: pair[0])
    try:
        return _table(filename, csv.reader(io.StringIO(text, newline=""), delimiter=best[1]), skip, None)
    except csv.Error as error:
        raise InputError(filename, f"broken CSV ({error})", _EXPECTED) from error


def _xlsx(data: bytes, filename: str, is_header: Callable[[list[str]], int]) -> Cells:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(filename, f"{size} bytes once unpacked", f"at most {MAX_BYTES}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # openpyxl tells of styles and validations it leaves aside
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            epoch = book.epoch
            tables = []
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some writers put down a wrong size
                tables.append(_table(filename, sheet.iter_rows(values_only=True), 0, epoch, allow_empty=True))
            book.close()
    except _DAMAGED as error:
        raise InputError(filename, f"no readable Excel file ({error})", _EXPECTED) from error
    filled = [table for table in tables if table.header]
    if not filled:
        raise InputError(filename, "no sheet with content", _EXPECTED)
    return max(filled, key=lambda table: min(is_header(table.header), 1))


def _parquet(data: bytes, filename: str) -> Cells:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if size > MAX_BYTES:
            raise InputError(filename, f"{size} bytes once unpacked", f"at most {MAX_BYTES}")
        table = file.read()
        columns = [_plain_values(column) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(filename, f"no readable Parquet file ({error})", _EXPECTED) from error
    lines = [table.column_names, *zip(*columns, strict=True)] if columns else []
    return _table(filename, lines, 0, None)


def _plain_values(column: pa.ChunkedArray) -> list[object]:
    """Python values, null for NaN; decimals as floats, and times in milliseconds, which is all that is kept of them."""
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False)
    return [None if isinstance(value, float) and math.isnan(value) else value for value in column.to_pylist()]


def _table(
    filename: str, lines: Iterable[Iterable[object]], skip: int, epoch: datetime | None, *, allow_empty: bool = False
) -> Cells:
    header: list[str] | None = None
    rows: list[list[object]] = []
    row_numbers = []
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in line]
        if all(cell is None or cell == "" for cell in cells):
            continue
        if skip:
            skip -= 1
        elif header is None:
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
