"""The journals of runs: which artefacts a run of a source of a day may be writing, removing or replacing.

A journal is there from before a run's first artefact until its commit. Who finds the journal of a run that is no longer at
work knows what that run may have left behind.

Here: their text, and reading them. Not here: what is done about them (`commit`), and the journals of moves (`prune_moves`),
which can be read as these.
"""

import dataclasses
import json
from collections.abc import Mapping
from datetime import date

from s2chips_core import layout
from s2chips_core.errors import StorageError
from s2chips_core.storage import Storage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a run may touch: key of the `.tif` -> scene day."""

    writes: Mapping[str, date]
    """Chips that it may write."""
    drops: Mapping[str, date]
    """Chips of its earlier parts, and of earlier runs that were killed."""
    replaces: Mapping[str, date] = dataclasses.field(default_factory=dict)
    """Chips whose files are being put in the place of older ones: `tiles.parquet` does not name them until the commit."""

    @property
    def paths(self) -> dict[str, date]:
        """Everything that it lists."""
        return {**self.drops, **self.writes, **self.replaces}

    def to_json(self) -> bytes:
        """The text that `from_json` reads."""
        tree = {
            name: {path: scene_day.isoformat() for path, scene_day in sorted(paths.items())}
            for name, paths in (("writes", self.writes), ("drops", self.drops), ("replaces", self.replaces))
        }
        return json.dumps(tree, indent=0).encode()

    @classmethod
    def from_json(cls, key: str, data: bytes) -> "Journal":
        """The inverse of `to_json`; StorageError when it is something else."""
        try:
            tree = json.loads(data)
            listed = {name: tree[name] for name in ("writes", "drops")} | {"replaces": tree.get("replaces", {})}
            return cls(**{n: {path: date.fromisoformat(day) for path, day in paths.items()} for n, paths in listed.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(key, f"is no journal ({error}); delete it and run the day again") from error


def read_journal(storage: Storage, ais_day: date, source_id: str) -> Journal | None:
    """The journal that a killed run of this source left, if any."""
    key = layout.journal(ais_day, source_id)
    return Journal.from_json(key, storage.get(key)) if storage.exists(key) else None


def paths_of_other_journals(storage: Storage, ais_day: date, source_id: str) -> set[str]:
    """What other sources, running or killed, may be writing or dropping. Call under the commit lock."""
    return paths_of_all_journals(storage, but=layout.journal(ais_day, source_id))


def paths_of_all_journals(storage: Storage, but: str | None = None) -> set[str]:
    """What any source, running or killed, may be writing or dropping. Call under the commit lock."""
    keys = [key for key in storage.list(layout.journals_folder()) if key != but]
    return {path for key in keys for path in Journal.from_json(key, storage.get(key)).paths}


def replaced_now(storage: Storage) -> dict[str, date]:
    """The chips whose files any source is replacing, or was when it was killed. Call under the commit lock."""
    found: dict[str, date] = {}
    for key in storage.list(layout.journals_folder()):
        found |= Journal.from_json(key, storage.get(key)).replaces
    return found
