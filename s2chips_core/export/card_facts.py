"""What the data card tells, counted: pure, from the rows and labels of an export.

Here: the numbers. Not here: the text (`card`).
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from s2chips_core import tables
from s2chips_core.ais.synthetic import SOURCE as SYNTHETIC
from s2chips_core.export.chip_files import Labels
from s2chips_core.export.options import SPLITS
from s2chips_core.export.stac import bbox_of_all

UNKNOWN = "not known"
QUANTILES = (0.5, 0.9, 1.0)
SPEEDS_KN = (0.0, 0.5, 5.0, 10.0, 15.0, 20.0, np.inf)
COLUMNS = (
    *(
        "chip_id",
        "mmsi",
        "split",
        "scene_id",
        "datatake",
        "scene_datetime",
        "geometry",
        "mgrs_tile",
        "platform",
        "provider",
        "collection",
    ),
    *("processing_baseline", "position_method", "position_sigma_m", "ship_type", "length_m", "sog_kn", "ais_source"),
    *("gate_verdict", "confirmation", "config_hash", "software_version"),
)
"""What is counted as a frame; of 100,000 rows every column takes memory."""
LENGTHS_M = (0.0, 25.0, 50.0, 100.0, 200.0, 300.0, np.inf)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CountTable:
    """Chips by a property, in each split."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """Name, and one count for each column."""


@dataclasses.dataclass(slots=True)
class LabelStatistics:
    """Counted as the chips come."""

    chips: int = 0
    """Chips whose labels are known."""
    chips_unknown: int = 0
    labels: int = 0
    boxes: int = 0
    truncated: int = 0
    others: int = 0
    """Ships that are not the target of their chip."""
    box_sources: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, labels: Labels | None) -> None:
        """Count the labels of a chip."""
        if labels is None:
            self.chips_unknown += 1
            return
        self.chips += 1
        for label in labels:
            self.labels += 1
            self.others += not label["is_target"]
            self.truncated += bool(label["truncated"])
            boxed = label.get("box") is not None
            self.boxes += boxed
            self.box_sources[str(label.get("box_source")) if boxed else "no box"] += 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """The numbers of a card."""

    chips: int
    vessels: int
    """Different ships that chips are centred on."""
    splits: dict[str, tuple[int, int]]
    """Chips and ships of each split."""
    leaking_vessels: int
    """Ships with chips in more than one split."""
    leaking_chips: int
    """Chips of such ships."""
    shared_scenes: int
    """Scenes with chips in more than one split."""
    overlapping_chips: int
    """Chips whose footprint overlaps with one of another split, of the same pass: also of another tile of it."""
    first: pd.Timestamp
    last: pd.Timestamp
    years: tuple[int, ...]
    bounds: tuple[float, float, float, float]
    """West, south, east, north, degrees; across the antimeridian west is above east."""
    scenes: int
    days: int
    """UTC days of sensing."""
    archives: dict[str, int]
    """Chips by provider and collection."""
    baselines: dict[str, int]
    """Chips by ESA's processing baseline."""
    bands: dict[str, int]
    """Chips by their bands."""
    tables: tuple[CountTable, ...]
    sigma: tuple[tuple[str, int, tuple[float, ...]], ...]
    """Position method, chips, quantiles of `position_sigma_m`."""
    ais_sources: dict[str, int]
    config_hashes: dict[str, int]
    software_versions: dict[str, int]
    confirmation: dict[str, int]
    """Empty where no chip was judged."""

    @property
    def synthetic(self) -> bool:
        """Whether the ships were made up."""
        return SYNTHETIC in self.ais_sources


