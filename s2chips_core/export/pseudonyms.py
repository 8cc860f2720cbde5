"""Rows and labels without what names a ship.

MMSI and chip_id become keyed hashes (HMAC-SHA-256, the first 16 hex digits): without the key nobody can try the 10^9 MMSI,
of which the dataset's own chip_id is a plain hash. What else names a ship, or is exact enough to be looked up in somebody's
record of AIS, is dropped or made coarse: every place is the middle of its pixel. That guards the hashes too. The split of a
chip follows from MMSI, time and the place to 5 decimals; who had these exactly could try all MMSI against the splits of
one ship's chips, and two dozen chips would name it. Where and when a chip was sensed stays to the pixel, and so do type,
size, speed and course: whoever has AIS of that place and time can still tell the ship. Pseudonymous, not anonymous.

Here: which column stays, and the hashes. Not here: writing files anew (`chip_files`).
"""

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from s2chips_core import layout
from s2chips_core.ais.fixes import Floats
from s2chips_core.chips.grid import PIXEL_M, Transform, lon_lat, utm_xy
from s2chips_core.chips.hull import in_pixels
from s2chips_core.index.records import INDEX_SCHEMA

ID_DIGITS = 16
SIGMA_STEP_M = 10.0
"""Standard errors follow from the time to the nearest fix; this coarse they do not tell it."""
DEGREE_DECIMALS = 5
"""About 1 m, as the chip's own centre; of the middle of a pixel they tell the pixel and no more."""

VESSEL_ID = pa.field("vessel_id", pa.string(), nullable=False)
"""In the place of `mmsi`: the same ship has the same one in all of an export, and in exports with the same key."""

KEPT = frozenset(
    {
        *("chip_id", "path", "lat", "lon", "scene_id", "scene_datetime", "cloud_cover", "split", "bands", "has_swir"),
        *("qa_cloud_frac", "qa_water_frac", "qa_land_frac", "qa_nodata_frac", "ais_source", "position_method"),
        *("position_sigma_m", "epsg", "transform", "mgrs_tile", "platform", "datatake", "sibling_scene_ids"),
        *("processing_baseline", "boa_offset_dn", "boa_offset_source", "scl_present", "gate_verdict", "provider"),
        *("collection", "ship_type", "length_m", "width_m", "heading_deg", "sog_kn", "cog_deg", "created_at"),
        *("software_version", "config_hash", "bbox", "geometry"),
        *("vessels", "confirmation", "confirmation_offset_m", "confirmation_contrast"),
    }
)
"""Columns of the index that stay; `chip_id` and `path` by another name, `position_sigma_m` rounded up, `lat` and `lon` of
the middle of the ship's pixel, `confirmation_offset_m` in whole pixels: finer, the picture would tell the place from it."""

DROPPED: Mapping[str, str] = {
    "mmsi": "names the ship; vessel_id stands for it",
    "ship_name": "names the ship",
    "target_id": "holds the MMSI",
    "source_id": "tells the file that the ship was read from",
    "overpass_time": "of a row of a file the time of its fix",
    "ais_time": "an exact fix can be looked up",
    "ais_lat": "an exact fix can be looked up",
    "ais_lon": "an exact fix can be looked up",
    "dt_s": "gives ais_time with scene_datetime",
    "position_gap_s": "gives the time of the nearest fix with scene_datetime",
    "fingerprint": "leads to the chip in the dataset",
    "scene_snapshot": "a file of the dataset, not of the export",
}
"""Columns of the index that go, and why."""

LABEL_KEPT = (
    *("is_target", "lat", "lon", "col", "row", "position_method", "position_sigma_m", "direction_deg"),
    *("direction_source", "length_m", "width_m", "box", "box_source", "truncated", "sog_kn", "cog_deg", "heading_deg"),
    *("ship_type", "ais_source"),
)
"""Fields of a label that stay; place and box moved together so that the antenna is in the middle of its pixel,
`position_sigma_m` rounded up."""
LABEL_DROPPED: Mapping[str, str] = {
    "mmsi": "names the ship; vessel_id stands for it",
    "ship_name": "names the ship",
    "position_gap_s": "gives the time of the nearest fix with scene_datetime",
    "to_bow_m": "where the antenna stands tells one ship from its sisters; the box holds it still",
    "to_stern_m": "as to_bow_m",
    "to_port_m": "as to_bow_m",
    "to_starboard_m": "as to_bow_m",
    "source_id": "tells the file that the ship was read from",
}
"""Fields of a label that go, and why."""


