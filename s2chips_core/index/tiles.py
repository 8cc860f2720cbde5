"""`indexes/tiles.parquet`: the global index, one row per chip, as GeoParquet 1.1.

Here: deriving it from the parts. Not here: the parts (`parts`), which row groups stand (`tiles_segments`), GeoParquet
(`geoparquet`), the footer (`parquet_footer`).

The file is always written as a new one and takes the place of the old one at once. The row groups of days whose parts have
not changed are copied as bytes; the others are made from the parts of the days that have changed and, for the days beside
them, from the old row group. Where the old file is not exactly what this version would have written, everything is made from
the parts. Chips whose files are being replaced are left out meanwhile (`journal`).
"""

import contextlib
import dataclasses
import io
import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index import geoparquet
from s2chips_core.index.geoparquet import GEO_KEY, Extent, extent_of, geo_text, write_groups
from s2chips_core.index.journal import replaced_now
from s2chips_core.index.parquet_footer import MAGIC, Footer, RowGroup, read_footer
from s2chips_core.index.parts import COMMIT_LOCK
from s2chips_core.index.records import INDEX_SCHEMA, unique_chips
from s2chips_core.index.tiles_segments import (
    RECORD_KEY,
    Changed,
    Kept,
    Run,
    Segment,
    SegmentDay,
    day_digests,
    from_record,
    plan_segments,
    to_record,
)
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

