"""The files of a day's plan: `plan/overpasses_*.parquet`, its swaths and its notes.

Here: writing all three and reading the last two. Not here: making the plan (`planning`), the GeoJSON (`swath_geojson`).
"""

import json
from collections.abc import Sequence
from datetime import date

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Swath
from s2chips_core.overpasses.spans import day_span
from s2chips_core.overpasses.swath_geojson import format_swaths, parse_swaths
from s2chips_core.storage import Storage


def write_day(storage: Storage, day: date, passes: pd.DataFrame, swaths: Sequence[Swath], notes: list[str]) -> list[str]:
    """Write the plan of a day; each file replaces the one before, the plan itself comes last: where it is, the others are.

    Args:
        storage: the dataset.
        day: UTC.
        passes: PLAN_SCHEMA, of this day; it may be empty.
        swaths: of any days: those that are sensed on this one, in part at least, are kept.
        notes: sentences.

    Returns:
        The keys, in the order of writing.
    """
    start, end = day_span(day)
    of_day = [swath for swath in swaths if swath.start < end and swath.stop >= start]
    storage.put(layout.plan_swaths(day), format_swaths(of_day))
    storage.put(layout.plan_notes(day), (json.dumps(notes, ensure_ascii=False, indent=1) + "\n").encode())
    tables.write_table(storage, layout.plan(day), passes, PLAN_SCHEMA)
    return [layout.plan_swaths(day), layout.plan_notes(day), layout.plan(day)]


def read_swaths(storage: Storage, day: date) -> tuple[Swath, ...]:
    """The swaths of a day's plan, in order of time; none when there is no plan.

    Raises:
        InputError: the file is something else.
    """
    key = layout.plan_swaths(day)
    return parse_swaths(storage.get(key), key) if storage.exists(key) else ()


def read_notes(storage: Storage, day: date) -> list[str]:
    """What a reader of a day's plan must know; nothing when there is no plan.

    Raises:
        InputError: the file is something else.
    """
    key = layout.plan_notes(day)
    if not storage.exists(key):
        return []
    try:
        notes = json.loads(storage.get(key))
    except ValueError as error:
        raise InputError(key, str(error), "a JSON list of sentences") from error
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise InputError(key, type(notes).__name__, "a JSON list of sentences")
    return notes
