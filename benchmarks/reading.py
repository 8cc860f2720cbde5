"""One reader on one workload, in a process of its own, so that time, memory and requests are its own.

    python -m benchmarks.reading PEER WORKLOAD.json TRUTH.npz HOST

Prints one line of JSON. Here: what a reader is given (`Work`), where it puts its chips (`Sink`), and the truth: the same
windows read by rasterio from the files on disk. Time runs from after the imports to the last float32 chip in memory. A chip
is compared by a checksum; one that differs is kept and counted pixel by pixel.
"""

import importlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from isal import isal_zlib
from rasterio.windows import Window

from benchmarks.floor import local, rows_of
from benchmarks.link import Archive, Conditions
from benchmarks.memory import peak_mb
from benchmarks.peers import PEERS
from benchmarks.workload import BANDS, CHIP_PX, Place, Workload, offset_of, scene_of
from s2chips_core.scenes.radiometry import to_reflectance
from s2chips_core.scenes.scene import Scene

READING_MOST_S = 300.0
NO_TRUTH = Path("none")
"""In place of a file: chips are counted and not compared."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a reader is told."""

    host: str
    items: Sequence[Mapping[str, Any]]
    """STAC items with absolute hrefs."""
    ships: Sequence[Place]
    scenes: Sequence[Scene]
    """The same scenes as the project knows them."""

    @classmethod
    def of(cls, workload: Workload, host: str) -> "Work":
        """The work with its files on `host`."""
        items = workload.items_at(f"http://{host}/data")
        return cls(host, items, workload.ships, [scene_of(item) for item in items])

    def native_window(self, place: Place, band: str) -> tuple[str, tuple[int, int], tuple[int, int]]:
        """The href, rows and columns of a chip in a band's own pixels."""
        asset = self.scenes[place.scene].assets[band]
        return (asset.href, *rows_of(place, asset.gsd_m))

    def chip_of_10m(self, place: Place, bands: Sequence[np.ndarray]) -> np.ndarray:
        """Windows of `BANDS` that are on the chip's grid already, as float32 reflectance."""
        offset_dn = offset_of(self.scenes[place.scene])
        return np.stack([to_reflectance(values, offset_dn) for values in bands])

    def chip(self, place: Place, bands: Sequence[np.ndarray]) -> np.ndarray:
        """Native windows of `BANDS` as float32 reflectance, those of 20 m by the nearest pixel."""
        offset_dn = offset_of(self.scenes[place.scene])
        out = np.empty((len(BANDS), CHIP_PX, CHIP_PX), np.float32)
        for number, values in enumerate(bands):
            reflectance = to_reflectance(values, offset_dn)
            if self.scenes[place.scene].assets[BANDS[number]].gsd_m == 20:
                reflectance = reflectance.repeat(2, 0).repeat(2, 1)[place.row % 2 :, place.col % 2 :]
            out[number] = reflectance[:CHIP_PX, :CHIP_PX]
        return out


def fingerprint(chip: np.ndarray) -> int:
    """CRC-32 of the pixels, which no pixel can leave as it is alone; as quick as it can be, because it is timed too."""
    return isal_zlib.crc32(np.ascontiguousarray(chip).reshape(-1).view(np.uint8))


@dataclass(slots=True)
class Sink:
    """Takes chips; safe to share between threads."""

    expected: Mapping[str, int] | None
    """Fingerprints; none: nothing is compared."""
    fingerprints: dict[str, int] = field(default_factory=dict)
    different: dict[str, np.ndarray] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def chip(self, ship: str, chip: np.ndarray) -> None:
        """A chip (bands, 256, 256) of float32."""
        assert chip.shape == (len(BANDS), CHIP_PX, CHIP_PX), chip.shape
        assert chip.dtype == np.float32, chip.dtype
        found = fingerprint(chip)
        with self._lock:
            self.fingerprints[ship] = found
            if self.expected is not None and found != self.expected.get(ship):
                self.different[ship] = chip

    def refused(self, ship: str, why: str) -> None:
        """No chip of that ship."""
        with self._lock:
            self.problems[ship] = why

    def collect(self, read: Callable[[Place], np.ndarray | None], places: Iterable[Place], *, threads: int) -> None:
        """Call `read` for every place; what it raises loses that ship and no other."""

        def one(place: Place) -> None:
            try:
                chip = read(place)
            except Exception as error:  # noqa: BLE001 - whatever a library raises, this ship is lost
                self.refused(place.ship, f"{type(error).__name__}: {error}")
            else:
                if chip is not None:
                    self.chip(place.ship, chip)

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(one, places):
                pass


def write_truth(workload: Workload, folder: Path, path: Path) -> None:
    """Read every chip from disk with rasterio and keep it."""
    work = Work.of(workload, "disk")
    chips = {}
    for place in workload.passing:
        bands = []
        for band in BANDS:
            href, rows, cols = work.native_window(place, band)
            with rasterio.open(local(folder, href.removeprefix("http://disk/data/"))) as file:
                bands.append(file.read(1, window=Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])))
        chips[place.ship] = work.chip(place, bands)
    np.savez(path, **chips)
    path.with_suffix(".sums.json").write_text(json.dumps({ship: fingerprint(chip) for ship, chip in chips.items()}))


def measure(peer: str, workload_path: Path, truth: Path, archive: Archive, conditions: Conditions) -> dict[str, Any]:
    """Run one reader in a process of its own; its figures, or `failed` with the reason."""
    archive.start(conditions)
    command = [sys.executable, "-m", "benchmarks.reading", peer, str(workload_path), str(truth), archive.host]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=READING_MOST_S, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {READING_MOST_S:g} s"}
    served = archive.counts()
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "requests": served.requests, "bytes": served.bytes, "faults": served.faults}


def main(peer: str, workload_path: str, truth: str, host: str) -> None:
    """In the process of its own."""
    read = importlib.import_module(f"benchmarks.peers.{PEERS[peer].module}").read
    workload = Workload.load(Path(workload_path))
    known = Path(truth) != NO_TRUTH
    sink = Sink(json.loads(Path(truth).with_suffix(".sums.json").read_text(encoding="utf-8")) if known else None)
    work = Work.of(workload, host)
    imported_mb = peak_mb()
    began, cpu = time.perf_counter(), time.process_time()
    read(work, sink)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    peak = peak_mb()
    passing = [place.ship for place in workload.passing]
    lost = [ship for ship in passing if ship not in sink.fingerprints]
    wrong: dict[str, int] = {}
    if sink.different:
        with np.load(truth) as true:
            wrong = {ship: int((true[ship] != chip).sum()) for ship, chip in sink.different.items() if ship in true}
    print(
        json.dumps(
            {
                "ships": len(workload.ships),
                "chips": len(sink.fingerprints),
                "seconds": seconds,
                "cpu_s": cpu_s,
                "peak_mb": peak,
                "imported_mb": imported_mb,
                "lost": len(lost),
                "wrong_pixels": sum(wrong.values()),
                "wrong_chips": len(sink.different),
                "problems": [f"{ship}: {sink.problems.get(ship, 'no chip came')}" for ship in lost[:3]],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
