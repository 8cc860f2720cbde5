"""What the report says of a day's captures: what was heard, ignored and lost, and when nothing was listened to.

Not here: what that means for each pass (`overpasses`), how it looks (`templates/overpasses.html.j2`).
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from s2chips_core.ais.capture_record import CaptureRecord, Gap
from s2chips_core.ais.windows import Window
from s2chips_core.pages import facts

MAX_LISTED = 5
"""Gaps, missed passes or recordings in one sentence or cell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRow:
    """A capture as the table has it."""

    capture_id: str
    ais_source: str
    url: str
    listened: str
    ended: str
    windows: int
    connections: int
    reconnections: int
    messages: int
    ignored: tuple[tuple[str, int], ...]
    """Reason and number, most first."""
    lost: int
    gaps: tuple[str, ...]


def capture_row(record: CaptureRecord, day: date) -> CaptureRow:
    """A capture in words, for the page of a day."""
    return CaptureRow(
        capture_id=record.capture_id,
        ais_source=record.ais_source,
        url=record.url,
        listened=f"{clock(record.started_at, day)} – {clock(record.ended_at, day)}",
        ended=record.ended,
        windows=len(record.passes),
        connections=record.connections,
        reconnections=max(0, record.connections - 1),
        messages=record.messages,
        ignored=tuple(sorted(((r, n) for r, n in record.ignored.items() if n), key=lambda item: (-item[1], item[0]))),
        lost=record.lost,
        gaps=tuple(some([gap_text(gap, day) for gap in merge_gaps(record)], "more gaps")),
    )


def merge_gaps(record: CaptureRecord) -> list[Gap]:
    """The gaps of a capture over all its windows: those of one reason that meet or overlap are one; in order of time."""
    merged: list[Gap] = []
    for gap in sorted({gap for one in record.passes for gap in one.gaps}, key=lambda gap: (gap.reason, gap.start, gap.end)):
        if merged and merged[-1].reason == gap.reason and gap.start <= merged[-1].end:
            merged[-1] = dataclasses.replace(merged[-1], end=max(merged[-1].end, gap.end))
        else:
            merged.append(gap)
    return sorted(merged, key=lambda gap: (gap.start, gap.end, gap.reason))


def elsewhere(windows: Sequence[Window], captures: Sequence[CaptureRecord], day: date) -> list[str]:
    """Recordings of none of a plan's windows: the plan has changed since, or they were made at fixed intervals."""
    planned = defaultdict(list)
    for window in windows:
        planned[window.tile_id, window.satellite].append(window)
    texts = []
    for record in captures:
        for one in record.passes:
            window = one.window
            if not any(window.is_same_pass(other) for other in planned[window.tile_id, window.satellite]):
                span = f"{clock(window.start, day)} – {clock(window.end, day)}"
                texts.append(f"{window.tile_id}, {span}: {one.fixes:,} fixes of {one.ships:,} ships")
    return some(texts, "more", most=4 * MAX_LISTED)


def gap_text(gap: Gap, day: date) -> str:
    """From when to when, how long, and why."""
    seconds = (gap.end - gap.start).total_seconds()
    return f"{clock(gap.start, day)} – {clock(gap.end, day)} ({facts.duration_text(seconds)}): {gap.reason}"


def clock(moment: datetime, day: date) -> str:
    """`11:04:22`, with the date where it is another than the page's."""
    return f"{moment:%H:%M:%S}" if moment.date() == day else f"{moment:%Y-%m-%d %H:%M:%S}"


def some(texts: Sequence[str], more: str, most: int = MAX_LISTED) -> list[str]:
    """The first of them, and how many more there are."""
    return [*texts[:most], f"and {len(texts) - most:,} {more}"] if len(texts) > most else list(texts)
