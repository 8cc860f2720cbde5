"""What a day of so many chips costs, from the measured figures of benchmarks/results.json: the tables of docs/scaling.md.

    python -m tools.scaling_model

Lives here: the arithmetic, and which figure it is taken from. Pure: numbers in, numbers out. Not here: measuring
(`benchmarks`), and the checks against measured days, which docs/scaling.md tells in words.

Units: seconds of CPU of one core of the machine that was measured (two cores; `machine` in results.json), MB = 10⁶ bytes.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results.json"

SIZES = (1, 100, 10_000, 300_000)
"""Chips a day."""
DENSE_FROM_CHIPS, SPARSE_SHIPS, DENSE_SHIPS = 1_000, 4.0, 33.3
"""From so many chips on ships are taken to be as dense on a scene as in the workload `dense`, below as in `sparse`."""
DISK_MB_PER_CHIP = 0.5
"""Four bands with all artefacts, as real scenes give (docs/operations.md); the embedded archive's are smoother: 0.28."""
PAGE_MB_PER_CHIP = 0.0026
"""What a chip and 1.7 targets without one add to the page: days of 1,138 and 4,477 chips, 2.78 and 11.60 MB."""
OBJECTS_PER_CHIP = 4
"""GeoTIFF, JSON, GeoJSON, quicklook."""
SEARCHES_PER_SCENE = 2.0
"""days/1000: six STAC requests for a day of three scenes."""
CORES = 2
"""Of the machine that was measured."""
LINK_MB_PER_S = 40.0
"""An archive over the internet, as in the benchmark's slow link: 320 Mbit/s."""
RUN_MEMORY_MB = 4_000.0
"""What one run may take: the limit in deploy/compose.yaml."""
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured. Each field says where in benchmarks/results.json."""

    run_cpu_s: float
    """Fixed cost of a day: Dagster, plan, search, checks, pages. sizes/days/30 − sizes/days/10, less their chips."""
    densities: tuple[float, ...]
    """Ships on a scene, ascending: readers/sparse and readers/dense at 30 ms (18 and 6 scenes), sizes/ships (6 scenes)."""
    read_cpu_s: tuple[float, ...]
    """Reading, a ship, at each density: the same. Six bands and SCL."""
    requests: tuple[float, ...]
    """To the archive, a ship: the same."""
    archive_mb: tuple[float, ...]
    """From the archive, a ship: the same."""
    chips_per_ship: float
    """What passes the gate: readers/dense/30 ms/s2chips."""
    write_cpu_s: float
    """Encoding and writing all four artefacts, a chip: scripts/writing."""
    match_cpu_s: float
    """Targets, matching, vessels and labels, a ship: scripts/matching, from 1,000 to 10,000."""
    page_cpu_s: float
    """Page of the day, a chip: step daily_report of days/4000 − days/1000."""
    geojson_cpu_s: float
    """GeoJSON of the day and its checks, a chip: the same difference."""
    made_up_ais_cpu_s: float
    """Made-up AIS, a chip, which no real day has and every measured one: step ais_snapshots of the same difference."""
    run_memory_mb: float
    """Peak of a run without its chips: days/1000 and days/4000, drawn to nothing. Days of a few chips take half of it."""
    chip_memory_mb: float
    """What each further chip of the same run adds: the same two."""
    index_bytes: float
    """A row of tiles.parquet: scripts/indexing, 5,000,000 rows."""
    index_add_cpu_s: float
    """Adding a day to 5,000,000 rows in the middle: scripts/indexing."""
    capture_core: float
    """Share of a core that listening takes at 5,000 messages/s: scripts/capture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day of `chips` chips takes. CPU in seconds, memory and bytes in MB."""

    chips: int
    ships: float
    scenes: float
    fixed_s: float
    read_s: float
    write_s: float
    match_s: float
    geojson_s: float
    page_s: float
    requests: float
    searches: float
    archive_mb: float
    disk_mb: float
    objects: int
    memory_mb: float
    """In one run."""
    fixed_memory_mb: float
    """Of it, what each run takes again."""
    page_mb: float
    index_gb_a_year: float

    @property
    def cpu_s(self) -> float:
        """All of it."""
        return self.fixed_s + self.read_s + self.write_s + self.match_s + self.geojson_s + self.page_s

    @property
    def hours(self) -> float:
        """On one machine of two cores: the CPU, or the link where that takes longer. A run keeps 1.2 cores busy."""
        return max(self.cpu_s / 1.2, self.archive_mb / LINK_MB_PER_S) / 3600

    @property
    def network_mbit_per_s(self) -> float:
        """From the archive, if it is spread evenly over 24 hours."""
        return self.archive_mb * 8 / SECONDS_A_DAY

    @property
    def runs(self) -> int:
        """How many runs the day has to be cut into, so that none takes more memory than RUN_MEMORY_MB."""
        chips_mb = self.memory_mb - self.fixed_memory_mb
        return max(1, math.ceil(chips_mb / (RUN_MEMORY_MB - self.fixed_memory_mb)))

    @property
    def most_gain_of_workers(self) -> float:
        """How much faster the CPU's work gets with any number of Dask workers: they read, and the run does the rest."""
        return self.cpu_s / (self.cpu_s - self.read_s)