class Pseudonyms:
    """The names that ships and chips have in one export."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def vessel_id(self, mmsi: int) -> str:
        """16 hex digits for a ship."""
        return self._digits(f"mmsi:{int(mmsi)}")

    def chip_id(self, chip_id: str) -> str:
        """16 hex digits for a chip."""
        return self._digits(f"chip:{chip_id}")

    def _digits(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:ID_DIGITS]

    def rows(self, rows: pa.Table) -> pa.Table:
        """Index rows as an export without AIS shows them, in the same order: `shown_schema`."""
        schema = shown_schema(rows.schema)
        days = [moment.date() for moment in rows["scene_datetime"].to_pylist()]
        vessels = [self.vessel_id(mmsi) for mmsi in rows["mmsi"].to_pylist()]
        chips = [self.chip_id(chip) for chip in rows["chip_id"].to_pylist()]
        paths = [
            layout.export_chip(split, vessel, day, chip)
            for split, vessel, day, chip in zip(rows["split"].to_pylist(), vessels, days, chips, strict=True)
        ]
        sigmas = [_coarse(sigma) for sigma in rows["position_sigma_m"].to_pylist()]
        offsets = [_whole_pixels(offset) for offset in rows["confirmation_offset_m"].to_pylist()]
        anew: dict[str, list[Any]] = {
            "chip_id": chips,
            "path": paths,
            "vessel_id": vessels,
            "position_sigma_m": sigmas,
            "confirmation_offset_m": offsets,
        }
        anew["lat"], anew["lon"] = _middles_of_pixels(rows)
        columns = [pa.array(anew[f.name], f.type) if f.name in anew else rows[f.name] for f in schema]
        return pa.table(columns, schema=schema)

    def labels(self, labels: Sequence[Mapping[str, Any]], *, transform: Transform, epsg: int) -> list[dict[str, Any]]:
        """The labels of a chip as an export without AIS shows them: the target first, then the others by `vessel_id`.

        Their order in the dataset is that of the MMSI, which would tell something of these.

        Args:
            labels: of the chip.
            transform, epsg: of the chip.
        """
        shown = [self.label(label, transform=transform, epsg=epsg) for label in labels]
        return sorted(shown, key=lambda label: (not label["is_target"], label["vessel_id"]))

    def label(self, label: Mapping[str, Any], *, transform: Transform, epsg: int) -> dict[str, Any]:
        """A label as an export without AIS shows it; `truncated` stays what it is of the exact box."""
        told = {name: label[name] for name in LABEL_KEPT if name in label}
        told["position_sigma_m"] = _coarse(label.get("position_sigma_m"))
        place = np.array([label["col"], label["row"]], dtype=np.float64)
        middle = _middle(place)
        told["col"], told["row"] = middle.tolist()
        if label.get("box") is not None:
            corners = np.array(label["box"], dtype=np.float64).reshape(-1, 2)
            told["box"] = (corners + (middle - place)).ravel().tolist()
        told["lat"], told["lon"] = _lat_lon(middle, transform, epsg)
        return {"vessel_id": self.vessel_id(label["mmsi"]), **told}


def shown_schema(schema: pa.Schema = INDEX_SCHEMA) -> pa.Schema:
    """The columns of an export without AIS. What is in neither list goes: a new column must be thought of first."""
    kept = [field for field in schema if field.name in KEPT]
    kept.insert(2, VESSEL_ID)
    return pa.schema(kept)


def _coarse(sigma_m: float | None) -> float | None:
    return None if sigma_m is None else math.ceil(sigma_m / SIGMA_STEP_M) * SIGMA_STEP_M


def _whole_pixels(offset_m: float | None) -> float | None:
    return None if offset_m is None else round(offset_m / PIXEL_M) * PIXEL_M


def _middle(pixels: Floats) -> Floats:
    """The middle of the pixel that holds a point; column and row."""
    middle: Floats = np.floor(pixels) + 0.5
    return middle


def _lat_lon(pixels: Floats, transform: Transform, epsg: int) -> tuple[float, float]:
    """Latitude and longitude of a point of a chip, `DEGREE_DECIMALS` of them."""
    a, _, c, _, e, f = transform[:6]
    col, row = pixels
    lon, lat = lon_lat(c + a * col, f + e * row, epsg)
    return round(float(lat), DEGREE_DECIMALS) + 0.0, round(float(lon), DEGREE_DECIMALS) + 0.0


def _middles_of_pixels(rows: pa.Table) -> tuple[list[float], list[float]]:
    """`lat` and `lon` of the middles of the pixels that the chips are centred on."""
    middles = []
    for row in rows.select(["lat", "lon", "transform", "epsg"]).to_pylist():
        transform: Transform = tuple(row["transform"][:6])
        here = np.stack(utm_xy(row["lon"], row["lat"], row["epsg"]))
        middles.append(_lat_lon(_middle(in_pixels(here, transform)), transform, row["epsg"]))
    return [lat for lat, _ in middles], [lon for _, lon in middles]
