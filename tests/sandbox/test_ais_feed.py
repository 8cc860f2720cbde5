import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.errors import InputError
from s2chips_core.sandbox.ais_feed import MOST_AT_ONCE, Heard, MixedFeed, replay_feed
from s2chips_core.sandbox.ais_message import parse_time_utc_s
from tests.sandbox.ais_client import numbered

NOON_S = 1_761_566_400.0
"""2025-10-27T12:00:00Z."""


def _json(heard: list[Heard]) -> list[dict[str, Any]]:
    return [json.loads(each.frame) for each in heard]


def _times_s(heard: list[Heard]) -> list[float]:
    return [parse_time_utc_s(each["MetaData"]["time_utc"]) for each in _json(heard)]


@pytest.mark.parametrize("rate_per_s", [0.1, 3.0, 700.0, 10_000.0])
def test_the_rate(rate_per_s: float) -> None:
    feed = replay_feed(numbered(7), rate_per_s=rate_per_s)
    span_s = max(20 / rate_per_s, 1.0)
    count, now_s = 0, NOON_S
    while now_s < NOON_S + span_s:
        count += len(feed.leaving(now_s, now_s + span_s / 64))
        now_s += span_s / 64
    assert count == pytest.approx(rate_per_s * span_s + 1, abs=2)


def test_messages_are_spread_over_the_time_and_in_order() -> None:
    feed = replay_feed(numbered(5), rate_per_s=10)
    heard = feed.leaving(NOON_S, NOON_S + 2)
    assert [each.mmsi - 244_000_000 for each in heard] == [n % 5 for n in range(21)]
    times = _times_s(heard)
    assert times == sorted(times)
    assert times[-1] == NOON_S + 2
    assert feed.leaving(NOON_S + 2, NOON_S + 2) == []


def test_delays() -> None:
    feed = replay_feed(numbered(5), rate_per_s=100, delay_s=(45, 120))
    delays = [NOON_S - at_s for at_s in _times_s(feed.leaving(NOON_S - 0.001, NOON_S) + feed.leaving(NOON_S, NOON_S + 5))]
    assert len(delays) > 400
    assert min(delays) > 39
    assert max(delays) < 121
    assert max(delays) - min(delays) > 60
    feed.delay_s = (1, 1)
    assert {round(NOON_S + 6 - at_s) for at_s in _times_s(feed.leaving(NOON_S + 5.99, NOON_S + 6))} == {1}


def test_once_and_as_they_were() -> None:
    feed = replay_feed(numbered(5), rate_per_s=1000, loop=False, retime=False, copies=9)
    assert _json(feed.leaving(NOON_S, NOON_S + 1)) == numbered(5)
    assert feed.leaving(NOON_S + 1, NOON_S + 99) == []
    assert len(feed) == 5


def test_copies_are_other_ships_in_each_round() -> None:
    feed = replay_feed(numbered(5), rate_per_s=40, copies=3)
    ships = Counter(each.mmsi for each in feed.leaving(NOON_S, NOON_S + 1)[:30])
    assert len(ships) == 15
    assert set(ships.values()) == {2}


def test_a_clock_that_jumps_does_not_flood() -> None:
    feed = replay_feed(numbered(5), rate_per_s=1000, retime=False)
    assert len(feed.leaving(NOON_S, NOON_S + 86_400)) == MOST_AT_ONCE


def test_moved_into_a_box() -> None:
    items = [*numbered(40), *numbered(40)]
    heard = replay_feed(items, rate_per_s=79, box=(179.0, 10.0, -179.0, 11.0)).leaving(NOON_S, NOON_S + 1)
    assert len(heard) == 80
    for each, said in zip(heard, _json(heard), strict=True):
        body, metadata = said["Message"]["PositionReport"], said["MetaData"]
        assert (body["Latitude"], body["Longitude"]) == (metadata["latitude"], metadata["longitude"]) == (each.lat, each.lon)
        assert 10 <= each.lat <= 11
        assert abs(each.lon) >= 179
    assert [(each.lat, each.lon) for each in heard[:40]] == [(each.lat, each.lon) for each in heard[40:]]
    assert len({each.lat for each in heard}) == 40


def test_not_available_is_not_moved() -> None:
    (item,) = numbered(1)
    item["Message"]["PositionReport"].update(Latitude=91, Longitude=181)
    (heard,) = replay_feed([item], rate_per_s=0, box=(5, 50, 6, 51)).leaving(NOON_S, NOON_S + 1)
    said = json.loads(heard.frame)
    assert said["Message"]["PositionReport"]["Latitude"] == 91
    assert 50 <= said["MetaData"]["latitude"] == heard.lat <= 51


@pytest.mark.shared_data
def test_all_real_messages(shared_data: Path) -> None:
    folder = shared_data / "ais" / "aisstream"
    sources = [folder / "message_examples.jsonl", folder / "reported_messages.jsonl"]
    feed = replay_feed(sources, rate_per_s=22, retime=False)
    said = [json.loads(line) for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    heard = feed.leaving(NOON_S, NOON_S + 1)
    assert _json(heard) == said
    assert len({each.message_type for each in heard}) == 20
    assert [each.mmsi for each in heard] == [item["MetaData"]["MMSI"] for item in said]


@pytest.mark.shared_data
def test_the_vessels_of_the_snapshot(shared_data: Path) -> None:
    feed = replay_feed([shared_data / "ais" / "aisstream" / "snapshot_20260330.csv"], rate_per_s=0)
    feed.rate_per_s = len(feed) - 1
    heard = feed.leaving(NOON_S, NOON_S + 1)
    kinds = Counter(each.message_type for each in heard)
    assert kinds == {"PositionReport": 1349, "ShipStaticData": 405}
    assert len({each.mmsi for each in heard}) == 1710
    assert all(abs(each.lat) <= 90 and abs(each.lon) <= 180 for each in heard)
    said = {each.mmsi: json.loads(each.frame) for each in heard if each.message_type == "PositionReport"}
    victory = said[205193000]
    assert victory["MetaData"]["ShipName"] == "VB VICTORY"
    body = victory["Message"]["PositionReport"]
    assert (body["Latitude"], body["Longitude"], body["Cog"], body["NavigationalStatus"]) == (51.16044, 3.77484, 25.6, 5)


def test_several_feeds_as_one() -> None:
    feed = MixedFeed([replay_feed(numbered(2), rate_per_s=9), replay_feed(numbered(9)[5:], rate_per_s=4, delay_s=(1, 2))])
    assert len(feed.leaving(NOON_S, NOON_S + 1)) == 10 + 5
    assert feed.delay_s == (0, 2)
    feed.delay_s = (3, 3)
    assert {round(NOON_S + 2 - at_s - 2.5) for at_s in _times_s(feed.leaving(NOON_S + 1, NOON_S + 2))} <= {0, 1}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.jsonl", "{}\n", "line 1: got '{}', expected MessageType"),
        ("a.jsonl", '\n{"Message', "line 2: got .* expected a JSON object"),
        ("a.jsonl", '{"MessageType":"A","Message":{"A":{}},"MetaData":{"MMSI":1,"time_utc":"now"}}', "time_utc"),
        ("a.jsonl", "[]", "MetaData with MMSI"),
        ("a.csv", "mmsi,name\n1,A\n", "line 2: .* a row of a vessel snapshot"),
    ],
)
def test_what_is_no_source(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        replay_feed([path])


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        replay_feed([tmp_path / "none.jsonl"])
