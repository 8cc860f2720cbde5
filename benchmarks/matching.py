"""Seconds of CPU and peak memory of matching and of the vessels beside a chip, and how they grow with the ships.

    python -m benchmarks.matching [--ships 1000 10000 100000] [--reported]

Ships lie densely along the coast of Iberia and Morocco, each heard three to ten times around the overpass. Every tile has a
scene of two passes; some scenes are too cloudy, some were processed twice. With `--reported` the ships are taken where they
reported, as rows of a file are. Each size runs in a process of its own. The slope is the exponent of the number of ships in
the CPU seconds, fitted over all sizes: at 1 cost grows with the ships.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pyproj import Geod

from benchmarks.memory import peak_mb
from s2chips_core import layout
from s2chips_core.ais.fixes import FIX_SCHEMA, KNOT_M_S
from s2chips_core.ais.targets import build_capture_targets
from s2chips_core.chips.grid import utm_xy
from s2chips_core.config import Settings, parse_settings
from s2chips_core.index.vessels import SceneVessels, read_vessels
from s2chips_core.overpasses.tile_shapes import tiles_touching
from s2chips_core.sandbox.items import Product, item_of
from s2chips_core.sandbox.passes import PASSES, Pass, sensing_time
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.matching import match_targets
from s2chips_core.scenes.providers import provider_of
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage
from s2chips_core.tables import conform, parquet_bytes, to_frame, write_table

AREA = (-8.5, 34.5, -1.0, 39.5)
T = TypeVar("T")
SIZES = (1_000, 10_000, 100_000)
SEED = 5
FIXES = (3, 10)
LAST = PASSES[-1]
NOW = LAST.nadir_time + timedelta(days=2)
CLEAR, CLOUDY = [0, 0, 0, 0, 10, 0, 85, 0, 2, 3, 0, 0], [0, 0, 0, 0, 10, 0, 20, 0, 30, 40, 0, 0]


def main() -> None:
    """Measure every size and print a line for each step, with the slope."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ships", type=int, nargs="+", default=SIZES)
    parser.add_argument("--reported", action="store_true", help="take ships where they reported")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.ships[0], reported=options.reported)))
        return
    more = ["--reported"] if options.reported else []
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.matching", "--here", "--ships", str(ships), *more],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for ships in options.ships
    ]
    for step in found[0]["cpu_s"]:
        cpu_s = [one["cpu_s"][step] for one in found]
        slope = np.polyfit(np.log(options.ships), np.log(np.maximum(cpu_s, 1e-3)), 1)[0] if len(found) > 1 else np.nan
        print(f"{step:24} " + "  ".join(f"{s:8.2f} s" for s in cpu_s) + f"   slope {slope:.2f}")
    for name in ("peak_match_mb", "peak_mb", "targets", "fixes", "scenes", "matched"):
        print(f"{name:24} " + "  ".join(f"{one[name]:8,.0f}  " for one in found))


def measure(ships: int, *, reported: bool) -> dict[str, Any]:
    """CPU seconds of each step, for so many ships."""
    settings = parse_settings({"satellite_tracking": {"tiles": ["30STF"]}}, "benchmark")
    scenes = make_scenes(settings)
    fixes = make_fixes(ships)
    cpu_s: dict[str, float] = {}
    targets = timed(
        cpu_s,
        "build targets",
        lambda: build_capture_targets(fixes, position_mode="as_reported" if reported else "at_sensing_time"),
    )
    source_id = layout.file_source("0123456789ab") if reported else layout.CAPTURE
    targets["source_id"] = source_id
    clear = [scene for scene in scenes if scene.cloud_cover <= settings.stac.cloud_cover_max]
    matches = timed(
        cpu_s,
        "match",
        lambda: match_targets(targets, fixes, clear, scenes, settings=settings, now=NOW),
    )
    peak_of_match_mb = peak_mb()
    table = conform(matches, MATCH_SCHEMA, "matches")
    timed(cpu_s, "write matches", lambda: parquet_bytes(table))
    rows = table.to_pylist()
    matched = [row for row in rows if row["status"] == MatchStatus.MATCHED]
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalStorage(Path(folder))
        # What `ais.snapshots` writes, without the Excel file.
        write_table(storage, layout.ais_snapshot(LAST.day, "30STF", "parquet"), fixes, FIX_SCHEMA)
        vessels = timed(cpu_s, "vessels", lambda: read_vessels(storage, LAST.day, source_id, rows, settings))
    timed(cpu_s, "labels", lambda: label_all(matched, vessels))
    return {
        "cpu_s": cpu_s,
        "peak_match_mb": peak_of_match_mb,
        "peak_mb": peak_mb(),
        "targets": len(targets),
        "fixes": len(fixes),
        "scenes": len(scenes),
        "matched": len(matched),
    }


