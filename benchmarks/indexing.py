"""Seconds, CPU and memory to add a day of 5,000 chips to an index of 10,000 to 5,000,000, beside peers that do the same.

    python -m benchmarks.indexing [--rows 10000 100000 1000000 5000000] [--parts-per-day 5]

Rows are made up, over days of about 14,000 chips with parts of several sources each. Each way runs in a process of its own,
on the same parts, and all must give the same rows: this project (the new day at the end, and in the middle); DuckDB's COPY
of the index and the day, sorted; pyarrow reading the index whole, adding the day, sorting and writing, which is left out
above a million rows. The slope is that of the CPU seconds against the rows in logarithms: 1 grows as the index does.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from benchmarks.memory import peak_mb
from s2chips_core import layout
from s2chips_core.index.records import BBOX, INDEX_SCHEMA, PART_SCHEMA
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage

FIRST = date(2024, 1, 1)
ROWS_A_DAY = 13_700
ADDED = 5_000
MOST_IN_MEMORY = 1_000_000
"""Rows; 5 M take more than 10 GB."""
WAYS = ("index, at the end", "index, in the middle", "duckdb copy", "pyarrow whole")


def make_rows(scene_day: date, count: int, source_id: str, seed: int) -> pa.Table:
    """Rows of PART_SCHEMA that look like chips of a day; ids and geometry differ from row to row."""
    random = np.random.default_rng(seed)
    midnight = np.datetime64(scene_day, "ms")
    scenes = random.integers(0, 40, count)
    lon, lat = random.uniform(-30, 30, count).round(5), random.uniform(30, 60, count).round(5)
    ids = random.integers(0, 2**63, count, dtype=np.int64)
    mmsi = random.integers(200_000_000, 780_000_000, count)
    boxes = shapely.box(lon - 0.015, lat - 0.0115, lon + 0.015, lat + 0.0115)
    chip_id = [f"{i:016x}" for i in ids.tolist()]
    sensed = pa.array(midnight + (36_000_000 + scenes * 377_000).astype("timedelta64[ms]"), pa.timestamp("ms")).cast(
        pa.timestamp("ms", tz="UTC")
    )
    texts = {
        "chip_id": chip_id,
        "path": [layout.chip("train", m, scene_day, c) for m, c in zip(mmsi.tolist(), chip_id, strict=True)],
        "scene_id": [f"S2B_{30 + s % 5}STF_{scene_day:%Y%m%d}_{s}_L2A" for s in scenes.tolist()],
        "split": random.choice(["train", "val", "test"], count, p=[0.8, 0.1, 0.1]),
        "ship_name": [f"SHIP {m % 90_000}" for m in mmsi.tolist()],
        "target_id": [f"t{m:09d}{i:04d}" for i, m in enumerate(mmsi.tolist())],
        "fingerprint": [f"{i:032x}" for i in random.integers(0, 2**63, count, dtype=np.int64).tolist()],
        "mgrs_tile": [f"{30 + s % 5}STF" for s in scenes.tolist()],
        "source_id": [source_id] * count,
        "ais_source": ["aisstream"] * count,
    }
    numbers = {"lat": lat, "lon": lon, "ais_lat": lat, "ais_lon": lon, "mmsi": mmsi, "epsg": np.full(count, 32630)}
    columns: list[Any] = []
    for field in PART_SCHEMA:
        if field.name in texts:
            columns.append(pa.array(texts[field.name], pa.string()))
        elif field.name in numbers:
            columns.append(pa.array(numbers[field.name], field.type))
        elif field.name == "geometry":
            columns.append(pa.array(shapely.to_wkb(boxes), pa.binary()))
        elif field.name == "bbox":
            bounds = shapely.bounds(boxes)
            columns.append(pa.StructArray.from_arrays([pa.array(bounds[:, n]) for n in range(4)], fields=list(BBOX)))
        elif field.name == "bands":
            columns.append(pa.array([["B02", "B03", "B04", "B08"]] * count, field.type))
        elif field.name == "transform":
            corners = zip(
                random.integers(30_000, 80_000, count).tolist(), random.integers(1, 900_000, count).tolist(), strict=True
            )
            columns.append(pa.array([[10.0, 0.0, x * 10.0, 0.0, -10.0, y * 10.0] for x, y in corners], field.type))
        elif field.name == "labels":
            columns.append(pa.array([[]] * count, field.type))
        elif pa.types.is_timestamp(field.type):
            columns.append(sensed)
        elif pa.types.is_floating(field.type):
            columns.append(pa.array(random.uniform(0, 1, count).round(4), field.type))
        elif pa.types.is_integer(field.type):
            columns.append(pa.array(np.ones(count, np.int64), field.type))
        elif pa.types.is_boolean(field.type):
            columns.append(pa.array([True] * count))
        elif pa.types.is_list(field.type):
            columns.append(pa.array([[]] * count, field.type))
        else:
            columns.append(pa.array([f"{field.name} as it is"] * count, pa.string()))
    return pa.Table.from_arrays(columns, schema=PART_SCHEMA).sort_by(
        [("scene_datetime", "ascending"), ("chip_id", "ascending")]
    )


def put_day(storage: LocalStorage, scene_day: date, count: int, parts: int) -> None:
    """The parts of a day."""
    for part in range(parts):
        source = layout.CAPTURE if part == 0 else layout.file_source(f"{part:012x}")
        rows = count * (part + 1) // parts - count * part // parts
        path = storage.path(layout.index_part(scene_day, scene_day, source))
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(make_rows(scene_day, rows, source, scene_day.toordinal() * 100 + part), path, compression="zstd")


def add_with_duckdb(index: Path, parts: list[Path], memory: str = "400MB") -> None:
    """The index and the day, sorted, as DuckDB writes it."""
    import duckdb

    with duckdb.connect(config={"memory_limit": memory, "threads": 2, "temp_directory": str(index.parent / "duck")}) as db:
        names = ", ".join(INDEX_SCHEMA.names)
        db.execute("set timezone = 'UTC'; set preserve_insertion_order = true")
        # Both are sorted already, and the day is the last one.
        db.execute(
            f"copy (select {names} from read_parquet(?) union all select {names} from (select {names} from read_parquet(?) "
            f"order by scene_datetime, chip_id)) to '{index}.new' (format parquet, compression zstd, row_group_size 50000)",
            [str(index), [str(part) for part in parts]],
        )
    Path(f"{index}.new").replace(index)


def add_with_pyarrow(index: Path, parts: list[Path]) -> None:
    """Everything in memory."""
    names = INDEX_SCHEMA.names
    table = pa.concat_tables([pq.read_table(path, columns=names).cast(INDEX_SCHEMA) for path in (index, *parts)])
    table = table.sort_by([("scene_datetime", "ascending"), ("chip_id", "ascending")])
    pq.write_table(table, f"{index}.new", compression="zstd", row_group_size=50_000)
    Path(f"{index}.new").replace(index)


def child(root: Path, way: str, scene_day: date) -> None:
    """Add the day that is there as parts already; prints what it cost."""
    storage = LocalStorage(root)
    index = storage.path(layout.tiles_index())
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    said: dict[str, Any] = {}
    if way.startswith("index"):
        made = build_tiles_index(storage)
        said = {"parts_read": made.parts_read, "rows_written": made.rows_written, "anew": made.anew}
    else:
        parts = [storage.path(key) for key in storage.list(layout.index_parts_of_scene_day(scene_day))]
        (add_with_duckdb if way.startswith("duckdb") else add_with_pyarrow)(index, parts)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps(said | {"s": seconds, "cpu_s": cpu, "peak_mb": peak_mb()}))


def measure(root: Path, rows: int, parts: int, ways: list[str], times: int) -> dict[str, dict[str, Any]]:
    """All ways at one size, alternately; the median of each."""
    storage = LocalStorage(root)
    days = [FIRST + timedelta(days=2 * n) for n in range(max(1, round(rows / ROWS_A_DAY)))]
    known = set(storage.list(layout.index_parts_folder()))
    for n, scene_day in enumerate(days):
        if layout.index_part(scene_day, scene_day, layout.CAPTURE) not in known:
            put_day(storage, scene_day, rows * (n + 1) // len(days) - rows * n // len(days), parts)
    print(f"{rows:,} rows: {len(days)} days, {len(days) * parts} parts", file=sys.stderr)
    built = build_tiles_index(storage)
    index = storage.path(layout.tiles_index())
    size_mb = index.stat().st_size / 1e6
    print(f"  built from the parts in {built.seconds:.1f} s, {size_mb:.0f} MB", file=sys.stderr)
    kept = root / "before.parquet"
    kept.unlink(missing_ok=True)
    index.rename(kept)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    digests: dict[str, set[Any]] = {}
    for _ in range(times):
        for way in ways:
            middle = way == "index, in the middle"
            scene_day = days[len(days) // 2] + timedelta(days=1) if middle else days[-1] + timedelta(days=1)
            shutil.copyfile(kept, index)
            put_day(storage, scene_day, ADDED, parts)
            command = [sys.executable, "-m", "benchmarks.indexing", "--child", str(root), way, scene_day.isoformat()]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
            found[way].append(json.loads(done.stdout))
            if not middle:
                digests.setdefault("rows", set()).add(digest(index))
            shutil.rmtree(storage.path(layout.index_parts_of_scene_day(scene_day)))
    assert all(len(each) == 1 for each in digests.values()), "the ways gave different rows"
    return {
        way: sorted(runs, key=lambda run: float(run["s"]))[len(runs) // 2] | {"mb": size_mb} for way, runs in found.items()
    }


def digest(index: Path) -> tuple[int, int, int]:
    """What is the same for the same rows in the same order."""
    rows, total, order = 0, 0, 0
    for batch in pq.ParquetFile(index).iter_batches(columns=["chip_id", "mmsi"], batch_size=50_000):
        ids = np.frombuffer("".join(batch["chip_id"].to_pylist()).encode(), "S16").astype("U16")
        numbers = np.array([int(text, 16) for text in ids.tolist()], np.uint64)
        place = np.arange(rows, rows + len(numbers), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        order = (order + int((numbers * place).sum(dtype=np.uint64))) % 2**64
        total += pc.sum(batch["mmsi"]).as_py()
        rows += len(numbers)
    return rows, total, order


def main() -> None:
    """Measure all sizes, and print a table with the slopes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 5_000_000])
    parser.add_argument("--parts-per-day", type=int, default=5)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument(
        "--folder", type=Path, default=None, help="keeps what is made up, to measure again; 2 GB at 5 M rows"
    )
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        root, way, day = options.child
        child(Path(root), way, date.fromisoformat(day))
        return
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for rows in options.rows:
        ways = [way for way in options.ways if way != "pyarrow whole" or rows <= MOST_IN_MEMORY]
        with contextlib.ExitStack() as gone:
            kept = None if options.folder is None else options.folder / str(rows)
            root = kept or Path(gone.enter_context(tempfile.TemporaryDirectory()))
            found[rows] = measure(root, rows, options.parts_per_day, ways, options.times)
    print(f"\n{ADDED:,} rows added, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores\n")
    print("| way | rows | index MB | s | CPU s | peak MB | rows encoded | parts read |\n|---|---|---|---|---|---|---|---|")
    for way in options.ways:
        for rows, ways in found.items():
            if way not in ways:
                continue
            run = ways[way]
            print(
                f"| {way} | {rows:,} | {run['mb']:.0f} | {run['s']:.2f} | {run['cpu_s']:.2f} | {run['peak_mb']:.0f} "
                f"| {run.get('rows_written', '')} | {run.get('parts_read', '')} |"
            )
    for way in options.ways:
        sizes = [rows for rows in found if way in found[rows]]
        if len(sizes) > 1:
            slope = np.polyfit([math.log(n) for n in sizes], [math.log(found[n][way]["cpu_s"]) for n in sizes], 1)[0]
            print(f"slope of the CPU seconds of {way}: {slope:.2f}")


if __name__ == "__main__":
    main()
