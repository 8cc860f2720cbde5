"""Timing of captures: which windows are to be recorded now, and which were missed.

Pure: plans, runs, records and the time are arguments. Not here: asking Dagster and reading files
(`s2chips_dagster.sensors`), the windows themselves (`windows`), recording (`capture`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from s2chips_core.ais.capture_record import CaptureRecord, PassRecord, best_record
from s2chips_core.ais.windows import CaptureGroup, Window, group_windows

MOST_ATTEMPTS = 3
"""A capture that fails is tried so often while its windows are open."""
RECORD_GRACE = timedelta(seconds=120)
"""After the last late message a capture writes snapshots and its record; only then is a window judged."""
REMEMBERED = timedelta(days=2)
"""How long a judged window is remembered: the plans of yesterday to tomorrow are looked at."""


class RunState(StrEnum):
    """What became of a run that was to record windows."""

    ACTIVE = "active"
    """Queued, starting or recording."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Somebody stopped it: it is not started again."""
    FAILED = "failed"
    REFUSED = "refused"
    """The AIS service does not take the key: trying again is of no use and gets the address blocked."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRun:
    """A run that records windows, as far as the timing of others depends on it."""

    run_id: str
    state: RunState
    windows: tuple[Window, ...]
    """What it is to record; of a run by hand that names none, all windows of its day."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A capture that is to be started now."""

    group: CaptureGroup
    attempt: int
    """From 1."""

    @property
    def run_key(self) -> str:
        """The same for the same passes and attempt, also when the plan has moved them by seconds."""
        return f"{passes_key(self.group.windows)}-{self.attempt}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A window of which nothing was recorded."""

    window: Window
    reason: str
    """A sentence."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of windows that have closed."""

    recorded: tuple[Window, ...]
    """In whole or in part."""
    missed: tuple[Missed, ...]


def select_starts(
    windows: Sequence[Window], runs: Sequence[CaptureRun], now: datetime, *, lead_s: float, linger_s: float
) -> list[Start]:
    """The captures to start now: one for each group of overlapping windows that nobody records.

    A window is left alone when a run has it that is active, has ended as it should, was cancelled or has had its key
    refused; after failures it is tried up to `MOST_ATTEMPTS` times. What has closed is in no capture, so that one that is
    started late has what is left.

    Args:
        windows: of the plan, any order.
        runs: all that may have any of the windows.
        now: aware UTC.
        lead_s: a capture is started this long before its first window opens, seconds.
        linger_s: how long a capture listens on after a window, seconds.
    """
    failures = {}
    had = _Had(runs)
    for window in distinct(windows):
        if window.end <= now:
            continue
        states = [run.state for run in had.runs(window)]
        failed = states.count(RunState.FAILED)
        if failed == len(states) and failed < MOST_ATTEMPTS:
            failures[window] = failed
    due = now + timedelta(seconds=lead_s)
    return [
        Start(group=group, attempt=1 + max(failures[window] for window in group.windows))
        for group in group_windows(list(failures), linger_s)
        if group.start <= due
    ]


def distinct(windows: Iterable[Window]) -> list[Window]:
    """Each pass once, as the last of the windows has it: one near midnight may be in the plans of both days."""
    found: dict[tuple[str, str], list[Window]] = {}
    for window in windows:
        others = [one for one in found.get((window.tile_id, window.satellite), []) if not one.is_same_pass(window)]
        found[window.tile_id, window.satellite] = [*others, window]
    return [window for of_place in found.values() for window in of_place]


def next_start(windows: Iterable[Window], now: datetime, lead_s: float) -> datetime | None:
    """When the next capture is due: for windows that open later than `lead_s` from now; none when there is none."""
    lead = timedelta(seconds=lead_s)
    return min((window.start - lead for window in windows if window.start - lead > now), default=None)


def closed(windows: Iterable[Window], now: datetime, linger_s: float) -> list[Window]:
    """The windows whose records must be there by now."""
    return [window for window in windows if window.end + timedelta(seconds=linger_s) + RECORD_GRACE <= now]


def judge(
    windows: Iterable[Window],
    runs: Sequence[CaptureRun],
    records: Sequence[CaptureRecord],
    unfinished: Sequence[Window],
    idle_reason: str | None,
) -> Judged:
    """What became of windows that have closed: judged by the records of captures, not by what runs say of themselves.

    A window that an active run has, or that a journal holds which is still to be finished, is not judged yet.

    Args:
        windows: those that have `closed`.
        runs: all that may have any of them, for the reason.
        records: of the captures of their days.
        unfinished: windows that journals of captures hold.
        idle_reason: why no run was started, if that is known.
    """
    recorded, missed = [], []
    had = _Had(runs)
    for window in windows:
        best = best_record(window, records)
        if best is not None and best.covered_s > 0:
            recorded.append(window)
            continue
        tried = had.runs(window)
        if any(run.state is RunState.ACTIVE for run in tried) or any(window.is_same_pass(one) for one in unfinished):
            continue
        missed.append(Missed(window=window, reason=_reason(best, tried, idle_reason)))
    return Judged(recorded=tuple(recorded), missed=tuple(missed))


