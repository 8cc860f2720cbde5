"""Rows of a CSV text that somebody else wrote: encoding, delimiter, and lines that are no longer than a row can be.

Here: bytes -> rows of texts, one after the other; the text is never held as a whole, and neither is a line without an end.
Not here: which row is the header (`table_cells`), what the columns mean (`tables`).
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator

from s2chips_core.errors import InputError

ROW_MOST_CHARS = 1_000_000
"""Of a row, its line breaks inside of quotes included. A row of the widest AIS table has 600."""
_DELIMITERS = (",", ";", "\t", "|")
_FIRST_CHARS = 100_000
_AT_ONCE_BYTES = 1 << 20


def read_rows(data: bytes, filename: str, is_header: Callable[[list[str]], int], expected: str) -> Iterator[list[str]]:
    """The rows, without Excel's own hint of the delimiter.

    Args:
        data: of the file; UTF-8, UTF-16 or, where it is neither, Windows-1252.
        filename: for errors.
        is_header: how well the cells of a row do as a header: the delimiter that does best is taken.
        expected: for errors.

    Raises:
        InputError: there is no line with content, a row is too long, or quotes are broken.
    """
    encoding, errors = _encoding(data)
    start = data[: 4 * _FIRST_CHARS].decode(encoding, errors="replace")[:_FIRST_CHARS]
    first_lines = [line for line in start.splitlines() if line.strip(" ,;\t|")]
    hinted = bool(first_lines) and first_lines[0].lower().startswith("sep=")
    first_lines = first_lines[hinted:]
    if not first_lines:
        raise InputError(filename, "no line with content", expected)
    best: tuple[tuple[int, int], str] = ((-1, 0), ",")
    for delimiter in _DELIMITERS:
        try:
            header = next(csv.reader(first_lines[:1], delimiter=delimiter), [])
        except csv.Error:  # one field of more than it takes
            header = []
        # Where none will do, the one that parts it best: an error tells the columns.
        best = max(best, ((is_header(header), len(header)), delimiter), key=lambda pair: pair[0])
    text = io.TextIOWrapper(io.BytesIO(data), encoding=encoding, errors=errors, newline="")
    lines = _Lines(text, filename)
    try:
        for row in csv.reader(lines, delimiter=best[1]):
            lines.chars = 0
            if hinted and any(cell.strip() for cell in row):
                hinted = False
                row = []
            yield row
    except csv.Error as error:
        raise InputError(filename, f"broken CSV ({error})", expected) from error


class _Lines:
    """Lines of a text, as long as one row does not become too long."""

    def __init__(self, text: io.TextIOWrapper, filename: str) -> None:
        self._text, self._filename = text, filename
        self.chars = 0
        """Since the last row."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(ROW_MOST_CHARS + 1)
        if not line:
            raise StopIteration
        self.chars += len(line)
        if self.chars > ROW_MOST_CHARS:
            raise InputError(self._filename, f"a row of more than {ROW_MOST_CHARS:,} characters", "rows of an AIS table")
        return line


def _encoding(data: bytes) -> tuple[str, str]:
    """Its name, and what to do with bytes that mean nothing in it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "replace"
    if data[1:2] == b"\0":
        return "utf-16-le", "replace"
    if data[:1] == b"\0":
        return "utf-16-be", "replace"
    if data.isascii():
        return "utf-8-sig", "strict"
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    view = memoryview(data)
    try:
        for at in range(0, len(data), _AT_ONCE_BYTES):
            decoder.decode(view[at : at + _AT_ONCE_BYTES], at + _AT_ONCE_BYTES >= len(data))
    except UnicodeDecodeError:
        return "cp1252", "replace"  # what Excel on Windows writes; five of its bytes mean nothing
    return "utf-8-sig", "strict"
