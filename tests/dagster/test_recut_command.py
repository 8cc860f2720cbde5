"""`s2chips recut`: what it says and writes, and its exit codes."""

from pathlib import Path

from s2chips_core.sandbox.server import Served
from tests.dagster.conftest import DayRun
from tests.dagster.test_cli import Words, run, tifs


def test_recut(day_run: DayRun, tmp_path: Path, capfd: Words) -> None:
    first, second, *_ = sorted(tifs(day_run.storage))
    out = tmp_path / "again.tif"
    code, told, _ = run(capfd, "recut", Path(first).stem, "--out", out, "--config", day_run.config)
    size = len(day_run.storage.get(first))
    assert (code, told) == (0, f"{Path(first).stem}: identical\n  the file too, byte for byte ({size} bytes)\n")
    assert out.read_bytes() == day_run.storage.get(first)
    code, told, _ = run(capfd, "recut", Path(second).stem, "0" * 16, "--config", day_run.config)
    assert code == 1
    assert f"{Path(second).stem}: identical" in told
    assert f"{'0' * 16}: impossible\n  there is no such chip" in told


def test_recut_of_an_archive_that_moved(day_run: DayRun, archive: Served, capfd: Words) -> None:
    moved = f"http://{archive.host}=http://other.example"
    code, told, _ = run(capfd, "recut", "--check", 1, "--moved", moved, "--config", day_run.config)
    assert code == 1
    assert ": impossible\n  the archive's host is not allowed now: http://other.example/" in told
