"""What a client meets: subscriptions, and every fault, through a running server."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from s2chips_core.sandbox.ais_feed import ReplayFeed, replay_feed
from s2chips_core.sandbox.ais_garbage import GARBAGE
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_server import AisServed, serve_ais
from tests.sandbox.ais_client import (
    AT_ONCE,
    CONFIRMATION,
    end_of,
    hear,
    mmsis,
    numbered,
    read,
    subscribed,
    subscription,
)


def fifty() -> ReplayFeed:
    """Fifty ships, once, in a tenth of a second."""
    return replay_feed(numbered(50), rate_per_s=500, loop=False)


@pytest.fixture
def served() -> Iterator[AisServed]:
    with serve_ais(fifty(), limits=AT_ONCE) as running:
        yield running


# Subscriptions


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ("subscribe!", "Subscription Object Is Malformed"),
        (b"\xff", "Subscription Object Is Malformed"),
        ("[" * 100_000, "Subscription Object Is Malformed"),
        (subscription(BoundingBoxes=[]), "Subscription Object Is Malformed"),
        (subscription(APIKey="stolen"), "Api Key Is Not Valid"),
    ],
)
def test_what_is_no_subscription_is_answered_and_dropped(served: AisServed, sent: str | bytes, error: str) -> None:
    with connect(served.url) as client:
        client.send(sent)
        assert end_of(client) == (1006, [{"error": error}])
    assert served.counters.errors == [error]
    assert [received.error for received in served.subscriptions] == [error]
    assert served.counters.subscriptions == 0


def test_a_binary_subscription_is_one_too(served: AisServed) -> None:
    with connect(served.url) as client:
        client.send(subscription().encode())
        assert read(client, 1) == [CONFIRMATION]


def test_a_further_subscription_replaces_the_first() -> None:
    with serve_ais(replay_feed(numbered(4), rate_per_s=200)) as served, subscribed(served) as client:
        read(client, 5)
        client.send(subscription(FiltersShipMMSI=["244000002"]))
        while json.loads(client.recv(5)) != CONFIRMATION:
            pass
        assert set(mmsis(read(client, 10))) == {2}
        assert [each.connection for each in served.subscriptions] == [1, 1]
        assert served.counters.subscriptions == 2
        client.send(subscription(APIKey="stolen"))
        code, frames = end_of(client)
        assert (code, frames[-1]) == (1006, {"error": "Api Key Is Not Valid"})


def test_who_does_not_read_is_dropped() -> None:
    limits = Limits(max_backlog=500)
    with (
        serve_ais(replay_feed(numbered(50), rate_per_s=20_000), limits=limits) as served,
        connect(served.url, compression=None, max_queue=1) as client,
    ):
        client.send(subscription())
        deadline = time.monotonic() + 20
        while not served.counters.slow_readers and time.monotonic() < deadline:
            time.sleep(0.05)
        assert served.counters.slow_readers == 1
        assert end_of(client)[0] == 1006


# Faults of handshakes


@pytest.mark.parametrize("retry_after_s", [None, 30])
def test_too_many_requests(served: AisServed, retry_after_s: int | None) -> None:
    served.faults.too_many_requests(retry_after_s=retry_after_s, times=2)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as caught, connect(served.url):
            pass
        response = caught.value.response
        assert (response.status_code, response.body) == (429, b"local_rate_limited")
        assert response.headers.get("retry-after") == (None if retry_after_s is None else "30")
    with subscribed(served) as client:
        assert read(client, 1) == [CONFIRMATION]
    assert [attempt.status for attempt in served.counters.attempts] == [429, 429, 101]


def test_refused_with_another_status(served: AisServed) -> None:
    served.faults.refuse(status=403, times=1)
    with pytest.raises(InvalidStatus) as caught, connect(served.url):
        pass
    assert caught.value.response.status_code == 403


def test_a_reset_instead_of_an_answer(served: AisServed) -> None:
    served.faults.reset(times=2)
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as raw:
        raw.sendall(
            b"GET /v0/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    with pytest.raises(InvalidMessage), connect(served.url):
        pass
    with subscribed(served) as client:
        assert read(client, 1) == [CONFIRMATION]
    assert [attempt.status for attempt in served.counters.attempts] == [0, 0, 101]


# Faults of connections


def test_no_confirmation(served: AisServed) -> None:
    served.faults.no_confirmation(times=1)
    with subscribed(served) as client:
        assert mmsis(read(client, 50)) == list(range(50))


def test_a_late_confirmation() -> None:
    with serve_ais(replay_feed(numbered(4), rate_per_s=50)) as served:
        served.faults.late_confirmation(seconds=0.3)
        with subscribed(served) as client:
            frames = read(client, 40)
            place = frames.index(CONFIRMATION)
            assert 5 <= place <= 25


def test_the_confirmation_may_always_take_its_time() -> None:
    with serve_ais(confirmation_after_s=0.2) as served, subscribed(served) as client:
        assert hear(client, 0.1) == []
        assert read(client, 1) == [CONFIRMATION]


def test_an_error_frame(served: AisServed) -> None:
    served.faults.error("Internal Server Error", after_messages=7, times=1)
    with subscribed(served) as client:
        code, frames = end_of(client)
    assert code == 1006
    assert mmsis(frames[1:-1]) == list(range(7))
    assert frames[-1] == {"error": "Internal Server Error"}


def test_a_good_key_refused(served: AisServed) -> None:
    served.faults.wrong_key(times=1)
    with subscribed(served) as client:
        assert end_of(client) == (1006, [{"error": "Api Key Is Not Valid"}])
    with subscribed(served) as client:
        assert read(client, 1) == [CONFIRMATION]


@pytest.mark.parametrize(("code", "seen"), [(1000, 1000), (1001, 1001), (1011, 1011), (4000, 4000), (None, 1006)])
def test_closed_after_so_many_messages(served: AisServed, code: int | None, seen: int) -> None:
    served.faults.close(after_messages=5, code=code, reason="on plan", times=1)
    with subscribed(served) as client:
        ended, frames = end_of(client)
        assert (ended, mmsis(frames[1:])) == (seen, [0, 1, 2, 3, 4])
        assert client.close_reason == ("on plan" if code else "")
    served.feed = fifty()
    with subscribed(served) as client:
        assert len(read(client, 51)) == 51


def test_closed_after_so_many_seconds_also_when_open_already() -> None:
    with serve_ais() as served, subscribed(served) as client:
        started = time.monotonic()
        read(client, 1)
        served.faults.close(after_s=0.3)
        with pytest.raises(ConnectionClosedError):
            client.recv(5)
        assert 0.25 < time.monotonic() - started < 2


def test_silence_and_its_end() -> None:
    with serve_ais(replay_feed(numbered(50), rate_per_s=200)) as served, subscribed(served) as client:
        read(client, 11)
        served.faults.silence(after_messages=20)
        heard = hear(client, 0.5)
        assert mmsis([json.loads(frame) for frame in heard])[-1] == 19
        assert len(heard) == 10
        assert client.ping().wait(5)  # open all the while
        served.faults.clear("silence")
        assert mmsis(read(client, 1))[0] != 20  # what was due meanwhile does not come later


def test_silence_for_a_while() -> None:
    with serve_ais(replay_feed(numbered(50), rate_per_s=100)) as served, subscribed(served) as client:
        served.faults.silence(seconds=0.4, after_messages=5, times=1)
        read(client, 6)
        started = time.monotonic()
        read(client, 1)
        assert 0.3 < time.monotonic() - started < 2


def test_silence_without_pongs() -> None:
    with serve_ais() as served, subscribed(served) as client:
        read(client, 1)
        assert client.ping().wait(5)
        served.faults.silence(answer_pings=False)
        time.sleep(0.1)
        assert not client.ping().wait(0.4)


def test_a_slow_start() -> None:
    with serve_ais(replay_feed(numbered(50), rate_per_s=100)) as served:
        served.faults.slow_start(seconds=0.4)
        with subscribed(served) as client:
            assert [json.loads(frame) for frame in hear(client, 0.25)] == [CONFIRMATION]
            assert mmsis(read(client, 1))[0] > 10


# Faults of messages


def test_garbage(served: AisServed) -> None:
    served.faults.garbage(times=len(GARBAGE))
    with subscribed(served) as client:
        frames = [client.recv(5) for _ in range(1 + 50 + len(GARBAGE))]
    assert tuple(frames[1 : 1 + 2 * len(GARBAGE) : 2]) == GARBAGE
    messages = [frames[0], *frames[2 : 1 + 2 * len(GARBAGE) : 2], *frames[1 + 2 * len(GARBAGE) :]]
    assert mmsis([json.loads(frame) for frame in messages[1:]]) == list(range(50))
    assert (served.counters.messages, served.counters.garbage) == (50, len(GARBAGE))


def test_text_frames(served: AisServed) -> None:
    served.faults.text_frames(times=3, after_messages=2)
    with subscribed(served) as client:
        kinds = [type(client.recv(5)) for _ in range(8)]
    assert kinds == [bytes, bytes, bytes, str, str, str, bytes, bytes]


def test_duplicates_byte_for_byte(served: AisServed) -> None:
    served.faults.duplicates(probability=0.67)
    with subscribed(served) as client:
        frames = hear(client, 1.0)[1:]
    assert len(set(frames)) == 50
    assert 65 < len(frames) < 100
    assert all(frames.count(frame) <= 2 for frame in frames)
    assert mmsis([json.loads(frame) for frame in dict.fromkeys(frames)]) == list(range(50))
    assert served.counters.messages == len(frames)


def test_messages_held_back(served: AisServed) -> None:
    served.faults.late(seconds=(0.3, 0.5), times=10)
    started = time.monotonic()
    with subscribed(served) as client:
        frames = read(client, 51)[1:]
    assert time.monotonic() - started > 0.3
    assert mmsis(frames[:40]) == list(range(10, 50))
    assert sorted(mmsis(frames[40:])) == list(range(10))


def test_out_of_order(served: AisServed) -> None:
    served.faults.out_of_order(by=3, times=1, probability=1)
    with subscribed(served) as client:
        assert mmsis(read(client, 11)[1:]) == [1, 2, 3, 0, 4, 5, 6, 7, 8, 9]


def test_a_frame_that_is_too_big(served: AisServed) -> None:
    served.faults.too_big(size_bytes=2**20 + 1, after_messages=2)
    with subscribed(served) as client:
        frames = [client.recv(5) for _ in range(5)]
    assert len(frames[3]) == 2**20 + 1
    assert json.loads(frames[3])["MessageType"] == "UnknownMessage"
    with connect(served.url, compression=None) as client:  # its limit is 2**20
        served.faults.too_big()
        served.feed = fifty()
        client.send(subscription())
        with pytest.raises(ConnectionClosedError) as caught:
            read(client, 10)
        assert caught.value.sent is not None
        assert caught.value.sent.code == 1009


def test_faults_together_lose_no_message(served: AisServed) -> None:
    served.faults.garbage(probability=0.3)
    served.faults.duplicates(probability=0.4)
    served.faults.out_of_order(probability=0.2, by=2, times=5)
    served.faults.late(seconds=(0, 0.2), probability=0.2)
    with subscribed(served) as client:
        frames = hear(client, 1.5)
    assert _ships(frames) == set(range(50))


def _ships(frames: list[str | bytes]) -> set[int]:
    ships = set()
    for frame in frames:
        try:
            value: Any = json.loads(frame)
            ships.add(value["MetaData"]["MMSI"] - 244_000_000)
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
    return {ship for ship in ships if 0 <= ship < 1000}


def test_a_client_that_goes_away_is_forgotten(served: AisServed) -> None:
    with subscribed(served) as client:
        read(client, 1)
        client.socket.shutdown(socket.SHUT_RDWR)
    deadline = time.monotonic() + 5
    while served.counters.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert served.counters.open == 0
