"""Dagster's runs that ended long ago: their rows, events and compute logs.

Not here: what else gets old (`s2chips_core.index.housekeeping`).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
AT_ONCE = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OldRun:
    """A run that may go."""

    run_id: str
    job: str
    created: datetime
    """Aware UTC."""
    size_bytes: int
    """Of its files on this machine; 0 where Dagster keeps everything elsewhere."""


def find_old_runs(instance: dg.DagsterInstance, before: datetime) -> list[OldRun]:
    """Every run that has ended and was created before a moment, oldest first."""
    found: list[OldRun] = []
    cursor = None
    asked = dg.RunsFilter(statuses=list(ENDED), created_before=before)
    while records := instance.get_run_records(asked, limit=AT_ONCE, cursor=cursor):
        cursor = records[-1].dagster_run.run_id
        for record in records:
            run = record.dagster_run
            size_bytes = sum(file.stat().st_size for file in _files(instance, run.run_id))
            found.append(OldRun(run_id=run.run_id, job=run.job_name, created=record.create_timestamp, size_bytes=size_bytes))
    return found[::-1]


def delete_runs(instance: dg.DagsterInstance, runs: Sequence[OldRun]) -> None:
    """Remove them; one that is not ended, because somebody has started it again, is left."""
    for old in runs:
        run = instance.get_run_by_id(old.run_id)
        if run is None or run.status not in ENDED:
            continue
        files = list(_files(instance, old.run_id))
        instance.compute_log_manager.delete_logs(prefix=[old.run_id])
        instance.delete_run(old.run_id)
        for file in files:  # Dagster empties the events' database, and leaves it
            file.unlink(missing_ok=True)


def _files(instance: dg.DagsterInstance, run_id: str) -> Iterator[Path]:
    """Of a run alone, where Dagster keeps things on this machine."""
    from dagster._core.storage.event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        database = Path(storage.path_for_shard(run_id))
        yield from (path for path in database.parent.glob(f"{database.name}*") if path.is_file())
    folder = Path(instance.storage_directory()) / run_id
    yield from (path for path in folder.rglob("*") if path.is_file())
