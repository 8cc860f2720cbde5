"""The inbox of AIS files: which of the files that lie there are ready, and whether one is asked for.

Here: deciding, from what was seen. Not here: looking, taking and moving files (`inbox_folder`), and asking for runs.
"""

import dataclasses
import json
import math
from collections.abc import Sequence

SETTLING_S = 10.0
"""A file is ready when two looks, so far apart or further, found it the same."""
MOST_WATCHED = 200
"""Files that are remembered from look to look; the others have their turn when some of these are gone."""
NAME_MAX_BYTES = 240
"""Of a file's name with a report's ending: file systems hold 255, and a number may have to go in."""
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp", ".lock")
"""Endings that programs give to files they are still writing."""
SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini"))


def is_left_alone(name: str) -> bool:
    """Whether a file is nobody's table: hidden, still being written under another name, or a system's own.

    >>> [is_left_alone(name) for name in ("ships.csv", ".ships.csv", "~$ships.xlsx", "ships.csv.part")]
    [False, True, True, True]
    """
    plain = name.lower()
    return plain.startswith((".", "~$")) or plain.endswith(("~", *UNFINISHED)) or plain in SYSTEM_FILES


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A file that lies in the inbox, as one look saw it."""

    name: str
    size_bytes: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """What earlier looks saw: each file, and since when it has been as it is."""

    since_s: dict[Dropped, float] = dataclasses.field(default_factory=dict)
    """Seconds of the machine's clock, from 1970."""

    def to_text(self) -> str:
        """As a sensor's cursor holds it."""
        seen = [[file.name, file.size_bytes, file.mtime_ns, since] for file, since in self.since_s.items()]
        return json.dumps(seen)

    @classmethod
    def from_text(cls, text: str | None) -> "Sightings":
        """Of a cursor; nothing was seen when it is empty, or another version's."""
        try:
            seen = json.loads(text or "[]")
            since = {
                Dropped(name=str(name), size_bytes=int(size), mtime_ns=int(mtime)): float(since)
                for name, size, mtime, since in seen
            }
        except (ValueError, TypeError):
            return cls()
        return cls(since_s={file: at for file, at in since.items() if math.isfinite(at)})


def settle(files: Sequence[Dropped], sightings: Sightings, now_s: float) -> tuple[list[Dropped], Sightings]:
    """The files that have stopped changing, oldest first, and what the next look must know.

    Args:
        files: what lies there now.
        sightings: of the look before.
        now_s: seconds of the machine's clock, from 1970.
    """
    watched = sorted(files, key=lambda file: (file.mtime_ns, file.name))[:MOST_WATCHED]
    # A clock that was set back begins anew.
    since = {file: min(sightings.since_s.get(file, now_s), now_s) for file in watched}
    ready = [file for file in watched if file in sightings.since_s and now_s - since[file] >= SETTLING_S]
    return ready, Sightings(since_s=since)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DropRun:
    """A run that was asked for a file of this content."""

    run_id: str
    name: str
    """Of the file then."""
    ended: bool
    taken: bool
    """Whether the run has taken the file out of the inbox: what lies there now was dropped later."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The file is to be chipped."""

    run_key: str
    attempt: int
    same_as: str | None
    """Under which other name this content was there before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not now."""

    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The run that was asked for has ended without taking the file."""

    run_id: str


def decide(name: str, sha256: str, runs: Sequence[DropRun]) -> Start | Wait | GiveUp:
    """What is done with a settled file.

    Dagster never asks twice for a run key: a file that was dropped again gets the next attempt.

    Args:
        name: of the file.
        sha256: of its bytes, hexadecimal.
        runs: all that were asked for files of this content, under whatever name, oldest first.
    """
    active = [run for run in runs if not run.ended]
    if active:
        return Wait(reason=f"run {active[-1].run_id[:8]} has it, or the same content as {active[-1].name}")
    of_name = [run for run in runs if run.name == name]
    if of_name and not of_name[-1].taken:
        return GiveUp(run_id=of_name[-1].run_id)
    attempt = len(of_name) + 1
    others = [run.name for run in runs if run.name != name and run.taken]
    key = f"{name}@{sha256}"
    return Start(
        run_key=key if attempt == 1 else f"{key}#{attempt}", attempt=attempt, same_as=others[-1] if others else None
    )


def numbered_name(name: str, number: int) -> str:
    """`name` for the `number`-th file of this name in a folder, shortened where it and a report's ending would be too long.

    >>> numbered_name("ships.csv", 1), numbered_name("ships.csv.gz", 2)
    ('ships.csv', 'ships-2.csv.gz')
    """
    stem, dot, suffix = name.rpartition(".")
    if suffix.lower() == "gz" and "." in stem:
        stem, _, inner = stem.rpartition(".")
        suffix = f"{inner}.{suffix}"
    if not stem or len(suffix) > 16:
        stem, dot, suffix = name, "", ""
    tail = ("" if number == 1 else f"-{number}") + dot + suffix
    room = NAME_MAX_BYTES - len(tail.encode()) - len(".report.csv")
    return stem.encode()[:room].decode(errors="ignore") + tail
