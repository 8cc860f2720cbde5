"""Messages of aisstream.io: real ones of twenty types, what they say where they say nothing, and any bytes at all."""

import copy
import csv
import json
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.messages import (
    AHEAD_S,
    OLDEST_S,
    Confirmation,
    Ignored,
    Parsed,
    Position,
    ServiceError,
    Static,
    parse_message,
    parse_time_utc,
    time_of_position,
)
from s2chips_core.ais.targets import ship_mmsi_problem
from s2chips_core.sections import Ais

NOW = datetime(2026, 3, 30, 1, 20, tzinfo=UTC)
HEARD = datetime(2026, 3, 30, 1, 18, 46, 67018, tzinfo=UTC)
PLACE = {"Latitude": 51.96, "Longitude": 4.11, "UserID": 538009327, "Valid": True}
META = {"MMSI": 538009327, "MMSI_String": 538009327, "ShipName": "", "time_utc": "2026-03-30 01:18:46.067018882 +0000 UTC"}
SIZE = {"A": 100, "B": 20, "C": 5, "D": 15}


def parse(kind: str, meta: dict[str, Any] | None = None, **body: Any) -> Parsed:
    """What an envelope of one type means; the body begins as a place and a ship's number."""
    tree = {"MessageType": kind, "MetaData": META | (meta or {}), "Message": {kind: PLACE | body}}
    return parse_message(json.dumps(tree), NOW)


def position(kind: str = "PositionReport", meta: dict[str, Any] | None = None, **body: Any) -> Position:
    parsed = parse(kind, meta, **body)
    assert isinstance(parsed, Position), parsed
    return parsed


def static(kind: str = "ShipStaticData", meta: dict[str, Any] | None = None, **body: Any) -> Static:
    parsed = parse(kind, meta, **body)
    assert isinstance(parsed, Static), parsed
    return parsed


def real(shared_data: Path, name: str = "message_examples") -> list[bytes]:
    return (shared_data / "ais" / "aisstream" / f"{name}.jsonl").read_bytes().splitlines()


@pytest.mark.shared_data
def test_one_real_message_of_each_type(shared_data: Path) -> None:
    parsed = {json.loads(line)["MessageType"]: parse_message(line, NOW) for line in real(shared_data)}
    assert len(parsed) == 20
    ignored = {kind: value.reason for kind, value in parsed.items() if isinstance(value, Ignored)}
    named = {
        "BaseStationReport": "base station",
        "AidsToNavigationReport": "aid to navigation",
        "StandardSearchAndRescueAircraftReport": "search and rescue aircraft",
    }
    assert len(ignored) == 15
    assert ignored == {kind: f"type {kind}" for kind in ignored} | named
    heard = datetime(2023, 10, 15, 9, 51, 8, tzinfo=UTC)
    assert parsed["PositionReport"] == Position(
        mmsi=538009327,
        message_type="PositionReport",
        time=heard - timedelta(seconds=3),
        time_utc=heard + timedelta(microseconds=143077),
        received_at=NOW,
        lat=51.967933333333335,
        lon=4.1139600000000005,
        sog_kn=4.2,
        cog_deg=296.1,
        heading_deg=307.0,
        nav_status=0,
        ais_class="A",
        ship_name="NORDIC QINNGUA",
        static=None,
    )
    class_b = parsed["StandardClassBPositionReport"]
    assert isinstance(class_b, Position)
    assert (class_b.ais_class, class_b.heading_deg, class_b.nav_status) == ("B", None, None)
    assert (class_b.time, class_b.ship_name) == (heard - timedelta(seconds=1), "CAMELOT")
    extended = parsed["ExtendedClassBPositionReport"]
    assert isinstance(extended, Position)
    assert extended.time == extended.time_utc  # its second is 60: not available
    assert extended.static is not None
    assert (extended.static.ship_type, extended.static.length_m, extended.static.width_m) == ("Fishing", 24.0, 7.0)
    said = parsed["ShipStaticData"]
    assert isinstance(said, Static)
    assert said[4:] == ("RVE 56", "Other", 22.0, 5.0, 12.0, 10.0, 2.0, 3.0, "A", "PD2026", None, "MAASVLAKTE")
    part_a = parsed["StaticDataReport"]
    assert isinstance(part_a, Static)
    assert part_a[4:] == ("VIVID", *[None] * 11)  # part B is there, all zeros, and marked invalid


