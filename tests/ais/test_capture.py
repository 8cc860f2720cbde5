"""A group of windows recorded from the service to the snapshots, and what becomes of captures that are killed."""

import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2chips_core import layout
from s2chips_core.ais import capture as capturing
from s2chips_core.ais import connection_limit
from s2chips_core.ais.capture import KILLED, Captured, capture_group, is_held, recover_journals
from s2chips_core.ais.capture_record import MISSED, PARTIAL, RECORDED, read_records
from s2chips_core.ais.coverage import LATE_START, NOTHING_HEARD
from s2chips_core.ais.journal import journals
from s2chips_core.ais.snapshots import METADATA_KEY, read_snapshots
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.errors import AisKeyError, CaptureError, StorageError
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.storage import LocalStorage, lease
from tests.ais.capture_rig import EAGER, TILE, ais_of, capture, fleet, meeting_folder, now, report, wait_for, window
from tests.datasets import Datasets, Door, copy, everything, locks_of, place_of

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[AisServed]:
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.02)
    with serve_ais(fleet(100), limits=EAGER) as served:
        yield served


class Running:
    """A capture in a thread of this process."""

    def __init__(self, run: Callable[[], Captured]) -> None:
        self.result: Captured | None = None
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(run,))
        self._thread.start()

    def _run(self, run: Callable[[], Captured]) -> None:
        try:
            self.result = run()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.failure = error

    def end(self) -> Captured:
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.failure is None
        assert self.result is not None
        return self.result


def facts_of(storage: LocalStorage, day: object, tile: str = TILE) -> dict[str, object]:
    data = storage.get(layout.ais_snapshot(day, tile))  # type: ignore[arg-type]
    facts: dict[str, object] = json.loads(pq.read_schema(pa.BufferReader(data)).metadata[METADATA_KEY])
    return facts


def test_a_window_is_recorded(served: AisServed, storage: LocalStorage) -> None:
    # Positions are of whole seconds: two of them, so that every ship reports in one that lies inside.
    over = window(3.1, starts_s=1.0)
    captured = capture(served, storage, over)
    record = captured.record
    assert (record.ended, record.lost, record.connections, record.ais_source) == ("done", 0, 1, "aisstream")
    assert record.url == served.url
    [of_pass] = record.passes
    assert (of_pass.window, of_pass.status, of_pass.gaps) == (over, RECORDED, ())
    assert of_pass.covered_s == pytest.approx(2.1, abs=0.002)
    assert read_records(storage, over.day) == [record]
    fixes = read_snapshots(storage, over.day)
    assert (len(fixes), fixes["mmsi"].nunique()) == (of_pass.fixes, of_pass.ships)
    assert of_pass.ships == 20
    assert fixes["time"].between(over.start, over.end).all()
    assert set(fixes["ais_source"]) == {"aisstream"}
    assert set(fixes["tile_id"]) == {TILE}
    assert (fixes["overpass_time"] == over.overpass_time).all()
    assert fixes["received_at"].notna().all()
    assert journals(storage) == []
    assert set(captured.keys) == {layout.ais_snapshot(over.day, TILE, suffix) for suffix in ("parquet", "xlsx")}


def test_the_snapshot_tells_of_its_capture(served: AisServed, storage: LocalStorage) -> None:
    served.faults.close(after_messages=40, times=1, code=1001)
    over = window(1.5)
    record = capture(served, storage, over).record
    facts = facts_of(storage, over.day)
    assert facts["ais_source"] == "aisstream"
    told = facts["captures"][record.capture_id]  # type: ignore[index]
    assert (told["messages"], told["connections"], told["lost"]) == (record.messages, 2, 0)
    [of_pass] = told["passes"]
    assert of_pass["tile_id"] == TILE
    assert [gap["reason"] for gap in of_pass["gaps"]] == [LATE_START, "connection closed (1001)"]
    for gap, kept in zip(of_pass["gaps"], record.passes[0].gaps, strict=True):
        assert datetime.fromisoformat(gap["start"]) == kept.start
        assert datetime.fromisoformat(gap["end"]) == kept.end
    book = openpyxl.load_workbook(io.BytesIO(storage.get(layout.ais_snapshot(over.day, TILE, "xlsx"))))
    about = " ".join(str(cell) for row in book["about"].iter_rows(values_only=True) for cell in row)
    assert "connection closed (1001)" in about


