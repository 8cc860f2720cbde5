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
import numpy.typing as npt
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
_NAMES = tuple(field.name for field in LABEL)
LABELS = pa.field("labels", pa.list_(LABEL), nullable=False)
"""The column of the index parts: the target first, then the others by MMSI."""
_SAID = tuple(name for name in VESSEL_COLUMNS if name in LABEL_SCHEMA.names)
"""What a label takes from its vessel as it is."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVessels:
    """Vessels on the grid of a UTM zone; one row of each array for each."""

    columns: Mapping[str, npt.NDArray[Any]]
    """What a label says of each without what depends on the chip, by name."""
    xy_m: Floats
    """(vessels, 2): easting and northing of the antenna."""
    corners_m: Floats
    """(vessels, 4, 2) as `chips.hull` has them; NaN where there is no box."""
    index: shapely.STRtree
    """Of the rectangles that hold antenna and box: a chip looks at the vessels around it and not at all of a scene."""

    def __len__(self) -> int:
        return len(self.xy_m)

    def said(self, n: int) -> dict[str, Any]:
        """Of one vessel, in plain values: None for what is not known, for a NaN in a list of structs stays one in Arrow."""
        values = {name: column.item(n) for name, column in self.columns.items()}
        return {name: value if value == value else None for name, value in values.items()}

    def near(self, transform: Transform, chip_size_px: int) -> npt.NDArray[np.int64]:
        """Vessels whose rectangle touches a chip, by number."""
        a, _, c, _, e, f = transform
        chip = shapely.box(c, f + e * chip_size_px, c + a * chip_size_px, f)
        return np.sort(self.index.query(chip).astype(np.int64))


def place_vessels(vessels: pd.DataFrame, epsg: int) -> PlacedVessels:
    """Vessels (`VESSEL_COLUMNS`) on a grid, with their hulls."""
    return _place({name: _plain(vessels[name].to_numpy()) for name in VESSEL_COLUMNS}, epsg)


def place_vessel(vessel: Mapping[str, Any], epsg: int) -> PlacedVessels:
    """The same for one vessel, which has a value for each of `VESSEL_COLUMNS`."""
    plain = {name: None if pd.isna(vessel[name]) else vessel[name] for name in VESSEL_COLUMNS}
    return _place({name: np.array([value], dtype=object) for name, value in plain.items()}, epsg)


def _place(columns: Mapping[str, npt.NDArray[Any]], epsg: int) -> PlacedVessels:
    def numbers(name: str) -> Floats:
        return columns[name].astype(np.float64)

    lon, lat = numbers("lon"), numbers("lat")
    direction_deg, direction_source = choose_direction(numbers("heading_deg"), numbers("cog_deg"), numbers("sog_kn"))
    dimensions_m = np.stack([numbers(name) for name in DIMENSIONS], axis=1)
    extents_m, box_source = choose_extents(numbers("length_m"), numbers("width_m"), dimensions_m)
    box_source[np.isnan(direction_deg)] = None
    shown = {name: columns[name] for name in _SAID}
    xy_m = np.stack(utm_xy(lon, lat, epsg), axis=1)
    corners_m = box_corners_m(lon, lat, epsg, direction_deg, extents_m)
    points = np.concatenate([xy_m[:, None], corners_m], axis=1)
    low, high = np.fmin.reduce(points, axis=1), np.fmax.reduce(points, axis=1)
    return PlacedVessels(
        columns={
            **shown,
            "direction_deg": direction_deg,
            "direction_source": direction_source,
            "box_source": box_source,
        },
        xy_m=xy_m,
        corners_m=corners_m,
        index=shapely.STRtree(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])),
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
    near = vessels.near(transform, chip_size_px)
    near = near[_touches(vessels, near, transform, chip_size_px)]
    others = [_label(vessels, int(n), transform, chip_size_px, is_target=False) for n in near]
    return labels + sorted((label for label in others if label["mmsi"] != mmsi), key=lambda label: int(label["mmsi"]))


def _touches(vessels: PlacedVessels, which: npt.NDArray[np.int64], transform: Transform, chip_size_px: int) -> Any:
    """Whether the antenna is inside, or the box covers some of the chip; shape of `which`."""
    antenna = in_pixels(vessels.xy_m[which], transform)
    inside = ((antenna >= 0) & (antenna < chip_size_px)).all(axis=1)
    corners = in_pixels(vessels.corners_m[which], transform)
    boxed = np.isfinite(corners).all(axis=(1, 2))
    reach = np.zeros(len(which), dtype=bool)
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
        **vessels.said(n),
        "is_target": is_target,
        "col": col,
        "row": row,
        "box": corners.ravel().tolist() if boxed else None,
        "truncated": boxed and bool(((corners < 0) | (corners > chip_size_px)).any()),
    }
    # In the order of the schema, as a part gives them back: else the sidecar would not be the same text.
    return {name: known[name] for name in _NAMES}


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


def _plain(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """None for pandas' several words for what is not known."""
    if column.dtype.kind in "fi":
        return column
    plain = column.astype(object)
    plain[pd.isna(plain)] = None
    return plain
