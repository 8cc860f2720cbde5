"""Trashes: their notes, which is meant, and what is left when chips are taken out."""

import dataclasses
from datetime import timedelta

import pytest

from s2chips_core import layout, tables
from s2chips_core.errors import InputError, StorageError
from s2chips_core.index.prune_trash import (
    TrashNote,
    choose_trash,
    free_trash_id,
    list_trashes,
    put_note,
    read_note,
    shrink_trash,
)
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY
from tests.index.recorded_ais import FILE, PRUNED_AT, TRASH, make_dataset, prune

NOTE = TrashNote(
    trash_id=TRASH,
    created_at=PRUNED_AT,
    software_version="1",
    time_tolerance_s=600.0,
    distance_tolerance_m=500.0,
    chips=1,
    row_keys=["a.parquet"],
    outcome_keys=[],
)


def test_a_note_is_read_as_it_was_written(storage: LocalStorage) -> None:
    put_note(storage, NOTE)
    assert read_note(storage, TRASH) == NOTE


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"created_at": "never"}'])
def test_a_note_that_is_none(storage: LocalStorage, text: bytes) -> None:
    storage.put(layout.trash_journal(TRASH), text)
    with pytest.raises(StorageError, match="is no journal of a trash"):
        list_trashes(storage)


def test_which_is_meant(storage: LocalStorage) -> None:
    for number in (2, 10, 1):
        put_note(storage, dataclasses.replace(NOTE, trash_id=layout.trash_id(PRUNED_AT, number)))
    later = PRUNED_AT + timedelta(days=1)
    put_note(storage, dataclasses.replace(NOTE, trash_id=layout.trash_id(later), created_at=later))
    storage.put("trash/unfinished/pruned.parquet", b"")
    found = list_trashes(storage)
    assert [note.trash_id for note in found] == [TRASH, f"{TRASH}-2", f"{TRASH}-10", "20251103T020000Z"]
    assert choose_trash(found, "latest") == found[-1]
    assert choose_trash(found, f"{TRASH}-2") == found[1]
    with pytest.raises(InputError, match=f"latest or one of 20251103T020000Z, {TRASH}-10"):
        choose_trash(found, "../x")
    assert free_trash_id(storage, PRUNED_AT) == f"{TRASH}-3"


def test_taking_chips_out(storage: LocalStorage) -> None:
    dataset = make_dataset(storage)
    going = prune(dataset).going
    of_both = going.loc[going["mmsi"] == 244_660_001, "chip_id"].iloc[0]
    shrink_trash(dataset, TRASH, {of_both})
    [note] = list_trashes(dataset)
    assert note.chips == 1
    assert layout.index_part(DAY, DAY, FILE) not in note.row_keys
    assert note.outcome_keys == [layout.outcomes_part(DAY, layout.CAPTURE)]
    for key in (*note.row_keys, *note.outcome_keys):
        assert of_both not in tables.read_whole(dataset, layout.in_trash(TRASH, key))["chip_id"].to_pylist()
    shrink_trash(dataset, TRASH, set(going["chip_id"]))
    assert list_trashes(dataset) == []
    assert dataset.list(layout.trash_folder()) == []
    shrink_trash(dataset, TRASH, set(going["chip_id"]))
