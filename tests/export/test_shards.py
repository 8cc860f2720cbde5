"""WebDataset shards: read by webdataset and by tarfile; the same bytes for the same seed."""

import contextlib
import gc
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import rasterio
import webdataset

from s2chips_core.export.shards import sample_files, shuffled, write_shards
from tests.export.conftest import Export

MakeExport = Callable[..., Export]


def samples_of(pattern: str, *, decode: bool = False) -> list[dict[str, Any]]:
    """As webdataset reads them; it leaves it to Python to close its files."""
    samples = webdataset.WebDataset(pattern, shardshuffle=False)
    found = list(samples.decode() if decode else samples)
    gc.collect()
    return found


left_open = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def shards_of(export: Export, split: str = "train") -> list[Path]:
    return sorted((export.folder / "webdataset").glob(f"{split}-*.tar"))


def ids_in(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return list(dict.fromkeys(name.split(".")[0] for name in tar.getnames()))


@left_open
def test_webdataset_reads_every_chip_once(whole: Export) -> None:
    seen = {}
    for split, counts in whole.manifest["shards"].items():
        assert len(shards_of(whole, split)) == len(counts)
        pattern = f"{whole.folder}/webdataset/{split}-{{000000..{len(counts) - 1:06d}}}.tar"
        for sample in samples_of(pattern):
            seen[sample["__key__"]] = sample
            said = json.loads(sample["json"])
            assert said["chip_id"] == sample["__key__"]
            assert said["split"] == split
    assert set(seen) == set(whole.kept)
    for chip_id, sample in seen.items():
        kept = whole.kept[chip_id]
        with rasterio.open(io.BytesIO(sample["tif"])) as raster:
            np.testing.assert_array_equal(raster.read(), kept.pixels)
        assert sample["jpg"][:2] == b"\xff\xd8"
        assert ("masks.tif" in sample) == ("B11" in kept.row["bands"])
        assert len(json.loads(sample["json"])["labels"]) == len(kept.row["labels"])


@left_open
def test_numpy_arrays_are_decoded_by_webdataset_itself(make_export: MakeExport) -> None:
    export = make_export(formats=("webdataset",), array="npy", bands=("B08", "B02"))
    [shard] = shards_of(export)
    for sample in samples_of(str(shard), decode=True):
        kept = export.kept[sample["__key__"]]
        wanted = kept.pixels[[kept.row["bands"].index(band) for band in ("B08", "B02")]]
        assert sample["npy"].dtype == np.float32
        np.testing.assert_array_equal(sample["npy"], wanted)
        assert sample["json"]["bands"] == ["B08", "B02"]
        assert "tif" not in sample


def test_shards_alone_are_the_shards_of_a_whole_export(whole: Export, make_export: MakeExport) -> None:
    alone = make_export(formats=("webdataset",), shard_chips=5)
    assert {p.name for p in alone.folder.iterdir()} == {"DATACARD.md", "webdataset", "checksums.sha256", "export.json"}
    assert [p.read_bytes() for p in shards_of(alone)] == [p.read_bytes() for p in shards_of(whole)]
    assert alone.manifest["labels"] == whole.manifest["labels"]


def test_the_seed_decides_the_order(whole: Export, make_export: MakeExport) -> None:
    other = make_export(formats=("webdataset",), shard_chips=5, seed=1)
    first, second = ([i for path in shards_of(e) for i in ids_in(path)] for e in (whole, other))
    assert sorted(first) == sorted(second)
    assert first != second
    in_time = [i for i, chip in sorted(whole.kept.items(), key=lambda kv: kv[1].row["scene_datetime"])]
    assert first != [i for i in in_time if i in first]


def test_a_shard_mixes_days() -> None:
    """1,000 chips of 10 days: every 100 that follow each other have nearly as many days as chance gives them."""
    order = shuffled([f"{n:016x}" for n in range(1000)], seed=0)
    assert sorted(order) == list(range(1000))
    for start in range(0, 1000, 100):
        days = np.array(order[start : start + 100]) // 100
        assert len(set(days)) == 10
        assert np.bincount(days).max() <= 25
    assert shuffled(["a", "b", "c"], 7) == [["a", "b", "c"].index(x) for x in _by_id(["c", "a", "b"], 7)]


def _by_id(ids: list[str], seed: int) -> list[str]:
    return [ids[n] for n in shuffled(ids, seed)]


def test_no_time_and_no_user_in_a_tar(whole: Export) -> None:
    for path in shards_of(whole):
        with tarfile.open(path) as tar:
            for entry in tar:
                assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
                assert (entry.mode, entry.isfile()) == (0o644, True)


class Shelf:
    """Shards in memory."""

    def __init__(self) -> None:
        self.files: dict[int, io.BytesIO] = {}

    @contextlib.contextmanager
    def open(self, number: int) -> Iterator[IO[bytes]]:
        self.files[number] = io.BytesIO()
        yield self.files[number]


@pytest.mark.parametrize(("most_chips", "counts"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7)])
def test_a_shard_has_no_more_chips_than_may_be(most_chips: int, counts: list[int]) -> None:
    shelf = Shelf()
    samples = ((f"{n}", {".tif": b"x"}) for n in range(7))
    assert write_shards(samples, shelf.open, most_chips=most_chips, most_mb=1) == counts
    for file, count in zip(shelf.files.values(), counts, strict=True):
        with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
            assert len(tar.getnames()) == count


def test_a_shard_has_no_more_bytes_than_may_be() -> None:
    shelf = Shelf()
    sizes = [300_000] * 10 + [2_500_000] + [300_000] * 2
    samples = ((f"{n}", {".tif": bytes(size), ".json": b"{}"}) for n, size in enumerate(sizes))
    counts = write_shards(samples, shelf.open, most_chips=100, most_mb=1)
    assert counts == [3, 3, 3, 1, 1, 2]
    for n, count in enumerate(counts):
        # One chip that is larger than a shard is a shard of its own.
        assert len(shelf.files[n].getvalue()) <= 1_000_000 or count == 1


def test_no_chips_no_shards() -> None:
    assert write_shards(iter(()), Shelf().open, most_chips=1, most_mb=1) == []


def test_names_of_a_sample() -> None:
    data: dict[str, Any] = dict.fromkeys((".tif", "_masks.tif", "_quicklook.jpg", ".json"), b"x")
    assert list(sample_files(data, "tif")) == [".jpg", ".json", ".masks.tif", ".tif"]