def figures_of(results: Mapping[str, Any]) -> Figures:
    """The figures that the model takes, from the tree of benchmarks/results.json.

    Raises:
        KeyError, ValueError: a benchmark that it needs is not in there, or prints something else now.
    """
    found = results["figures"]
    dense, sparse = found["readers/dense/30 ms/s2chips"], found["readers/sparse/30 ms/s2chips"]
    small, large = found["days/1000"], found["days/4000"]
    few, many = found["sizes/days/10"], found["sizes/days/30"]
    more = large["chips"] - small["chips"]

    def step(name: str) -> float:
        return float(large["steps_s"].get(name, 0) - small["steps_s"].get(name, 0)) / more

    chip_memory_mb = (large["peak_mb"] - small["peak_mb"]) / more
    writing = _column(found["scripts/writing"], r"all four artefacts, written\s+([\d.]+)\s")
    matching = sum(
        (
            _column(found["scripts/matching"], rf"{name}\s+[\d.]+ s\s+([\d.]+) s")
            - _column(found["scripts/matching"], rf"{name}\s+([\d.]+) s")
        )
        / 9_000
        for name in ("build targets", "match", "write matches", "vessels", "labels")
    )
    in_the_middle = r"index, in the middle \| 5,000,000 \| ([\d,]+) \| [\d.]+ \| ([\d.]+) \|"
    readings = [(sparse, 18), (dense, 6), *((found[f"sizes/ships/{count}"], 6) for count in (1_000, 10_000))]
    chips_per_ship = dense["chips"] / dense["ships"]
    page, geojson = step("daily_report"), step("daily_geojson") + step("daily_geojson_equals_index_and_files")
    per_chip = (dense["cpu_s"] / dense["ships"] + matching) / chips_per_ship + writing / 1000 + page + geojson
    return Figures(
        run_cpu_s=(many["cpu_s"] - few["cpu_s"] - (many["chips"] - few["chips"]) * per_chip) / (many["days"] - few["days"]),
        densities=tuple(read["ships"] / scenes for read, scenes in readings),
        read_cpu_s=tuple(read["cpu_s"] / read["ships"] for read, _ in readings),
        requests=tuple(read["requests"] / read["ships"] for read, _ in readings),
        archive_mb=tuple(read["bytes"] / read["ships"] / 1e6 for read, _ in readings),
        chips_per_ship=chips_per_ship,
        write_cpu_s=writing / 1000,
        match_cpu_s=matching,
        page_cpu_s=page,
        geojson_cpu_s=geojson,
        made_up_ais_cpu_s=step("ais_snapshots"),
        run_memory_mb=small["peak_mb"] - small["chips"] * chip_memory_mb,
        chip_memory_mb=chip_memory_mb,
        index_bytes=_column(found["scripts/indexing"], in_the_middle) * 1e6 / 5e6,
        index_add_cpu_s=_column(found["scripts/indexing"], in_the_middle, 2),
        capture_core=_column(found["scripts/capture"], r"CPU while listening: (\d+)% of one core") / 100,
    )


def predict(chips: int, figures: Figures, *, ships_per_scene: float | None = None) -> Day:
    """A day of `chips` chips in one run; with the density that DENSE_FROM_CHIPS says, unless another is given."""
    density = ships_per_scene or (DENSE_SHIPS if chips >= DENSE_FROM_CHIPS else SPARSE_SHIPS)
    ships = chips / figures.chips_per_ship
    scenes = max(1.0, ships / density)
    return Day(
        chips=chips,
        ships=ships,
        scenes=scenes,
        fixed_s=figures.run_cpu_s,
        read_s=ships * _at(density, figures.densities, figures.read_cpu_s),
        write_s=chips * figures.write_cpu_s,
        match_s=ships * figures.match_cpu_s,
        geojson_s=chips * figures.geojson_cpu_s,
        page_s=chips * figures.page_cpu_s,
        requests=ships * _at(density, figures.densities, figures.requests),
        searches=scenes * SEARCHES_PER_SCENE,
        archive_mb=ships * _at(density, figures.densities, figures.archive_mb),
        disk_mb=chips * DISK_MB_PER_CHIP,
        objects=chips * OBJECTS_PER_CHIP,
        page_mb=chips * PAGE_MB_PER_CHIP,
        memory_mb=figures.run_memory_mb + chips * figures.chip_memory_mb,
        fixed_memory_mb=figures.run_memory_mb,
        index_gb_a_year=chips * 365 * figures.index_bytes / 1e9,
    )


