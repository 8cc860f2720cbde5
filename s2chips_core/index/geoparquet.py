"""GeoParquet 1.1: Parquet with a column `geometry` of WKB, its `bbox`, and the key `geo` that says so.

Here: the key, and writing a table. Not here: the schema of the index (`records`), and `tiles.parquet`, which is put together
from what is written here (`tiles`). Format: https://geoparquet.org/releases/v1.1.0/. The coordinate reference system is left
out, which means OGC:CRS84, WGS 84 longitude/latitude.
"""

import dataclasses
import json
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from s2chips_core.index.records import BBOX

ROWS_PER_GROUP = 50_000
"""About so many rows are in a row group: thousands of groups of a few rows are slow to read."""

GEO_KEY = "geo"
_GEOMETRIES_AT_ONCE = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a file must tell of its geometries."""

    types: frozenset[str] = frozenset()
    """Names of the geometry types that occur."""
    bounds: tuple[float, float, float, float] | None = None
    """xmin, ymin, xmax, ymax, degrees; none when there are no geometries."""

    def __or__(self, other: "Extent") -> "Extent":
        """Of both."""
        if self.bounds is None or other.bounds is None:
            return Extent(types=self.types | other.types, bounds=self.bounds or other.bounds)
        (west, south, east, north), (w, s, e, n) = self.bounds, other.bounds
        return Extent(types=self.types | other.types, bounds=(min(west, w), min(south, s), max(east, e), max(north, n)))


def extent_of(table: pa.Table) -> Extent:
    """Of the column `geometry`."""
    extent = Extent()
    for batch in table.select(["geometry"]).to_batches(max_chunksize=_GEOMETRIES_AT_ONCE):
        if batch.num_rows:
            geometries = shapely.from_wkb(batch["geometry"].to_numpy(zero_copy_only=False))
            _, one_of_each = np.unique(shapely.get_type_id(geometries), return_index=True)
            types = frozenset(str(geometries[place].geom_type) for place in one_of_each)
            west, south, east, north = shapely.total_bounds(geometries).tolist()
            extent |= Extent(types=types, bounds=(west, south, east, north))
    return extent


def write_geoparquet(sink: IO[bytes], table: pa.Table) -> None:
    """Write a table with `geometry` and `bbox`."""
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        write_groups(writer, table)
        writer.add_key_value_metadata({GEO_KEY: geo_text(extent_of(table))})


def write_groups(writer: pq.ParquetWriter, table: pa.Table) -> None:
    """Write a table in row groups of about the same length; none without rows."""
    if table.num_rows:
        groups = max(1, round(table.num_rows / ROWS_PER_GROUP))
        writer.write_table(table, row_group_size=-(-table.num_rows // groups))


def geo_text(extent: Extent) -> str:
    """The value of the file's `geo` key."""
    return json.dumps(geo_metadata(extent))


def geo_metadata(extent: Extent) -> dict[str, Any]:
    """What `geo_text` is of."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(extent.types),
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in BBOX.names}},
    }
    if extent.bounds is not None:
        column["bbox"] = list(extent.bounds)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
