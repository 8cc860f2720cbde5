"""The conversation with the AIS service, whatever the service does."""

import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from s2chips_core.ais import connection_limit
from s2chips_core.ais.aisstream import AisStream
from s2chips_core.ais.capture_record import MISSED
from s2chips_core.ais.connection_limit import ConnectionLimit
from s2chips_core.ais.messages import Position, Static
from s2chips_core.ais.subscription import Subscription
from s2chips_core.errors import AisKeyError
from s2chips_core.sandbox.ais_garbage import GARBAGE
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_message import message, ship_static_data
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from tests.ais.capture_rig import AREA, EAGER, Listening, ais_of, fleet, limit_of, now, report, wait_for, window

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections may follow each other at once: what is looked at is why, not when."""
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.02)


@pytest.fixture
def served(hasty: None) -> Iterator[AisServed]:
    with serve_ais(fleet(100), limits=EAGER) as served:
        yield served


def reasons(listening: Listening) -> list[str]:
    """Why there was no connection, of a window that began with the listening."""
    over = listening.stream.coverage.pass_record(window(0.0, starts_s=-60), "stopped", fixes=0, ships=0)
    return [gap.reason for gap in over.gaps]


def test_it_subscribes_at_once_and_hears(served: AisServed, tmp_path: Path) -> None:
    served.feed = None
    with Listening(served, tmp_path) as listening:
        served.wait_subscribed()
        static = ship_static_data(
            name="TESTER", call_sign="EAB", imo=9000001, ship_type=70, dimension_m=(1, 2, 3, 4), destination="X"
        )
        served.push(report(224000007))
        served.push(
            message("ShipStaticData", static, mmsi=224000007, ship_name="TESTER", lat=36.4, lon=-5.8, time_s=time.time())
        )
        listening.wait(lambda it: len(it.heard) == 2)
    [asked] = served.subscriptions
    assert asked.at_s - served.counters.attempts[0].at_s < 1.0
    assert asked.body["APIKey"] == TEST_KEY
    assert asked.body["BoundingBoxes"] == [[[AREA[1], AREA[0]], [AREA[3], AREA[2]]]]
    assert asked.body["FilterMessageTypes"] == list(ais_of(served.url).message_types)
    position, said = listening.heard
    assert isinstance(position, Position)
    assert isinstance(said, Static)
    assert (position.mmsi, said.ship_type) == (224000007, "Cargo")
    assert timedelta() <= now() - position.received_at < timedelta(seconds=10)
    assert (listening.stream.connections, listening.stream.messages) == (1, 2)


@pytest.mark.parametrize("fault", ["none", "no_confirmation", "late_confirmation", "text_frames"])
def test_a_confirmation_may_come_late_or_not_and_frames_may_be_text(served: AisServed, tmp_path: Path, fault: str) -> None:
    if fault == "late_confirmation":
        served.faults.late_confirmation(seconds=0.2)
    elif fault != "none":
        getattr(served.faults, fault)()
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: len(it.heard) > 40)
    assert listening.stream.messages == len(listening.heard), "a confirmation is no message"
    assert served.counters.connections == 1
    assert not listening.stream.ignored


def test_garbage_ends_nothing_and_is_counted(served: AisServed, tmp_path: Path) -> None:
    served.faults.garbage(times=len(GARBAGE))
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: len(it.heard) > 40)
    assert served.counters.garbage == len(GARBAGE)
    assert served.counters.connections == 1
    # One of them is a message but for its name, which is left out.
    assert len(GARBAGE) - 1 <= sum(listening.stream.ignored.values()) <= len(GARBAGE)
    assert listening.stream.messages == len(listening.heard) + sum(listening.stream.ignored.values())


def test_a_frame_beyond_all_bounds_is_not_read(served: AisServed, tmp_path: Path) -> None:
    served.faults.too_big(times=1, after_messages=10)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.stream.connections == 2 and len(it.heard) > 60)
    assert any("1009" in reason for reason in reasons(listening))


def test_duplicates_are_handed_on_as_they_came(served: AisServed, tmp_path: Path) -> None:
    served.faults.duplicates(probability=1.0)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: len(it.heard) > 60)
    pairs = list(zip(listening.heard[0::2], listening.heard[1::2], strict=False))
    assert sum(a._replace(received_at=b.received_at) == b for a, b in pairs) > 25


def test_a_wrong_key_is_final_for_everybody(served: AisServed, tmp_path: Path) -> None:
    wrong = "0123456789abcdef0123456789abcdef01234567"
    with Listening(served, tmp_path, key=wrong) as first:
        first.join()
    with Listening(served, tmp_path, key=wrong) as second:
        second.join()
    for listening in (first, second):
        assert isinstance(listening.failure, AisKeyError)
        assert "AISSTREAM_API_KEY" in str(listening.failure)
        assert wrong not in f"{listening.failure!r} {listening.failure} {vars(listening.failure)} {listening.stream!r}"
    assert len(served.counters.attempts) == 1, "the second did not even connect"
    with Listening(served, tmp_path, key=TEST_KEY) as third:
        third.wait(lambda it: it.heard)


def test_a_key_in_the_words_of_the_service_is_not_repeated(served: AisServed, tmp_path: Path) -> None:
    served.faults.error(f"no quota for key {TEST_KEY}", times=1)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.stream.connections == 2 and it.heard)
    assert any("error of the service" in reason for reason in reasons(listening))
    assert TEST_KEY not in str(listening.stream.coverage.to_dict())


def test_the_key_is_in_no_log(served: AisServed, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    served.faults.close(after_messages=20, times=1)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.stream.connections == 2 and len(it.heard) > 30)
    assert "connecting again" in caplog.text
    assert TEST_KEY not in caplog.text


def test_another_error_is_tried_again(served: AisServed, tmp_path: Path) -> None:
    served.faults.error("upstream is overloaded", times=2)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.heard)
    assert listening.failure is None
    assert served.counters.connections == 3
    assert reasons(listening)[1] == "error of the service: upstream is overloaded"


def test_too_many_requests_are_followed_by_the_wait_that_is_asked_for(served: AisServed, tmp_path: Path) -> None:
    served.faults.too_many_requests(retry_after_s=1, times=1)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.heard)
    first, second = served.counters.attempts
    assert (first.status, second.status) == (429, 101)
    assert 1.0 <= second.at_s - first.at_s < 2.0
    assert reasons(listening)[1] == "HTTP 429"


@pytest.mark.parametrize(("fault", "says"), [("refuse", "HTTP 503"), ("reset", "no WebSocket answer")])
def test_refusals_are_tried_again(served: AisServed, tmp_path: Path, fault: str, says: str) -> None:
    getattr(served.faults, fault)(times=2)
    with Listening(served, tmp_path) as listening:
        listening.wait(lambda it: it.heard)
    assert len(served.counters.attempts) == 3
    assert reasons(listening)[1] == says


def test_refusals_are_tried_ever_more_slowly(served: AisServed, tmp_path: Path) -> None:
    served.faults.refuse()
    ais = ais_of(served.url, reconnect_initial_s=0.05, reconnect_max_s=0.4)
    limit = ConnectionLimit(ais.url, most=2, first_wait_s=0.05, longest_wait_s=0.4, folder=tmp_path, dice=lambda: 1.0)
    with Listening(served, tmp_path, limit=limit) as listening:
        listening.wait(lambda it: len(served.counters.attempts) == 6)
    waits = [b.at_s - a.at_s for a, b in itertools.pairwise(served.counters.attempts)]
    for wait_s, least_s in zip(waits, (0.05, 0.1, 0.2, 0.4, 0.4), strict=True):
        assert least_s <= wait_s < least_s + 0.35


def test_a_service_that_is_not_there(served: AisServed, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"ws://127.0.0.1:{free.getsockname()[1]}/"
    listening = Listening(served, tmp_path, seconds=1.0)
    listening.stream.ais = ais_of(nobody)
    with listening:
        listening.join()
    assert listening.failure is None
    over = listening.stream.coverage.pass_record(window(0.0), "done", fixes=0, ships=0)
    assert over.status == MISSED
    assert over.gaps[-1].reason == "connection refused"


@pytest.mark.parametrize(("code", "says"), [(None, "connection closed (1006)"), (1001, "connection closed (1001)")])
def test_disconnects_are_normal_and_leave_a_gap(served: AisServed, tmp_path: Path, code: int | None, says: str) -> None:
    with Listening(served, tmp_path, reconnect_initial_s=0.3, reconnect_max_s=0.3) as listening:
        listening.wait(lambda it: it.heard)
        time.sleep(0.3)
        at = now()
        served.disconnect(code)
        listening.wait(lambda it: it.stream.connections == 2 and it.stream.coverage.spans[1].messages > 10)
    over = listening.stream.coverage.pass_record(window(0.0, starts_s=-60), "stopped", fixes=0, ships=0)
    [gap] = [gap for gap in over.gaps if gap.reason == says]
    assert abs((gap.start - at).total_seconds()) < 0.3
    assert gap.end == listening.stream.coverage.spans[1].start


def test_connections_keep_the_distance_that_the_service_asks_for(tmp_path: Path) -> None:
    with serve_ais(fleet(100), limits=Limits(min_interval_s=1.0)) as served, Listening(served, tmp_path) as listening:
        for count in (1, 2):
            listening.wait(lambda it, n=count: it.stream.connections == n and it.stream.coverage.spans[-1].messages)
            served.disconnect()
        listening.wait(lambda it: it.stream.connections == 3)
    assert [attempt.status for attempt in served.counters.attempts] == [101, 101, 101]


def test_a_connection_that_delivers_nothing_is_given_up(served: AisServed, tmp_path: Path) -> None:
    served.faults.silence(after_messages=30, times=1)
    with Listening(served, tmp_path, silence_timeout_s=0.6) as listening:
        listening.wait(lambda it: it.stream.connections == 2 and it.stream.coverage.spans[1].messages > 20)
    over = listening.stream.coverage.pass_record(window(0.0, starts_s=-60), "stopped", fixes=0, ships=0)
    [gap] = [gap for gap in over.gaps if gap.reason == "silence"]
    assert gap.start == listening.stream.coverage.spans[0].last, "from the last message"
    assert gap.end == listening.stream.coverage.spans[1].start
    assert 0.6 <= (gap.end - gap.start).total_seconds() < 1.5


def test_a_line_that_is_cut_is_given_up_too(served: AisServed, tmp_path: Path) -> None:
    served.faults.silence(after_messages=30, times=1, answer_pings=False)
    with Listening(served, tmp_path, silence_timeout_s=0.6) as listening:
        listening.wait(lambda it: it.stream.connections == 2 and it.stream.coverage.spans[1].messages > 20)


def test_a_slow_start_is_waited_for(served: AisServed, tmp_path: Path) -> None:
    served.faults.slow_start(seconds=0.8)
    with Listening(served, tmp_path, silence_timeout_s=1.5) as listening:
        listening.wait(lambda it: len(it.heard) > 20)
    assert served.counters.connections == 1


def test_a_quiet_sea_costs_ever_fewer_connections(served: AisServed, tmp_path: Path) -> None:
    served.feed = None
    with Listening(served, tmp_path, silence_timeout_s=0.3) as listening:
        listening.wait(lambda it: it.stream.connections == 4)
        times = [attempt.at_s for attempt in served.counters.attempts]
        for wait_s, patience_s in zip((b - a for a, b in itertools.pairwise(times)), (0.3, 0.6, 1.2), strict=True):
            assert patience_s <= wait_s < patience_s + 0.6
        served.wait_subscribed(4)
        served.push(report())
        listening.wait(lambda it: it.heard)
        served.faults.silence()
        at_s = time.monotonic()
        listening.wait(lambda it: it.stream.connections == 5)
        assert time.monotonic() - at_s < 1.2, "who was heard is listened for with the first patience"


def test_three_that_want_to_listen_have_two_connections(served: AisServed, tmp_path: Path) -> None:
    served.limits = Limits(min_interval_s=0.0, max_connections=2)
    first, second, third = (Listening(served, tmp_path) for _ in range(3))
    with first, second, third:
        wait_for(lambda: sum(bool(each.heard) for each in (first, second, third)) == 2)
        time.sleep(0.5)
        [waiting] = [each for each in (first, second, third) if not each.heard]
        assert served.counters.most_open == 2
        assert waiting.stream.coverage.problem == "all connections are in use by others on this machine"
        next(each for each in (first, second, third) if each.heard).stop.set()
        waiting.wait(lambda it: it.heard)
    assert served.counters.most_open == 2
    assert served.counters.errors == []


@pytest.mark.parametrize("state", ["listening", "backing off", "connecting", "flooded"])
def test_a_request_to_stop_is_followed_within_a_second(served: AisServed, tmp_path: Path, state: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        listening = Listening(served, tmp_path, reconnect_initial_s=50.0, reconnect_max_s=60.0)
        if state == "backing off":
            served.faults.refuse()
        elif state == "connecting":
            listening.stream.ais = ais_of(f"ws://127.0.0.1:{deaf.getsockname()[1]}/")
        elif state == "flooded":
            served.feed = fleet(20_000)
        with listening:
            time.sleep(0.7)
            began = time.monotonic()
            listening.stop.set()
            listening.join()
            assert time.monotonic() - began < 1.0
    assert listening.failure is None


def test_it_ends_at_its_time_by_the_given_clock(served: AisServed, tmp_path: Path) -> None:
    with Listening(served, tmp_path, seconds=1.0, clock=lambda: now() + timedelta(days=30)) as listening:
        began = time.monotonic()
        listening.join()
        assert 0.8 < time.monotonic() - began < 2.5
    assert listening.heard
    assert listening.heard[0].received_at - now() > timedelta(days=29)


def test_a_redirect_gets_no_key(served: AisServed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2chips_core.ais.aisstream.other_host", lambda connection, url: "elsewhere:443")
    with Listening(served, tmp_path, seconds=0.5) as listening:
        listening.join()
    assert served.counters.connections > 0
    assert served.subscriptions == []
    assert "elsewhere:443" in reasons(listening)[-1]


def test_who_is_stopped_before_it_begins_does_not_connect(tmp_path: Path) -> None:
    ais = ais_of("ws://127.0.0.1:9/v0/stream")
    stop = threading.Event()
    stop.set()
    stream = AisStream(
        Subscription(areas=(AREA,), message_types=("PositionReport",)),
        ais=ais,
        api_key="k",
        limit=limit_of(ais, tmp_path),
        clock=now,
        stop=stop,
    )
    stream.listen(now() + timedelta(seconds=60), lambda message: None)
    assert stream.connections == 0
