"""Artefacts as files: all or nothing."""

import json
from typing import Any

import pytest

from s2chips_core import layout
from s2chips_core.errors import StorageError
from s2chips_core.index.chip_files import are_intact, delete_artefacts, suffixes, write_artefacts
from s2chips_core.index.records import ChipKey
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY

PATH = "chips/train/1/20251027/00000000deadbeef.tif"
KEY = ChipKey(chip_id="00000000deadbeef", split="train", scene_day=DAY, path=PATH, lat=1.0, lon=2.0, fingerprint="f" * 16)
NEW = dict.fromkeys(suffixes(masks=False), b"new") | {".json": json.dumps({"fingerprint": "f" * 16}).encode()}


def test_masks_come_only_when_wanted_and_the_tif_last() -> None:
    assert suffixes(masks=True) == layout.CHIP_SUFFIXES
    assert suffixes(masks=False) == (".geojson", ".json", "_quicklook.jpg", ".tif")


def test_written_in_order(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    put = storage.put
    monkeypatch.setattr(storage, "put", lambda key, data: (order.append(key), put(key, data)))
    write_artefacts(storage, PATH, NEW)
    assert order == layout.chip_artefacts(PATH, suffixes(masks=False))
    assert are_intact(storage, KEY, masks=False)
    assert not are_intact(storage, KEY, masks=True)


@pytest.mark.parametrize("fails_at", range(4))
def test_a_chip_that_cannot_be_written_is_gone(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    for key in layout.chip_artefacts(PATH):
        storage.put(key, b"old")
    put, calls = storage.put, iter(range(10))

    def failing(key: str, data: bytes) -> None:
        if next(calls) == fails_at:
            raise StorageError(key, "the disk is full")
        put(key, data)

    monkeypatch.setattr(storage, "put", failing)
    with pytest.raises(StorageError, match="the disk is full"):
        write_artefacts(storage, PATH, NEW)
    assert storage.list("chips") == []


def test_the_first_error_is_told_when_clearing_up_fails_too(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(key: str, data: Any = None) -> None:
        raise StorageError(key, "first" if data else "second")

    monkeypatch.setattr(storage, "put", failing)
    monkeypatch.setattr(storage, "delete", failing)
    with pytest.raises(StorageError, match="first"):
        write_artefacts(storage, PATH, NEW)


def test_a_chip_of_another_fingerprint_is_not_intact(storage: LocalStorage) -> None:
    write_artefacts(storage, PATH, NEW | {".json": b'{"fingerprint": "0"}'})
    assert not are_intact(storage, KEY, masks=False)
    delete_artefacts(storage, PATH)
    assert not are_intact(storage, KEY, masks=False)
