"""The section `stac`: one provider or several, and what each is told."""

from typing import Any

import pytest

from s2chips_core.config import parse_settings
from tests.sections.trees import SOMEWHERE, refused


def stac(**keys: Any) -> Any:
    return parse_settings({**SOMEWHERE, "stac": keys}, "x.yaml").stac


def test_a_provider_is_one_name_or_a_list() -> None:
    assert stac().providers == ("earth_search",)
    assert stac(provider=["cdse"]).provider == "cdse"
    several = stac(provider=["earth_search", "cdse"])
    assert several.providers == ("earth_search", "cdse")
    # As it is stored and read back, and with other keys replaced.
    again = parse_settings({**SOMEWHERE, "stac": several.model_dump(mode="json")}, "x")
    assert again.stac == several
    assert again.override({"stac": {"cloud_cover_max": 10}}).stac.providers == ("earth_search", "cdse")


@pytest.mark.parametrize(
    "provider", ["usgs", ["earth_search", "usgs"], [], ["cdse", "cdse"], 5, None, [["cdse"]], {"cdse": 1}]
)
def test_an_unknown_provider_is_refused_with_those_that_are_known(provider: object) -> None:
    error = refused({**SOMEWHERE, "stac": {"provider": provider}})
    assert (error.file, error.key) == ("x.yaml", "stac.provider")
    assert error.expected == "one of earth_search, planetary_computer, cdse, or a list of them, each once"


def test_endpoint_and_collection_may_be_told_by_provider() -> None:
    both = stac(
        provider=["earth_search", "cdse"],
        endpoint={"cdse": "https://mirror.example/v1"},
        collection={"earth_search": "sentinel-2-c1-l2a"},
    )
    first, second = both.of("earth_search"), both.of("cdse")
    assert (first.provider, first.endpoint, first.collection) == ("earth_search", None, "sentinel-2-c1-l2a")
    assert (second.provider, second.endpoint, second.collection) == ("cdse", "https://mirror.example/v1", "sentinel-2-l2a")
    one = stac(provider="cdse", endpoint="https://mirror.example/v1")
    assert one.of("cdse") == one


@pytest.mark.parametrize("key", ["endpoint", "collection"])
def test_a_provider_that_is_none_is_named(key: str) -> None:
    error = refused({**SOMEWHERE, "stac": {key: {"cdse": "a", "cdsee": "b"}}})
    assert error.key == f"stac.{key}"
    assert (
        error.expected == "a text, or a text for each of earth_search, planetary_computer, cdse by name, there is no cdsee"
    )
    assert "there is no" not in refused({**SOMEWHERE, "stac": {key: {"cdse": 5}}}).expected


def test_one_endpoint_for_several_providers_is_refused() -> None:
    error = refused({**SOMEWHERE, "stac": {"provider": ["earth_search", "cdse"], "endpoint": "https://x.example/v1"}})
    assert error.key == "stac"
    assert error.expected == "an endpoint by name of the provider, such as {earth_search: https://x.example/v1}"


@pytest.mark.parametrize("endpoint", ["eodata.example", "https://key:secret@eodata.example/", "s3://eodata", "https://a/b"])
def test_the_s3_endpoint_is_a_plain_url(endpoint: str) -> None:
    assert refused({**SOMEWHERE, "stac": {"s3_endpoint": endpoint}}).key == "stac.s3_endpoint"