def test_it_listens_on_and_selects_by_the_time_of_the_message(served: AisServed, storage: LocalStorage) -> None:
    served.feed = None
    over = window(0.6, starts_s=-5)
    running = Running(lambda: capture(served, storage, over, linger_s=1.5))
    served.wait_subscribed()
    wait_for(lambda: now() > over.end + timedelta(seconds=0.3))
    inside = over.end - timedelta(seconds=2)
    served.push(report(224000001, inside), report(224000002, over.end + timedelta(seconds=1.5)))
    served.push(report(224000003, over.start - timedelta(seconds=2)), report(224000004, inside, lat=50.0, lon=0.0))
    assert running.end().record.messages == 4
    fixes = read_snapshots(storage, over.day)
    assert fixes["mmsi"].tolist() == [224000001]
    assert fixes["received_at"].iloc[0] > over.end


def test_one_connection_carries_all_windows_of_a_group(served: AisServed, storage: LocalStorage) -> None:
    served.feed = None
    near, far = window(1.0, starts_s=-5, tile="30STF"), window(1.2, starts_s=-4, tile="32VPH")
    running = Running(lambda: capture(served, storage, near, far))
    served.wait_subscribed()
    served.push(report(224000001), report(219000001, lat=56.3, lon=11.6))
    captured = running.end()
    [asked] = served.subscriptions
    assert len(asked.body["BoundingBoxes"]) == 2
    fixes = read_snapshots(storage, near.day).set_index("tile_id")
    assert fixes["mmsi"].to_dict() == {"30STF": 224000001, "32VPH": 219000001}
    assert [one.fixes for one in captured.record.passes] == [1, 1]


def test_a_fix_that_comes_twice_is_there_once(served: AisServed, storage: LocalStorage) -> None:
    served.faults.duplicates(probability=1.0)
    over = window(1.2)
    record = capture(served, storage, over).record
    fixes = read_snapshots(storage, over.day)
    assert not fixes.duplicated(["mmsi", "time", "lat", "lon"]).any()
    assert record.messages > 1.9 * len(fixes) > 0


def test_two_captures_of_one_pass_add_up(served: AisServed, storage: LocalStorage) -> None:
    over = window(2.4)
    first = capture(served, storage, Window(**{**_values(over), "end": over.start + timedelta(seconds=2.0)}))
    before = read_snapshots(storage, over.day)
    second = capture(served, storage, over)
    after = read_snapshots(storage, over.day)
    assert len(after) > len(before) > 0
    assert before.merge(after, on=["mmsi", "time", "lat", "lon"]).shape[0] == len(before)
    assert set(facts_of(storage, over.day)["captures"]) == {  # type: ignore[call-overload]
        first.record.capture_id,
        second.record.capture_id,
    }
    assert len(read_records(storage, over.day)) == 2


def _values(one: Window) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("tile_id", "satellite", "overpass_time", "start", "end")}


