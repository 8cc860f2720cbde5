"""What `tiles.parquet` is made of: segments of whole scene days, and which of them stand when parts have changed.

Here: the record of segments that the file carries in its footer, and the plan of the next file. Not here: reading and
writing (`tiles`). A segment is a run of scene days and the row groups that hold them and nothing else. Of each day the
record has a digest of the versions of its parts: a day with another digest has changed.
"""

import bisect
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from s2chips_core import layout
from s2chips_core.index.geoparquet import Extent

FORMAT = 1
"""Another number is another way from parts to rows: files with the number of before are built anew."""
RECORD_KEY = b"s2chips"
"""Of the record in the key-value metadata of the file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDay:
    """A day of a segment."""

    day: date
    digest: str
    """See `day_digests`."""
    rows: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Some days and the row groups of their rows."""

    days: tuple[SegmentDay, ...]
    """In order; not empty."""
    groups: int
    """Row groups; none where no day has a row."""
    size: int
    """Bytes of the row groups."""
    extent: Extent
    """Of the geometries."""

    @property
    def rows(self) -> int:
        """Of all days."""
        return sum(each.rows for each in self.days)

    def to_tree(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "days": [[layout.ymd(each.day), each.digest, each.rows] for each in self.days],
            "groups": self.groups,
            "size": self.size,
            "bounds": self.extent.bounds,
            "types": sorted(self.extent.types),
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "Segment":
        """The inverse of `to_tree`; KeyError, TypeError or ValueError when it is something else."""
        bounds = None
        if tree["bounds"] is not None:
            west, south, east, north = map(float, tree["bounds"])
            bounds = west, south, east, north
        return cls(
            days=tuple(
                SegmentDay(day=date.fromisoformat(str(day)), digest=str(digest), rows=int(rows))
                for day, digest, rows in tree["days"]
            ),
            groups=int(tree["groups"]),
            size=int(tree["size"]),
            extent=Extent(types=frozenset(map(str, tree["types"])), bounds=bounds),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A segment whose bytes are taken over."""

    number: int
    """Of the segment of before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A day that has not changed, in a segment that is written anew."""

    number: int
    """Of the segment of before."""
    day: SegmentDay


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A day that is read from its parts."""

    day: date
    digest: str


Run = tuple[Standing | Changed, ...]
"""Days in order that are written anew."""


def day_digests(versions: Mapping[str, str], withheld: Mapping[str, date] | None = None) -> dict[date, str]:
    """Scene day -> 16 hex digits that are others when a part of the day has come, gone or changed, or a chip is withheld.

    Args:
        versions: of all index parts by key (`Storage.versions`).
        withheld: chips that the index is not to name now: path -> scene day.
    """
    of_day: dict[date, list[str]] = {}
    for key in sorted(versions):
        of_day.setdefault(layout.scene_day_of_index_part(key), []).append(f"{key} {versions[key]}\n")
    for path, day in sorted((withheld or {}).items()):
        if day in of_day:
            of_day[day].append(f"without {path}\n")
    return {day: hashlib.sha256("".join(lines).encode()).hexdigest()[:16] for day, lines in sorted(of_day.items())}


def to_record(segments: Sequence[Segment]) -> bytes:
    """The record of the segments of a file."""
    tree = {"format": FORMAT, "segments": [segment.to_tree() for segment in segments]}
    return json.dumps(tree, separators=(",", ":")).encode()


def from_record(record: bytes) -> tuple[Segment, ...]:
    """The inverse of `to_record`.

    Raises:
        ValueError: it is something else, or of another version.
    """
    try:
        tree = json.loads(record)
        if tree["format"] != FORMAT:
            raise ValueError(f"its record is of format {tree['format']}, expected {FORMAT}")
        segments = tuple(Segment.from_tree(each) for each in tree["segments"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its record of segments cannot be read ({error!r})") from error
    days = [each.day for segment in segments for each in segment.days]
    if days != sorted(set(days)) or not all(segment.days for segment in segments):
        raise ValueError("its record of segments is out of order")
    return segments


def plan_segments(segments: Sequence[Segment], wanted: Mapping[date, str], full_rows: int) -> list[Kept | Run]:
    """What the next file is made of, in order.

    A segment stands while its days are wanted with the same digests and no other day lies between them. A day that lies
    between two segments goes to the one before it, or else to the one after it, while that is not full. Beside a segment
    that is written anew, segments less than half full are too: they would become many.

    Args:
        segments: of the file of before.
        wanted: the digest of every day that has parts.
        full_rows: from so many rows on a segment is full.
    """
    known = {each.day for segment in segments for each in segment.days}
    anew = {
        number
        for number, segment in enumerate(segments)
        if any(wanted.get(each.day) != each.digest for each in segment.days)
    }
    firsts = [segment.days[0].day for segment in segments]
    loose = sorted(wanted.keys() - known)
    for day in loose:
        before = bisect.bisect(firsts, day) - 1
        if before >= 0 and (day < segments[before].days[-1].day or segments[before].rows < full_rows):
            anew.add(before)
        elif before + 1 < len(segments) and segments[before + 1].rows < full_rows:
            anew.add(before + 1)
    for step in (1, -1):
        for number in sorted(anew, reverse=step < 0):
            near = number + step
            while 0 <= near < len(segments) and near not in anew and segments[near].rows * 2 < full_rows:
                anew.add(near)
                near += step
    pieces: list[tuple[date, Kept | Standing | Changed]] = [(day, Changed(day=day, digest=wanted[day])) for day in loose]
    for number, segment in enumerate(segments):
        if number not in anew:
            pieces.append((firsts[number], Kept(number=number)))
            continue
        for each in segment.days:
            digest = wanted.get(each.day)
            if digest == each.digest:
                pieces.append((each.day, Standing(number=number, day=each)))
            elif digest is not None:
                pieces.append((each.day, Changed(day=each.day, digest=digest)))
    plan: list[Kept | Run] = []
    ordered = (piece for _, piece in sorted(pieces, key=lambda dated: dated[0]))
    for kept, together in itertools.groupby(ordered, key=lambda piece: isinstance(piece, Kept)):
        if kept:
            plan += [piece for piece in together if isinstance(piece, Kept)]
        else:
            plan.append(tuple(piece for piece in together if not isinstance(piece, Kept)))
    return plan
