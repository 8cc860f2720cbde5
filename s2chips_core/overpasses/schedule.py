"""A schedule: an overpass plan as the CSV that `predict-overpasses` writes and `collect-ais` reads.

Here: the text, both ways. Not here: the plan's columns (`plan`). Times are ISO 8601 in UTC with Z.
"""

import csv
import io
import math
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, sort_passes
from s2chips_core.overpasses.tile_grid import tile_corner
from s2chips_core.tables import TIMESTAMP

SATELLITES = ("S2A", "S2B", "S2C")
IMAGING = ("planned", "expected", "unknown")
SOURCE_MOST_CHARS = 100
MOST_BYTES = 512 * 1024 * 1024


def format_schedule(plan: pd.DataFrame) -> str:
    """The CSV of PLAN_SCHEMA rows: its columns, in its order."""
    text: str = plan[PLAN_SCHEMA.names].to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", lineterminator="\n")
    return text


def read_schedule(path: Path) -> pd.DataFrame:
    """Read a schedule.

    Args:
        path: the CSV, UTF-8; commas, or semicolons or tabs as spreadsheets write them. Columns are found by name, further
            ones are left out; those that a plan may leave empty may be missing. Times without an offset are UTC.

    Returns:
        PLAN_SCHEMA, sorted by overpass time, tile and satellite.

    Raises:
        InputError: it cannot be read, or a row (its number is told, the first under the header is 2) is wrong.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(str(path), f"{size} bytes", f"a schedule of {MOST_BYTES} bytes at most")
        return parse_schedule(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise InputError(str(path), error.strerror, "a readable CSV file") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), str(error), "text in UTF-8") from error


def parse_schedule(text: str, source: str) -> pd.DataFrame:
    """`read_schedule` of text; `source` is for errors."""
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text), strict=True, delimiter=max(",;\t", key=first.count))
    try:
        header = [name.strip() for name in next(lines, [])]
        required = [field.name for field in PLAN_SCHEMA if not field.nullable]
        missing = [name for name in required if name not in header]
        if missing or len(set(header)) < len(header):
            raise InputError(source, f"columns {header}", f"each once, among them {', '.join(required)}")
        rows = []
        for cells in lines:
            if any(cell.strip() for cell in cells):
                where = f"{source}: row {lines.line_num}"
                if len(cells) != len(header):
                    raise InputError(where, f"{len(cells)} cells", f"{len(header)}, as the header has")
                rows.append(_row(dict(zip(header, (cell.strip() for cell in cells), strict=True)), where))
    except csv.Error as error:
        raise InputError(f"{source}: row {lines.line_num}", str(error), "a CSV row") from error
    if not rows:
        return tables.empty(PLAN_SCHEMA)
    frame = pd.DataFrame(rows, columns=PLAN_SCHEMA.names)
    for field in PLAN_SCHEMA:
        if field.type == TIMESTAMP:
            frame[field.name] = pd.to_datetime(frame[field.name], utc=True).astype("datetime64[ms, UTC]")
    return sort_passes(tables.to_frame(tables.conform(frame, PLAN_SCHEMA, source)))


def _row(cells: dict[str, str], where: str) -> dict[str, object]:
    """The values of one row, as PLAN_SCHEMA names them; InputError says which cell is wrong."""
    tile = cells["tile_id"]
    try:
        tile_corner(tile)
    except InputError as error:
        raise InputError(f"{where}, tile_id", tile, error.expected) from error
    satellite = _one_of(cells, "satellite", SATELLITES, where)
    start, overpass, end = (
        _time(cells[name], f"{where}, {name}") for name in ("window_start", "overpass_time", "window_end")
    )
    if not start <= overpass <= end:
        got = f"{cells['window_start']}, {cells['overpass_time']}, {cells['window_end']}"
        raise InputError(f"{where}, window_start, overpass_time, window_end", got, "one after the other")
    epoch = cells.get("source_epoch", "")
    # It is written out again, as CSV too, where a spreadsheet would take some beginnings for a formula.
    source = cells["source"]
    if not 0 < len(source) <= SOURCE_MOST_CHARS or not source.isprintable() or source.startswith(("=", "+", "-", "@")):
        raise InputError(f"{where}, source", source, f"what said so, such as tle, in {SOURCE_MOST_CHARS} characters")
    return {
        "tile_id": tile if tile[1].isdigit() else f"0{tile}",
        "satellite": satellite,
        "relative_orbit": _orbit(cells, "relative_orbit", where),
        "absolute_orbit": _orbit(cells, "absolute_orbit", where),
        "overpass_time": overpass,
        "window_start": start,
        "window_end": end,
        "time_sigma_s": _seconds(cells["time_sigma_s"], f"{where}, time_sigma_s"),
        "imaging": _one_of(cells, "imaging", IMAGING, where),
        "source": cells["source"],
        "source_epoch": _time(epoch, f"{where}, source_epoch") if epoch else None,
    }


def _one_of(cells: dict[str, str], name: str, allowed: tuple[str, ...], where: str) -> str:
    if cells[name] not in allowed:
        raise InputError(f"{where}, {name}", cells[name], f"one of {', '.join(allowed)}")
    return cells[name]


def _time(text: str, where: str) -> datetime:
    expected = "a time such as 2025-10-27T11:08:22.123Z"
    try:
        if len(text) < len("2025-10-27T11:08"):
            raise ValueError("no time of day")
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(where, text, expected) from error
    if not 2015 <= moment.year <= 2100:  # Sentinel-2A was launched in 2015
        raise InputError(where, text, f"{expected}, of the years 2015 to 2100")
    return moment


def _orbit(cells: dict[str, str], name: str, where: str) -> int | None:
    text = cells.get(name, "")
    if not text:
        return None
    whole = text.removesuffix(".0")  # as spreadsheets write whole numbers of a column with gaps
    if not (whole.isascii() and whole.isdecimal() and len(whole) <= 7):
        raise InputError(f"{where}, {name}", text, "a whole number, or nothing")
    return int(whole)


def _seconds(text: str, where: str) -> float:
    try:
        value = float(text.replace(",", "."))  # spreadsheets with semicolons have decimal commas
    except ValueError as error:
        raise InputError(where, text, "a number of seconds") from error
    if not (math.isfinite(value) and value >= 0):
        raise InputError(where, text, "a number of seconds from 0")
    return value
