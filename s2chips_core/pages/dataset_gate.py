"""What the gate measured: how its four numbers spread over the chips and over the targets that it refused.

Here: counting. Not here: the gate (`chips.gate`), drawing (`templates/`).
"""

import dataclasses
import math

import numpy as np
import pandas as pd

from s2chips_core.index.outcomes import Outcome
from s2chips_core.sections import Gate

BINS = 20
_OF = {
    "qa_cloud_frac": ("Cloud", "of the centre window", Outcome.GATE_CLOUD, "max_cloud_center_frac", "most"),
    "qa_land_frac": ("Land", "of the centre window", Outcome.GATE_LAND, "max_land_center_frac", "most"),
    "qa_water_frac": ("Water", "of the centre window", Outcome.GATE_WATER, "min_water_center_frac", "least"),
    "qa_nodata_frac": ("Nodata", "of the whole chip", Outcome.NODATA, "max_nodata_frac", "most"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How one number of the gate spreads."""

    column: str
    title: str
    ground: str
    """What it is a fraction of."""
    outcome: Outcome
    """The refusal that hangs on it."""
    limit: str
    """Whether the threshold is the `most` or the `least` that passes."""
    threshold: float
    """From the configuration, a fraction."""
    setting: str
    """Where it comes from."""
    chips: tuple[int, ...]
    """Chips in each of `BINS` equal bins from 0 to 1."""
    refused_by_it: tuple[int, ...]
    refused_else: tuple[int, ...]
    """Refused for another number."""
    unmeasured: int
    """Chips of which it is not known."""

    @property
    def most(self) -> int:
        """The tallest bar."""
        refused = (a + b for a, b in zip(self.refused_by_it, self.refused_else, strict=True))
        return max(*self.chips, *refused)

    def height(self, count: int) -> float:
        """Of a bar, 0 to 1: the square root, so that a few targets beside thousands stay visible."""
        return math.sqrt(count / self.most) if self.most else 0.0


def build_histograms(index: pd.DataFrame, refused: pd.DataFrame, gate: Gate) -> list[Histogram]:
    """One histogram for each number of the gate.

    Args:
        index: chips, with the four columns.
        refused: targets that the gate refused (`dataset_days.REFUSED_COLUMNS`).
        gate: today's thresholds; older chips may have passed others.
    """
    found = []
    for column, (title, ground, outcome, setting, limit) in _OF.items():
        by_it = refused["outcome"] == str(outcome)
        found.append(
            Histogram(
                column=column,
                title=title,
                ground=ground,
                outcome=outcome,
                limit=limit,
                threshold=float(getattr(gate, setting)),
                setting=f"gate.{setting}",
                chips=_count(index[column]),
                refused_by_it=_count(refused.loc[by_it, column]),
                refused_else=_count(refused.loc[~by_it, column]),
                unmeasured=int(index[column].isna().sum()),
            )
        )
    return found


def _count(values: "pd.Series[float]") -> tuple[int, ...]:
    known = values.dropna().to_numpy(dtype=float)
    return tuple(int(n) for n in np.histogram(known, bins=np.arange(BINS + 1) / BINS)[0])
