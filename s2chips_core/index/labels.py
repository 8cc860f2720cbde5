"""Labels: every AIS vessel inside a chip, with its position and hull in pixels of the chip.

Here: the schema, choosing the vessels of a chip, the table of a day. Not here: where vessels were (`ais.vessels`), the
vessels of a day's scenes (`vessels`), the shape of a hull (`chips.hull`), what the picture shows of it
(`chips.confirmation`). Every row of the index parts carries its labels in the column `labels`; the table of a day is made
from them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from s2chips_core.ais.fixes import Floats
from s2chips_core.ais.targets import DIMENSIONS
from s2chips_core.ais.vessels import VESSEL_COLUMNS
from s2chips_core.chips.confirmation import Confirmation, Reflectance, expected_hull, judge_confirmation
from s2chips_core.chips.grid import Transform, utm_xy
from s2chips_core.chips.hull import DIMENSIONS as BY_DIMENSIONS
from s2chips_core.chips.hull import box_corners_m, choose_direction, choose_extents, in_pixels
from s2chips_core.tables import TIMESTAMP

LABEL_SCHEMA = pa.schema(
    [
        pa.field("chip_id", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64(), nullable=False),
        pa.field("is_target", pa.bool_(), nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lon", pa.float64(), nullable=False),
        pa.field("col", pa.float64(), nullable=False),
        pa.field("row", pa.float64(), nullable=False),
        pa.field("position_method", pa.string(), nullable=False),
        pa.field("position_gap_s", pa.float64()),
        pa.field("position_sigma_m", pa.float64()),
        pa.field("direction_deg", pa.float64()),
        pa.field("direction_source", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("width_m", pa.float64()),
        pa.field("to_bow_m", pa.float64()),
        pa.field("to_stern_m", pa.float64()),
        pa.field("to_port_m", pa.float64()),
        pa.field("to_starboard_m", pa.float64()),
        pa.field("box", pa.list_(pa.float64())),
        pa.field("box_source", pa.string()),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("scene_datetime", TIMESTAMP, nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)
"""`lat`, `lon`: the antenna at `scene_datetime`; `col`, `row`: the same in pixels of the chip, 0, 0 is the upper-left corner
of the upper-left pixel. `direction_deg`: of the bow, from true north. `box`: col, row of bow-port, bow-starboard,
stern-starboard, stern-port. `truncated`: a corner of the box lies outside of the chip."""

OF_CHIP = ("chip_id", "source_id", "scene_datetime", "path", "split")
"""What all labels of a chip share: columns of its index row."""
LABEL = pa.struct([pa.field(f.name, f.type) for f in LABEL_SCHEMA if f.name not in OF_CHIP])
"""A label within an index row."""
LABELS = pa.field("labels", pa.list_(LABEL), nullable=False)
"""The column of the index parts: the target first, then the others by MMSI."""
_SAID = tuple(name for name in VESSEL_COLUMNS if name in LABEL_SCHEMA.names)
"""What a label takes from its vessel as it is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVessels:
    """Vessels on the grid of a UTM zone; one row of each array, and one item of `said`, for each."""

    said: list[dict[str, Any]]
    """What a label says of each, without what depends on the chip."""
    xy_m: Floats
    """(vessels, 2): easting and northing of the antenna."""
    corners_m: Floats
    """(vessels, 4, 2) as `chips.hull` has them; NaN where there is no box."""

    def __len__(self) -> int:
        return len(self.said)


def place_vessels(vessels: pd.DataFrame, epsg: int) -> PlacedVessels:
    """Vessels (`VESSEL_COLUMNS`) on a grid, with their hulls."""

    def numbers(name: str) -> Floats:
        values: Floats = vessels[name].to_numpy(np.float64, na_value=np.nan)
        return values

    lon, lat = numbers("lon"), numbers("lat")
    direction_deg, direction_source = choose_direction(numbers("heading_deg"), numbers("cog_deg"), numbers("sog_kn"))
    dimensions_m = np.stack([numbers(name) for name in DIMENSIONS], axis=1)
    extents_m, box_source = choose_extents(numbers("length_m"), numbers("width_m"), dimensions_m)
    box_source[np.isnan(direction_deg)] = None
    shown = vessels[list(_SAID)].assign(
        direction_deg=direction_deg, direction_source=direction_source, box_source=box_source
    )
    said = [{str(k): _plain(v) for k, v in row.items()} for row in shown.astype(object).to_dict("records")]
    return PlacedVessels(
        said=said,
        xy_m=np.stack(utm_xy(lon, lat, epsg), axis=1),
        corners_m=box_corners_m(lon, lat, epsg, direction_deg, extents_m),
    )


