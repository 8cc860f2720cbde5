"""A provider's STAC item -> Scene, whatever dialect it is written in.

Projection: `proj:epsg` or `proj:code` (projection extension 1 and 2), on the item or its assets. Tile: `mgrs:*`,
`sentinel:*`, `s2:mgrs_tile`, the product's name or `grid:code`. Offsets: `raster:bands` (raster extension 1) or
`raster:offset` (2).
Not here: what a collection calls its bands (`providers`) and what its offset means (`radiometry`).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import shapely
from shapely.geometry import shape

from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.scenes.providers import ASSET_BANDS, GSD_M, CollectionProfile, Provider
from s2chips_core.scenes.scene import Asset, Scene

UTM_MOST_M = 20_000_000
"""No easting or northing is larger."""
ID_MOST_CHARS = 250
"""A product's name has 60."""
# ESA's naming convention: S2A_MSIL2A_20231008T175231_N0509_R141_T13TDE_20231008T233154(.SAFE)
_PRODUCT = re.compile(r"(S2[A-D])_MSI(L1C|L2A)_(\d{8}T\d{6})_N(\d{2})(\d{2})_R\d{3}_T(\d{2}[C-X][A-Z]{2})_\d{8}T\d{6}")
_PLATFORM = re.compile(r"(?:sentinel-?|s)2([a-d])", re.IGNORECASE)
_BASELINE = re.compile(r"(\d{1,2})\.(\d{2})")
FOOTPRINT_MANY_CORNERS = 100
"""Of real footprints: 74 at most. Mending one of 500 whose edges all cross takes many minutes (`footprints`)."""
FOOTPRINT_MOST_CORNERS = 1000
FOOTPRINT_MOST_DEGREES = 45.0
"""From the central meridian of its zone, where it has many corners: farther off, what does not cross may do so in UTM."""
_DATATAKE = re.compile(r"(GS2[A-D]_\d{8}T\d{6}_\d{6})(?:_N\d{2}\.\d{2})?")
_SEQUENCE_IN_ID = re.compile(r"S2[A-D]_\d{1,2}[A-Z]{3}_\d{8}_(\d+)_L2A")


def parse_item(item: Mapping[str, Any], provider: Provider, profile: CollectionProfile) -> Scene:
    """Read one item.

    Bands and masks that it lacks are missing in the scene; everything else a scene needs must be there.

    Args:
        item: a STAC item as JSON gives it.
        provider: whose item it is.
        profile: what its collection means.

    Raises:
        InputError: it is no Sentinel-2 L2A scene of this collection, or lacks what a scene needs. Names the item, what came
            and what is expected.
    """
    item_id = item.get("id")
    # It becomes part of texts and tables: half of a character pair, or one that turns the line around, is no part of any id.
    if not isinstance(item_id, str) or not 0 < len(item_id) <= ID_MOST_CHARS or not item_id.isprintable():
        raise InputError("item", item_id, f"an id of 1 to {ID_MOST_CHARS} printable characters")
    where = f"item {item_id}"
    if item.get("collection") != profile.collection:
        raise InputError(f"{where}: collection", item.get("collection"), profile.collection)
    properties = _mapping(item.get("properties"), f"{where}: properties")
    assets = _mapping(item.get("assets"), f"{where}: assets")
    product = _product(properties, item_id)
    if properties.get("s2:product_type") == "S2MSI1C" or (product is not None and product[2] == "L1C"):
        raise InputError(f"{where}: product", properties.get("s2:product_uri", "S2MSI1C"), "a Level-2A product")

    mgrs_tile = _mgrs_tile(properties, product, where)
    epsg = _epsg(properties, assets, profile, mgrs_tile, where)
    when = _time(properties.get("datetime") or properties.get("start_datetime"), f"{where}: datetime")
    metadata = next((assets[key] for key in profile.granule_metadata_keys if key in assets), None)
    base = _self_href(item)
    return Scene(
        scene_id=item_id,
        provider=provider.name,
        collection=profile.collection,
        datetime=when,
        datetime_is=profile.datetime_is,
        platform=_platform(properties, where),
        datatake_id=_datatake(properties, product),
        mgrs_tile=mgrs_tile,
        epsg=epsg,
        cloud_cover=_cloud_cover(properties, where),
        processing_baseline=_baseline(properties, product),
        sequence=_sequence(properties, item_id),
        revision=_revision(properties),
        boa_offset_flag=_flag(properties, where),
        footprint=_footprint(item.get("geometry"), epsg, where),
        assets=_assets(assets, profile, mgrs_tile, epsg, base, where),
        granule_metadata_href=None if metadata is None else _href(metadata, base, f"{where}: granule metadata"),
    )


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(where, value, "an object")
    return value


def _text(value: object) -> str:
    """The value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    """The value as a finite number, else none. JSON's true is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _product(properties: Mapping[str, Any], item_id: str) -> re.Match[str] | None:
    for name in (properties.get("s2:product_uri"), properties.get("sentinel:product_id"), item_id):
        found = _PRODUCT.match(_text(name))
        if found:
            return found
    return None