@pytest.mark.shared_data
def test_real_messages_that_users_reported_as_broken(shared_data: Path) -> None:
    base, acknowledge, moored = (parse_message(line, NOW) for line in real(shared_data, "reported_messages"))
    assert (base, acknowledge) == (Ignored("base station"), Ignored("type BinaryAcknowledge"))
    assert isinstance(moored, Position)
    assert (moored.time, moored.nav_status) == (datetime(2024, 9, 17, 14, 38, 54, tzinfo=UTC), 1)


@pytest.mark.shared_data
def test_1710_real_vessels_of_twelve_seconds(shared_data: Path) -> None:
    """Their fields put back into envelopes: every time is read, every place kept, and no other station becomes a ship."""
    results = Counter[str]()
    with (shared_data / "ais" / "aisstream" / "snapshot_20260330.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number = int(row["mmsi"])
            meta = {"MMSI": number, "time_utc": row["timestamp"], "ShipName": row["name"]}
            if row["lat"] and row["timestamp"]:
                values = {"Latitude": float(row["lat"]), "Longitude": float(row["lon"]), "Cog": float(row["cog"])}
                got = parse("PositionReport", meta, UserID=number, Sog=float(row["sog"]), **values)
                if isinstance(got, Position):
                    assert (got.lat, got.lon) == (values["Latitude"], values["Longitude"])
                    assert timedelta(0) <= got.time_utc - datetime(2026, 3, 30, 1, 18, 30, tzinfo=UTC) < timedelta(minutes=1)
                    assert got.sog_kn == (None if float(row["sog"]) == 102.3 else float(row["sog"]))
                    assert got.cog_deg == (None if values["Cog"] == 360 else values["Cog"])
                    assert "@" not in (got.ship_name or "")
                assert isinstance(got, Position) == (ship_mmsi_problem(number) is None)
                results[type(got).__name__] += 1
    assert results["Position"] > 1200
    assert results["Ignored"] > 0


@pytest.mark.parametrize("kind", Ais().message_types)
def test_every_type_that_is_subscribed_to_by_default_is_read(kind: str) -> None:
    report = {"ReportA": {"Valid": True, "Name": "X"}} if kind == "StaticDataReport" else {}
    assert isinstance(parse(kind, Timestamp=46, Name="X", **report), Position | Static)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Sog": 102.3}, "sog_kn"),
        ({"Sog": 102.30000000000001}, "sog_kn"),
        ({"Cog": 360}, "cog_deg"),
        ({"Cog": 409.5}, "cog_deg"),
        ({"TrueHeading": 511}, "heading_deg"),
        ({"NavigationalStatus": 15}, "nav_status"),
    ],
)
def test_not_available_is_nothing(body: dict[str, Any], field: str) -> None:
    assert getattr(position(**body), field) is None


def test_the_largest_and_smallest_that_are_available() -> None:
    most = position(Sog=102.2, Cog=359.9, TrueHeading=359, NavigationalStatus=14, Latitude=90, Longitude=-180)
    assert (most.sog_kn, most.cog_deg, most.heading_deg, most.nav_status) == (102.2, 359.9, 359.0, 14)
    least = position(Sog=0, Cog=0, TrueHeading=360, NavigationalStatus=0)
    assert (least.sog_kn, least.cog_deg, least.heading_deg, least.nav_status) == (0.0, 0.0, 0.0, 0)


