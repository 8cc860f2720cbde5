"""The sensors: what is started when the time or the archive says so.

Here: building them, and the look for windows that are due: reading plans, records and past runs, asking for captures. Not
here: which windows are due or missed (`s2chips_core.ais.timing`), the look for late scenes (`late_scenes`).
"""

import dataclasses
import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import SchemaError, StorageError
from s2chips_core.storage import Storage
from s2chips_dagster import past_runs
from s2chips_dagster.captures import JournalLeft, journals_left
from s2chips_dagster.jobs import CAPTURE_TAGS, PLANNING_TAGS, job_named
from s2chips_dagster.late_scenes import BUDGET_S, Asker, look_for_scenes
from s2chips_dagster.resources import Workspace
from s2chips_dagster.run_config import KEY_MISSING, KEY_VARIABLE, RECOVERY_RUN_CONFIG, capture_run_config, not_real_ais

if TYPE_CHECKING:
    from s2chips_core.ais.timing import CaptureRun, Judged, Missed, Start
    from s2chips_core.ais.windows import Window

CAPTURE_INTERVAL_S = 30
CAPTURE_TAG = "s2chips/capture"
ATTEMPT_TAG = "s2chips/attempt"
SETTLED = timedelta(seconds=60)
"""By then a run that was started, and whose window is open, holds its journal."""


def build_sensors(settings: Settings, jobs: list[Any]) -> list[dg.SensorDefinition]:
    """The sensors, all on unless somebody switches them off."""
    asker = Asker(BUDGET_S)

    @dg.sensor(
        name="overpass_capture_sensor",
        jobs=[job_named(jobs, "capture_ais"), job_named(jobs, "plan_overpasses")],
        minimum_interval_seconds=CAPTURE_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a capture in time for each group of overlapping windows, and reports windows that were missed.",
    )
    def overpass_capture_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
        return look_for_windows(context, workspace)

    @dg.sensor(
        name="late_scene_sensor",
        job=job_named(jobs, "chip_day"),
        minimum_interval_seconds=settings.scheduling.late_scene_interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Chips a day again when the archive has something new for ships that were left pending.",
    )
    def late_scene_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
        return look_for_scenes(context, workspace, asker)

    return [overpass_capture_sensor, late_scene_sensor]


