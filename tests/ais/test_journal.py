"""The journal of a capture: what is in it after a kill at any moment, and after damage."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import layout, tables
from s2chips_core.ais.journal import (
    POSITION,
    RECORD_SCHEMA,
    STATIC,
    JournalWriter,
    journals,
    read_header,
    read_journal,
    remove_journal,
)
from s2chips_core.ais.messages import Position, Static, parse_message
from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets, Door, place_of

HEARD = datetime(2026, 3, 30, 1, 18, 46, 67018, tzinfo=UTC)
HEADER = {"windows": [{"tile_id": "31UET"}], "ais_source": "aisstream", "started_at": HEARD.isoformat()}
PROJECT = Path(__file__).parents[2]
CAPTURE = "20260330T011800-0a1b2c3d-1"


def position(number: int = 0, **values: Any) -> Position:
    at = HEARD + timedelta(seconds=number)
    whole = Position(
        mmsi=244660640 + number,
        message_type="PositionReport",
        time=at.replace(microsecond=0),
        time_utc=at,
        received_at=at + timedelta(seconds=70),
        lat=51.9,
        lon=4.1,
        sog_kn=None,
        cog_deg=296.1,
        heading_deg=None,
        nav_status=5,
        ais_class="A",
        ship_name=None,
        static=None,
    )
    return whole._replace(**values)


def static(number: int = 0, **values: Any) -> Static:
    at = HEARD + timedelta(seconds=number)
    nothing = dict.fromkeys(Static._fields[4:])
    whole = Static(244660640 + number, "ShipStaticData", None, at, **nothing)
    return whole._replace(**{"ship_name": "RVE 56", "length_m": 22.0, "imo": 9074729, **values})


class KilledError(Exception):
    """Stands for kill -9: it goes through everything that catches errors of this project."""


class KilledStorage:
    """A storage whose process is killed before or after its n-th change."""

    def __init__(self, storage: LocalStorage, changes: int, *, done: bool) -> None:
        self._storage, self._left, self._done = storage, changes, done

    def _change(self, call: str, *args: Any) -> None:
        self._left -= 1
        if self._left < 0 and not self._done:
            raise KilledError
        getattr(self._storage, call)(*args)
        if self._left < 0:
            raise KilledError

    def put(self, key: str, data: bytes) -> None:
        self._change("put", key, data)

    def delete(self, key: str) -> None:
        self._change("delete", key)

    def delete_folder(self, prefix: str) -> None:
        for key in self.list(prefix):
            self.delete(key)
        self._storage.delete_folder(prefix)

    def get(self, key: str) -> bytes:
        return self._storage.get(key)

    def exists(self, key: str) -> bool:
        return self._storage.exists(key)

    def list(self, prefix: str) -> list[str]:
        return self._storage.list(prefix)

    @contextlib.contextmanager
    def lock(self, name: str, timeout_s: float = 600.0) -> Iterator[None]:
        with self._storage.lock(name, timeout_s):
            yield

    def forget_lock(self, name: str) -> None:
        self._storage.forget_lock(name)

    def url(self, key: str) -> str:
        return self._storage.url(key)


def write(storage: Any, segments: int = 3) -> None:
    writer = JournalWriter(storage, CAPTURE, HEADER)
    for number in range(segments):
        writer.append([position(number)], [static(number)], {"messages": number, "gaps": [["a", "b", "silence"]]})


def test_what_was_written_is_read(storage: LocalStorage) -> None:
    writer = JournalWriter(storage, CAPTURE, HEADER)
    own = static(1, message_type="ExtendedClassBPositionReport", ship_name="BOAT")
    keys = [
        writer.append([position(), position(1, static=own)], [static(2)], {"messages": 3}),
        writer.append([], [], {}),
        writer.append([], [], {"gaps": [{"start": "x", "end": "y"}]}),
        writer.append([], [static(3)], {}),
    ]
    folder = f"ais/journal/{CAPTURE}"
    assert keys == [f"{folder}/000000.parquet", None, f"{folder}/000001.parquet", f"{folder}/000002.parquet"]
    journal = read_journal(storage, CAPTURE)
    assert journals(storage) == [CAPTURE]
    assert (journal.header, journal.damaged) == (HEADER, ())
    assert journal.facts == ({"messages": 3}, {"gaps": [{"start": "x", "end": "y"}]}, {})
    records = journal.records
    assert records["kind"].tolist() == [POSITION, POSITION, STATIC, STATIC, STATIC]
    first = records.iloc[0]
    assert first["time"] == pd.Timestamp(HEARD.replace(microsecond=0))
    assert first["time_utc"] == pd.Timestamp(HEARD).floor("ms")
    assert first["received_at"] == pd.Timestamp(HEARD + timedelta(seconds=70)).floor("ms")
    assert (first["mmsi"], first["lat"], first["cog_deg"], first["nav_status"]) == (
        244660640, 51.9, 296.1, 5,
    )  # fmt: skip
    assert pd.isna(first["sog_kn"])
    assert records["ship_name"].tolist() == [None, None, "BOAT", "RVE 56", "RVE 56"]
    assert records["imo"].tolist()[2:] == [9074729] * 3
    # as tables.to_frame has it, whatever way the columns were made
    pd.testing.assert_frame_equal(records, tables.to_frame(tables.conform(records, RECORD_SCHEMA, "records")))


def test_a_journal_that_has_heard_nothing(storage: LocalStorage) -> None:
    JournalWriter(storage, CAPTURE, HEADER)
    journal = read_journal(storage, CAPTURE)
    assert (journal.facts, journal.damaged) == ((), ())
    pd.testing.assert_frame_equal(journal.records, tables.empty(RECORD_SCHEMA))


@pytest.mark.shared_data
def test_real_messages_come_back_as_they_were(storage: LocalStorage, shared_data: Path) -> None:
    lines = (shared_data / "ais" / "aisstream" / "message_examples.jsonl").read_bytes().splitlines()
    parsed = [parse_message(line, HEARD) for line in lines]
    positions = [each for each in parsed if isinstance(each, Position)]
    statics = [each for each in parsed if isinstance(each, Static)]
    JournalWriter(storage, CAPTURE, HEADER).append(positions, statics, {})
    records = read_journal(storage, CAPTURE).records
    own = [each.static for each in positions if each.static]
    for (_, row), source in zip(records.iterrows(), [*positions, *own, *statics], strict=True):
        for name, value in source._asdict().items():
            if name != "static":
                stored = row[name]
                expected = pd.Timestamp(value).floor("ms") if isinstance(value, datetime) else value
                assert pd.isna(stored) if value is None else stored == expected, name


def test_captures_have_journals_of_their_own_and_one_each(storage: LocalStorage) -> None:
    write(storage)
    JournalWriter(storage, "another", {})
    assert journals(storage) == [CAPTURE, "another"]
    with pytest.raises(StorageError, match="is there already"):
        JournalWriter(storage, CAPTURE, HEADER)
    remove_journal(storage, CAPTURE)
    assert journals(storage) == ["another"]
    assert storage.list(layout.capture_journal(CAPTURE)) == []
    remove_journal(storage, CAPTURE)
    with pytest.raises(StorageError):
        read_journal(storage, CAPTURE)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("changes", range(5))
def test_a_kill_while_writing_loses_nothing_that_was_flushed(storage: LocalStorage, changes: int, done: bool) -> None:
    with contextlib.suppress(KilledError):
        write(KilledStorage(storage, changes, done=done))
    puts = min(changes + done, 4)  # the header, then three segments
    assert journals(storage) == ([CAPTURE] if puts else [])
    if puts:
        journal = read_journal(storage, CAPTURE)
        assert [each["messages"] for each in journal.facts] == list(range(puts - 1))
        assert len(journal.records) == 2 * (puts - 1)
        assert journal.damaged == ()


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("changes", range(5))
def test_a_kill_while_removing_leaves_all_or_nothing(storage: LocalStorage, changes: int, done: bool) -> None:
    write(storage)
    with contextlib.suppress(KilledError):
        remove_journal(KilledStorage(storage, changes, done=done), CAPTURE)
    if journals(storage):
        journal = read_journal(storage, CAPTURE)
        assert (len(journal.facts), len(journal.records), journal.damaged) == (3, 6, ())
        assert changes + done == 0
    JournalWriter(storage, "another", {})
    remove_journal(storage, "another")  # and the next removal takes the rest along
    assert all(key.endswith("header.json") or journals(storage) for key in storage.list(layout.capture_journals()))
    assert bool(storage.list(layout.capture_journals())) == (changes + done == 0)


def test_what_an_interrupted_removal_left_is_no_part_of_the_next_capture(storage: LocalStorage) -> None:
    write(storage)
    storage.delete(f"{layout.capture_journal(CAPTURE)}/header.json")
    writer = JournalWriter(storage, CAPTURE, HEADER)
    writer.append([position()], [], {"new": True})
    journal = read_journal(storage, CAPTURE)
    assert (journal.facts, len(journal.records), journal.damaged) == (({"new": True},), 1, ())


@pytest.mark.local_only("a put that was killed leaves nothing in a bucket")
def test_what_a_killed_put_left_goes_with_the_journal(storage: LocalStorage) -> None:
    write(storage)
    folder = storage.path(f"ais/journal/{CAPTURE}")
    (folder / ".000003.parquet.0123456789abcdef").write_bytes(b"half a segment")
    remove_journal(storage, CAPTURE)
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / ".header.json.0123456789abcdef").write_bytes(b"{")
    (folder / "000000.parquet").write_bytes(b"of a removal that was interrupted")
    JournalWriter(storage, CAPTURE, HEADER)
    assert [path.name for path in folder.iterdir()] == ["header.json"]


@pytest.mark.parametrize("header", [{"windows": []}, HEADER])
def test_a_header_alone_is_read(storage: LocalStorage, header: dict[str, Any]) -> None:
    JournalWriter(storage, CAPTURE, header)
    assert read_header(storage, CAPTURE) == header == read_journal(storage, CAPTURE).header


@pytest.mark.on_bucket("moto")
def test_a_kill_minus_nine_of_a_real_process_keeps_every_flush(storage: LocalStorage) -> None:
    script = f"""
