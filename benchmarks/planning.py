"""Seconds and peak memory of the overpass plan by orbital elements.

    python -m benchmarks.planning [--days 30] [--tiles 200]
    python -m benchmarks.planning --global [--shared-data FOLDER]

Three satellites on the reference orbit, a third of it apart. With `--global` all 56,686 tiles for 10 days; their names are
in `orbit/s2_tile_grid.parquet` of the folder (or of `S2CHIPS_SHARED_DATA`).
"""

import argparse
import math
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from benchmarks.memory import peak_mb
from s2chips_core.overpasses.elements import SATELLITES, Elements
from s2chips_core.overpasses.tile_shapes import tiles_touching
from s2chips_core.overpasses.tle_plan import plan_by_tle

EPOCH = datetime(2026, 5, 30, 12, tzinfo=UTC)
GLOBAL_DAYS = 10


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--days", type=int, help=f"30, or {GLOBAL_DAYS} with --global")
    parser.add_argument("--tiles", type=int, default=200)
    parser.add_argument("--global", action="store_true", dest="everywhere", help="all tiles")
    parser.add_argument("--shared-data", default=os.environ.get("S2CHIPS_SHARED_DATA"), help="folder of the real data")
    options = parser.parse_args()
    if options.everywhere and options.shared_data is None:
        parser.error("--global needs --shared-data or S2CHIPS_SHARED_DATA")
    tiles = grid_tiles(Path(options.shared_data)) if options.everywhere else coastal_tiles(options.tiles)
    days = options.days or (GLOBAL_DAYS if options.everywhere else 30)
    before_mb = peak_mb()
    began = time.perf_counter()
    plan = plan_by_tle(
        reference_elements(),
        tiles,
        EPOCH - timedelta(days=days / 2),
        EPOCH + timedelta(days=days / 2),
        window_min=5,
        max_age_days=days / 2 + 1,
    )
    seconds = time.perf_counter() - began
    print(
        f"{len(tiles)} tiles, {days} days, {len(SATELLITES)} satellites: {seconds:.2f} s, {len(plan.passes)} passes, "
        f"{len(plan.swaths)} swaths, peak memory {peak_mb():.0f} MB ({before_mb:.0f} MB before)"
    )


def reference_elements() -> list[Elements]:
    """An element set for each satellite, mean values of real ones."""
    return [
        Elements(
            satellite=satellite,
            norad_id=norad_id,
            epoch=EPOCH,
            revolution=10_000,
            mean_motion_rad_min=14.30818 * math.pi / 720.0,
            mean_motion_dot=0.0,
            mean_motion_ddot=0.0,
            eccentricity=0.00012,
            inclination_rad=math.radians(98.569),
            node_rad=math.radians(225.0984),
            perigee_rad=math.radians(90.0),
            anomaly_rad=math.radians(270.0 + 120.0 * number) % (2 * math.pi),
            bstar=5e-5,
            track_offset_km=0.0,
            source="benchmark",
        )
        for number, (norad_id, satellite) in enumerate(SATELLITES.items())
    ]


def coastal_tiles(count: int) -> list[str]:
    """Tiles of European and Asian waters."""
    boxes = [(-10.0, 35.0, 30.0, 60.0), (100.0, -10.0, 130.0, 25.0)]
    tiles = sorted({tile for box in boxes for tile in tiles_touching(box)})
    return tiles[:: max(1, len(tiles) // count)][:count]


def grid_tiles(folder: Path) -> list[str]:
    """All tiles that ESA publishes."""
    return list(pd.read_parquet(folder / "orbit" / "s2_tile_grid.parquet", columns=["tile"])["tile"])


if __name__ == "__main__":
    main()