def test_a_request_to_stop_keeps_what_was_heard(served: AisServed, storage: LocalStorage) -> None:
    stop = threading.Event()
    over = window(60)
    running = Running(lambda: capture(served, storage, over, stop=stop))
    served.wait_subscribed()
    wait_for(lambda: served.counters.messages > 80)
    began = time.monotonic()
    stop.set()
    record = running.end().record
    assert time.monotonic() - began < 1.5, "a second, and the writing of the snapshots"
    assert record.ended == "stopped"
    [of_pass] = record.passes
    assert of_pass.status == PARTIAL
    assert of_pass.gaps[-1].reason == "stopped"
    assert of_pass.gaps[-1].end == over.end
    assert record.messages > 70
    assert of_pass.fixes == len(read_snapshots(storage, over.day)) > 0


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, -2.0])
def test_a_clock_that_is_set_while_it_listens(served: AisServed, storage: LocalStorage, by_s: float) -> None:
    """Set forward the window is over, set back it goes on; either way what was heard is kept and nothing else is claimed."""
    stop, over, set_by = threading.Event(), window(60), [0.0]
    running = Running(lambda: capture(served, storage, over, stop=stop, clock=lambda: now() + timedelta(seconds=set_by[0])))
    served.wait_subscribed()
    wait_for(lambda: served.counters.messages > 80)
    set_by[0] = by_s
    if by_s < 0:
        heard = served.counters.messages
        wait_for(lambda: served.counters.messages > heard + 80)
        stop.set()
    record = running.end().record
    assert record.ended == ("done" if by_s > 0 else "stopped")
    [of_pass] = record.passes
    assert of_pass.status == PARTIAL
    length_s = (over.end - over.start).total_seconds()
    assert of_pass.covered_s + sum((gap.end - gap.start).total_seconds() for gap in of_pass.gaps) == pytest.approx(
        length_s, abs=0.01
    )
    assert of_pass.covered_s < 30, "it listened for seconds"
    # Ships are placed by the time of their messages, which the machine's clock does not change.
    fixes = read_snapshots(storage, over.day)
    assert of_pass.fixes == len(fixes) > 0
    assert fixes["time"].between(over.start, over.end).all()
    assert journals(storage) == []


def test_an_interrupt_keeps_what_was_heard_and_goes_on(served: AisServed, storage: LocalStorage) -> None:
    over = window(60)

    def clock() -> datetime:
        if served.counters.messages > 80 and threading.current_thread() is threading.main_thread():
            served.counters.reset()
            raise KeyboardInterrupt
        return now()

    with pytest.raises(KeyboardInterrupt):
        capture(served, storage, over, clock=clock)
    [record] = read_records(storage, over.day)
    assert record.ended == "interrupted"
    assert len(read_snapshots(storage, over.day)) > 0
    assert journals(storage) == []


def test_who_never_connects_fails_and_says_so_in_the_record(served: AisServed, storage: LocalStorage) -> None:
    served.faults.refuse(status=503)
    over = window(0.8)
    with pytest.raises(CaptureError, match="HTTP 503"):
        capture(served, storage, over)
    [record] = read_records(storage, over.day)
    [of_pass] = record.passes
    assert (record.connections, of_pass.status, of_pass.covered_s) == (0, MISSED, 0.0)
    assert of_pass.gaps[-1].reason == "HTTP 503"
    assert storage.list(layout.ais_folder(over.day)) == []
    assert journals(storage) == []


def test_who_hears_nothing_has_missed_the_window_but_has_not_failed(served: AisServed, storage: LocalStorage) -> None:
    served.feed = None
    over = window(0.8)
    record = capture(served, storage, over).record
    assert record.connections == 1
    assert record.passes[0].status == MISSED
    assert record.passes[0].gaps[-1].reason == NOTHING_HEARD


def test_a_key_that_is_refused_ends_it_at_once(served: AisServed, storage: LocalStorage) -> None:
    wrong = "0123456789abcdef0123456789abcdef01234567"
    over = window(60)
    for _ in range(2):
        with pytest.raises(AisKeyError, match="AISSTREAM_API_KEY"):
            capture(served, storage, over, key=wrong)
    assert len(served.counters.attempts) == 1
    first, second = read_records(storage, over.day)
    assert (first.ended, second.ended) == ("key refused", "key refused")
    assert first.passes[0].gaps[-1].reason == "the service does not take the key"


