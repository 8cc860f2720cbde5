"""The door of this stage: the overpass plan of some days, made from the configured source and written.

Here: which source is asked for what. Not here: how a source makes its plan (`tle_plan`, `segment_passes`, `repeat_cycle`),
who is believed (`combine`), how texts are had (`sources`), the files of a day (`plan_files`). The archive is asked through a
function that is passed in: searching is a later stage.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from s2chips_core.config import Settings
from s2chips_core.errors import ArchiveError, InputError
from s2chips_core.overpasses.acquisition_plan import AcquisitionPlan
from s2chips_core.overpasses.combine import (
    Candidate,
    combine_plans,
    compare_plans,
    describe_comparison,
)
from s2chips_core.overpasses.elements import Elements, RefusedElements, select_elements
from s2chips_core.overpasses.plan import (
    OBSERVED_COLUMNS,
    Observe,
    Observed,
    Plan,
    backfill_plan,
    watched_tiles,
)
from s2chips_core.overpasses.plan_files import read_notes, read_swaths, write_day
from s2chips_core.overpasses.repeat_cycle import plan_by_repeat_cycle
from s2chips_core.overpasses.segment_passes import coverage, plan_by_acquisition
from s2chips_core.overpasses.source_data import read_acquisition_plans, read_elements, reasons_of
from s2chips_core.overpasses.spans import Span, day_span, gaps_of, join_spans, overlap
from s2chips_core.overpasses.tle_plan import plan_by_tle
from s2chips_core.storage import Storage

LOOK_BACK = timedelta(days=21)
"""How far back the archive is asked for what repeats: two cycles, so that a satellite that was moved shows, and a day."""
ASKED_AT_ONCE = timedelta(days=31)
FIRST_DAY, LAST_DAY = date(2015, 6, 23), date(2099, 12, 31)
"""Sentinel-2A was launched on the first; two digits tell the year of elements."""

__all__ = ["PlannedDays", "plan_overpasses", "read_notes", "read_swaths"]

_log = logging.getLogger(__name__)

Progress = Callable[[object], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDays:
    """The plan of some days, as written, and what it cost."""

    plan: Plan
    """All days; its notes are about all of them."""
    by_day: dict[date, pd.DataFrame]
    """PLAN_SCHEMA, one for every day."""
    requests: int
    """Sent to the archive and to the sources of elements and plans."""
    seconds: float
    keys: tuple[str, ...]
    """What was written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A plan, and what is to be said of a part of its time."""

    plan: Plan
    notes_of: Callable[[Span], list[str]]
    requests: int


def plan_overpasses(
    first: date,
    days: int,
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    observe: Observe,
    progress: Progress | None = None,
) -> PlannedDays:
    """Plan `days` UTC days from `first` on with `satellite_tracking.source`, and write the plan, swaths and notes of each.

    A plan that is there is replaced. `tle` and `acquisition_plan` do not ask the archive; `auto` does, once, when a day is
    past or neither plans nor elements cover all.

    Args:
        first: the first day.
        days: how many, from 1.
        settings: `satellite_tracking` and `ais.window_min`; with `auto` also `scheduling.lag_days`: what the archive does
            not have after so long (a day at least) was not imaged.
        storage: the dataset.
        now: aware UTC.
        observe: asks the archive.
        progress: told what is asked.

    Raises:
        InputError: no element set, or no plan, can be used at all; it says why of each. Or the days are before the first
            satellite, or a configured tile does not exist.
        ArchiveError: the archive did not answer, and it is the source.
        StorageError: the dataset cannot be written.
    """
    if days < 1:
        raise ValueError(f"{days} days: expected 1 or more")
    if not (first >= FIRST_DAY and first.toordinal() + days <= LAST_DAY.toordinal()):
        raise InputError("days to plan", f"{days} from {first}", f"days from {FIRST_DAY} to {LAST_DAY}")
    began = time.monotonic()
    span = day_span(first)[0], day_span(first + timedelta(days=days - 1))[1]
    maker = _Maker(span, settings, storage, now, observe, progress)
    made = {
        "backfill": maker.backfill,
        "tle": maker.tle,
        "acquisition_plan": maker.acquisition_plan,
        "auto": maker.auto,
    }[settings.satellite_tracking.source]()
    by_day: dict[date, pd.DataFrame] = {}
    keys: list[str] = []
    for n in range(days):
        day = first + timedelta(days=n)
        by_day[day] = _within(made.plan.passes, day_span(day))
        keys += write_day(storage, day, by_day[day], made.plan.swaths, made.notes_of(day_span(day)))
    rows = len(made.plan.passes)
    seconds = time.monotonic() - began
    _log.info("%d overpasses of %d days from %s, %d requests, %.1f s", rows, days, first, made.requests, seconds)
    return PlannedDays(
        plan=dataclasses.replace(made.plan, notes=tuple(made.notes_of(span))),
        by_day=by_day,
        requests=made.requests,
        seconds=seconds,
        keys=tuple(keys),
    )


class _Maker:
    """One plan in the making."""

    def __init__(
        self,
        span: Span,
        settings: Settings,
        storage: Storage,
        now: datetime,
        observe: Observe,
        progress: Progress | None,
    ) -> None:
        self.span, self.settings, self.storage, self.now = span, settings, storage, now
        self.tracking = settings.satellite_tracking
        self.tiles = watched_tiles(self.tracking)
        self.satellites: list[str] = list(dict.fromkeys(self.tracking.satellites))
        self.window_min = settings.ais.window_min
        self._max_age_days = self.tracking.max_tle_age_days
        self._observe, self._progress = observe, progress
        self.requests = 0

    def backfill(self) -> _Made:
        seen = self.observed(*self.span)
        passes = backfill_plan(seen, self.tiles, self.satellites, self.window_min)
        return _Made(plan=Plan(passes=_within(passes, self.span)), notes_of=lambda span: [], requests=self.requests)

    def tle(self) -> _Made:
        sets, said = self._elements()
        if not any(overlap(spans, self.span) for spans in self._fresh(sets).values()):
            why = [select_elements(sets, satellite, self.span[0], self._max_age_days) for satellite in self.satellites]
            refused = [one for one in why if isinstance(one, RefusedElements)]
            said = said if self.tracking.tle_sources else ["no source is configured"]
            raise InputError(
                "satellite_tracking.tle_sources", "; ".join([*said, *reasons_of(refused)]), "element sets that can be used"
            )
        plan = self._by_tle(sets, self.tiles, self.span)

        def notes_of(span: Span) -> list[str]:
            return _each_once([*said, *self._by_tle(sets, [], span).notes])

        return _Made(plan=plan, notes_of=notes_of, requests=self.requests)

    def acquisition_plan(self) -> _Made:
        plans, said = self._plans()
        covers = {satellite: coverage(plans, satellite) for satellite in self.satellites}
        if not any(overlap(spans, self.span) for spans in covers.values()):
            have = [
                f"the plans of {satellite} are of {' and '.join(f'{a:%Y-%m-%d} to {b:%Y-%m-%d}' for a, b in spans)}"
                for satellite, spans in covers.items()
                if spans
            ]
            got = "; ".join([*said, *have]) or "nothing: no source is configured"
            expected = f"acquisition plans that cover {self.span[0]:%Y-%m-%d} to {self.span[1]:%Y-%m-%d}"
            raise InputError("satellite_tracking.acquisition_plan_sources", got, expected)
        plan = self._by_plans(plans, self.tiles, self.span)

        def notes_of(span: Span) -> list[str]:
            return _each_once([*said, *self._by_plans(plans, [], span).notes])

        return _Made(plan=plan, notes_of=notes_of, requests=self.requests)

    def auto(self) -> _Made:
        plans, said = self._plans()
        sets, said_of_sets = self._elements()
        said += said_of_sets
        planned = {satellite: coverage(plans, satellite) for satellite in self.satellites}
        fresh = self._fresh(sets)
        candidates = [
            Candidate(source="acquisition_plan", plan=self._by_plans(plans, self.tiles, self.span), covers=planned),
            Candidate(source="tle", plan=self._by_tle(sets, self.tiles, self.span), covers=fresh),
        ]
        either = {satellite: [*planned[satellite], *fresh[satellite]] for satellite in self.satellites}
        gaps = any(gaps_of(spans, self.span) for spans in either.values())
        settled = datetime.min.replace(tzinfo=UTC)
        unseen: set[str] = set()
        if gaps or self.span[0].date() < self.now.date():
            since = min(self.span[0], self.now) - LOOK_BACK if gaps else self.span[0]
            try:
                seen = self.observed(since, min(self.span[1], self.now))
            except ArchiveError as error:
                said.append(str(error))
                if not any(overlap(spans, self.span) for spans in either.values()):
                    raise InputError("satellite_tracking", "; ".join(said), "a source that can be used") from error
            else:
                candidates.append(self._by_archive(seen, repeat=gaps))
                unseen = set(self.satellites) - set(seen["satellite"])
                settled = self.now - timedelta(days=max(self.settings.scheduling.lag_days, 1))
        combined = combine_plans(candidates)
        passes = combined.passes
        not_imaged = (passes["overpass_time"] < settled) & (passes["source"] != "backfill")
        plan = dataclasses.replace(combined, passes=passes[~not_imaged].reset_index(drop=True))
        compared = compare_plans(candidates)
        by_archive = [note for candidate in candidates[2:] for note in candidate.plan.notes]
        # Where one source ends another goes on: that is said once, where none is left but the archive.
        problems = self._by_plans(plans, [], (self.span[0], self.span[0])).notes

        def notes_of(span: Span) -> list[str]:
            usable = [one for one in sets if overlap([self._fresh_span(one)], span)]
            moving = plan_by_tle(usable, [], *span, window_min=self.window_min, max_age_days=math.inf).notes
            alone = [
                f"{satellite}: no acquisition plan or fresh elements from {begin:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"
                + (", and no scene in the archive that could repeat: nothing is planned" if satellite in unseen else "")
                for satellite in self.satellites
                for begin, until in gaps_of(either[satellite], span)
            ]
            missing = int(_inside(passes[not_imaged], span).sum())
            lost = [f"{missing} passes were foretold that the archive does not have: not imaged"] if missing else []
            contradictions = describe_comparison(compared[_inside(compared, span)])
            return _each_once([*said, *problems, *moving, *by_archive, *alone, *contradictions, *lost])

        return _Made(plan=plan, notes_of=notes_of, requests=self.requests)

    def observed(self, start: datetime, end: datetime) -> pd.DataFrame:
        """What the archive has, asked for in parts."""
        frames = []
        while start < end:
            until = min(start + ASKED_AT_ONCE, end)
            self._tell(f"asking the archive for {start:%Y-%m-%d} to {until:%Y-%m-%d}")
            found: Observed = self._observe(self.tiles, start, until)
            self.requests += found.requests
            frames.append(found.frame)
            start = until
        frames = [frame for frame in frames if len(frame)]
        if frames:
            return pd.concat(frames, ignore_index=True)
        return pd.DataFrame(
            {name: pd.Series(dtype="datetime64[ms, UTC]" if name == "datetime" else object) for name in OBSERVED_COLUMNS}
        )

    def _elements(self) -> tuple[list[Elements], list[str]]:
        read = read_elements(self.tracking, storage=self.storage, now=self.now, progress=self._progress)
        self.requests += read.requests
        return list(read.elements), list(read.notes)

    def _plans(self) -> tuple[list[AcquisitionPlan], list[str]]:
        read = read_acquisition_plans(self.tracking, storage=self.storage, now=self.now, progress=self._progress)
        self.requests += read.requests
        return list(read.plans), list(read.notes)

    def _by_tle(self, sets: list[Elements], tiles: Sequence[str], span: Span) -> Plan:
        return plan_by_tle(
            sets,
            tiles,
            *span,
            window_min=self.window_min,
            max_age_days=self._max_age_days,
            satellites=self.satellites,
        )

    def _by_plans(self, plans: list[AcquisitionPlan], tiles: Sequence[str], span: Span) -> Plan:
        return plan_by_acquisition(plans, tiles, *span, satellites=self.satellites, window_min=self.window_min)

    def _by_archive(self, seen: pd.DataFrame, *, repeat: bool) -> Candidate:
        if not repeat:
            passes = backfill_plan(seen, self.tiles, self.satellites, self.window_min)
            return Candidate(source="backfill", plan=Plan(passes=_within(passes, self.span)), covers={})
        plan = plan_by_repeat_cycle(seen, self.tiles, *self.span, satellites=self.satellites, window_min=self.window_min)
        return Candidate(source="repeat_cycle", plan=plan, covers={})

    def _fresh(self, sets: list[Elements]) -> dict[str, list[Span]]:
        return {
            satellite: join_spans([self._fresh_span(one) for one in sets if one.satellite == satellite])
            for satellite in self.satellites
        }

    def _fresh_span(self, elements: Elements) -> Span:
        age = timedelta(days=self._max_age_days)
        return elements.epoch - age, elements.epoch + age

    def _tell(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what)


def _inside(rows: pd.DataFrame, span: Span) -> "pd.Series[bool]":
    return (rows["overpass_time"] >= span[0]) & (rows["overpass_time"] < span[1])


def _within(passes: pd.DataFrame, span: Span) -> pd.DataFrame:
    rows: pd.DataFrame = passes[_inside(passes, span)].reset_index(drop=True)
    return rows


def _each_once(notes: list[str]) -> list[str]:
    return list(dict.fromkeys(notes))
