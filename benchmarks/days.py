"""Whole days in Dagster: plan, made-up AIS, matching, cutting, all artefacts, index and pages, by the real job.

    python -m benchmarks.days ARCHIVE SHIPS_PER_TILE LATENCY_MS DAYS [KEEP_DATASET_IN]

Chips are as config/config.yaml makes them: four bands, no masks. Prints one line of JSON. The archive is served by the
sandbox from another process; its last day is copied to other dates as often as needed. Memory is looked at twice a second.
"""

import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from benchmarks.memory import peak_mb
from s2chips_core import layout, tables
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS
from s2chips_core.sandbox.server import serve
from s2chips_dagster.runs import Runs

REPOSITORY = Path(__file__).parents[1]
DAYS_MOST_S, SAMPLE_S = 1_800.0, 0.5
LATENCY_MS = 30.0
FIRST = DEMO_DAYS[-1]


def measure_day(
    archive: Path, *, ships_per_tile: int, days: int = 1, latency_ms: float = LATENCY_MS, keep: str = ""
) -> dict[str, Any]:
    """Run `days` days in a process of its own; its figures, or `failed` with the reason."""
    command = [sys.executable, "-m", "benchmarks.days", str(archive), str(ships_per_tile), str(latency_ms), str(days), keep]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DAYS_MOST_S, check=False, cwd=REPOSITORY)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(archive: str, ships_per_tile: str, latency_ms: str, count: str, keep: str = "") -> None:
    """In the process of its own."""
    with tempfile.TemporaryDirectory(prefix="s2chips-bench-") as name:
        folder = Path(name)
        days = [FIRST + timedelta(days=number) for number in range(int(count))]
        items = folder / "archive"
        items.mkdir()
        for day in days:
            _copy_items(Path(archive), items, day)
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster.yaml").read_bytes())
        os.environ["DAGSTER_HOME"] = str(home)
        now = datetime.combine(days[-1] + timedelta(days=3), datetime.min.time(), UTC)
        with _served(items, float(latency_ms) / 1000) as (stac_url, host, requests):
            tree = yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text(encoding="utf-8"))
            tree["satellite_tracking"]["backfill_days"] = int(count) + 4
            tree["ais"]["synthetic_ships_per_tile"] = int(ships_per_tile)
            tree["stac"].update(endpoint=stac_url, allowed_hosts=[host])
            tree["masks"]["persist"] = tree["tiling"]["include_swir"] = False
            tree["storage"]["dataset_root"] = str(folder / "dataset")
            config = folder / "config.yaml"
            config.write_text(yaml.safe_dump(tree), encoding="utf-8")
            runs = Runs(config, now=now.isoformat())
            with _Watch() as watch:
                for day in days:
                    assert runs.run_day(day, {}), f"{day} failed"
            steps_s = _steps_s()
            index_began = time.perf_counter()
            assert runs.index()
            index_s = time.perf_counter() - index_began
            chips = len(tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA))
            told = {"days": len(days), "chips": chips, "index_s": index_s, "steps_s": steps_s}
            told |= {"requests": requests(), **watch.figures()}
        if keep:
            shutil.copytree(folder / "dataset", keep, dirs_exist_ok=True)
    print(json.dumps(told))


def _steps_s() -> dict[str, float]:
    """Seconds of each step of all runs of this Dagster home, without checks."""
    instance = dg.DagsterInstance.get()
    seconds: Counter[str] = Counter()
    for run in instance.get_runs():
        for step in instance.get_run_step_stats(run.run_id):
            if step.start_time and step.end_time:
                seconds[step.step_key] += step.end_time - step.start_time
    return {step: round(spent, 2) for step, spent in seconds.most_common() if spent >= 0.5}


def _copy_items(archive: Path, folder: Path, day: date) -> None:
    """The items of the last day under the date of `day`, their files by links."""
    for path in archive.glob(f"item-*_{FIRST:%Y%m%d}_*.json"):
        text = path.read_text(encoding="utf-8")
        item = json.loads(text.replace(f"{FIRST:%Y%m%d}", f"{day:%Y%m%d}").replace(FIRST.isoformat(), day.isoformat()))
        # The archive tells when it published an item; that is a day or more after the pass.
        home = folder / item["id"]
        home.mkdir()
        for file in (archive / json.loads(text)["id"]).iterdir():
            (home / file.name).hardlink_to(file)
        for time_key in ("created", "updated"):
            item["properties"][time_key] = f"{day.isoformat()}T20:00:00Z"
        (folder / f"item-{item['id']}.json").write_text(json.dumps(item), encoding="utf-8")


@contextlib.contextmanager
def _served(folder: Path, latency_s: float) -> Iterator[tuple[str, str, Any]]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, latency_s, there), daemon=True)
    process.start()
    there.close()

    def requests() -> dict[str, int]:
        here.send("counts")
        return here.recv()  # type: ignore[no-any-return]

    try:
        yield (*here.recv(), requests)
    finally:
        here.send("stop")
        process.join(20)
        if process.is_alive():
            process.kill()


def _serve(folder: Path, latency_s: float, pipe: Connection) -> None:
    with serve(folder, latency_s=latency_s) as archive:
        pipe.send((archive.stac_url, archive.host))
        while pipe.recv() != "stop":
            pipe.send(dict(archive.counters.requests))


class _Watch:
    """Time, CPU and memory of this process while the block runs."""

    def __enter__(self) -> "_Watch":
        self.began, self.cpu = time.perf_counter(), _cpu_s()
        self.memory: list[tuple[float, float]] = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu = time.perf_counter() - self.began, _cpu_s() - self.cpu
        self.done.set()
        self.thread.join()

    def figures(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "cpu_s": self.cpu, "peak_mb": peak_mb(), "memory_mb": self.memory}

    def _look(self) -> None:
        page_mb = resource.getpagesize() / 2**20
        statm = Path("/proc/self/statm")
        while not self.done.wait(SAMPLE_S) and statm.is_file():
            resident_mb = int(statm.read_text(encoding="ascii").split()[1]) * page_mb
            self.memory.append((round(time.perf_counter() - self.began, 1), round(resident_mb, 1)))


def _cpu_s() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


if __name__ == "__main__":
    main(*sys.argv[1:])
