"""Capturing a group of windows: AIS service → bounded queue → journal → snapshots and record; and finishing what was killed.

A capture and a recovery end in the same steps, made from the journal: snapshots, record, then the journal goes. Each step
may be interrupted and done again: snapshots add up with exact repeats once, a record replaces itself.
Not here: which windows there are (`windows`, `day`), the conversation with the service (`aisstream`).
"""

import contextlib
import dataclasses
import logging
import math
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from s2chips_core.ais.aisstream import AisStream
from s2chips_core.ais.capture_record import CaptureRecord, Gap, PassRecord, write_record
from s2chips_core.ais.connection_limit import ConnectionLimit
from s2chips_core.ais.coverage import LATE_START, Coverage
from s2chips_core.ais.fixes_of_window import AREA_MARGIN_DEG, build_fixes
from s2chips_core.ais.journal import Journal, JournalWriter, journals, read_journal, remove_journal
from s2chips_core.ais.recorder import Recorder
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.ais.subscription import Subscription, join_areas
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.errors import AisKeyError, CaptureError, S2ChipsError, StorageError
from s2chips_core.fetch import without_query
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.sections import Ais
from s2chips_core.storage import Storage

SOURCE = "aisstream"
CONNECT_EARLY = timedelta(seconds=5)
"""Before the first window opens: a handshake and a subscription take one or two seconds."""
DONE, STOPPED, INTERRUPTED, RECOVERED, KEY_REFUSED = "done", "stopped", "interrupted", "recovered", "key refused"
KILLED = "the capture was killed"
PROGRESS_EVERY_S = 30.0
_LOCK_S = 1.0
_log = logging.getLogger(__name__)
Clock = Callable[[], datetime]
Progress = Callable[[str], object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a capture left in the dataset."""

    record: CaptureRecord
    keys: tuple[str, ...]
    """Of the snapshots."""


def capture_group(
    group: CaptureGroup,
    *,
    ais: Ais,
    storage: Storage,
    clock: Clock,
    api_key: str,
    stop: threading.Event,
    meeting_folder: Path,
    progress: Progress = lambda text: None,
    listened: Callable[[], object] = lambda: None,
) -> Captured:
    """Record a group of windows over one connection at a time, until its end and `linger_s`; begins at once.

    Args:
        group: the windows; those that are open already are recorded from now on.
        ais: the service, and how to treat it.
        storage: the dataset.
        clock: aware UTC, the one that the windows are in; it must run.
        api_key: of the service.
        stop: ends the capture within a second; what was heard is kept.
        meeting_folder: where the processes of this machine take turns, see `connection_limit.default_folder`.
        progress: told every 30 s how it goes.
        listened: called when the windows are over and all is in the journal; writing the snapshots may take a minute more.

    Raises:
        AisKeyError: the service does not take the key.
        CaptureError: the service could not be reached at all.
        StorageError: the dataset cannot be written; what is in the journal stays there and is recovered later.
        In each case the record of the capture is written before, if it can be. So it is when anything else, such as
        KeyboardInterrupt, ends the listening.
    """
    url = without_query(ais.url)
    capture_id = f"{group.group_id}-{secrets.token_hex(3)}"
    until = group.end + timedelta(seconds=ais.linger_s)
    tiles = sorted({window.tile_id for window in group.windows})
    subscription = Subscription(
        areas=join_areas([tile_area(tile, AREA_MARGIN_DEG) for tile in tiles]), message_types=ais.message_types
    )
    limit = ConnectionLimit(
        ais.url,
        most=ais.max_connections,
        first_wait_s=ais.reconnect_initial_s,
        longest_wait_s=ais.reconnect_max_s,
        folder=meeting_folder,
    )
    stream = AisStream(subscription, ais=ais, api_key=api_key, limit=limit, clock=clock, stop=stop)
    header = {
        "ais_source": SOURCE,
        "url": url,
        "started_at": clock().isoformat(),
        "windows": [window.to_dict() for window in group.windows],
    }
    with _held(storage, capture_id, _LOCK_S):
        facts = _Facts(stream, clock)
        journal = JournalWriter(storage, capture_id, header)
        recorder = Recorder(journal, facts.so_far, batch_size=ais.batch_size, flush_interval_s=ais.flush_interval_s)
        facts.lost = lambda: recorder.lost
        failure: CaptureError | None = None
        try:
            with _Reporter(stream, until, clock, progress):
                stream.listen(until, recorder.keep)
            facts.ended = STOPPED if stop.is_set() and clock() < until else DONE
        except AisKeyError as error:
            facts.ended, failure = KEY_REFUSED, error
        except BaseException:
            # An interrupt, or a fault of this program: what was heard is kept before anybody hears of it.
            facts.ended = INTERRUPTED
            recorder.close()
            finish_capture(storage, capture_id)
            raise
        recorder.close()
        if failure is None:
            listened()
        progress("writing snapshots")
        captured = finish_capture(storage, capture_id)
    if failure is not None:
        raise failure
    if stream.connections == 0 and facts.ended == DONE:
        raise CaptureError(url, f"no connection until the windows had closed: {stream.coverage.problem or LATE_START}")
    return captured


def recover_journals(storage: Storage) -> list[Captured]:
    """Finish the captures that were killed: journals that no living process holds become snapshots and records.

    A journal that cannot be finished now is left for the next time, with a warning.
    """
    recovered = []
    for capture_id in journals(storage):
        try:
            with _held(storage, capture_id, 0.0):
                # Its capture may have ended between the listing and the lock.
                if capture_id in journals(storage):
                    recovered.append(finish_capture(storage, capture_id))
        except S2ChipsError as error:
            if capture_id in journals(storage) and not is_held(storage, capture_id):
                _log.warning("the journal of capture %s cannot be recovered now: %s", capture_id, error)
    if recovered:
        _log.info("%d capture(s) recovered from their journals", len(recovered))
    return recovered


def is_held(storage: Storage, capture_id: str) -> bool:
    """Whether a process writes or finishes this capture's journal."""
    try:
        with _held(storage, capture_id, 0.0):
            return False
    except StorageError:
        return True


def drop_journal(storage: Storage, capture_id: str) -> None:
    """Remove the journal of a capture that was killed, and with it what was heard; LockedError when a process has it."""
    with _held(storage, capture_id, 0.0):
        remove_journal(storage, capture_id)


def finish_capture(storage: Storage, capture_id: str) -> Captured:
    """Make the snapshots and the record of a capture from its journal, and remove that. The caller holds its lock.

    Raises:
        StorageError: the journal cannot be read, or something cannot be written; the journal is then still there.
    """
    journal = read_journal(storage, capture_id)
    for damage in journal.damaged:
        _log.warning("%s", damage)
    windows = _windows(journal, capture_id)
    facts: dict[str, Any] = next((each for each in reversed(journal.facts) if "coverage" in each), {})
    begun = datetime.fromisoformat(journal.header["started_at"]).astimezone(UTC)
    coverage = Coverage.from_dict(facts["coverage"]) if facts else Coverage(begun, math.inf)
    ended = facts.get("ended") or RECOVERED
    ais_source = str(journal.header["ais_source"])
    fixes = build_fixes(journal.records, windows, ais_source=ais_source)
    passes = []
    for window in windows:
        of_window = fixes[_is_of(fixes, window)]
        passes.append(
            coverage.pass_record(
                window,
                KILLED if ended == RECOVERED else ended,
                fixes=len(of_window),
                ships=of_window["mmsi"].nunique(),
            )
        )
    record = CaptureRecord(
        capture_id=capture_id,
        ais_source=ais_source,
        url=str(journal.header["url"]),
        started_at=begun,
        ended_at=datetime.fromisoformat(facts["at"]).astimezone(UTC) if facts else begun,
        ended=ended,
        connections=int(facts.get("connections", 0)),
        messages=int(facts.get("messages", 0)),
        ignored={str(reason): int(count) for reason, count in facts.get("ignored", {}).items()},
        lost=int(facts.get("lost", 0)),
        passes=tuple(passes),
    )
    keys: list[str] = []
    for day in sorted({window.day for window in windows}):
        for tile in sorted({window.tile_id for window in windows if window.day == day}):
            mine = [one for one in passes if one.window.day == day and one.window.tile_id == tile]
            rows = pd.concat([fixes[_is_of(fixes, one.window)] for one in mine]).drop_duplicates(ignore_index=True)
            if len(rows):
                metadata = _metadata(record, mine, coverage.quiet_s(), journal.damaged)
                keys += write_snapshots(storage, day, rows, metadata=metadata)
    write_record(storage, record)
    remove_journal(storage, capture_id)
    return Captured(record=record, keys=tuple(keys))


class _Facts:
    """What is known of a running capture, for its journal."""

    def __init__(self, stream: AisStream, clock: Clock) -> None:
        self._stream, self._clock = stream, clock
        self.ended: str | None = None
        self.lost: Callable[[], int] = lambda: 0

    def so_far(self) -> dict[str, Any]:
        """Values that JSON takes."""
        return {
            "at": self._clock().isoformat(),
            "ended": self.ended,
            "coverage": self._stream.coverage.to_dict(),
            "connections": self._stream.connections,
            "messages": self._stream.messages,
            "ignored": dict(self._stream.ignored),
            "lost": self.lost(),
        }


class _Reporter:
    """Tells every 30 s how the listening goes, from a thread of its own."""

    def __init__(self, stream: AisStream, until: datetime, clock: Clock, progress: Progress) -> None:
        self._stream, self._until, self._clock, self._progress = stream, until, clock, progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ais-progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PROGRESS_EVERY_S):
            left_s = max(0.0, (self._until - self._clock()).total_seconds())
            state = self._stream.coverage.problem or "listening"
            self._progress(f"{state}: {self._stream.messages} messages so far, {left_s / 60:.1f} min to go")


