"""AIS tables that people bring: CSV, XLSX or Parquet -> one target for every row, bad rows with the reason.

Here: which column is which, and what a row must say. Not here: encodings and spreadsheets (`table_cells`).
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core import tables
from s2chips_core.ais.fixes import (
    LAT_NOT_AVAILABLE_DEG,
    LON_NOT_AVAILABLE_DEG,
    Floats,
    available_cog_deg,
    available_heading_deg,
    available_sog_kn,
    on_earth,
)
from s2chips_core.ais.ship_types import ship_type_name
from s2chips_core.ais.table_cells import Cells, excel_days_to_unix_ms, read_cells
from s2chips_core.ais.targets import DIMENSIONS, TARGET_SCHEMA, ship_mmsi_problem
from s2chips_core.errors import InputError

REQUIRED_COLUMNS = ("mmsi", "lat", "lon")
DANISH_TIME = "# timestamp"
"""The time column of the Danish Maritime Authority, the only one read as day/month/year."""
UNIX_MS_TIME = "timestampexternal"
"""The time column of Finland's digitraffic.fi, the only one read as milliseconds from 1970."""
SNAPSHOT_TITLES = ("tile_id", "overpass_time", "time")
"""A Parquet snapshot of this project has all of these: `time` is then when the fix was taken (`captured_time`)."""
COLUMN_ALIASES: dict[str, tuple[str, ...]] = {
    "mmsi": (),
    "lat": ("latitude",),
    "lon": ("longitude", "lng"),
    "overpass_time": (
        "overpass_time utc",
        "basedatetime",
        "base_date_time",
        DANISH_TIME,
        UNIX_MS_TIME,
        "time_utc",
        "timestamp",
        "time",
    ),
    "captured_time": ("time utc",),
    "source": ("ais_source",),
    "notes": (),
    "sog": ("sog_kn",),
    "cog": ("cog_deg",),
    "heading": ("heading_deg", "trueheading", "true_heading"),
    "ship_name": ("name", "vesselname", "vessel_name", "shipname"),
    "ship_type": ("ship type", "vesseltype", "vessel_type", "shiptype"),
    "length": ("length_m",),
    "width": ("width_m", "beam"),
    "to_bow": ("to_bow_m", "size a", "a"),
    "to_stern": ("to_stern_m", "size b", "b"),
    "to_port": ("to_port_m", "size c", "c"),
    "to_starboard": ("to_starboard_m", "size d", "d"),
}
"""Column -> other titles for it: those of this project's own tables, MarineCadastre, the Danish Maritime Authority,
digitraffic.fi and aisstream recorders. Compared in lower case without surrounding spaces; the name on the left wins, then
the order here. Before all of these comes what a user names (`ais.columns`)."""

ABCD = frozenset("abcd")
"""Titles that are dimensions only where all four are there: one alone may be anything."""
T = TypeVar("T")
NAME_MOST_CHARS = 120
"""Of a ship's name or type; AIS has 34 at most."""
_NAME_READ_CHARS = 1000
_MISSING = frozenset(("", "nan", "nat", "none", "null", "n/a", "#n/a", "na", "-", "unknown", "undefined"))
# Nothing in it can be read in two ways: of many digits and a letter the time would grow with their square.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
TIME_MOST_CHARS = 100
"""Of a text that is looked at as a time, which has 40: what follows takes a time that grows with the square of blanks."""
_ISO = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:?\d{2}.*)?|\d{8}T\d{4}.*"
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_EXCEL_DAYS = (25_569.0, 73_415.0)
"""Numbers that mean a date in a time column of a spreadsheet: 1970 to 2100."""


