"""A tile's own sensing time, from its granule metadata (MTD_TL.xml), for archives whose items tell the datatake's start.

A datatake lasts up to half an hour, and a ship at 15 knots makes 14 km in that time. The element is `SENSING_TIME` under
`General_Info` in ESA's product specification (S2-PDGS-TAS-DI-PSD). Not here: getting the bytes (`fetch`).
"""

import dataclasses
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from s2chips_core.errors import InputError, MissingAssetError
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.scene import Scene

LONGEST_DATATAKE = timedelta(minutes=30)
METADATA_MOST_BYTES = 16 * 1024 * 1024
BEGINNING_BYTES = 8 * 1024
"""The time stands in the first 2 kB of a file of 600 kB."""
AT_ONCE = 8
_EXPECTED = "one <SENSING_TIME> such as 2025-03-30T10:04:35.123456Z"
# Not an XML parser on purpose: one element of one form is wanted, and nothing in the file can make a pattern read another
# file, expand an entity or take long.
_SENSING_TIME = re.compile(rb"<SENSING_TIME(?: [^<>]{0,200})?>([^<>]{0,64})</SENSING_TIME>")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An item or scene that is not used, and why."""

    item_id: str
    reason: str


def parse_sensing_time(xml: bytes) -> datetime:
    """The tile's sensing time, aware UTC, to the millisecond.

    >>> parse_sensing_time(b'<SENSING_TIME metadataLevel="Standard">2022-06-12T19:29:11.024Z</SENSING_TIME>').isoformat()
    '2022-06-12T19:29:11.024000+00:00'

    Raises:
        InputError: there is none, more than one, or it is no time in UTC.
    """
    if len(xml) > METADATA_MOST_BYTES:
        raise InputError("granule metadata", f"{len(xml)} bytes", f"at most {METADATA_MOST_BYTES} bytes")
    found = set(_SENSING_TIME.findall(xml))
    if len(found) != 1:
        raise InputError("granule metadata", f"{len(found)} sensing times", _EXPECTED)
    text = found.pop().strip().decode("ascii", "replace")
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError("granule metadata", text, _EXPECTED) from error
    if when.utcoffset() != timedelta(0):
        raise InputError("granule metadata", text, _EXPECTED)
    return when.astimezone(UTC).replace(microsecond=when.microsecond // 1000 * 1000)


def read_beginning(href: str, fetcher: Fetcher) -> bytes:
    """Granule metadata as far as `parse_sensing_time` needs them: the beginning, or all where the time is not in there.

    Raises:
        ReadError: they cannot be had.
    """
    beginning = fetcher.get_range(href, 0, BEGINNING_BYTES)
    return beginning if _SENSING_TIME.search(beginning) else fetcher.get(href)


def resolve_sensing_times(scenes: Iterable[Scene], fetch: Callable[[str], bytes]) -> tuple[list[Scene], list[Refused]]:
    """Give every scene its own sensing time; those that know it are passed on.

    Args:
        scenes: as `parse_item` gives them.
        fetch: the bytes at an href, called on several threads; ReadError when they cannot be had.

    Returns:
        The scenes whose time is known now (`datetime_is` is `tile`), in order, and the others with the reason: they have no
        such file, or it tells no time.

    Raises:
        ReadError: a file is there and cannot be had. That is the service, and no fault of the scene: without the scene its
            ships would be taken for ships that nobody saw.
    """
    scenes = list(scenes)
    if all(scene.datetime_is == "tile" for scene in scenes):
        return scenes, []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sensing-time") as pool:
        answers = list(pool.map(lambda scene: _resolved(scene, fetch), scenes))
    return [one for one in answers if isinstance(one, Scene)], [one for one in answers if isinstance(one, Refused)]


def _resolved(scene: Scene, fetch: Callable[[str], bytes]) -> Scene | Refused:
    try:
        return scene if scene.datetime_is == "tile" else _with_own_time(scene, fetch)
    except (MissingAssetError, InputError) as error:
        reason = f"its item tells only when the datatake began, and the tile's own sensing time cannot be had: {error}"
        return Refused(item_id=scene.scene_id, reason=reason)


def _with_own_time(scene: Scene, fetch: Callable[[str], bytes]) -> Scene:
    if scene.granule_metadata_href is None:
        raise InputError(f"item {scene.scene_id}", "no granule metadata", "an asset with MTD_TL.xml")
    when = parse_sensing_time(fetch(scene.granule_metadata_href))
    # The datatake's start is rounded to the second in some items.
    if not -timedelta(seconds=1) <= when - scene.datetime <= LONGEST_DATATAKE:
        raise InputError(
            f"item {scene.scene_id}: sensing time", when.isoformat(), f"within 30 min after {scene.datetime.isoformat()}"
        )
    return dataclasses.replace(scene, datetime=when, datetime_is="tile")
