from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.plots import draw
from benchmarks.report import page
from benchmarks.sizes import slope

MACHINE = {"commit": "abc", "cores": 2, "model": "m", "memory_gb": 8, "system": "s", "python": "3.12", "load_before": 0.1}


def reading(seconds: float, **changed: Any) -> dict[str, Any]:
    return {
        "ships": 10,
        "chips": 7,
        "seconds": seconds,
        "cpu_s": 0.1,
        "requests": 28,
        "bytes": 20_000_000,
        "peak_mb": 300.0,
        "wrong_pixels": 0,
        "lost": 0,
        **changed,
    }


FIGURES = {
    "floor/dense": {
        "files": 4,
        "blocks": 26,
        "runs": 20,
        "block_bytes": 28_000_000,
        "row_bytes": 19_000_000,
        "header_bytes": 5_000,
        "ships": 10,
    },
    "readers/dense/30 ms/s2chips": reading(0.5),
    "readers/dense/30 ms/rasterio": reading(3.0),
    "readers/dense/30 ms, 10% faults/s2chips": reading(0.6, wrong_pixels=3),
    "readers/dense/30 ms, 10% faults/stackstac": {"failed": "broke"},
    "days/1000": {
        "chips": 100,
        "seconds": 4.0,
        "steps_s": {"chips": 1.6, "daily_report": 2.0},
        "cpu_s": 2.0,
        "peak_mb": 400.0,
        "memory_mb": [[0.5, 200.0], [1.0, 220.0], [4.0, 221.0]],
    },
    "skipped/rasteret": "needs Python 3.12 or newer, this is 3.11.7",
}


def test_page_tells_figures_goals_and_what_was_skipped(tmp_path: Path) -> None:
    tree = {"complete": False, "machine": MACHINE, "began": "2026-01-02T03:04:05+00:00", "figures": FIGURES}
    text = page(tree, draw(FIGURES, tmp_path))
    assert "2026-01-02" in text
    assert "not finished" in text
    assert "| 30 ms | s2chips | 14.0 | 6.00 | 10.0 | 2.80 | 2.00 | 300 | 0 | 0 |" in text
    assert "| chips/s against rasterio, dense, 30 ms | 5 × | 6.0 × |" in text
    assert "| requests, dense | floor + 10 % | floor -7 % |" in text
    assert "3 wrong, 0 lost, 1.20 ×" in text
    assert "| a day in Dagster, 100 chips written, asset `chips` | 50 chips/s | 62 chips/s; 25 with plan" in text
    assert "failed: broke" in text
    assert "- rasteret needs Python 3.12" in text


def test_pictures_are_svg(tmp_path: Path) -> None:
    drawn = draw(FIGURES, tmp_path)
    assert set(drawn) == {"readers", "memory"}
    for name in drawn.values():
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
    assert draw({}, tmp_path) == {}


def test_slope_is_the_exponent_without_the_smallest() -> None:
    assert slope({10: 5.0, 100: 1.0, 1000: 10.0, 10_000: 100.0}) == pytest.approx(1.0)
    assert slope({10: 1.0}) is None
