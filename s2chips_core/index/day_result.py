"""How far a day is, and what became of it.

Here: values only. Not here: the work (`day_run`), the outcomes of single targets (`outcomes`).
"""

import dataclasses
from datetime import date

import pandas as pd


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a day is."""

    total: int
    """Targets."""
    done: int
    """Targets with an outcome."""
    chips: int
    refusals: int
    bytes: int
    """Body bytes read since the start."""
    seconds: float

    @property
    def chips_per_second(self) -> float:
        """Chips of the day, those that stand from earlier too, over the time so far."""
        return self.chips / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate of targets so far; none before the first one."""
        return self.seconds / self.done * (self.total - self.done) if self.done else None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", about {self.seconds_left:.0f} s left"
        return (
            f"{self.done} of {self.total} ships: {self.chips} chips, {self.refusals} without, "
            f"{self.chips_per_second:.1f} chips/s, {self.bytes / 1e6:.1f} MB read{left}"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """What became of the targets of one source of a day, and what it cost."""

    day: date
    source_id: str
    counts: dict[str, int]
    """Targets by outcome, every outcome is there."""
    rows: pd.DataFrame
    """PART_SCHEMA: the chips of this source and day."""
    outcomes: pd.DataFrame
    """OUTCOME_SCHEMA: one row for every target."""
    scene_days: tuple[date, ...]
    """Days whose chips may have changed, those that lost theirs too; sorted."""
    chips_cut: int
    """Chips that were cut now."""
    chips_kept: int
    """Chips that stand from earlier."""
    chips_lost: dict[str, int]
    """Chips of an earlier run that this source no longer has, by the outcome that their targets have now."""
    requests: int
    bytes: int
    cog_assets: int
    """Files of bands that were read block by block."""
    gdal_assets: int
    """Files that GDAL had to read: JPEG 2000, strips, other compressions."""
    seconds: float

    @property
    def chips_per_second(self) -> float:
        """Chips cut per second; 0 when none were."""
        return self.chips_cut / self.seconds if self.chips_cut and self.seconds > 0 else 0.0