def labels_of_chip(
    target: PlacedVessels, vessels: PlacedVessels, transform: Transform, chip_size_px: int
) -> list[dict[str, Any]]:
    """The labels of a chip: vessels whose antenna or hull is in it.

    Args:
        target: the one ship that the chip is centred on; among `vessels` it is passed over.
        vessels: those around.
        transform: of the chip.
        chip_size_px: its side.

    Returns:
        Values of `LABEL`: the target first, then the others by MMSI.
    """
    labels = [_label(target, 0, transform, chip_size_px, is_target=True)]
    mmsi = labels[0]["mmsi"]
    near = np.flatnonzero(_touches(vessels, transform, chip_size_px))
    others = [_label(vessels, int(n), transform, chip_size_px, is_target=False) for n in near]
    return labels + sorted((label for label in others if label["mmsi"] != mmsi), key=lambda label: int(label["mmsi"]))


def _touches(vessels: PlacedVessels, transform: Transform, chip_size_px: int) -> Any:
    """Whether the antenna is inside, or the box covers some of the chip; shape (vessels,)."""
    antenna = in_pixels(vessels.xy_m, transform)
    inside = ((antenna >= 0) & (antenna < chip_size_px)).all(axis=1)
    corners = in_pixels(vessels.corners_m, transform)
    boxed = np.isfinite(corners).all(axis=(1, 2))
    reach = np.zeros(len(vessels), dtype=bool)
    if boxed.any():
        chip = shapely.box(0, 0, chip_size_px, chip_size_px)
        # Crossing, not touching at an edge.
        reach[boxed] = shapely.relate_pattern(shapely.polygons(corners[boxed]), chip, "T********")
    return inside | reach


def _label(vessels: PlacedVessels, n: int, transform: Transform, chip_size_px: int, *, is_target: bool) -> dict[str, Any]:
    col, row = in_pixels(vessels.xy_m[n], transform).tolist()
    corners = in_pixels(vessels.corners_m[n], transform)
    boxed = bool(np.isfinite(corners).all())
    known = {
        **vessels.said[n],
        "is_target": is_target,
        "col": col,
        "row": row,
        "box": corners.ravel().tolist() if boxed else None,
        "truncated": boxed and bool(((corners < 0) | (corners > chip_size_px)).any()),
    }
    # In the order of the schema, as a part gives them back: else the sidecar would not be the same text.
    return {field.name: known[field.name] for field in LABEL}


def confirm(reflectance: Reflectance, bands: Sequence[str], labels: Sequence[Mapping[str, Any]]) -> Confirmation:
    """Whether a chip (bands, rows, cols) shows its target; `labels` as `labels_of_chip` gives them."""
    target, *others = (
        expected_hull(
            col=label["col"],
            row=label["row"],
            box=label["box"],
            antenna_known=label["box_source"] == BY_DIMENSIONS,
            length_m=label["length_m"],
            sigma_m=label["position_sigma_m"],
        )
        for label in labels
    )
    return judge_confirmation(reflectance, bands, target, others)


def labels_table(chips: pa.Table) -> pa.Table:
    """`LABEL_SCHEMA`: all labels of index rows that carry the column `labels`, in their order."""
    labels = chips["labels"].combine_chunks()
    of_chip = pc.list_parent_indices(labels)
    flat = pc.list_flatten(labels)
    columns = [chips[f.name].take(of_chip) if f.name in OF_CHIP else flat.field(f.name) for f in LABEL_SCHEMA]
    return pa.table(columns, names=LABEL_SCHEMA.names).cast(LABEL_SCHEMA)


def _plain(value: Any) -> Any:
    """None for what is not known: a NaN within a list of structs would stay one in Arrow."""
    return None if pd.isna(value) else value
