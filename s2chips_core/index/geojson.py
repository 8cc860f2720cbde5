"""Footprints as GeoJSON (RFC 7946): one Feature beside every chip, one FeatureCollection per scene day.

Here: the text, and the door that writes what is made of a scene day's parts: the FeatureCollection and, in the same breath,
the labels. Not here: the properties (`records`) and the parts they come from (`parts`). Coordinates are WGS 84
longitude, latitude, to 7 decimals (1 cm).
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import IO, Any

import shapely
import shapely.geometry

from s2chips_core import layout, tables
from s2chips_core.index.labels import labels_table
from s2chips_core.index.parts import COMMIT_LOCK, chips_of_scene_day
from s2chips_core.index.records import properties, rows_one_by_one
from s2chips_core.storage import Storage

DECIMALS = 7
HEAD, TAIL = '{"type":"FeatureCollection","features":[', "]}"


def feature(row: Mapping[str, Any]) -> dict[str, Any]:
    """The Feature of an index row; its `id` is the chip_id."""
    return {
        "type": "Feature",
        "id": row["chip_id"],
        "geometry": footprint_geometry(row),
        "properties": properties(row),
    }


def footprint_geometry(row: Mapping[str, Any]) -> dict[str, Any]:
    """The footprint of an index row as a GeoJSON geometry."""
    geometry = shapely.geometry.mapping(shapely.from_wkb(row["geometry"]))
    return {"type": geometry["type"], "coordinates": _rounded(geometry["coordinates"])}


def feature_bytes(row: Mapping[str, Any]) -> bytes:
    """The `.geojson` beside a chip."""
    return (_text(feature(row)) + "\n").encode()


def collection_bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A FeatureCollection of index rows in the order given, one Feature a line."""
    return b"".join(collection_pieces(rows))


def collection_pieces(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The bytes of `collection_bytes`, a Feature after another."""
    yield (HEAD + "\n").encode()
    for number, row in enumerate(rows):
        yield ((",\n" if number else "") + _text(feature(row))).encode()
    yield ("\n" + TAIL + "\n").encode()


def features(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The Features of a FeatureCollection; one that was written here is never held whole.

    Raises:
        ValueError: it is no FeatureCollection.
    """
    if file.readline().decode().rstrip() == HEAD:
        for line in file:
            text = line.decode().rstrip()
            if text and text != TAIL:
                yield json.loads(text.removesuffix(","))
        return
    file.seek(0)
    tree = json.loads(file.read())
    if not isinstance(tree, dict) or not isinstance(tree.get("features"), list):
        raise ValueError("it is no FeatureCollection")
    yield from tree["features"]


def write_daily_geojson(storage: Storage, scene_day: date) -> int:
    """Write the footprints and the labels of all chips sensed on a day, or remove the files when there are none.

    Returns:
        The number of chips.
    """
    with storage.lock(COMMIT_LOCK):
        return put_daily_geojson(storage, scene_day)


def put_daily_geojson(storage: Storage, scene_day: date) -> int:
    """`write_daily_geojson` for those who hold the commit lock."""
    key, labels_key = layout.daily_geojson(scene_day), layout.daily_labels(scene_day)
    chips = chips_of_scene_day(storage, scene_day)
    if not chips.num_rows:
        storage.delete(key)
        storage.delete(labels_key)
    else:
        storage.put(labels_key, tables.parquet_bytes(labels_table(chips)))
        with storage.open_write(key) as file:
            file.writelines(collection_pieces(rows_one_by_one(chips)))
    return int(chips.num_rows)


def _rounded(coordinates: Any) -> Any:
    if isinstance(coordinates, tuple | list):
        return [_rounded(item) for item in coordinates]
    return round(float(coordinates), DECIMALS)


def _text(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def refresh_geojson(storage: Storage, ais_day: date, reach_hours: float) -> dict[date, int]:
    """Write the GeoJSON and the labels of every day on which chips of an AIS day may have been sensed.

    Args:
        storage: the dataset.
        ais_day: the day of AIS.
        reach_hours: how far a scene may be from the AIS, `stac.search_window_hours`.

    Returns:
        Chips by scene day, for the days that have parts or had a file.
    """
    reach = math.ceil(reach_hours / 24.0)
    around = [ais_day + timedelta(days=n) for n in range(-reach, reach + 1)]
    return {
        day: write_daily_geojson(storage, day)
        for day in around
        if storage.list(layout.index_parts_of_scene_day(day))
        or storage.exists(layout.daily_geojson(day))
        or storage.exists(layout.daily_labels(day))
    }
