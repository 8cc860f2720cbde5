"""What the report says of a day's overpasses: when which tile was seen, and what of each window was recorded.

Here: judging each pass by the files of the day, and the words for it; reading those files. Not here: captures one by one
(`captures`), how it looks (`templates/overpasses.html.j2`), the picture (`overpasses.swath_map`).
"""

import dataclasses
import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
from markupsafe import Markup

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import (
    MISSED,
    PARTIAL,
    RECORDED,
    CaptureRecord,
    PassRecord,
    best_record,
    read_records,
)
from s2chips_core.ais.windows import Window, group_windows, windows_of_plan
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Swath
from s2chips_core.overpasses.planning import read_notes, read_swaths
from s2chips_core.overpasses.swath_map import swath_map_svg
from s2chips_core.pages.captures import CaptureRow, capture_row, clock, elsewhere, gap_text, some
from s2chips_core.storage import Storage

MAX_ROWS = 200
"""Passes in the table; a page for the whole Earth would have thousands."""
MAX_CAPTURES = 50
WIDE_PX, NARROW_PX = 960, 360
LONGEST_LINGER_S = 900.0
"""A capture writes its record when its last window has closed and late messages have come: `ais.linger_s` is no longer."""
_SAME_TIME_S = 60.0

_Row = Mapping[str, Any]


class PassStatus(enum.StrEnum):
    """What became of a window."""

    MISSED = "missed"
    PARTIAL = "partial"
    RECORDED = "recorded"
    SYNTHETIC = "synthetic"
    NOT_YET = "not_yet"
    AFTERWARDS = "afterwards"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StatusNote:
    """How the page shows a status."""

    label: str
    mark: str
    """SVG path in a box from -6 to 6; every status has its own shape."""


STATUS_NOTES: Mapping[PassStatus, StatusNote] = {
    PassStatus.MISSED: StatusNote(
        label="Missed", mark="M-5.5-3.5L-3.5-5.5L0-2L3.5-5.5L5.5-3.5L2 0L5.5 3.5L3.5 5.5L0 2L-3.5 5.5L-5.5 3.5L-2 0Z"
    ),
    PassStatus.PARTIAL: StatusNote(label="Partial", mark="M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6ZM0-4A4 4 0 0 0 0 4Z"),
    PassStatus.RECORDED: StatusNote(label="Recorded", mark="M0-5.5A5.5 5.5 0 1 1 0 5.5A5.5 5.5 0 1 1 0-5.5Z"),
    PassStatus.SYNTHETIC: StatusNote(label="Synthetic", mark="M0-6.5L6.5 0L0 6.5L-6.5 0ZM0-3L-3 0L0 3L3 0Z"),
    PassStatus.NOT_YET: StatusNote(
        label="Not yet", mark="M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6ZM0-4A4 4 0 1 0 0 4A4 4 0 1 0 0-4Z"
    ),
    PassStatus.AFTERWARDS: StatusNote(label="Not recorded", mark="M-6-2.2H6V2.2H-6Z"),
}
"""In the order of urgency."""

