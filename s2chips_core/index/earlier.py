"""What earlier runs decided: the rows and outcomes that may stand, and the chips that are in doubt.

Here: reading it. Not here: what stands (`day`).
"""

import dataclasses
from collections.abc import Iterable
from datetime import date
from typing import Any

from s2chips_core import layout, tables
from s2chips_core.index.journal import Journal, paths_of_other_journals, read_journal
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, STANDING
from s2chips_core.index.parts import join_parts, parts_of_scene_day, parts_of_source
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.storage import Storage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What is known from before."""

    own: dict[str, dict[str, Any]]
    """Index rows of this source of the day, by chip_id."""
    others: dict[str, dict[str, Any]]
    """Index rows of other sources and days, by chip_id."""
    refused: dict[str, dict[str, Any]]
    """Outcome rows of this source that may stand, by chip_id."""
    replay: Journal | None
    """What a killed run of this source left."""
    uncertain: frozenset[str]
    """Paths that a killed or running run may have half replaced."""
    indexed_paths: frozenset[str]
    """Paths of all these index rows."""


def read_earlier(storage: Storage, ais_day: date, source_id: str, scene_days: Iterable[date]) -> Earlier:
    """Read it. Call under the commit lock.

    Args:
        storage: the dataset.
        ais_day: the day.
        source_id: the source.
        scene_days: where chips of other sources are looked for.
    """
    keys = parts_of_source(storage, ais_day, source_id).values()
    own = join_parts(tables.read_arrow(storage, key, PART_SCHEMA) for key in keys)
    others: dict[str, dict[str, Any]] = {}
    for scene_day in sorted(set(scene_days)):
        for key, part in parts_of_scene_day(storage, scene_day).items():
            if key != layout.index_part(scene_day, ais_day, source_id):
                others.update((row["chip_id"], row) for row in part.to_pylist())
    key = layout.outcomes_part(ais_day, source_id)
    outcomes = tables.read_arrow(storage, key, OUTCOME_SCHEMA).to_pylist() if storage.exists(key) else []
    replay = read_journal(storage, ais_day, source_id)
    in_doubt = paths_of_other_journals(storage, ais_day, source_id)
    return Earlier(
        own={row["chip_id"]: row for row in own.to_pylist()},
        others=others,
        refused={row["chip_id"]: row for row in outcomes if row["outcome"] in STANDING},
        replay=replay,
        uncertain=frozenset(in_doubt if replay is None else in_doubt | set(replay.writes)),
        indexed_paths=frozenset([*own["path"].to_pylist(), *(row["path"] for row in others.values())]),
    )
