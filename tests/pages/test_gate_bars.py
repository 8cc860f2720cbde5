"""Numbers against their limits."""

from typing import Any

import numpy as np
import pytest

from s2chips_core.chips.gate import GateNumbers, judge_scl
from s2chips_core.pages.gate_bars import gate_bars, gate_notes
from s2chips_core.sections import Gate

ROW: dict[str, Any] = {"qa_cloud_frac": 0.05, "qa_land_frac": 0.21, "qa_water_frac": 0.5, "qa_nodata_frac": None}


def test_each_number_against_its_limit() -> None:
    bars = {bar.label: bar for bar in gate_bars(ROW, Gate())}
    assert [bar.holds for bar in bars.values()] == [True, False, True, None]
    assert (bars["Cloud"].limit_text, bars["Cloud"].least) == ("at most 5.0 %", False)
    assert (bars["Water"].limit_text, bars["Water"].least) == ("at least 50.0 %", True)
    assert bars["Nodata, whole chip"].value_text == "not measured"


@pytest.mark.parametrize("cloudy_px", [0, 204, 205, 4096])
def test_a_number_on_its_limit_is_judged_as_the_gate_does(cloudy_px: int) -> None:
    scl = np.full((256, 256), 6, np.uint8)
    middle = scl[96:160, 96:160]
    middle[np.unravel_index(np.arange(cloudy_px), middle.shape)] = 9
    judged = judge_scl(scl, Gate())
    numbers: GateNumbers = judged.numbers
    row = {**ROW, "qa_cloud_frac": numbers.qa_cloud_frac}
    assert gate_bars(row, Gate())[0].holds is (judged.reason is None)


def test_without_limits_nothing_is_compared() -> None:
    bars = gate_bars(ROW, None)
    assert {(bar.limit, bar.holds, bar.limit_text) for bar in bars} == {(None, None, "limit not known")}
    assert "another configuration abc" in gate_notes({**ROW, "config_hash": "abc"}, None)[0]


def test_nothing_measured_has_no_bars() -> None:
    assert gate_bars(dict.fromkeys(ROW), Gate()) == []


def test_notes_say_how_it_was_judged() -> None:
    said = {**ROW, "gate_verdict": "pass_ndwi_only", "scl_present": False, "config_hash": "abc"}
    notes = " ".join(gate_notes(said, Gate(enabled=False, center_window_px=32)))
    assert "pass ndwi only" in notes
    assert "not there" in notes
    assert "32 × 32 px" in notes
    assert "The gate was off" in notes