def test_a_long_range_message_has_codes_of_its_own_and_no_second() -> None:
    nothing = position("LongRangeAisBroadcastMessage", Sog=63, Cog=511, Timestamp=44)
    assert (nothing.sog_kn, nothing.cog_deg, nothing.ais_class, nothing.time) == (None, None, None, HEARD)
    fast = position("LongRangeAisBroadcastMessage", Sog=62, Cog=359)
    assert (fast.sog_kn, fast.cog_deg) == (62.0, 359.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"Latitude": 91, "Longitude": 181}, "no position"),
        ({"Latitude": 91.0}, "no position"),
        ({"Longitude": 181}, "no position"),
        ({"Latitude": None}, "no place on earth"),
        ({"Latitude": "51.9"}, "no place on earth"),
        ({"Latitude": True}, "no place on earth"),
        ({"Longitude": -180.01}, "no place on earth"),
        ({"Longitude": 10**400}, "no place on earth"),
        ({"Longitude": float("nan")}, "no place on earth"),
        ({"Latitude": float("inf")}, "no place on earth"),
        ({"Valid": False}, "marked invalid"),
        ({"UserID": 2190064}, "not a ship's number"),
        ({"UserID": 111503003}, "not a ship's number"),
        ({"UserID": 972123456}, "not a ship's number"),
        ({"UserID": 992456971}, "not a ship's number"),
        ({"UserID": 1021812661}, "not a ship's number"),
        ({"UserID": "538009327"}, "not a ship's number"),
        ({"UserID": True}, "not a ship's number"),
        ({"UserID": -538009327}, "not a ship's number"),
        ({"UserID": 9 * 10**4000}, "not a ship's number"),
        ({"UserID": 538009328}, "contradicts itself"),
    ],
)
def test_why_a_position_report_is_none(body: dict[str, Any], reason: str) -> None:
    assert parse("PositionReport", **body) == Ignored(reason)


@given(st.integers(0, 10**9))
def test_ships_are_those_of_the_targets(mmsi: int) -> None:
    parsed = parse("PositionReport", {"MMSI": mmsi}, UserID=mmsi)
    assert isinstance(parsed, Position) == (ship_mmsi_problem(mmsi) is None)


def test_the_place_is_that_of_the_message_not_of_the_envelope() -> None:
    """The envelope's is the last that the service knew; a real GnssBroadcastBinaryMessage differs by 30 km."""
    moved = position(meta={"latitude": 10.0, "longitude": 10.0})
    assert (moved.lat, moved.lon) == (51.96, 4.11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-30 01:18:46.067018882 +0000 UTC", HEARD),
        ("2026-03-30 01:18:46.067018 +0000 UTC", HEARD),
        ("2026-03-30T01:18:46.067018Z", HEARD),
        ("2026-03-30T01:18:46.067018+00:00", HEARD),
        ("2026-03-30 03:18:46.067018882 +0200 CEST", HEARD),
        ("2026-03-30 01:18:46 +0000 UTC", HEARD.replace(microsecond=0)),
        ("2026-03-30 01:18:46.5 +0000 UTC", HEARD.replace(microsecond=500_000)),
        ("2026-03-30 01:18:46", HEARD.replace(microsecond=0)),
    ],
)
def test_times_as_go_and_as_iso_write_them(text: str, expected: datetime) -> None:
    assert parse_time_utc(text) == expected
    assert position(meta={"time_utc": text}).time_utc == expected


@pytest.mark.parametrize(
    "text",
    ["", "4161-15-31 00:00:01 +0000 UTC", "0001-01-01 00:00:00 +0000 UTC", "2026-02-30 00:00:00", None, 1774833526, "٢٠26"],
)
def test_what_is_no_time(text: object) -> None:
    assert parse("PositionReport", {"time_utc": text}) == Ignored("no time")
    assert static(meta={"time_utc": text}, Name="X").time_utc is None


