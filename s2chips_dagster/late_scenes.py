"""The look for late scenes: which days with pending ships are chipped again.

Here: whose turn it is, the budget of one look, asking for runs. Not here: what matching says now
(`s2chips_core.scenes.late`).
"""

import threading
import time
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from s2chips_core import layout
from s2chips_core.errors import ArchiveError, SchemaError, StorageError
from s2chips_dagster import past_runs
from s2chips_dagster.jobs import CHIPPING_TAGS
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.scenes.late import LateScenes

BUDGET_S = 30.0
"""Dagster gives up a look after 60 s."""
DAYS_AT_ONCE = 4
"""Days that are asked for in one look; the others have their turn at the next."""

_T = TypeVar("_T")


def look_for_scenes(context: dg.SensorEvaluationContext, workspace: Workspace, asker: "Asker") -> dg.SensorResult:
    """One look of `late_scene_sensor`: the next few days in turn, within its budget."""
    from s2chips_core.scenes.late import days_to_look_at, find_late_scenes, in_turn, pending_targets

    began = time.monotonic()
    settings, now = workspace.settings(), workspace.clock()
    storage = workspace.storage(settings)
    last = _day_or_none(context.cursor)
    matched = [
        day
        for day in days_to_look_at(now.date(), settings.scheduling.give_up_days)
        if storage.exists(layout.matches_part(day, layout.CAPTURE))
    ]
    chipping = past_runs.latest_chipping(past_runs.runs_of_days(context.instance, matched))
    requests: list[dg.RunRequest] = []
    asked, pending_ships, problem = 0, 0, ""
    for day in in_turn(matched, last):
        left_s = BUDGET_S - (time.monotonic() - began)
        if asked == DAYS_AT_ONCE or left_s <= 0:
            break
        last = day  # also when it goes wrong: the others have their turn
        run = chipping.get(day.isoformat())
        if run is not None and not run.is_finished:
            continue
        try:
            pending = pending_targets(storage, day)
            if pending.empty:
                continue
            asked, pending_ships = asked + 1, pending_ships + len(pending)

            def ask(progress: Callable[[object], None], day: date = day, pending: Any = pending) -> "LateScenes":
                return find_late_scenes(day, pending, settings=settings, storage=storage, now=now, progress=progress)

            late = asker.ask(ask, left_s)
        except (ArchiveError, StorageError, SchemaError) as error:
            problem = f"{day}: {error}"
            context.log.warning("%s", problem)
            break
        context.log.info(
            "%s: %d ships pending, %d of them have news, %d requests", day, late.pending, len(late.changed), late.requests
        )
        if late.changed:
            requests.append(
                dg.RunRequest(run_key=f"{day}@{late.key}", partition_key=day.isoformat(), tags=dict(CHIPPING_TAGS))
            )
    skip_reason = None
    if not requests:
        skip_reason = problem or (
            f"nothing new for {pending_ships} pending ships of {asked} days" if asked else "no ship is pending"
        )
    return dg.SensorResult(run_requests=requests, skip_reason=skip_reason, cursor=None if last is None else last.isoformat())


class Asker:
    """Asks in a thread of its own, so that an archive that does not answer costs no more than its time."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._waiting: threading.Thread | None = None

    def ask(self, question: Callable[[Callable[[object], None]], _T], left_s: float) -> _T:
        """The answer.

        Args:
            question: is given a progress callback that ends it when nobody waits any longer.
            left_s: wait no longer than this, seconds.

        Raises:
            ArchiveError: there was no answer in time, or an earlier question has not ended yet.
        """
        if self._waiting is not None and self._waiting.is_alive():
            raise ArchiveError("archive", "an earlier question has not been answered yet")
        given_up = threading.Event()
        answers: list[_T] = []
        errors: list[BaseException] = []

        def heard(_: object) -> None:
            if given_up.is_set():
                raise ArchiveError("archive", "nobody waits for the answer any longer")

        def work() -> None:
            try:
                answers.append(question(heard))
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                errors.append(error)

        self._waiting = threading.Thread(target=work, name="late-scenes", daemon=True)
        self._waiting.start()
        self._waiting.join(min(left_s, self._most_s))
        if self._waiting.is_alive():
            given_up.set()
            raise ArchiveError("archive", f"no answer within {min(left_s, self._most_s):.0f} s")
        if errors:
            raise errors[0]
        return answers[0]


def _day_or_none(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
