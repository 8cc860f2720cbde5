"""The section `stac`: which archives are searched, for which scenes, and what they may be asked for.

Not here: what the archives are like (`scenes.providers`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from s2chips_core.sections.section import Section, without_login

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
            without_login(url)
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
