"""What a spreadsheet may unpack to, before anything reads it.

An .xlsx file is a zip archive of XML: a file of 1 MB can unpack to 1 GB, and of that every four bytes can be a cell that
takes a hundred times as much in memory. Here: a look through the bytes of each part. Not here: reading it, which openpyxl
does, a row or a shared text at a time (`table_cells`); what lies between two of them it holds as a whole.
"""

import io
import re
import zipfile
from typing import IO

from s2chips_core.errors import InputError

MOST_PARTS = 10_000
MOST_RATIO = 250
"""Unpacked to packed bytes of a large part; XML of real tables is packed 5 to 30 times."""
LARGE_PART_BYTES = 16 << 20
GAP_MOST_BYTES = 8 << 20
"""Between the beginnings of two rows or shared texts, before the first and after the last."""
MOST_SHEETS = 256
MOST_ROWS_AND_TEXTS = 20_000_000
_AT_ONCE_BYTES = 1 << 20
FORMAT_MOST_BYTES = 1000
"""Of a number format; Excel takes 255 characters. Whether it is one of dates takes a time that grows with its square."""
_OVERLAP_BYTES = 2048
"""Longer than anything that is looked for; a beginning that is longer hides a row, and the gap is too long."""
_BEGINS = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,100}:)?(?:(row|si)|(sheet))(?=[\s/>])")
_DECLARES = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
_LONG_FORMAT = re.compile(
    rb"""formatCode\s{0,99}=\s{0,99}(?:"[^"]{%d}|'[^']{%d})""" % (FORMAT_MOST_BYTES, FORMAT_MOST_BYTES)
)
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""UTF-16, which Excel can read and nobody writes."""


def check_workbook(data: bytes, filename: str, *, most_bytes: int, expected: str) -> None:
    """Refuse a spreadsheet that unpacks to more than a table, or that declares entities.

    Args:
        data: of the file.
        filename: for errors.
        most_bytes: of all parts once unpacked.
        expected: for errors.

    Raises:
        InputError: it does.
        zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError: it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        size = sum(part.file_size for part in parts)
        if size > most_bytes:
            raise InputError(filename, f"{size} bytes once unpacked", f"at most {most_bytes}")
        if len(parts) > MOST_PARTS:
            raise InputError(filename, f"{len(parts)} parts", expected)
        for part in parts:
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(filename, f"a part packed by method {part.compress_type}", expected)
            if part.file_size > LARGE_PART_BYTES and part.file_size > MOST_RATIO * part.compress_size:
                got = f"{part.filename[:80]} of {part.file_size} bytes, packed to {part.compress_size}"
                raise InputError(filename, got, f"a part that is packed at most {MOST_RATIO} times")
        rows_and_texts = sheets = 0
        for part in parts:
            with archive.open(part) as stream:
                found = _look_through(stream, filename, part.filename[:80])
            rows_and_texts, sheets = rows_and_texts + found[0], sheets + found[1]
            if rows_and_texts > MOST_ROWS_AND_TEXTS or sheets > MOST_SHEETS:
                got = f"{rows_and_texts} rows and texts on {sheets} sheets"
                raise InputError(filename, got, f"at most {MOST_ROWS_AND_TEXTS} on {MOST_SHEETS}")


def _look_through(stream: IO[bytes], filename: str, part: str) -> tuple[int, int]:
    """How many rows and shared texts, and how many names of sheets begin in a part; zeros where it is no XML."""
    rows_and_texts = sheets = done = last = 0
    tail = b""
    begun = False
    while chunk := stream.read(_AT_ONCE_BYTES):
        if not done and chunk.startswith(_WIDE):
            raise InputError(filename, f"{part} in UTF-16", "parts in UTF-8")
        if not begun and (text := chunk.removeprefix(b"\xef\xbb\xbf").lstrip()):
            if not text.startswith(b"<"):
                return 0, 0  # a picture, or settings of a printer
            begun = True  # XML may begin with as much that is blank as it likes
        looked_at = tail + chunk
        declared = _DECLARES.search(looked_at)
        if declared:
            raise InputError(filename, f"{part} with {declared[0].decode()}", "XML without a document type or entities")
        if _LONG_FORMAT.search(looked_at):
            raise InputError(
                filename, f"{part} with a long number format", f"formats of less than {FORMAT_MOST_BYTES} bytes"
            )
        start = done - len(tail)
        for begins in _BEGINS.finditer(looked_at):
            if begins.end() < len(tail):
                continue  # counted with the chunk before
            if begins[2]:
                sheets += 1
                continue
            rows_and_texts += 1
            _check_gap(start + begins.start() - last, filename, part)
            last = start + begins.start()
        done += len(chunk)
        _check_gap(done - last, filename, part)
        tail = looked_at[-_OVERLAP_BYTES:]
    return rows_and_texts, sheets


def _check_gap(gap: int, filename: str, part: str) -> None:
    if gap > GAP_MOST_BYTES:
        raise InputError(filename, f"{part} with {gap} bytes in one row or text", f"at most {GAP_MOST_BYTES}")