_SOURCES = {
    "acquisition_plan": "ESA acquisition plan",
    "tle": "TLE",
    "repeat_cycle": "repeat cycle",
    "backfill": "archive (backfill)",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DayOverpasses:
    """What the files of a day say of its overpasses and captures."""

    passes: pd.DataFrame
    """PLAN_SCHEMA; empty when the day has no plan but captures."""
    swaths: Sequence[Swath] = ()
    notes: Sequence[str] = ()
    captures: Sequence[CaptureRecord] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PassRow:
    """A pass as the table has it; texts, empty where there is nothing to say."""

    status: PassStatus
    tile: str
    satellite: str
    orbits: str
    sensed: str
    sigma: str
    window: str
    imaging: str
    source: str
    source_age: str
    covered: str
    details: tuple[str, ...]
    fixes: str
    ships: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OverpassSection:
    """All of the section."""

    rows: tuple[PassRow, ...]
    passes: int
    counts: tuple[tuple[PassStatus, int], ...]
    """In the order of urgency, those that occur."""
    warnings: tuple[str, ...]
    """For the top of the page."""
    notes: tuple[str, ...]
    captures: tuple[CaptureRow, ...]
    captures_left_out: int
    elsewhere: tuple[str, ...]
    """Recordings that belong to no pass of the plan."""
    pictures: tuple[tuple[str, Markup], ...]
    """`wide` and `narrow`: the map for either kind of screen."""

    @property
    def tile(self) -> tuple[str, str, list[str]]:
        """The figure at the top: label, value, lines of small print."""
        parts = [f"{number:,} {STATUS_NOTES[status].label.lower()}" for status, number in self.counts]
        return "Passes", f"{self.passes:,}", parts or ["none over a watched tile"]


def read_overpasses(storage: Storage, day: date) -> DayOverpasses | None:
    """What the files of a day say; None when it has neither plan nor captures.

    Raises:
        StorageError, SchemaError: a file of it was written by another version, or is broken.
    """
    captures = read_records(storage, day)
    if not storage.exists(layout.plan(day)):
        return DayOverpasses(passes=tables.empty(PLAN_SCHEMA), captures=captures) if captures else None
    return DayOverpasses(
        passes=tables.read_table(storage, layout.plan(day), PLAN_SCHEMA),
        swaths=read_swaths(storage, day),
        notes=read_notes(storage, day),
        captures=captures,
    )


def build_overpasses(day: date, known: DayOverpasses, targets: Iterable[_Row], now: datetime) -> OverpassSection:
    """Judge every pass of a day, and put it into words.

    Args:
        day: the UTC day.
        known: what its files say.
        targets: rows of its outcomes; they tell which ships are synthetic.
        now: what lies behind that and has no record is missed; aware.
    """
    passes = known.passes.sort_values(["window_start", "tile_id", "satellite"], ignore_index=True)
    rows = tables.conform(passes, PLAN_SCHEMA, "overpass plan").to_pylist()
    windows = windows_of_plan(passes)
    records = _by_tile(known.captures)
    closes = {
        window: group.end + timedelta(seconds=LONGEST_LINGER_S)
        for group in group_windows(windows, LONGEST_LINGER_S)
        for window in group.windows
    }
    made_up = [t["overpass_time"] for t in targets if t["ais_source"] == "synthetic" and t["overpass_time"] is not None]
    live = any(record.ais_source != "synthetic" for record in known.captures)
    judged = []
    for window, row in zip(windows, rows, strict=True):
        there = records.get((window.tile_id, window.satellite), [])
        best = best_record(window, there)
        status = _judge(row, best, there, made_up, live=live, now=now, closes=closes[window])
        judged.append((status, window, row, best))
    order = list(STATUS_NOTES)
    counts = Counter(status for status, *_ in judged)
    shown = judged
    if len(judged) > MAX_ROWS:
        urgent = sorted(judged, key=lambda one: order.index(one[0]))[:MAX_ROWS]
        shown = sorted(urgent, key=lambda one: (one[1].start, one[1].tile_id))
    captures = [capture_row(record, day) for record in known.captures[:MAX_CAPTURES]]
    return OverpassSection(
        rows=tuple(_pass_row(*one, day=day) for one in shown),
        passes=len(judged),
        counts=tuple((status, counts[status]) for status in order if counts[status]),
        warnings=tuple(
            _warnings([one[1] for one in judged if one[0] is PassStatus.MISSED], len(judged), known.captures, day)
        ),
        notes=tuple(known.notes),
        captures=tuple(captures),
        captures_left_out=len(known.captures) - len(captures),
        elsewhere=tuple(elsewhere(windows, known.captures, day)),
        pictures=_pictures(day, passes, known.swaths),
    )


def _by_tile(captures: Sequence[CaptureRecord]) -> dict[tuple[str, str], list[CaptureRecord]]:
    """The captures by tile and satellite, each with those passes only: thousands of windows are looked up."""
    found: dict[tuple[str, str], list[CaptureRecord]] = defaultdict(list)
    for record in captures:
        parts: dict[tuple[str, str], list[PassRecord]] = defaultdict(list)
        for one in record.passes:
            parts[one.window.tile_id, one.window.satellite].append(one)
        for key, members in parts.items():
            found[key].append(dataclasses.replace(record, passes=tuple(members)))
    return found


def _judge(
    row: _Row,
    best: PassRecord | None,
    there: Sequence[CaptureRecord],
    made_up: Sequence[datetime],
    *,
    live: bool,
    now: datetime,
    closes: datetime,
) -> PassStatus:
    if best is not None:
        source = next(record.ais_source for record in there if best in record.passes)
        if source == "synthetic":
            return PassStatus.SYNTHETIC
        return {RECORDED: PassStatus.RECORDED, PARTIAL: PassStatus.PARTIAL, MISSED: PassStatus.MISSED}[best.status]
    if any(abs((moment - row["overpass_time"]).total_seconds()) <= _SAME_TIME_S for moment in made_up):
        return PassStatus.SYNTHETIC
    if now < closes:
        return PassStatus.NOT_YET
    # The archive tells of a pass when it is over. Where nothing was captured all day, nobody meant to.
    return PassStatus.AFTERWARDS if row["source"] == "backfill" and not live else PassStatus.MISSED


def _pass_row(status: PassStatus, window: Window, row: _Row, best: PassRecord | None, *, day: date) -> PassRow:
    details: list[str] = []
    covered = ""
    if best is not None and status is not PassStatus.SYNTHETIC:
        whole_s = (best.window.end - best.window.start).total_seconds()
        covered = f"{_minutes(best.covered_s)} of {_minutes(whole_s)} min"
        details = some([gap_text(gap, day) for gap in best.gaps], "more gaps")
    elif status is PassStatus.MISSED:
        details = ["no capture listened to this window"]
    elif status is PassStatus.AFTERWARDS:
        details = ["known from the archive, when it was over"]
    orbits = [] if row["relative_orbit"] is None else [f"R{row['relative_orbit']:03d}"]
    if row["absolute_orbit"] is not None:
        orbits.append(f"orbit {row['absolute_orbit']}")
    source = str(row["source"])
    return PassRow(
        status=status,
        tile=window.tile_id,
        satellite=window.satellite,
        orbits=", ".join(orbits),
        sensed=clock(row["overpass_time"], day),
        sigma=f"± {row['time_sigma_s']:.3g} s" if row["time_sigma_s"] > 0 else "",
        window=f"{clock(window.start, day)} – {clock(window.end, day)}",
        imaging=str(row["imaging"]),
        source=_SOURCES.get(source, source),
        source_age=_age(row["source_epoch"], row["overpass_time"]) if source != "backfill" else "",
        covered=covered,
        details=tuple(details),
        fixes="" if best is None else f"{best.fixes:,}",
        ships="" if best is None else f"{best.ships:,}",
    )


def _warnings(missed: Sequence[Window], passes: int, captures: Sequence[CaptureRecord], day: date) -> list[str]:
    said = []
    if missed:
        which = [f"{w.tile_id} by {w.satellite} at {clock(w.overpass_time or w.start, day)}" for w in missed]
        verb = "was" if len(missed) == 1 else "were"
        listed = "; ".join(some(which, "more"))
        said.append(f"{len(missed):,} of {passes:,} passes {verb} missed, no AIS was recorded: {listed}.")
    lost = sum(record.lost for record in captures)
    if lost:
        said.append(f"{lost:,} AIS messages were lost, because the disk was slower than the feed.")
    return said


def _pictures(day: date, passes: pd.DataFrame, swaths: Sequence[Swath]) -> tuple[tuple[str, Markup], ...]:
    if passes.empty and not swaths:
        return ()
    title = f"Overpasses on {day.isoformat()}"
    drawn = (("wide", WIDE_PX), ("narrow", NARROW_PX))
    # Our own markup: texts in it are escaped where it is made.
    return tuple((kind, Markup(swath_map_svg(passes, swaths, [], title=title, width=width))) for kind, width in drawn)  # noqa: S704


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}".removesuffix(".0")


def _age(epoch: datetime | None, at: datetime) -> str:
    if epoch is None:
        return ""
    days = (at - epoch).total_seconds() / 86400
    amount = f"{abs(days):.1f} days" if abs(days) >= 1 else f"{abs(days) * 24:.0f} h"
    return f"{amount} old" if days >= 0 else f"from {amount} after the pass"
