"""How the chips spread over ship types, sizes, speeds, places and months, and whether the splits are alike in that.

Here: counting, and what stands out. Not here: vessels in more than one split (`dataset_leakage`), drawing (`templates/`).
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core.pages import facts

SPLITS = ("train", "val", "test")
SHOWN_MOST = 14
"""Bars of a chart; the rest is one bar more, and each has its row in the table."""
STANDS_OUT = 4.0
"""An adjusted residual beyond this, of at least `STANDS_OUT_CHIPS` chips, is marked: by chance one of 16,000 is."""
STANDS_OUT_CHIPS = 10
LENGTH_EDGES_M = (25.0, 50.0, 100.0, 150.0, 200.0, 300.0)
SPEED_EDGES_KN = (0.5, 5.0, 10.0, 15.0, 20.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One bar: a ship type, a range of lengths, a tile."""

    label: str
    note: str
    """Small print: where a tile lies. May be empty."""
    counts: tuple[int, ...]
    """Chips by split."""
    shares: tuple[float, ...]
    """Of the chips of each split, 0 to 1."""
    share: float
    """Of all chips, 0 to 1."""
    stands_out: tuple[bool, ...]
    """By split: more or fewer than the other splits would let expect."""
    other: bool = False
    """Whether it is the rest of the categories together."""

    @property
    def total(self) -> int:
        """Chips."""
        return sum(self.counts)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One chart."""

    name: str
    title: str
    splits: tuple[str, ...]
    shown: tuple[Category, ...]
    """What the chart draws."""
    categories: tuple[Category, ...]
    """All of them, for the table."""

    @property
    def scale(self) -> float:
        """The share at the right end of the chart."""
        most = max((share for c in self.shown for share in (*c.shares, c.share)), default=0.0)
        return next((step for step in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if most <= step), 1.0)


def build_balance(index: pd.DataFrame) -> list[Variable]:
    """Every chart of the balance.

    Args:
        index: chips with split, ship_type, length_m, sog_kn, mgrs_tile, lat, lon and scene_datetime.
    """
    splits = present_splits(index["split"])
    types = index["ship_type"].where(index["ship_type"].notna() & (index["ship_type"] != ""), facts.NOT_SAID)
    months = index["scene_datetime"].dt.strftime("%Y-%m")
    centres = index.groupby("mgrs_tile")[["lat", "lon"]].median()
    places = {
        str(tile): near_text(lat, lon) for tile, lat, lon in zip(centres.index, centres["lat"], centres["lon"], strict=True)
    }
    of = index["split"]
    lengths, length_ranges = _binned(index["length_m"], LENGTH_EDGES_M, "m")
    speeds, speed_ranges = _binned(index["sog_kn"], SPEED_EDGES_KN, "kn")
    return [
        _variable("type", "Ship type", types, of, splits),
        _variable("region", "Region (MGRS tile)", index["mgrs_tile"], of, splits, notes=places),
        _variable("length", "Ship length", lengths, of, splits, order=length_ranges),
        _variable("speed", "Speed over ground", speeds, of, splits, order=speed_ranges),
        _variable("month", "Month", months, of, splits, order=sorted(months.unique())),
    ]


def present_splits(split: "pd.Series[str]") -> tuple[str, ...]:
    """The splits that occur, train, val and test first."""
    found = set(split.unique())
    return tuple(s for s in SPLITS if s in found) + tuple(sorted(found - set(SPLITS)))


def adjusted_residuals(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """How far each cell of a contingency table is from independence, in standard deviations.

    (observed - expected) / sqrt(expected · (1 - row share) · (1 - column share)), Haberman 1973. A cell without any spread
    has 0.

    Args:
        counts: (rows, cols), whole numbers.
    """
    total = counts.sum()
    if not total:
        return np.zeros(counts.shape)
    rows, cols = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    expected = rows * cols / total
    spread = np.sqrt(expected * (1 - rows / total) * (1 - cols / total))
    zeros = np.zeros(counts.shape, np.float64)
    np.divide(counts - expected, spread, out=zeros, where=spread > 0)
    return zeros


def near_text(lat: float, lon: float) -> str:
    """`36.0° N 5.3° W`."""
    return f"{abs(lat):.1f}° {'S' if lat < 0 else 'N'} {abs(lon):.1f}° {'W' if lon < 0 else 'E'}"


def range_labels(edges: Sequence[float], unit: str) -> list[str]:
    """`under 25 m`, `25–50 m`, …, `300 m or more`."""
    inner = [f"{low:g}–{high:g} {unit}" for low, high in itertools.pairwise(edges)]
    return [f"under {edges[0]:g} {unit}", *inner, f"{edges[-1]:g} {unit} or more"]


def _binned(values: "pd.Series[float]", edges: Sequence[float], unit: str) -> "tuple[pd.Series[str], list[str]]":
    """The label of the range of each value, and all labels in order. A range holds its lower end."""
    labels = [*range_labels(edges, unit), facts.NOT_SAID]
    places = np.where(values.isna(), len(labels) - 1, np.searchsorted(edges, values.fillna(0.0), side="right"))
    return pd.Series(np.asarray(labels, dtype=object)[places], index=values.index), labels


def _variable(
    name: str,
    title: str,
    values: "pd.Series[str]",
    of: "pd.Series[str]",
    splits: tuple[str, ...],
    *,
    order: Sequence[str] = (),
    notes: dict[str, str] | None = None,
) -> Variable:
    table = pd.crosstab(values.to_numpy(), of.to_numpy()).reindex(columns=list(splits), fill_value=0)
    if order:
        table = table.reindex([label for label in order if label in table.index])
    else:
        table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
        if facts.NOT_SAID in table.index:  # said last: it is no type
            table = table.reindex([*(label for label in table.index if label != facts.NOT_SAID), facts.NOT_SAID])
    counts, labels = table.to_numpy(), [str(label) for label in table.index]
    categories = _categories(labels, counts, notes or {})
    shown = categories
    if len(labels) > SHOWN_MOST + 1:
        # Of months the last ones are shown, of all else the first.
        cut = slice(-SHOWN_MOST, None) if order else slice(None, SHOWN_MOST)
        kept = np.zeros(len(labels), dtype=bool)
        kept[cut] = True
        rest = np.concatenate([counts[kept], counts[~kept].sum(0, keepdims=True)])
        folded = f"{'earlier' if order else 'others'} ({int((~kept).sum()):,})"
        names = [*(label for label, keep in zip(labels, kept, strict=True) if keep), folded]
        drawn = _categories(names, rest, notes or {})
        shown = [*drawn[:-1], dataclasses.replace(drawn[-1], other=True)]
        if order:
            shown = [shown[-1], *shown[:-1]]
    return Variable(name=name, title=title, splits=splits, shown=tuple(shown), categories=tuple(categories))


def _categories(labels: Sequence[str], counts: npt.NDArray[Any], notes: dict[str, str]) -> list[Category]:
    by_split, total = counts.sum(0), counts.sum()
    marked = (np.abs(adjusted_residuals(counts)) > STANDS_OUT) & (counts.sum(1, keepdims=True) >= STANDS_OUT_CHIPS)
    shares = np.divide(counts, by_split, out=np.zeros(counts.shape), where=by_split > 0)
    return [
        Category(
            label=label,
            note=notes.get(label, ""),
            counts=tuple(int(n) for n in counts[place]),
            shares=tuple(float(s) for s in shares[place]),
            share=float(counts[place].sum() / total) if total else 0.0,
            stands_out=tuple(bool(m) for m in marked[place]),
        )
        for place, label in enumerate(labels)
    ]
