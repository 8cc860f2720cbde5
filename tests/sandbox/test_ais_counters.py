from s2chips_core.sandbox.ais_counters import AisCounters, Attempt


def test_handshakes_are_accepted_or_refused() -> None:
    counters = AisCounters(attempts=[Attempt(at_s=1.0, status=status) for status in (101, 429, 0, 101, 503)])
    assert (counters.connections, counters.refused) == (2, 3)


def test_messages_are_counted_by_connection_until_the_reset() -> None:
    counters = AisCounters(open=2, most_open=3, errors=["x"], slow_readers=1)
    for connection in (1, 1, 2):
        counters.count_message(connection)
    assert (counters.messages, counters.messages_by_connection) == (3, {1: 2, 2: 1})
    counters.reset()
    assert counters == AisCounters(open=2, most_open=2)
