import contextlib
import http.client
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from s2chips_core.errors import StorageError
from s2chips_core.sandbox.ais_feed import Heard, replay_feed
from s2chips_core.sandbox.ais_message import parse_time_utc_s
from s2chips_core.sandbox.ais_server import serve_ais
from tests.sandbox.ais_client import AT_ONCE, CONFIRMATION, end_of, hear, mmsis, numbered, read, subscribed, subscription


def test_a_capture_in_small() -> None:
    before = time.time()
    with serve_ais(replay_feed(numbered(3), rate_per_s=200)) as served, subscribed(served) as client:
        first = client.recv(5)
        frames = [client.recv(5) for _ in range(4)]
    assert all(isinstance(frame, bytes) for frame in (first, *frames))
    assert json.loads(first) == CONFIRMATION
    messages = [json.loads(frame) for frame in frames]
    assert mmsis(messages) == [0, 1, 2, 0]
    for each in messages:
        at_s = parse_time_utc_s(each["MetaData"]["time_utc"])
        assert before - 1 < at_s < time.time() + 1
        assert each["Message"]["PositionReport"]["Timestamp"] == int(at_s) % 60


def test_what_is_counted() -> None:
    with serve_ais(replay_feed(numbered(10), rate_per_s=1000, loop=False)) as served:
        with subscribed(served, FilterMessageTypes=["PositionReport"], BoundingBoxes=[[[-1, -0.5], [1, 6.5]]]) as client:
            read(client, 8)
            served.wait_subscribed()
        counters = served.counters
        assert (counters.connections, counters.refused, counters.subscriptions, counters.most_open) == (1, 0, 1, 1)
        assert (counters.messages, counters.messages_by_connection) == (7, {1: 7})
        assert counters.filtered == 3
        assert abs(counters.attempts[0].at_s - time.monotonic()) < 5
        (received,) = served.subscriptions
        assert received.body["APIKey"] == "test-key"
        assert (received.connection, received.error) == (1, None)
        assert abs(received.at - datetime.now(UTC)) < timedelta(seconds=5)
        deadline = time.monotonic() + 5
        while counters.open and time.monotonic() < deadline:
            time.sleep(0.01)
        counters.reset()
        assert (counters.open, counters.messages, counters.connections) == (0, 0, 0)
        with pytest.raises(TimeoutError, match="0 of 1 subscriptions"):
            served.wait_subscribed(timeout_s=0.05)


def test_every_connection_hears_what_it_asked_for() -> None:
    with (
        serve_ais(replay_feed(numbered(6), rate_per_s=500, loop=False), limits=AT_ONCE) as served,
        connect(served.url, compression=None) as east,
        connect(served.url, compression=None) as west,
    ):
        feed, served.feed = served.feed, None
        for client, box in ((east, [[1, 3], [-1, 5]]), (west, [[-1, 2], [1, 0]])):
            client.send(json.dumps({"APIKey": "test-key", "BoundingBoxes": [box]}))
            assert read(client, 1) == [CONFIRMATION]
        served.feed = feed
        assert mmsis(read(east, 3)) == [3, 4, 5]
        assert mmsis(read(west, 3)) == [0, 1, 2]
        assert hear(east, 0.1) == hear(west, 0.1) == []


def test_the_feed_its_rate_and_the_keys_change_while_it_runs() -> None:
    slow = replay_feed(numbered(3), rate_per_s=0)
    with serve_ais(slow, limits=AT_ONCE) as served, subscribed(served) as client:
        assert mmsis(read(client, 2)[1:]) == [0]  # the first comes at once at any rate
        assert hear(client, 0.2) == []
        slow.rate_per_s = 100
        assert mmsis(read(client, 3)) == [1, 2, 0]
        served.feed = None
        hear(client, 0.1)
        assert hear(client, 0.1) == []
        served.keys = {"another"}
        with subscribed(served) as late:
            assert end_of(late) == (1006, [{"error": "Api Key Is Not Valid"}])
        with subscribed(served, APIKey="another") as late:
            assert read(late, 1) == [CONFIRMATION]


