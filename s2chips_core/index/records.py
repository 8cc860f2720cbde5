"""The row of the index: what is known of a chip. The same fields are in the GeoJSON properties and the JSON sidecar.

Here: the schema, building rows, and their plain form. Not here: the parts on disk (`parts`), the file `tiles.parquet`
(`tiles`), footprints as GeoJSON (`geojson`).
"""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
import shapely.geometry

from s2chips_core import layout, tables
from s2chips_core.chips.chip import Chip
from s2chips_core.chips.identity import chip_id, fingerprint, format_coordinate, split_of
from s2chips_core.config import Settings
from s2chips_core.errors import SchemaError
from s2chips_core.index.labels import LABELS, confirm
from s2chips_core.index.provenance import scene_snapshot
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.scene import Scene
from s2chips_core.tables import TIMESTAMP

BBOX = pa.struct([pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])

INDEX_SCHEMA = pa.schema(
    [
        pa.field("chip_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64(), nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lon", pa.float64(), nullable=False),
        pa.field("overpass_time", TIMESTAMP),
        pa.field("scene_id", pa.string(), nullable=False),
        pa.field("scene_datetime", TIMESTAMP, nullable=False),
        pa.field("cloud_cover", pa.float64()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("bands", pa.list_(pa.string()), nullable=False),
        pa.field("has_swir", pa.bool_(), nullable=False),
        pa.field("qa_cloud_frac", pa.float64()),
        pa.field("qa_water_frac", pa.float64()),
        pa.field("qa_land_frac", pa.float64()),
        pa.field("qa_nodata_frac", pa.float64(), nullable=False),
        pa.field("ais_lat", pa.float64(), nullable=False),
        pa.field("ais_lon", pa.float64(), nullable=False),
        pa.field("ais_time", TIMESTAMP, nullable=False),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("position_method", pa.string(), nullable=False),
        pa.field("position_gap_s", pa.float64()),
        pa.field("position_sigma_m", pa.float64()),
        pa.field("dt_s", pa.float64(), nullable=False),
        pa.field("epsg", pa.int64(), nullable=False),
        pa.field("transform", pa.list_(pa.float64()), nullable=False),
        pa.field("mgrs_tile", pa.string(), nullable=False),
        pa.field("platform", pa.string(), nullable=False),
        pa.field("datatake", pa.string()),
        pa.field("sibling_scene_ids", pa.list_(pa.string())),
        pa.field("processing_baseline", pa.string()),
        pa.field("boa_offset_dn", pa.int64(), nullable=False),
        pa.field("boa_offset_source", pa.string(), nullable=False),
        pa.field("scl_present", pa.bool_(), nullable=False),
        pa.field("gate_verdict", pa.string(), nullable=False),
        pa.field("provider", pa.string(), nullable=False),
        pa.field("collection", pa.string(), nullable=False),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("width_m", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("vessels", pa.int64(), nullable=False),
        pa.field("confirmation", pa.string()),
        pa.field("confirmation_offset_m", pa.float64()),
        pa.field("confirmation_contrast", pa.float64()),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("created_at", TIMESTAMP, nullable=False),
        pa.field("software_version", pa.string(), nullable=False),
        pa.field("config_hash", pa.string(), nullable=False),
        pa.field("scene_snapshot", pa.string(), nullable=False),
        pa.field("bbox", BBOX, nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)
"""`transform`: a, b, c, d, e, f of the affine transform, metres. `vessels`: labels in the chip, its target included.
`geometry`: the footprint as WKB, WGS 84 lon/lat."""

PART_SCHEMA = INDEX_SCHEMA.append(LABELS)
"""Of the index parts: the labels of each chip stand beside it, so that whatever keeps the parts right keeps them right."""

MATCH_FIELDS = tuple(n for n in INDEX_SCHEMA.names if n in MATCH_SCHEMA.names and n not in ("lat", "lon"))
"""What a row takes from its match as it is."""
PIXEL_FIELDS = tuple(
    n
    for n in INDEX_SCHEMA.names
    if n not in MATCH_SCHEMA.names and n not in ("chip_id", "path", "split", "fingerprint", "vessels")
)
"""What a row knows from cutting the chip."""
PROPERTY_FIELDS = tuple(n for n in INDEX_SCHEMA.names if n not in ("bbox", "geometry"))
"""What GeoJSON and the sidecar carry; the sidecar has the labels too."""
SWIR_BANDS = frozenset({"B11", "B12"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ChipKey:
    """What a chip is called and where it lies, known before a pixel is read."""

    chip_id: str
    split: str
    scene_day: date
    """UTC date of `scene_datetime`."""
    path: str
    """Key of the `.tif`."""
    lat: float
    """Of the chip centre, degrees, 5 decimals; `lon` too."""
    lon: float
    fingerprint: str
    """What the pixels rest on; see `chips.identity`."""


def chip_key(match: Mapping[str, Any], settings: Settings) -> ChipKey:
    """The names of the chip of a match with status matched."""
    scene = _scene(match["scene"])
    mmsi, lat, lon = int(match["mmsi"]), centre_deg(match["lat"]), centre_deg(match["lon"])
    scene_datetime: datetime = match["scene_datetime"]
    scene_day = scene_datetime.date()
    name = chip_id(mmsi, scene_datetime, lat, lon)
    split = split_of(name, mmsi, settings.splits)
    return ChipKey(
        chip_id=name,
        split=split,
        scene_day=scene_day,
        path=layout.chip(split, mmsi, scene_day, name),
        lat=lat,
        lon=lon,
        fingerprint=fingerprint(
            config_hash=settings.config_hash,
            scene_id=scene.scene_id,
            revision=scene.revision,
            processing_baseline=scene.processing_baseline,
            lat=lat,
            lon=lon,
        ),
    )


def centre_deg(degrees: float) -> float:
    """A coordinate of the chip centre as the chip id has it: 5 decimals, about 1 m.

    The chip is cut there too, so that the index, the id and the pixels tell of one and the same place.
    """
    return float(format_coordinate(degrees))


@functools.lru_cache(maxsize=64)
def _scene(text: str) -> Scene:
    return Scene.from_json(text)


def row_from_chip(
    match: Mapping[str, Any],
    key: ChipKey,
    chip: Chip,
    labels: Sequence[Mapping[str, Any]],
    *,
    created_at: datetime,
    software_version: str,
    config_hash: str,
) -> dict[str, Any]:
    """The row of a chip that was just cut.

    Args:
        match: its row of `scenes.matches.MATCH_SCHEMA`, status matched.
        key: its names.
        chip: its pixels, numbers and footprint.
        labels: the vessels in it.
        created_at: aware UTC.
        software_version: of this package.
        config_hash: `Settings.config_hash`.
    """
    footprint = oriented(shapely.geometry.shape(chip.footprint))
    seen = confirm(chip.reflectance, chip.bands, labels)
    return {
        **_said_by_match(match, key, labels),
        "confirmation": None if seen.verdict is None else str(seen.verdict),
        "confirmation_offset_m": seen.offset_m,
        "confirmation_contrast": seen.contrast,
        "bands": list(chip.bands),
        "has_swir": not SWIR_BANDS.isdisjoint(chip.bands),
        "qa_cloud_frac": chip.numbers.qa_cloud_frac,
        "qa_water_frac": chip.numbers.qa_water_frac,
        "qa_land_frac": chip.numbers.qa_land_frac,
        "qa_nodata_frac": chip.numbers.qa_nodata_frac,
        "epsg": chip.epsg,
        "transform": [float(x) for x in chip.transform],
        "boa_offset_dn": chip.boa_offset_dn,
        "boa_offset_source": str(chip.boa_offset_source),
        "scl_present": chip.scl_present,
        "gate_verdict": str(chip.verdict),
        "created_at": created_at,
        "software_version": software_version,
        "config_hash": config_hash,
        "scene_snapshot": scene_snapshot(match["scene"])[0],
        "bbox": dict(zip(BBOX.names, footprint.bounds, strict=True)),
        "geometry": shapely.to_wkb(footprint),
    }


def row_from_earlier(
    match: Mapping[str, Any], key: ChipKey, earlier: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The row of a chip that exists: pixels, footprint, `created_at` of `earlier`, the ships as AIS knows them now."""
    return {**{name: earlier[name] for name in PIXEL_FIELDS}, **_said_by_match(match, key, labels)}


def _said_by_match(match: Mapping[str, Any], key: ChipKey, labels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        **{name: match[name] for name in MATCH_FIELDS},
        "chip_id": key.chip_id,
        "path": key.path,
        "split": key.split,
        "fingerprint": key.fingerprint,
        "lat": key.lat,
        "lon": key.lon,
        "vessels": len(labels),
        "labels": list(labels),
    }


def oriented(geometry: shapely.Geometry) -> shapely.Geometry:
    """Polygons with counter-clockwise outer rings, as RFC 7946 section 3.1.6 asks."""
    if isinstance(geometry, shapely.Polygon):
        return shapely.geometry.polygon.orient(geometry)
    if isinstance(geometry, shapely.MultiPolygon):
        return shapely.MultiPolygon([shapely.geometry.polygon.orient(part) for part in geometry.geoms])
    raise SchemaError("index", f"a footprint is a {geometry.geom_type}, expected Polygon or MultiPolygon")


def index_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame of `PART_SCHEMA`, sorted by `scene_datetime`, then `chip_id`."""
    frame = pd.DataFrame(list(rows), columns=PART_SCHEMA.names)
    return tables.to_frame(in_order(tables.conform(frame, PART_SCHEMA, "index")))


def in_order(table: pa.Table) -> pa.Table:
    """Sorted by `scene_datetime`, then `chip_id`."""
    return table.sort_by([("scene_datetime", "ascending"), ("chip_id", "ascending")])


def unique_chips(table: pa.Table) -> pa.Table:
    """One row per `chip_id`, sorted by `scene_datetime`, then `chip_id`.

    Two sources may name the same ship at the same place. A source that finds the chip made takes it over with its
    `created_at`; a later one means that the artefacts were made anew (another configuration), and the latest row is the
    one that tells what is in them. Of equals the one of the `source_id` that sorts first is kept, then the first.
    """
    order = [
        ("scene_datetime", "ascending"),
        ("chip_id", "ascending"),
        ("created_at", "descending"),
        ("source_id", "ascending"),
    ]
    # Only these columns are sorted: a sorted copy of the table, of which some rows are taken, would be three tables at once.
    places = pc.sort_indices(table.select([name for name, _ in order]), sort_keys=order).to_numpy()
    # `chip_id` is made of `scene_datetime` too, so equals are neighbours.
    ids = table["chip_id"].to_numpy()[places]
    kept = places[np.concatenate([[True], ids[1:] != ids[:-1]])] if len(ids) else places
    return table if np.array_equal(kept, np.arange(len(ids))) else table.take(pa.array(kept))


def rows_one_by_one(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table as `to_pylist` has them, of which only some are held at once: one takes ten times its bytes."""
    for batch in table.to_batches(max_chunksize=500):
        yield from batch.to_pylist()


def properties(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an index row, without geometry and bbox, as JSON takes them.

    Times are RFC 3339 UTC with milliseconds and `Z`; what is not known is null, never NaN.
    """
    return {name: plain(row[name]) for name in PROPERTY_FIELDS}


def sidecar_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the sidecar says: `properties`, and the labels under `labels`."""
    return {**properties(row), LABELS.name: plain(row[LABELS.name])}


def sidecar(row: Mapping[str, Any]) -> bytes:
    """The `.json` beside a chip: `sidecar_fields`, indented, in the order of the schema."""
    return (json.dumps(sidecar_fields(row), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """A value as JSON takes it; see `properties`."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
