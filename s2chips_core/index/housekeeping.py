"""What is old enough to go, by the retentions of the configuration, and its removal.

AIS of a day goes only when each of its sources has been chipped, when no run tries the day again by itself, and when no
chip, in the dataset or in the trash, is of that day or of a neighbouring one: prune holds chips against it, and labels are
made of it. What is in use is left, and named. Here: AIS, trash, journals of captures, pages, locks. Not here: Dagster's
runs (`s2chips_dagster.old_runs`).
"""

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from s2chips_core import layout
from s2chips_core.ais.capture import drop_journal, is_held
from s2chips_core.ais.journal import journals
from s2chips_core.config import Settings
from s2chips_core.errors import StorageError
from s2chips_core.index.parts import COMMIT_LOCK
from s2chips_core.index.prune import PRUNE_LOCK
from s2chips_core.index.prune_trash import list_trashes
from s2chips_core.storage import LOCKS, Entry, Storage, lock_name

AIS, TRASH, JOURNAL, PAGES, LOCK = "AIS", "trash", "journal", "pages", "lock"
KINDS = (AIS, TRASH, JOURNAL, PAGES, LOCK)
BROKEN_OFF = timedelta(days=1)
"""Removing a journal, filling and removing a trash take seconds: what is left of it for so long was broken off."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """Something that may go as a whole."""

    kind: str
    """One of KINDS."""
    name: str
    """A day, or the id of a trash, a capture or a lock."""
    since: date
    """Of which day it is, or since when nobody has changed it, UTC."""
    keys: tuple[str, ...]
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What went or, of a dry run, would go."""

    dry_run: bool
    old: tuple[Old, ...]
    left: Mapping[str, str]
    """Kind and name of what should have gone and is in use -> why it is left."""


def tidy(settings: Settings, storage: Storage, now: datetime, *, dry_run: bool) -> Tidied:
    """Find what is old enough, and remove it unless it is a `dry_run`.

    Raises:
        StorageError: the dataset cannot be listed.
    """
    old = find_old(settings, storage, now)
    left = {} if dry_run else remove(old, settings, storage, now)
    gone = tuple(one for one in old if f"{one.kind} {one.name}" not in left)
    return Tidied(dry_run=dry_run, old=gone, left=left)


def find_old(settings: Settings, storage: Storage, now: datetime) -> list[Old]:
    """Everything that the retentions let go, by kind, the oldest first."""
    keep = settings.retention
    found: list[Old] = []
    if keep.ais_days is not None:
        found += _old_ais(settings, storage, now)
    found += _old_trash(storage, now, keep.trash_days)
    found += _old_journals(storage, now, keep.journal_days)
    if keep.report_days is not None:
        found += _old_pages(storage, now.date() - timedelta(days=keep.report_days))
    if keep.lock_days is not None:
        found += _old_locks(storage, now - timedelta(days=keep.lock_days))
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.since, one.name))


def remove(old: Sequence[Old], settings: Settings, storage: Storage, now: datetime) -> dict[str, str]:
    """Remove what was found; kind and name of what is left -> why."""
    how: dict[str, Callable[[Old], None]] = {
        AIS: lambda one: _remove_ais(one, settings, storage, now),
        TRASH: lambda one: _remove_trash(one, storage),
        JOURNAL: lambda one: drop_journal(storage, one.name),
        PAGES: lambda one: _delete(storage, one.keys),
        LOCK: lambda one: _remove_lock(one, storage),
    }
    left = {}
    for one in old:
        try:
            how[one.kind](one)
        except StorageError as error:
            left[f"{one.kind} {one.name}"] = str(error)
    return left


def needed_days(part_keys: Iterable[str], reach_days: int) -> set[date]:
    """The days whose AIS vouches for chips: those of the AIS they were cut from, and those around their scenes.

    Args:
        part_keys: of index parts.
        reach_days: how far recorded AIS may be from a scene, days.
    """
    needed = set()
    for key in part_keys:
        needed.add(layout.source_of_index_part(key)[0])
        scene_day = layout.scene_day_of_index_part(key)
        needed |= {scene_day + timedelta(days=n) for n in range(-reach_days, reach_days + 1)}
    return needed


def _old_ais(settings: Settings, storage: Storage, now: datetime) -> list[Old]:
    needed, before = _needed(settings, storage), _ais_before(settings, now)
    days: dict[date, list[Entry]] = defaultdict(list)
    for entry in storage.entries(layout.ais_folders()):
        day = layout.day_of_ais_key(entry.key)
        if day is not None and day < before and day not in needed:
            days[day].append(entry)
    return [_old(AIS, f"{day}", day, entries) for day, entries in days.items() if _is_chipped(storage, day, entries)]


