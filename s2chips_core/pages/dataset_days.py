"""The days of the dataset: what became of their targets, and the months of a calendar to lay them out in.

Here: reading the outcomes of all days, and counting them. Not here: the funnel's stages (`day_summary`), one day's targets
(`day`), how a calendar looks (`templates/`). Outcomes belong to the day of their AIS.
"""

import calendar
import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, QA_FIELDS, Outcome
from s2chips_core.pages.day_summary import Stage, funnel_of_counts
from s2chips_core.storage import Storage

GATED = (Outcome.GATE_CLOUD, Outcome.GATE_LAND, Outcome.GATE_WATER, Outcome.NODATA)
_READ = pa.schema([OUTCOME_SCHEMA.field(name) for name in ("outcome", "ais_source", "fingerprint", *QA_FIELDS)])
REFUSED_COLUMNS = ("outcome", *QA_FIELDS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What became of the targets of one AIS day."""

    day: date
    counts: Mapping[tuple[Outcome, bool], int]
    """By outcome, and whether a scene was matched."""
    synthetic: int
    """Targets whose AIS was made up."""
    page: str | None
    """Address of the day's page from the page of the dataset; none when it was not made."""

    @property
    def targets(self) -> int:
        """All targets."""
        return sum(self.counts.values())

    @property
    def chips(self) -> int:
        """Targets that have a chip."""
        return sum(count for (outcome, _), count in self.counts.items() if outcome is Outcome.CHIPPED)

    @property
    def by_outcome(self) -> dict[Outcome, int]:
        """Targets by outcome, in the order of `Outcome`; only those that occur."""
        return _by_outcome(self.counts)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month of the calendar."""

    year: int
    month: int
    weeks: tuple[tuple[Day | int | None, ...], ...]
    """Monday to Sunday: a day with outcomes, the number of one without, or None outside of the month."""
    chips: int
    targets: int

    @property
    def name(self) -> str:
        """`October 2025`."""
        return f"{calendar.month_name[self.month]} {self.year}"


def read_days(storage: Storage) -> tuple[list[Day], pd.DataFrame]:
    """All days with outcomes, in order, and what the gate measured of those that it refused (`REFUSED_COLUMNS`).

    Raises:
        StorageError: a table cannot be read.
        SchemaError: a table was written by another version.
    """
    reports = set(storage.list(layout.reports_folder()))
    days, refused = [], []
    for key in storage.list(layout.outcomes_folder()):
        day = layout.day_of_outcomes(key)
        if day is None:
            continue
        frame = tables.to_frame(tables.read_arrow(storage, key, _READ))
        report = layout.report(day)
        days.append(
            Day(
                day=day,
                counts=count_outcomes(frame),
                synthetic=int((frame["ais_source"] == "synthetic").sum()),
                page=report.rpartition("/")[2] if report in reports else None,
            )
        )
        refused.append(frame.loc[frame["outcome"].isin([str(o) for o in GATED]), list(REFUSED_COLUMNS)])
    return days, pd.concat(refused, ignore_index=True) if refused else pd.DataFrame(columns=list(REFUSED_COLUMNS))


def count_outcomes(frame: pd.DataFrame) -> dict[tuple[Outcome, bool], int]:
    """Targets of a frame with `outcome` and `fingerprint`: what was decided of a matched scene has a fingerprint."""
    pairs = zip(frame["outcome"], frame["fingerprint"].notna(), strict=True)
    return {(Outcome(outcome), bool(matched)): count for (outcome, matched), count in Counter(pairs).items()}


def funnel_of_days(days: Iterable[Day]) -> tuple[Stage, ...]:
    """The funnel over several days."""
    return funnel_of_counts(sum_counts(days))


def sum_counts(days: Iterable[Day]) -> Counter[tuple[Outcome, bool]]:
    """The counts of several days together."""
    total: Counter[tuple[Outcome, bool]] = Counter()
    for day in days:
        total.update(day.counts)
    return total


def outcomes_of_days(days: Iterable[Day]) -> dict[Outcome, int]:
    """Targets of several days by outcome, in the order of `Outcome`; only those that occur."""
    return _by_outcome(sum_counts(days))


def build_months(days: Sequence[Day]) -> list[Month]:
    """The months from the first day to the last; a month in between without any day is left out."""
    by_date = {day.day: day for day in days}
    months = []
    for year, month in sorted({(d.year, d.month) for d in by_date}):
        weeks = calendar.Calendar().monthdatescalendar(year, month)
        of_month = [day for day in days if (day.day.year, day.day.month) == (year, month)]
        months.append(
            Month(
                year=year,
                month=month,
                weeks=tuple(tuple(None if d.month != month else by_date.get(d, d.day) for d in week) for week in weeks),
                chips=sum(day.chips for day in of_month),
                targets=sum(day.targets for day in of_month),
            )
        )
    return months


def shade_steps(days: Sequence[Day]) -> tuple[int, int, int]:
    """The three counts of chips above which a day is drawn darker: the quartiles of the days that have any."""
    counts = [day.chips for day in days if day.chips]
    if not counts:
        return (0, 0, 0)
    low, middle, high = (int(q) for q in np.quantile(counts, [0.25, 0.5, 0.75]))
    return (low, middle, high)


def shade(chips: int, steps: tuple[int, int, int]) -> int:
    """0 without chips, else 1 to 4."""
    return 0 if chips == 0 else 1 + sum(chips > step for step in steps)


def _by_outcome(counts: Mapping[tuple[Outcome, bool], int]) -> dict[Outcome, int]:
    total: Counter[Outcome] = Counter()
    for (outcome, _), count in counts.items():
        total[outcome] += count
    return {outcome: total[outcome] for outcome in Outcome if total[outcome]}
