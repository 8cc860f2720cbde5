"""The queue between the socket and the disk."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from s2chips_core.ais.messages import Position, Static, parse_message
from s2chips_core.ais.recorder import Recorder
from s2chips_core.errors import StorageError
from s2chips_core.sandbox.ais_message import encode, message, ship_static_data
from tests.ais.capture_rig import report, wait_for

pytestmark = pytest.mark.timeout(60)


class Disk:
    """Where segments go; refuses or is slow on demand."""

    def __init__(self) -> None:
        self.segments: list[tuple[list[Position], list[Static], dict[str, Any]]] = []
        self.slow_s, self.refuses = 0.0, 0
        self.fault: Exception | None = None

    def append(self, positions: Sequence[Position], statics: Sequence[Static], facts: Mapping[str, Any]) -> str | None:
        time.sleep(self.slow_s)
        if self.fault:
            raise self.fault
        if self.refuses:
            self.refuses -= 1
            raise StorageError("ais/journal/x", "cannot be written: No space left on device")
        self.segments.append((list(positions), list(statics), dict(facts)))
        return "key"

    @property
    def mmsi(self) -> list[int]:
        return [one.mmsi for positions, _, _ in self.segments for one in positions]


def position(n: int) -> Position:
    found = parse_message(encode(report(224000000 + n)), datetime.now(UTC))
    assert isinstance(found, Position)
    return found


@pytest.fixture
def disk() -> Disk:
    return Disk()


def recorder_of(disk: Disk, *, batch: int = 1000, flush_s: float = 0.05, most: int = 10_000) -> Recorder:
    return Recorder(disk, lambda: {"at": time.monotonic()}, batch_size=batch, flush_interval_s=flush_s, most_waiting=most)


def test_what_is_kept_is_written_in_order_and_soon(disk: Disk) -> None:
    recorder = recorder_of(disk)
    for n in range(100):
        recorder.keep(position(n))
    wait_for(lambda: len(disk.mmsi) == 100, 2.0)
    recorder.close()
    assert disk.mmsi == [224000000 + n for n in range(100)]
    assert recorder.lost == 0


def test_positions_and_static_data_are_told_apart(disk: Disk) -> None:
    body = ship_static_data(name="T", call_sign="E", imo=9000001, ship_type=70, dimension_m=(1, 2, 3, 4), destination="X")
    said = parse_message(
        encode(message("ShipStaticData", body, mmsi=224000001, ship_name="T", lat=1.0, lon=1.0, time_s=1.7e9)),
        datetime.now(UTC),
    )
    assert isinstance(said, Static)
    recorder = recorder_of(disk)
    recorder.keep(said)
    recorder.keep(position(1))
    recorder.close()
    assert [(len(positions), len(statics)) for positions, statics, _ in disk.segments] == [(1, 1)]


def test_a_full_batch_does_not_wait_for_its_time(disk: Disk) -> None:
    recorder = recorder_of(disk, batch=10, flush_s=60.0)
    for n in range(25):
        recorder.keep(position(n))
    wait_for(lambda: len(disk.mmsi) >= 20, 2.0)
    recorder.close()
    assert [len(positions) for positions, _, _ in disk.segments] == [10, 10, 5]


def test_facts_go_on_while_nothing_is_heard(disk: Disk) -> None:
    recorder = recorder_of(disk, flush_s=0.05)
    wait_for(lambda: len(disk.segments) >= 3, 2.0)
    recorder.close()
    assert all("at" in facts for _, _, facts in disk.segments)


def test_facts_are_never_ahead_of_what_is_written(disk: Disk) -> None:
    """A segment that leaves messages waiting claims nothing."""
    disk.slow_s = 0.1
    recorder = recorder_of(disk, batch=10, flush_s=0.01)
    time.sleep(0.15)  # it is in the middle of a segment
    for n in range(35):
        recorder.keep(position(n))
    recorder.close()
    full = [bool(facts) for positions, _, facts in disk.segments if len(positions) == 10]
    assert full
    assert not any(full)
    assert "at" in disk.segments[-1][2]
    assert len(disk.mmsi) == 35


def test_a_disk_that_refuses_for_a_while_loses_nothing(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.refuses = 2
    recorder = recorder_of(disk)
    for n in range(50):
        recorder.keep(position(n))
    wait_for(lambda: len(disk.mmsi) == 50, 5.0)
    recorder.close()
    assert disk.mmsi == [224000000 + n for n in range(50)], "each once"
    assert recorder.lost == 0
    assert "No space left on device" in caplog.text
    assert "can be written again" in caplog.text


def test_a_disk_that_is_too_slow_costs_messages_that_are_counted(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    disk.slow_s = 0.3
    recorder = recorder_of(disk, batch=20, flush_s=0.01, most=50)
    time.sleep(0.05)
    for n in range(200):
        recorder.keep(position(n))
    recorder.close()
    assert 100 <= recorder.lost <= 150
    assert len(disk.mmsi) + recorder.lost == 200
    assert f"{recorder.lost} messages lost" in caplog.text


def test_keeping_never_waits_for_the_disk(disk: Disk) -> None:
    disk.slow_s = 0.8
    recorder = recorder_of(disk, batch=10_000, flush_s=0.01)
    one = position(1)
    time.sleep(0.1)
    began = time.monotonic()
    for _ in range(5000):
        recorder.keep(one)
    assert time.monotonic() - began < 0.5
    recorder.close()


def test_a_disk_that_refuses_to_the_end_is_told(disk: Disk) -> None:
    disk.refuses = 10**9
    recorder = recorder_of(disk)
    for n in range(5):
        recorder.keep(position(n))
    began = time.monotonic()
    with pytest.raises(StorageError, match="No space left"):
        recorder.close()
    assert time.monotonic() - began < 5
    assert recorder.lost == 5


def test_a_fault_of_the_program_comes_out(disk: Disk) -> None:
    disk.fault = TypeError("no such thing")
    recorder = recorder_of(disk)
    time.sleep(0.3)
    with pytest.raises(TypeError, match="no such thing"):
        recorder.keep(position(1))
    with pytest.raises(TypeError, match="no such thing"):
        recorder.close()


def test_its_thread_ends_with_it(disk: Disk) -> None:
    before = threading.active_count()
    recorder = recorder_of(disk)
    assert threading.active_count() == before + 1
    recorder.close()
    assert threading.active_count() == before
