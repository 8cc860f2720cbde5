import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from pyproj import Geod

from s2chips_core.ais.ship_types import ship_type_name
from s2chips_core.ais.synthetic import SyntheticShip
from s2chips_core.sandbox.ais_feed import Heard
from s2chips_core.sandbox.ais_fleet import fleet_feed, reporting_interval_s
from s2chips_core.sandbox.ais_message import parse_time_utc_s
from s2chips_core.sandbox.passes import PASSES, fleet_of_pass

OVER = PASSES[1]
NADIR_S = OVER.nadir_time.timestamp()
SHIPS = {ship.mmsi: ship for ship in fleet_of_pass(OVER, ships_per_tile=25, seed=20251027)}
WGS84 = Geod(ellps="WGS84")


def _json(heard: list[Heard]) -> list[dict[str, Any]]:
    return [json.loads(each.frame) for each in heard]


def _heard(seconds: float = 600.0, **arguments: Any) -> list[Heard]:
    return fleet_feed(list(SHIPS.values()), **arguments).leaving(NADIR_S, NADIR_S + seconds)


def _body(said: dict[str, Any]) -> dict[str, Any]:
    body = said["Message"][said["MessageType"]]
    assert isinstance(body, dict)
    return body


def _moment(said: dict[str, Any]) -> datetime:
    """When the ship was there: the last time before `time_utc` at which a UTC minute was `Timestamp` seconds old."""
    heard_s = parse_time_utc_s(said["MetaData"]["time_utc"])
    second = _body(said)["Timestamp"]
    return datetime.fromtimestamp((heard_s - second) // 60 * 60 + second, UTC)


def test_every_position_is_where_the_ship_was_at_its_timestamp() -> None:
    errors_m, latencies_s = [], []
    for said in _json(_heard()):
        body = _body(said)
        if "Timestamp" not in body:
            continue
        moment = _moment(said)
        lon, lat = SHIPS[body["UserID"]].at(moment)
        errors_m.append(WGS84.inv(lon, lat, body["Longitude"], body["Latitude"])[2])
        latencies_s.append(parse_time_utc_s(said["MetaData"]["time_utc"]) - moment.timestamp())
    assert len(errors_m) > 1000
    assert max(errors_m) < 0.15  # half of 1/10,000 minute in both directions is 0.13 m
    assert min(latencies_s) >= 0.2
    assert max(latencies_s) <= 4.0


def test_what_is_said_is_what_the_ship_is() -> None:
    seen = set()
    for each, said in zip(heard := _heard(400), _json(heard), strict=True):
        ship, body, metadata = SHIPS[each.mmsi], _body(said), said["MetaData"]
        assert body["UserID"] == metadata["MMSI"] == metadata["MMSI_String"] == each.mmsi
        assert metadata["ShipName"].rstrip() == ship.name
        assert (metadata["latitude"], metadata["longitude"]) == (each.lat, each.lon)
        assert each.message_type == said["MessageType"]
        seen.add((ship.ais_class, each.message_type))
        if "Sog" in body:
            assert body["Sog"] == ship.sog_kn
            assert body["Cog"] == (360 if ship.moored else ship.cog_deg)
            assert body["TrueHeading"] == (ship.heading_deg if ship.ais_class == "A" else 511)
            assert (body["Latitude"], body["Longitude"]) == (each.lat, each.lon)
            if ship.ais_class == "A":
                assert body["NavigationalStatus"] == (5 if ship.moored else 0)
                assert len(metadata["ShipName"]) == 20
        elif each.message_type == "ShipStaticData":
            assert _sizes(body["Dimension"]) == (ship.length_m, ship.width_m)
            assert ship_type_name(body["Type"]) == ship.ship_type
            assert body["Name"] == ship.name.ljust(20)
        elif body["PartNumber"]:
            assert _sizes(body["ReportB"]["Dimension"]) == (ship.length_m, ship.width_m)
            assert ship_type_name(body["ReportB"]["ShipType"]) == ship.ship_type
            assert (body["ReportA"]["Valid"], body["ReportB"]["Valid"]) == (False, True)
        else:
            assert body["ReportA"] == {"Name": ship.name, "Valid": True}
            assert body["ReportB"]["Valid"] is False
    assert seen == {
        ("A", "PositionReport"),
        ("A", "ShipStaticData"),
        ("B", "StandardClassBPositionReport"),
        ("B", "StaticDataReport"),
    }


def _sizes(dimension_m: dict[str, int]) -> tuple[int, int]:
    assert abs(dimension_m["A"] - dimension_m["B"]) <= 1  # the antenna is amidships
    assert abs(dimension_m["C"] - dimension_m["D"]) <= 1
    return dimension_m["A"] + dimension_m["B"], dimension_m["C"] + dimension_m["D"]


def _ship(ais_class: str, sog_kn: float, moored: bool) -> SyntheticShip:
    return SyntheticShip(
        mmsi=280000001,
        name="SYN X",
        ship_type="Cargo",
        ais_class=ais_class,
        length_m=100.0,
        width_m=20.0,
        lat=0.0,
        lon=0.0,
        cog_deg=None if moored else 90.0,
        sog_kn=sog_kn,
        heading_deg=90.0,
        reference_time=OVER.nadir_time,
    )


@pytest.mark.parametrize(
    ("ais_class", "sog_kn", "moored", "interval_s"),
    [
        ("A", 0.1, True, 180),
        ("A", 12.0, False, 10),
        ("A", 18.0, False, 6),
        ("A", 25.0, False, 2),
        ("B", 0.1, True, 180),
        ("B", 8.0, False, 30),
    ],
)
def test_intervals_of_the_recommendation(ais_class: str, sog_kn: float, moored: bool, interval_s: float) -> None:
    ship = _ship(ais_class, sog_kn, moored)
    assert reporting_interval_s(ship) == interval_s
    feed = fleet_feed([ship], static_interval_s=1e6)
    said = _json(feed.leaving(NADIR_S, NADIR_S + 20 * interval_s))
    moments_s = sorted(_moment(each).timestamp() for each in said if "Timestamp" in _body(each))
    assert set(np.diff(moments_s[3:-3])) == {interval_s}  # at the ends some leave before or after
    assert len(moments_s) == pytest.approx(20, abs=2)


def test_intervals_may_be_given() -> None:
    feed = fleet_feed([_ship("A", 0, True)], position_interval_s=5, static_interval_s=50, first_static_within_s=10)
    kinds = [each.message_type for each in feed.leaving(NADIR_S, NADIR_S + 200)]
    assert kinds.count("ShipStaticData") == 4
    assert kinds.count("PositionReport") in (39, 40, 41)


@pytest.mark.parametrize("delay_s", [(0.0, 0.0), (45.0, 120.0)])
def test_static_data_of_every_ship_comes_early_then_every_six_minutes(delay_s: tuple[float, float]) -> None:
    feed = fleet_feed(list(SHIPS.values()), delay_s=delay_s, lost=0.5)
    early = {each.mmsi for each in feed.leaving(NADIR_S, NADIR_S + 20.1) if "Static" in each.message_type}
    assert early == set(SHIPS)
    times = defaultdict(list)
    feed = fleet_feed(list(SHIPS.values()), delay_s=delay_s)
    for each, said in zip(heard := feed.leaving(NADIR_S, NADIR_S + 1500), _json(heard), strict=True):
        if each.message_type == "ShipStaticData":
            times[each.mmsi].append(parse_time_utc_s(said["MetaData"]["time_utc"]))
    for sent in times.values():
        assert np.diff(sent) == pytest.approx(360, abs=3)
        assert len(sent) in (4, 5)


def test_messages_leave_late_and_not_in_the_order_of_their_times() -> None:
    feed = fleet_feed(list(SHIPS.values()), delay_s=(45, 120))
    delays = []
    for step in range(600):
        until_s = NADIR_S + (step + 1) * 0.5
        heard = feed.leaving(until_s - 0.5, until_s)
        delays += [until_s - parse_time_utc_s(said["MetaData"]["time_utc"]) for said in _json(heard)]
    assert min(delays) >= 45
    assert max(delays) <= 120.5
    assert max(delays[:30]) > 60  # what was sent before the first question is on its way already
    assert 70 < np.mean(delays) < 95


def test_the_same_on_every_connection_and_after_every_restart() -> None:
    whole = [each for each in _heard(120, delay_s=(5, 60)) if "Static" not in each.message_type]
    feed = fleet_feed(list(SHIPS.values()), delay_s=(5, 60))
    pieces = [each for step in range(1200) for each in feed.leaving(NADIR_S + step * 0.1, NADIR_S + (step + 1) * 0.1)]
    assert [each for each in pieces if "Static" not in each.message_type] == whole
    late = fleet_feed(list(SHIPS.values()), delay_s=(5, 60)).leaving(NADIR_S + 60, NADIR_S + 120)
    again = [each for each in late if "Static" not in each.message_type]
    assert set(again) == set(whole[-len(again) :])
    assert whole != [each for each in _heard(120, delay_s=(5, 60), seed=1) if "Static" not in each.message_type]


def test_a_fleet_sails_on_while_nobody_listens() -> None:
    feed = fleet_feed([_ship("A", 20, False)])
    feed.leaving(NADIR_S, NADIR_S + 10)
    later = _json(feed.leaving(NADIR_S + 3600, NADIR_S + 3610))
    position = next(said for said in later if said["MessageType"] == "PositionReport")
    assert _moment(position) > OVER.nadir_time + timedelta(seconds=3590)
    assert position["MetaData"]["longitude"] == pytest.approx(20 / 60, rel=0.01)
    assert feed.leaving(NADIR_S + 3610, NADIR_S + 3600) == []


def test_some_are_lost() -> None:
    all_of_them = len(_heard(600))
    assert len(_heard(600, lost=0.3)) == pytest.approx(0.7 * all_of_them, rel=0.1)
