"""`indexes/tiles.parquet`: the global index, one row per chip, as GeoParquet 1.1.

Here: deriving it from the parts. Not here: the parts (`parts`). Format: https://geoparquet.org/releases/v1.1.0/. The
coordinate reference system is left out, which means OGC:CRS84, WGS 84 longitude/latitude.
"""

import dataclasses
import io
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from s2chips_core import layout, tables
from s2chips_core.index.parts import COMMIT_LOCK, join_parts, parts_of_scene_day, scene_days
from s2chips_core.index.records import BBOX, INDEX_SCHEMA, unique_chips
from s2chips_core.storage import Storage

ROWS_PER_GROUP = 50_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TilesIndexResult:
    """What was written."""

    rows: int
    """Chips."""
    parts: int
    """Parts read."""
    seconds: float


def build_tiles_index(storage: Storage) -> TilesIndexResult:
    """Derive the index from all parts and replace it atomically.

    The lock is taken before the parts are listed and held until the file is in place, so that of two builds the later
    one has seen every part of the earlier. Parts are read day by day; days sort as `scene_datetime` does.
    """
    with storage.lock(COMMIT_LOCK):
        return put_tiles_index(storage)


def put_tiles_index(storage: Storage) -> TilesIndexResult:
    """`build_tiles_index` for those who hold the commit lock."""
    began = time.monotonic()
    parts = 0

    def days() -> Iterator[pa.Table]:
        nonlocal parts
        for scene_day in scene_days(storage):
            found = parts_of_scene_day(storage, scene_day).values()
            parts += len(found)
            yield unique_chips(join_parts(found)).select(INDEX_SCHEMA.names)

    sink = io.BytesIO()
    rows = write_geoparquet(sink, days())
    storage.put(layout.tiles_index(), sink.getvalue())
    return TilesIndexResult(rows=rows, parts=parts, seconds=time.monotonic() - began)


def read_head(storage: Storage, rows: int) -> pd.DataFrame:
    """The first rows of the index, INDEX_SCHEMA without geometry."""
    file = pq.ParquetFile(io.BytesIO(storage.get(layout.tiles_index())))
    names = [name for name in INDEX_SCHEMA.names if name not in ("geometry", "bbox")]
    batches = itertools.islice(file.iter_batches(batch_size=rows, columns=names), 1)
    head = pa.Table.from_batches(batches, pa.schema([INDEX_SCHEMA.field(name) for name in names]))
    return tables.to_frame(head.slice(0, rows))


def write_geoparquet(sink: IO[bytes], days: Iterable[pa.Table], schema: pa.Schema = INDEX_SCHEMA) -> int:
    """Write tables of a schema with `geometry` and `bbox` one after another as one GeoParquet file; returns its rows."""
    rows, types, bounds = 0, set[str](), np.array([np.inf, np.inf, -np.inf, -np.inf])
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for table in _grouped(days, schema):
            geometries = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
            types |= {geometry.geom_type for geometry in geometries}
            found = shapely.total_bounds(geometries)
            bounds = np.concatenate([np.minimum(bounds[:2], found[:2]), np.maximum(bounds[2:], found[2:])])
            rows += table.num_rows
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        # The bounds are known only now; a Parquet footer is written last.
        writer.add_key_value_metadata({"geo": json.dumps(geo_metadata(types, bounds.tolist() if rows else None))})
    return rows


def geo_metadata(geometry_types: Iterable[str], bounds: list[float] | None) -> dict[str, Any]:
    """The value of the file's `geo` key.

    Args:
        geometry_types: names of the types that occur.
        bounds: xmin, ymin, xmax, ymax of all geometries, degrees; none when there are none.
    """
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(geometry_types),
        "orientation": "counterclockwise",
        "covering": {"bbox": {name: ["bbox", name] for name in BBOX.names}},
    }
    if bounds is not None:
        column["bbox"] = bounds
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _grouped(days: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Join days until a row group is full: thousands of groups of a few rows are slow to read."""
    waiting: list[pa.Table] = []
    for table in days:
        waiting.append(table)
        if sum(t.num_rows for t in waiting) >= ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    joined = pa.concat_tables([schema.empty_table(), *waiting])
    if joined.num_rows:
        yield joined
