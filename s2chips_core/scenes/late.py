"""Late scenes: ships that were left pending, and whether the archive has something new for them by now.

Nothing is written here: matching again is `day`, chipping is a run of its own. When the archive is asked is decided by
`s2chips_dagster.sensors`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.config import Settings
from s2chips_core.scenes.day import match_rows
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.storage import Storage

LAST_CHANCE_DAYS = 14
"""A day is looked at so much longer than `scheduling.give_up_days`, so that its pending ships become lost ones also when
nothing ran for a while."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LateScenes:
    """What matching would say now of the pending ships of a day."""

    day: date
    pending: int
    """Ships that were pending."""
    changed: Mapping[str, str]
    """target_id -> its new status and, when it is matched, the scene."""
    requests: int
    """Sent to the archive."""

    @property
    def key(self) -> str:
        """16 hex digits over what has changed."""
        return hashlib.sha256(json.dumps(dict(self.changed), sort_keys=True).encode()).hexdigest()[:16]


def days_to_look_at(today: date, give_up_days: int) -> list[date]:
    """The days whose pending ships may still get a scene, or are to be given up, oldest first."""
    count = give_up_days + LAST_CHANCE_DAYS
    return [today - timedelta(days=n) for n in range(count, -1, -1)]


def in_turn(days: Sequence[date], last: date | None) -> list[date]:
    """The days, beginning with the first after `last` and going round."""
    later = [day for day in days if last is not None and day > last]
    return [*later, *(day for day in days if day not in later)]


def pending_targets(storage: Storage, day: date) -> pd.DataFrame:
    """TARGET_SCHEMA: the ships of the day's capture that were left pending; none when the day has not been matched."""
    key = layout.matches_part(day, layout.CAPTURE)
    if not storage.exists(key):
        return tables.empty(TARGET_SCHEMA)
    matches = tables.read_table(storage, key, MATCH_SCHEMA)
    pending = matches[matches["status"] == MatchStatus.PENDING_L2A].reset_index(drop=True)
    return tables.to_frame(tables.conform(pending, TARGET_SCHEMA, "pending targets"))


def find_late_scenes(
    day: date,
    pending: pd.DataFrame,
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    progress: Callable[[object], None] | None = None,
) -> LateScenes:
    """Match the pending ships of a day again, without writing anything.

    Args:
        day: the AIS day.
        pending: TARGET_SCHEMA, of `pending_targets`.
        settings, now: as for matching; from `scheduling.give_up_days` on ships change to lost ones.
        storage: the fixes of the day.
        progress: told of each search; what it raises ends the search.

    Raises:
        ArchiveError: the archive did not answer.
    """
    fixes = read_snapshots(storage, day)
    fixes = fixes[fixes["mmsi"].isin(pending["mmsi"])].reset_index(drop=True)
    found = match_rows(pending, fixes, settings=settings, now=now, progress=progress)
    news = found.matches[found.matches["status"] != MatchStatus.PENDING_L2A]
    changed = {
        str(target): str(status) if scene is None else f"{status} {scene}"
        for target, status, scene in zip(news["target_id"], news["status"], news["scene_id"], strict=True)
    }
    return LateScenes(day=day, pending=len(pending), changed=changed, requests=found.requests)
