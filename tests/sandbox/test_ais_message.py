import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.sandbox.ais_message import (
    Template,
    class_b_position_report,
    encode,
    message,
    parse_time_utc_s,
    position_report,
    ship_static_data,
    static_data_report,
    time_utc_text,
)

SAID_S = 1697363468.143077274


def _example(kind: str, shared_data: Path) -> dict[str, Any]:
    text = (shared_data / "ais" / "aisstream" / "message_examples.jsonl").read_text(encoding="utf-8")
    return next(item for item in map(json.loads, text.splitlines()) if item["MessageType"] == kind)


def _shape(value: Any) -> Any:
    """Names and JSON types, all the way down; a whole number is a number."""
    if isinstance(value, dict):
        return {name: _shape(part) for name, part in value.items()}
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "PositionReport",
            position_report(lat=1.0, lon=2.0, sog_kn=3.0, cog_deg=4.0, heading_deg=5, nav_status=0, second=6),
        ),
        (
            "StandardClassBPositionReport",
            class_b_position_report(lat=1.0, lon=2.0, sog_kn=3.0, cog_deg=4.0, heading_deg=511, second=6),
        ),
        (
            "ShipStaticData",
            ship_static_data(name="A", call_sign="B", imo=0, ship_type=70, dimension_m=(1, 2, 3, 4), destination="C"),
        ),
        ("StaticDataReport", static_data_report(part_b=False, name="A")),
        ("StaticDataReport", static_data_report(part_b=True, call_sign="B", ship_type=37, dimension_m=(1, 2, 3, 4))),
    ],
)
def test_fields_and_types_are_those_of_a_real_message(kind: str, body: dict[str, Any], shared_data: Path) -> None:
    made = message(kind, body, mmsi=244660123, ship_name="A", lat=1.0, lon=2.0, time_s=SAID_S)
    assert _shape(made) == _shape(_example(kind, shared_data))


@pytest.mark.shared_data
def test_templates_of_real_messages_differ_only_in_time(shared_data: Path) -> None:
    folder = shared_data / "ais" / "aisstream"
    for name in ("message_examples.jsonl", "reported_messages.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            real = json.loads(line)
            template = Template(real)
            assert json.loads(template.original) == real
            said_s = parse_time_utc_s(real["MetaData"]["time_utc"])
            again = json.loads(template.frame(said_s))
            assert abs(parse_time_utc_s(again["MetaData"]["time_utc"]) - said_s) < 2e-6
            again["MetaData"]["time_utc"] = real["MetaData"]["time_utc"]
            assert again == real
            assert 0 <= template.lag_s <= 3


def test_second_and_time_are_as_far_apart_as_they_were() -> None:
    body = position_report(lat=0, lon=0, sog_kn=0, cog_deg=0, heading_deg=0, nav_status=0, second=58)
    heard = message("PositionReport", body, mmsi=1, ship_name="", lat=0, lon=0, time_s=1697363461.2)  # …:01.2
    template = Template(heard)
    assert template.lag_s == 3
    again = json.loads(template.frame(1700000000.0))  # 22:13:20
    assert again["Message"]["PositionReport"]["Timestamp"] == 17


def test_a_second_that_is_none_stays_so() -> None:
    body = position_report(lat=0, lon=0, sog_kn=0, cog_deg=0, heading_deg=0, nav_status=0, second=60)
    heard = message("PositionReport", body, mmsi=1, ship_name="", lat=0, lon=0, time_s=SAID_S)
    assert json.loads(Template(heard).frame(1700000000.0))["Message"]["PositionReport"]["Timestamp"] == 60


def test_copies_are_other_ships_of_the_same_country() -> None:
    heard = message("ShipStaticData", {}, mmsi=244660123, ship_name="100% SAFE", lat=0, lon=0, time_s=SAID_S)
    template = Template(heard)
    numbers = {template.copy_mmsi(copy) for copy in range(1000)}
    assert len(numbers) == 1000
    assert {number // 1_000_000 for number in numbers} == {244}
    again = json.loads(template.frame(SAID_S, copy=3))
    assert again["MetaData"]["MMSI"] == again["MetaData"]["MMSI_String"] == again["Message"]["ShipStaticData"]["UserID"]
    assert again["MetaData"]["MMSI"] == template.copy_mmsi(3) != 244660123
    assert again["MetaData"]["ShipName"] == "100% SAFE"


@pytest.mark.parametrize("mmsi", [0, 2241005, 992456971, 111503003, 1021812661])
def test_what_is_no_ship_has_no_copies(mmsi: int) -> None:
    heard = message("UnknownMessage", {}, mmsi=mmsi, ship_name="", lat=0, lon=0, time_s=SAID_S)
    assert Template(heard).copy_mmsi(5) == mmsi


def test_times_are_written_as_go_writes_them() -> None:
    assert time_utc_text(1697363468.0) == "2023-10-15 09:51:08 +0000 UTC"
    assert time_utc_text(1697363468.25) == "2023-10-15 09:51:08.25 +0000 UTC"
    assert time_utc_text(-0.5) == "1969-12-31 23:59:59.5 +0000 UTC"


@given(st.floats(0, 4e9))
def test_times_come_back(time_s: float) -> None:
    assert parse_time_utc_s(time_utc_text(time_s)) == pytest.approx(time_s, abs=2e-6)


def test_a_time_agrees_with_pythons() -> None:
    moment = datetime(2026, 3, 30, 1, 18, 46, 67018, UTC)
    assert parse_time_utc_s("2026-03-30 01:18:46.067018882 +0000 UTC") == pytest.approx(moment.timestamp(), abs=2e-6)


@pytest.mark.parametrize(
    "text", ["", "2026-03-30", "2026-03-30 01:18:46", "2026-03-30T01:18:46Z", "2026-13-30 01:18:46 +0000 UTC"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time_utc_s(text)


def test_lone_surrogates_are_escaped() -> None:
    assert encode({"a": "é\ud800"}) == b'{"a":"\\u00e9\\ud800"}'
    assert encode({"a": "é"}) == '{"a":"é"}'.encode()
