"""The archives, as data: where they are, what their collections call a band, what their times and pixels mean.

A new provider is a new entry here. Not here: reading an item (`items`), asking the service (`search`), deciding the offset
(`radiometry`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from s2chips_core.errors import ConfigError
from s2chips_core.sections import Stac

ASSET_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL")
GSD_M = {band: 10 if band in ("B02", "B03", "B04", "B08") else 20 for band in ASSET_BANDS}
"""ESA's own pixel side of each band, metres."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CollectionProfile:
    """What one collection of one provider means."""

    collection: str
    asset_keys: Mapping[str, tuple[str, ...]]
    """Band -> the keys its asset may have, best first."""
    datetime_is: Literal["tile", "datatake_start"] = "tile"
    """What the item's `datetime` says: when the tile was sensed, or when its datatake began."""
    boa_offset: Literal["flag", "carried"]
    """`flag`: the item says whether ESA's -1000 has been taken off. `carried`: it is always still in the pixels."""
    item_offset_is_evidence: bool = False
    """Whether the offset that the assets declare is true of the pixels. Earth Search declares -0.1 for pixels from which it
    has been taken off, so it is not by default."""
    granule_metadata_keys: tuple[str, ...] = ("granule_metadata", "granule-metadata")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One STAC service."""

    name: str
    endpoint: str
    collections: Mapping[str, CollectionProfile]
    page_limit: int
    """Items to ask for at once."""
    token_service: str | None = None
    """Where tokens are had for its files, followed by /account/container."""


_COMMON_NAMES = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22", "scl")


def _keys(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {band: (name,) for band, name in zip(ASSET_BANDS, names, strict=True)}


PROVIDERS: Mapping[str, Provider] = {
    "earth_search": Provider(
        name="earth_search",
        endpoint="https://earth-search.aws.element84.com/v1",
        # An item is 11 to 17 kB and an answer must stay below the 6 MB of the service's Lambda.
        page_limit=200,
        collections={
            "sentinel-2-l2a": CollectionProfile(
                collection="sentinel-2-l2a", asset_keys=_keys(_COMMON_NAMES), boa_offset="flag"
            ),
            "sentinel-2-c1-l2a": CollectionProfile(
                collection="sentinel-2-c1-l2a", asset_keys=_keys(_COMMON_NAMES), boa_offset="carried"
            ),
            # Of version 0 of the service (https://earth-search.aws.element84.com/v0 as `stac.endpoint`).
            "sentinel-s2-l2a-cogs": CollectionProfile(
                collection="sentinel-s2-l2a-cogs",
                asset_keys=_keys(ASSET_BANDS),
                boa_offset="flag",
                granule_metadata_keys=("metadata",),
            ),
        },
    ),
    "planetary_computer": Provider(
        name="planetary_computer",
        endpoint="https://planetarycomputer.microsoft.com/api/stac/v1",
        page_limit=250,
        token_service="https://planetarycomputer.microsoft.com/api/sas/v1/token",  # noqa: S106 - no token
        collections={
            "sentinel-2-l2a": CollectionProfile(
                collection="sentinel-2-l2a",
                asset_keys=_keys(ASSET_BANDS),
                datetime_is="datatake_start",
                boa_offset="carried",
            ),
        },
    ),
    "cdse": Provider(
        name="cdse",
        endpoint="https://stac.dataspace.copernicus.eu/v1",
        # Its items are 90 kB: each band three times, with its alternates.
        page_limit=100,
        collections={
            "sentinel-2-l2a": CollectionProfile(
                collection="sentinel-2-l2a",
                asset_keys={band: (f"{band}_{GSD_M[band]}m",) for band in ASSET_BANDS},
                datetime_is="datatake_start",
                boa_offset="carried",
                item_offset_is_evidence=True,
            ),
        },
    ),
}


def collection_profile(provider: str, collection: str) -> CollectionProfile:
    """The profile of a collection.

    Raises:
        ConfigError: no such provider, or it has no such collection of Sentinel-2 L2A.
    """
    if provider not in PROVIDERS:
        raise ConfigError("configuration", "stac.provider", provider, f"one of {', '.join(PROVIDERS)}")
    known = PROVIDERS[provider].collections
    if collection not in known:
        raise ConfigError(
            "configuration", "stac.collection", collection, f"a Sentinel-2 L2A collection of {provider}: {', '.join(known)}"
        )
    return known[collection]


def provider_of(stac: Stac) -> tuple[Provider, CollectionProfile]:
    """The provider and collection that the settings name, of a list the first; `stac.endpoint` replaces its own.

    Raises:
        ConfigError: the provider has no such collection.
    """
    one = stac.of(stac.providers[0])
    assert isinstance(one.provider, str)
    assert isinstance(one.collection, str)
    profile = collection_profile(one.provider, one.collection)
    provider = PROVIDERS[one.provider]
    if isinstance(one.endpoint, str):
        provider = dataclasses.replace(provider, endpoint=one.endpoint)
    return provider, profile