COPIED_AT_ONCE = 1_000_000
"""Bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TilesIndexResult:
    """What was written."""

    rows: int
    """Chips."""
    parts: int
    """Parts that the index is of."""
    parts_read: int
    """Of these; the others have not changed."""
    rows_written: int
    """Rows that were not copied as bytes."""
    bytes_copied: int
    """Bytes of row groups that stand."""
    anew: str | None
    """Why everything was made from the parts; none when it was not."""
    seconds: float


def build_tiles_index(storage: Storage) -> TilesIndexResult:
    """Derive the index from all parts and replace it atomically.

    The lock is taken before the parts are listed and held until the file is in place, so that of two builds the later
    one has seen every part of the earlier.
    """
    with storage.lock(COMMIT_LOCK):
        return put_tiles_index(storage)


def put_tiles_index(storage: Storage) -> TilesIndexResult:
    """`build_tiles_index` for those who hold the commit lock."""
    began = time.monotonic()
    versions = storage.versions(layout.index_parts_folder())
    withheld = replaced_now(storage)
    build = _Build(storage, versions, withheld)
    anew = None
    try:
        build.from_file()
    except _UnlikeError as unlike:
        anew = str(unlike)
        logger.info("%s is made from all %d parts: %s", layout.tiles_index(), len(versions), anew)
        build = _Build(storage, versions, withheld)
        build.from_parts()
    return TilesIndexResult(
        rows=sum(segment.rows for segment in build.segments),
        parts=len(versions),
        parts_read=build.parts_read,
        rows_written=build.rows_written,
        bytes_copied=build.bytes_copied,
        anew=anew,
        seconds=time.monotonic() - began,
    )


def read_head(storage: Storage, rows: int) -> pd.DataFrame:
    """The first rows of the index, INDEX_SCHEMA without geometry."""
    names = [name for name in INDEX_SCHEMA.names if name not in ("geometry", "bbox")]
    with storage.open_read(layout.tiles_index()) as opened:
        batches = itertools.islice(pq.ParquetFile(opened).iter_batches(batch_size=rows, columns=names), 1)
        head = pa.Table.from_batches(batches, pa.schema([INDEX_SCHEMA.field(name) for name in names]))
    return tables.to_frame(head.slice(0, rows))


def paths_in_index(storage: Storage, scene_days: Iterable[date]) -> set[str]:
    """The paths of the chips that the index names for some days; none where there is no index."""
    days = sorted(set(scene_days))
    if not days or not storage.exists(layout.tiles_index()):
        return set()
    first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (days[0], days[-1]))
    within = (pc.field("scene_datetime") >= first) & (pc.field("scene_datetime") < last + timedelta(days=1))
    try:
        with storage.open_read(layout.tiles_index()) as file:
            return set(pq.read_table(file, columns=["path"], filters=within)["path"].to_pylist())
    except pa.ArrowException as error:
        logger.warning("%s cannot be read: %s", layout.tiles_index(), error)
        return set()


class _UnlikeError(Exception):
    """The file of before is not what this version would have written; says why."""


class _File:
    """A file that this version has written."""

    def __init__(self, file: IO[bytes], template: Footer) -> None:
        """Read its footer; _UnlikeError when the file is another one."""
        self.file = file
        try:
            footer, end = read_footer(file)
            if footer.others != template.others or any(
                footer.key_values.get(k) != v for k, v in template.key_values.items()
            ):
                raise ValueError("it has another schema, or another version of the library wrote it")
            if RECORD_KEY not in footer.key_values:
                raise ValueError("it has no record of its segments")
            self.segments = from_record(footer.key_values[RECORD_KEY])
        except ValueError as error:
            raise _UnlikeError(str(error)) from error
        groups = iter(footer.row_groups)
        self.groups = [tuple(itertools.islice(groups, segment.groups)) for segment in self.segments]
        at = len(MAGIC)
        for group in footer.row_groups:
            if group.start != at:
                raise _UnlikeError("its row groups do not follow one another")
            at += group.size
        found = [(sum(g.rows for g in of_segment), sum(g.size for g in of_segment)) for of_segment in self.groups]
        told = [(segment.rows, segment.size) for segment in self.segments]
        if at != end or next(groups, None) is not None or found != told:
            raise _UnlikeError("its row groups are not those of its record")

    def read(self, number: int) -> pa.Table:
        """The rows of a segment."""
        first = sum(segment.groups for segment in self.segments[:number])
        try:
            file = pq.ParquetFile(self.file, pre_buffer=True)
            return file.read_row_groups(range(first, first + self.segments[number].groups)).cast(INDEX_SCHEMA)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _UnlikeError(f"a row group of it cannot be read ({error})") from error


class _Build:
    """One build; holds the rows of about one row group, or of one day if it has more."""

    def __init__(self, storage: Storage, versions: Mapping[str, str], withheld: Mapping[str, date]) -> None:
        self.storage, self.withheld = storage, withheld
        self.wanted = day_digests(versions, withheld)
        self.parts: dict[date, list[str]] = {}
        """Keys by scene day."""
        for key in versions:
            self.parts.setdefault(layout.scene_day_of_index_part(key), []).append(key)
        self.template = _footer_of(INDEX_SCHEMA.empty_table())[1]
        self.segments: list[Segment] = []
        self.groups: list[RowGroup] = []
        self.at = len(MAGIC)
        self.parts_read = self.rows_written = self.bytes_copied = 0

    def from_parts(self) -> None:
        """Make everything from the parts."""
        self._write(plan_segments((), self.wanted, geoparquet.ROWS_PER_GROUP), None)

    def from_file(self) -> None:
        """Take over what stands; _UnlikeError when the file cannot be gone by."""
        key = layout.tiles_index()
        if not self.storage.exists(key):
            raise _UnlikeError("there is none yet")
        with self.storage.open_read(key) as opened:
            old = _File(opened, self.template)
            plan = plan_segments(old.segments, self.wanted, geoparquet.ROWS_PER_GROUP)
            if plan == [Kept(number=number) for number in range(len(old.segments))]:
                self.segments = list(old.segments)
                return
            self._write(plan, old)

    def _write(self, plan: Sequence[Kept | Run], old: _File | None) -> None:
        with self.storage.open_write(layout.tiles_index()) as sink:
            sink.write(MAGIC)
            for piece in plan:
                if isinstance(piece, Kept):
                    assert old is not None
                    self._copy(sink, old, piece.number)
                else:
                    for filled in _filled(self._days(piece, old)):
                        self._add(sink, filled)
                        filled.clear()  # not held while the next ones are read
            extent = Extent()
            for segment in self.segments:
                extent |= segment.extent
            texts = {GEO_KEY.encode(): geo_text(extent).encode(), RECORD_KEY: to_record(self.segments)}
            footer = dataclasses.replace(
                self.template, row_groups=tuple(self.groups), key_values=self.template.key_values | texts
            )
            sink.write(footer.to_bytes())
            if old is not None:
                old.file.close()  # some systems do not let an open file be replaced

    def _copy(self, sink: IO[bytes], old: _File, number: int) -> None:
        groups, segment = old.groups[number], old.segments[number]
        if groups:
            _copy_bytes(old.file, groups[0].start, segment.size, sink)
        self._append(groups, segment)
        self.bytes_copied += segment.size

    def _add(self, sink: IO[bytes], days: Sequence[tuple[SegmentDay, pa.Table]]) -> None:
        table = pa.concat_tables([rows for _, rows in days])
        data, footer = _footer_of(table)
        groups = footer.row_groups
        size = sum(group.size for group in groups)
        if groups:
            sink.write(data[groups[0].start : groups[0].start + size])
        segment = Segment(days=tuple(day for day, _ in days), groups=len(groups), size=size, extent=extent_of(table))
        self._append(groups, segment)
        self.rows_written += table.num_rows

    def _append(self, groups: Iterable[RowGroup], segment: Segment) -> None:
        for group in groups:
            self.groups.append(group.moved(self.at, len(self.groups)))
            self.at += group.size
        self.segments.append(segment)

    def _days(self, run: Run, old: _File | None) -> Iterator[tuple[SegmentDay, pa.Table]]:
        """The days of a run with their rows, in order."""
        held: tuple[int, pa.Table] | None = None
        for each in run:
            if isinstance(each, Changed):
                rows = self._rows_of_parts(each.day)
                yield SegmentDay(day=each.day, digest=each.digest, rows=rows.num_rows), rows
                continue
            assert old is not None
            if held is None or held[0] != each.number:
                held = each.number, old.read(each.number)
            before = (day.rows for day in old.segments[each.number].days if day.day < each.day.day)
            yield each.day, held[1].slice(sum(before), each.day.rows)

    def _rows_of_parts(self, scene_day: date) -> pa.Table:
        keys = self.parts[scene_day]
        found = [tables.read_arrow(self.storage, key, INDEX_SCHEMA) for key in keys]
        for key, part in zip(keys, found, strict=True):
            _refuse_other_days(key, part, scene_day)
        self.parts_read += len(keys)
        chips = unique_chips(pa.concat_tables(found))
        if scene_day in self.withheld.values():
            chips = chips.filter(pc.invert(pc.is_in(chips["path"], value_set=pa.array(self.withheld, pa.string()))))
        return chips


def _refuse_other_days(key: str, part: pa.Table, scene_day: date) -> None:
    """The file would not be sorted: days follow one another in it."""
    if not part.num_rows:
        return
    begin = datetime.combine(scene_day, datetime.min.time(), UTC)
    found = pc.min_max(part["scene_datetime"]).as_py()
    if found["min"] < begin or found["max"] >= begin + timedelta(days=1):
        times = f"{found['min']:%Y-%m-%d %H:%M} to {found['max']:%Y-%m-%d %H:%M}"
        raise StorageError(key, f"has chips that were sensed {times} UTC; in its folder only {scene_day} is expected")


def _filled(days: Iterable[tuple[SegmentDay, pa.Table]]) -> Iterator[list[tuple[SegmentDay, pa.Table]]]:
    """Days in runs of at least a row group; the last one may be shorter."""
    waiting: list[tuple[SegmentDay, pa.Table]] = []
    for each in days:
        waiting.append(each)
        if sum(day.rows for day, _ in waiting) >= geoparquet.ROWS_PER_GROUP:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _footer_of(table: pa.Table) -> tuple[memoryview, Footer]:
    """A table of INDEX_SCHEMA as a file of its own, and its footer."""
    sink = io.BytesIO()
    with contextlib.closing(pq.ParquetWriter(sink, INDEX_SCHEMA, compression="zstd")) as writer:
        write_groups(writer, table)
    return sink.getbuffer(), read_footer(sink)[0]


def _copy_bytes(source: IO[bytes], start: int, length: int, sink: IO[bytes]) -> None:
    """Append bytes of one file to another."""
    done = _copy_in_kernel(source, start, length, sink)
    source.seek(start + done)
    piece = memoryview(bytearray(min(length - done, COPIED_AT_ONCE)))
    while done < length:
        try:
            found = source.readinto(piece[: length - done])  # type: ignore[attr-defined]
        except OSError as error:
            raise _UnlikeError(f"it cannot be read ({error})") from error
        if not found:
            raise _UnlikeError("it is shorter than it says")
        sink.write(piece[:found])
        done += found


def _copy_in_kernel(source: IO[bytes], start: int, length: int, sink: IO[bytes]) -> int:
    """How many of the bytes the operating system has copied: all or some of them on Linux, none elsewhere.

    It takes a third of the time of reading and writing them, and none where the file system shares blocks.
    """
    at, done = sink.tell(), 0
    if hasattr(os, "copy_file_range"):
        # Files that are none, file systems that cannot, a full disk: writing says what is wrong.
        with contextlib.suppress(OSError):
            sink.flush()
            files = source.fileno(), sink.fileno()
            while copied := os.copy_file_range(*files, length - done, start + done, at + done):
                done += copied
        sink.seek(at + done)
    return done
