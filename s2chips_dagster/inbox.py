"""The inbox of AIS files under Dagster: the look of `ais_inbox_sensor`, and the run that takes a file and moves it on.

Here: runs that were asked for a file, asking for one, what is put beside a file. Not here: which file is ready and what is
done with it (`s2chips_core.ais.inbox`), moving files (`s2chips_core.ais.inbox_folder`), chipping (`file_job`).
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import dagster as dg

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import InputError, S2ChipsError, StorageError
from s2chips_core.storage import Storage
from s2chips_dagster.jobs import CHIPPING_TAGS
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.ais.inbox import DropRun
    from s2chips_core.ais.inbox_folder import Inbox, Listing

INTERVAL_S = 30
BUDGET_S = 30.0
"""Of one look: Dagster gives up after 60 s, and a gigabyte takes seconds to hash."""
NAME_TAG, SHA256_TAG, ATTEMPT_TAG = "s2chips/inbox_file", "s2chips/inbox_sha256", "s2chips/attempt"
TAKEN_TAG = "s2chips/inbox_taken"
"""On a run that has taken its file out of the inbox, or is about to: its folder under `working`."""
AGAIN = "Drop the file again to retry: what is done is not done twice."
MOST_NAMED = 5
"""Files that a skip reason names."""


class _Chipped(Protocol):
    @property
    def source_id(self) -> str: ...
    @property
    def report(self) -> bytes: ...
    @property
    def again(self) -> str | None: ...


_T = TypeVar("_T", bound=_Chipped)


def build_inbox_sensor(settings: Settings, job: dg.JobDefinition) -> dg.SensorDefinition:
    """`ais_inbox_sensor`; on where there is an inbox."""

    @dg.sensor(
        name="ais_inbox_sensor",
        job=job,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.inbox_folder else dg.DefaultSensorStatus.STOPPED,
        description="Chips each AIS file (CSV, XLSX, Parquet) that is dropped into the folder ais.inbox, once; then the "
        "file is in done/ with a report of its rows beside it, or in failed/ with the error.",
    )
    def ais_inbox_sensor(context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
        return look_into_inbox(context, workspace, time.time)

    return ais_inbox_sensor


def look_into_inbox(
    context: dg.SensorEvaluationContext, workspace: Workspace, machine_clock: Callable[[], float]
) -> dg.SensorResult:
    """One look.

    Args:
        context: of the sensor.
        workspace: settings and storage.
        machine_clock: seconds from 1970; files settle by it, not by the clock that runs see, which may stand still.
    """
    from s2chips_core.ais.inbox import Sightings, settle
    from s2chips_core.ais.inbox_folder import Inbox

    settings = workspace.settings()
    if settings.inbox_folder is None:
        return dg.SensorResult(skip_reason="ais.inbox is null: there is no inbox", cursor=None)
    inbox, storage = Inbox(settings.inbox_folder), workspace.storage(settings)
    try:
        inbox.prepare()
        _finish_killed(context, inbox, storage)
        listing = inbox.listing()
    except StorageError as error:
        return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
    ready, sightings = settle(listing.files, Sightings.from_text(context.cursor), machine_clock())
    requests, waiting = _ask(context, inbox, storage, [file.name for file in ready])
    settling = {file.name: "it has just come, or still changes" for file in listing.files if file not in ready}
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _idle(inbox, listing, {**listing.waiting, **settling, **waiting}),
        cursor=sightings.to_text(),
    )


def chip_dropped(
    context: dg.OpExecutionContext, path: Path, sha256: str, storage: Storage, chip: Callable[[Path], _T]
) -> None:
    """Take a file out of the inbox, chip it and move it on, whatever comes.

    Args:
        context: of the run.
        path: of the file in the inbox.
        sha256: of its bytes when it was asked for.
        storage: the dataset.
        chip: makes the chips of a file.

    Raises:
        InputError: the file is gone, or another one, or is being written to; a run of its own is asked for what is there.
    """
    from s2chips_core.ais.inbox_folder import DONE, ERROR, FAILED, NOTE, REPORT, Inbox, working

    inbox, work_id = Inbox(path.parent), _work_id(sha256, context.run_id)
    if inbox.sha256(path.name) != sha256:
        raise InputError(str(path), "another content than when it was looked at", "a file that nobody writes to")
    with working(storage, work_id):
        # Before the file is gone: a run that is killed between the two leaves a file that counts as dropped again.
        context.instance.add_run_tags(context.run_id, {TAKEN_TAG: work_id})
        taken = inbox.take(path.name, work_id)
        try:
            chipped = chip(taken)
            if chipped.source_id != layout.file_source(sha256):
                raise InputError(path.name, "a file that was written to while it was chipped", "a whole file: drop it again")
        except BaseException as error:
            _log_move(context, inbox.conclude(work_id, FAILED, {ERROR: _told(error, context.run_id).encode()}))
            raise
        beside = {REPORT: chipped.report} | ({NOTE: f"{chipped.again}\n".encode()} if chipped.again else {})
        _log_move(context, inbox.conclude(work_id, DONE, beside))


def _ask(
    context: dg.SensorEvaluationContext, inbox: "Inbox", storage: Storage, names: Sequence[str]
) -> tuple[list[dg.RunRequest], dict[str, str]]:
    """Requests for settled files, and why others wait."""
    from s2chips_core.ais.inbox import GiveUp, Wait, decide

    began = time.monotonic()
    requests: list[dg.RunRequest] = []
    waiting: dict[str, str] = {}
    asked: dict[str, str] = {}
    for name in names:
        if time.monotonic() - began > BUDGET_S:
            waiting[name] = "the next look has time for it"
            continue
        try:
            sha256 = inbox.sha256(name)
            if sha256 in asked:
                waiting[name] = f"it has the same content as {asked[sha256]}, which is chipped first"
                continue
            decision = decide(name, sha256, _runs_of_content(context.instance, inbox, sha256))
            if isinstance(decision, Wait):
                waiting[name] = decision.reason
            elif isinstance(decision, GiveUp):
                _give_up(context, inbox, storage, name, sha256, decision.run_id)
            else:
                if decision.same_as:
                    context.log.warning("%s has the content of %s, which was dropped before", name, decision.same_as)
                asked[sha256] = name
                requests.append(_request(inbox, name, sha256, decision.run_key, decision.attempt))
        except StorageError as error:
            waiting[name] = str(error)
    return requests, waiting


def _request(inbox: "Inbox", name: str, sha256: str, run_key: str, attempt: int) -> dg.RunRequest:
    config = {"path": str(inbox.root / name), "inbox_sha256": sha256}
    return dg.RunRequest(
        run_key=run_key,
        run_config={"ops": {"chip_ais_file": {"config": config}}},
        tags={**CHIPPING_TAGS, NAME_TAG: name, SHA256_TAG: sha256, ATTEMPT_TAG: str(attempt)},
    )


def _runs_of_content(instance: dg.DagsterInstance, inbox: "Inbox", sha256: str) -> "list[DropRun]":
    from s2chips_core.ais.inbox import DropRun

    working = set(inbox.work_ids())
    found = []
    for run in reversed(instance.get_runs(dg.RunsFilter(tags={SHA256_TAG: sha256}))):
        work_id = run.tags.get(TAKEN_TAG)
        # A run that was killed goes on for Dagster; here it has ended when its file was moved on.
        moved_on = work_id is not None and work_id not in working
        found.append(
            DropRun(
                run_id=run.run_id,
                name=run.tags.get(NAME_TAG, ""),
                ended=run.is_finished or moved_on,
                taken=work_id is not None,
            )
        )
    return found


def _give_up(
    context: dg.SensorEvaluationContext, inbox: "Inbox", storage: Storage, name: str, sha256: str, run_id: str
) -> None:
    from s2chips_core.ais.inbox_folder import ERROR, FAILED, working

    work_id = _work_id(sha256, run_id)
    with working(storage, work_id):
        context.instance.add_run_tags(run_id, {TAKEN_TAG: work_id})
        inbox.take(name, work_id)
        error = f"Run {run_id} ended before it took the file: its page in Dagster says why. Drop the file again to retry.\n"
        context.log.warning("%s: %s", inbox.conclude(work_id, FAILED, {ERROR: error.encode()}), error.strip())


def _finish_killed(context: dg.SensorEvaluationContext, inbox: "Inbox", storage: Storage) -> None:
    """Move on what runs that were killed have left."""
    from s2chips_core.ais.inbox_folder import working

    for work_id in inbox.work_ids():
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(working(storage, work_id))
            except StorageError:
                continue  # its run lives
            error = f"The run that had this file was killed ({work_id}). {AGAIN}"
            try:
                moved = inbox.finish(work_id, error)
            except StorageError as problem:
                context.log.warning("%s", problem)  # the next look tries again
                continue
        if moved is not None:
            context.log.warning("%s: moved on for a run that was killed", moved)


def _work_id(sha256: str, run_id: str) -> str:
    return f"{sha256[:12]}-{run_id[:8]}"


def _told(error: BaseException, run_id: str) -> str:
    if isinstance(error, S2ChipsError):
        said = str(error)
    elif isinstance(error, dg.Failure):
        said = error.description or "failed"
    elif isinstance(error, Exception):
        said = f"{type(error).__name__}: {error}"
    else:
        said = "The run was cancelled."
    return f"{said}\nRun {run_id}. {AGAIN}\n"


def _log_move(context: Any, where: Path) -> None:
    context.log.info("the file is now %s", where)


def _idle(inbox: "Inbox", listing: "Listing", waiting: dict[str, str]) -> str:
    if not waiting:
        return f"nothing lies in {inbox.root}" if not listing.files else f"all files of {inbox.root} were moved on"
    named = "; ".join(f"{name}: {reason}" for name, reason in list(waiting.items())[:MOST_NAMED])
    more = len(waiting) - MOST_NAMED
    return f"in {inbox.root}: {named}" + (f"; and {more} more" if more > 0 else "")
