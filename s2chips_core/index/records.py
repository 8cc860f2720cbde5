"""The row of the index: what is known of a chip. The same fields are in the GeoJSON properties and the JSON sidecar.

Here: the schema. Not here: the file `tiles.parquet` (`tiles`), footprints as GeoJSON (`geojson`).
"""

import pyarrow as pa

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
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("created_at", TIMESTAMP, nullable=False),
        pa.field("software_version", pa.string(), nullable=False),
        pa.field("config_hash", pa.string(), nullable=False),
        pa.field("bbox", BBOX, nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)
"""`transform`: a, b, c, d, e, f of the affine transform, metres. `geometry`: the footprint as WKB, WGS 84 lon/lat."""
