"""The sweep and the staging; what a whole commit does is seen in test_day."""

from datetime import timedelta

import pytest

from s2chips_core import layout, tables
from s2chips_core.index.commit import commit_source, withdraw_source
from s2chips_core.index.journal import Journal
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of

PATH = "chips/train/1/20251027/00000000deadbeef.tif"


def put_chip(storage: LocalStorage, path: str = PATH) -> None:
    for key in layout.chip_artefacts(path):
        storage.put(key, b"x")


def withdraw(storage: LocalStorage) -> None:
    journal = Journal(writes={PATH: DAY}, drops={})
    storage.put(layout.journal(DAY, "capture"), journal.to_json())
    withdraw_source(storage, DAY, "capture", fresh={PATH: DAY}, journal=journal)


def test_what_is_given_up_is_deleted(storage: LocalStorage) -> None:
    put_chip(storage)
    withdraw(storage)
    assert storage.list("chips") == []
    assert storage.list(layout.journals_folder()) == []


def test_what_another_journal_lists_is_left_to_it(storage: LocalStorage) -> None:
    put_chip(storage)
    storage.put(layout.journal(DAY, "file-a"), Journal(writes={PATH: DAY}, drops={}).to_json())
    withdraw(storage)
    assert len(storage.list("chips")) == len(layout.CHIP_SUFFIXES)


def test_what_a_part_claims_is_kept(storage: LocalStorage) -> None:
    rows = index_of([1])
    commit_chips(storage, rows, source="file-a")
    kept = storage.list("chips")
    journal = Journal(writes={}, drops={rows["path"].iloc[0]: DAY})
    withdraw_source(storage, DAY, "capture", fresh={}, journal=journal)
    assert storage.list("chips") == kept


def test_a_chip_goes_with_its_tif_first(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    put_chip(storage)
    gone: list[str] = []
    delete = storage.delete
    monkeypatch.setattr(storage, "delete", lambda key: (gone.append(key), delete(key)))
    withdraw(storage)
    assert gone[0] == PATH


def test_a_commit_tells_the_days_it_touched(storage: LocalStorage) -> None:
    tomorrow = DAY + timedelta(days=1)
    empty = tables.empty(OUTCOME_SCHEMA)
    rows = index_of([1, 2])
    commit_chips(storage, rows)
    journal = Journal(writes={}, drops={PATH: tomorrow})
    touched = commit_source(
        storage, DAY, "capture", rows=rows.iloc[:0], outcomes=empty, fresh={}, journal=journal, masks=False
    )
    assert touched == {DAY, tomorrow}
    assert storage.list(layout.index_parts_folder()) == []
