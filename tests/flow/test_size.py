"""Long indexes and days of many ships: what comes out is right, and memory does not grow with what was there before.

Times are those of `make bench`; here each step runs in a process of its own, whose peak of memory is asked.
"""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.indexing import ADDED, FIRST, ROWS_A_DAY, put_day
from s2chips_core import layout
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.flow.conftest import REPOSITORY
from tests.reliability import often

ROWS, SHIPS = often(60_000, 5_000_000), often(4_000, 100_000)
PARTS = 5
INDEX_MOST_MB, MATCHING_MOST_MB = 400, 2_000


def run(module: str, *arguments: object) -> dict[str, Any]:
    """What a process of its own says it took."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=1200)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.timeout(1800)
def test_days_are_added_to_a_long_index(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    days = [FIRST + timedelta(days=2 * n) for n in range(round(ROWS / ROWS_A_DAY))]
    for scene_day in days:
        put_day(storage, scene_day, ROWS_A_DAY, PARTS)
    rows = build_tiles_index(storage).rows
    assert rows == len(days) * ROWS_A_DAY
    file = storage.path(layout.tiles_index())
    for way, neighbour in (("index, at the end", days[-1]), ("index, in the middle", days[len(days) // 2])):
        added = neighbour + timedelta(days=1)
        put_day(storage, added, ADDED, PARTS)
        took = run("benchmarks.indexing", "--child", tmp_path, way, added)
        print(f"{way}, of {rows:,}: {took}")
        rows += ADDED
        assert (took["anew"], took["parts_read"]) == (None, PARTS)
        assert took["peak_mb"] < INDEX_MOST_MB
        order = pq.read_table(file, columns=["scene_datetime", "chip_id"])
        assert order.num_rows == pc.count_distinct(order["chip_id"]).as_py() == rows
        assert order.equals(order.sort_by([("scene_datetime", "ascending"), ("chip_id", "ascending")]))
        parts = [storage.path(key) for key in storage.list(layout.index_parts_of_scene_day(added))]
        names = ["chip_id", "path", "mmsi", "geometry"]
        of_day = pq.read_table(parts, columns=names).sort_by("chip_id")
        found = pq.read_table(file, columns=names, filters=pc.field("chip_id").isin(of_day["chip_id"]))
        assert found.sort_by("chip_id").equals(of_day)


@pytest.mark.timeout(1800)
def test_many_ships_of_one_day_are_matched() -> None:
    took = run("benchmarks.matching", "--here", "--ships", SHIPS)
    print(took)
    assert took["targets"] == SHIPS
    assert took["matched"] > 0.5 * SHIPS
    assert took["peak_match_mb"] < MATCHING_MOST_MB
