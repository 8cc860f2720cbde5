"""The sections of the configuration: every key with its type, limits, default and description.

Frozen pydantic models, extra keys refused; the unit is in the name where there is one. Not here: how they become one tree,
the file and what overrides it (`config`).
"""

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
SclClass = Annotated[int, Field(ge=0, le=11)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
ALL = "all"
"""In place of a number in `limits` and `retention`: no cap, nothing is removed. Dagster's Launchpad does not show a null."""
Cap = Annotated[
    Annotated[int, Field(ge=0, strict=True)] | None, BeforeValidator(lambda value: None if value == ALL else value)
]
Days = Annotated[
    Annotated[int, Field(ge=1, le=36_500, strict=True)] | None,
    BeforeValidator(lambda value: None if value == ALL else value),
]
TileName = Annotated[str, Field(pattern=r"^([1-9]|0[1-9]|[1-5]\d|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]$")]
AisMessageType = Literal[
    "PositionReport",
    "StandardClassBPositionReport",
    "ExtendedClassBPositionReport",
    "LongRangeAisBroadcastMessage",
    "ShipStaticData",
    "StaticDataReport",
]
Band = Literal["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
CLAY10: tuple[Band, ...] = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""The bands that the Clay foundation model was trained with on Sentinel-2 L2A, in the order of its metadata."""
AisColumn = Literal[
    "mmsi",
    "lat",
    "lon",
    "overpass_time",
    "captured_time",
    "source",
    "notes",
    "sog",
    "cog",
    "heading",
    "ship_name",
    "ship_type",
    "length",
    "width",
    "to_bow",
    "to_stern",
    "to_port",
    "to_starboard",
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Area(Section):
    """A named longitude/latitude box; `west` > `east` crosses the antimeridian."""

    name: str = Field(description="What people call it.")
    west: float = Field(ge=-180, le=180, description="Western edge, degrees east.")
    south: float = Field(ge=-90, le=90, description="Southern edge, degrees north.")
    east: float = Field(ge=-180, le=180, description="Eastern edge, degrees east.")
    north: float = Field(ge=-90, le=90, description="Northern edge, degrees north.")

    @model_validator(mode="after")
    def _ordered(self) -> "Area":
        if self.south >= self.north:
            raise ValueError(f"south ({self.south}) below north ({self.north})")
        return self


class SatelliteTracking(Section):
    """When the satellites pass."""

    source: Literal["backfill", "tle", "acquisition_plan", "auto"] = Field(
        "backfill",
        description="Where the overpass plan comes from: `backfill` takes real scenes of the archive as the schedule, "
        "`tle` and `acquisition_plan` look ahead, `auto` takes ESA's plan where it covers, else a fresh TLE, else the "
        "repeat cycle.",
    )
    satellites: tuple[Literal["S2A", "S2B", "S2C"], ...] = Field(
        ("S2A", "S2B", "S2C"), min_length=1, description="Which satellites to plan for."
    )
    tiles: tuple[TileName, ...] = Field((), description="MGRS tiles to watch, such as 30STF.")
    areas: tuple[Area, ...] = Field((), description="Named boxes to watch; every tile that touches one is watched.")
    horizon_days: int = Field(
        10,
        ge=1,
        le=60,
        description="How far ahead the plan reaches, days; `backfill` has no future and does not look at it.",
    )
    max_tle_age_days: float = Field(
        14.0, gt=0, le=60, description="Largest time from a TLE's epoch to the pass, days; beyond: refused with its age."
    )
    tle_sources: tuple[str, ...] = Field(
        ("https://celestrak.org/NORAD/elements/gp.php?GROUP=resource&FORMAT=json",),
        description="Where orbital elements come from: file paths or URLs of TLE or OMM (JSON, CSV, XML) texts.",
    )
    acquisition_plan_sources: tuple[str, ...] = Field(
        ("https://sentinels.copernicus.eu/copernicus/sentinel-2/acquisition-plans",),
        description="Where ESA's acquisition plans come from: file paths or URLs of KML, or of a page that links to it.",
    )
    cache_hours: float = Field(
        12.0, ge=2, le=240, description="How long a fetched TLE or plan is used before it is asked for again, hours."
    )
    backfill_days: int = Field(7, ge=1, le=365, description="How far back `predict-overpasses` looks unless told, days.")

    @model_validator(mode="after")
    def _somewhere(self) -> "SatelliteTracking":
        if not self.tiles and not self.areas:
            raise ValueError("at least one tile or one area")
        return self


class Ais(Section):
    """Who was there."""

    source: Literal["aisstream", "synthetic"] = Field(
        "aisstream",
        description="Real AIS from aisstream.io, or synthetic fixes (marked so everywhere, for trials only).",
    )
    synthetic_ships_per_tile: int = Field(25, ge=0, le=10_000, description="How many ships synthetic AIS puts on a tile.")
    synthetic_seed: int = Field(20251027, ge=0, description="Seed of the synthetic ships: same seed, same ships.")
    window_min: float = Field(5.0, gt=0, le=60, description="Recording time each side of the overpass, minutes.")
    url: str = Field(
        "wss://stream.aisstream.io/v0/stream",
        pattern=r"^wss?://",
        description="WebSocket of the AIS service; plain ws:// only on this machine.",
    )
    message_types: tuple[AisMessageType, ...] = Field(
        (
            "PositionReport",
            "StandardClassBPositionReport",
            "ExtendedClassBPositionReport",
            "LongRangeAisBroadcastMessage",
            "ShipStaticData",
            "StaticDataReport",
        ),
        min_length=1,
        description="AIS messages to subscribe to: positions, and what ships say of themselves.",
    )
    linger_s: float = Field(
        150.0, ge=0, le=900, description="Listening on after a window: messages arrive up to 2 min late, seconds."
    )
    batch_size: int = Field(
        10_000, ge=1, le=1_000_000, description="Messages that are written to the journal at once, if not sooner by time."
    )
    flush_interval_s: float = Field(
        5.0, gt=0, le=300, description="Longest time a message waits for the journal: what a crash can lose, seconds."
    )
    reconnect_initial_s: float = Field(1.0, gt=0, le=60, description="First wait before connecting again, seconds.")
    reconnect_max_s: float = Field(60.0, gt=0, le=900, description="Longest wait before connecting again, seconds.")
    silence_timeout_s: float = Field(
        60.0, gt=0, le=900, description="A connection that delivers nothing for so long is given up, seconds."
    )
    max_connections: int = Field(
        2, ge=1, le=3, description="Connections at once from this machine; the service allows each user two or three."
    )
    position: Literal["at_sensing_time", "as_reported"] = Field(
        "at_sensing_time", description="Centre captured ships where they were when the tile was sensed, or as reported."
    )
    max_gap_min: float = Field(
        15.0,
        gt=0,
        le=720,
        description="Largest time from the sensing time to the nearest fix, minutes; beyond: refused.",
    )
    columns: dict[AisColumn, Annotated[str, Field(pattern=r"\S")]] = Field(
        {},
        description="Which column of an AIS file is which, where its titles are not among those that are understood by "
        "themselves: name -> title, such as {overpass_time: Seen at}.",
    )
    inbox: str | None = Field(
        "inbox",
        min_length=1,
        description="Folder whose AIS files are chipped, each once; a relative one is beside the dataset folder. null = no "
        "inbox.",
    )

    @property
    def titles(self) -> dict[str, str]:
        """`columns`, by plain names."""
        return {str(name): title for name, title in self.columns.items()}

    @model_validator(mode="after")
    def _safe_and_ordered(self) -> "Ais":
        if self.reconnect_max_s < self.reconnect_initial_s:
            raise ValueError(f"reconnect_max_s ({self.reconnect_max_s:g}) from {self.reconnect_initial_s:g} up")
        if self.url.startswith("ws://") and urlsplit(self.url).hostname not in LOOPBACK:
            # The key travels in the first message.
            raise ValueError(f"wss:// in url, or a host of this machine ({', '.join(LOOPBACK)}), it is {self.url}")
        return self

    @field_validator("url")
    @classmethod
    def _no_login(cls, url: str) -> str:
        return _without_login(url)


def _without_login(url: str) -> str:
    """Errors and logs name the services that are asked: nothing secret may be in their names."""
    if "@" in url:
        raise ValueError("a URL without user name and password")
    return url


ProviderName = Literal["earth_search", "planetary_computer", "cdse"]
PROVIDER_NAMES: tuple[ProviderName, ...] = get_args(ProviderName)
ASSET_HOSTS: Mapping[ProviderName, tuple[str, ...]] = MappingProxyType(
    {
        "earth_search": (
            "sentinel-cogs.s3.us-west-2.amazonaws.com",
            "e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com",
            "sentinel-s2-l2a.s3.eu-central-1.amazonaws.com",
            "roda.sentinel-hub.com",
            "s3://sentinel-s2-l2a",
        ),
        "planetary_computer": ("sentinel2l2a01.blob.core.windows.net",),
        # The bucket as items name it, and the host that its objects are asked of.
        "cdse": ("s3://eodata", "eodata.dataspace.copernicus.eu"),
    }
)
"""What the asset hrefs of each provider name: the default of `stac.allowed_hosts`."""


def _one_or_several(value: object) -> object:
    """A provider's name as it is; a list as a tuple, one name alone as that name."""
    names = [value] if isinstance(value, str) else value
    expected = f"one of {', '.join(PROVIDER_NAMES)}, or a list of them, each once"
    if not isinstance(names, list | tuple) or not names or len(set(map(str, names))) < len(names):
        raise ValueError(expected)
    if any(name not in PROVIDER_NAMES for name in names):
        raise ValueError(expected)
    return tuple(names) if len(names) > 1 else names[0]


def _by_provider(value: object) -> object:
    """A text as it is; a mapping when all its keys are names of providers and all its values texts."""
    if isinstance(value, Mapping) and not all(n in PROVIDER_NAMES and isinstance(v, str) for n, v in value.items()):
        wrong = ", ".join(str(name) for name in value if name not in PROVIDER_NAMES)
        named = f", there is no {wrong}" if wrong else ""
        raise ValueError(f"a text, or a text for each of {', '.join(PROVIDER_NAMES)} by name{named}")
    return value


class Stac(Section):
    """Which scenes."""

    provider: Annotated[ProviderName | tuple[ProviderName, ...], BeforeValidator(_one_or_several)] = Field(
        "earth_search",
        description="The archive to search: earth_search, planetary_computer or cdse; or a list of them, asked in order for "
        "what the ones before do not have.",
    )
    endpoint: Annotated[str | dict[ProviderName, str] | None, BeforeValidator(_by_provider)] = Field(
        None,
        description="STAC API to ask instead of the provider's own; with a list of providers by name, such as "
        "{cdse: https://...}.",
    )
    collection: Annotated[str | dict[ProviderName, str], BeforeValidator(_by_provider)] = Field(
        "sentinel-2-l2a", description="The collection to search; by name of the provider where they differ."
    )
    s3_endpoint: str = Field(
        "https://eodata.dataspace.copernicus.eu",
        pattern=r"^https?://[^/?#@]+/?$",
        description="S3 service that CDSE's files (s3://eodata) are asked of, with CDSE_ACCESS_KEY_ID and "
        "CDSE_SECRET_ACCESS_KEY of the environment.",
    )
    cloud_cover_max: float = Field(30.0, ge=0, le=100, description="Most cloud a scene may have, percent.")
    search_window_hours: float = Field(24.0, gt=0, le=240, description="Search ± this long around the AIS time, hours.")
    max_dt_min: float = Field(
        60.0,
        gt=0,
        description="Largest time between the AIS time and the scene, minutes, for captured ships; files have no limit.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        tuple(host for hosts in ASSET_HOSTS.values() for host in hosts),
        description="Hosts (or s3://bucket) that asset hrefs may name; `host:port` allows plain http on loopback.",
    )

    @field_validator("endpoint")
    @classmethod
    def _no_login(cls, endpoint: str | dict[ProviderName, str] | None) -> str | dict[ProviderName, str] | None:
        for url in endpoint.values() if isinstance(endpoint, dict) else [endpoint or ""]:
            _without_login(url)
        return endpoint

    @model_validator(mode="after")
    def _endpoint_is_of_one(self) -> "Stac":
        if isinstance(self.endpoint, str) and len(self.providers) > 1:
            raise ValueError(f"an endpoint by name of the provider, such as {{{self.providers[0]}: {self.endpoint}}}")
        return self

    @property
    def providers(self) -> tuple[ProviderName, ...]:
        """The providers in the order in which they are asked."""
        return (self.provider,) if isinstance(self.provider, str) else self.provider

    def of(self, provider: ProviderName) -> "Stac":
        """The same for one provider alone: its endpoint, if it was given one, and its collection."""
        endpoint = self.endpoint.get(provider) if isinstance(self.endpoint, dict) else self.endpoint
        default = type(self).model_fields["collection"].default
        collection = self.collection.get(provider, default) if isinstance(self.collection, dict) else self.collection
        return self.model_copy(update={"provider": provider, "endpoint": endpoint, "collection": collection})


class Tiling(Section):
    """What a chip is."""

    chip_size_px: int = Field(256, ge=32, le=2048, multiple_of=4, description="Side of a chip, 10 m pixels.")
    band_profile: Literal["core", "clay10"] = Field(
        "core",
        description="Which bands a chip has: `core` = bands_core and, with include_swir, bands_swir; `clay10` = the ten "
        f"bands of the Clay model ({' '.join(CLAY10)}), whatever those three say.",
    )
    bands_core: tuple[Band, ...] = Field(("B02", "B03", "B04", "B08"), min_length=1, description="Bands of every chip.")
    bands_swir: tuple[Band, ...] = Field(("B11", "B12"), description="Bands appended with `include_swir`.")
    include_swir: bool = Field(False, description="Append the SWIR bands, brought from 20 m to 10 m.")
    resample: Literal["bicubic", "cubic", "bilinear", "nearest"] = Field(
        "bicubic", description="How 20 m becomes 10 m; `bicubic` is GDAL's `cubic`."
    )

    @model_validator(mode="after")
    def _each_once(self) -> "Tiling":
        both = self.bands_core + self.bands_swir
        if len(set(both)) < len(both):
            raise ValueError(f"each band once over bands_core and bands_swir, they are {', '.join(both)}")
        return self

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of a chip in file order: core, then SWIR; those of `clay10` in Clay's order."""
        if self.band_profile == "clay10":
            return CLAY10
        return self.bands_core + (self.bands_swir if self.include_swir else ())

    @property
    def decides(self) -> dict[str, Any]:
        """The keys that decide what is in a chip, as a tree that gives a Tiling of the same chips.

        With `core` the profile is left out, so that the hash of settings from before there were profiles is still theirs.
        """
        tree = self.model_dump(mode="json", exclude={"band_profile"})
        if self.band_profile == "core":
            return tree
        looked_at = {key: value for key, value in tree.items() if key not in ("bands_core", "bands_swir", "include_swir")}
        return {"band_profile": self.band_profile, **looked_at}


class Masks(Section):
    """Which masks judge a chip."""

    use_scl: bool = Field(True, description="Read ESA's scene classification (SCL) for cloud and land.")
    use_ndwi: bool = Field(True, description="Measure water with NDWI = (B03 - B08) / (B03 + B08).")
    persist: bool = Field(False, description="Write cloud, land, water and valid masks beside the chip.")


class Gate(Section):
    """When a chip is refused. Fractions are of the valid pixels of the centre window."""

    enabled: bool = Field(True, description="Refuse chips; when off the numbers are still measured and stored.")
    center_window_px: int = Field(64, ge=2, multiple_of=2, description="Side of the centre window, 10 m pixels.")
    max_cloud_center_frac: Fraction = Field(0.05, description="Most cloud in the centre window, 0 to 1.")
    max_land_center_frac: Fraction = Field(0.2, description="Most land in the centre window, 0 to 1.")
    ndwi_water_thresh: float = Field(0.05, ge=-1, le=1, description="NDWI above this is water, -1 to 1.")
    min_water_center_frac: Fraction = Field(0.5, description="Least water in the centre window, 0 to 1.")
    cloud_classes: tuple[SclClass, ...] = Field(
        (7, 8, 9, 10),
        description="SCL classes that count as cloud: 7 unclassified, 8 and 9 cloud, 10 thin cirrus; 3 is cloud shadow.",
    )
    land_classes: tuple[SclClass, ...] = Field(
        (4, 5), description="SCL classes that count as land: 4 vegetation, 5 bare ground."
    )
    max_nodata_frac: Fraction = Field(0.05, description="Most nodata in the whole chip, 0 to 1.")
    on_missing_scl: Literal["ndwi_only", "reject"] = Field(
        "ndwi_only", description="A scene without SCL: judge by NDWI alone (and say so), or refuse."
    )


_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/(?!\.\.?(?:/|$))[\w.=+@,-]+)*)/?", re.ASCII)
_SERVICE = re.compile(r"https?://[\w.-]+(:\d+)?/?", re.ASCII)


