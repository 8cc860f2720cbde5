"""Scenes, targets and fixes to test with, and the recorded items of the real archives."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyproj import Transformer

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.config import Settings, parse_settings
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.scenes.scene import Asset, Scene

SENSED = datetime(2025, 7, 31, 10, 36, 41, 24_000, tzinfo=UTC)
NOW = SENSED + timedelta(days=5)
_GSD_M = dict.fromkeys(("B02", "B03", "B04", "B08"), 10) | dict.fromkeys(
    ("B05", "B06", "B07", "B8A", "B11", "B12", "SCL"), 20
)


def settings(**sections: dict[str, Any]) -> Settings:
    """The defaults, but for some keys."""
    return parse_settings({"satellite_tracking": {"tiles": ["32VPH"]}, **sections}, "test")


def lonlat(epsg: int, x: float, y: float) -> tuple[float, float]:
    """UTM metres as longitude and latitude."""
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    return float(lon), float(lat)


def square(epsg: int, left: float, bottom: float, right: float, top: float) -> dict[str, Any]:
    """A rectangle of UTM metres as a GeoJSON polygon."""
    corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
    return {"type": "Polygon", "coordinates": [[list(lonlat(epsg, x, y)) for x, y in corners]]}


def scene(tile: str = "32VPH", *, data_width_m: float = TILE_SIDE_M, data_from_m: float = 0.0, **changes: Any) -> Scene:
    """A full tile, or a strip of it from `data_from_m` east of its western edge."""
    epsg, ulx_m, uly_m = tile_corner(tile)
    west = ulx_m + data_from_m
    assets = {
        band: Asset(
            href=f"https://sentinel-cogs.s3.us-west-2.amazonaws.com/{tile}/{band}.tif",
            gsd_m=gsd_m,
            ulx_m=float(ulx_m),
            uly_m=float(uly_m),
            rows=TILE_SIDE_M // gsd_m,
            cols=TILE_SIDE_M // gsd_m,
        )
        for band, gsd_m in _GSD_M.items()
    }
    base = Scene(
        scene_id=f"S2A_{tile}_20250731_0_L2A",
        provider="earth_search",
        collection="sentinel-2-l2a",
        datetime=SENSED,
        platform="S2A",
        datatake_id="GS2A_20250731T103031_052780",
        mgrs_tile=tile,
        epsg=epsg,
        cloud_cover=5.0,
        processing_baseline="05.11",
        sequence=0,
        revision="2025-07-31T20:00:00Z",
        boa_offset_flag=True,
        footprint=square(epsg, west, uly_m - TILE_SIDE_M, min(west + data_width_m, ulx_m + TILE_SIDE_M), uly_m),
        assets=assets,
    )
    return dataclasses.replace(base, **changes)


def in_tile(tile: str, east_m: float, south_m: float) -> tuple[float, float]:
    """The place so far from the tile's upper-left corner, longitude and latitude."""
    epsg, ulx_m, uly_m = tile_corner(tile)
    return lonlat(epsg, ulx_m + east_m, uly_m - south_m)


def targets(*rows: dict[str, Any]) -> pd.DataFrame:
    """TARGET_SCHEMA; a row names what differs from a ship of a file in the middle of 32VPH, 10 min before the sensing."""
    lon, lat = in_tile("32VPH", 50_000, 50_000)
    base = {
        "source_id": "file-0123456789ab",
        "mmsi": 244660123,
        "ais_time": SENSED - timedelta(minutes=10),
        "ais_lat": lat,
        "ais_lon": lon,
        "ais_source": "file",
        "position_mode": "as_reported",
        "sog_kn": None,
        "invalid_reason": None,
    }
    frame = pd.DataFrame([{**base, "target_id": f"t{n}", **row} for n, row in enumerate(rows)])
    frame["ais_time"] = pd.to_datetime(frame["ais_time"], utc=True)
    frame["mmsi"] = frame["mmsi"].astype("Int64")
    return tables.to_frame(tables.conform(frame, TARGET_SCHEMA, "targets"))


def fixes(*rows: dict[str, Any]) -> pd.DataFrame:
    """FIX_SCHEMA."""
    if not rows:
        return tables.empty(FIX_SCHEMA)
    frame = pd.DataFrame([{"mmsi": 244660123, "ais_source": "synthetic", **row} for row in rows])
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return tables.to_frame(tables.conform(frame, FIX_SCHEMA, "fixes"))