def _windows(journal: Journal, capture_id: str) -> list[Window]:
    try:
        return [Window.from_dict(values) for values in journal.header["windows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(capture_id, f"its journal names no windows: {error}") from error


def _is_of(fixes: pd.DataFrame, window: Window) -> "pd.Series[bool]":
    of_tile = fixes["tile_id"] == window.tile_id
    if window.overpass_time is not None:
        return of_tile & (fixes["overpass_time"] == pd.Timestamp(window.overpass_time).floor("ms"))
    return of_tile & fixes["overpass_time"].isna() & fixes["time"].between(window.start, window.end)


def _metadata(
    record: CaptureRecord, passes: Sequence[PassRecord], quiet_s: float, damaged: Sequence[str]
) -> dict[str, object]:
    """Facts for a snapshot, under the name of the capture: those of others of that tile and day stay."""
    facts = {
        "url": record.url,
        "started_at": record.started_at.isoformat(),
        "ended_at": record.ended_at.isoformat(),
        "ended": record.ended,
        "connections": record.connections,
        "messages": record.messages,
        "lost": record.lost,
        "quiet_s": round(quiet_s, 3),
        "damaged": list(damaged),
        "passes": [
            {
                **one.window.to_dict(),
                "status": one.status,
                "covered_s": one.covered_s,
                "gaps": [_gap(gap) for gap in one.gaps],
            }
            for one in passes
        ],
    }
    return {"ais_source": record.ais_source, "captures": {record.capture_id: facts}}


def _gap(gap: Gap) -> dict[str, str]:
    return {"start": gap.start.isoformat(), "end": gap.end.isoformat(), "reason": gap.reason}


@contextlib.contextmanager
def _held(storage: Storage, capture_id: str, timeout_s: float) -> Iterator[None]:
    """A capture's lock. It has no name that comes again: with the journal the lock's file goes."""
    name = f"capture-{capture_id}"
    with storage.lock(name, timeout_s):
        try:
            yield
        finally:
            if capture_id not in journals(storage):
                storage.forget_lock(name)
