"""The worked example: what it chooses, what it keeps apart, and that it learns. Run as a whole in flow/test_demo.py."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import shapely

from s2chips_core import tables
from s2chips_core.chips.artefacts import encode_geotiff
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.index.clay import read_clay_batch
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.index.chips import chip_of, commit_chips, index_of, scene_of

SCRIPT = Path(__file__).parents[1] / "examples" / "train_batch.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_batch", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_that_passed_and_whose_length_is_known(example: ModuleType, storage: LocalStorage) -> None:
    known, unknown = index_of([1, 2, 3], length_m=120.0), index_of([4])
    known.loc[known["mmsi"] == 244_660_001, "gate_verdict"] = "off"
    commit_chips(storage, pd.concat([known, unknown]))
    build_tiles_index(storage)
    assert set(example.select_rows(storage)["mmsi"]) == {244_660_002, 244_660_003}


def test_only_ships_that_the_picture_does_not_deny(
    example: ModuleType, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = index_of([1, 2, 3, 4], length_m=120.0)
    rows["confirmation"] = ["confirmed", None, "absent", "ambiguous"]
    monkeypatch.setattr(pd, "read_parquet", lambda *_: rows)
    storage.put("indexes/tiles.parquet", b"")
    assert list(example.select_rows(storage)["chip_id"]) == list(rows["chip_id"][:2])


def test_no_vessel_and_no_pixel_is_in_two_splits(example: ModuleType) -> None:
    random = np.random.default_rng(3)
    x, y = random.uniform(0, 10, (2, 120))
    rows = pd.DataFrame(
        {
            "chip_id": [f"{n:016x}" for n in range(120)],
            "split": random.choice(["train", "val", "test"], 120, p=[0.7, 0.15, 0.15]),
            "mmsi": random.integers(0, 90, 120),
            "datatake": random.choice(["GS2A", "GS2B"], 120),
            "geometry": [shapely.to_wkb(shapely.box(a, b, a + 0.6, b + 0.6)) for a, b in zip(x, y, strict=True)],
        }
    )
    kept = example.keep_apart(rows)
    shapes = dict(zip(rows["chip_id"], shapely.from_wkb(rows["geometry"]), strict=True))

    def meet(one: pd.Series, other: pd.Series) -> bool:
        same_pass = one["datatake"] == other["datatake"]
        return one["mmsi"] == other["mmsi"] or (same_pass and shapes[one["chip_id"]].intersects(shapes[other["chip_id"]]))

    told = [row for _, row in kept.iterrows()]
    assert not any(meet(a, b) for a in told for b in told if a["split"] != b["split"])
    # Test is whole, and nothing is left out without a reason.
    assert set(kept[kept["split"] == "test"]["chip_id"]) == set(rows[rows["split"] == "test"]["chip_id"])
    gone = [row for _, row in rows[~rows["chip_id"].isin(kept["chip_id"])].iterrows()]
    assert 0 < len(gone) < 100
    assert all(any(meet(row, other) for other in told if other["split"] != row["split"]) for row in gone)


@pytest.mark.parametrize("splits", [[], ["train"], ["val", "train"], ["test"]])
def test_splits_may_be_empty(example: ModuleType, splits: list[str]) -> None:
    rows = index_of(range(len(splits)))
    rows["split"] = splits
    assert sorted(example.keep_apart(rows)["split"]) == sorted(splits)


@pytest.fixture
def painted(storage: LocalStorage) -> pd.DataFrame:
    """Rows of chips on which long ships are painted long and short ones short."""
    lengths = {n: 60.0 if n % 2 else 200.0 for n in range(20)}
    rows = pd.concat([index_of([n], length_m=length) for n, length in lengths.items()])
    for row in tables.conform(rows, INDEX_SCHEMA, "rows").to_pylist():
        pixels = np.full((4, 256, 256), 0.03, np.float32)
        half = int(row["length_m"] / 20)
        pixels[:, 127:130, 128 - half : 128 + half] = 0.25
        request = CutRequest(target_id="t", mmsi=row["mmsi"], lat=row["lat"], lon=row["lon"], chip_id=row["chip_id"])
        chip: Chip = chip_of(request, scene_of(), reflectance=pixels, bands=("B02", "B03", "B04", "B08"))
        storage.put(row["path"], encode_geotiff(chip, tags={}, geotiff="gtiff", compression="deflate"))
    return rows


def test_the_probe_learns_what_is_in_the_pixels(example: ModuleType, storage: LocalStorage, painted: pd.DataFrame) -> None:
    weights, losses = example.train(storage, painted)
    assert losses[0] > 0.3
    assert losses[-1] < 0.5 * losses[0]
    for features, labels in example.batches(storage, painted):
        assert ((example.predict(weights, features) > 0.5) == (labels == 1)).all()


def test_batches_by_number_are_the_same_chips(example: ModuleType, storage: LocalStorage, painted: pd.DataFrame) -> None:
    given = example.ClayBatches(storage, painted)
    assert [len(one["label"]) for one in given] == [8, 8, 4]
    whole = read_clay_batch(storage, painted)
    for name, array in whole.datacube().items():
        if name in ("waves", "gsd"):
            np.testing.assert_array_equal(given[2][name], array)
        else:
            np.testing.assert_array_equal(np.concatenate([one[name] for one in given]), array)
    labels = np.concatenate([one["label"] for one in given])
    np.testing.assert_array_equal(labels, painted["length_m"].to_numpy(float) > 100)
    with pytest.raises(IndexError):
        given[3]