def test_times_follow_the_clock_which_may_jump() -> None:
    offset = timedelta(days=-300)
    jumped = threading.Event()

    def clock() -> datetime:
        return datetime.now(UTC) + offset + (timedelta(minutes=10) if jumped.is_set() else timedelta())

    feed = replay_feed(numbered(1), rate_per_s=0.1)
    with serve_ais(feed, clock=clock) as served, subscribed(served) as client:
        (first,) = read(client, 2)[1:]
        jumped.set()
        rest = read(client, 60)
        assert hear(client, 0.1) == []
    expected_s = (datetime.now(UTC) + offset).timestamp()
    assert abs(parse_time_utc_s(first["MetaData"]["time_utc"]) - expected_s) < 10
    last_s = parse_time_utc_s(rest[-1]["MetaData"]["time_utc"])
    assert last_s - parse_time_utc_s(rest[0]["MetaData"]["time_utc"]) == pytest.approx(59 * 10, abs=0.5)
    assert abs(last_s - expected_s - 600) < 12


def test_pushed_frames_come_as_they_are() -> None:
    with serve_ais() as served, subscribed(served, BoundingBoxes=[[[0, 0], [0, 0]]]) as client:
        served.wait_subscribed()
        served.push(b"\x00", "text", {"error": "going down"})
        assert json.loads(client.recv(5)) == CONFIRMATION
        assert [client.recv(5) for _ in range(3)] == [b"\x00", "text", b'{"error": "going down"}']
        assert served.counters.messages == 0


@pytest.mark.parametrize(("code", "seen"), [(1001, 1001), (1013, 1013), (None, 1006)])
def test_disconnecting_all(code: int | None, seen: int) -> None:
    with serve_ais(limits=AT_ONCE) as served, subscribed(served) as one, subscribed(served) as other:
        served.wait_subscribed(2)
        served.disconnect(code)
        assert end_of(one)[0] == end_of(other)[0] == seen
        with subscribed(served) as again:
            assert read(again, 1) == [CONFIRMATION]


def test_other_paths_and_plain_http() -> None:
    with serve_ais() as served:
        with pytest.raises(InvalidStatus) as caught, connect(served.url.replace("/v0/", "/v1/")):
            pass
        assert caught.value.response.status_code == 404
        host = urlsplit(served.url).netloc
        plain = http.client.HTTPConnection(host, timeout=5)
        plain.request("GET", "/v0/stream")
        assert plain.getresponse().status in (400, 426)
        plain.close()
        assert served.url == f"ws://{host}/v0/stream"
        assert host.startswith("127.0.0.1:")


def test_compression_is_said_and_done() -> None:
    frame = {"MessageType": "SubscriptionConfirmation", "Message": {"CompressionEnabled": True}}
    with serve_ais(replay_feed(numbered(2), rate_per_s=100), compression=True) as served, connect(served.url) as client:
        client.send(subscription())
        assert client.protocol.extensions
        confirmation, *messages = read(client, 3)
        assert confirmation == frame
        assert mmsis(messages) == [0, 1]


def test_it_stops_and_leaves_no_thread_whatever_its_clients_do() -> None:
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:
        with serve_ais(replay_feed(numbered(2), rate_per_s=100), limits=AT_ONCE) as served:
            served.faults.silence(answer_pings=False, times=1)
            clients = [stack.enter_context(connect(served.url, compression=None)) for _ in range(3)]
            for client in clients[:2]:
                client.send(subscription())
            served.wait_subscribed(2)
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 3
        for client in clients:
            end_of(client)
    # The clients' own threads end a moment after their connections.
    ended_by = time.monotonic() + 25
    while set(threading.enumerate()) - before and time.monotonic() < ended_by:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError), connect(served.url):
        pass


def test_a_port_that_is_taken() -> None:
    with serve_ais() as served:
        port = urlsplit(served.url).port
        assert port is not None
        with pytest.raises(StorageError, match="Address already in use"), serve_ais(port=port):
            pass
    with serve_ais(port=port) as again:
        assert urlsplit(again.url).port == port


def test_a_feed_that_breaks_is_not_silence() -> None:
    class Broken:
        delay_s = (0.0, 0.0)

        def leaving(self, after_s: float, until_s: float) -> list[Heard]:
            raise ArithmeticError("on plan")

    with (
        pytest.raises(ArithmeticError, match="on plan"),
        serve_ais(Broken()) as served,
        subscribed(served) as client,
    ):
        assert end_of(client)[0] == 1001
