"""The pictures of docs/performance.md: plain SVG with colours that are read on white and on black.

Needs nothing beyond Python, so that the page can be made again anywhere.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS

INK, FAINT = "#777d86", "#9aa0a840"
COLOURS = ("#1f8a70", "#c4622d", "#8d6cc4", "#b0852a", "#3f83c4", "#b9517f")
"""Between 3:1 and 5:1 against white and against GitHub's dark grey."""
LINKS = ("0 ms", "30 ms", "100 ms", "30 ms, 40 MB/s", "30 ms, 10% faults")


def draw(figures: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Write what there are figures for; name -> file."""
    drawn: dict[str, str] = {}
    for name, svg in (("readers", _readers(figures)), ("memory", _memory(figures))):
        if svg:
            (folder / f"performance-{name}.svg").write_text(svg, encoding="utf-8")
            drawn[name] = f"performance-{name}.svg"
    return drawn


def _readers(figures: Mapping[str, Any]) -> str:
    """Bars of chips per second, a group for each link, dense."""
    start = "readers/dense/"
    links = [link for link in LINKS if any(key.startswith(f"{start}{link}/") for key in figures)]
    if not links:
        return ""
    values = {
        (link, peer): found["chips"] / found["seconds"]
        for link in links
        for peer in PEERS
        if (found := figures.get(f"{start}{link}/{peer}")) and "failed" not in found
    }
    most = max(values.values(), default=1.0)
    bar, gap, left, width = 15, 16, 130, 560
    parts, y = [], 34
    parts.append(_text(0, 14, "Chips per second, dense ships, by link and reader", weight=600))
    for link in links:
        peers = [peer for peer in PEERS if (link, peer) in values]
        parts.append(_text(left - 10, y + len(peers) * bar / 2 + 4, link, anchor="end"))
        for peer in peers:
            length = width * values[link, peer] / most
            colour = COLOURS[list(PEERS).index(peer)]
            parts.append(f"<rect x='{left}' y='{y}' width='{length:.1f}' height='{bar - 3}' rx='2' fill='{colour}'/>")
            parts.append(_text(left + length + 6, y + 10, f"{values[link, peer]:.3g} {peer}", size=11))
            y += bar
        y += gap
    return _svg(left + width + 120, y, parts)


def _memory(figures: Mapping[str, Any]) -> str:
    """Lines of resident memory over time, a line for each day."""
    days = [day for key, day in figures.items() if key.startswith("days/") and day.get("memory_mb")]
    if not days:
        return ""
    left, top, width, height = 60, 30, 600, 200
    last = max(day["memory_mb"][-1][0] for day in days) or 1.0
    most = max(mb for day in days for _, mb in day["memory_mb"]) * 1.1
    parts = [_text(0, 14, "Memory of the process over a day in Dagster, MB", weight=600)]
    for share in (0, 0.5, 1):
        y = top + height * (1 - share)
        parts.append(f"<line x1='{left}' x2='{left + width}' y1='{y}' y2='{y}' stroke='{FAINT}'/>")
        parts.append(_text(left - 8, y + 4, f"{most * share:.0f}", anchor="end"))
        parts.append(_text(left + width * share, top + height + 18, f"{last * share:.0f} s", anchor="middle"))
    for colour, day in zip(COLOURS, days, strict=False):
        points = " ".join(
            f"{left + width * at / last:.1f},{top + height * (1 - mb / most):.1f}" for at, mb in _thinned(day["memory_mb"])
        )
        parts.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts.append(
            _text(left + width + 8, top + height * (1 - day["memory_mb"][-1][1] / most) + 4, f"{day['chips']} chips")
        )
    return _svg(left + width + 100, top + height + 28, parts)


def _thinned(points: Sequence[Sequence[float]], most: int = 300) -> Sequence[Sequence[float]]:
    return points[:: max(1, len(points) // most)]


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: int = 400, size: int = 12) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}'"
    return f"<text {place} fill='{INK}' font-family='system-ui, sans-serif' font-size='{size}'>{escape(words)}</text>"


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    box = f"viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' height='{height:.0f}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {box} role='img'>\n" + "\n".join(parts) + "\n</svg>\n"
