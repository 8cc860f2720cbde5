"""Requests and bytes of the reader against the floor, exactly; and that faults lose nothing. Times are not looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.archive import build_dense_archive
from benchmarks.floor import Floor, floor_of
from benchmarks.link import Archive, Conditions, serve
from benchmarks.reading import measure, write_truth
from benchmarks.workload import Workload, dense, sparse
from s2chips_core.sections import Compute

HEAD_BYTES = 16 * 1024
"""What is read of a file for its directory; the directory itself ends before byte 3,000."""
REQUESTS_OVER_FLOOR = 1.1
PROCESS_MB = 250
"""Interpreter, libraries and threads, without pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Two workloads, their files with blocks as heavy as real ones, and the server."""

    archive: Archive
    files: Path
    workloads: dict[str, Workload]


@pytest.fixture(scope="module")
def rig(sandbox_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    workloads = {
        "dense": dense(sandbox_archive, ships=24, scenes=2),
        "sparse": sparse(sandbox_archive, scenes=3, copies=1),
    }
    files = tmp_path_factory.mktemp("archive") / "heavy"
    build_dense_archive(sandbox_archive, files, workloads.values(), lambda line: None)
    with serve(files) as archive:
        yield Rig(archive=archive, files=files, workloads=workloads)


def read_all(rig: Rig, name: str, folder: Path, conditions: Conditions) -> tuple[dict[str, Any], Floor]:
    workload = rig.workloads[name]
    workload.save(folder / "workload.json")
    write_truth(workload, rig.files, folder / "truth.npz")
    found = measure("s2chips", folder / "workload.json", folder / "truth.npz", rig.archive, conditions)
    assert "failed" not in found, found["failed"]
    assert (found["wrong_pixels"], found["wrong_chips"], found["lost"], found["problems"]) == (0, 0, 0, [])
    assert found["chips"] == len(workload.passing) > 0
    return found, floor_of(workload, rig.files)


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_requests_and_bytes_stay_at_the_floor(name: str, rig: Rig, tmp_path: Path) -> None:
    found, floor = read_all(rig, name, tmp_path, Conditions())
    assert found["requests"] <= REQUESTS_OVER_FLOOR * floor.requests
    assert found["bytes"] <= floor.block_bytes + floor.files * HEAD_BYTES
    # With fewer not all can have been read: the counters count.
    assert found["requests"] >= floor.joined_requests
    assert found["bytes"] >= floor.row_bytes
    assert found["peak_mb"] <= PROCESS_MB + Compute().memory_mb


def test_faults_lose_nothing(rig: Rig, tmp_path: Path) -> None:
    found, _ = read_all(rig, "dense", tmp_path, Conditions(faults=0.1))
    assert found["faults"] > 0