class StorageSettings(Section):
    """Where results go."""

    dataset_root: str = Field("data", description="Folder of the dataset, or s3://bucket/prefix.")
    s3_endpoint: str | None = Field(None, description="S3 service of the dataset, http(s)://host[:port]; none: AWS.")
    s3_region: str | None = Field(None, description="Region of the dataset's bucket; none: AWS_REGION, else us-east-1.")
    s3_locks: Literal["conditional", "this_machine"] = Field(
        "conditional",
        description="How writers of a bucket are kept apart: by `conditional` writes, whatever machine they are on, or on "
        "`this_machine`, for a service that ignores conditions: then all runs must be on one machine.",
    )
    geotiff: Literal["gtiff", "cog"] = Field("gtiff", description="Plain tiled GeoTIFF, or Cloud-Optimized GeoTIFF.")
    compression: Literal["deflate", "zstd", "lzw", "none"] = Field("deflate", description="Compression of chips.")

    @field_validator("dataset_root")
    @classmethod
    def _known_scheme(cls, root: str) -> str:
        if "://" in root and _BUCKET.fullmatch(root) is None:
            raise ValueError("a folder, or s3://bucket/prefix without empty parts or '..'")
        return root

    @field_validator("s3_endpoint")
    @classmethod
    def _service(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and _SERVICE.fullmatch(endpoint) is None:
            raise ValueError("http://host[:port] or https://host[:port]")
        return endpoint.rstrip("/") if endpoint else None

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of the dataset; none when it is in a folder."""
        found = _BUCKET.fullmatch(self.dataset_root)
        return None if found is None else (found[1], (found[2] or "").strip("/"))


class Splits(Section):
    """Shares of train, val and test."""

    train: Fraction = Field(0.8, description="Share of train.")
    val: Fraction = Field(0.1, description="Share of val.")
    test: Fraction = Field(0.1, description="Share of test.")
    by: Literal["chip_id", "mmsi"] = Field("chip_id", description="`mmsi`: one vessel is never in two splits.")

    @model_validator(mode="after")
    def _whole(self) -> "Splits":
        if abs(self.train + self.val + self.test - 1.0) > 1e-9:
            raise ValueError(f"train + val + test = 1, they are {self.train + self.val + self.test:g}")
        return self


class Limits(Section):
    """How much one run does."""

    max_ships: Cap = Field(None, description="Most AIS targets a run tries, or all.")
    bind_chips_to_ships: bool = Field(True, description="The chips cap is the ships cap; `max_chips` is not looked at.")
    max_chips: Cap = Field(None, description="Most chips a run makes, if they are not bound to ships, or all.")

    @property
    def chips_cap(self) -> int | None:
        """The cap on chips that holds."""
        return self.max_ships if self.bind_chips_to_ships else self.max_chips


class Prune(Section):
    """What `prune` keeps."""

    time_tolerance_min: Positive = Field(
        10.0, description="Largest |scene time - AIS time| to the nearest recorded fix of the ship, minutes."
    )
    distance_tolerance_m: Positive = Field(
        500.0,
        description="Largest distance from the chip centre to recorded AIS, metres: to where it puts the ship at the "
        "sensing time, or to the nearest fix for chips that were cut as reported.",
    )


class Retention(Section):
    """How long things are kept that `housekeeping` may remove, in days; all: for ever."""

    ais_days: Days = Field(
        None,
        description="AIS of a day that has been chipped, and that no chip of today or in the trash needs; all: for ever.",
    )
    trash_days: Days = Field(
        None, description="Chips that prune took out; afterwards they cannot be put back; all: for ever."
    )
    journal_days: Days = Field(
        None, description="What a capture had heard that was killed and never finished; all: for ever."
    )
    report_days: Days = Field(None, description="Pages and views of days, which can be made again; all: for ever.")
    lock_days: Days = Field(30, description="Files or objects of locks that nobody has held for so long; all: for ever.")
    run_days: Days = Field(None, description="Ended runs of Dagster, with their events and logs; all: for ever.")


class Scheduling(Section):
    """When things run."""

    lag_days: int = Field(3, ge=0, le=60, description="Chip a day this many days later, when L2A is published.")
    give_up_days: int = Field(14, ge=0, le=365, description="Until then a ship without a scene is pending, not lost.")
    first_day: date = Field(date(2015, 6, 23), description="First daily partition (Sentinel-2A's launch).")
    capture_lead_s: float = Field(
        150.0, ge=0, le=3600, description="A capture run is started at least this long before its window opens, seconds."
    )
    weekly_plan_cron: str = Field("0 3 * * 1", description="When `weekly_overpass_plan` plans the horizon, cron, UTC.")
    chipping_cron: str = Field("0 6 * * *", description="When `lagged_chipping` looks for days to chip, cron, UTC.")
    periodic_ais_cron: str = Field("0 * * * *", description="When `periodic_ais_capture` records, cron, UTC.")
    prune_cron: str = Field("0 2 * * *", description="When `nightly_prune` removes what AIS does not vouch for, cron, UTC.")
    housekeeping_cron: str = Field("30 4 * * 0", description="When `weekly_housekeeping` removes what is old, cron, UTC.")
    late_scene_interval_s: int = Field(
        900, ge=1, le=86_400, description="How often `late_scene_sensor` asks the archive for late scenes, seconds."
    )


class Compute(Section):
    """What machines do the work."""

    workers: int = Field(64, ge=1, le=256, description="Requests in flight while reading pixels.")
    memory_mb: int = Field(
        512,
        ge=16,
        le=1 << 20,
        description="Megabytes that pixels may take on their way: in flight, decoded, and chips that are not written yet.",
    )
    dask_scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[\w.-]+:\d+$",
        description="Dask cluster that reads the pixels, tcp://host:port or tls://host:port; none: this machine.",
    )
    whole_blocks: bool = Field(
        False,
        description="Fetch every block of a file whole and compare its checksum, also where its first rows would do: about "
        "two fifths more bytes. For a way to the archive on which bytes may change unnoticed, which over https they do not.",
    )
