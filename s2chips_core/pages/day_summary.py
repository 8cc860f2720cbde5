"""What the report counts: the funnel, the figures at the top, and what does not fit together.

Here: counting. Not here: how it is shown (`templates/`).
"""

import dataclasses
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from s2chips_core.index.outcomes import Outcome
from s2chips_core.pages import facts
from s2chips_core.pages.rows import Rows
from s2chips_core.scenes.scene import Scene

_GATED = frozenset({Outcome.GATE_CLOUD, Outcome.GATE_LAND, Outcome.GATE_WATER, Outcome.NODATA})
_UNREAD = frozenset({Outcome.MISSING_ASSET, Outcome.READ_ERROR, Outcome.PRUNED})
"""Passed the gate, or never came to it, and has no chip."""

_Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One bar of the funnel."""

    label: str
    count: int
    losses: tuple[tuple[Outcome, int], ...]
    """What was lost since the bar before it."""


def build_funnel(targets: Iterable[_Row], matched_keys: set[tuple[str, str]]) -> tuple[Stage, ...]:
    """Targets, those with a scene, those the gate did not refuse, those with a chip; and what was lost in between.

    Args:
        targets: rows of the outcomes.
        matched_keys: (source_id, target_id) of the matches with a scene. They tell whether a target over the cap had one.
    """
    counts = Counter(
        (Outcome(target["outcome"]), (target["source_id"], target["target_id"]) in matched_keys) for target in targets
    )
    return funnel_of_counts(counts)


def funnel_of_counts(counts: Mapping[tuple[Outcome, bool], int]) -> tuple[Stage, ...]:
    """The funnel of targets that are counted already, by outcome and whether a scene was matched."""
    lost: tuple[Counter[Outcome], ...] = (Counter(), Counter(), Counter())
    for (outcome, matched), count in counts.items():
        if outcome is not Outcome.CHIPPED:
            capped = outcome is Outcome.OVER_CAP and matched
            lost[1 if outcome in _GATED else 2 if outcome in _UNREAD or capped else 0][outcome] += count
    left = sum(counts.values())
    stages = [Stage(label="AIS targets", count=left, losses=())]
    for label, losses in zip(("With a scene", "Kept by the gate", "Chipped"), lost, strict=True):
        left -= losses.total()
        stages.append(Stage(label=label, count=left, losses=tuple(losses.most_common())))
    return tuple(stages)


def build_tiles(targets: Rows, chips: Rows, scenes: Sequence[Scene]) -> list[tuple[str, str, list[str]]]:
    """The figures at the top: label, value, lines of small print."""
    splits = Counter(chips.column("split"))
    ships = len(targets.different("mmsi"))
    by_split = " · ".join(f"{splits[s]:,} {s}" for s in ("train", "val", "test") if splits[s])
    sigmas = [sigma_m for sigma_m in chips.column("position_sigma_m") if sigma_m is not None]
    gaps = [abs(dt_s) for dt_s in chips.column("dt_s")]
    platforms = ", ".join(sorted({s.platform for s in scenes}))
    return [
        ("Targets", f"{len(targets):,}", [f"{ships:,} different ship{'' if ships == 1 else 's'}"]),
        ("Chips", f"{len(chips):,}", [f"{100 * len(chips) / len(targets):.0f} % of targets", by_split] if targets else []),
        ("Scenes", f"{len(scenes):,}", [platforms or "none matched"]),
        ("AIS to scene", facts.duration_text(float(np.median(gaps))) if gaps else "–", ["median of the chips"]),
        ("Position sigma", facts.distance_text(float(np.median(sigmas))) if sigmas else "–", ["median of the chips"]),
    ]


def find_mismatches(targets: Iterable[_Row], indexed: set[str], of_chip: Container[str]) -> list[str]:
    """What does not fit together; a reader must see it.

    Args:
        targets: rows of the outcomes.
        indexed: the chips of the index.
        of_chip: the chips that the outcomes name.
    """
    orphans = sum(t["outcome"] == Outcome.CHIPPED and t["chip_id"] not in indexed for t in targets)
    unnamed = sum(chip_id not in of_chip for chip_id in indexed)
    found = []
    if orphans:
        found.append(
            f"{orphans:,} of the targets are recorded as chipped, but the index has no such chip (was it deleted by hand?)."
        )
    if unnamed:
        found.append(f"{unnamed:,} of the chips in the index belong to no target of this day's outcomes.")
    return found
