"""What the configured sources say: element sets and acquisition plans, read, and what of them could not be used.

Here: putting `sources` together with the parsers. Not here: which of it counts at which time (`planning`).
"""

import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime

from s2chips_core.errors import InputError
from s2chips_core.overpasses.acquisition_plan import AcquisitionPlan, parse_acquisition_plan
from s2chips_core.overpasses.elements import Elements, RefusedElements, parse_elements
from s2chips_core.overpasses.sources import read_sources
from s2chips_core.sections import SatelliteTracking
from s2chips_core.storage import Storage

Progress = Callable[[object], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadElements:
    """The element sets of all sources."""

    elements: tuple[Elements, ...]
    notes: tuple[str, ...]
    """What could not be had, and every set that is refused."""
    requests: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlans:
    """The acquisition plans of all sources."""

    plans: tuple[AcquisitionPlan, ...]
    notes: tuple[str, ...]
    """What could not be had or read."""
    requests: int


def read_elements(
    tracking: SatelliteTracking, *, storage: Storage, now: datetime, progress: Progress | None = None
) -> ReadElements:
    """Read `tle_sources`.

    Raises:
        StorageError: the cache cannot be written.
    """
    texts = read_sources(
        tracking.tle_sources,
        storage=storage,
        now=now,
        cache_hours=tracking.cache_hours,
        check=_check_elements,
        progress=progress,
    )
    elements: list[Elements] = []
    notes = list(texts.notes)
    for text in texts.texts:
        try:
            found, refused = parse_elements(text.data, text.source)
        except InputError as error:
            notes.append(str(error))
        else:
            elements += found
            notes += reasons_of(refused)
    return ReadElements(elements=tuple(elements), notes=tuple(notes), requests=texts.requests)


def read_acquisition_plans(
    tracking: SatelliteTracking, *, storage: Storage, now: datetime, progress: Progress | None = None
) -> ReadPlans:
    """Read `acquisition_plan_sources`; a web page among them is followed to its plans.

    Raises:
        StorageError: the cache cannot be written.
    """
    texts = read_sources(
        tracking.acquisition_plan_sources,
        storage=storage,
        now=now,
        cache_hours=tracking.cache_hours,
        check=parse_acquisition_plan,
        follow_links=True,
        progress=progress,
    )
    plans: list[AcquisitionPlan] = []
    notes = list(texts.notes)
    for text in texts.texts:
        try:
            plans.append(parse_acquisition_plan(text.data, text.source))
        except InputError as error:
            notes.append(str(error))
    return ReadPlans(plans=tuple(plans), notes=tuple(notes), requests=texts.requests)


def reasons_of(refused: Iterable[RefusedElements]) -> list[str]:
    """Why element sets are refused, as notes are written."""
    return [one.reason.removesuffix(".") for one in refused]


def _check_elements(data: bytes, source: str) -> None:
    """A service that answers with a sentence or a page is not to replace the elements it gave before."""
    elements, refused = parse_elements(data, source)
    if not elements:
        raise InputError(source, "; ".join(reasons_of(refused)) or data[:60], "element sets of Sentinel-2")
