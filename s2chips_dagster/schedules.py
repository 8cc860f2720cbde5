"""The schedules: what is started at a time of the day, UTC.

A schedule never catches up on ticks that were missed: each tick asks for all that is outstanding. Which day is today is
told by the workspace's clock. Not here: captures around passes and late scenes (`sensors`).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import dagster as dg

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.sections import Scheduling
from s2chips_core.storage import Storage
from s2chips_dagster import past_runs
from s2chips_dagster.housekeeping_job import WEEKLY_RUN_CONFIG
from s2chips_dagster.jobs import CAPTURE_TAGS, CHIPPING_TAGS, HOUSEKEEPING_TAGS, PLANNING_TAGS, PRUNING_TAGS, job_named
from s2chips_dagster.prune_jobs import NIGHTLY_RUN_CONFIG
from s2chips_dagster.resources import Workspace
from s2chips_dagster.run_config import KEY_MISSING, KEY_VARIABLE, capture_run_config, not_real_ais

ON, OFF = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED


class DayState(StrEnum):
    """How far the chips of a day's capture are."""

    NO_AIS = "without AIS"
    IN_PROGRESS = "in progress"
    CHIPPED = "chipped"
    OUTSTANDING = "outstanding"
    TRIED_TODAY = "tried today already"


def build_schedules(settings: Settings, jobs: list[Any]) -> list[dg.ScheduleDefinition]:
    """The schedules, at the times of the configuration file."""
    times = settings.scheduling

    def at(cron: str, job: str, status: dg.DefaultScheduleStatus, description: str) -> Callable[..., dg.ScheduleDefinition]:
        """Makes a schedule of the function that it is put on, and names it after that."""
        return dg.schedule(
            job=job_named(jobs, job),
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=status,
            description=description,
        )

    @at(times.weekly_plan_cron, "plan_overpasses", ON, "Plans satellite_tracking.horizon_days from today.")
    def weekly_overpass_plan(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
        source, today = workspace.settings().satellite_tracking.source, workspace.clock().date()
        if source == "backfill":
            return dg.SkipReason("satellite_tracking.source is backfill, which has no future; a day is planned by run_day")
        return dg.RunRequest(run_key=f"weekly@{today}", partition_key=today.isoformat(), tags=dict(PLANNING_TAGS))

    @at(
        times.chipping_cron,
        "chip_day",
        ON,
        "Chips every day with AIS and without outcomes, from give_up_days to lag_days ago.",
    )
    def lagged_chipping(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> list[dg.RunRequest] | dg.SkipReason:
        now, today = workspace.settings(), workspace.clock().date()
        days = lagged_days(today, now.scheduling)
        states = day_states(days, today, workspace.storage(now), context.instance)
        outstanding = [day for day, state in states.items() if state is DayState.OUTSTANDING]
        if not outstanding:
            return dg.SkipReason(_nothing_to_chip(days, states.values()))
        return [
            dg.RunRequest(run_key=chipping_key(day, today), partition_key=day.isoformat(), tags=dict(CHIPPING_TAGS))
            for day in outstanding
        ]

    @at(
        times.periodic_ais_cron,
        "capture_ais",
        OFF,
        "Records AIS of all watched tiles for 2 × ais.window_min, whether a satellite passes or not.",
    )
    def periodic_ais_capture(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
        from s2chips_core.ais.windows import Window
        from s2chips_core.overpasses.plan import watched_tiles

        settings, now = workspace.settings(), workspace.clock()
        if settings.ais.source != "aisstream":
            return dg.SkipReason(not_real_ais(settings.ais.source))
        if not os.environ.get(KEY_VARIABLE):
            return dg.SkipReason(KEY_MISSING)
        tiles = watched_tiles(settings.satellite_tracking)
        if not tiles:
            return dg.SkipReason("no tile is watched: name some in satellite_tracking.tiles or areas")
        end = now + timedelta(minutes=2 * settings.ais.window_min)
        windows = [Window(tile_id=tile, satellite="", overpass_time=None, start=now, end=end) for tile in tiles]
        return dg.RunRequest(
            run_key=f"periodic@{now:%Y-%m-%dT%H:%M}",
            partition_key=now.date().isoformat(),
            run_config=capture_run_config(windows),
            tags=dict(CAPTURE_TAGS),
        )

    @at(
        times.prune_cron,
        "prune_by_ais",
        OFF,
        "Moves every chip that recorded AIS does not vouch for to the trash; not a dry run. Where old AIS has been deleted, "
        "nothing vouches for its chips.",
    )
    def nightly_prune(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest:
        return _on_the_whole("prune", workspace, NIGHTLY_RUN_CONFIG, PRUNING_TAGS)

    @at(
        times.housekeeping_cron,
        "housekeeping",
        OFF,
        "Removes what is older than the section retention says, for good; not a dry run.",
    )
    def weekly_housekeeping(context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest:
        return _on_the_whole("housekeeping", workspace, WEEKLY_RUN_CONFIG, HOUSEKEEPING_TAGS)

    return [weekly_overpass_plan, lagged_chipping, periodic_ais_capture, nightly_prune, weekly_housekeeping]


def _on_the_whole(word: str, workspace: Workspace, run_config: Mapping[str, Any], tags: Mapping[str, str]) -> dg.RunRequest:
    """A run that is of no day, once on each day."""
    return dg.RunRequest(run_key=f"{word}@{workspace.clock().date()}", run_config=run_config, tags=dict(tags))


def lagged_days(today: date, scheduling: Scheduling) -> list[date]:
    """From `give_up_days` to `lag_days` ago, oldest first; the day of the lag also when it is given up sooner."""
    oldest = max(scheduling.give_up_days, scheduling.lag_days)
    days = (today - timedelta(days=ago) for ago in range(oldest, scheduling.lag_days - 1, -1))
    return [day for day in days if day >= scheduling.first_day]


def chipping_key(day: date, today: date) -> str:
    """A day is asked for once on each day."""
    return f"{day}@{today}"


def day_states(days: list[date], today: date, storage: Storage, instance: dg.DagsterInstance) -> dict[date, DayState]:
    """How far each day is, by what is on disk and by its last run."""
    with_ais = [day for day in days if _has_snapshots(storage, day)]
    states = dict.fromkeys(days, DayState.NO_AIS)
    runs = past_runs.runs_of_days(instance, with_ais)
    last_runs = past_runs.latest_chipping(runs)
    asked = {run.tags.get(past_runs.RUN_KEY_TAG) for run in runs}
    newer = _recorded_after_chipping(instance, with_ais)
    for day in with_ais:
        last = last_runs.get(day.isoformat())
        failed = last is not None and last.status is dg.DagsterRunStatus.FAILURE
        if last is not None and not last.is_finished:
            states[day] = DayState.IN_PROGRESS
        elif storage.exists(layout.outcomes_part(day, layout.CAPTURE)) and not failed and day not in newer:
            states[day] = DayState.CHIPPED
        else:
            states[day] = DayState.TRIED_TODAY if chipping_key(day, today) in asked else DayState.OUTSTANDING
    return states


def _has_snapshots(storage: Storage, day: date) -> bool:
    return any(layout.is_snapshot(key) for key in storage.list(layout.ais_folder(day)))


def _recorded_after_chipping(instance: dg.DagsterInstance, days: Iterable[date]) -> set[date]:
    """The days that were chipped before their last capture ended: the journal of a killed one is picked up late."""
    by_key = {day.isoformat(): day for day in days}
    recorded, chipped = (_materialised(instance, asset, set(by_key)) for asset in ("ais_snapshots", "chips"))
    return {by_key[key] for key, at in chipped.items() if recorded.get(key, 0) > at}


def _materialised(instance: dg.DagsterInstance, asset: str, partitions: set[str]) -> Mapping[str, int]:
    """Partition -> where its last materialisation is in the order of all events."""
    if not partitions:
        return {}
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    return instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), kind, partitions)


def _nothing_to_chip(days: list[date], states: Iterable[DayState]) -> str:
    if not days:
        return "no day is old enough: scheduling.first_day is later than lag_days ago"
    found = list(states)
    told = ", ".join(f"{found.count(state)} {state}" for state in DayState if state in found)
    return f"nothing to chip from {days[0]} to {days[-1]}: {told}"
