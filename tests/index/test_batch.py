"""Threads: everything is answered once, errors and stops reach the caller, nothing runs on."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from s2chips_core.chips.chip import CutRequest
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.errors import CancelledRunError, StorageError
from s2chips_core.fetch import Fetcher
from s2chips_core.index.batch import cut_batch
from tests.index.chips import SETTINGS, Cutter, scene_by_scene, scene_of


def groups(*sizes: int) -> Any:
    numbers = iter(range(1000))
    return [(scene_of(f"scene {k}"), [request(next(numbers)) for _ in range(size)]) for k, size in enumerate(sizes)]


def request(number: int) -> CutRequest:
    return CutRequest(target_id=f"t{number:03d}", mmsi=number, lat=36.0, lon=-5.0, chip_id=f"{number:016x}")


def cut(some: Any, *, cutter: Any = None, write: Any = lambda chip: chip.request.target_id, stop: Any = None) -> Any:
    cuts = scene_by_scene(cutter or Cutter())
    return cut_batch(some, cut=cuts, write=write, settings=SETTINGS, fetcher=Fetcher(()), stop=stop)


def test_everything_is_answered_once() -> None:
    some = groups(1, 30, 2, 9, 1, 1, 1, 1)
    found = list(cut(some, cutter=Cutter({3: RefusalReason.GATE_CLOUD})))
    assert sorted(r.target_id for r, _ in found) == [f"t{n:03d}" for n in range(46)]
    assert [(r.mmsi, result.reason) for r, result in found if not isinstance(result, str)] == [(3, "gate_cloud")]
    assert list(cut([])) == []


def test_an_error_of_a_writer_reaches_the_caller_and_stops_the_rest() -> None:
    written: list[str] = []

    def write(chip: Any) -> str:
        if chip.request.mmsi == 5:
            raise StorageError("key", "the disk is full")
        written.append(chip.request.target_id)
        return "fine"

    with pytest.raises(StorageError, match="the disk is full"):
        list(cut(groups(500), write=write))
    assert len(written) < 499


def test_an_error_of_a_reader_reaches_the_caller() -> None:
    def broken(scene: Any, requests: Any, **kwargs: Any) -> Iterator[Any]:
        yield from Cutter()(scene, requests[:1], **kwargs)
        raise OSError("no memory")

    with pytest.raises(OSError, match="no memory"):
        list(cut(groups(3, 3), cutter=broken))


def test_a_stop_is_heard_while_nothing_arrives() -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()

    def waiting(scene: Any, requests: Any, *, stop: threading.Event, **kwargs: Any) -> Iterator[Any]:
        assert stop.wait(20), "the reader was never told"
        yield from ()

    with pytest.raises(CancelledRunError, match="2 chips still to cut"):
        list(cut(groups(2), cutter=waiting, stop=stop))


def test_a_caller_that_goes_away_leaves_no_thread() -> None:
    def running() -> set[str]:
        return {t.name for t in threading.enumerate() if t.name.startswith("s2chips-")}

    found = cut(groups(200))
    next(found)
    assert running()
    found.close()
    assert not running()