def label_all(matched: list[dict[str, Any]], vessels: dict[str, SceneVessels]) -> int:
    """The labels of a chip around every ship; how many there are."""
    count = 0
    for match in matched:
        of_scene = vessels[match["scene"]]
        x_m, y_m = (float(n) for n in utm_xy(match["lon"], match["lat"], of_scene.epsg))
        transform = (10.0, 0.0, x_m - 1280.0, 0.0, -10.0, y_m + 1280.0)
        count += len(of_scene.labels(match, lat=match["lat"], lon=match["lon"], transform=transform, size_px=256))
    return count


def timed(cpu_s: dict[str, float], step: str, work: Callable[[], T]) -> T:
    """What `work` gives; its CPU seconds go into `cpu_s`."""
    began = time.process_time()
    found = work()
    cpu_s[step] = time.process_time() - began
    return found


def make_fixes(ships: int) -> pd.DataFrame:
    """FIX_SCHEMA: ships around sixty ports, heard at minutes around the overpass, straight on at their speed."""
    rng = np.random.default_rng(SEED)
    west, south, east, north = AREA
    ports = rng.uniform((west, south), (east, north), (60, 2))
    lon, lat = (ports[rng.integers(0, len(ports), ships)] + rng.normal(0.0, 0.15, (ships, 2))).T
    sog_kn, cog_deg = rng.uniform(0.0, 20.0, ships).round(1), rng.uniform(0.0, 359.9, ships).round(1)
    count = rng.integers(FIXES[0], FIXES[1] + 1, ships)
    ship = np.repeat(np.arange(ships), count)
    step = np.arange(len(ship)) - np.repeat(np.cumsum(count) - count, count)
    dt_s = (step - count[ship] / 2) * 60.0 + rng.uniform(-20.0, 20.0, len(ship))
    way_m = sog_kn[ship] * KNOT_M_S * dt_s
    lon, lat, _ = Geod(ellps="WGS84").fwd(lon[ship], lat[ship], cog_deg[ship], way_m)
    overpass = pd.Timestamp(LAST.nadir_time).as_unit("ms")
    frame = pd.DataFrame(
        {
            "mmsi": 244_000_000 + ship,
            "time": overpass + pd.to_timedelta((dt_s * 1000).round(), unit="ms"),
            "lat": lat.round(6),
            "lon": lon.round(6),
            "sog_kn": sog_kn[ship],
            "cog_deg": cog_deg[ship],
            "heading_deg": np.where(ship % 3 == 0, 511.0, cog_deg[ship].round()),
            "ship_name": [f"SHIP {n}" for n in ship],
            "ship_type": "Cargo",
            "length_m": 100.0 + ship % 200,
            "width_m": 15.0 + ship % 20,
            "ais_source": "synthetic",
            "tile_id": "30STF",
            "overpass_time": overpass,
        }
    )
    return to_frame(conform(frame, FIX_SCHEMA, "fixes"))


def make_scenes(settings: Settings) -> list[Scene]:
    """A scene of each tile and pass, every fourth too cloudy, every fifth processed twice."""
    provider, profile = provider_of(settings.stac)
    day_before = dataclasses.replace(
        LAST,
        absolute_orbit=LAST.absolute_orbit - 14,
        datatake_start=LAST.datatake_start - timedelta(days=1),
        datastrip_start=LAST.datastrip_start - timedelta(days=1),
        nadir_time=LAST.nadir_time - timedelta(days=1),
    )
    return [
        parse_item(item, provider, profile)
        for over in (day_before, LAST)
        for number, tile in enumerate(tiles_touching(AREA))
        for sequence in ((0, 1) if number % 5 == 0 else (0,))
        for item in [make_item(over, tile, sequence, CLOUDY if number % 4 == 0 else CLEAR)]
    ]


def make_item(over: Pass, tile: str, sequence: int, scl_counts: list[int]) -> dict[str, Any]:
    """An item of the sandbox, with absolute hrefs."""
    published = sensing_time(over, tile) + timedelta(hours=8 + sequence)
    product = Product(over=over, tile_id=tile, collection="sentinel-2-l2a", sequence=sequence, published=published)
    sizes = dict.fromkeys((*product.bands, "SCL"), 1)
    item = item_of(product, edge_m=1e6, scl_counts=scl_counts, sizes=sizes)
    for asset in item["assets"].values():
        asset["href"] = f"https://archive.invalid/{asset['href']}"
    return item


if __name__ == "__main__":
    main()
