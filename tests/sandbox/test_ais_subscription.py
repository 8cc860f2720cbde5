import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.sandbox.ais_subscription import (
    MESSAGE_TYPES,
    SubscriptionError,
    parse_body,
    parse_subscription,
)

GOOD: dict[str, Any] = {"APIKey": "k", "BoundingBoxes": [[[25.8, -80.2], [25.6, -79.8]], [[-10, 5], [-20, 4]]]}


def test_corners_come_in_any_order() -> None:
    assert parse_subscription(GOOD).boxes == ((25.6, -80.2, 25.8, -79.8), (-20, 4, -10, 5))


@pytest.mark.parametrize("name", ["APIKey", "Apikey", "apikey"])
def test_names_of_fields_in_any_case(name: str) -> None:
    assert parse_subscription({name: "k", "boundingboxes": GOOD["BoundingBoxes"]}).api_key == "k"


def test_what_is_wanted() -> None:
    asked = parse_subscription(
        {**GOOD, "FilterMessageTypes": ["PositionReport", "ShipStaticData"], "FiltersShipMMSI": ["244660123"]}
    )
    assert asked.wants("PositionReport", 244660123, 25.7, -80.0)
    assert asked.wants("ShipStaticData", 244660123, -20.0, 5.0)
    assert not asked.wants("StaticDataReport", 244660123, 25.7, -80.0)
    assert not asked.wants("PositionReport", 244660124, 25.7, -80.0)
    assert not asked.wants("PositionReport", 244660123, 25.7, -80.3)
    assert not asked.wants("PositionReport", 244660123, math.nan, math.nan)
    everything = parse_subscription({**GOOD, "FilterMessageTypes": [], "FiltersShipMMSI": []})
    assert everything.wants("UnknownMessage", 0, 25.7, -80.0)


@pytest.mark.parametrize(
    "change",
    [
        {"APIKey": None},
        {"APIKey": 17},
        {"BoundingBoxes": None},
        {"BoundingBoxes": []},
        {"BoundingBoxes": [[25.8, -80.2, 25.6, -79.8]]},
        {"BoundingBoxes": [[[25.8, -80.2]]]},
        {"BoundingBoxes": [[[25.8, -80.2], [25.6, "x"]]]},
        {"BoundingBoxes": [[[25.8, -80.2], [25.6, True]]]},
        {"BoundingBoxes": [[[-180, -90], [180, 90]]]},  # longitude first
        {"BoundingBoxes": [[[0, 0], [math.nan, 1]]]},
        {"FilterMessageTypes": "PositionReport"},
        {"FilterMessageTypes": ["PositionReport", "PositionReport"]},
        {"FilterMessageTypes": ["PositionReports"]},
        {"FiltersShipMMSI": [244660123]},
        {"FiltersShipMMSI": ["24466012"]},
        {"FiltersShipMMSI": [f"24466{n:04d}" for n in range(51)]},
    ],
)
def test_what_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(SubscriptionError, match="Subscription Object Is Malformed"):
        parse_subscription({**GOOD, **change})


def test_fifty_ships_and_all_types_may_be_asked_for() -> None:
    parse_subscription({**GOOD, "FiltersShipMMSI": [f"24466{n:04d}" for n in range(50)]})
    assert parse_subscription({**GOOD, "FilterMessageTypes": sorted(MESSAGE_TYPES)}).message_types == MESSAGE_TYPES
    assert len(MESSAGE_TYPES) == 25


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*GOOD, "FilterMessageTypes", "FiltersShipMMSI"], _JSON)) | _JSON)
def test_whatever_comes_is_a_subscription_or_malformed(body: Any) -> None:
    try:
        asked = parse_subscription(body)
    except SubscriptionError:
        return
    assert all(south <= north and west <= east for south, west, north, east in asked.boxes)


@given(st.text() | st.binary())
def test_whatever_bytes_come(received: str | bytes) -> None:
    body = parse_body(received)
    assert body is received or str(body) == str(json.loads(received))
