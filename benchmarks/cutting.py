"""Chips per second, requests and bytes of `cut_scene` against rasterio, in one run, on the embedded archive.

    python -m benchmarks.cutting [--ships 150] [--latency-ms 0 30 100]

The peer is rasterio as people tune it for clouds (GDAL's HTTP settings, merged ranges, 16 threads, open datasets kept),
chip by chip. It is told which ships the gate lets through and reads the same pixels: SCL for all ships, the bands for those.
The archive is served from another process, with a fixed time to the first byte. Both must give the same reflectance.
"""

import argparse
import contextlib
import dataclasses
import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from s2chips_core.ais.day import record_day
from s2chips_core.chips.cutting import Chip, CutRequest, Refusal, cut_scene
from s2chips_core.chips.grid import utm_xy
from s2chips_core.config import Settings, parse_settings
from s2chips_core.fetch import Fetcher
from s2chips_core.overpasses.planning import plan_overpasses
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES, build_archive
from s2chips_core.sandbox.server import serve
from s2chips_core.scenes.day import match_capture
from s2chips_core.scenes.observed import observe_scenes
from s2chips_core.scenes.radiometry import to_reflectance
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage

SEED, PAINTED_SHIPS = 20251027, 30
PEER_THREADS = 16
PEER_ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif",
    "VSI_CACHE": "TRUE",
    "GDAL_CACHEMAX": 512 * 1024 * 1024,  # bytes: rasterio takes no unit
}
Work = list[tuple[Scene, list[CutRequest]]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One reader at one latency."""

    reader: str
    latency_ms: float
    ships: int
    seconds: float
    cpu_s: float
    requests: int
    megabytes: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ships", type=int, default=150, help="ships on each tile")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0.0, 30.0, 100.0], help="time to the first byte")
    options = parser.parse_args()
    folder = build_archive(
        Path(tempfile.gettempdir()) / "s2chips-bench-archive", seed=SEED, ships_per_tile=PAINTED_SHIPS, progress=print
    )
    print(f"{'reader':<22}{'ms':>5}{'ships':>7}{'s':>8}{'ships/s':>9}{'CPU ms':>8}{'req':>7}{'MB':>8}{'MB/ship':>9}")
    for latency_ms in options.latency_ms:
        for measured in measure(folder, options.ships, latency_ms):
            m = measured
            print(
                f"{m.reader:<22}{m.latency_ms:>5.0f}{m.ships:>7}{m.seconds:>8.2f}{m.ships / m.seconds:>9.1f}"
                f"{m.cpu_s / m.ships * 1000:>8.1f}{m.requests:>7}{m.megabytes:>8.1f}{m.megabytes / m.ships:>9.2f}"
            )


def measure(folder: Path, ships: int, latency_ms: float) -> Iterator[Measured]:
    """Both readers on the same work."""
    with served(folder, latency_ms / 1000) as (stac_url, host, counters), tempfile.TemporaryDirectory() as root:
        settings = parse_settings(
            {
                "satellite_tracking": {"tiles": list(DEMO_TILES)},
                "ais": {"source": "synthetic", "synthetic_ships_per_tile": ships, "synthetic_seed": SEED},
                "stac": {"endpoint": stac_url, "allowed_hosts": [host]},
                "compute": {"workers": 32},
            },
            "benchmark",
        )
        work = matched(settings, LocalStorage(Path(root)))
        total = sum(len(requests) for _, requests in work)

        def timed(reader: str, run: Callable[[], Any]) -> tuple[Measured, Any]:
            counters("reset")
            began, cpu = time.perf_counter(), cpu_seconds()
            chips = run()
            seconds, spent = time.perf_counter() - began, cpu_seconds() - cpu
            requests, size = counters("read")
            return (
                Measured(
                    reader=reader,
                    latency_ms=latency_ms,
                    ships=total,
                    seconds=seconds,
                    cpu_s=spent,
                    requests=requests,
                    megabytes=size / 1e6,
                ),
                chips,
            )

        mine, chips = timed("s2chips", lambda: cut_all(work, settings))
        yield mine
        peer, others = timed("rasterio, 16 threads", lambda: peer_all(work, chips))
        yield peer
        assert set(chips) == set(others)
        for target, chip in chips.items():
            np.testing.assert_array_equal(chip.reflectance, others[target])


def matched(settings: Settings, storage: LocalStorage) -> Work:
    """The ships of both demo days with their scenes."""
    by_scene: dict[str, list[CutRequest]] = {}
    observe = observe_scenes(settings, DEMO_NOW)
    for day in DEMO_DAYS:
        plan_overpasses(day, 1, settings=settings, storage=storage, now=DEMO_NOW, observe=observe)
        record_day(day, settings=settings, storage=storage)
        matches = match_capture(day, settings=settings, storage=storage, now=DEMO_NOW).matches
        for row in matches[matches["status"] == "matched"].to_dict("records"):
            target = f"{day}/{row['target_id']}"
            request = CutRequest(target_id=target, mmsi=row["mmsi"], lat=row["lat"], lon=row["lon"], chip_id=target)
            by_scene.setdefault(row["scene"], []).append(request)
    return [(Scene.from_json(text), requests) for text, requests in by_scene.items()]


def cut_all(work: Work, settings: Settings) -> dict[str, Chip]:
    """Ours, scene by scene."""
    chips: dict[str, Chip] = {}
    with contextlib.closing(Fetcher(settings.stac.allowed_hosts)) as fetcher:
        for scene, requests in work:
            for result in cut_scene(scene, requests, settings=settings, fetcher=fetcher):
                if isinstance(result, Refusal):
                    assert result.reason != "read_error", result.detail
                else:
                    chips[result.request.target_id] = result
    return chips


def peer_all(work: Work, passed: dict[str, Chip]) -> dict[str, np.ndarray]:
    """Rasterio, chip by chip."""
    local = threading.local()

    def read(href: str, window: Window) -> np.ndarray:
        opened = local.__dict__.setdefault("opened", {})
        if href not in opened:
            opened[href] = rasterio.open(href)
        return opened[href].read(1, window=window, boundless=True, fill_value=0)  # type: ignore[no-any-return]

    def chip(job: tuple[Scene, CutRequest]) -> tuple[str, np.ndarray | None]:
        scene, request = job
        x, y = utm_xy(np.array([request.lon]), np.array([request.lat]), scene.epsg)
        blue = scene.assets["B02"]
        col = int(np.floor((x[0] - blue.ulx_m) / 10)) - 128
        row = int(np.floor((blue.uly_m - y[0]) / 10)) - 128
        with rasterio.Env(**PEER_ENVIRONMENT):
            if "SCL" in scene.assets:
                read(scene.assets["SCL"].href, Window(col // 2, row // 2, 129, 129))
            if request.target_id not in passed:
                return request.target_id, None
            offset_dn = passed[request.target_id].boa_offset_dn
            bands = [read(scene.assets[b].href, Window(col, row, 256, 256)) for b in ("B02", "B03", "B04", "B08")]
        return request.target_id, np.stack([to_reflectance(dn, offset_dn) for dn in bands])

    jobs = [(scene, request) for scene, requests in work for request in requests]
    with ThreadPoolExecutor(PEER_THREADS) as pool:
        return {target: data for target, data in pool.map(chip, jobs) if data is not None}


@contextlib.contextmanager
def served(folder: Path, latency_s: float) -> Iterator[tuple[str, str, Callable[[str], tuple[int, int]]]]:
    """The archive in a process of its own, and its counters."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, latency_s, there), daemon=True)
    process.start()
    try:
        stac_url, host = here.recv()

        def ask(what: str) -> tuple[int, int]:
            here.send(what)
            return here.recv()  # type: ignore[no-any-return]

        yield stac_url, host, ask
    finally:
        here.send("stop")
        process.join(20)
        if process.is_alive():
            process.kill()


def _serve(folder: Path, latency_s: float, pipe: Connection) -> None:
    with serve(folder, now=DEMO_NOW, latency_s=latency_s) as archive:
        pipe.send((archive.stac_url, archive.host))
        while (asked := pipe.recv()) != "stop":
            if asked == "reset":
                archive.counters.reset()
            pipe.send((archive.counters.requests["data"], archive.counters.bytes["data"]))


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