def card_facts(rows: pa.Table) -> CardFacts:
    """Count the rows of a selection (`INDEX_SCHEMA`, at least one)."""
    frame = tables.to_frame(rows.select(COLUMNS))
    splits = {split: frame[frame["split"] == split] for split in SPLITS if (frame["split"] == split).any()}
    in_splits = frame.groupby("mmsi")["split"].nunique()
    leaking = in_splits[in_splits > 1].index
    sigma = [
        (str(method), len(group), tuple(float(q) for q in group["position_sigma_m"].dropna().quantile(list(QUANTILES))))
        for method, group in frame.groupby("position_method")
        if group["position_sigma_m"].notna().any()
    ]
    confirmed = frame["confirmation"].fillna("not judged").value_counts()
    judged = bool(frame["confirmation"].notna().any())
    return CardFacts(
        chips=len(frame),
        vessels=int(frame["mmsi"].nunique()),
        splits={split: (len(part), int(part["mmsi"].nunique())) for split, part in splits.items()},
        leaking_vessels=len(leaking),
        leaking_chips=int(frame["mmsi"].isin(leaking).sum()),
        shared_scenes=int((frame.groupby("scene_id")["split"].nunique() > 1).sum()),
        overlapping_chips=_overlapping(frame),
        first=frame["scene_datetime"].min(),
        last=frame["scene_datetime"].max(),
        years=tuple(sorted({int(year) for year in frame["scene_datetime"].dt.year})),
        bounds=_bounds(rows),
        scenes=int(frame["scene_id"].nunique()),
        days=int(frame["scene_datetime"].dt.date.nunique()),
        archives=_counted(frame["provider"] + " " + frame["collection"]),
        baselines=_counted(frame["processing_baseline"].fillna(UNKNOWN)),
        bands=_counted(pc.binary_join(rows["bands"], ", ").to_pandas()),
        tables=_count_tables(frame),
        sigma=tuple(sigma),
        ais_sources=_counted(frame["ais_source"]),
        config_hashes=_counted(frame["config_hash"]),
        software_versions=_counted(frame["software_version"]),
        confirmation={str(k): int(v) for k, v in confirmed.items()} if judged else {},
    )


def _bounds(rows: pa.Table) -> tuple[float, float, float, float]:
    west, south, east, north = bbox_of_all(shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False)))
    return west, south, east, north


def _count_tables(frame: pd.DataFrame) -> tuple[CountTable, ...]:
    by: Mapping[str, Any] = {
        "month of sensing": frame["scene_datetime"].dt.strftime("%Y-%m"),
        "MGRS tile": frame["mgrs_tile"],
        "ship type": frame["ship_type"].fillna(UNKNOWN),
        "length, m": _in_steps(frame["length_m"], LENGTHS_M),
        "speed, kn": _in_steps(frame["sog_kn"], SPEEDS_KN),
        "satellite": frame["platform"],
        "gate verdict": frame["gate_verdict"],
    }
    columns = tuple(split for split in SPLITS if (frame["split"] == split).any())
    made = []
    for title, values in by.items():
        counts = pd.crosstab(values, frame["split"])
        rows = tuple((str(name), tuple(int(counts.loc[name, c]) for c in columns)) for name in counts.index)
        made.append(CountTable(title=title, columns=columns, rows=rows))
    return tuple(made)


def _in_steps(values: "pd.Series[Any]", edges: tuple[float, ...]) -> "pd.Series[Any]":
    """From … to below …, in the order of the numbers."""
    names = [f"{low:g}–{high:g}" if np.isfinite(high) else f"{low:g} and more" for low, high in itertools.pairwise(edges)]
    cut = pd.cut(values.astype("float64"), list(edges), right=False, labels=names)
    return cut.cat.add_categories([UNKNOWN]).fillna(UNKNOWN)


def _overlapping(frame: pd.DataFrame) -> int:
    """Chips that show some of the same ground at the same time as a chip of another split."""
    found: set[Any] = set()
    # Tiles of one pass overlap by 10 km: the same light, on another tile's grid.
    for _, group in frame.groupby(frame["datatake"].fillna(frame["scene_id"])):
        if group["split"].nunique() < 2:
            continue
        shapes = shapely.from_wkb(group["geometry"].to_numpy())
        splits, ids = group["split"].to_numpy(), group["chip_id"].to_numpy()
        left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        found.update(ids[left[splits[left] != splits[right]]])
    return len(found)


def _counted(values: "pd.Series[Any]") -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().sort_index().items()}
