"""Whether tomorrow is planned, and from what it can be: the checks `plan` and `plan sources` of `s2chips doctor`.

Here: reading the plan and its sources, by the same readers as planning. Not here: the other checks (`doctor`), what is found
(`findings`).
"""

from collections.abc import Sequence
from datetime import date, datetime

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.errors import S2ChipsError
from s2chips_core.overpasses.elements import RefusedElements, select_elements
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.segment_passes import coverage
from s2chips_core.overpasses.source_data import read_acquisition_plans, read_elements
from s2chips_core.overpasses.spans import day_span, overlap
from s2chips_core.storage import Storage
from s2chips_dagster.findings import Finding, SourceAnswer, failed, judge_plan, judge_sources, skipped


def check_plan(settings: Settings, storage: Storage, day: date) -> Finding:
    """Whether `day` is planned."""
    if not storage.exists(layout.plan(day)):
        return judge_plan(day, None, settings)
    try:
        rows = len(tables.read_table(storage, layout.plan(day), PLAN_SCHEMA))
    except S2ChipsError as error:
        return failed("plan", str(error), "launch plan_overpasses for today: it writes the plan anew")
    return judge_plan(day, rows, settings)


def check_plan_sources(settings: Settings, storage: Storage, day: date, now: datetime, *, offline: bool) -> Finding:
    """What the sources give for `day`; a copy that is fresh enough is taken, as planning does.

    Args:
        settings: `satellite_tracking` names the sources.
        storage: has the copies.
        day: UTC.
        now: aware.
        offline: look at those only that are files.
    """
    tracking = settings.satellite_tracking
    mode, satellites = tracking.source, tracking.satellites
    if mode == "backfill":
        return skipped("plan sources", "satellite_tracking.source is backfill, which plans from the archive")
    keys = [k for k in ("tle_sources", "acquisition_plan_sources") if mode == "auto" or k.startswith(mode)]
    urls = [source for key in keys for source in getattr(tracking, key) if "://" in source]
    if offline:
        files = {key: tuple(s for s in getattr(tracking, key) if "://" not in s) for key in keys}
        tracking = tracking.model_copy(update=files)
    answers = []
    if "tle_sources" in keys:
        sets, start = read_elements(tracking, storage=storage, now=now), day_span(day)[0]
        picked = {s: select_elements(sets.elements, s, start, tracking.max_tle_age_days) for s in satellites}
        why = [one.reason for one in picked.values() if isinstance(one, RefusedElements)]
        usable = [s for s, one in picked.items() if not isinstance(one, RefusedElements)]
        answers.append(_answer("orbital elements", "tle_sources", usable, satellites, [*sets.notes, *why]))
    if "acquisition_plan_sources" in keys:
        plans = read_acquisition_plans(tracking, storage=storage, now=now)
        usable = [s for s in satellites if overlap(coverage(plans.plans, s), day_span(day))]
        answers.append(_answer("acquisition plans", "acquisition_plan_sources", usable, satellites, plans.notes))
    return judge_sources(mode, answers, day, left_out=offline and bool(urls))


def _answer(what: str, key: str, usable: Sequence[str], satellites: Sequence[str], notes: Sequence[str]) -> SourceAnswer:
    missing = tuple(s for s in satellites if s not in usable)
    return SourceAnswer(what=what, key=key, usable=tuple(usable), missing=missing, notes=tuple(notes))
