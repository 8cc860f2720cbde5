"""How cost grows: with the ships of a day, and with the days.

The slope is that of a line through the logarithms of CPU seconds against the number, from the second size on: 1 is
proportional. The index has a program of its own (`indexing`), and so has matching.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.days import measure_day
from benchmarks.link import Conditions, serve
from benchmarks.reading import NO_TRUTH
from benchmarks.reading import measure as measure_reader
from benchmarks.results import Results
from benchmarks.workload import CHIP_PX, TILE_PX, Workload

SHIPS, SHIPS_FULL = (10, 100, 1_000), (10, 100, 1_000, 10_000)
DAYS, DAYS_FULL = (1, 4), (1, 10, 30)
DAY_SHIPS_PER_TILE = 10
JITTER_PX = 100


def measure(
    results: Results, base: Workload, heavy: Path, embedded: Path, folder: Path, *, full: bool, tell: Callable[[str], None]
) -> None:
    """All sizes, with ships around those of `base`."""
    with serve(heavy) as archive:
        for ships in SHIPS_FULL if full else SHIPS:
            if f"sizes/ships/{ships}" not in results:
                path = folder / "size.json"
                of_size(base, ships).save(path)
                found = measure_reader("s2chips", path, NO_TRUTH, archive, Conditions(latency_ms=30))
                tell(f"{ships} ships: {found.get('failed') or '{:.1f} s'.format(found['seconds'])}")
                results.put(f"sizes/ships/{ships}", found)
    for days in DAYS_FULL if full else DAYS:
        if f"sizes/days/{days}" not in results:
            found = measure_day(embedded, ships_per_tile=DAY_SHIPS_PER_TILE, days=days)
            tell(f"{days} days: {found.get('failed') or '{:.1f} s'.format(found['seconds'])}")
            results.put(f"sizes/days/{days}", found)


def of_size(base: Workload, ships: int) -> Workload:
    """`ships` around the places of `base`, in their scenes."""
    moved = np.random.default_rng(ships).integers(-JITTER_PX, JITTER_PX, (ships, 2))
    places = []
    for number, (right, down) in enumerate(moved.tolist()):
        place = base.ships[number * len(base.ships) // ships if ships < len(base.ships) else number % len(base.ships)]
        col, row = (min(max(at, 0), TILE_PX - CHIP_PX) for at in (place.col + right, place.row + down))
        places.append(dataclasses.replace(place, ship=f"{number}", col=col, row=row))
    return dataclasses.replace(base, name=f"{ships} ships", ships=tuple(places))


def slope(cpu_s: Mapping[int, float]) -> float | None:
    """Exponent of the number in the CPU seconds, without the smallest number; none for fewer than two."""
    points = sorted(cpu_s.items())[1:] if len(cpu_s) > 2 else sorted(cpu_s.items())
    if len(points) < 2:
        return None
    x, y = ([math.log(value) for value in values] for values in zip(*points, strict=True))
    return float(np.polyfit(x, y, 1)[0])


def of_kind(figures: Mapping[str, Any], kind: str) -> dict[int, dict[str, Any]]:
    """The measured sizes of `ships` or `days`."""
    start = f"sizes/{kind}/"
    found = {int(key.removeprefix(start)): value for key, value in figures.items() if key.startswith(start)}
    return {size: value for size, value in sorted(found.items()) if "failed" not in value}