def read_ais_table(
    data: bytes, filename: str, *, now: datetime, source_id: str, named: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """One target for every data row of the file, in its order; bad rows carry `invalid_reason`.

    A row without `overpass_time` gets `now` and `time_inferred`. `ais_time` is the row's `captured_time` where it has one,
    else its `overpass_time`. Times without offset are UTC. Speeds, courses, headings, lengths and widths that are no number
    or that AIS calls "not available" become null; MMSI, place and time must be right. Rows marked synthetic stay so.

    Args:
        data: the file's bytes.
        filename: for errors.
        now: aware.
        source_id: of the file, see `layout.file_source`.
        named: column -> its title in this file (`ais.columns`), before the titles that are known.

    Returns:
        TARGET_SCHEMA.

    Raises:
        InputError: no table, a required column is missing, or one that `named` names.
    """
    named = named or {}
    cells = read_cells(data, filename, lambda header: _fitness(header, named))
    columns = _columns(cells.header, named)
    absent = [name for name, title in named.items() if _plain(title) not in map(_plain, cells.header)]
    if absent:
        raise InputError(
            f"{filename}: ais.columns.{absent[0]}", named[absent[0]], f"the title of a column; there are {cells.header}"
        )
    if not set(REQUIRED_COLUMNS) <= set(columns):
        raise InputError(
            filename,
            f"columns {cells.header}",
            f"at least {', '.join(REQUIRED_COLUMNS)} in the first row, or their titles here named in ais.columns",
        )
    twice = sorted(
        name for name in columns if [_plain(title) for title in cells.header].count(_plain(cells.header[columns[name]])) > 1
    )
    if twice:
        raise InputError(filename, f"two columns for {', '.join(twice)}: {cells.header}", "each column once")

    def column(name: str) -> list[object]:
        at = columns.get(name)
        if at is None:
            return [None] * len(cells.rows)
        return [row[at] if at < len(row) else None for row in cells.rows]

    rows = len(cells.rows)
    problems: list[list[str]] = [[] for _ in range(rows)]
    for row, line in enumerate(cells.rows):
        if len(line) > len(cells.header) and any(cell not in (None, "") for cell in line[len(cells.header) :]):
            problems[row].append(f"has {len(line)} cells where the header has {len(cells.header)}")
    mmsi = _parse_mmsi(column("mmsi"), problems)
    lat, lon = _parse_place(column("lat"), column("lon"), problems)
    overpass_time, overpass_given = _parse_times("overpass_time", columns, column("overpass_time"), cells, problems)
    captured_time, captured_given = _parse_times("captured_time", columns, column("captured_time"), cells, problems)
    inferred = ~overpass_given
    moment = np.datetime64(pd.Timestamp(now).tz_convert("UTC").tz_localize(None).as_unit("ms"))
    overpass_time = np.where(inferred, moment, overpass_time)
    ais_time = np.where(captured_given, captured_time, overpass_time)
    synthetic = np.array([str(cell).strip().lower() == "synthetic" for cell in column("source")], dtype=bool)
    frame = pd.DataFrame(
        {
            "target_id": [f"row-{number}" for number in cells.row_numbers],
            "source_id": source_id,
            "mmsi": pd.array(mmsi, dtype="Int64"),
            "overpass_time": pd.DatetimeIndex(overpass_time.astype("datetime64[ms]")).tz_localize("UTC"),
            "ais_time": pd.DatetimeIndex(ais_time.astype("datetime64[ms]")).tz_localize("UTC"),
            "ais_lat": lat,
            "ais_lon": lon,
            "ais_source": np.where(synthetic, "synthetic", "file"),
            "position_mode": "as_reported",
            "ship_name": _each_once(_name, column("ship_name")),
            "ship_type": _each_once(_ship_type, column("ship_type")),
            "length_m": _positive(_numbers(column("length"))),
            "width_m": _positive(_numbers(column("width"))),
            **{name: _not_negative(_numbers(column(name.removesuffix("_m")))) for name in DIMENSIONS},
            "heading_deg": available_heading_deg(_numbers(column("heading"))),
            "sog_kn": available_sog_kn(_numbers(column("sog"))),
            "cog_deg": available_cog_deg(_numbers(column("cog"))),
            "row_number": cells.row_numbers,
            "time_inferred": inferred,
            "invalid_reason": [
                f"row {number}: {'; '.join(found)}" if found else None
                for number, found in zip(cells.row_numbers, problems, strict=True)
            ],
        }
    )
    return tables.to_frame(tables.conform(frame, TARGET_SCHEMA, filename))


def _plain(title: str) -> str:
    return title.strip().lower()


def _columns(header: list[str], named: Mapping[str, str]) -> dict[str, int]:
    """Column -> its place in the header."""
    titles = [_plain(title) for title in header]
    lone = frozenset() if set(titles) >= ABCD else ABCD
    found = {}
    for name, aliases in COLUMN_ALIASES.items():
        known = (_plain(named[name]),) if name in named else (name, *(alias for alias in aliases if alias not in lone))
        title = next((title for title in known if title in titles), None)
        if title is not None:
            found[name] = titles.index(title)
    if set(SNAPSHOT_TITLES) <= set(titles) and not {"overpass_time", "captured_time"} & set(named):
        found.setdefault("captured_time", titles.index("time"))
    return found


def _fitness(header: list[str], named: Mapping[str, str]) -> int:
    """How many columns are known, if the required ones are."""
    found = _columns(header, named)
    return len(found) if set(REQUIRED_COLUMNS) <= set(found) else 0


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _number(cell: object) -> float:
    """NaN where the cell is no finite number. A single comma without a point is a decimal comma."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return float(cell) if abs(cell) < 1e300 else np.nan
    if not isinstance(cell, str):
        return np.nan
    text = cell.strip().lstrip("'").replace("\N{MINUS SIGN}", "-")
    if "," in text and "." not in text and text.count(",") == 1:
        text = text.replace(",", ".")
    if _NUMBER.fullmatch(text) is None:
        return np.nan
    number = float(text)
    return number if abs(number) < 1e300 else np.nan


def _numbers(cells: list[object]) -> Floats:
    return np.array(_each_once(_number, cells), dtype=np.float64)


def _each_once(read: Callable[[object], T], cells: list[object]) -> list[T]:
    """What `read` makes of each cell; equal texts are read once, for most columns say the same thing many times."""
    # Texts only: 1, 1.0 and True are equal and do not read alike.
    known: dict[object, T] = {}
    found = []
    for cell in cells:
        if cell is not None and type(cell) is not str:
            found.append(read(cell))
            continue
        if cell not in known:
            known[cell] = read(cell)
        found.append(known[cell])
    return found


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _not_negative(values: Floats) -> Floats:
    return np.where(values >= 0, values, np.nan)


def _parse_mmsi(cells: list[object], problems: list[list[str]]) -> list[int | None]:
    found: list[int | None] = []
    for cell, number, row_problems in zip(cells, _numbers(cells), problems, strict=True):
        mmsi = int(number) if 0 <= number < 1e10 and number == int(number) else None
        # Digits alone are all there.
        if (
            isinstance(cell, str)
            and not cell.isdecimal()
            and sum(c.isdigit() for c in cell.lower().partition("e")[0]) < len(str(mmsi))
        ):
            mmsi = None  # 2.4466E+08 is what a spreadsheet leaves of a number: its last digits are gone
        found.append(mmsi)
        if _is_missing(cell):
            row_problems.append("mmsi is missing")
        elif mmsi is None:
            row_problems.append(f"mmsi {_shown(cell)} is no whole number of nine digits")
        elif (problem := ship_mmsi_problem(mmsi)) is not None:
            row_problems.append(problem)
    return found


def _parse_place(lat_cells: list[object], lon_cells: list[object], problems: list[list[str]]) -> tuple[Floats, Floats]:
    lat, lon = _numbers(lat_cells), _numbers(lon_cells)
    sound = on_earth(lat, lon)
    for row in np.flatnonzero(~sound):
        for name, cell, value, limit, not_available in (
            ("lat", lat_cells[row], lat[row], 90, LAT_NOT_AVAILABLE_DEG),
            ("lon", lon_cells[row], lon[row], 180, LON_NOT_AVAILABLE_DEG),
        ):
            if _is_missing(cell):
                problems[row].append(f"{name} is missing")
            elif np.isnan(value):
                problems[row].append(f"{name} {_shown(cell)} is no number")
            elif value == not_available:
                problems[row].append(f"{name} {value:g} is what AIS sends when it does not know")
            elif abs(value) > limit:
                problems[row].append(f"{name} {value:g} is not within ±{limit}")
    return np.where(sound, lat, np.nan), np.where(sound, lon, np.nan)


def _parse_times(
    name: str, columns: Mapping[str, int], cells: list[object], table: Cells, problems: list[list[str]]
) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.bool_]]:
    """Times, NaT where there is none, and where the cell says something. The title tells how they are written."""
    title = _plain(table.header[columns[name]]) if name in columns else ""
    danish, unix_ms = title == DANISH_TIME, title == UNIX_MS_TIME
    given = np.array([not _is_missing(cell) for cell in cells], dtype=bool)
    times = np.full(len(cells), np.datetime64("NaT"), dtype="datetime64[ms]")

    texts = np.array([isinstance(cell, str) for cell in cells], dtype=bool) & given & (not unix_ms)
    text = pd.Series(
        [
            cell.upper() if is_text and isinstance(cell, str) and len(cell) <= TIME_MOST_CHARS else None
            for cell, is_text in zip(cells, texts, strict=True)
        ],
        dtype=object,
    )
    if texts.any():
        # Go's form "2026-03-30 01:18:46.067018882 +0000 UTC" is ISO 8601 but for the spaces and the name.
        text = text.str.replace(r"\s*(UTC|GMT)$", "", regex=True).str.replace(r"\s+([+-]\d\d:?\d\d)$", r"\1", regex=True)
        if danish:
            parsed = pd.to_datetime(text, format="%d/%m/%Y %H:%M:%S", utc=True, errors="coerce")
        else:
            parsed = pd.to_datetime(
                text.where(text.str.fullmatch(_ISO, na=False)), format="ISO8601", utc=True, errors="coerce"
            )
        times = np.where(texts, parsed.to_numpy(dtype="datetime64[ms]"), times)

    for row in np.flatnonzero(given & ~texts):
        cell = cells[row]
        if isinstance(cell, datetime):
            stamp = pd.Timestamp(cell).as_unit("ms")
            times[row] = np.datetime64(stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp, "ms")
        elif isinstance(cell, date):
            times[row] = np.datetime64(datetime.combine(cell, time.min), "ms")
        elif unix_ms:
            if abs(milliseconds := _number(cell)) < 1e15:  # false for NaN
                times[row] = np.datetime64(round(milliseconds), "ms")
        elif table.excel_epoch is not None and _EXCEL_DAYS[0] <= (days := _number(cell)) <= _EXCEL_DAYS[1]:
            times[row] = np.datetime64(round(excel_days_to_unix_ms(table.excel_epoch) + days * 86_400_000.0), "ms")

    years = times.astype("datetime64[Y]").astype(np.int64) + 1970
    times[(years < _FIRST_YEAR) | (years > _LAST_YEAR)] = np.datetime64("NaT")
    expected = "ISO 8601, such as 2025-10-27T10:27:00Z"
    if danish or unix_ms:
        expected = "dd/mm/yyyy hh:mm:ss" if danish else "milliseconds from 1970"
    for row in np.flatnonzero(given & np.isnat(times)):
        problems[row].append(f"{name} {_shown(cells[row])} is no time ({expected})")
    return times, given


def _name(cell: object) -> str | None:
    """Without AIS's padding: everything from the first @ on; and without what cannot be seen, or turns a line around."""
    if cell is None or _is_missing(cell):
        return None
    text = str(cell).split("@")[0][:_NAME_READ_CHARS]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
    return text.strip()[:NAME_MOST_CHARS] or None


def _ship_type(cell: object) -> str | None:
    if _is_missing(cell):
        return None
    number = _number(cell)
    if np.isnan(number):
        return _name(cell)
    return ship_type_name(int(number)) if 0 <= number < 100 else None


def _shown(cell: object) -> str:
    text = repr(cell) if isinstance(cell, str) else str(cell)
    return text if len(text) <= 60 else text[:57] + "..."