@pytest.mark.parametrize(
    ("second", "age_s"),
    [
        (46, 0),
        (45, 1),
        (43, 3),
        (26, OLDEST_S),
        (47, -1),
        (49, -AHEAD_S),
        (25, None),
        (50, None),
        (60, None),
        (63, None),
        (-1, None),
    ],
)
def test_a_ship_was_there_at_the_second_its_message_names(second: int, age_s: int | None) -> None:
    expected = HEARD if age_s is None else HEARD.replace(microsecond=0) - timedelta(seconds=age_s)
    assert time_of_position(HEARD, second) == expected
    assert position(Timestamp=second).time == expected


def test_seconds_before_the_minute_belong_to_the_one_before() -> None:
    at = datetime(2026, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)
    assert time_of_position(at, 58) == datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC)


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999), st.floats(0, 5))
def test_stations_that_hear_one_message_within_seconds_give_one_time(
    second: int, at: int, micro: int, later_s: float
) -> None:
    first = datetime(2026, 3, 30, 1, 18, at, micro, tzinfo=UTC)
    again = first + timedelta(seconds=later_s)
    times = {time_of_position(first, second), time_of_position(again, second)}
    if (at - second) % 60 <= OLDEST_S - 6:
        assert len(times) == 1
    for heard, time_ in ((first, time_of_position(first, second)), (again, time_of_position(again, second))):
        assert time_ == heard or (time_.second == second and -AHEAD_S <= (heard - time_).total_seconds() < OLDEST_S + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NORDIC QINNGUA      ", "NORDIC QINNGUA"),
        ("PADDED@@@@@@@@@", "PADDED"),
        ("JOANN@@BHEP@M9A.", "JOANN"),
        ("@@@@@@@@", None),
        ("   ", None),
        ("", None),
        (None, None),
        (12, None),
        ({"a": 1}, None),
        ("=1+1", "=1+1"),
        ("A\x00B\x1f", "AB"),
        ("\ud800X", "X"),
        ("Q" * 1000, "Q" * 64),
    ],
)
def test_names_end_at_the_first_at_sign(text: object, expected: str | None) -> None:
    assert position(meta={"ShipName": text}).ship_name == expected
    said = static(Name=text, CallSign=text, Destination=text)
    assert (said.ship_name, said.call_sign, said.destination) == (expected,) * 3


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (SIZE, (120, 20, 100, 20, 5, 15)),
        ({"A": 12, "B": 0, "C": 1, "D": 3}, (12, 4, 12, 0, 1, 3)),
        ({"A": 0, "B": 0, "C": 0, "D": 0}, (None,) * 6),
        ({"A": 0, "B": 120, "C": 0, "D": 20}, (120, 20, *[None] * 4)),
        ({"A": 0, "B": 0, "C": 2, "D": 3}, (None, 5, 0, 0, 2, 3)),
        ({"A": 511, "B": 511, "C": 63, "D": 63}, (1022, 126, 511, 511, 63, 63)),
        ({"A": 512, "B": 1, "C": 1, "D": 1}, (None,) * 6),
        ({"A": -1, "B": 1, "C": 1, "D": 1}, (None,) * 6),
        ({"A": "1", "B": 1, "C": 1, "D": 1}, (None,) * 6),
        ({"A": 1}, (None,) * 6),
        ([1, 2, 3, 4], (None,) * 6),
        (None, (None,) * 6),
    ],
)
def test_size_and_where_the_antenna_is(dimension: object, expected: tuple[float | None, ...]) -> None:
    said = static(Dimension=dimension)
    assert (said.length_m, said.width_m, *said[8:12]) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(9074729, 9074729), (0, None), (999_999, None), (10_000_000, None), ("9074729", None), (True, None)],
)
def test_imo_numbers_have_seven_digits(number: object, expected: int | None) -> None:
    assert static(ImoNumber=number).imo == expected


@pytest.mark.parametrize(
    ("code", "expected"), [(70, "Cargo"), (52, "Tug"), (0, None), (255, None), (-1, None), ("70", None)]
)
def test_ship_types_are_names(code: object, expected: str | None) -> None:
    assert static(Type=code).ship_type == expected


