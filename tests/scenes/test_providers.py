import pytest

from s2chips_core.errors import ConfigError
from s2chips_core.scenes.providers import ASSET_BANDS, PROVIDERS, collection_profile, provider_of
from tests.scenes.samples import settings


def test_every_collection_names_every_band_and_sits_under_its_own_id() -> None:
    for name, provider in PROVIDERS.items():
        assert provider.name == name
        for collection, profile in provider.collections.items():
            assert profile.collection == collection
            assert set(profile.asset_keys) == set(ASSET_BANDS)


def test_the_settings_choose_provider_collection_and_endpoint() -> None:
    provider, profile = provider_of(settings(stac={"collection": "sentinel-2-c1-l2a"}).stac)
    assert provider.endpoint == "https://earth-search.aws.element84.com/v1"
    assert (profile.collection, profile.boa_offset) == ("sentinel-2-c1-l2a", "carried")

    provider, profile = provider_of(settings(stac={"provider": "cdse", "endpoint": "http://127.0.0.1:9/stac"}).stac)
    assert provider.endpoint == "http://127.0.0.1:9/stac"
    assert profile.asset_keys["SCL"] == ("SCL_20m",)
    assert PROVIDERS["cdse"].endpoint.startswith("https://")


def test_an_unknown_collection_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"stac\.collection: got 'sentinel-2-l1c', expected .*sentinel-2-c1-l2a"):
        collection_profile("earth_search", "sentinel-2-l1c")
    with pytest.raises(ConfigError, match=r"stac\.provider: got 'usgs', expected one of earth_search"):
        collection_profile("usgs", "sentinel-2-l2a")