def test_the_key_is_nowhere_in_the_dataset(
    served: AisServed, storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    served.faults.error(f"key {TEST_KEY} is over its limit", times=1)
    captured = capture(served, storage, window(1.0))
    files = [path for path in meeting_folder(storage).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if TEST_KEY.encode() in path.read_bytes()]
    assert len(everything(storage)) > 2
    assert not [key for key, data in everything(storage).items() if TEST_KEY.encode() in data]
    assert TEST_KEY not in repr(captured)
    assert TEST_KEY not in caplog.text


class FullDisk(Door):
    """A dataset whose journal cannot be written for a while."""

    def __init__(self, behind: LocalStorage) -> None:
        super().__init__(behind)
        self.is_full, self.refused = False, 0

    def put(self, key: str, data: bytes) -> None:
        if self.is_full and key.endswith(".parquet"):
            self.refused += 1
            raise StorageError(key, "cannot be written: No space left on device")
        super().put(key, data)


def test_a_disk_that_is_full_for_a_while_loses_nothing(served: AisServed, storage: LocalStorage) -> None:
    served.feed = None
    disk, stop = FullDisk(storage), threading.Event()
    over = window(60)
    running = Running(lambda: capture(served, disk, over, stop=stop))
    served.wait_subscribed()
    served.push(report(224000001))
    wait_for(lambda: len(disk.list(layout.capture_journals())) > 1)
    disk.is_full = True
    time.sleep(1.0)  # the second of the next report is another one, and inside the window
    for n in range(2, 30):
        served.push(report(224000000 + n))
    wait_for(lambda: disk.refused > 0)
    disk.is_full = False
    time.sleep(0.2)
    stop.set()
    record = running.end().record
    assert (record.lost, record.messages) == (0, 29)
    assert set(range(224000002, 224000030)) <= set(read_snapshots(disk, over.day)["mmsi"])


def test_a_disk_that_stays_full_fails_and_what_it_has_is_recovered_later(
    served: AisServed, storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    disk, stop = FullDisk(storage), threading.Event()
    over = window(60)
    running = Running(lambda: capture(served, disk, over, stop=stop))
    wait_for(lambda: served.counters.messages > 150)
    disk.is_full = True
    wait_for(lambda: disk.refused > 0)
    stop.set()
    with pytest.raises(AssertionError):
        running.end()
    assert isinstance(running.failure, StorageError)
    assert "No space left" in str(running.failure)
    assert re.search(r"[1-9]\d* messages lost", caplog.text)
    disk.is_full = False
    [recovered] = recover_journals(disk)
    assert recovered.record.ended == "recovered"
    assert read_snapshots(disk, over.day)["mmsi"].nunique() == 20


CHILD = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.storage import lease
from tests.ais.capture_rig import capture, window
from tests.datasets import open_place
import json
lease.RENEW_S = 0.3
class Served: url = sys.argv[2]
over = Window.from_dict(json.loads(sys.argv[4]))
capture(Served, open_place(json.loads(sys.argv[3])), over, flush_interval_s=0.3)
"""


@pytest.fixture(scope="module")
def killed_capture(
    datasets: Datasets, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LocalStorage, Window, set[int], int]:
    """The dataset of a capture that was killed."""
    storage = datasets.at(tmp_path_factory.mktemp("killed") / "dataset")
    with serve_ais(limits=EAGER) as served:
        return (storage, *_kill(served, storage))


@pytest.fixture
def killed(
    killed_capture: tuple[LocalStorage, Window, set[int], int], storage: LocalStorage
) -> tuple[Window, set[int], int]:
    """A copy of it: its window, the ships that it must have on disk, and how many messages it was sent."""
    whole, over, safe, sent = killed_capture
    copy(whole, storage)
    return over, safe, sent


def _kill(served: AisServed, storage: LocalStorage) -> tuple[Window, set[int], int]:
    over = window(60)
    root = str(Path(__file__).parents[2])
    place = json.dumps(place_of(storage))
    child = subprocess.Popen([sys.executable, "-c", CHILD, root, served.url, place, json.dumps(over.to_dict())])
    try:
        served.wait_subscribed(timeout_s=60)
        time.sleep(1.1)
        sent: dict[int, float] = {}
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            mmsi = 224000001 + len(sent)
            served.push(report(mmsi))
            sent[mmsi] = time.monotonic()
            time.sleep(0.005)
        [capture_id] = journals(storage)
        assert is_held(storage, capture_id)
        assert recover_journals(storage) == [], "a journal that is being written is left alone"
        child.send_signal(signal.SIGKILL)
        at = time.monotonic()
    finally:
        child.kill()
        child.wait()
    # Besides the flush interval: the way through the server and the socket, and the writing of a segment.
    return over, {mmsi for mmsi, when in sent.items() if when < at - 0.3 - 0.25}, len(sent)


def test_a_killed_capture_loses_what_was_not_flushed_and_no_more(
    killed: tuple[Window, set[int], int], storage: LocalStorage
) -> None:
    over, safe, sent = killed
    [recovered] = recover_journals(storage)
    fixes = read_snapshots(storage, over.day)
    assert len(safe) > 80
    assert safe <= set(fixes["mmsi"])
    assert recovered.record.ended == "recovered"
    assert len(safe) <= recovered.record.messages <= sent
    [of_pass] = recovered.record.passes
    assert (of_pass.fixes, of_pass.status) == (len(fixes), PARTIAL)
    assert [gap.reason for gap in of_pass.gaps] == [LATE_START, KILLED]
    assert 1.5 < of_pass.covered_s < 4.0
    assert read_records(storage, over.day) == [recovered.record]
    assert journals(storage) == []
    assert not is_held(storage, recovered.record.capture_id)
    assert storage.list("ais/journal") == []
    assert [name for name in locks_of(storage) if name.startswith("capture-")] == []
    # Again: nothing to do.
    before = {key: storage.get(key) for key in storage.list("ais")}
    assert recover_journals(storage) == []
    assert {key: storage.get(key) for key in storage.list("ais")} == before


@pytest.mark.on_bucket("moto")
def test_the_next_one_finishes_what_a_killed_capture_has_heard(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a bucket as soon as the lock of the dead has run out: nobody waits for it, but looks again later."""
    monkeypatch.setattr(lease, "LEASE_S", 5.0)
    with serve_ais(limits=EAGER) as served:
        over, safe, _ = _kill(served, storage)
    recovered: list[Captured] = []
    wait_for(lambda: recovered.extend(recover_journals(storage)) or recovered, 40.0)
    assert [one.record.ended for one in recovered] == ["recovered"]
    assert safe <= set(read_snapshots(storage, over.day)["mmsi"])
    assert read_records(storage, over.day) == [recovered[0].record]
    assert storage.list(layout.capture_journals()) == []
    assert [name for name in locks_of(storage) if name.startswith("capture-")] == []


def test_a_recovery_that_is_killed_is_done_again(
    killed: tuple[Window, set[int], int], storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, safe, _ = killed

    class KilledError(BaseException):
        """Stands for the end of the process."""

    def die(*_: object, **__: object) -> None:
        raise KilledError

    found = []
    for step in ("write_snapshots", "write_record", "remove_journal", None):
        with monkeypatch.context() as patched:
            if step:
                patched.setattr(capturing, step, die)
                with pytest.raises(KilledError):
                    recover_journals(storage)
                assert len(journals(storage)) == 1
            else:
                assert len(recover_journals(storage)) == 1
        if storage.exists(layout.ais_snapshot(over.day, TILE)):
            found.append(len(read_snapshots(storage, over.day)))
    assert len(set(found)) == 1, "exact repeats are there once"
    assert safe <= set(read_snapshots(storage, over.day)["mmsi"])
    assert len(read_records(storage, over.day)) == 1
    assert journals(storage) == []


def test_a_journal_that_cannot_be_read_does_not_keep_others_from_being_recovered(
    killed: tuple[Window, set[int], int], storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.put(f"{layout.capture_journal('broken')}/header.json", b"{")
    storage.put(f"{layout.capture_journal('older')}/header.json", b"{}")
    [recovered] = recover_journals(storage)
    assert recovered.record.ended == "recovered"
    assert journals(storage) == ["broken", "older"], "left for a person to look at"
    assert "broken" in caplog.text


def test_progress_is_told(served: AisServed, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "PROGRESS_EVERY_S", 0.2)
    told: list[str] = []
    capture_group(
        CaptureGroup(windows=(window(1.0),)),
        ais=ais_of(served.url),
        storage=storage,
        clock=now,
        api_key=TEST_KEY,
        stop=threading.Event(),
        meeting_folder=tmp_path / "meeting",
        progress=told.append,
    )
    assert any(text.startswith("listening: ") and "messages so far" in text for text in told)
    assert told[-1] == "writing snapshots"
