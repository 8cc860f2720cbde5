"""The numbers of the card, counted a second time."""

import collections
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from s2chips_core.export.card_facts import CardFacts, LabelStatistics, card_facts
from s2chips_core.export.selection import read_index
from s2chips_core.storage import LocalStorage
from tests.export.chips import Kept

Dataset = tuple[LocalStorage, dict[str, Kept]]


@pytest.fixture
def rows(dataset: Dataset) -> list[dict[str, Any]]:
    return [chip.row for chip in dataset[1].values()]


@pytest.fixture
def facts(dataset: Dataset) -> CardFacts:
    return card_facts(read_index(dataset[0]))


def by_split(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {split: [r for r in rows if r["split"] == split] for split in ("train", "val", "test")}


def test_counts(facts: CardFacts, rows: list[dict[str, Any]]) -> None:
    assert (facts.chips, facts.vessels) == (16, 12)
    assert facts.splits == {s: (len(r), len({x["mmsi"] for x in r})) for s, r in by_split(rows).items() if r}
    assert facts.ais_sources == {"aisstream": 16}
    assert facts.config_hashes == dict(collections.Counter(row["config_hash"] for row in rows))
    assert facts.bands == {"B02, B03, B04, B08": 8, "B02, B03, B04, B08, B11, B12": 8}
    assert (facts.scenes, facts.days, facts.years) == (3, 3, (2025,))
    assert facts.archives == {"earth_search sentinel-2-l2a": 16}
    assert not facts.synthetic
    assert facts.first == min(row["scene_datetime"] for row in rows)
    assert facts.bounds == pytest.approx(shapely.total_bounds(shapely.from_wkb([r["geometry"] for r in rows])).tolist())


def test_tables_add_up(facts: CardFacts, rows: list[dict[str, Any]]) -> None:
    splits = by_split(rows)
    for table in facts.tables:
        assert table.columns == tuple(facts.splits)
        sums = np.sum([numbers for _, numbers in table.rows], axis=0).tolist()
        assert sums == [len(splits[split]) for split in table.columns], table.title
    found = {table.title: dict(table.rows) for table in facts.tables}
    types = collections.Counter(row["ship_type"] or "not known" for row in rows)
    assert {name: sum(numbers) for name, numbers in found["ship type"].items()} == types
    assert {name: sum(n) for name, n in found["length, m"].items()} == {"50–100": 10, "not known": 6}
    speeds = {"10–15": sum(row["sog_kn"] == 12.5 for row in rows), "not known": sum(row["sog_kn"] is None for row in rows)}
    assert {name: sum(n) for name, n in found["speed, kn"].items()} == speeds


def test_leakage(facts: CardFacts, rows: list[dict[str, Any]]) -> None:
    splits_of: dict[int, set[str]] = collections.defaultdict(set)
    for row in rows:
        splits_of[row["mmsi"]].add(row["split"])
    leaking = {mmsi for mmsi, splits in splits_of.items() if len(splits) > 1}
    assert facts.leaking_vessels == len(leaking) > 0
    assert facts.leaking_chips == sum(row["mmsi"] in leaking for row in rows)
    scenes: dict[str, set[str]] = collections.defaultdict(set)
    for row in rows:
        scenes[row["scene_id"]].add(row["split"])
    assert facts.shared_scenes == sum(len(splits) > 1 for splits in scenes.values())


def moved(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


def test_chips_that_overlap_over_splits(dataset: Dataset) -> None:
    """Footprints drawn so that some overlap: compared pair by pair."""
    table = read_index(dataset[0])
    places = np.random.default_rng(5).uniform(0, 1, (16, 2))
    boxes = [shapely.box(x, y, x + 0.2, y + 0.2) for x, y in places]
    table = moved(table, "geometry", [shapely.to_wkb(box) for box in boxes])
    found = set()
    rows = table.to_pylist()
    for (one, box), (other, other_box) in itertools.combinations(zip(rows, boxes, strict=True), 2):
        if one["datatake"] == other["datatake"] and one["split"] != other["split"] and box.intersects(other_box):
            found |= {one["chip_id"], other["chip_id"]}
    assert card_facts(table).overlapping_chips == len(found) > 0


def test_chips_of_two_tiles_of_one_pass_overlap_too(dataset: Dataset) -> None:
    """The same ground at the same time, in the granules of neighbouring tiles."""
    rows = read_index(dataset[0])
    one = rows.filter(pc.equal(rows["split"], "train")).slice(0, 1)
    other = rows.filter(pc.not_equal(rows["split"], "train")).slice(0, 1)
    same = one["geometry"].to_pylist()
    both = pa.concat_tables([one, moved(other, "geometry", same)])
    both = moved(both, "scene_id", ["S2B_30SUE_20251012_0_L2A", "S2B_29SQV_20251012_0_L2A"])
    assert card_facts(moved(both, "datatake", ["GS2B_1", "GS2B_1"])).overlapping_chips == 2
    assert card_facts(moved(both, "datatake", ["GS2B_1", "GS2B_2"])).overlapping_chips == 0
    assert card_facts(moved(both, "datatake", [None, None])).overlapping_chips == 0
    assert card_facts(moved(moved(both, "datatake", [None, None]), "scene_id", ["S", "S"])).overlapping_chips == 2


def test_one_split_alone(dataset: Dataset) -> None:
    """Nothing leaks, and no column is of a split that is not there."""
    rows = read_index(dataset[0])
    facts = card_facts(rows.filter(pc.equal(rows["split"], "train")))
    assert {table.columns for table in facts.tables} == {("train",)}
    assert set(facts.splits) == {"train"}
    assert (facts.leaking_vessels, facts.leaking_chips, facts.shared_scenes, facts.overlapping_chips) == (0, 0, 0, 0)


def test_a_range_holds_its_lower_end(dataset: Dataset) -> None:
    rows = read_index(dataset[0])
    lengths = [0.0, 24.9, 25.0, 49.9, 50.0, 100.0, 199.9, 200.0, 300.0, 400.0, *[None] * 6]
    speeds = [0.0, 0.4, 0.5, 4.9, 5.0, 10.0, 15.0, 19.9, 20.0, 102.2, *[None] * 6]
    facts = card_facts(moved(moved(rows, "length_m", lengths), "sog_kn", speeds))
    found = {table.title: {name: sum(counts) for name, counts in table.rows} for table in facts.tables}
    ranges = {"0–25": 2, "25–50": 2, "50–100": 1, "100–200": 2, "200–300": 1, "300 and more": 2, "not known": 6}
    assert found["length, m"] == ranges
    assert found["speed, kn"] == {
        "0–0.5": 2,
        "0.5–5": 2,
        "5–10": 1,
        "10–15": 1,
        "15–20": 2,
        "20 and more": 2,
        "not known": 6,
    }


def test_sigma_by_method(dataset: Dataset) -> None:
    table = read_index(dataset[0])
    sigmas = [None, *np.linspace(5, 50, 15).tolist()]
    methods = ["interpolated", "dead_reckoned"] * 8
    facts = card_facts(moved(moved(table, "position_sigma_m", sigmas), "position_method", methods))
    for method, count, values in facts.sigma:
        of_method = [s for s, m in zip(sigmas, methods, strict=True) if m == method and s is not None]
        assert values == pytest.approx(np.quantile(of_method, [0.5, 0.9, 1.0]).tolist())
        assert count == 8
    assert [method for method, _, _ in facts.sigma] == ["dead_reckoned", "interpolated"]


def test_confirmation(dataset: Dataset) -> None:
    table = read_index(dataset[0])
    assert card_facts(moved(table, "confirmation", [None] * 16)).confirmation == {}
    told = card_facts(moved(table, "confirmation", ["confirmed"] * 10 + ["absent"] * 4 + [None] * 2)).confirmation
    assert told == {"confirmed": 10, "absent": 4, "not judged": 2}


def test_labels_are_counted(dataset: Dataset) -> None:
    statistics = LabelStatistics()
    every = [chip.row["labels"] for chip in dataset[1].values()]
    for labels in (*every, None):
        statistics.add(labels)
    flat = [label for labels in every for label in labels]
    assert (statistics.chips, statistics.chips_unknown) == (16, 1)
    assert (statistics.labels, statistics.others) == (len(flat), len(flat) - 16)
    assert statistics.boxes == sum(label["box"] is not None for label in flat)
    assert statistics.truncated == sum(label["truncated"] for label in flat)
    assert sum(statistics.box_sources.values()) == len(flat)
