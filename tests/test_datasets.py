"""The datasets that tests make are where the tests are told that they are."""

from pathlib import Path

import pytest

from s2chips_core.storage import LOCKS, LocalStorage, Storage
from s2chips_core.storage.s3 import S3Storage
from tests.datasets import VARIABLE, Datasets, Door, again, copy, everything, kinds_asked_for, place_of


@pytest.mark.on_bucket("rclone", "moto")
def test_a_dataset_is_of_the_kind_that_is_asked_for(
    datasets: Datasets, storage: Storage, storage_kind: str, tmp_path: Path
) -> None:
    assert isinstance(storage, LocalStorage if storage_kind == "local" else S3Storage)
    assert everything(storage) == {}
    storage.put("a/b", b"1")
    storage.put("a/.c", b"2")
    storage.put(f"{LOCKS}/x.lock", b"3")
    assert everything(Door(storage)) == {"a/.c": b"2", "a/b": b"1"} == everything(again(storage))
    other = copy(storage, datasets.at(tmp_path / "other"))
    assert everything(other) == everything(storage)
    other.put("a/b", b"4")
    assert again(storage).get("a/b") == b"1"
    assert (tmp_path / "dataset").exists() == (storage_kind == "local")
    assert place_of(Door(other)) == place_of(datasets.at(tmp_path / "other"))


@pytest.mark.parametrize(
    ("asked", "often", "kinds"),
    [("", "", ("local",)), ("moto", "", ("moto",)), ("moto", "1", ("moto",)), ("", "1", ("local", "rclone", "moto"))],
)
def test_what_the_environment_asks_for(
    asked: str, often: str, kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, asked)
    monkeypatch.setenv("S2CHIPS_RELIABILITY", often)
    assert kinds_asked_for() == kinds


def test_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ftp")
    with pytest.raises(AssertionError, match="expected one of local, rclone, moto"):
        kinds_asked_for()
