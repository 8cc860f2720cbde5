"""STAC items of chips: STAC 1.1.0 with the extensions projection 2.0.0, eo 1.1.0, raster 1.1.0 and file 2.1.0.

Here: one item. Not here: the collection and catalogues above it (`stac_catalog`). The specifications:
https://github.com/radiantearth/stac-spec/tree/v1.1.0 and https://stac-extensions.github.io. eo and raster are taken in the
versions whose `eo:bands` and `raster:bands` today's readers know.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import shapely

from s2chips_core import layout
from s2chips_core.chips.chip import MASK_BANDS, NOT_KNOWN
from s2chips_core.export.chip_files import QUICKLOOK_SUFFIX, SIDECAR_SUFFIX, TIF_SUFFIX, RasterFacts
from s2chips_core.export.folder import Digest
from s2chips_core.index.chip_files import MASKS_SUFFIX
from s2chips_core.index.geojson import footprint_geometry
from s2chips_core.index.records import plain

STAC_VERSION = "1.1.0"
EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
)
COLLECTION_ID = "s2chips"
PREFIX = "s2chips:"
GSD_M = 10
GEOTIFF = "image/tiff; application=geotiff"
CLOUD_OPTIMIZED = f"{GEOTIFF}; profile=cloud-optimized"
JSON_TYPE, GEOJSON_TYPE = "application/json", "application/geo+json"

EO_BANDS: Mapping[str, Mapping[str, Any]] = {
    "B02": {"name": "B02", "common_name": "blue", "center_wavelength": 0.49, "full_width_half_max": 0.098},
    "B03": {"name": "B03", "common_name": "green", "center_wavelength": 0.56, "full_width_half_max": 0.045},
    "B04": {"name": "B04", "common_name": "red", "center_wavelength": 0.665, "full_width_half_max": 0.038},
    "B05": {"name": "B05", "common_name": "rededge", "center_wavelength": 0.704, "full_width_half_max": 0.019},
    "B06": {"name": "B06", "common_name": "rededge", "center_wavelength": 0.74, "full_width_half_max": 0.018},
    "B07": {"name": "B07", "common_name": "rededge", "center_wavelength": 0.783, "full_width_half_max": 0.028},
    "B08": {"name": "B08", "common_name": "nir", "center_wavelength": 0.842, "full_width_half_max": 0.145},
    "B8A": {"name": "B8A", "common_name": "nir08", "center_wavelength": 0.865, "full_width_half_max": 0.033},
    "B11": {"name": "B11", "common_name": "swir16", "center_wavelength": 1.61, "full_width_half_max": 0.143},
    "B12": {"name": "B12", "common_name": "swir22", "center_wavelength": 2.19, "full_width_half_max": 0.242},
}
"""Common names, and wavelengths in micrometres, as the items of Earth Search have them."""

_ELSEWHERE = frozenset(
    {"chip_id", "path", "scene_datetime", "created_at", "cloud_cover", "platform", "epsg", "transform", "bands"}
    | {"bbox", "geometry"}
)
"""Columns that an item tells under names of the standard."""


def stac_item(row: Mapping[str, Any], raster: RasterFacts, digests: Mapping[str, Digest]) -> dict[str, Any]:
    """The item of a chip.

    Args:
        row: as the export shows it.
        raster: of its `.tif`.
        digests: of its files in the export, by suffix.
    """
    shape = shapely.from_wkb(row["geometry"])
    day = row["scene_datetime"].date()
    here = layout.export_item(day, row["chip_id"])
    a, b, c, d, e, f = row["transform"][:6]
    corners = [(c + a * x + b * y, f + d * x + e * y) for x, y in ((0, 0), (raster.cols, raster.rows))]
    (x0, y0), (x1, y1) = corners
    properties = {
        "datetime": plain(row["scene_datetime"]),
        "created": plain(row["created_at"]),
        "platform": platform(row["platform"]),
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": GSD_M,
        "proj:code": f"EPSG:{row['epsg']}",
        "proj:shape": [raster.rows, raster.cols],
        "proj:transform": [float(x) for x in row["transform"][:6]],
        "proj:bbox": [min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)],
    }
    if row["cloud_cover"] is not None:
        properties["eo:cloud_cover"] = row["cloud_cover"]
    properties |= {f"{PREFIX}{name}": plain(value) for name, value in row.items() if name not in _ELSEWHERE}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": row["chip_id"],
        "geometry": footprint_geometry(row),
        "bbox": bbox_of(shape),
        "properties": properties,
        "links": [
            link("root", here, layout.export_collection()),
            link("parent", here, layout.export_catalog(day)),
            link("collection", here, layout.export_collection()),
        ],
        "assets": {
            name: asset | {"file:checksum": multihash(digest), "file:size": digest.size}
            for name, asset, digest in _assets(row, here, raster, digests)
        },
        "collection": COLLECTION_ID,
    }


def bbox_of(shape: shapely.Geometry) -> list[float]:
    """West, south, east, north; of a footprint on both sides of the antimeridian west is above east (RFC 7946, 5.2)."""
    west, south, east, north = shape.bounds
    if isinstance(shape, shapely.MultiPolygon) and east - west > 180:
        west = min(part.bounds[0] for part in shape.geoms if part.bounds[0] > 0)
        east = max(part.bounds[2] for part in shape.geoms if part.bounds[2] < 0)
    return [west, south, east, north]


def bbox_of_all(shapes: Iterable[shapely.Geometry]) -> list[float]:
    """West, south, east, north of many footprints; where one lies on the antimeridian, of the shortest way around them."""
    bounds = shapely.bounds(shapely.get_parts(list(shapes)))
    west, south, east, north = (float(x) for x in (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)))
    if west > -180 or east < 180:
        return [west, south, east, north]
    bounds = bounds[bounds[:, 0].argsort()]
    reached = np.maximum.accumulate(bounds[:, 2])
    gaps = bounds[1:, 0] - reached[:-1]
    if not (gaps > 0).any():
        return [west, south, east, north]
    place = int(gaps.argmax())
    return [float(bounds[place + 1, 0]), south, float(reached[place]), north]


def item_assets(bands: tuple[str, ...], *, masks: bool) -> dict[str, dict[str, Any]]:
    """What the assets of every item of a collection are."""
    described = dict(_described(bands, cloud_optimized=False, mask_bands=MASK_BANDS if masks else ()))
    described["data"].pop("type")  # plain and cloud-optimized may be side by side
    return described


def link(relation: str, here: str, there: str, media_type: str = JSON_TYPE, **more: str) -> dict[str, str]:
    """A relative link from one key of the export to another."""
    return {"rel": relation, "href": relative(here, there), "type": media_type, **more}


def relative(here: str, there: str) -> str:
    """`there` as it is called from the folder of `here`; both are keys of the export."""
    base, target = PurePosixPath(here).parent.parts, PurePosixPath(there).parts
    shared = 0
    while shared < min(len(base), len(target) - 1) and base[shared] == target[shared]:
        shared += 1
    up = [".."] * (len(base) - shared) or ["."]
    return "/".join([*up, *target[shared:]])


def multihash(digest: Digest) -> str:
    """SHA-256 as multihash: 12 is its number, 20 its length, both hexadecimal."""
    return f"1220{digest.sha256}"


def _assets(
    row: Mapping[str, Any], here: str, raster: RasterFacts, digests: Mapping[str, Digest]
) -> list[tuple[str, dict[str, Any], Digest]]:
    suffixes = {"data": TIF_SUFFIX, "masks": MASKS_SUFFIX, "quicklook": QUICKLOOK_SUFFIX, "metadata": SIDECAR_SUFFIX}
    described = _described(tuple(row["bands"]), cloud_optimized=raster.cloud_optimized, mask_bands=raster.mask_bands)
    assets = []
    for name, asset in described:
        suffix = suffixes[name]
        [key] = layout.chip_artefacts(row["path"], (suffix,))
        assets.append((name, {"href": relative(here, key), **asset}, digests[suffix]))
    return assets


def _described(
    bands: tuple[str, ...], *, cloud_optimized: bool, mask_bands: tuple[str, ...]
) -> list[tuple[str, dict[str, Any]]]:
    data = {
        "title": "Surface reflectance",
        "type": CLOUD_OPTIMIZED if cloud_optimized else GEOTIFF,
        "roles": ["data", "reflectance"],
        "eo:bands": [dict(EO_BANDS[band]) for band in bands],
        "raster:bands": [
            {"data_type": "float32", "nodata": 0, "scale": 1.0, "offset": 0.0, "spatial_resolution": GSD_M} for _ in bands
        ],
    }
    mask = {
        "title": f"Masks ({', '.join(mask_bands)}): 1 yes, 0 no, 255 not known; scl has ESA's classes",
        "type": GEOTIFF,
        "roles": ["data-mask"],
        "bands": [{"name": name, "data_type": "uint8", "nodata": NOT_KNOWN} for name in mask_bands],
    }
    quicklook = {"title": "Quicklook", "type": "image/jpeg", "roles": ["thumbnail", "overview"]}
    metadata = {"title": "Row of the index, and the ships in the chip", "type": JSON_TYPE, "roles": ["metadata", "labels"]}
    return [("data", data), *([("masks", mask)] if mask_bands else []), ("quicklook", quicklook), ("metadata", metadata)]


def platform(name: str) -> str:
    """`sentinel-2b` for S2B: as the archives' own items write it."""
    return f"sentinel-2{name.removeprefix('S2').lower()}" if name.startswith("S2") else name.lower()
