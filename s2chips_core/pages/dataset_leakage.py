"""Vessels that occur in more than one split: what a model has seen in training it may know again in the test.

Here: finding and counting them. Not here: how chips get their split (`chips.identity`).
"""

import dataclasses

import pandas as pd


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Vessel:
    """A vessel with chips in more than one split."""

    mmsi: int
    name: str | None
    """The last one it told."""
    counts: tuple[int, ...]
    """Chips by split."""

    @property
    def chips(self) -> int:
        """Of all splits."""
        return sum(self.counts)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """All vessels in more than one split."""

    splits: tuple[str, ...]
    vessels: tuple[Vessel, ...]
    """The most chips first."""
    all_vessels: int
    """Vessels of the dataset."""
    chips: int
    """Chips of the vessels in more than one split."""
    all_chips: int
    held_out: int
    """Chips outside of train whose vessel is in train, too."""
    all_held_out: int
    """Chips outside of train."""


def find_leakage(index: pd.DataFrame, splits: tuple[str, ...]) -> Leakage:
    """The vessels in more than one split.

    Args:
        index: chips with mmsi, split, ship_name, in the order of time.
        splits: the splits that occur, in order.
    """
    table = pd.crosstab(index["mmsi"].to_numpy(), index["split"].to_numpy()).reindex(columns=list(splits), fill_value=0)
    mixed = table[(table > 0).sum(axis=1) > 1]
    mixed = mixed.loc[mixed.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    names = index.loc[index["ship_name"].notna()].groupby("mmsi")["ship_name"].last()
    outside = table.drop(columns="train", errors="ignore")
    in_train = table["train"] > 0 if "train" in table else pd.Series(False, index=table.index)
    return Leakage(
        splits=splits,
        vessels=tuple(
            Vessel(mmsi=int(mmsi), name=names.get(mmsi), counts=tuple(int(n) for n in row))
            for mmsi, row in zip(mixed.index, mixed.to_numpy(), strict=True)
        ),
        all_vessels=len(table),
        chips=int(mixed.to_numpy().sum()),
        all_chips=len(index),
        held_out=int(outside[in_train].to_numpy().sum()),
        all_held_out=int(outside.to_numpy().sum()),
    )
