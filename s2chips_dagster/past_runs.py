"""What Dagster knows of the runs of some days: which record, which chip, and what became of them.

Here: asking the instance. Not here: what follows from it (`s2chips_core.ais.timing`, `sensors`, `schedules`).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from s2chips_core.ais.timing import CaptureRun, RunState
    from s2chips_core.ais.windows import Window

RECORDING_JOBS = ("capture_ais", "run_day")
CHIPPING_JOBS = ("chip_day", "run_day")
PARTITION_TAG = "dagster/partition"
RUN_KEY_TAG = "dagster/run_key"
KEY_TAG = "s2chips/ais_key"
"""`refused` on a run whose key the AIS service did not take."""
REFUSED = "refused"


def runs_of_days(instance: dg.DagsterInstance, days: Iterable[date]) -> list[dg.DagsterRun]:
    """All runs of single days, oldest first."""
    keys = sorted({day.isoformat() for day in days})
    return list(reversed(instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: keys})))) if keys else []


def capture_runs(
    runs: Sequence[dg.DagsterRun],
    windows: Sequence["Window"],
    is_dead: Callable[[dg.DagsterRun, Sequence["Window"]], bool],
) -> list["CaptureRun"]:
    """The runs that record, or were to, in the order given.

    Args:
        runs: of `runs_of_days`.
        windows: of the plan. A run by hand names none: while it is active it has those of its day.
        is_dead: whether a run that Dagster takes for running, and that has these windows, has lost its process, as after a
            crash of the machine.
    """
    from s2chips_core.ais.timing import CaptureRun, RunState

    found = []
    for run in runs:
        if not _makes(run, RECORDING_JOBS, "ais_snapshots") or _capture_config(run).get("only_recover"):
            continue
        state, named = _state(run), windows_of(run)
        if not named and state is RunState.ACTIVE:
            named = [window for window in windows if window.day.isoformat() == run.tags.get(PARTITION_TAG)]
        if run.status is dg.DagsterRunStatus.STARTED and is_dead(run, named):
            state = RunState.FAILED
        found.append(CaptureRun(run_id=run.run_id, state=state, windows=tuple(named)))
    return found


def windows_of(run: dg.DagsterRun) -> list["Window"]:
    """The windows that a run's config names; none for a run by hand."""
    from s2chips_core.ais.windows import Window

    try:
        return [Window.from_dict(each) for each in _capture_config(run).get("windows") or []]
    except (KeyError, ValueError, TypeError):
        return []  # refused in words by the run itself


def running_for_s(instance: dg.DagsterInstance, run: dg.DagsterRun) -> float:
    """How long ago a run was started, seconds of the machine's clock; 0 before that."""
    record = instance.get_run_record_by_id(run.run_id)
    return 0.0 if record is None or record.start_time is None else time.time() - record.start_time


def latest_chipping(runs: Sequence[dg.DagsterRun]) -> dict[str, dg.DagsterRun]:
    """Partition key -> the last run that chipped it, or is to. `runs`: of `runs_of_days`."""
    return {run.tags[PARTITION_TAG]: run for run in runs if _makes(run, CHIPPING_JOBS, "chips")}


def _capture_config(run: dg.DagsterRun) -> Mapping[str, Any]:
    tree: Any = run.run_config
    for name in ("ops", "ais_snapshots", "config"):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def _makes(run: dg.DagsterRun, jobs: Sequence[str], asset: str) -> bool:
    """Also when it was started from the asset's page, which is no job of ours."""
    return run.job_name in jobs or dg.AssetKey(asset) in (run.asset_selection or ())


def _state(run: dg.DagsterRun) -> "RunState":
    from s2chips_core.ais.timing import RunState

    if run.status is dg.DagsterRunStatus.FAILURE:
        return RunState.REFUSED if run.tags.get(KEY_TAG) == REFUSED else RunState.FAILED
    ended = {dg.DagsterRunStatus.SUCCESS: RunState.DONE, dg.DagsterRunStatus.CANCELED: RunState.CANCELLED}
    return ended.get(run.status, RunState.ACTIVE)
