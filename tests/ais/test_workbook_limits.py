"""Spreadsheets that are larger than they look, or that bring more than cells."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais import workbook_limits
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.errors import InputError
from tests.peak_memory import peak_bytes
from tests.reliability import often

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def _book() -> dict[str, bytes]:
    book = openpyxl.Workbook()
    book.active.append(["mmsi", "lat", "lon", "name"])
    book.active.append([244660123, 36.1, -5.4, "boat"])
    sink = io.BytesIO()
    book.save(sink)
    with zipfile.ZipFile(sink) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


PARTS = _book()
SHEET, STRINGS, BOOK = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"
STYLES = "xl/styles.xml"


def _zipped(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return sink.getvalue()


def _sheet(rows: str, before: str = "") -> bytes:
    return f'<?xml version="1.0"?>{before}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'.encode()


def _read(data: bytes) -> list[object]:
    table = read_ais_table(data, "ships.xlsx", now=datetime(2026, 1, 1, tzinfo=UTC), source_id="file-abc")
    return table["mmsi"].tolist()


def test_the_sound_one_is_read() -> None:
    assert _read(_zipped(PARTS)) == [244660123]


BOMB = """
import io, zipfile
from datetime import UTC, datetime
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.errors import InputError
from tests.ais.test_workbook_limits import PARTS, SHEET, STRINGS, MAIN
part, before, unit, count, after = sys.argv[1:6]
sink = io.BytesIO()
with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, data in PARTS.items():
        if name != part:
            archive.writestr(name, data)
    with archive.open(part, "w") as into:
        into.write(before.encode())
        block = unit.encode() * 100_000
        for _ in range(int(count) // 100_000):
            into.write(block)
        into.write(after.encode())
data = sink.getvalue()
print(len(data))
# measured
try:
    read_ais_table(data, "ships.xlsx", now=datetime(2026, 1, 1, tzinfo=UTC), source_id="file-abc")
except InputError as error:
    print(str(error)[:300])
"""
OPEN, CLOSE = f'<worksheet xmlns="{MAIN}"><sheetData>', "</sheetData></worksheet>"
TEXTS, END = f'<sst xmlns="{MAIN}">', "</sst>"


@pytest.mark.parametrize(
    ("part", "before", "unit", "count", "after"),
    [
        (SHEET, f"{OPEN}<row>", "<c/>", 5_000_000, f"</row>{CLOSE}"),
        (SHEET, f'{OPEN}<row><c t="inlineStr"><is><t>', "x", 20_000_000, f"</t></is></c></row>{CLOSE}"),
        (SHEET, OPEN, '<row><c r="XFD1"><v>1</v></c></row>', 800_000, CLOSE),
        (STRINGS, f"{TEXTS}<si><t>", "x", 20_000_000, f"</t></si>{END}"),
        (STRINGS, TEXTS, "<si><t>x</t></si>", 2_000_000, END),
        ("xl/styles.xml", f'<styleSheet xmlns="{MAIN}">', "<a/>", 5_000_000, "</styleSheet>"),
    ],
    ids=["cells in a row", "a huge cell", "16,384 columns", "a huge shared text", "shared texts", "styles"],
)
def test_bombs_are_refused_in_little_memory(part: str, before: str, unit: str, count: int, after: str) -> None:
    peak, said = peak_bytes(BOMB, part, before, unit, str(count), after)
    size, _, words = said.partition("\n")
    assert "ships.xlsx" in words
    assert int(size) < 3_000_000
    assert peak < 100_000_000, f"{peak:,} bytes for a file of {size}"


def test_less_well_packed_cells_are_counted_too() -> None:
    """Rows of 16,384 columns of which one is filled: 40 bytes of XML are 131 kB of memory."""
    rows = "".join(f'<row><c r="XFD1"><v>{n * 7919 % 100_003}</v></c></row>' for n in range(4000))
    with pytest.raises(InputError, match="more than 50,000,000 cells"):
        _read(_zipped({**PARTS, SHEET: _sheet(rows)}))


def _one_sheet_many_times(count: int) -> dict[str, bytes]:
    sheet = PARTS[BOOK].partition(b"<sheets>")[2].partition(b"</sheets>")[0]
    return {
        **PARTS,
        BOOK: PARTS[BOOK].replace(sheet, b"".join(sheet.replace(b'"Sheet"', b'"S%d"' % n) for n in range(count))),
    }


def _format(code: str, quote: str) -> bytes:
    """Styles of which the first is of this number format."""
    formats = f'<numFmts count="1"><numFmt numFmtId="164" formatCode={quote}{code}{quote}/></numFmts><fonts'
    styles = PARTS[STYLES].replace(b'<numFmts count="0" />', b"").replace(b"<fonts", formats.encode(), 1)
    return styles.replace(b'<xf numFmtId="0"', b'<xf numFmtId="164"')


def test_a_number_format_that_people_write_is_read() -> None:
    assert _read(_zipped({**PARTS, STYLES: _format("[Red]0;&quot;" + "x" * 200 + "&quot;@", '"')})) == [244660123]


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CASES: dict[str, Callable[[], bytes]] = {
    "entities": lambda: _zipped({**PARTS, SHEET: _sheet('<row><c t="str"><v>&i;</v></c></row>', before=f"{ENTITIES}]>")}),
    "an external entity": lambda: _zipped(
        {
            **PARTS,
            STRINGS: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><sst xmlns="%s"><si><t>&e;</t></si></sst>'
            % MAIN.encode(),
        }
    ),
    "UTF-16": lambda: _zipped({**PARTS, SHEET: PARTS[SHEET].decode().encode("utf-16")}),
    "another way of packing": lambda: _zipped(PARTS, zipfile.ZIP_LZMA),
    "a row far down": lambda: _zipped({**PARTS, SHEET: _sheet('<row r="999999999999"><c><v>1</v></c></row>')}),
    "many sheets": lambda: _zipped(_one_sheet_many_times(300)),
    "a number format that takes hours to understand": lambda: _zipped({**PARTS, STYLES: _format("[$-" * 1_000_000, '"')}),
    "the same in other quotes": lambda: _zipped({**PARTS, STYLES: _format("[$-" * 1_000_000, "'")}),
    "many parts": lambda: _zipped({**PARTS, **{f"x{n}": b"" for n in range(10_001)}}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_no_spreadsheet_needs_is_refused(case: str) -> None:
    with pytest.raises(InputError, match=r"ships\.xlsx"):
        _read(CASES[case]())


def test_links_to_other_files_and_formulas_are_left_alone() -> None:
    link = (
        f'<externalLink xmlns="{MAIN}"><externalBook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships" r:id="rId1"/></externalLink>'
    )
    target = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type='
        '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/externalLinkPath" TargetMode="External" '
        'Target="file:///etc/passwd"/></Relationships>'
    )
    cells = '<c t="str"><v>mmsi</v></c><c t="str"><v>lat</v></c><c t="str"><v>lon</v></c>'
    formula = '<c><f>[1]Sheet1!A1</f><v>244660123</v></c><c><v>1</v></c><c><f>WEBSERVICE("http://x/")</f><v>2</v></c>'
    parts = {
        **PARTS,
        "xl/externalLinks/externalLink1.xml": link.encode(),
        "xl/externalLinks/_rels/externalLink1.xml.rels": target.encode(),
        SHEET: _sheet(f"<row>{cells}</row><row>{formula}</row>"),
    }
    assert _read(_zipped(parts)) == [244660123]


VALUES = st.sampled_from(
    ["", "NaN", "1e999", "-1", "9" * 5000, "abc", "\u202e", "#N/A", "2025-13-45", "&#xD;", "\uffff", "x" * 40_000]
) | st.text(st.characters(codec="utf-8", exclude_characters="<&", exclude_categories=["Cc"]), max_size=20)
ROWS = st.sampled_from(["", "1", "2", "0", "-5", "1e3", "1048577", "x"])
CELLS = st.tuples(
    st.sampled_from(["", "A1", "B1", "C1", "XFD1", "ZZZ9", "ZZZZ1", "1A", "A0", "$A$1"]),
    st.sampled_from(["", "n", "s", "b", "d", "e", "str", "inlineStr", "odd"]),
    st.sampled_from(["", "0", "1", "999", "-1", "x"]),
    VALUES,
)


def _cell(cell: tuple[str, str, str, str]) -> str:
    place, kind, style, value = cell
    said = "".join(f' {name}="{text}"' for name, text in (("r", place), ("t", kind), ("s", style)) if text)
    return f"<c{said}><is><t>{value}</t></is></c>" if kind == "inlineStr" else f"<c{said}><v>{value}</v></c>"


@settings(max_examples=often(50, 5000), deadline=None)
@given(st.lists(st.tuples(ROWS, st.lists(CELLS, max_size=4)), min_size=1, max_size=4), st.booleans())
def test_any_cells_are_targets_or_refused(rows: list[tuple[str, list[tuple[str, str, str, str]]]], headed: bool) -> None:
    text = "".join(f"<row{f' r={chr(34)}{n}{chr(34)}' if n else ''}>{''.join(map(_cell, cells))}</row>" for n, cells in rows)
    head = '<row><c t="str"><v>mmsi</v></c><c t="str"><v>lat</v></c><c t="str"><v>lon</v></c></row>' if headed else ""
    try:
        _read(_zipped({**PARTS, SHEET: _sheet(head + text)}))
    except InputError as error:
        assert "ships.xlsx" in str(error)  # noqa: PT017


@settings(max_examples=often(40, 5000), deadline=None)
@given(
    st.sampled_from(sorted(PARTS)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.binary(max_size=6)), max_size=4),
)
def test_damaged_xml_of_any_part_is_read_or_refused(part: str, edits: list[tuple[float, int, bytes]]) -> None:
    """Past the checksums of the archive, which hold off most damage."""
    data = PARTS[part]
    for at, gone, new in edits:
        where = int(at * len(data))
        data = data[:where] + new + data[where + gone :]
    try:
        _read(_zipped({**PARTS, part: data}))
    except InputError as error:
        assert "ships.xlsx" in str(error)  # noqa: PT017


def test_limits_hold_across_the_pieces_that_a_part_is_read_in(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"<row><c><v>{n}</v></c></row>" for n in range(2000))
    data = _zipped({**PARTS, SHEET: _sheet(rows)}, zipfile.ZIP_STORED)
    for size in (300, 301, 307, 1024, 5000):
        monkeypatch.setattr(workbook_limits, "_AT_ONCE_BYTES", size)
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(SHEET) as stream:
            assert workbook_limits._look_through(stream, "ships.xlsx", SHEET) == (2000, 0)
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(BOOK) as stream:
            assert workbook_limits._look_through(stream, "ships.xlsx", BOOK) == (0, 1)


def test_what_is_behind_a_long_blank_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_limits, "_AT_ONCE_BYTES", 1000)
    blank, rows = b"\xef\xbb\xbf" + b" \n" * 2000, b"<sheetData><row/><row/></sheetData>"
    assert workbook_limits._look_through(io.BytesIO(blank + rows), "ships.xlsx", SHEET) == (2, 0)
    assert workbook_limits._look_through(io.BytesIO(blank + b"no XML <row/>"), "ships.xlsx", SHEET) == (0, 0)
    with pytest.raises(InputError, match="DOCTYPE"):
        workbook_limits._look_through(io.BytesIO(blank + b"<!DOCTYPE x>" + rows), "ships.xlsx", SHEET)
