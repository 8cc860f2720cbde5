"""The files of a day's plan."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
import shapely

from s2chips_core import layout, tables
from s2chips_core.errors import InputError, SchemaError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Swath
from s2chips_core.overpasses.plan_files import read_notes, read_swaths, write_day
from s2chips_core.storage import LocalStorage

DAY = date(2025, 2, 24)
MIDNIGHT = datetime(2025, 2, 24, tzinfo=UTC)


def swath(start: datetime, seconds: float) -> Swath:
    return Swath(
        satellite="S2B",
        relative_orbit=None,
        absolute_orbit=41633,
        start=start,
        stop=start + timedelta(seconds=seconds),
        geometry=shapely.box(-6, 35, -3, 37),
        imaging="unknown",
        source="tle",
    )


def test_what_is_written_is_read(storage: LocalStorage) -> None:
    swaths = [
        swath(MIDNIGHT - timedelta(seconds=10), 9),  # the day before
        swath(MIDNIGHT - timedelta(seconds=10), 20),  # over midnight
        swath(MIDNIGHT + timedelta(hours=11), 20),
        swath(MIDNIGHT + timedelta(hours=24), 20),  # the day after
    ]
    notes = ["S2A was moved", 'it said "no", überall']
    keys = write_day(storage, DAY, tables.empty(PLAN_SCHEMA), swaths, notes)
    assert keys == [layout.plan_swaths(DAY), layout.plan_notes(DAY), layout.plan(DAY)]
    assert [(s.start, s.stop) for s in read_swaths(storage, DAY)] == [(s.start, s.stop) for s in swaths[1:3]]
    assert read_notes(storage, DAY) == notes
    assert tables.read_table(storage, layout.plan(DAY), PLAN_SCHEMA).empty
    # A later plan replaces all of it.
    write_day(storage, DAY, tables.empty(PLAN_SCHEMA), [], [])
    assert (read_swaths(storage, DAY), read_notes(storage, DAY)) == ((), [])


def test_a_day_without_a_plan_has_neither(storage: LocalStorage) -> None:
    assert read_swaths(storage, DAY) == ()
    assert read_notes(storage, DAY) == []


def test_a_plan_without_its_columns_leaves_the_plan_before(storage: LocalStorage) -> None:
    write_day(storage, DAY, tables.empty(PLAN_SCHEMA), [], [])
    before = storage.get(layout.plan(DAY))
    with pytest.raises(SchemaError, match="tile_id"):
        write_day(storage, DAY, pd.DataFrame({"satellite": ["S2B"]}), [], [])
    assert storage.get(layout.plan(DAY)) == before


@pytest.mark.parametrize("data", [b"no json", b'{"a": 1}', b"[1]", b"\xff"])
def test_files_that_are_something_else_are_an_error(storage: LocalStorage, data: bytes) -> None:
    storage.put(layout.plan_notes(DAY), data)
    with pytest.raises(InputError, match="notes_20250224"):
        read_notes(storage, DAY)
    storage.put(layout.plan_swaths(DAY), data)
    with pytest.raises(InputError, match="swaths_20250224"):
        read_swaths(storage, DAY)
