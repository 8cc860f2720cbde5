"""What is asked of a STAC item: the fields that `items.parse_item` reads, and no others.

For the `fields` extension of item search. A whole item of Earth Search is 21 kB, one of CDSE 65; cut like this they are 5
and 6, and the scene read from them is the same. A service takes `fields` for a wish: it may send more, or all. Not here:
reading the item (`items`), asking (`search`). What `items` reads anew must be added here: a test watches it read.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from s2chips_core.scenes.providers import CollectionProfile

_TOP = ("id", "collection", "geometry")
_PROPERTIES = (
    "datetime",
    "start_datetime",
    "created",
    "updated",
    "platform",
    "eo:cloud_cover",
    "sentinel:valid_cloud_cover",
    "grid:code",
    "mgrs:utm_zone",
    "mgrs:latitude_band",
    "mgrs:grid_square",
    "sentinel:utm_zone",
    "sentinel:latitude_band",
    "sentinel:grid_square",
    "s2:mgrs_tile",
    "proj:epsg",
    "proj:code",
    "s2:product_type",
    "s2:product_uri",
    "sentinel:product_id",
    "s2:datatake_id",
    "eopf:datatake_id",
    "s2:processing_baseline",
    "sentinel:processing_baseline",
    "processing:version",
    "processing:datetime",
    "s2:sequence",
    "sentinel:sequence",
    "s2:generation_time",
    "earthsearch:boa_offset_applied",
    "sentinel:boa_offset_applied",
)
_NEVER_WITHOUT = (
    ("datetime", "start_datetime"),
    ("platform",),
    ("eo:cloud_cover",),
    ("mgrs:grid_square", "sentinel:grid_square", "s2:mgrs_tile", "grid:code", "s2:product_uri", "sentinel:product_id"),
)
"""Of the properties: one of each."""
_ASSET = ("href", "proj:epsg", "proj:code", "proj:transform", "proj:shape", "raster:offset", "raster:bands", "bands")


def item_fields(profile: CollectionProfile) -> list[str]:
    """The names for `fields.include`; a dot stands between a field and one within it."""
    bands = [key for keys in profile.asset_keys.values() for key in keys]
    return [
        *_TOP,
        *(f"properties.{name}" for name in _PROPERTIES),
        *(f"assets.{key}.{name}" for key in dict.fromkeys(bands) for name in _ASSET),
        *(f"assets.{key}.href" for key in profile.granule_metadata_keys),
    ]


def is_cut_short(item: Mapping[str, Any]) -> bool:
    """Whether a service that was asked for some fields has left out what no item is without.

    That is a geometry, properties with a time, a satellite, a cloud cover and a tile, an asset and, since the links that a
    relative href counts from are not asked for, whole hrefs. Such an item has to be asked for again as a whole.
    """
    assets, properties = item.get("assets"), item.get("properties")
    if not isinstance(item.get("geometry"), Mapping) or not isinstance(properties, Mapping):
        return True
    if not all(any(properties.get(name) is not None for name in names) for names in _NEVER_WITHOUT):
        return True
    if not isinstance(assets, Mapping) or not assets:
        return True
    hrefs = [asset.get("href") if isinstance(asset, Mapping) else None for asset in assets.values()]
    return not all(isinstance(href, str) and _is_absolute(href) for href in hrefs)


def _is_absolute(href: str) -> bool:
    try:
        return bool(urlsplit(href).scheme)
    except ValueError:
        return True  # no URL at all: `items` says so