def test_the_parts_of_a_static_data_report_count_by_their_own_flags() -> None:
    a, b = {"Name": "VIVID", "Valid": True}, {"ShipType": 36, "CallSign": "MAB12", "Dimension": SIZE, "Valid": True}
    both = static("StaticDataReport", ReportA=a, ReportB=b)
    assert (both.ship_name, both.ship_type, both.call_sign, both.length_m, both.ais_class) == (
        "VIVID",
        "Sailing",
        "MAB12",
        120,
        "B",
    )
    only_b = static("StaticDataReport", ReportA=a | {"Valid": False}, ReportB=b)
    assert (only_b.ship_name, only_b.ship_type) == (None, "Sailing")
    only_a = static("StaticDataReport", ReportA=a, ReportB=b | {"Valid": False})
    assert only_a[4:] == ("VIVID", *[None] * 11)
    for parts in (
        {},
        {"ReportA": 1, "ReportB": []},
        {"ReportA": a | {"Valid": 1}},
        {"ReportA": {"Valid": True, "Name": "@"}},
    ):
        assert parse("StaticDataReport", **parts) == Ignored("says nothing")


def test_an_extended_report_says_both_and_without_a_place_what_is_left() -> None:
    both = position("ExtendedClassBPositionReport", Name="BOAT", Type=37, Dimension=SIZE)
    assert both.static is not None
    assert (both.static.ship_name, both.static.ship_type, both.static.length_m) == ("BOAT", "Pleasure Craft", 120.0)
    assert static("ExtendedClassBPositionReport", Name="BOAT", Latitude=91).ship_name == "BOAT"


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        ("Api Key Is Not Valid", True),
        ("api key is invalid", True),
        ("InvalidApiKey", True),
        ("INVALID_API_KEY", True),
        ("The API key has expired.", True),
        ("Missing APIKey", True),
        ("Unauthorized", True),
        ("Subscription Object Is Malformed", False),
        ("concurrent connections per user exceeded", False),
        ("Too many connections for this API key", False),
        ("API key rate limit exceeded", False),
        ("Authentication service temporarily unavailable", False),
        ("Bounding boxes are not valid", False),
        ("", False),
    ],
)
def test_an_error_of_the_service_and_whether_it_is_the_key(text: str, is_key: bool) -> None:
    parsed = parse_message(json.dumps({"error": text}), NOW)
    assert parsed == ServiceError(text, is_key)


def test_an_error_text_shows_no_key_and_has_an_end() -> None:
    key = "6b2d9a3e100a86d9dfaeadf59a40e89712345678"
    parsed = parse_message(json.dumps({"error": f"Api Key {key} Is Not Valid {'x ' * 5000}"}), NOW)
    assert isinstance(parsed, ServiceError)
    assert key not in parsed.text
    assert parsed.is_key
    assert len(parsed.text) <= 200
    assert parse_message(json.dumps({"error": {"code": 3}}), NOW) == ServiceError('{"code": 3}', False)
    deep = '{"error":' + '{"a":' * 900 + "1" + "}" * 901
    assert isinstance(parse_message(deep, NOW), ServiceError | Ignored)


def test_a_confirmation() -> None:
    assert (
        parse_message(b'{"MessageType":"SubscriptionConfirmation","Message":{"CompressionEnabled":true}}', NOW)
        == Confirmation()
    )


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "no JSON"),
        ("", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 100_000, "no JSON"),
        (b"9" * 6000, "no JSON"),
        (b"null", "no message"),
        (b"[]", "no message"),
        (b"NaN", "no message"),
        (b"{}", "no message"),
        (b'{"MessageType":["PositionReport"]}', "no message"),
        (b'{"MessageType":"PositionReport"}', "no message"),
        (b'{"MessageType":"PositionReport","Message":{"PositionReport":[]}}', "no message"),
        (b'{"MessageType":"PositionReport","Message":[]}', "no message"),
        (b'{"MessageType":"Nobody knows \\ud800","Message":{}}', "type unknown"),
    ],
)
def test_what_is_no_message(frame: bytes | str, reason: str) -> None:
    assert parse_message(frame, NOW) == Ignored(reason)


