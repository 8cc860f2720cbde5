"""Rows that come one after another are the table that they would be at once."""

import pytest

from s2chips_core.errors import SchemaError
from s2chips_core.index.records import PART_SCHEMA, index_frame
from s2chips_core.index.row_batches import BATCH_ROWS, RowBatches
from s2chips_core.tables import conform, to_frame
from tests.pages.sample_day import make_day


def test_batches_are_the_same_table_in_the_order_of_coming() -> None:
    rows = conform(make_day(chips=13, refused=0).index, PART_SCHEMA, "index").to_pylist()
    # Batches in which a column is known of none, of some and of all.
    many = [
        {**rows[n % 13], "chip_id": f"{n:016x}", "length_m": float(n) if n > BATCH_ROWS * 1.5 else None}
        for n in range(2 * BATCH_ROWS + 7)
    ]
    found = RowBatches(PART_SCHEMA, "index")
    for number, row in enumerate(many):
        assert len(found) == number
        found.append(row)
    assert found.table().to_pylist() == many
    assert found.table().num_rows == len(found) == len(many), "asked twice"
    assert to_frame(found.table()).equals(index_frame(many))


def test_none_are_an_empty_table_of_the_schema() -> None:
    assert RowBatches(PART_SCHEMA, "index").table().equals(PART_SCHEMA.empty_table())


def test_a_row_that_lacks_what_it_must_have_is_refused() -> None:
    found = RowBatches(PART_SCHEMA, "index")
    found.append({"chip_id": "x"})
    with pytest.raises(SchemaError, match="index"):
        found.table()