def recorded_items(shared_data: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Every recorded STAC item: provider, file, item."""
    files = sorted((shared_data / "stac").rglob("*json")) + sorted((shared_data / "archive-32VPH").glob("item-*.json"))
    for file in files:
        folder = file.relative_to(shared_data).parts[1]
        provider = {"cdse": "cdse", "planetary-computer": "planetary_computer"}.get(folder, "earth_search")
        for item in _items(json.loads(file.read_text(encoding="utf-8"))):
            yield provider, file, item


def _items(tree: object) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        if tree.get("type") == "Feature" and "assets" in tree:
            yield tree
        else:
            for value in tree.values():
                yield from _items(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _items(value)


def item(number: int = 0, **properties: Any) -> dict[str, Any]:
    """An item in the shape of Earth Search's `sentinel-2-l2a`."""
    lon, lat = -5.5 + 0.001 * number, 36.0
    corners = [[lon, lat], [lon + 1, lat], [lon + 1, lat + 1], [lon, lat + 1], [lon, lat]]
    coarse = ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22", "scl")
    keys = {"blue": 10, "green": 10, "red": 10, "nir": 10, **dict.fromkeys(coarse, 20)}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"S2A_30STF_20250731_{number}_L2A",
        "collection": "sentinel-2-l2a",
        "bbox": [lon, lat, lon + 1, lat + 1],
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {
            "datetime": "2025-07-31T11:04:22.123000Z",
            "created": "2025-07-31T18:00:00.000Z",
            "updated": "2025-07-31T19:00:00.000Z",
            "platform": "sentinel-2a",
            "eo:cloud_cover": 12.5,
            "proj:epsg": 32630,
            "mgrs:utm_zone": 30,
            "mgrs:latitude_band": "S",
            "mgrs:grid_square": "TF",
            "grid:code": "MGRS-30STF",
            "s2:product_type": "S2MSI2A",
            "s2:processing_baseline": "05.11",
            "s2:datatake_id": "GS2A_20250731T110031_052780_N05.11",
            "s2:sequence": str(number),
            "earthsearch:boa_offset_applied": True,
            **properties,
        },
        "links": [],
        "assets": {
            key: {
                "href": f"https://sentinel-cogs.s3.us-west-2.amazonaws.com/30/S/TF/{number}/{key}.tif",
                "proj:shape": [109800 // gsd, 109800 // gsd],
                "proj:transform": [gsd, 0, 199980, 0, -gsd, 4000020],
                "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}],
            }
            for key, gsd in keys.items()
        },
    }


def tile_item(tile: str, when: datetime, cloud_cover: float) -> dict[str, Any]:
    """The same of any tile, which it fills."""
    epsg, ulx_m, uly_m = tile_corner(tile)
    tree = item(0, datetime=f"{when:%Y-%m-%dT%H:%M:%SZ}", **{"proj:epsg": epsg, "eo:cloud_cover": cloud_cover})
    tree["properties"] |= {
        "mgrs:utm_zone": int(tile[:2]),
        "mgrs:latitude_band": tile[2],
        "mgrs:grid_square": tile[3:],
        "grid:code": f"MGRS-{tile}",
        "s2:datatake_id": f"GS2A_{when:%Y%m%dT%H%M%S}_052780_N05.11",
    }
    for asset in tree["assets"].values():
        asset["proj:transform"][2], asset["proj:transform"][5] = ulx_m, uly_m
    geometry = square(epsg, ulx_m, uly_m - TILE_SIDE_M, ulx_m + TILE_SIDE_M, uly_m)
    lon, lat = np.array(geometry["coordinates"][0]).T
    bbox = [float(n) for n in (lon.min(), lat.min(), lon.max(), lat.max())]
    return {**tree, "id": f"S2A_{tile}_{when:%Y%m%d}_0_L2A", "geometry": geometry, "bbox": bbox}


def timestamps(times: list[datetime]) -> np.ndarray:
    """datetime64[ms], UTC."""
    return np.array([when.astimezone(UTC).replace(tzinfo=None) for when in times], dtype="datetime64[ms]")
