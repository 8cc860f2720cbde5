"""Vessels in more than one split, counted by sets."""

import pandas as pd

from s2chips_core.pages.dataset_balance import present_splits
from s2chips_core.pages.dataset_leakage import find_leakage
from tests.pages.sample_dataset import make_dataset


def test_the_numbers_are_those_that_sets_give() -> None:
    index = make_dataset(600).index
    splits = present_splits(index["split"])
    leakage = find_leakage(index, splits)
    ships = {split: set(index.loc[index["split"] == split, "mmsi"]) for split in splits}
    mixed = {m for split in splits for other in splits if split != other for m in ships[split] & ships[other]}
    assert {vessel.mmsi for vessel in leakage.vessels} == mixed != set()
    assert leakage.chips == index["mmsi"].isin(mixed).sum()
    assert leakage.all_vessels == len(set(index["mmsi"]))
    outside = index[index["split"] != "train"]
    assert leakage.all_held_out == len(outside)
    assert leakage.held_out == outside["mmsi"].isin(ships["train"]).sum()
    assert [vessel.chips for vessel in leakage.vessels] == sorted((v.chips for v in leakage.vessels), reverse=True)
    for vessel in leakage.vessels[:20]:
        of_ship = index[index["mmsi"] == vessel.mmsi]
        assert vessel.counts == tuple((of_ship["split"] == split).sum() for split in splits)


def test_splits_by_vessel_leak_nothing() -> None:
    index = make_dataset(300, splits_by="mmsi").index
    leakage = find_leakage(index, present_splits(index["split"]))
    assert (leakage.vessels, leakage.chips, leakage.held_out) == ((), 0, 0)


def test_a_split_that_no_chip_is_in_holds_nobody() -> None:
    index = pd.DataFrame({"mmsi": [1, 2, 2], "split": ["train", "train", "test"], "ship_name": [None] * 3})
    leakage = find_leakage(index, ("train", "val", "test"))
    assert [(vessel.mmsi, vessel.counts) for vessel in leakage.vessels] == [(2, (1, 0, 1))]
    assert (leakage.chips, leakage.held_out, leakage.all_held_out) == (2, 1, 1)


def test_a_vessel_has_the_last_name_it_told() -> None:
    index = pd.DataFrame({"mmsi": [1, 1, 1], "split": ["train", "val", "val"], "ship_name": ["OLD", "NEW", None]})
    [vessel] = find_leakage(index, ("train", "val")).vessels
    assert (vessel.name, vessel.counts) == ("NEW", (1, 2))
    nameless = find_leakage(index.assign(ship_name=None), ("train", "val")).vessels
    assert nameless[0].name is None
