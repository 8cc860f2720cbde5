"""docs/performance.md and its pictures, from the raw figures.

    python -m benchmarks.report

Here: tables and words. Not here: measuring, drawing (`plots`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.results import PATH
from benchmarks.sizes import of_kind, slope

DOCS = Path(__file__).parents[1] / "docs"
Figures = Mapping[str, Any]
GOALS: tuple[tuple[str, str, str, float], ...] = (
    ("chips/s against rasterio, dense, 30 ms", "dense", "30 ms", 5.0),
    ("the same, sparse", "sparse", "30 ms", 3.0),
    ("the same, dense, 100 ms", "dense", "100 ms", 8.0),
)

MADE = (
    "Made by `make bench`; do not edit. The raw figures are in benchmarks/results.json, `python -m benchmarks.report` makes "
    "this page of them."
)
READERS = (
    "From the first request to the last float32 chip in memory. Six bands and SCL of scenes of the embedded archive at "
    "full size, blocks as heavy as real ones (1.19 bytes a pixel), over HTTP from another process. Seven of ten ships "
    "pass the gate; the other readers are told which. CPU, memory, requests and bytes are each reader's own; figures a "
    "ship count all. Wrong: pixels that differ from rasterio's read of the files on disk. Lost: ships without a chip. "
    "Faults: a tenth of all requests is answered with 503, a reset connection or half a body. Every reader is run as its "
    "own documentation recommends (benchmarks/peers)."
)
DAYS = (
    "`run_day` in one process, 30 ms to the first byte: plan, made-up AIS, matching, cutting, GeoTIFF, JSON, GeoJSON and "
    "quicklook of every chip, labels, GeoJSON of the day, reports."
)


def main() -> None:
    """Write the page from the saved figures."""
    write(json.loads(PATH.read_text(encoding="utf-8")))


def write(tree: Figures) -> None:
    """The page and its pictures."""
    from benchmarks import plots

    pictures = plots.draw(tree["figures"], DOCS / "images")
    (DOCS / "performance.md").write_text(page(tree, pictures), encoding="utf-8")


def in_short(found: Figures) -> str:
    """One measurement as a line."""
    if "failed" in found:
        return f"failed: {found['failed']}"
    return (
        f"{found['chips'] / found['seconds']:.1f} chips/s, {1000 * found['cpu_s'] / found['ships']:.1f} ms CPU, "
        f"{found['requests'] / found['ships']:.2f} requests, {found['bytes'] / found['ships'] / 1e6:.2f} MB a ship, "
        f"peak {found['peak_mb']:.0f} MB, {found['wrong_pixels']} wrong, {found['lost']} lost"
    )


def page(tree: Figures, pictures: Mapping[str, str]) -> str:
    """The whole text."""
    figures, machine = tree["figures"], tree["machine"]
    state = "" if tree.get("complete") else " The run was not finished: what is missing was not measured."
    measured = (
        f"Measured on {tree['began'][:10]}, commit {machine['commit']}: {machine['cores']} cores, {machine['model']}, "
        f"{machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}; load before the run "
        f"{machine['load_before']}.{state}"
    )
    parts = [
        "# Performance",
        "",
        MADE,
        "",
        measured,
        "",
        *_readers(figures, pictures),
        *_goals(figures),
        *_days(figures, pictures),
        *_sizes(figures),
        *_scripts(figures),
        *_skipped(figures),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _readers(figures: Figures, pictures: Mapping[str, str]) -> list[str]:
    lines = [
        "## Readers",
        "",
        READERS,
        "",
        *(_image(pictures, "readers", "Chips per second of each reader by link, dense ships")),
    ]
    for name, about in (("dense", "ships in clusters on six scenes"), ("sparse", "ships, four on each of eighteen scenes")):
        conditions = _conditions(figures, name)
        if not conditions:
            continue
        floor = figures.get(f"floor/{name}")
        ships = f"{floor['ships']} " if floor else ""
        lines += [f"### {name.capitalize()}: {ships}{about}", ""]
        lines += [
            "| link | reader | chips/s | × rasterio | CPU ms/ship | requests/ship | MB/ship | peak MB | wrong | lost |"
        ]
        lines += ["|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
        for condition in conditions:
            base = _speed(figures.get(f"readers/{name}/{condition}/rasterio"))
            for peer, about_peer in PEERS.items():
                found = figures.get(f"readers/{name}/{condition}/{peer}")
                if found:
                    lines.append(_row(condition, about_peer.title, found, base))
        if floor:
            lines += ["", _floor(floor)]
        lines.append("")
    return lines


def _row(condition: str, title: str, found: Figures, base: float | None) -> str:
    if "failed" in found:
        return f"| {condition} | {title} | failed: {found['failed'][:80]} | | | | | | | |"
    ships, speed = found["ships"], _speed(found)
    ratio = f"{speed / base:.2f}" if base and speed is not None else ""
    cells = [
        f"{speed:.1f}",
        ratio,
        f"{1000 * found['cpu_s'] / ships:.1f}",
        f"{found['requests'] / ships:.2f}",
        f"{found['bytes'] / ships / 1e6:.2f}",
        f"{found['peak_mb']:.0f}",
        str(found["wrong_pixels"]),
        str(found["lost"]),
    ]
    return f"| {condition} | {title} | {' | '.join(cells)} |"


def _floor(floor: Figures) -> str:
    ships = floor["ships"]
    requests, joined = floor["files"] + floor["blocks"], floor["files"] + floor["runs"]
    return (
        f"**Floor**, from the headers of the files: each needed block once. {floor['files']} headers and {floor['blocks']} "
        f"blocks are {requests} requests, {requests / ships:.2f} a ship; {joined / ships:.2f} where neighbours are joined. "
        f"{floor['block_bytes'] / ships / 1e6:.2f} MB a ship of whole blocks, "
        f"{floor['row_bytes'] / ships / 1e6:.2f} MB up to the last needed row of each "
        f"(headers: {floor['header_bytes'] / ships / 1e3:.1f} kB)."
    )


def _goals(figures: Figures) -> list[str]:
    lines = ["## Goals", "", "| what | at least | measured |", "|---|---:|---:|"]
    for words, name, condition, least in GOALS:
        ours, base = (_speed(figures.get(f"readers/{name}/{condition}/{peer}")) for peer in ("s2chips", "rasterio"))
        lines.append(f"| {words} | {least:g} × | {f'{ours / base:.1f} ×' if ours and base else ''} |")
    found, floor = figures.get("readers/dense/30 ms/s2chips", {}), figures.get("floor/dense")
    if floor and "requests" in found:
        requests = floor["files"] + floor["blocks"]
        lines += [
            f"| requests, dense | floor + 10 % | floor {100 * (found['requests'] / requests - 1):+.0f} % |",
            f"| bytes, dense | 0.75 of whole blocks | {found['bytes'] / floor['block_bytes']:.2f} |",
            f"| CPU a ship, read to float32, dense | at most 9 ms | {1000 * found['cpu_s'] / found['ships']:.1f} ms |",
        ]
        faulty = figures.get("readers/dense/30 ms, 10% faults/s2chips", {})
        if "seconds" in faulty:
            times = faulty["seconds"] / found["seconds"]
            said = f"{faulty['wrong_pixels']} wrong, {faulty['lost']} lost, {times:.2f} ×"
            lines.append(f"| 10 % faults | 0 wrong, 0 lost, at most 1.5 × the time | {said} |")
    for key, day in figures.items():
        if key.startswith("days/") and "chips" in day:
            of_chips, of_all = day["chips"] / day["steps_s"]["chips"], day["chips"] / day["seconds"]
            said = f"{of_chips:.0f} chips/s; {of_all:.0f} with plan, made-up AIS, matching and pages"
            lines.append(f"| a day in Dagster, {day['chips']} chips written, asset `chips` | 50 chips/s | {said} |")
    return [*lines, ""]


def _days(figures: Figures, pictures: Mapping[str, str]) -> list[str]:
    days = {key: value for key, value in figures.items() if key.startswith("days/")}
    if not days:
        return []
    lines = [
        "## A day in Dagster",
        "",
        DAYS,
        "",
        "| chips | s | chips/s | CPU ms/chip | peak MB | MB at a quarter of the time | MB at the end |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for day in days.values():
        if "failed" in day:
            lines.append(f"| failed: {day['failed'][:80]} | | | | | | |")
            continue
        memory = [mb for _, mb in day["memory_mb"]] or [day["peak_mb"]]
        chips = max(day["chips"], 1)
        cells = [f"{day['chips']}", f"{day['seconds']:.1f}", f"{chips / day['seconds']:.1f}"]
        cells += [f"{1000 * day['cpu_s'] / chips:.1f}", f"{day['peak_mb']:.0f}"]
        lines.append(f"| {' | '.join(cells)} | {memory[len(memory) // 4]:.0f} | {memory[-1]:.0f} |")
    for day in days.values():
        if "steps_s" in day:
            steps = ", ".join(f"`{step}` {seconds:.1f}" for step, seconds in day["steps_s"].items())
            lines += ["", f"Seconds of its steps, {day['chips']} chips: {steps}."]
    return [*lines, "", *(_image(pictures, "memory", "Memory over the time of a day"))]


def _sizes(figures: Figures) -> list[str]:
    lines = []
    for kind, about in (
        ("ships", "cutting only, 30 ms, on the six dense scenes"),
        ("days", "`run_day` for each day, 30 made-up ships a day"),
    ):
        found = of_kind(figures, kind)
        if not found:
            continue
        lines += [
            f"### {kind.capitalize()}: {about}",
            "",
            f"| {kind} | chips | s | CPU s | peak MB |",
            "|---:|---:|---:|---:|---:|",
        ]
        for size, value in found.items():
            cells = f"{value['chips']} | {value['seconds']:.1f} | {value['cpu_s']:.1f} | {value['peak_mb']:.0f}"
            lines.append(f"| {size:,} | {cells} |")
        exponent = slope({size: value["cpu_s"] for size, value in found.items()})
        if exponent is not None:
            lines += ["", f"CPU grows as the number to the power {exponent:.2f}."]
        lines.append("")
    return ["## Cost against size", "", *lines] if lines else []


def _scripts(figures: Figures) -> list[str]:
    lines = []
    for key, value in figures.items():
        if key.startswith("scripts/"):
            name = key.removeprefix("scripts/")
            lines += [f"### benchmarks/{name}.py", "", "```", *value["printed"], "```", ""]
    return ["## Other parts", "", *lines] if lines else []


def _skipped(figures: Figures) -> list[str]:
    skipped = {key.removeprefix("skipped/"): value for key, value in figures.items() if key.startswith("skipped/")}
    rows = [f"- {name} {why}" for name, why in skipped.items()]
    return ["## Not measured", "", *rows, ""] if rows else []


def _conditions(figures: Figures, name: str) -> list[str]:
    found = {key[len(f"readers/{name}/") : key.rindex("/")] for key in figures if key.startswith(f"readers/{name}/")}
    return sorted(found, key=lambda condition: ("," in condition, "fault" in condition, float(condition.split(" ")[0])))


def _speed(found: Figures | None) -> float | None:
    return found["chips"] / found["seconds"] if found and "failed" not in found else None


def _image(pictures: Mapping[str, str], name: str, words: str) -> list[str]:
    return [f"![{words}](images/{pictures[name]})", ""] if name in pictures else []


if __name__ == "__main__":
    main()
