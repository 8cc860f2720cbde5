"""CSV texts of strangers: lines without an end, NUL bytes, quotes that never close."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.csv_rows import ROW_MOST_CHARS, read_rows
from s2chips_core.errors import InputError
from tests.peak_memory import peak_bytes
from tests.reliability import often

READ_FILE = """
from pathlib import Path
from datetime import UTC, datetime
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.errors import InputError
data = Path(sys.argv[1]).read_bytes()
# measured
try:
    read_ais_table(data, "ships.csv", now=datetime(2026, 1, 1, tzinfo=UTC), source_id="file-abc")
except InputError as error:
    print(str(error)[:300])
"""


def _rows(data: bytes) -> list[list[str]]:
    return list(read_rows(data, "ships.csv", lambda header: int("mmsi" in header), "a table"))


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        (b"", b"a"),
        (b"mmsi,lat,lon\n", b"1,"),
        (b"mmsi,lat,lon\n", b'"\n",'),
        (b"mmsi,lat,lon\n", b"\0"),
    ],
    ids=["one word", "cells", "lines in quotes", "NUL bytes"],
)
def test_a_line_without_an_end_is_refused_in_little_memory(tmp_path: Path, start: bytes, unit: bytes) -> None:
    size = often(80_000_000, 1_000_000_000)
    file = tmp_path / "ships.csv"
    with file.open("wb") as sink:
        sink.write(start)
        block = unit * (5_000_000 // len(unit))
        for _ in range(size // len(block)):
            sink.write(block)
    peak, said = peak_bytes(READ_FILE, str(file))
    assert "got 'a row of more than 1,000,000 characters'" in said
    assert peak < 64_000_000, f"{peak:,} bytes beside the file's own {size:,}"


def test_a_row_over_many_lines_may_be_as_long_as_any() -> None:
    long = "x" * 100_000
    row = ",".join([f'"{long}\n"'] * 9)
    assert len(row) < ROW_MOST_CHARS
    assert _rows(f"mmsi\n{row}\n{row}\n".encode())[2] == [f"{long}\n"] * 9
    with pytest.raises(InputError, match="a row of more than"):
        _rows(f"mmsi\n{row}{row}\n".encode())


def test_nul_bytes_are_part_of_their_cells() -> None:
    assert _rows(b"mmsi,name\n1,a\0b\n\0\0,\0\n") == [["mmsi", "name"], ["1", "a\0b"], ["\0\0", "\0"]]


def test_what_is_no_utf_8_only_at_its_end_is_windows_1252() -> None:
    text = "mmsi,name\n" + "1,x\n" * 300_000
    assert _rows(text.encode() + b"2,\xc6r\xf8")[-1] == ["2", "Ærø"]
    assert _rows(text.encode() + "2,Ærø".encode())[-1] == ["2", "Ærø"]


@settings(max_examples=often(200, 5000), deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from([*b"a1,;\t|\"'\n\r\0=\xff\xfe\xc3"]), max_size=60).map(bytes))
def test_any_bytes_are_rows_or_refused(data: bytes) -> None:
    try:
        rows = _rows(data)
    except InputError as error:
        assert "ships.csv" in str(error)  # noqa: PT017
    else:
        assert all(isinstance(cell, str) for row in rows for cell in row)
