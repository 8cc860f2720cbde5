"""The tables of an AIS day: the union of what its sources have of matches and outcomes.

Here: putting them together. Not here: the parts (`scenes.day`, `commit`).
"""

from datetime import date

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import Storage


def put_day_tables(day: date, storage: Storage) -> None:
    """Write the day's matches and outcomes; with no parts, the table is removed. Call under the commit lock."""
    tables_of_day = (
        (layout.matches(day), layout.matches_parts_of_day(day), MATCH_SCHEMA),
        (layout.outcomes(day), layout.outcomes_parts_of_day(day), OUTCOME_SCHEMA),
    )
    for key, folder, schema in tables_of_day:
        parts = [tables.read_table(storage, part, schema) for part in storage.list(folder)]
        if parts:
            tables.write_table(storage, key, tables.concat(parts, schema), schema)
        else:
            storage.delete(key)
