"""What a capture recorded: for each pass how much of its window was listened to, the gaps, and counts.

Kept as one JSON file for each capture and day, also when no ship was heard: that a window was recorded, in part or not at
all is judged by these. Not here: recording (`capture`), the fixes themselves (`snapshots`).
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from s2chips_core import layout
from s2chips_core.ais.windows import Window
from s2chips_core.errors import StorageError
from s2chips_core.storage import Storage

RECORDED, PARTIAL, MISSED = "recorded", "partial", "missed"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time in which nothing was listened to. Aware UTC."""

    start: datetime
    end: datetime
    reason: str
    """Why, in a few words: `late start`, `silence`, `connection closed (1006)` …"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """How a window was recorded."""

    window: Window
    covered_s: float
    """Seconds of the window in which the feed was listened to."""
    gaps: tuple[Gap, ...]
    """Those inside the window."""
    fixes: int
    ships: int

    @property
    def status(self) -> str:
        """`recorded` when nothing of the window is missing, `missed` when everything is, else `partial`."""
        if self.covered_s <= 0:
            return MISSED
        return PARTIAL if self.gaps else RECORDED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRecord:
    """One capture, as far as it concerns one day."""

    capture_id: str
    ais_source: str
    """aisstream or synthetic."""
    url: str
    """Of the service, without query; empty for synthetic AIS."""
    started_at: datetime
    ended_at: datetime
    ended: str
    """`done`, or why it ended before its time: `stopped`, `recovered` (killed, picked up from its journal) …"""
    connections: int
    messages: int
    """Frames received."""
    ignored: Mapping[str, int]
    """Messages that gave no fix, by reason."""
    lost: int
    """Messages that could not be kept because the disk was slower than the feed."""
    passes: tuple[PassRecord, ...]

    def to_json(self) -> bytes:
        """JSON, sorted keys, times in ISO 8601."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=_plain).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> "CaptureRecord":
        """The record of `to_json`; StorageError when it is none."""
        try:
            tree: dict[str, Any] = json.loads(data)
            tree["passes"] = tuple(_pass(each) for each in tree["passes"])
            tree |= {name: _time(tree[name]) for name in ("started_at", "ended_at")}
            return cls(**tree)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(key, f"is no record of a capture: {error}") from error


def write_record(storage: Storage, record: CaptureRecord) -> list[str]:
    """Write a capture's record for each day it has passes of; returns the keys."""
    keys = []
    for day in sorted({one.window.day for one in record.passes}):
        of_day = dataclasses.replace(record, passes=tuple(one for one in record.passes if one.window.day == day))
        key = layout.capture_record(day, record.capture_id)
        storage.put(key, of_day.to_json())
        keys.append(key)
    return keys


def read_records(storage: Storage, day: date) -> list[CaptureRecord]:
    """All captures of a day, in order of their start."""
    keys = storage.list(layout.captures_of_day(day))
    records = [CaptureRecord.from_json(storage.get(key), key) for key in keys]
    return sorted(records, key=lambda record: (record.started_at, record.capture_id))


def best_record(window: Window, records: Sequence[CaptureRecord]) -> PassRecord | None:
    """How a window was recorded; None when none tried.

    By the capture that listened to most of it, whose gaps are only those in which no other one listened. Fixes and ships are
    its own: those of others are partly the same.
    """
    tried = [one for record in records for one in record.passes if one.window.is_same_pass(window)]
    best = max(tried, key=lambda one: one.covered_s, default=None)
    if best is None:
        return None
    gaps = list(best.gaps)
    for other in tried:
        deaf = [(best.window.start, other.window.start), (other.window.end, best.window.end)]
        deaf += [(gap.start, gap.end) for gap in other.gaps]
        gaps = [
            dataclasses.replace(gap, start=max(gap.start, start), end=min(gap.end, end))
            for gap in gaps
            for start, end in sorted(deaf)
            if max(gap.start, start) < min(gap.end, end)
        ]
    heard_s = _length_s(best.gaps) - _length_s(gaps)
    return dataclasses.replace(best, covered_s=round(best.covered_s + heard_s, 3), gaps=tuple(gaps)) if heard_s else best


def _length_s(gaps: Sequence[Gap]) -> float:
    return sum((gap.end - gap.start).total_seconds() for gap in gaps)


def _pass(tree: dict[str, Any]) -> PassRecord:
    gaps = (Gap(start=_time(gap["start"]), end=_time(gap["end"]), reason=str(gap["reason"])) for gap in tree["gaps"])
    return PassRecord(
        window=Window.from_dict(tree["window"]),
        covered_s=float(tree["covered_s"]),
        gaps=tuple(gaps),
        fixes=int(tree["fixes"]),
        ships=int(tree["ships"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} in a record")
