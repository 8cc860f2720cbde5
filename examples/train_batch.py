"""From tiles.parquet to training batches: choose rows, keep the splits apart, read Clay datacubes, train a linear probe.

    python examples/train_batch.py demo/dataset

The probe tells long ships from short ones, by the pixels around the chip's centre. It stands where an encoder would: a
batch is what Clay v1.5 takes. Nothing but s2chips and what it depends on is needed; `ClayBatches` hands the same to
PyTorch.
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from s2chips_core import layout
from s2chips_core.chips.clay import ClayBatch
from s2chips_core.index.clay import iter_clay_batches, read_clay_batch
from s2chips_core.storage import LocalStorage, Storage

LONG_M = 100.0
BATCH_SIZE = 8
LEARNING_RATE = 0.1
EPOCHS = 20


def select_rows(storage: Storage) -> pd.DataFrame:
    """Chips of ships with a known length that passed the gate and, where the picture was judged, show their ship."""
    index = pd.read_parquet(io.BytesIO(storage.get(layout.tiles_index())))
    good = index["gate_verdict"].isin(["pass", "pass_ndwi_only"]) & index["length_m"].notna()
    if "confirmation" in index:
        good &= index["confirmation"].isna() | (index["confirmation"] == "confirmed")
    return index[good]


def keep_apart(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what would let a split see another one: train gives way to val and test, val gives way to test.

    Two ways lead from one split to another: the same vessel, and the same pixels, for chips of one pass overlap where ships
    are close. (`splits.by: mmsi` in the configuration prevents the first.)
    """
    kept = rows[rows["split"] == "test"]
    for split in ("val", "train"):
        candidates = rows[rows["split"] == split]
        same_vessel = candidates["mmsi"].isin(kept["mmsi"])
        tree = shapely.STRtree(shapely.from_wkb(kept["geometry"]))
        pairs = tree.query(shapely.from_wkb(candidates["geometry"]), predicate="intersects")
        passes, kept_passes = candidates["datatake"].to_numpy(), kept["datatake"].to_numpy()
        same_pixels = np.zeros(len(candidates), bool)
        same_pixels[pairs[0][passes[pairs[0]] == kept_passes[pairs[1]]]] = True
        kept = pd.concat([kept, candidates[~same_vessel & ~same_pixels]])
        vessels, overlaps = int(same_vessel.sum()), int(same_pixels.sum())
        print(f"{split}: of {len(candidates)} chips {vessels} left out for their vessel, {overlaps} for their pixels")
    return kept


def features_of(batch: ClayBatch) -> np.ndarray:
    """(chips, features): in every band how far the middle 640 m, in squares of 80 m, stand out from the chip's median."""
    middle = batch.pixels[:, :, 96:160, 96:160] - np.median(batch.pixels, axis=(2, 3), keepdims=True)
    squares = middle.reshape(*middle.shape[:2], 8, 8, 8, 8)
    found = np.concatenate([squares.mean(axis=(3, 5)), squares.max(axis=(3, 5))], axis=1).reshape(len(middle), -1)
    return np.concatenate([found, np.ones((len(found), 1))], axis=1)


def labels_of(batch: ClayBatch, rows: pd.DataFrame) -> np.ndarray:
    """(chips,): 1 for a long ship, 0 for a short one."""
    length_m = rows.set_index("chip_id")["length_m"].loc[list(batch.chip_ids)]
    return np.asarray(length_m >= LONG_M, np.float32)


def batches(storage: Storage, rows: pd.DataFrame, seed: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features and labels; in another order for every seed."""
    ordered = rows if seed is None else rows.sample(frac=1, random_state=seed)
    for batch in iter_clay_batches(storage, ordered, batch_size=BATCH_SIZE):
        yield features_of(batch), labels_of(batch, rows)


def predict(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Probability of a long ship."""
    probability: np.ndarray = 1 / (1 + np.exp(-features @ weights))
    return probability


def train(storage: Storage, rows: pd.DataFrame, epochs: int = EPOCHS) -> tuple[np.ndarray, list[float]]:
    """Logistic regression by gradient descent; returns the weights and the mean loss of each epoch."""
    weights, losses = np.zeros(0), []
    for epoch in range(epochs):
        total = 0.0
        for features, labels in batches(storage, rows, seed=epoch):
            if not len(weights):
                weights = np.zeros(features.shape[1])
            probability = np.clip(predict(weights, features), 1e-9, 1 - 1e-9)
            total -= float((labels * np.log(probability) + (1 - labels) * np.log(1 - probability)).sum())
            weights -= LEARNING_RATE * features.T @ (probability - labels) / len(labels)
        losses.append(total / len(rows))
    return weights, losses


class ClayBatches:
    """The same batches by number: what PyTorch's DataLoader takes, without PyTorch being needed here.

    DataLoader(ClayBatches(storage, rows), batch_size=None, shuffle=True, num_workers=4)

    gives dicts of tensors: those of Clay's datacube and `label`.
    """

    def __init__(self, storage: Storage, rows: pd.DataFrame) -> None:
        self.storage, self.rows = storage, rows

    def __len__(self) -> int:
        return -(-len(self.rows) // BATCH_SIZE)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        batch = read_clay_batch(self.storage, self.rows.iloc[number * BATCH_SIZE : (number + 1) * BATCH_SIZE])
        return {**batch.datacube(), "label": labels_of(batch, self.rows)}


def main() -> None:
    """Train on `train`, look at `val`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset (storage.dataset_root)")
    storage = LocalStorage(parser.parse_args().dataset)
    rows = keep_apart(select_rows(storage))
    by_split = {split: rows[rows["split"] == split] for split in ("train", "val", "test")}
    if by_split["train"].empty:
        parser.exit(1, "no chips to train on: see gate_verdict, length_m, confirmation and split in tiles.parquet\n")
    batch = next(iter_clay_batches(storage, by_split["train"], batch_size=BATCH_SIZE))
    print(f"first batch: {batch.pixels.shape} of {' '.join(batch.bands)}")
    weights, losses = train(storage, by_split["train"])
    print(f"loss on train: {losses[0]:.3f} in the first epoch, {losses[-1]:.3f} in the last of {len(losses)}")
    for split, chosen in by_split.items():
        right = [(predict(weights, features) > 0.5) == (labels == 1) for features, labels in batches(storage, chosen)]
        print(f"{split}: {int(sum(map(np.sum, right)))} of {len(chosen)} told right")


if __name__ == "__main__":
    main()
