"""The STAC items of the embedded archive, in the shape of Earth Search v1's.

Pure: a scene and its numbers in, an item out; hrefs are relative to the item. Not here: serving them (`stac_api`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import shapely

from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.sandbox.passes import Pass, across_track_m, sensing_time, sun_position, transform
from s2chips_core.sandbox.reflectance import BANDS, BANDS_EVERYWHERE

Collection = Literal["sentinel-2-l2a", "sentinel-2-c1-l2a"]

# Earth Search's key, band, title, central wavelength and width (micrometres), pixel side (metres).
_ASSETS = (
    ("blue", "B02", "Blue", 0.49, 0.098, 10),
    ("green", "B03", "Green", 0.56, 0.045, 10),
    ("red", "B04", "Red", 0.665, 0.038, 10),
    ("rededge1", "B05", "Red Edge 1", 0.704, 0.019, 20),
    ("rededge2", "B06", "Red Edge 2", 0.74, 0.018, 20),
    ("rededge3", "B07", "Red Edge 3", 0.783, 0.028, 20),
    ("nir", "B08", "NIR 1", 0.842, 0.145, 10),
    ("nir08", "B8A", "NIR 2", 0.865, 0.033, 20),
    ("swir16", "B11", "SWIR 1.6μm", 1.61, 0.143, 20),
    ("swir22", "B12", "SWIR 2.2μm", 2.19, 0.242, 20),
)
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_EXTENSIONS = (
    "eo/v1.1.0",
    "grid/v1.1.0",
    "mgrs/v1.0.0",
    "processing/v1.1.0",
    "projection/v1.1.0",
    "raster/v1.1.0",
    "view/v1.0.0",
)
_SCL_PROPERTIES = {
    2: "dark_features",
    3: "cloud_shadow",
    4: "vegetation",
    5: "not_vegetated",
    6: "water",
    7: "unclassified",
    8: "medium_proba_clouds",
    9: "high_proba_clouds",
    10: "thin_cirrus",
    11: "snow_ice",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One item of the archive: a tile of a pass, as one collection and processing run has it."""

    over: Pass
    tile_id: str
    collection: Collection
    baseline: str = "05.11"
    sequence: int = 0
    """Earth Search's number; above 0 for a datatake that was processed again."""
    has_scl: bool = True
    bands: tuple[str, ...] = BANDS[:BANDS_EVERYWHERE]
    published: datetime
    """When the archive got it: `created` and `updated`."""

    @property
    def item_id(self) -> str:
        """As Earth Search names it."""
        if self.collection == "sentinel-2-c1-l2a":
            return f"{self.over.platform}_T{self.tile_id}_{self.over.datastrip_start:%Y%m%dT%H%M%S}_L2A"
        return f"{self.over.platform}_{self.tile_id}_{self.over.day:%Y%m%d}_{self.sequence}_L2A"

    @property
    def offset_dn(self) -> int:
        """What the archive adds to reflectance × 10000."""
        return 1000 if self.collection == "sentinel-2-c1-l2a" else 0


def footprint(over: Pass, tile_id: str, edge_m: float) -> shapely.Polygon:
    """The data footprint in longitude and latitude: the tile's square, cut where the swath ends."""
    epsg, ulx_m, uly_m = tile_corner(tile_id)
    square = shapely.box(ulx_m, uly_m - TILE_SIDE_M, ulx_m + TILE_SIDE_M, uly_m)
    shape = shapely.segmentize(square, TILE_SIDE_M / 6)
    x, y = shapely.get_coordinates(shape).T
    world = shapely.Polygon(np.column_stack(transform(epsg, 32630, x, y)))
    inside = across_track_m(over, *shapely.get_coordinates(world).T) < edge_m
    if not inside.all():
        # The swath as a strip of the world grid, long enough for any tile.
        east, north = -np.cos(np.radians(195.8)), np.sin(np.radians(195.8))
        middle = np.array([over.nadir_x_m, over.nadir_y_m])
        across, along = np.array([east, north]), np.array([-north, east])
        ends = [middle + across * c + along * a for c, a in ((-1e6, -5e5), (edge_m, -5e5), (edge_m, 5e5), (-1e6, 5e5))]
        world = shapely.segmentize(world.intersection(shapely.Polygon(ends)), TILE_SIDE_M / 6)
    lon, lat = transform(32630, 4326, *shapely.get_coordinates(world).T)
    return shapely.Polygon(np.column_stack([lon.round(6), lat.round(6)]))


def item_of(product: Product, *, edge_m: float, scl_counts: Sequence[int], sizes: dict[str, int]) -> dict[str, Any]:
    """The item.

    Args:
        product: what it is.
        edge_m: where the data ends, metres east of the track.
        scl_counts: how many pixels have each SCL class, 12 numbers.
        sizes: bytes of each file, by band.
    """
    over, tile = product.over, product.tile_id
    epsg, ulx_m, uly_m = tile_corner(tile)
    shape = footprint(over, tile, edge_m)
    west, south, east, north = shape.bounds
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": product.item_id,
        "properties": _properties(product, shape, scl_counts, epsg),
        "geometry": shapely.geometry.mapping(shape),
        "links": [],
        "assets": _assets(product, ulx_m, uly_m, sizes),
        "bbox": [west, south, east, north],
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in _EXTENSIONS],
        "collection": product.collection,
    }


