"""`tiles.parquet`, read by geopandas, DuckDB and pandas; replaced bit by bit; and built by several processes at once."""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index import geoparquet
from s2chips_core.index.commit import commit_source
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.parquet_footer import read_footer
from s2chips_core.index.parts import join_parts, parts_of_scene_day, scene_days
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA, unique_chips
from s2chips_core.index.tiles import build_tiles_index, read_head
from s2chips_core.index.tiles_segments import RECORD_KEY, from_record
from s2chips_core.storage import LocalStorage
from tests.datasets import Door, Place, everything, open_place, place_of
from tests.index.chips import DAY, NOW, commit_chips, index_of, scenes_of_days

DAYS = 7
_copies = TemporaryDirectory()
SHIPS = 6


@pytest.fixture
def dataset(storage: LocalStorage) -> LocalStorage:
    """Seven chips of three days, one of them named by two sources."""
    days = scenes_of_days(3)
    for n, scene in enumerate(days):
        commit_chips(storage, index_of([2 * n, 2 * n + 1], scene=scene))
    commit_chips(storage, index_of([1, 7], scene=days[0], source_id="file-a"), source="file-a")
    return storage


def path_of(storage: LocalStorage) -> str:
    """A file with the index, for other readers."""
    place = place_of(storage)
    if "root" in place:
        return storage.url(layout.tiles_index())
    copied = Path(_copies.name) / f"{hashlib.sha256(storage.url('x').encode()).hexdigest()}.parquet"
    copied.write_bytes(storage.get(layout.tiles_index()))
    return str(copied)


def test_one_row_per_chip_in_order(dataset: LocalStorage) -> None:
    result = build_tiles_index(dataset)
    assert (result.rows, result.parts) == (7, 4)
    frame = tables.read_table(dataset, layout.tiles_index(), INDEX_SCHEMA)
    assert sorted(frame["mmsi"] % 1000) == [0, 1, 2, 3, 4, 5, 7]
    keys = list(zip(frame["scene_datetime"], frame["chip_id"], strict=True))
    assert keys == sorted(keys)
    first = dataset.get(layout.tiles_index())
    build_tiles_index(dataset)
    assert dataset.get(layout.tiles_index()) == first


