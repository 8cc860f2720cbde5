"""Captures as Dagster runs them: recording in a thread that is told to stop, what is shown of it, and what killed ones left.

Here: the body of `ais_snapshots`. Not here: recording itself (`s2chips_core.ais.day`), when captures start (`sensors`).
"""

import dataclasses
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from s2chips_core import layout
from s2chips_core.errors import AisKeyError, StorageError
from s2chips_core.storage import Storage
from s2chips_dagster import run_config
from s2chips_dagster.metadata import counts_table, records_table, throttled
from s2chips_dagster.past_runs import KEY_TAG, REFUSED
from s2chips_dagster.resources import Workspace
from s2chips_dagster.run_config import KEY_VARIABLE

if TYPE_CHECKING:
    from s2chips_core.ais.capture_record import CaptureRecord
    from s2chips_core.ais.day import Recorded
    from s2chips_core.ais.windows import Window

_T = TypeVar("_T")

LOOK_EVERY_S = 0.5
PASS_COLUMNS = ["tile_id", "satellite", "overpass_time", "status", "covered_s", "gaps", "fixes", "ships"]


def record(context: dg.AssetExecutionContext, day: date, config: Any, workspace: Workspace) -> dict[str, Any]:
    """Record what the run config asks for; returns the metadata of the day, and reports other days that gained something.

    Args:
        context: of the run.
        day: the partition.
        config: of `run_config.capture_config`.
        workspace: settings, storage and clock.

    Raises:
        AisKeyError: there is no key, or it was refused; the run is marked, so that nobody tries again.
        CaptureError, ConfigError, StorageError, MixedAisError: as `record_day`.
    """
    from s2chips_core.ais.capture import recover_journals
    from s2chips_core.ais.day import record_day, recorded_of_day

    began = time.monotonic()
    settings, group = workspace.settings(run_config.overrides(config)), run_config.capture_group(config.windows)
    storage, windows = workspace.storage(settings), group.windows if group else ()
    killed = [one for one in journals_left(storage) if not one.held]
    if config.only_recover:
        recover_journals(storage)
        recorded = recorded_of_day(day, (), storage=storage, now=workspace.clock())
    else:

        def work(stop: threading.Event) -> "Recorded":
            return record_day(
                day,
                settings=settings,
                storage=storage,
                clock=workspace.clock,
                api_key=os.environ.get(KEY_VARIABLE),
                group=group,
                stop=stop,
                progress=throttled(context.log),
            )

        try:
            recorded = until_interrupted(work, lambda: context.log.warning("stopped; what was heard until then is kept"))
        except AisKeyError:
            context.instance.add_run_tags(context.run.run_id, {KEY_TAG: REFUSED})
            raise
    if recorded.ais_source == "synthetic" and recorded.fixes:
        context.log.warning("AIS of %s is synthetic: for trials, never as ground truth", day)
    _warn_of_missed(context, recorded)
    gained = {window.day for window in (*windows, *(each for one in killed for each in one.windows))}
    for other in sorted(gained - {day}):
        of_other = recorded_of_day(other, windows, storage=storage, now=workspace.clock())
        _warn_of_missed(context, of_other)
        metadata = day_metadata(other, of_other, storage, workspace.clock())
        context.log_event(dg.AssetMaterialization("ais_snapshots", partition=other.isoformat(), metadata=metadata))
    seconds = round(time.monotonic() - began, 3)
    return day_metadata(day, recorded, storage, workspace.clock()) | {"seconds": seconds}