def table(days: list[Day]) -> str:
    """Markdown, one column for each day."""
    rows: list[tuple[str, list[str]]] = [
        ("ships tried", [_short(day.ships) for day in days]),
        ("scenes", [_short(day.scenes) for day in days]),
        ("CPU, s", [_short(day.cpu_s) for day in days]),
        ("of it: fixed", [_short(day.fixed_s) for day in days]),
        ("of it: reading", [_short(day.read_s) for day in days]),
        ("of it: encoding and writing", [_short(day.write_s) for day in days]),
        ("of it: matching and labels", [_short(day.match_s) for day in days]),
        ("of it: GeoJSON", [_short(day.geojson_s) for day in days]),
        ("of it: page of the day", [_short(day.page_s) for day in days]),
        ("hours on one machine of two cores", [_short(day.hours) for day in days]),
        ("machines, if it may take 12 hours", [str(max(1, -(-int(day.hours * 100) // 1_200))) for day in days]),
        ("memory of one run, GB", [_short(day.memory_mb / 1000) for day in days]),
        ("runs, if none may take 4 GB", [str(day.runs) for day in days]),
        ("page of the day, MB", [_short(day.page_mb) for day in days]),
        ("requests to the archive", [_short(day.requests) for day in days]),
        ("searches", [_short(day.searches) for day in days]),
        ("from the archive, GB", [_short(day.archive_mb / 1000) for day in days]),
        ("the same, Mbit/s over 24 h", [_short(day.network_mbit_per_s) for day in days]),
        ("storage a day, GB", [_short(day.disk_mb / 1000) for day in days]),
        ("storage a year, TB", [_short(day.disk_mb * 365 / 1e6) for day in days]),
        ("objects a day", [_short(day.objects) for day in days]),
        ("rows of the index a year, million", [_short(day.chips * 365 / 1e6) for day in days]),
        ("tiles.parquet after a year, GB", [_short(day.index_gb_a_year) for day in days]),
        ("most gain in CPU from Dask workers", [f"{day.most_gain_of_workers:.1f} ×" for day in days]),
    ]
    lines = ["| chips a day | " + " | ".join(f"{day.chips:,}" for day in days) + " |"]
    lines.append("|---" + "|---:" * len(days) + "|")
    return "\n".join(lines + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows])


def figures_table(figures: Figures) -> str:
    """Markdown: what the model is made of."""
    lines = ["| figure | value |", "|---|---:|"]
    for field in fields(figures):
        value = getattr(figures, field.name)
        values = value if isinstance(value, tuple) else (value,)
        lines.append(f"| `{field.name}` | {', '.join(f'{one:.2g}' if one < 100 else _short(one) for one in values)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    figures = figures_of(json.loads(RESULTS.read_text(encoding="utf-8")))
    print(figures_table(figures), end="\n\n")
    print(table([predict(chips, figures) for chips in SIZES]))


def _at(density: float, densities: tuple[float, ...], costs: tuple[float, ...]) -> float:
    """The cost of a ship at a density: on straight lines between the logarithms of what was measured, level beyond."""
    return float(np.exp(np.interp(math.log(density), np.log(densities), np.log(costs))))


def _column(script: Mapping[str, Any], pattern: str, group: int = 1) -> float:
    """A number of what a benchmark printed."""
    for line in script["printed"]:
        if match := re.search(pattern, line):
            return float(match[group].replace(",", ""))
    raise ValueError(f"no line like {pattern!r} in what the benchmark printed")


def _short(value: float) -> str:
    """Two significant digits, and all digits before the point of what is 100 and more: rounded to two of them."""
    if value == 0:
        return "0"
    if abs(value) >= 99.5:
        digits = len(str(round(abs(value)))) - 2
        return f"{round(value, -digits):,.0f}"
    return f"{float(f'{value:.2g}'):g}"


if __name__ == "__main__":
    main()