def test_the_head_is_the_first_rows_without_geometry(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    whole = tables.read_table(dataset, layout.tiles_index(), INDEX_SCHEMA)
    for rows in (3, 100):
        head = read_head(dataset, rows)
        assert head["chip_id"].tolist() == whole["chip_id"].head(rows).tolist()
        assert set(whole) - set(head) == {"geometry", "bbox"}


def test_the_head_of_an_empty_index_is_empty(storage: LocalStorage) -> None:
    build_tiles_index(storage)
    assert read_head(storage, 5).empty


def test_the_geo_metadata(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    geo = json.loads(pq.read_metadata(path_of(dataset)).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert column["covering"] == {"bbox": {n: ["bbox", n] for n in ("xmin", "ymin", "xmax", "ymax")}}
    bounds = shapely.total_bounds(shapely.from_wkb(pd.read_parquet(path_of(dataset))["geometry"]))
    np.testing.assert_array_equal(column["bbox"], bounds)


def test_geopandas_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    frame = geopandas.read_parquet(path_of(dataset))
    assert frame.crs == "OGC:CRS84"
    assert shapely.contains_xy(frame.geometry, frame["lon"], frame["lat"]).all()
    row = frame.iloc[0]
    box = (row["lon"] - 1e-4, row["lat"] - 1e-4, row["lon"] + 1e-4, row["lat"] + 1e-4)
    assert geopandas.read_parquet(path_of(dataset), bbox=box)["chip_id"].tolist() == [row["chip_id"]]


def test_duckdb_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        query = (
            "select count(distinct chip_id), min(scene_datetime)::varchar, max(bbox.xmax), list_sum(any_value(transform))"
        )
        found = db.execute(f"{query} from read_parquet(?)", [path_of(dataset)]).fetchone()
    frame = pd.read_parquet(path_of(dataset))
    assert found is not None
    assert found[:2] == (7, "2025-10-27 11:04:22.123+00")
    assert found[2] == max(box["xmax"] for box in frame["bbox"])
    assert found[3] in {sum(transform) for transform in frame["transform"]}


def test_pandas_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    frame = pd.read_parquet(path_of(dataset))
    assert str(frame["scene_datetime"].dtype) == "datetime64[ms, UTC]"
    assert frame["bands"].iloc[0].tolist() == ["B02", "B03", "B04", "B08"]
    assert frame["mmsi"].dtype == np.int64


def test_an_empty_dataset_has_an_empty_index(storage: LocalStorage) -> None:
    assert build_tiles_index(storage).rows == 0
    assert len(geopandas.read_parquet(path_of(storage))) == 0
    assert tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA).empty


def test_row_groups_are_filled_over_days(dataset: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoparquet, "ROWS_PER_GROUP", 4)
    build_tiles_index(dataset)
    metadata = pq.read_metadata(path_of(dataset))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [5, 2]
    assert geopandas.read_parquet(path_of(dataset))["chip_id"].is_unique


def _commit_days(place: Place, numbers: list[int]) -> None:
    storage = open_place(place)
    days = scenes_of_days(12)
    for n in numbers:
        rows = index_of([n], scene=days[n], source_id=f"file-{n}")
        empty = tables.empty(OUTCOME_SCHEMA)
        kwargs: dict[str, Any] = {"rows": rows, "outcomes": empty, "fresh": {}, "journal": None, "masks": False}
        commit_source(storage, DAY, f"file-{n}", **kwargs)
        build_tiles_index(storage)


def test_parallel_runs_lose_no_row(storage: LocalStorage) -> None:
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_commit_days, args=(place_of(storage), list(range(k, 12, 2)))) for k in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
        assert job.exitcode == 0
    frame = tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)
    assert sorted(frame["mmsi"] % 1000) == list(range(12))


class Counting(Door):
    """Remembers what was read."""

    def __init__(self, behind: LocalStorage) -> None:
        super().__init__(behind)
        self.read: list[str] = []

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return super().get(key)


@functools.cache
def ships_of_day(number: int) -> pd.DataFrame:
    """The rows of all ships of a day."""
    return index_of(range(SHIPS), scene=scenes_of_days(DAYS)[number])


def part_key(number: int, source: str) -> str:
    """Of day `number`."""
    return layout.index_part(DAY + timedelta(days=number), DAY, source)


def put_part(storage: LocalStorage, number: int, ships: Sequence[int], source: str = layout.CAPTURE, made: int = 0) -> None:
    """Write a part; `made` is what tells it from an earlier one of the same ships."""
    rows = ships_of_day(number)
    rows = rows[(rows["mmsi"] % 1000).isin(ships)].assign(source_id=source, created_at=NOW + timedelta(hours=made))
    tables.write_table(storage, part_key(number, source), rows, PART_SCHEMA)


def rows_of(storage: LocalStorage) -> pa.Table:
    """The index, read whole."""
    return pq.read_table(path_of(storage)).replace_schema_metadata()


def rows_from_parts(storage: LocalStorage) -> pa.Table:
    """What the index must be."""
    days = [unique_chips(join_parts(parts_of_scene_day(storage, d).values())) for d in scene_days(storage)]
    return pa.concat_tables([PART_SCHEMA.empty_table(), *days]).select(INDEX_SCHEMA.names)


def rebuilt(storage: LocalStorage) -> pa.Table:
    """The rows of an index that is made from all parts."""
    with TemporaryDirectory() as folder:
        other = LocalStorage(Path(folder))
        for key in storage.list(layout.index_parts_folder()):
            other.put(key, storage.get(key))
        assert build_tiles_index(other).anew == "there is none yet"
        return rows_of(other)


