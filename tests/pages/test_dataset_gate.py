"""The gate's numbers in histograms: counted by hand, and their thresholds."""

import pandas as pd
import pytest

from s2chips_core.index.outcomes import QA_FIELDS
from s2chips_core.pages.dataset_gate import BINS, build_histograms
from s2chips_core.sections import Gate


def numbers(rows: list[tuple[float | None, float | None, float, float]], outcome: str | None = None) -> pd.DataFrame:
    order = ["qa_cloud_frac", "qa_land_frac", "qa_water_frac", "qa_nodata_frac"]
    frame = pd.DataFrame(rows, columns=order, dtype=float)
    return frame if outcome is None else frame.assign(outcome=outcome)


def test_chips_and_refusals_are_told_apart() -> None:
    chips = numbers([(0.0, 0.1, 0.9, 0.0), (0.049, 0.0, 1.0, 0.0), (None, None, 0.97, 0.0)])
    refused = pd.concat(
        [numbers([(0.6, 0.1, 0.2, 0.0), (1.0, 0.0, 0.0, 0.0)], "gate_cloud"), numbers([(0.0, 0.8, 0.2, 0.0)], "gate_land")]
    )
    cloud, land, water, nodata = build_histograms(chips, refused, Gate(max_cloud_center_frac=0.1))
    assert (cloud.chips[0], sum(cloud.chips), cloud.unmeasured) == (2, 2, 1)
    assert [n for n, count in enumerate(cloud.refused_by_it) if count] == [12, BINS - 1]
    assert [n for n, count in enumerate(cloud.refused_else) if count] == [0]
    assert (sum(land.refused_by_it), land.refused_by_it[16]) == (1, 1)
    assert (water.chips[18], water.chips[19], sum(water.refused_else)) == (1, 2, 3)
    assert sum(nodata.refused_by_it) == 0
    assert (cloud.threshold, cloud.setting, cloud.limit) == (0.1, "gate.max_cloud_center_frac", "most")
    assert (water.threshold, water.limit) == (0.5, "least")


def test_heights_are_square_roots_of_the_tallest() -> None:
    chips = numbers([(0.0, 0.0, 1.0, 0.0)] * 16)
    [cloud, *_] = build_histograms(chips, numbers([(0.5, 0.0, 0.5, 0.0)], "gate_cloud"), Gate())
    assert cloud.most == 16
    assert [cloud.height(n) for n in (16, 4, 1, 0)] == [1.0, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("column", QA_FIELDS)
def test_nothing_measured_is_an_empty_histogram(column: str) -> None:
    empty = numbers([])
    [one] = [each for each in build_histograms(empty, numbers([], "nodata"), Gate()) if each.column == column]
    assert (one.most, one.height(0), sum(one.chips)) == (0, 0.0, 0)