import itertools, sys
from tests.ais.test_journal import *
from tests.datasets import open_place
writer = JournalWriter(open_place({place_of(storage)!r}), CAPTURE, HEADER)
for number in itertools.count():
    writer.append([position(number)], [], {{"messages": number}})
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(next(process.stdout)) for _ in range(20)]
        process.kill()
    journal = read_journal(storage, CAPTURE)
    assert [each["messages"] for each in journal.facts][: len(told)] == told
    assert len(journal.facts) == len(journal.records)
    assert journal.damaged == ()


def test_after_a_refused_put_the_segment_is_tried_again(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(storage, CAPTURE, HEADER)
    with monkeypatch.context() as broken:
        broken.setattr(type(storage), "put", lambda *_: (_ for _ in ()).throw(StorageError("x", "disk full")))
        with pytest.raises(StorageError):
            writer.append([position()], [], {})
    writer.append([position(), position(1)], [], {})
    journal = read_journal(storage, CAPTURE)
    assert (len(journal.records), journal.damaged) == (2, ())


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all", None])
def test_a_damaged_segment_is_reported_and_the_others_are_read(storage: LocalStorage, damage: bytes | None) -> None:
    write(storage, 4)
    folder = layout.capture_journal(CAPTURE)
    if damage is None:
        storage.delete(f"{folder}/000001.parquet")
    else:
        storage.put(f"{folder}/000001.parquet", damage)
    journal = read_journal(storage, CAPTURE)
    assert [each["messages"] for each in journal.facts] == [0, 2, 3]
    assert len(journal.records) == 6
    assert len(journal.damaged) == 1
    assert "segment 000001" in journal.damaged[0]
    assert CAPTURE in journal.damaged[0]


def test_a_parquet_file_of_something_else_is_damage(storage: LocalStorage) -> None:
    write(storage, 2)
    sink = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(sink)
    storage.put(f"{layout.capture_journal(CAPTURE)}/000000.parquet", sink.getvalue())
    assert len(read_journal(storage, CAPTURE).damaged) == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_flipped_bits_are_noticed_or_harmless(
    datasets: Datasets, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    storage = datasets.at(tmp_path_factory.mktemp("journal"))
    write(storage, 1)
    key = f"{layout.capture_journal(CAPTURE)}/000000.parquet"
    whole = read_journal(storage, CAPTURE)
    content = bytearray(storage.get(key))
    # The pages have checksums; Parquet's footer has none.
    pages_end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[data.draw(st.integers(4, pages_end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    storage.put(key, bytes(content))
    journal = read_journal(storage, CAPTURE)
    if not journal.damaged:
        pd.testing.assert_frame_equal(journal.records, whole.records)


@pytest.mark.parametrize("header", [b"", b"[]", b'{"a":', b"\xff"])
def test_a_header_that_is_none_is_an_error_with_its_key(storage: LocalStorage, header: bytes) -> None:
    write(storage)
    storage.put(f"{layout.capture_journal(CAPTURE)}/header.json", header)
    with pytest.raises(StorageError, match=r"header\.json"):
        read_journal(storage, CAPTURE)


def test_a_disk_that_cannot_be_read_now_is_no_damage(storage: LocalStorage) -> None:
    """Damage is left out and its journal then removed; what may be read later must not be."""
    write(storage)

    class Unreadable(Door):
        def get(self, key: str) -> bytes:
            if key.endswith("000001.parquet"):
                raise StorageError(key, "input/output error")
            return super().get(key)

    with pytest.raises(StorageError, match="input/output"):
        read_journal(Unreadable(storage), CAPTURE)


def test_a_segment_is_readable_as_any_parquet_file(storage: LocalStorage) -> None:
    write(storage, 1)
    data = storage.get(f"{layout.capture_journal(CAPTURE)}/000000.parquet")
    assert pq.read_table(pa.BufferReader(data)).schema.remove_metadata() == RECORD_SCHEMA
    assert json.loads(pq.read_schema(pa.BufferReader(data)).metadata[b"s2chips"])["messages"] == 0


def test_three_hundred_thousand_messages_are_read_in_less_than_200_mb(storage: LocalStorage, tmp_path: Path) -> None:
    writer = JournalWriter(storage, CAPTURE, HEADER)
    for segment in range(60):
        positions = [
            position(n % 3000, ship_name=f"SHIP {n % 3000}", lat=n / 1e5)
            for n in range(segment * 5000, segment * 5000 + 4600)
        ]
        writer.append(positions, [static(n) for n in range(400)], {"messages": 5000})
    script = f"""
from benchmarks.memory import peak_mb
from tests.ais.test_journal import *
from tests.datasets import open_place
warm = LocalStorage(Path({str(tmp_path)!r}) / "warm")
write(warm)
read_journal(warm, CAPTURE)
before = peak_mb()
records = read_journal(open_place({place_of(storage)!r}), CAPTURE).records
assert len(records) == 300_000
print(peak_mb() - before)
"""
    out = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert float(out) < 200  # 170 on the machine this was written on
