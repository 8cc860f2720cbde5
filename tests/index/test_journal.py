"""The journals of runs."""

from datetime import timedelta

import pytest

from s2chips_core import layout
from s2chips_core.errors import StorageError
from s2chips_core.index.journal import (
    Journal,
    paths_of_all_journals,
    paths_of_other_journals,
    read_journal,
    replaced_now,
)
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY


def test_a_journal_is_read_as_it_was_written(storage: LocalStorage) -> None:
    journal = Journal(writes={"a.tif": DAY}, drops={"b.tif": DAY + timedelta(days=1)})
    storage.put(layout.journal(DAY, "capture"), journal.to_json())
    assert read_journal(storage, DAY, "capture") == journal
    assert read_journal(storage, DAY, "file-a") is None
    assert set(journal.paths) == {"a.tif", "b.tif"}
    assert replaced_now(storage) == {}
    assert paths_of_all_journals(storage) == paths_of_other_journals(storage, DAY, "file-a") == {"a.tif", "b.tif"}
    assert paths_of_other_journals(storage, DAY, "capture") == set()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"writes": {"a": "no day"}, "drops": {}}', b'{"writes": 1, "drops": {}}']
)
def test_a_journal_that_is_none(storage: LocalStorage, text: bytes) -> None:
    storage.put(layout.journal(DAY, "capture"), text)
    with pytest.raises(StorageError, match="is no journal"):
        read_journal(storage, DAY, "capture")


def test_what_is_being_replaced_is_told_by_all_journals(storage: LocalStorage) -> None:
    tomorrow = DAY + timedelta(days=1)
    journal = Journal(writes={"a.tif": DAY}, drops={}, replaces={"a.tif": DAY})
    storage.put(layout.journal(DAY, "capture"), journal.to_json())
    storage.put(layout.journal(DAY, "file-a"), Journal(writes={}, drops={}, replaces={"b.tif": tomorrow}).to_json())
    assert read_journal(storage, DAY, "capture") == journal
    assert replaced_now(storage) == {"a.tif": DAY, "b.tif": tomorrow}
    assert paths_of_other_journals(storage, DAY, "capture") == {"b.tif"}


def test_a_journal_of_an_earlier_version_replaces_nothing(storage: LocalStorage) -> None:
    storage.put(layout.journal(DAY, "capture"), b'{"writes": {}, "drops": {"a.tif": "2025-10-27"}}')
    assert read_journal(storage, DAY, "capture") == Journal(writes={}, drops={"a.tif": DAY})
