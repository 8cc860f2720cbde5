"""The model of docs/scaling.md: its arithmetic against sums by hand, its figures against the raw ones, and the page."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.scaling_model import RESULTS, SIZES, Figures, figures_of, figures_table, predict, table

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"

ROUND = Figures(
    run_cpu_s=5.0,
    densities=(4.0, 400.0),
    read_cpu_s=(0.04, 0.0004),
    requests=(8.0, 0.08),
    archive_mb=(4.0, 0.04),
    chips_per_ship=0.5,
    write_cpu_s=0.02,
    match_cpu_s=0.001,
    page_cpu_s=0.01,
    geojson_cpu_s=0.002,
    made_up_ais_cpu_s=0.003,
    run_memory_mb=1_000.0,
    chip_memory_mb=0.1,
    index_bytes=200.0,
    index_add_cpu_s=2.0,
    capture_core=0.4,
)


@pytest.fixture
def results() -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return tree


def test_the_page_shows_what_the_model_prints(results: dict[str, Any]) -> None:
    page, figures = PAGE.read_text(encoding="utf-8"), figures_of(results)
    again = "run python -m tools.scaling_model, and bring docs/scaling.md up to date: tables and sentences"
    assert figures_table(figures) in page, again
    assert table([predict(chips, figures) for chips in SIZES]) in page, again


def test_a_day_by_hand() -> None:
    day = predict(100, ROUND, ships_per_scene=40)
    assert day.ships == 200
    assert day.scenes == 5
    # Halfway between 4 and 400 on a scale of powers is 40, and costs are a tenth there.
    assert day.read_s == pytest.approx(200 * 0.004)
    assert day.requests == pytest.approx(200 * 0.8)
    assert day.archive_mb == pytest.approx(200 * 0.4)
    assert day.write_s == pytest.approx(2.0)
    assert day.match_s == pytest.approx(0.2)
    assert day.cpu_s == pytest.approx(5.0 + 0.8 + 2.0 + 0.2 + 1.0 + 0.2)
    assert day.most_gain_of_workers == pytest.approx(9.2 / 8.4)
    assert day.memory_mb == pytest.approx(1_010)
    assert day.runs == 1
    assert predict(100, ROUND, ships_per_scene=1).requests == pytest.approx(200 * 8.0), "level beyond what was measured"


def test_what_grows_and_what_does_not() -> None:
    one, many = predict(10_000, ROUND), predict(1_000_000, ROUND)
    assert one.fixed_s == many.fixed_s
    for name in ("read_s", "write_s", "match_s", "page_s", "requests", "archive_mb", "disk_mb", "index_gb_a_year"):
        assert getattr(many, name) == pytest.approx(100 * getattr(one, name)), name
    assert many.runs == 34  # 100 GB for the chips, 3 GB in each run beside what it takes without any


def test_the_slower_of_processor_and_link_says_how_long() -> None:
    heavy = replace(ROUND, archive_mb=(400.0, 4.0))
    assert predict(100, ROUND, ships_per_scene=40).hours == pytest.approx(9.2 / 1.2 / 3600)
    assert predict(100, heavy, ships_per_scene=40).hours == pytest.approx(200 * 40 / 40 / 3600)


def test_figures_are_those_that_were_measured(results: dict[str, Any]) -> None:
    found, figures = results["figures"], figures_of(results)
    dense = found["readers/dense/30 ms/s2chips"]
    assert figures.densities == pytest.approx((4, 200 / 6, 1_000 / 6, 10_000 / 6))
    assert figures.read_cpu_s[1] * dense["ships"] == pytest.approx(dense["cpu_s"])
    assert figures.requests[1] * dense["ships"] == pytest.approx(dense["requests"])
    large = found["days/4000"]
    assert figures.run_memory_mb + large["chips"] * figures.chip_memory_mb == pytest.approx(large["peak_mb"])
    more = copy.deepcopy(results)
    more["figures"]["days/4000"]["steps_s"]["daily_report"] += large["chips"] - found["days/1000"]["chips"]
    assert figures_of(more).page_cpu_s == pytest.approx(figures.page_cpu_s + 1)


def test_a_benchmark_that_prints_something_else_is_an_error(results: dict[str, Any]) -> None:
    results["figures"]["scripts/writing"]["printed"] = ["nothing"]
    with pytest.raises(ValueError, match="all four artefacts"):
        figures_of(results)


def test_the_days_that_were_measured_are_within_a_third(results: dict[str, Any]) -> None:
    figures = figures_of(results)
    for key in ("sizes/days/1", "days/1000", "days/4000"):
        measured = results["figures"][key]
        chips = measured["chips"]
        density = max(1.0, chips / figures.chips_per_ship / 3)
        cpu_s = predict(chips, figures, ships_per_scene=density).cpu_s + chips * figures.made_up_ais_cpu_s
        assert cpu_s == pytest.approx(measured["cpu_s"], rel=1 / 3), key
