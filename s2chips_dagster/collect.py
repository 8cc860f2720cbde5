"""`s2chips collect-ais`: the passes of a schedule recorded one after the other, without the daemon.

Here: waiting as a person does, at a terminal. Not here: the recording (`s2chips_core.ais.recording`), the daemon's captures
(`captures`).
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import CaptureError
from s2chips_core.storage import Storage
from s2chips_dagster.resources import Workspace
from s2chips_dagster.run_config import KEY_VARIABLE

if TYPE_CHECKING:
    import pandas as pd

    from s2chips_core.ais.day import Recorded
    from s2chips_core.ais.windows import Window


def collect(schedule: Path, *, config_file: Path, window_min: float | None, dry_run: bool) -> bool:
    """Record all passes of a schedule: progress on stderr, how each pass was recorded on stdout.

    Args:
        schedule: CSV with the columns of the overpass plan.
        config_file: the configuration.
        window_min: recording time each side of the overpass, minutes; None: the windows that the schedule has.
        dry_run: synthetic AIS, at once, marked so.

    Returns:
        Whether any pass has been recorded, now or before, or there was none to record.

    Raises:
        InputError: the schedule cannot be read.
        AisKeyError, CaptureError, MixedAisError, StorageError: as `recording.record_windows`; passes that were recorded are
            told before.
        KeyboardInterrupt: SIGINT or SIGTERM came; what was heard until then is kept, and told.
    """
    from s2chips_core.ais.windows import windows_of_plan
    from s2chips_core.overpasses.schedule import read_schedule

    workspace = Workspace(config_file=str(config_file))
    asked: dict[str, Any] = {"source": "synthetic"} if dry_run else {}
    if window_min is not None:
        asked["window_min"] = window_min
    settings = workspace.settings({"ais": asked} if asked else None)
    storage = workspace.storage(settings)
    plan = read_schedule(schedule)
    if window_min is not None:
        plan = _with_windows(plan, window_min)
    windows = windows_of_plan(plan)
    if not windows:
        _tell(f"{schedule} has no passes")
        return True
    if settings.ais.source == "synthetic":
        _report(_make_up(plan, settings, storage, workspace), storage, workspace.clock())
        return _print_passes(windows, storage, workspace.clock())
    api_key = os.environ.get(KEY_VARIABLE)
    with _stop_on_signals() as stop:
        failure = _record(windows, settings, storage, workspace, api_key, stop)
    any_recorded = _print_passes(windows, storage, workspace.clock())
    _report(_recorded(windows, storage, workspace.clock()), storage, workspace.clock())
    if failure is not None:
        raise failure
    if stop.is_set():
        raise KeyboardInterrupt
    return any_recorded


def _record(
    windows: "Sequence[Window]",
    settings: Settings,
    storage: Storage,
    workspace: Workspace,
    api_key: str | None,
    stop: threading.Event,
) -> CaptureError | None:
    from s2chips_core.ais.recording import record_windows

    try:
        record_windows(
            windows,
            settings=settings,
            storage=storage,
            clock=workspace.clock,
            api_key=api_key,
            stop=stop,
            progress=_tell,
        )
    except CaptureError as error:
        if not api_key:
            raise
        return error  # after what was recorded before it has been told
    return None


def _make_up(plan: "pd.DataFrame", settings: Settings, storage: Storage, workspace: Workspace) -> "dict[date, Recorded]":
    from s2chips_core.ais.day import record_synthetic
    from s2chips_core.overpasses.plan import of_day

    _tell("AIS is synthetic: for trials, never as ground truth")
    return {
        day: record_synthetic(of_day(plan, day), day, settings=settings, storage=storage, clock=workspace.clock)
        for day in sorted(set(plan["overpass_time"].dt.date))
    }


def _recorded(windows: "Sequence[Window]", storage: Storage, now: datetime) -> "dict[date, Recorded]":
    from s2chips_core.ais.day import recorded_of_day

    days = {window.day for window in windows if storage.list(layout.captures_of_day(window.day))}
    return {day: recorded_of_day(day, windows, storage=storage, now=now) for day in sorted(days)}


def _report(recorded: "Mapping[date, Recorded]", storage: Storage, now: datetime) -> None:
    """Show the days in the Dagster UI, as a run of `capture_ais` would."""
    from s2chips_dagster.captures import day_metadata
    from s2chips_dagster.runs import report_days

    report_days("ais_snapshots", {day: day_metadata(day, made, storage, now) for day, made in recorded.items()})


def _with_windows(plan: "pd.DataFrame", window_min: float) -> "pd.DataFrame":
    import pandas as pd

    side = pd.Timedelta(minutes=window_min)
    return plan.assign(window_start=plan["overpass_time"] - side, window_end=plan["overpass_time"] + side)


def _print_passes(windows: "Sequence[Window]", storage: Storage, now: datetime) -> bool:
    """One line for each pass on stdout; whether any was recorded, in part at least."""
    from s2chips_core.ais.capture_record import MISSED, best_record, read_records

    any_recorded = False
    records = {day: read_records(storage, day) for day in {window.day for window in windows}}
    for window in windows:
        best = best_record(window, records[window.day])
        what = f"{window.overpass_time or window.start:%Y-%m-%dT%H:%M:%SZ} {window.tile_id} {window.satellite}".rstrip()
        if best is None:
            print(f"{what}: {MISSED if window.end <= now else 'to come'}")
            continue
        any_recorded |= best.status != MISSED
        length_s = (best.window.end - best.window.start).total_seconds()
        text = f"{what}: {best.status}, {best.covered_s:.0f} of {length_s:.0f} s, {best.fixes} fixes of {best.ships} ships"
        gaps = "; ".join(f"{gap.start:%H:%M:%S}-{gap.end:%H:%M:%S} {gap.reason}" for gap in best.gaps)
        print(f"{text} ({gaps})" if gaps else text)
    for day in sorted(records):
        if storage.list(layout.ais_folder(day)):
            print(f"  snapshots: {storage.url(layout.ais_folder(day))}")
    return any_recorded


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the second one ends the program as it always does."""
    stop = threading.Event()
    before: dict[int, Any] = {}

    def ask(number: int, frame: object) -> None:
        _tell("stopping; what has been heard is kept")
        stop.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    if threading.current_thread() is threading.main_thread():
        before |= {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
