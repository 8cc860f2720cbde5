"""All benchmarks in one run; `make bench` does this.

    python -m benchmarks [--full] [--fresh] [--only readers days sizes scripts] [--peers s2chips rasterio]

Each figure is saved when it is there (benchmarks/results.json): a run that was stopped goes on where it was. At the end
docs/performance.md is written anew; `python -m benchmarks.report` does only that.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks import report, scripts, sizes
from benchmarks.archive import build_dense_archive
from benchmarks.days import measure_day
from benchmarks.floor import floor_of
from benchmarks.link import Archive, Conditions, serve
from benchmarks.peers import PEERS
from benchmarks.reading import measure, write_truth
from benchmarks.results import PATH, Results
from benchmarks.workload import Workload, dense, sparse
from s2chips_core.sandbox.archive import build_archive

SEED, PAINTED_SHIPS = 20251027, 30
PARTS = ("readers", "days", "sizes", "scripts")
MAIN = ("s2chips", "rasterio")
"""Measured three times in turns where the goals are; the middle one counts."""
BEGAN = time.monotonic()


def main() -> None:
    """Measure, save, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="larger sizes, every peer under every condition; an hour")
    parser.add_argument("--fresh", action="store_true", help="forget the figures of a run that was stopped")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--ships", type=int, default=200, help="of the dense workload, on six scenes")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "s2chips-bench")
    parser.add_argument("--results", type=Path, default=PATH)
    options = parser.parse_args()
    asked = {"full": options.full, "ships": options.ships}
    results = Results(options.results, fresh=options.fresh, sizes=asked)
    embedded = build_archive(options.folder / "embedded", seed=SEED, ships_per_tile=PAINTED_SHIPS, progress=tell)
    if {"readers", "sizes"} & set(options.only):
        workloads = {"dense": dense(embedded, ships=options.ships), "sparse": sparse(embedded)}
        heavy = build_dense_archive(embedded, options.folder / "heavy", workloads.values(), tell)
    if "readers" in options.only:
        readers(results, workloads, heavy, options.folder, options.peers, full=options.full)
    if "days" in options.only:
        for ships_per_tile in (1_000, 4_000) if options.full else (1_000,):
            key = f"days/{ships_per_tile}"
            if key not in results:
                tell(f"a day in Dagster, {ships_per_tile} made-up ships a tile")
                results.put(key, measure_day(embedded, ships_per_tile=ships_per_tile))
    if "sizes" in options.only:
        sizes.measure(results, workloads["dense"], heavy, embedded, options.folder, full=options.full, tell=tell)
    if "scripts" in options.only:
        scripts.measure(results, embedded, options.folder, full=options.full, tell=tell)
    if options.only == list(PARTS) and options.peers == list(PEERS):
        results.finish()
    report.write(results.tree)
    tell("wrote docs/performance.md")


def readers(
    results: Results, workloads: Mapping[str, Workload], heavy: Path, folder: Path, peers: list[str], *, full: bool
) -> None:
    """Every reader under every condition."""
    for name, workload in workloads.items():
        workload.save(folder / f"{name}.json")
        if f"floor/{name}" not in results:
            tell(f"floor of {name}")
            results.put(f"floor/{name}", {**asdict(floor_of(workload, heavy)), "ships": len(workload.ships)})
        write_truth(workload, heavy, folder / f"{name}.npz")
    for peer in peers:
        missing = PEERS[peer].missing
        if missing:
            tell(f"{peer} is skipped: it {missing}")
            results.put(f"skipped/{peer}", missing)
    able = [peer for peer in peers if PEERS[peer].missing is None]
    with serve(heavy) as archive:
        for name, conditions, of, times in plan(full):
            chosen = [peer for peer in able if peer in of]
            left = [peer for peer in chosen if f"readers/{name}/{conditions.label}/{peer}" not in results]
            compare(results, archive, folder, name, conditions, left, times)


def plan(full: bool) -> Iterator[tuple[str, Conditions, tuple[str, ...], int]]:
    """Workload, conditions, readers, how often: what the goals name comes first."""
    everybody, others = tuple(PEERS), tuple(PEERS) if full else MAIN
    yield "dense", Conditions(latency_ms=30), MAIN, 3
    yield "sparse", Conditions(latency_ms=30), MAIN, 3
    yield "dense", Conditions(latency_ms=100), MAIN, 3
    for latency_ms in (30, 100, 0):
        yield "dense", Conditions(latency_ms=latency_ms), everybody, 1
    yield "dense", Conditions(latency_ms=30, faults=0.1), everybody, 1
    yield "dense", Conditions(latency_ms=30, megabytes_s=40), everybody, 1
    yield "sparse", Conditions(latency_ms=30), everybody, 1
    yield "sparse", Conditions(latency_ms=30, faults=0.1), others, 1
    for conditions in (Conditions(latency_ms=100), Conditions(), Conditions(latency_ms=30, megabytes_s=40)):
        yield "sparse", conditions, others, 1


def compare(
    results: Results, archive: Archive, folder: Path, name: str, conditions: Conditions, peers: list[str], times: int
) -> None:
    """Measure `peers` in turns, `times` each; the run with the middle time counts."""
    runs: dict[str, list[dict[str, object]]] = {peer: [] for peer in peers}
    for _ in range(times):
        for peer in peers:
            found = measure(peer, folder / f"{name}.json", folder / f"{name}.npz", archive, conditions)
            runs[peer].append(found)
            tell(f"{name}, {conditions.label}: {peer}: {report.in_short(found)}")
    for peer, found_runs in runs.items():
        done = [run for run in found_runs if "failed" not in run]
        chosen = found_runs[0]
        if done:
            middle = statistics.median_low([float(str(run["seconds"])) for run in done])
            chosen = next(run for run in done if run["seconds"] == middle)
        results.put(f"readers/{name}/{conditions.label}/{peer}", {**chosen, "runs": len(found_runs)})


def tell(line: str) -> None:
    """A line of progress."""
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {line}", flush=True)


if __name__ == "__main__":
    main()