def _ais_before(settings: Settings, now: datetime) -> date:
    """Days before it are old enough, and no run tries them again by itself."""
    times = settings.scheduling
    return now.date() - timedelta(days=max(settings.retention.ais_days or 0, times.give_up_days, times.lag_days))


def _needed(settings: Settings, storage: Storage) -> set[date]:
    parts = layout.index_parts_folder()
    keys = storage.list(parts)
    keys += [key[key.index(parts) :] for key in storage.list(layout.trash_folder()) if f"/{parts}/" in key]
    return needed_days(keys, 1 + int(settings.prune.time_tolerance_min // (24 * 60)))


def _is_chipped(storage: Storage, day: date, entries: Sequence[Entry]) -> bool:
    sources = {layout.source_of_ais_key(entry.key) for entry in entries}
    return all(storage.exists(layout.outcomes_part(day, source)) for source in sources)


def _remove_ais(one: Old, settings: Settings, storage: Storage, now: datetime) -> None:
    with contextlib.ExitStack() as held:
        # A run of the day that began meanwhile has its source's lock until its chips are in the index.
        for source in sorted({layout.source_of_ais_key(key) for key in one.keys}):
            held.enter_context(storage.lock(layout.source_lock(one.since, source), 0.0))
        if one.since in _needed(settings, storage) or one.since >= _ais_before(settings, now):
            raise StorageError(layout.ais_folder(one.since), "a chip needs it by now")
        _delete(storage, one.keys)


def _old_trash(storage: Storage, now: datetime, days: int | None) -> list[Old]:
    """Those that were filled so long ago; and what filling or removing one has left that was broken off: it has no note."""
    notes, trashes = {note.trash_id: note for note in list_trashes(storage)}, defaultdict(list)
    for entry in storage.entries(layout.trash_folder()):
        trashes[entry.key.split("/")[1]].append(entry)
    age, found = timedelta(days=days) if days is not None else None, []
    for trash_id, entries in trashes.items():
        note = notes.get(trash_id)
        least, since = (BROKEN_OFF, _youngest(entries)) if note is None else (age, note.created_at)
        if least is not None and since < now - least and not storage.exists(layout.move_journal(trash_id)):
            found.append(_old(TRASH, trash_id, since.date(), entries))
    return found


def _remove_trash(one: Old, storage: Storage) -> None:
    with storage.lock(PRUNE_LOCK, 0.0), storage.lock(COMMIT_LOCK):
        if storage.exists(layout.move_journal(one.name)):
            raise StorageError(layout.trash(one.name), "chips are on their way out of it")
        storage.delete(layout.trash_journal(one.name))
        storage.delete_folder(layout.trash(one.name))


def _old_journals(storage: Storage, now: datetime, days: int | None) -> list[Old]:
    """Of captures that were killed, by their age; and what a removal that was broken off has left."""
    whole, captures = set(journals(storage)), defaultdict(list)
    for entry in storage.entries(layout.capture_journals()):
        captures[entry.key.split("/")[-2]].append(entry)
    found = []
    for capture_id, entries in captures.items():
        age = timedelta(days=days) if days is not None else None
        least = age if capture_id in whole else BROKEN_OFF
        youngest = _youngest(entries)
        if least is not None and youngest < now - least and not is_held(storage, capture_id):
            found.append(_old(JOURNAL, capture_id, youngest.date(), entries))
    return found


def _old_pages(storage: Storage, before: date) -> list[Old]:
    days: dict[date, list[Entry]] = defaultdict(list)
    for entry in storage.entries(layout.reports_folder()):
        day = layout.day_of_page(entry.key)
        if day is not None and day < before:
            days[day].append(entry)
    return [_old(PAGES, f"{day}", day, entries) for day, entries in days.items()]


def _old_locks(storage: Storage, before: datetime) -> list[Old]:
    named = ((lock_name(entry.key), entry) for entry in storage.entries(LOCKS))
    return [_old(LOCK, name, entry.modified.date(), [entry]) for name, entry in named if name and entry.modified < before]


def _remove_lock(one: Old, storage: Storage) -> None:
    with storage.lock(one.name, 0.0):
        storage.forget_lock(one.name)


def _youngest(entries: Iterable[Entry]) -> datetime:
    return max(entry.modified for entry in entries)


def _old(kind: str, name: str, since: date, entries: Sequence[Entry]) -> Old:
    size_bytes = sum(entry.size_bytes for entry in entries)
    return Old(kind=kind, name=name, since=since, keys=tuple(entry.key for entry in entries), size_bytes=size_bytes)


def _delete(storage: Storage, keys: Iterable[str]) -> None:
    for key in keys:
        storage.delete(key)