def _platform(properties: Mapping[str, Any], where: str) -> str:
    found = _PLATFORM.fullmatch(_text(properties.get("platform")))
    if found is None:
        raise InputError(f"{where}: platform", properties.get("platform"), "a Sentinel-2 satellite such as sentinel-2a")
    return f"S2{found[1].upper()}"


def _mgrs_tile(properties: Mapping[str, Any], product: re.Match[str] | None, where: str) -> str:
    named = []
    for extension in ("mgrs", "sentinel"):
        parts = [properties.get(f"{extension}:{key}") for key in ("utm_zone", "latitude_band", "grid_square")]
        if all(isinstance(part, int | str) and not isinstance(part, bool) for part in parts):
            named.append("".join(str(part) for part in parts))
    named.append(_text(properties.get("s2:mgrs_tile")))
    named.append(product[6] if product else "")
    # Last: Earth Search v0 made it from the footprint's centre, so it can name a neighbour.
    named.append(_text(properties.get("grid:code")).removeprefix("MGRS-"))
    tile = next((name for name in named if name), "")
    if tile[1:2].isalpha():
        tile = f"0{tile}"
    try:
        tile_corner(tile)
    except InputError as error:
        raise InputError(f"{where}: MGRS tile", error.got, error.expected) from error
    return tile


def _code(properties: Mapping[str, Any]) -> int | None:
    epsg = _number(properties.get("proj:epsg"))
    if epsg is None:
        found = re.fullmatch(r"EPSG:(\d{4,6})", _text(properties.get("proj:code")))
        epsg = float(found[1]) if found else None
    return None if epsg is None else int(epsg)


def _epsg(
    properties: Mapping[str, Any],
    assets: Mapping[str, Any],
    profile: CollectionProfile,
    mgrs_tile: str,
    where: str,
) -> int:
    codes = [_code(properties)]
    for band in ASSET_BANDS:
        asset = _band_asset(assets, profile, band)
        codes.append(_code(asset) if asset is not None else None)
    told = {code for code in codes if code is not None}
    epsg = told.pop() if told else tile_corner(mgrs_tile)[0]
    if told or not (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760):
        raise InputError(f"{where}: projection", sorted({epsg, *told}), "one UTM zone, EPSG:32601-32660 or 32701-32760")
    return epsg


def _band_asset(assets: Mapping[str, Any], profile: CollectionProfile, band: str) -> Mapping[str, Any] | None:
    for key in profile.asset_keys.get(band, ()):
        if isinstance(assets.get(key), Mapping):
            found: Mapping[str, Any] = assets[key]
            return found
    return None


def _time(value: object, where: str) -> datetime:
    try:
        when = datetime.fromisoformat(_text(value))
        if when.tzinfo is None:
            raise ValueError("no time zone")
        when = when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(where, value, "an RFC 3339 time such as 2025-07-31T13:19:22.930Z") from error
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def _datatake(properties: Mapping[str, Any], product: re.Match[str] | None) -> str | None:
    for key in ("s2:datatake_id", "eopf:datatake_id"):
        found = _DATATAKE.fullmatch(_text(properties.get(key)))
        if found:
            return found[1]
    return f"G{product[1]}_{product[3]}" if product else None


def _baseline(properties: Mapping[str, Any], product: re.Match[str] | None) -> str | None:
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        found = _BASELINE.fullmatch(_text(properties.get(key)))
        if found:
            return f"{int(found[1]):02d}.{found[2]}"
    return f"{product[4]}.{product[5]}" if product else None


def _cloud_cover(properties: Mapping[str, Any], where: str) -> float:
    cloud = _number(properties.get("eo:cloud_cover"))
    if cloud is None or not 0.0 <= cloud <= 100.0:
        raise InputError(f"{where}: eo:cloud_cover", properties.get("eo:cloud_cover"), "0 to 100 percent")
    if properties.get("sentinel:valid_cloud_cover") is False:
        raise InputError(f"{where}: sentinel:valid_cloud_cover", False, "a valid eo:cloud_cover")
    return cloud


def _sequence(properties: Mapping[str, Any], item_id: str) -> int:
    in_id = _SEQUENCE_IN_ID.fullmatch(item_id)
    for value in (properties.get("s2:sequence"), properties.get("sentinel:sequence"), in_id[1] if in_id else None):
        if isinstance(value, int | str) and not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", str(value)):
            return int(value)
    return 0


def _revision(properties: Mapping[str, Any]) -> str:
    for key in ("updated", "created", "s2:generation_time", "processing:datetime"):
        if _text(properties.get(key)):
            return _text(properties.get(key))
    return ""


def _flag(properties: Mapping[str, Any], where: str) -> bool | None:
    for key in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        value = properties.get(key)
        if value is not None:
            if not isinstance(value, bool):
                raise InputError(f"{where}: {key}", value, "true or false")
            return value
    return None