def until_interrupted(work: Callable[[threading.Event], _T], stopped: Callable[[], object]) -> _T:
    """Do `work` in a thread of its own; an interruption sets its event and goes on when it has ended.

    An interruption comes to the main thread, wherever that is: it must not tear a connection, or a table half written.

    Args:
        work: given the event to look at.
        stopped: called when it has ended because of an interruption.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="capture") as thread:
        working: Future[_T] | None = None
        try:
            working = thread.submit(work, stop)
            while not working.done():
                # Not for ever: a signal that another thread took is looked at by this one only when it wakes up.
                wait([working], timeout=LOOK_EVERY_S)
            return working.result()
        except BaseException:
            if working is None or not working.done():  # else it is the error of the work itself
                stop.set()
                if working is not None:
                    working.exception()
                stopped()
            raise


def day_metadata(day: date, recorded: "Recorded", storage: Storage, now: datetime) -> dict[str, Any]:
    """What there is of a day by all captures so far."""
    from s2chips_core import tables
    from s2chips_core.ais.capture_record import MISSED, PARTIAL, RECORDED, read_records
    from s2chips_core.ais.windows import windows_of_plan
    from s2chips_core.overpasses.plan import PLAN_SCHEMA

    planned = storage.exists(layout.plan(day))
    windows = windows_of_plan(tables.read_table(storage, layout.plan(day), PLAN_SCHEMA)) if planned else []
    records = read_records(storage, day)
    rows = pass_rows(windows, records, now)
    ignored: Counter[str] = Counter()
    for each in records:
        ignored.update(each.ignored)
    return {
        "ais_source": recorded.ais_source,
        "fixes": recorded.fixes,
        "ships": recorded.ships,
        **{status: sum(row["status"] == status for row in rows) for status in (RECORDED, PARTIAL, MISSED)},
        "passes": records_table(rows, PASS_COLUMNS),
        "captures": len(records),
        "lost": sum(each.lost for each in records),
        "ignored": counts_table(dict(sorted(ignored.items())), "reason", "messages"),
        "snapshots": dg.MetadataValue.json([storage.url(key) for key in recorded.keys]),
        "path": dg.MetadataValue.path(storage.url(layout.ais_folder(day))),
    }


def _warn_of_missed(context: dg.AssetExecutionContext, recorded: "Recorded") -> None:
    for window in recorded.missed:
        when = window.overpass_time or window.start
        context.log.warning("missed: %s over %s at %s", window.satellite or "a recording", window.tile_id, when)


def pass_rows(windows: "Sequence[Window]", records: "Sequence[CaptureRecord]", now: datetime) -> list[dict[str, object]]:
    """How each pass of a day was recorded, by all captures so far.

    Args:
        windows: of the day's plan; recorded passes that are not in it, too, are shown.
        records: of the day's captures.
        now: what has not closed by then is still to come.
    """
    from s2chips_core.ais.capture_record import MISSED, best_record
    from s2chips_core.ais.timing import distinct

    rows = []
    recorded = (one.window for record in records for one in record.passes)
    for window in sorted(distinct([*recorded, *windows]), key=lambda one: (one.start, one.tile_id, one.satellite)):
        best = best_record(window, records)
        row: dict[str, object] = {
            "tile_id": window.tile_id,
            "satellite": window.satellite,
            "overpass_time": window.overpass_time or window.start,
            "status": "to come" if window.end > now else MISSED,
            "covered_s": None,
            "gaps": "",
            "fixes": None,
            "ships": None,
        }
        if best is not None:
            gaps = (f"{gap.start:%H:%M:%S}–{gap.end:%H:%M:%S} {gap.reason}" for gap in best.gaps)
            row |= {
                "status": best.status,
                "covered_s": round(best.covered_s, 1),
                "gaps": ", ".join(gaps),
                "fixes": best.fixes,
                "ships": best.ships,
            }
        rows.append(row)
    return rows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JournalLeft:
    """A capture whose journal is there: it runs, or it was killed."""

    capture_id: str
    windows: "tuple[Window, ...]"
    held: bool
    """By the process that writes or finishes it."""


def journals_left(storage: Storage) -> list[JournalLeft]:
    """The journals that are there; one that cannot be read is left to whoever finishes it."""
    from s2chips_core.ais.capture import is_held
    from s2chips_core.ais.journal import journals, read_header
    from s2chips_core.ais.windows import Window

    found = []
    for capture_id in journals(storage):
        try:
            windows = tuple(Window.from_dict(each) for each in read_header(storage, capture_id)["windows"])
        except (StorageError, ValueError, KeyError, TypeError):
            windows = ()  # it has just ended, or is damaged
        found.append(JournalLeft(capture_id=capture_id, windows=windows, held=is_held(storage, capture_id)))
    return found