def _properties(product: Product, shape: shapely.Polygon, scl_counts: Sequence[int], epsg: int) -> dict[str, Any]:
    over, tile, baseline = product.over, product.tile_id, product.baseline
    counts = np.asarray(scl_counts, float)
    percent = 100.0 * counts / max(counts[1:].sum(), 1.0)
    sensed = sensing_time(over, tile)
    sun_azimuth, sun_elevation = sun_position(sensed, shape.centroid.x, shape.centroid.y)
    start, orbit = f"{over.datatake_start:%Y%m%dT%H%M%S}", over.absolute_orbit
    generated = product.published - timedelta(hours=2, minutes=17)
    stamp, short = f"{generated:%Y%m%dT%H%M%S}", baseline.replace(".", "")
    properties: dict[str, Any] = {
        "created": _utc(product.published),
        "platform": f"sentinel-2{over.platform[-1].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(float(percent[8] + percent[9] + percent[10]), 6),
        "proj:epsg": epsg,
        "proj:centroid": {"lat": round(shape.centroid.y, 5), "lon": round(shape.centroid.x, 5)},
        "mgrs:utm_zone": int(tile[:2]),
        "mgrs:latitude_band": tile[2],
        "mgrs:grid_square": tile[3:],
        "grid:code": f"MGRS-{tile}",
        "view:sun_azimuth": round(sun_azimuth, 6),
        "view:sun_elevation": round(sun_elevation, 6),
        "s2:degraded_msi_data_percentage": 0.0,
        "s2:nodata_pixel_percentage": round(float(100.0 * counts[0] / counts.sum()), 6),
        "s2:saturated_defective_pixel_percentage": 0,
        **{f"s2:{name}_percentage": round(float(percent[scl]), 6) for scl, name in _SCL_PROPERTIES.items()},
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"{over.platform}_MSIL2A_{start}_N{short}_R{over.relative_orbit:03d}_T{tile}_{stamp}.SAFE",
        "s2:generation_time": f"{generated:%Y-%m-%dT%H:%M:%S}.000000Z",
        "s2:datatake_id": f"G{over.platform}_{start}_{orbit:06d}_N{baseline}",
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": f"{over.platform}_OPER_MSI_L2A_DS_2BPS_{stamp}_S{over.datastrip_start:%Y%m%dT%H%M%S}_N{baseline}",
        "datetime": f"{sensed:%Y-%m-%dT%H:%M:%S}.{sensed.microsecond // 1000:03d}000Z",
        "updated": _utc(product.published),
    }
    granule = f"{over.platform}_OPER_MSI_L2A_TL_2BPS_{stamp}_A{orbit:06d}_T{tile}_N{baseline}"
    if product.collection == "sentinel-2-l2a":
        properties["s2:granule_id"] = granule
        properties["s2:sequence"] = str(product.sequence)
        properties["earthsearch:boa_offset_applied"] = True
    else:
        properties["s2:tile_id"] = granule
    return properties


def _assets(product: Product, ulx_m: int, uly_m: int, sizes: dict[str, int]) -> dict[str, Any]:
    assets: dict[str, Any] = {}
    for key, band, title, wavelength, width, gsd in _ASSETS:
        if band not in product.bands:
            continue
        common_name = key.rstrip("123") if key.startswith("rededge") else key
        said = {"name": band, "common_name": common_name, "center_wavelength": wavelength, "full_width_half_max": width}
        assets[key] = {
            "href": f"{product.item_id}/{band}.tif",
            "type": _COG,
            "title": f"{title} - {gsd}m",
            "eo:bands": [said],
            "gsd": gsd,
            **_grid(ulx_m, uly_m, gsd),
            # Both collections say so, also the one whose offset has been taken off.
            "raster:bands": [
                {"nodata": 0, "data_type": "uint16", "spatial_resolution": gsd, "scale": 0.0001, "offset": -0.1}
            ],
            "file:size": sizes[band],
            "roles": ["data", "reflectance"],
        }
    if product.has_scl:
        assets["scl"] = {
            "href": f"{product.item_id}/SCL.tif",
            "type": _COG,
            "title": "Scene classification map (SCL)",
            "gsd": 20,
            **_grid(ulx_m, uly_m, 20),
            "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
            "file:size": sizes["SCL"],
            "roles": ["data"],
        }
    return assets


def _grid(ulx_m: int, uly_m: int, gsd: int) -> dict[str, Any]:
    pixels = TILE_SIDE_M // gsd
    return {"proj:shape": [pixels, pixels], "proj:transform": [gsd, 0, ulx_m, 0, -gsd, uly_m]}


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