def passes_key(windows: Iterable[Window]) -> str:
    """`YYYYMMDDTHH-<12 hex>` of the passes: tile, satellite and nearest hour; an orbit takes 100 min."""
    passes = sorted((_hour(window), window.tile_id, window.satellite) for window in windows)
    return f"{passes[0][0]}-{hashlib.sha256(json.dumps(passes).encode()).hexdigest()[:12]}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is kept from one look to the next."""

    judged: tuple[Window, ...] = ()
    """Closed windows that are known to be recorded, or have been reported as missed."""
    plan_asked: date | None = None
    """The day on which a plan was asked for last."""
    recovery_asked: tuple[str, ...] = ()
    """Captures that were killed and whose journals somebody was asked to finish."""

    def without(self, windows: Iterable[Window]) -> list[Window]:
        """The windows that are not judged yet."""
        known: dict[tuple[str, str], list[Window]] = {}
        for one in self.judged:
            known.setdefault((one.tile_id, one.satellite), []).append(one)
        return [w for w in windows if not any(w.is_same_pass(one) for one in known.get((w.tile_id, w.satellite), []))]

    def add(self, windows: Iterable[Window], now: datetime) -> "Memory":
        """With these windows judged, and those of long ago forgotten."""
        kept = [one for one in (*self.judged, *windows) if one.end > now - REMEMBERED]
        return dataclasses.replace(self, judged=tuple(sorted(kept, key=lambda one: (one.start, one.tile_id, one.satellite))))

    def to_text(self) -> str:
        """Compact JSON."""
        tree = {
            "judged": [[w.tile_id, w.satellite, *map(_text, (w.overpass_time, w.start, w.end))] for w in self.judged],
            "plan_asked": None if self.plan_asked is None else self.plan_asked.isoformat(),
            "recovery_asked": self.recovery_asked,
        }
        return json.dumps(tree, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> "Memory":
        """The memory of `to_text`; an empty one for nothing, or for what another version wrote."""
        try:
            tree = json.loads(text or "{}")
            judged = tuple(
                Window(
                    tile_id=str(tile_id),
                    satellite=str(satellite),
                    overpass_time=None if overpass is None else _time(overpass),
                    start=_time(start),
                    end=_time(end),
                )
                for tile_id, satellite, overpass, start, end in tree.get("judged", [])
            )
            asked = tree.get("plan_asked")
            return cls(
                judged=judged,
                plan_asked=None if asked is None else date.fromisoformat(asked),
                recovery_asked=tuple(str(each) for each in tree.get("recovery_asked", [])),
            )
        except (ValueError, TypeError, AttributeError, OverflowError):
            return cls()


class _Had:
    """Which runs have a window."""

    def __init__(self, runs: Iterable[CaptureRun]) -> None:
        self._runs: dict[tuple[str, str], list[tuple[Window, CaptureRun]]] = {}
        for run in runs:
            for window in run.windows:
                self._runs.setdefault((window.tile_id, window.satellite), []).append((window, run))

    def runs(self, window: Window) -> list[CaptureRun]:
        """In the order in which they were given."""
        return [run for one, run in self._runs.get((window.tile_id, window.satellite), []) if one.is_same_pass(window)]


def _reason(best: PassRecord | None, runs: Sequence[CaptureRun], idle_reason: str | None) -> str:
    if best is not None:
        gaps = list(dict.fromkeys(gap.reason for gap in best.gaps))
        return f"A capture listened to nothing of the window: {', '.join(gaps) or 'no reason is recorded'}."
    if not runs:
        return idle_reason or "No capture was running: the daemon was down, or the plan came after the window."
    last = runs[-1]
    said = {
        RunState.REFUSED: "the AIS service did not take the key",
        RunState.CANCELLED: "it was cancelled",
        RunState.FAILED: "it failed",
    }
    what = said.get(last.state, "it ended without a record of the window")
    return f"Nothing was recorded in {len(runs)} run(s); of the last, {last.run_id[:8]}: {what}."


def _hour(window: Window) -> str:
    return f"{(window.overpass_time or window.start) + timedelta(minutes=30):%Y%m%dT%H}"


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