def check(parsed: Parsed) -> None:
    """Every value is of its type and range, can be written, and reasons are few."""
    if isinstance(parsed, Ignored):
        assert re.fullmatch(r"[\w' ]{4,40}", parsed.reason)
        return
    if isinstance(parsed, Position):
        assert -90 <= parsed.lat <= 90
        assert -180 <= parsed.lon <= 180
        assert parsed.cog_deg is None or 0 <= parsed.cog_deg < 360
        assert parsed.heading_deg is None or 0 <= parsed.heading_deg < 360
        assert parsed.sog_kn is None or 0 <= parsed.sog_kn < 102.3
        assert timedelta(seconds=-AHEAD_S) <= parsed.time_utc - parsed.time <= timedelta(seconds=OLDEST_S + 1)
        if parsed.static:
            check(parsed.static)
    for value in parsed:
        assert value is None or type(value) in (int, float, str, bool, datetime, Static)
        if isinstance(value, str):
            assert value.encode().decode("ascii") or isinstance(parsed, ServiceError)
        if isinstance(value, datetime):
            assert value.tzinfo is UTC


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes(frame: bytes | str) -> None:
    check(parse_message(frame, NOW))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from([91, 181, 360, 511, 102.3, "2026-03-30 01:18:46 +0000 UTC", "PositionReport", "\ud800", "@"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLACE, *META, *SIZE, "error"]), inner, max_size=4)
    ),
    max_leaves=8,
)
KINDS = (
    "PositionReport",
    "StandardClassBPositionReport",
    "ExtendedClassBPositionReport",
    "ShipStaticData",
    "StaticDataReport",
)
WHOLE = {
    "Sog": 4.2, "Cog": 296.1, "TrueHeading": 307, "NavigationalStatus": 0, "Timestamp": 45, "Name": "N", "Type": 70,
    "ImoNumber": 9074729, "CallSign": "C", "Destination": "D", "Dimension": SIZE, "ReportA": {"Valid": True, "Name": "N"},
    "ReportB": {"Valid": True, "ShipType": 36, "Dimension": SIZE},
}  # fmt: skip


@settings(max_examples=400)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.sampled_from(["tree", "meta", "body", "part"]), st.integers(0, 30), JSON), max_size=3),
)
def test_whole_messages_with_anything_in_any_place(kind: str, changes: list[tuple[str, int, Any]]) -> None:
    body: dict[str, Any] = copy.deepcopy(PLACE | WHOLE)
    tree: dict[str, Any] = {"MessageType": kind, "MetaData": dict(META), "Message": {kind: body}}
    places: dict[str, dict[str, Any]] = {"tree": tree, "meta": tree["MetaData"], "body": body, "part": body["ReportB"]}
    for where, number, value in changes:
        names = sorted(places[where])
        places[where][names[number % len(names)]] = value
    check(parse_message(json.dumps(tree), NOW))


@pytest.mark.shared_data
@settings(max_examples=300)
@given(data=st.data())
def test_real_messages_damaged_on_the_way(shared_data: Path, data: st.DataObject) -> None:
    line = bytearray(data.draw(st.sampled_from(real(shared_data)[:9])))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(line) - 1), st.integers(0, 255)), max_size=6)):
        line[at] = value
    cut = data.draw(st.integers(0, 2 * len(line)))
    check(parse_message(bytes(line[:cut]), NOW))


@pytest.mark.shared_data
def test_five_thousand_messages_a_second_leave_most_of_a_core(shared_data: Path) -> None:
    lines = [line for line in real(shared_data) if b"PositionReport" in line or b"StaticData" in line] * 500
    began = time.process_time()
    for line in lines:
        parse_message(line, NOW)
    assert (time.process_time() - began) / len(lines) < 60e-6  # 12 µs on the machine this was written on