def _footprint(geometry: object, epsg: int, where: str) -> dict[str, Any]:
    expected = "a GeoJSON Polygon or MultiPolygon in WGS 84 longitude/latitude"
    if not isinstance(geometry, Mapping) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{where}: geometry", geometry if geometry is None else type(geometry).__name__, expected)
    try:
        polygon = shape(geometry)
        corners = shapely.get_coordinates(polygon)
    # shapely walks whatever the JSON holds: numbers where lists belong, texts where numbers do, missing keys.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InputError(f"{where}: geometry", str(error), expected) from error
    if polygon.is_empty or not (abs(corners[:, 0]) <= 360).all() or not (abs(corners[:, 1]) <= 90).all():
        raise InputError(f"{where}: geometry", "an empty one, or one beyond the Earth", expected)
    if len(corners) > FOOTPRINT_MANY_CORNERS:
        from_meridian_deg = (corners[:, 0] - (epsg % 100 * 6 - 183) + 180.0) % 360.0 - 180.0
        plain = polygon.is_valid and (abs(from_meridian_deg) < FOOTPRINT_MOST_DEGREES).all()
        if not plain or len(corners) > FOOTPRINT_MOST_CORNERS:
            expected = f"at most {FOOTPRINT_MANY_CORNERS}, or {FOOTPRINT_MOST_CORNERS} of rings that do not cross"
            raise InputError(f"{where}: geometry", f"{len(corners)} corners", expected)
    return {"type": geometry["type"], "coordinates": geometry["coordinates"]}


def _self_href(item: Mapping[str, Any]) -> str | None:
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self":
            return _text(link.get("href")) or None
    return None


def _href(asset: object, base: str | None, where: str) -> str:
    href = _text(asset.get("href")) if isinstance(asset, Mapping) else ""
    if not href:
        raise InputError(f"{where}: href", asset if not isinstance(asset, Mapping) else asset.get("href"), "a URL")
    try:
        return urljoin(base, href) if base and not urlsplit(href).scheme else href
    except ValueError as error:
        raise InputError(f"{where}: href", href, "a URL") from error


def _assets(
    assets: Mapping[str, Any], profile: CollectionProfile, mgrs_tile: str, epsg: int, base: str | None, where: str
) -> dict[str, Asset]:
    found = {}
    for band in ASSET_BANDS:
        asset = _band_asset(assets, profile, band)
        if asset is not None:
            at = f"{where}: asset {band}"
            gsd_m, ulx_m, uly_m = _grid(asset, band, mgrs_tile, epsg, at)
            rows, cols = _shape(asset, gsd_m, at)
            found[band] = Asset(
                href=_href(asset, base, at),
                gsd_m=gsd_m,
                ulx_m=ulx_m,
                uly_m=uly_m,
                rows=rows,
                cols=cols,
                offset=_offset(asset),
            )
    return found


def _grid(asset: Mapping[str, Any], band: str, mgrs_tile: str, epsg: int, where: str) -> tuple[int, float, float]:
    transform = asset.get("proj:transform")
    if transform is None:
        grid_epsg, ulx_m, uly_m = tile_corner(mgrs_tile)
        if grid_epsg != epsg:
            raise InputError(f"{where}: proj:transform", None, f"a transform: tile {mgrs_tile} is not of EPSG:{epsg}")
        return GSD_M[band], float(ulx_m), float(uly_m)
    expected = "gsd, 0, ulx, 0, -gsd, uly of a north-up grid of 10 or 20 m"
    if not isinstance(transform, list) or len(transform) not in (6, 9):
        raise InputError(f"{where}: proj:transform", transform, expected)
    numbers = [_number(value) for value in transform]
    if any(number is None for number in numbers):
        raise InputError(f"{where}: proj:transform", transform, expected)
    a, b, c, d, e, f = (float(number) for number in numbers[:6] if number is not None)
    if a not in (10.0, 20.0) or e != -a or b != 0.0 or d != 0.0:
        raise InputError(f"{where}: proj:transform", transform, expected)
    if not (abs(c) <= UTM_MOST_M and abs(f) <= UTM_MOST_M):
        raise InputError(f"{where}: proj:transform", transform, f"an upper-left corner within {UTM_MOST_M} m")
    return int(a), c, f


def _shape(asset: Mapping[str, Any], gsd_m: int, where: str) -> tuple[int, int]:
    value = asset.get("proj:shape")
    if value is None:
        return TILE_SIDE_M // gsd_m, TILE_SIDE_M // gsd_m
    sides = [_number(side) for side in value] if isinstance(value, list) and len(value) == 2 else []
    most = TILE_SIDE_M // gsd_m
    whole = [int(side) for side in sides if side is not None and side == int(side) and 0 < side <= most]
    if len(whole) != 2:
        raise InputError(f"{where}: proj:shape", value, f"rows and columns, at most {most} for pixels of {gsd_m} m")
    return whole[0], whole[1]


def _offset(asset: Mapping[str, Any]) -> float | None:
    told = _number(asset.get("raster:offset"))
    for key in ("raster:bands", "bands"):
        bands = asset.get(key)
        if told is None and isinstance(bands, list) and bands and isinstance(bands[0], Mapping):
            told = _number(bands[0].get("offset", bands[0].get("raster:offset")))
    return told
