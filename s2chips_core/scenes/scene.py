"""A Sentinel-2 L2A scene (one granule: one MGRS tile of one datatake), normalised from any provider's STAC item.

Here: the values. Not here: reading items (`providers`), searching (`search`), choosing (`matching`).
"""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One band or mask of a scene."""

    href: str
    """Where its pixels are."""
    gsd_m: int
    """Pixel side, metres: 10 or 20."""
    ulx_m: float
    """Easting of the upper-left corner of the upper-left pixel, metres in the scene's UTM zone."""
    uly_m: float
    """Northing of the same corner, metres."""
    rows: int
    """Height, pixels."""
    cols: int
    """Width, pixels."""
    offset: float | None = None
    """`raster:bands[0].offset` or `raster:offset` as the item says it (reflectance units), which may be wrong."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the project needs to know of a scene. Times are aware UTC."""

    scene_id: str
    provider: str
    collection: str
    datetime: datetime
    """When this tile was sensed (when `datetime_is` is `datatake_start`: when its datatake began, up to 27 min before)."""
    datetime_is: Literal["tile", "datatake_start"] = "tile"
    platform: str
    """S2A, S2B, S2C."""
    datatake_id: str | None
    """ESA's, without the processing baseline, so that a reprocessed datatake keeps it; none where the item tells none."""
    mgrs_tile: str
    epsg: int
    """The UTM zone: 32601-32660 or 32701-32760."""
    cloud_cover: float
    """Percent of the granule."""
    processing_baseline: str | None
    """Such as 05.11."""
    sequence: int
    """Earth Search's number of a reprocessed or split granule, else 0."""
    revision: str
    """Changes whenever the archive has replaced the scene: `updated`, else `created`, else the generation time, else ''."""
    boa_offset_flag: bool | None
    """`earthsearch:boa_offset_applied` as the item says it; none where it does not."""
    footprint: dict[str, Any]
    """The data footprint: GeoJSON geometry, WGS 84 longitude/latitude, as the item has it."""
    assets: dict[str, Asset]
    """By band, `providers.ASSET_BANDS`; what the item lacks is missing."""
    granule_metadata_href: str | None = None
    """MTD_TL.xml, where a tile's own sensing time can be read."""

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        tree = dataclasses.asdict(self)
        tree["datetime"] = self.datetime.isoformat(timespec="milliseconds")
        return json.dumps(tree, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Scene":
        """The inverse of `to_json`."""
        tree = json.loads(text)
        tree["datetime"] = datetime.fromisoformat(tree["datetime"]).astimezone(UTC)
        tree["assets"] = {band: Asset(**asset) for band, asset in tree["assets"].items()}
        return cls(**tree)