def body_of(storage: LocalStorage) -> list[bytes]:
    """The bytes of each row group."""
    data = storage.get(layout.tiles_index())
    with storage.open_read(layout.tiles_index()) as file:
        return [data[group.start : group.start + group.size] for group in read_footer(file)[0].row_groups]


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> int:
    """A row group is full with three rows."""
    monkeypatch.setattr(geoparquet, "ROWS_PER_GROUP", 3)
    return 3


@pytest.fixture
def week(storage: LocalStorage, small_groups: int) -> Counting:
    """An index of a week, each day a row group."""
    for number in range(DAYS):
        put_part(storage, number, [0, 1, 2])
    assert build_tiles_index(storage).anew == "there is none yet"
    return Counting(storage)


Act = tuple[str, int, str, frozenset[int]]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "build"]),
        st.integers(0, DAYS - 1),
        st.sampled_from([layout.CAPTURE, "file-a", "file-b"]),
        st.frozensets(st.integers(0, SHIPS - 1), max_size=SHIPS),
    ),
    max_size=25,
)


@given(acts=ACTS, full=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_any_history_gives_the_rows_of_the_parts(acts: list[Act], full: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(geoparquet, "ROWS_PER_GROUP", full)
        storage = LocalStorage(Path(folder))
        for step, (act, number, source, ships) in enumerate([*acts, ("build", 0, "", frozenset())]):
            if act == "put":
                put_part(storage, number, sorted(ships), source, made=step)
            elif act == "delete":
                storage.delete(part_key(number, source))
            else:
                made = build_tiles_index(storage)
                expected = rows_from_parts(storage)
                assert rows_of(storage).equals(expected)
                assert made.rows == expected.num_rows
                assert_record_is_right(storage, full)
        assert rows_of(storage).equals(rebuilt(storage))


def assert_record_is_right(storage: LocalStorage, full: int) -> None:
    """The footer tells of what is in the file, and row groups are neither many nor long."""
    metadata = pq.read_metadata(path_of(storage))
    segments = from_record(metadata.metadata[RECORD_KEY])
    assert sum(segment.groups for segment in segments) == metadata.num_row_groups
    assert metadata.num_rows == sum(segment.rows for segment in segments)
    halves = [segment.rows * 2 < full for segment in segments]
    assert not any(a and b for a, b in itertools.pairwise(halves)), "two short ones beside each other"
    days = rows_of(storage)["scene_datetime"].to_pylist()
    counted = [(each.day, each.rows) for segment in segments for each in segment.days if each.rows]
    assert counted == [(d, sum(1 for t in days if t.date() == d)) for d in sorted({t.date() for t in days})]
    geometry = pq.read_table(path_of(storage), columns=["geometry"])["geometry"].to_numpy()
    column = json.loads(metadata.metadata[b"geo"])["columns"]["geometry"]
    if len(geometry):
        assert column["bbox"] == shapely.total_bounds(shapely.from_wkb(geometry)).tolist()
    else:
        assert "bbox" not in column


CHANGES: list[tuple[str, Callable[[LocalStorage], None], set[int]]] = [
    ("a part is replaced", lambda storage: put_part(storage, 2, [0, 1, 2], made=1), {2}),
    ("a part comes", lambda storage: put_part(storage, 4, [2, 3], "file-a"), {4}),
    ("two days change", lambda storage: [put_part(storage, n, [0, 1, 2], made=1) for n in (0, 6)] and None, {0, 6}),
    ("a day goes", lambda storage: storage.delete(part_key(3, layout.CAPTURE)), set()),
]


@pytest.mark.on_bucket("rclone")
@pytest.mark.parametrize(("change", "touched"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_only_what_has_changed_is_read_and_encoded(
    week: Counting, change: Callable[[LocalStorage], None], touched: set[int]
) -> None:
    before = body_of(week)
    change(week)
    week.read.clear()
    made = build_tiles_index(week)
    read, after = list(week.read), body_of(week)
    days = {DAY + timedelta(days=number) for number in touched}
    parts = [key for day in sorted(days) for key in week.list(layout.index_parts_of_scene_day(day))]
    assert read == parts
    assert (made.anew, made.parts_read) == (None, len(parts))
    assert made.rows_written == sum(len(rows_of_day(week, day)) for day in days)
    untouched = [body for number, body in enumerate(before) if number not in touched]
    assert len(before) == DAYS
    assert [body for body in after if body in before] == [b for b in untouched if b in after]
    assert made.bytes_copied == sum(map(len, [b for b in untouched if b in after])) >= sum(map(len, untouched)) * 5 // 6
    assert rows_of(week).equals(rows_from_parts(week))


def rows_of_day(storage: LocalStorage, scene_day: date) -> pa.Table:
    """What the index must have of a day."""
    return unique_chips(join_parts(parts_of_scene_day(storage, scene_day).values()))


def test_a_day_within_a_row_group_is_made_with_the_rows_beside_it(storage: LocalStorage) -> None:
    for number in (0, 1, 2, 4):
        put_part(storage, number, [0, 1])
    build_tiles_index(storage)
    counting = Counting(storage)
    put_part(storage, 3, [0, 1, 2])
    put_part(storage, 1, [5], made=1)
    storage.delete(part_key(2, layout.CAPTURE))
    made = build_tiles_index(counting)
    assert counting.read == [part_key(1, layout.CAPTURE), part_key(3, layout.CAPTURE)]
    assert (made.rows, made.rows_written, made.parts_read, made.anew) == (8, 8, 2, None)
    assert rows_of(storage).equals(rows_from_parts(storage))


@pytest.mark.local_only("the system copies between two files")
@pytest.mark.parametrize("most", [0, 1, 1000])
def test_bytes_are_copied_whatever_the_system_can(week: Counting, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    calls = 0

    def some(source: int, sink: int, count: int, offset_src: int, offset_dst: int) -> int:
        nonlocal calls
        calls += 1
        if calls % 3 == 0 or not most:
            raise OSError(22, "Invalid argument")
        return os.pwrite(sink, os.pread(source, min(count, most), offset_src), offset_dst)

    before = body_of(week)
    put_part(week, 3, [0, 5], "file-a")
    monkeypatch.setattr(os, "copy_file_range", some)
    made = build_tiles_index(week)
    assert calls >= DAYS - 1
    assert (made.anew, made.bytes_copied) == (None, sum(map(len, before)) - len(before[3]))
    assert [body for number, body in enumerate(body_of(week)) if number != 3] == before[:3] + before[4:]
    assert rows_of(week).equals(rows_from_parts(week))


def test_an_index_that_is_right_is_left_as_it_is(week: Counting) -> None:
    before = week.versions(layout.tiles_index().split("/")[0])
    made = build_tiles_index(week)
    assert (made.rows, made.parts, made.parts_read, made.rows_written, made.anew) == (21, 7, 0, 0, None)
    assert week.read == []
    assert week.versions(layout.tiles_index().split("/")[0]) == before


def test_all_readers_read_what_was_replaced_bit_by_bit(week: Counting) -> None:
    for number in (6, 0, 3):
        put_part(week, number, [0, 3, 4, 5], "file-a", made=number)
        assert build_tiles_index(week).anew is None
    expected = rows_from_parts(week)
    path = path_of(week)
    for name in INDEX_SCHEMA.names:
        assert pq.read_table(path, columns=[name])[name].equals(expected[name]), name
    assert geopandas.read_parquet(path)["chip_id"].tolist() == expected["chip_id"].to_pylist()
    assert pd.read_parquet(path)["chip_id"].tolist() == expected["chip_id"].to_pylist()
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        ids = db.execute("select chip_id from read_parquet(?) order by scene_datetime, chip_id", [path]).fetchall()
        assert [chip_id for (chip_id,) in ids] == expected["chip_id"].to_pylist()
        # Each row group's statistics: a day is found by them, and there is nothing of it elsewhere.
        for day in scene_days(week):
            found = db.execute(
                "select count(*) from read_parquet(?) where scene_datetime >= ? and scene_datetime < ?",
                [path, day, day + timedelta(days=1)],
            ).fetchall()
            assert found == [(len(rows_of_day(week, day)),)]
        spans = db.execute(
            "select stats_min_value::timestamptz, stats_max_value::timestamptz, row_group_num_rows from "
            "parquet_metadata(?) where path_in_schema = 'scene_datetime' order by row_group_id",
            [path],
        ).fetchall()
    at = 0
    for least, most, rows in spans:
        times = expected["scene_datetime"].slice(at, rows).to_pylist()
        assert (least, most) == (times[0], times[-1])
        at += rows
    assert at == expected.num_rows
    lon, lat = expected["lon"][5].as_py(), expected["lat"][5].as_py()
    seen = geopandas.read_parquet(path, bbox=(lon - 1e-4, lat - 1e-4, lon + 1e-4, lat + 1e-4))
    assert expected["chip_id"][5].as_py() in seen["chip_id"].tolist()


def rewrite(storage: LocalStorage, change: Callable[[pa.Table], pa.Table]) -> None:
    """As somebody would who keeps the keys of the footer."""
    known = pq.read_metadata(path_of(storage)).metadata
    table = change(rows_of(storage).cast(INDEX_SCHEMA))
    with (
        storage.open_write(layout.tiles_index()) as file,
        pq.ParquetWriter(file, table.schema, compression="zstd") as writer,
    ):
        writer.write_table(table)
        writer.add_key_value_metadata({key: known[key] for key in (b"geo", RECORD_KEY)})


def forget_record(storage: LocalStorage) -> None:
    """What a version before this one has written."""
    with storage.open_read(layout.tiles_index()) as file:
        footer, begin = read_footer(file)
        file.seek(0)
        body = file.read(begin)
    del footer.key_values[RECORD_KEY]
    storage.put(layout.tiles_index(), body + footer.to_bytes())


def cut_short(storage: LocalStorage) -> None:
    """As a copy that was broken off."""
    data = storage.get(layout.tiles_index())
    storage.put(layout.tiles_index(), data[: len(data) // 2])


def spoil_row_group(storage: LocalStorage) -> None:
    """Bytes of the first row group are others."""
    data = bytearray(storage.get(layout.tiles_index()))
    data[4:2000] = bytes(1996)
    storage.put(layout.tiles_index(), bytes(data))


def write_with_duckdb(storage: LocalStorage) -> None:
    """A foreign file of the same rows."""
    path = path_of(storage)
    duckdb.execute(f"copy (select * from '{path}') to '{path}.new' (format parquet)")
    storage.put(layout.tiles_index(), Path(f"{path}.new").read_bytes())


FOREIGN: dict[str, tuple[Callable[[LocalStorage], Any], str]] = {
    "none": (lambda storage: storage.delete(layout.tiles_index()), "there is none yet"),
    "empty": (lambda storage: storage.put(layout.tiles_index(), b""), "does not end as a Parquet file does"),
    "text": (lambda storage: storage.put(layout.tiles_index(), b"chip_id,path\n" * 99), "does not end as a Parquet file"),
    "cut short": (cut_short, "does not end as a Parquet file does"),
    "of another version": (forget_record, "no record of its segments"),
    "of DuckDB": (write_with_duckdb, "Bloom filter"),
    "rows taken out": (lambda storage: rewrite(storage, lambda table: table[2:]), "not those of its record"),
    "rows changed": (lambda storage: rewrite(storage, lambda table: pa.concat_tables([table[1:], table[:1]])), "not those"),
    "another schema": (lambda storage: rewrite(storage, lambda table: table.drop_columns(["ship_name"])), "another schema"),
    "damaged": (spoil_row_group, "a row group of it cannot be read"),
}


@pytest.mark.parametrize(("spoil", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_cannot_be_gone_by_is_made_anew(
    storage: LocalStorage,
    spoil: Callable[[LocalStorage], Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(3):
        put_part(storage, number, [0, 1, 2])
    build_tiles_index(storage)
    spoil(storage)
    put_part(storage, 1, [0, 4], "file-a")
    with caplog.at_level("INFO"):
        made = build_tiles_index(storage)
    assert made.anew is not None
    assert reason in made.anew
    assert made.parts_read == made.parts == 4
    assert reason in caplog.text
    assert rows_of(storage).equals(rows_from_parts(storage))
    assert build_tiles_index(storage).anew is None


def test_a_part_with_chips_of_another_day_is_refused(storage: LocalStorage) -> None:
    put_part(storage, 0, [0, 1])
    build_tiles_index(storage)
    before = storage.get(layout.tiles_index())
    storage.put(part_key(1, layout.CAPTURE), storage.get(part_key(0, layout.CAPTURE)))
    with pytest.raises(StorageError, match=r"20251028/.*sensed 2025-10-27 11:04 to .*only 2025-10-28 is expected"):
        build_tiles_index(storage)
    assert storage.get(layout.tiles_index()) == before


class Stopping(Door):
    """A storage that stops in the middle of a long write."""

    def __init__(self, behind: LocalStorage, at: int, stop: Callable[[], None]) -> None:
        super().__init__(behind)
        self.left, self.stop = at, stop

    @contextlib.contextmanager
    def open_write(self, key: str) -> Iterator[IO[bytes]]:
        with super().open_write(key) as file:
            write = file.write

            def counted(data: Any) -> int:
                self.left -= 1
                if self.left == 0:
                    write(bytes(data)[: len(data) // 2])
                    self.stop()
                return write(data)

            file.write = counted  # type: ignore[method-assign]
            file.fileno = not_in_kernel  # type: ignore[method-assign]
            yield file
            if self.left == 1:
                self.stop()


def not_in_kernel() -> int:
    """What a file says that is none of the operating system's."""
    raise io.UnsupportedOperation("fileno")


def full_disk() -> None:
    """What the operating system says."""
    raise OSError(28, "No space left on device")


def test_a_build_that_is_broken_off_leaves_the_file_of_before(week: Counting) -> None:
    before = week.get(layout.tiles_index())
    put_part(week, 3, [0, 5], "file-a")
    at = 1
    while True:
        stopping = Stopping(week, at, full_disk)
        broken = None
        try:
            build_tiles_index(stopping)
        except StorageError as error:
            broken = str(error)
        if broken is None:
            break
        assert "No space left on device" in broken
        assert week.get(layout.tiles_index()) == before
        kept = set(everything(week)) - set(week.list(layout.index_parts_folder()))
        assert {key for key in kept if key.startswith("indexes/")} == {layout.tiles_index()}
        at += 1
    assert at - 1 >= DAYS + 2, "the magic, the row groups, the footer and the rename"
    assert rows_of(week).equals(rows_from_parts(week))


def _build_and_die(place: Place, at: int, full: int) -> None:
    geoparquet.ROWS_PER_GROUP = full
    build_tiles_index(Stopping(open_place(place), at, lambda: os._exit(9)))


@pytest.mark.parametrize("at", [1, 4, 9, 10])
def test_a_build_that_is_killed_leaves_the_file_of_before(week: Counting, small_groups: int, at: int) -> None:
    before = week.get(layout.tiles_index())
    put_part(week, 3, [0, 5], "file-a")
    context = multiprocessing.get_context("spawn")
    job = context.Process(target=_build_and_die, args=(place_of(week), at, small_groups))
    job.start()
    job.join(120)
    assert job.exitcode == 9
    assert week.get(layout.tiles_index()) == before
    made = build_tiles_index(week)
    assert (made.anew, made.parts_read) == (None, 2)
    assert rows_of(week).equals(rows_from_parts(week))
