"""Rows that are made as they are gone through, against those that are made at once."""

import pyarrow as pa
import pytest

from s2chips_core.pages import rows
from s2chips_core.pages.rows import Rows, RowsByKey

TABLE = pa.table({"key": ["b", "a", None, "b", "ä"], "number": [1, 2, 3, None, 5]})
PLAIN = TABLE.to_pylist()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)


def test_rows_are_those_of_the_table_as_often_as_they_are_gone_through() -> None:
    found = Rows(pa.concat_tables([TABLE.slice(0, 2), TABLE.slice(2)]))
    assert list(found) == list(found) == PLAIN
    assert len(found) == 5
    assert [found[n] for n in (0, -1)] == [PLAIN[0], PLAIN[-1]]
    for part in (slice(1, 3), slice(None), slice(4, 2), slice(None, None, -2)):
        assert list(found[part]) == PLAIN[part]
    with pytest.raises(IndexError):
        found[5]
    assert not Rows(TABLE.slice(0, 0))


def test_columns_and_places_are_chosen() -> None:
    found = Rows(TABLE)
    assert list(found.only("number")) == [{"number": row["number"]} for row in PLAIN]
    assert list(found.take([4, 0])) == [PLAIN[4], PLAIN[0]]
    assert found.column("number") == [1, 2, 3, None, 5]
    assert found.different("key") == ["b", "a", "ä"]


def test_rows_of_a_key_keep_their_order() -> None:
    found = RowsByKey(Rows(TABLE).take([0, 1, 3, 4]), "key")
    assert list(found["b"]) == [PLAIN[0], PLAIN[3]]
    assert list(found["ä"]) == [PLAIN[4]]
    assert found.get("c", ()) == ()
    assert ["a" in found, "c" in found, "aa" in found, None in found] == [True, False, False, False]
    assert (sorted(found), len(found)) == (["a", "b", "ä"], 3)
    assert list(RowsByKey(Rows(TABLE.slice(0, 0)), "key")) == []