def look_for_windows(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
    """One look of `overpass_capture_sensor`."""
    from s2chips_core.ais.timing import Memory, closed, distinct, next_start, select_starts

    settings, now = workspace.settings(), workspace.clock()
    if settings.ais.source != "aisstream":
        return dg.SensorResult(skip_reason=not_real_ais(settings.ais.source), cursor=context.cursor)
    storage, today = workspace.storage(settings), now.date()
    days = [today + timedelta(days=n) for n in (-1, 0, 1)]
    plans = {day: _read_plan(storage, day, context) for day in days}
    windows = distinct(window for planned in plans.values() if planned for window in planned.windows)
    foreseen = distinct(window for planned in plans.values() if planned for window in planned.foreseen)
    memory = Memory.from_text(context.cursor)
    idle_reason = None if os.environ.get(KEY_VARIABLE) else KEY_MISSING

    # What is not started by this look waits for the next one: so that no capture has less than its lead.
    lead_s, linger_s = settings.scheduling.capture_lead_s + CAPTURE_INTERVAL_S, settings.ais.linger_s
    to_come = [window for window in windows if window.end > now]
    over = closed(memory.without(foreseen), now, linger_s)
    left = journals_left(storage)
    runs: list[CaptureRun] = []
    near = [window for window in to_come if window.start <= now + timedelta(seconds=lead_s)]
    if over or near:
        is_dead = partial(_has_lost_its_process, left=left, now=now, instance=context.instance)
        runs = past_runs.capture_runs(past_runs.runs_of_days(context.instance, days), windows, is_dead)

    missed: tuple[Missed, ...] = ()
    if over:
        judged = _judge(over, runs, storage, [window for one in left for window in one.windows], idle_reason, context)
        missed = judged.missed
        memory = memory.add([*judged.recorded, *(each.window for each in missed)], now)
    events = [_missed_event(each) for each in missed]
    if idle_reason:
        return dg.SensorResult(skip_reason=idle_reason, asset_events=events, cursor=memory.to_text())

    starts = select_starts(to_come, runs, now, lead_s=lead_s, linger_s=linger_s)
    requests = [_capture_request(start, today) for start in starts]
    killed = [one for one in left if not one.held]
    if killed and not starts:  # a capture that starts finishes them by itself
        requests += [_recovery_request(one, today) for one in killed if one.capture_id not in memory.recovery_asked]
        memory = dataclasses.replace(memory, recovery_asked=tuple(one.capture_id for one in killed))
    has_future = settings.satellite_tracking.source != "backfill"
    if has_future and None in (plans[today], plans[days[-1]]) and memory.plan_asked != today:
        # The weekly tick may have been missed, or never have come yet.
        requests.append(_plan_request(today))
        memory = dataclasses.replace(memory, plan_asked=today)
    asked = memory.plan_asked == today
    idle = _idle(today, plans[today] is not None, has_future, asked, len(near), next_start(to_come, now, lead_s))
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else idle,
        asset_events=events,
        cursor=memory.to_text(),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    windows: "list[Window]"
    foreseen: "list[Window]"
    """Those that somebody could have recorded: `backfill` takes its rows from scenes that were there already."""


def _read_plan(storage: Storage, day: date, context: dg.SensorEvaluationContext) -> _Planned | None:
    from s2chips_core import tables
    from s2chips_core.ais.windows import windows_of_plan
    from s2chips_core.overpasses.plan import PLAN_SCHEMA

    if not storage.exists(layout.plan(day)):
        return None
    try:
        passes = tables.read_table(storage, layout.plan(day), PLAN_SCHEMA)
    except (StorageError, SchemaError) as error:
        context.log.warning("the plan of %s cannot be used: %s", day, error)
        return None
    foreseen = passes[passes["source"] != "backfill"]
    return _Planned(windows=windows_of_plan(passes), foreseen=windows_of_plan(foreseen))


def _has_lost_its_process(
    run: dg.DagsterRun,
    windows: "Sequence[Window]",
    *,
    left: "Sequence[JournalLeft]",
    now: datetime,
    instance: dg.DagsterInstance,
) -> bool:
    """Whether nobody listens to windows that a started run has: Dagster itself does not notice a run that was killed.

    Told by windows and not by the name of the capture: a window that closed while the run was starting is not in it.
    """
    begun = [window for window in windows if window.start + SETTLED <= now]
    is_open = any(window.end > now for window in begun)
    if not begun or (not is_open and len(begun) < len(windows)):  # it waits for its next window
        return False
    if past_runs.running_for_s(instance, run) < SETTLED.total_seconds():
        return False
    held = [window for one in left if one.held for window in one.windows]
    return not any(window.is_same_pass(one) for window in begun for one in held)


def _judge(
    over: "Sequence[Window]",
    runs: "Sequence[CaptureRun]",
    storage: Storage,
    unfinished: "Sequence[Window]",
    idle_reason: str | None,
    context: dg.SensorEvaluationContext,
) -> "Judged":
    from s2chips_core.ais.capture_record import read_records
    from s2chips_core.ais.timing import Judged, judge

    try:
        records = [record for day in sorted({window.day for window in over}) for record in read_records(storage, day)]
    except StorageError as error:
        context.log.warning("windows are not judged: %s", error)
        return Judged(recorded=(), missed=())
    return judge(over, runs, records, unfinished, idle_reason)


def _missed_event(missed: "Missed") -> dg.AssetObservation:
    window = missed.window
    return dg.AssetObservation(
        asset_key="ais_snapshots",
        partition=window.day.isoformat(),
        description=f"Missed: {window.satellite} over {window.tile_id}. {missed.reason}",
        metadata={
            "status": "missed",
            "tile_id": window.tile_id,
            "satellite": window.satellite,
            "overpass_time": (window.overpass_time or window.start).isoformat(),
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "reason": missed.reason,
        },
    )


def _capture_request(start: "Start", today: date) -> dg.RunRequest:
    windows = start.group.windows
    return dg.RunRequest(
        job_name="capture_ais",
        run_key=start.run_key,
        # A window that opens before midnight may be of tomorrow, which is no partition yet.
        partition_key=min(windows[0].day, today).isoformat(),
        run_config=capture_run_config(windows),
        tags={**CAPTURE_TAGS, CAPTURE_TAG: start.group.group_id, ATTEMPT_TAG: str(start.attempt)},
    )


def _recovery_request(killed: "JournalLeft", today: date) -> dg.RunRequest:
    day = min((window.day for window in killed.windows), default=today)
    return dg.RunRequest(
        job_name="capture_ais",
        run_key=f"recover-{killed.capture_id}",
        partition_key=min(day, today).isoformat(),
        run_config=RECOVERY_RUN_CONFIG,
        tags=dict(CAPTURE_TAGS),
    )


def _plan_request(today: date) -> dg.RunRequest:
    return dg.RunRequest(
        job_name="plan_overpasses", run_key=f"plan@{today}", partition_key=today.isoformat(), tags=dict(PLANNING_TAGS)
    )


def _idle(today: date, planned: bool, has_future: bool, asked: bool, taken: int, due: datetime | None) -> str:
    if not planned:
        return f"there is no plan for {today}: {_remedy(has_future, asked)}"
    said = [f"the windows that are open or near have their runs ({taken})"] if taken else []
    if due is not None:
        said.append(f"the next capture is due at {due:%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(said) or "no window is to come in the plans of today and tomorrow"


def _remedy(has_future: bool, asked: bool) -> str:
    if not has_future:
        return "satellite_tracking.source is backfill, which has no future; auto, tle or acquisition_plan plan ahead"
    if asked:
        return "it was asked for; if plan_overpasses failed, its run says why: launch it again, or wait until tomorrow"
    return "weekly_overpass_plan makes it, or launch plan_overpasses for today"
