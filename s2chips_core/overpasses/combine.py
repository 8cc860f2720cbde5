"""One plan from several sources that know nothing of each other: who is believed when, and where they contradict.

Here: `auto`. A source is silent where it covers a time and has no pass then: ESA's plan says so that the camera is off.
Not here: the sources, and how far each reaches (`planning`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core import tables
from s2chips_core.overpasses.plan import PLAN_SCHEMA, SAME_PASS, Plan, Swath, sort_passes
from s2chips_core.overpasses.spans import Span, join_spans

Covers = Mapping[str, Sequence[Span]]
"""Satellite -> the times for which a source knows all passes."""

EDGE = pd.Timedelta(minutes=1)
"""A source is not held to be silent so near to the end of what it covers: another may have the pass a few seconds later."""
ALLOWED_SIGMAS = 3.0
ALLOWED_S = 5.0
"""Times differ when they are further apart than ALLOWED_SIGMAS combined standard errors and ALLOWED_S."""
EDGE_SHARE = 0.005
"""Tiles of which so little is seen that sources differ on whether it counts: 1 of 2,925 passes, a real plan and elements."""
COMPARISON_COLUMNS = ("satellite", "tile_id", "overpass_time", "source", "other", "off_s", "differs")
NAMES = {
    "backfill": "the archive",
    "acquisition_plan": "ESA's plan",
    "tle": "the orbital elements",
    "repeat_cycle": "the repeat cycle",
}
_HOLDS_TO_ACCOUNT = {
    # A pass of the key should be in the values, where they cover it. Nothing follows from a pass of elements alone: the
    # camera may be off; nor from one that the archive does not have yet.
    "backfill": ("acquisition_plan", "tle"),
    "repeat_cycle": ("acquisition_plan", "tle"),
    "acquisition_plan": ("tle",),
}

Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What one source says."""

    source: str
    """As in PLAN_SCHEMA; rows of the plan may also be of `backfill`, which is believed before all others."""
    plan: Plan
    covers: Covers


def combine_plans(candidates: Sequence[Candidate]) -> Plan:
    """Each pass by the best source that covers its time.

    Args:
        candidates: the most trusted first.

    Returns:
        Rows of the first source that covers a satellite's time; of a later one only where none before it does. What the
        archive has seen (`backfill`) is always in. A pass by orbital elements that the repeat cycle knows, too, is
        `expected`: the camera was on the last time. Orbit numbers that the chosen source does not tell are taken from the
        others. The notes are those of the candidates and, for each satellite, where they contradict.
    """
    rows = _passes(candidates)
    notes = [note for candidate in candidates for note in candidate.plan.notes]
    notes += describe_comparison(compare_plans(candidates))
    if rows.empty:
        return Plan(passes=tables.empty(PLAN_SCHEMA), swaths=_swaths(candidates), notes=tuple(notes))
    silenced = np.zeros(len(rows), dtype=bool)
    for rank, candidate in enumerate(candidates):
        silenced |= (rows["rank"] > rank).to_numpy() & _covered(rows, candidate.covers, EDGE)
    numbers = rows["number"]
    chosen = rows[~numbers.duplicated() & ~silenced].set_index("number")
    of_pass = rows.groupby("number")
    for column in ("relative_orbit", "absolute_orbit"):
        chosen[column] = chosen[column].fillna(of_pass[column].first())
    seen = set(numbers[rows["source"] == "repeat_cycle"])
    again = chosen.index.isin(seen) & (chosen["source"] == "tle") & (chosen["imaging"] == "unknown")
    chosen.loc[again, "imaging"] = "expected"
    passes = sort_passes(tables.to_frame(tables.conform(chosen, PLAN_SCHEMA, "overpass plan")))
    return Plan(passes=passes, swaths=_swaths(candidates), notes=tuple(notes))


