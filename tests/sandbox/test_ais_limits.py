import contextlib
import time

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_server import serve_ais
from tests.sandbox.ais_client import CONFIRMATION, end_of, read, subscribed, subscription


def test_no_subscription_in_time() -> None:
    limits = Limits(subscribe_within_s=0.3)
    with serve_ais(limits=limits) as served, connect(served.url) as client:
        started = time.monotonic()
        assert end_of(client) == (1006, [])
        assert 0.2 < time.monotonic() - started < 2
        assert served.counters.unsubscribed == 1
        assert served.subscriptions == []


def test_the_service_waits_three_seconds() -> None:
    limits = Limits()
    assert (limits.subscribe_within_s, limits.max_connections, limits.min_interval_s) == (3.0, 3, 1.0)


def test_new_connections_come_one_a_second() -> None:
    with serve_ais(limits=Limits(min_interval_s=0.5)) as served, subscribed(served):
        with pytest.raises(InvalidStatus) as caught, connect(served.url):
            pass
        response = caught.value.response
        assert response.status_code == 429
        assert response.body == b"local_rate_limited"
        assert (response.headers["server"], response.headers["content-type"].split(";")[0]) == ("envoy", "text/plain")
        assert "retry-after" not in response.headers
        time.sleep(0.55)
        with subscribed(served) as late:
            assert read(late, 1) == [CONFIRMATION]
        assert [attempt.status for attempt in served.counters.attempts] == [101, 429, 101]
        assert (served.counters.refused, served.counters.connections) == (1, 2)


def test_who_insists_stays_out() -> None:
    with serve_ais(limits=Limits(min_interval_s=0.4, refused_count_too=True)) as served:
        with subscribed(served):
            pass
        for _ in range(3):
            time.sleep(0.2)
            with pytest.raises(InvalidStatus), connect(served.url):
                pass
        time.sleep(0.45)
        with subscribed(served) as client:
            assert read(client, 1) == [CONFIRMATION]


def test_a_connection_too_many_gets_an_error() -> None:
    limits = Limits(max_connections=2, min_interval_s=0)
    with serve_ais(limits=limits, keys={"test-key", "other"}) as served, subscribed(served) as one:
        read(one, 1)
        with subscribed(served, APIKey="other") as two:  # one account, one allowance
            read(two, 1)
            with subscribed(served) as three:
                assert end_of(three) == (1006, [{"error": "concurrent connections per user exceeded"}])
            one.send(subscription())
            assert read(one, 1) == [CONFIRMATION]  # a subscription that replaces its own is none too many
        deadline = time.monotonic() + 5
        while served.counters.open > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        with subscribed(served) as three:
            assert read(three, 1) == [CONFIRMATION]


def test_or_the_oldest_is_dropped() -> None:
    limits = Limits(max_connections=2, min_interval_s=0, over_limit="close_old")
    with serve_ais(limits=limits) as served, contextlib.ExitStack() as stack:
        clients = []
        for number in range(3):
            clients.append(stack.enter_context(subscribed(served)))
            served.wait_subscribed(number + 1)
        assert end_of(clients[0]) == (1006, [CONFIRMATION])
        served.push("still here")
        for client in clients[1:]:
            read(client, 1)
            assert client.recv(5) == "still here"


def test_or_it_is_refused_at_the_handshake() -> None:
    limits = Limits(max_connections=1, min_interval_s=0, over_limit="429")
    with serve_ais(limits=limits) as served, subscribed(served) as client:
        read(client, 1)
        with pytest.raises(InvalidStatus) as caught, connect(served.url):
            pass
        assert caught.value.response.status_code == 429
        served.limits.max_connections = 2
        with subscribed(served) as other:
            assert read(other, 1) == [CONFIRMATION]
