"""Memory and seconds of the page of a day, each size made in a process of its own.

    python -m benchmarks.day_page [--chips 1000 5000 20000]

Made-up ships with a track of 10 fixes each, one refused for every four chips, no pixels: sheets of pictures are there and
stand. Printed is the growth of resident memory and of what Python holds (tracemalloc, in a second process) over importing.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.memory import peak_mb
from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages import view_files
from s2chips_core.pages.day import write_report
from s2chips_core.pages.views import Layout
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.pages.sample_day import DAY, GENERATED_AT, SENSED, SETTINGS, make_day, sea_jpeg

PATTERN, FIXES = 500, 10


def main() -> None:
    """Print one line for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chips", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    parser.add_argument("--measure", type=Path, help="a dataset that is there")
    parser.add_argument("--trace", action="store_true")
    given = parser.parse_args()
    if given.measure:
        measure(LocalStorage(given.measure), trace=given.trace)
        return
    before = (0, 0.0, 0.0)
    for chips in given.chips:
        with tempfile.TemporaryDirectory() as folder:
            write_dataset(LocalStorage(Path(folder)), chips)
            command = [sys.executable, "-m", "benchmarks.day_page", "--measure", folder]
            seconds, resident_mb, page_mb = map(float, subprocess.check_output(command, text=True).split())
            _, held_mb, _ = map(float, subprocess.check_output([*command, "--trace"], text=True).split())
        step = (chips - before[0]) / 1000
        resident_kb, held_kb = (resident_mb - before[1]) / step, (held_mb - before[2]) / step
        print(
            f"{chips:,} chips: {seconds:.1f} s CPU, resident +{resident_mb:.0f} MB ({resident_kb:.1f} kB a chip more), "
            f"held {held_mb:.0f} MB ({held_kb:.1f}), page {page_mb:.1f} MB"
        )
        before = chips, resident_mb, held_mb


def measure(storage: LocalStorage, *, trace: bool) -> None:
    """Seconds of CPU, MB above what is there after importing, MB of the page."""
    warm = Path(tempfile.mkdtemp())
    write_dataset(LocalStorage(warm), 10)
    make_page(LocalStorage(warm))
    if trace:
        tracemalloc.start()
    before_mb, began = peak_mb(), time.process_time()
    key = make_page(storage)
    seconds = time.process_time() - began
    grown_mb = tracemalloc.get_traced_memory()[1] / 1e6 if trace else peak_mb() - before_mb
    print(seconds, grown_mb, storage.path(key).stat().st_size / 1e6)


def make_page(storage: LocalStorage) -> str:
    """Its key."""
    return write_report(DAY, storage=storage, settings=SETTINGS, generated_at=GENERATED_AT, software_version="benchmark").key


def write_dataset(storage: LocalStorage, chips: int) -> None:
    """A pattern of ships again and again, each time under other numbers."""
    size = min(PATTERN, chips)
    day = make_day(chips=size, refused=size // 4)
    parts: dict[str, list[pd.DataFrame]] = {"outcomes": [], "matches": [], "index": []}
    for number in range(-(-chips // size)):
        for name, frames in parts.items():
            frame = getattr(day, name).copy()
            frame["target_id"] += f"-{number}"
            frame["mmsi"] += 2000 * number
            if "chip_id" in frame:
                frame["chip_id"] = frame["chip_id"].map(lambda i, n=number: i and f"{n:05x}{i[5:]}", na_action="ignore")
            if "path" in frame:
                frame["path"] = "chips/train/" + frame["mmsi"].astype(str) + "/20251027/" + frame["chip_id"] + ".tif"
            frames.append(frame)
    index = pd.concat(parts["index"], ignore_index=True)
    tables.write_table(storage, layout.outcomes(DAY), pd.concat(parts["outcomes"]), OUTCOME_SCHEMA)
    tables.write_table(storage, layout.matches(DAY), pd.concat(parts["matches"]), MATCH_SCHEMA)
    tables.write_table(storage, layout.index_part(DAY, DAY, "capture"), index, PART_SCHEMA)
    write_fixes(storage, index)
    sheet = Layout(bands=("B02", "B03", "B04", "B08"), masks=(), side_px=256, ndwi_water_thresh=0.05)
    sheets = {}
    picture = sea_jpeg(1)
    for chip in index.to_dict("records"):
        sheets[chip["chip_id"]] = (view_files._fingerprint(chip, 0.05), sheet)
        storage.put(layout.view(DAY, chip["chip_id"]), b"")
        storage.put(layout.chip_artefacts(chip["path"], ("_quicklook.jpg",))[0], picture)
    view_files._Note(sheets).write(storage, DAY)


def write_fixes(storage: LocalStorage, index: pd.DataFrame) -> None:
    """A straight track through each chip."""
    steps = np.tile(np.arange(FIXES) - FIXES // 2, len(index))
    repeated = index.loc[index.index.repeat(FIXES)]
    fixes = pd.DataFrame(
        {
            "mmsi": repeated["mmsi"].to_numpy(),
            "lon": repeated["lon"].to_numpy(),
            "lat": repeated["lat"].to_numpy() + steps * 0.001,
            "time": pd.Timestamp(SENSED) + pd.to_timedelta(steps * 30, unit="s"),
            "ais_source": "aisstream",
            "tile_id": "30STF",
        }
    )
    write_snapshots(storage, DAY, tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "fixes")), metadata=None)


if __name__ == "__main__":
    main()
