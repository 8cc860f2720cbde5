"""How chips spread: counted by pandas otherwise, and what stands out compared with a worked example."""

import numpy as np
import pandas as pd
import pytest

from s2chips_core.pages.dataset_balance import (
    SHOWN_MOST,
    adjusted_residuals,
    build_balance,
    near_text,
    present_splits,
    range_labels,
)
from tests.pages.sample_dataset import make_dataset


def charts(index: pd.DataFrame) -> dict[str, object]:
    return {variable.name: variable for variable in build_balance(index)}


@pytest.fixture(scope="module")
def index() -> pd.DataFrame:
    return make_dataset(900).index


def test_every_chip_is_in_one_category_of_every_chart(index: pd.DataFrame) -> None:
    for variable in build_balance(index):
        for categories in (variable.shown, variable.categories):
            assert sum(each.total for each in categories) == len(index)
            for place, split in enumerate(variable.splits):
                assert sum(each.counts[place] for each in categories) == (index["split"] == split).sum()
                assert sum(each.shares[place] for each in categories) == pytest.approx(1.0)
            assert max(max(each.shares) for each in categories) <= variable.scale <= 1.0


def test_counts_are_those_of_the_columns(index: pd.DataFrame) -> None:
    found = {variable.name: {each.label: each.total for each in variable.categories} for variable in build_balance(index)}
    assert found["region"] == index["mgrs_tile"].value_counts().to_dict()
    assert found["type"] == index["ship_type"].fillna("not said").value_counts().to_dict()
    assert found["month"] == index["scene_datetime"].dt.strftime("%Y-%m").value_counts().to_dict()
    bins = [-np.inf, 25, 50, 100, 150, 200, 300, np.inf]
    lengths = pd.cut(index["length_m"], bins, right=False).value_counts(sort=False)
    assert [found["length"].get(label, 0) for label in range_labels((25, 50, 100, 150, 200, 300), "m")] == lengths.to_list()
    assert found["speed"]["not said"] == index["sog_kn"].isna().sum() > 0


def test_what_is_not_said_comes_last_and_months_in_order(index: pd.DataFrame) -> None:
    by_name = {variable.name: [each.label for each in variable.categories] for variable in build_balance(index)}
    assert by_name["type"][-1] == "not said"
    assert by_name["month"] == sorted(by_name["month"])
    assert by_name["length"][0] == "under 25 m"


def test_many_categories_are_folded_in_the_chart_alone() -> None:
    index = make_dataset(400).index
    index["mgrs_tile"] = [f"{n % 40 + 1:02d}STF" for n in range(len(index))]
    index["scene_datetime"] = pd.date_range("2020-01-01", periods=len(index), freq="7D", tz="UTC")
    by_name = {variable.name: variable for variable in build_balance(index)}
    region, month = by_name["region"], by_name["month"]
    assert (len(region.shown), len(region.categories)) == (SHOWN_MOST + 1, 40)
    assert (region.shown[-1].label, region.shown[-1].other) == ("others (26)", True)
    assert month.shown[0].other
    assert [each.label for each in month.shown[1:]] == [each.label for each in month.categories[-SHOWN_MOST:]]


def test_residuals_of_a_worked_example() -> None:
    """Agresti, Categorical Data Analysis, 2nd edition, table 3.2 (education and religious beliefs): 6.8 and -2.6 … 6.3."""
    counts = np.array([[178, 138, 108], [570, 648, 442], [138, 252, 252]])
    expected = np.array([[4.5, -2.6, -1.9], [2.6, 1.3, -4.0], [-6.8, 0.7, 6.3]])
    assert adjusted_residuals(counts) == pytest.approx(expected, abs=0.06)
    assert (adjusted_residuals(np.zeros((2, 3))) == 0).all()
    assert (adjusted_residuals(np.array([[4, 3, 2]])) == 0).all()


def test_a_type_that_one_split_lacks_stands_out(index: pd.DataFrame) -> None:
    assert not any(any(each.stands_out) for variable in build_balance(index) for each in variable.categories)
    skewed = index.copy()
    skewed.loc[skewed["split"] == "test", "ship_type"] = "Tanker"
    types = next(variable for variable in build_balance(skewed) if variable.name == "type")
    [tanker] = [each for each in types.categories if each.label == "Tanker"]
    assert tanker.stands_out[types.splits.index("test")]


@pytest.mark.parametrize(
    ("lat", "lon", "text"),
    [
        (36.01, -5.28, "36.0° N 5.3° W"),
        (-33.9, 151.2, "33.9° S 151.2° E"),
        (0.0, 0.0, "0.0° N 0.0° E"),
        (-0.1, 180, "0.1° S 180.0° E"),
    ],
)
def test_where_a_tile_is(lat: float, lon: float, text: str) -> None:
    assert near_text(lat, lon) == text


def test_splits_in_the_order_that_people_say_them() -> None:
    assert present_splits(pd.Series(["test", "other", "train", "test"])) == ("train", "test", "other")


def test_an_empty_index_has_empty_charts() -> None:
    empty = make_dataset(3).index.iloc[:0]
    assert [len(variable.categories) for variable in build_balance(empty)] == [0] * 5