def compare_plans(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Every pass for which two sources can be held against each other.

    Returns:
        COMPARISON_COLUMNS: `source` has the pass at `overpass_time`; `other` has it `off_s` later, or lacks it (null)
        although it covers the time; `differs`: it lacks it, or has it further off than both errors allow. A silence that
        means nothing is left out: elements do not know whether the camera is on.
    """
    rows = _passes(candidates)
    found = [pd.DataFrame(columns=list(COMPARISON_COLUMNS))]
    covers = {candidate.source: candidate.covers for candidate in candidates}
    sources = list(dict.fromkeys(["backfill", *covers]))
    each = {source: rows[rows["source"] == source].drop_duplicates("number").set_index("number") for source in sources}
    for at, source in enumerate(sources):
        mine = each[source]
        for other in sources[at + 1 :]:
            theirs = each[other][["overpass_time", "time_sigma_s"]]
            both = mine.merge(theirs, left_index=True, right_index=True, suffixes=("", "_other"))
            off_s = (both["overpass_time_other"] - both["overpass_time"]).dt.total_seconds()
            sigma_s = np.hypot(both["time_sigma_s"], both["time_sigma_s_other"])
            differs = off_s.abs() > np.maximum(ALLOWED_SIGMAS * sigma_s, ALLOWED_S)
            found.append(_compared(both, source, other, off_s, differs))
        for other in _HOLDS_TO_ACCOUNT.get(source, ()):
            if other in covers and other != source:
                lacks = mine[~mine.index.isin(each[other].index)]
                lacks = lacks[_covered(lacks, covers[other], EDGE)]
                found.append(_compared(lacks, source, other, pd.Series(np.nan, index=lacks.index), True))
    kept = [frame for frame in found[1:] if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else found[0]


def describe_comparison(compared: pd.DataFrame) -> list[str]:
    """One sentence for each satellite and pair of sources that contradict: how often, and the worst case.

    Passes that a source lacks are told from EDGE_SHARE of them up.
    """
    told = []
    pair = [" ".join(sorted(two)) for two in zip(compared["source"], compared["other"], strict=True)]
    met = compared.assign(pair=pair)[compared["off_s"].notna()].groupby(["satellite", "pair"]).size().to_dict()
    for key, pairs in compared.groupby(["satellite", "source", "other"], sort=True):
        satellite, source, other = map(str, key)
        off_s = pairs["off_s"].astype("float64").abs()
        apart = pairs[off_s.notna() & pairs["differs"].astype(bool)]
        lacking = pairs[off_s.isna()].sort_values(["overpass_time", "tile_id"])
        together = met.get((satellite, " ".join(sorted((source, other)))), 0)
        if len(apart):
            worst = apart.iloc[int(off_s[apart.index].argmax())]
            told.append(
                f"{satellite}: {NAMES[source]} and {NAMES[other]} differ by more than their errors in {len(apart)} of "
                f"{together} passes, by {off_s[apart.index].max():.0f} s at worst ({_place(worst)})"
            )
        if len(lacking) > EDGE_SHARE * (len(lacking) + together):
            told.append(
                f"{satellite}: {len(lacking)} of {len(lacking) + together} passes of {NAMES[source]} are not in what "
                f"{NAMES[other]} {'say' if other == 'tle' else 'says'} (the first: {_place(lacking.iloc[0])})"
            )
    return told


def _passes(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """All rows with `rank` (-1: has happened) and the `number` of their pass; within a pass the best rank first."""
    frames = [
        candidate.plan.passes.assign(rank=np.where(candidate.plan.passes["source"] == "backfill", -1, rank))
        for rank, candidate in enumerate(candidates)
        if len(candidate.plan.passes)
    ]
    if not frames:
        return tables.empty(PLAN_SCHEMA).assign(rank=0, number=0)
    rows = pd.concat(frames, ignore_index=True).sort_values(["tile_id", "satellite", "overpass_time"])
    since = rows.groupby(["tile_id", "satellite"])["overpass_time"].diff()
    rows["number"] = (since.isna() | (since > SAME_PASS)).cumsum()
    return rows.sort_values(["number", "rank", "overpass_time"], ignore_index=True)


def _covered(rows: pd.DataFrame, covers: Covers, edge: pd.Timedelta) -> Mask:
    """Which rows lie within what is covered, `edge` or more from its ends."""
    inside = np.zeros(len(rows), dtype=bool)
    for satellite, spans in covers.items():
        of_satellite = (rows["satellite"] == satellite).to_numpy()
        for start, end in join_spans(spans):
            inside |= (
                of_satellite & ((rows["overpass_time"] >= start + edge) & (rows["overpass_time"] < end - edge)).to_numpy()
            )
    return inside


def _swaths(candidates: Sequence[Candidate]) -> tuple[Swath, ...]:
    """The swaths of each source where none before it covers their middle."""
    kept = []
    for rank, candidate in enumerate(candidates):
        for swath in candidate.plan.swaths:
            middle = swath.start + (swath.stop - swath.start) / 2
            if not any(
                start <= middle < end
                for earlier in candidates[:rank]
                for start, end in earlier.covers.get(swath.satellite, ())
            ):
                kept.append(swath)
    return tuple(sorted(kept, key=lambda swath: (swath.start, swath.satellite, swath.source)))


def _compared(
    rows: pd.DataFrame, source: str, other: str, off_s: "pd.Series[float]", differs: "pd.Series[bool] | bool"
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "satellite": rows["satellite"],
            "tile_id": rows["tile_id"],
            "overpass_time": rows["overpass_time"],
            "source": source,
            "other": other,
            "off_s": off_s,
            "differs": differs,
        },
        columns=list(COMPARISON_COLUMNS),
    )


def _place(row: "pd.Series[Any]") -> str:
    return f"{row['tile_id']}, {row['overpass_time']:%Y-%m-%d %H:%M:%S} UTC"
