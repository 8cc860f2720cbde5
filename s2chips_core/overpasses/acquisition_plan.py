"""ESA's acquisition plan of one Sentinel-2 satellite: when its camera is on, and what strip of ground it sweeps then.

A plan is a KML file of 15 to 19 days, published every week or two; ESA calls it simplified, and its times are those of a
reference orbit. Two dialects are in use: as published (ISO-8859-1, times without a zone, which are UTC), and saved again by
Google Earth (UTF-8, `TimeSpan` with Z). What counts is the content, never the name of the file.

Here: bytes to `AcquisitionPlan`. Not here: reading XML safely (`kml`), fetching (`sources`), tiles (`segment_passes`).
"""

import dataclasses
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from s2chips_core.errors import InputError
from s2chips_core.overpasses.kml import Placemark, read_kml
from s2chips_core.overpasses.strip import Vertex, build_strip

DISTRIBUTED_MODE = "NOBS"  # nominal observation; calibration (VIC, DARK-O, SUN, RAW, ...) is not given to users
NOT_RECORDED = "NOT_RECORDING"
ORBIT = timedelta(days=10) / 143  # 100.7 min
_SATELLITE = re.compile(r"S2[A-Z]")
_STYLE = re.compile(r"#?(S2[A-Z])_")
_PERIOD = re.compile(r"\b(\d{8}T\d{6}) to (\d{8}T\d{6})\b")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})?")
_NUMBER = re.compile(r"[+-]?\d{1,3}(\.\d{0,20})?([eE][+-]?\d{1,2})?")
_ORBIT_NUMBER = re.compile(r"\d{1,7}")
_FIRST_YEAR, _LAST_YEAR = 2015, 2099  # Sentinel-2A was launched on 2015-06-23
# The stop time is rounded up to whole scenes of 3.608 s, the polygon is not: 0 to 3.8 s are missing in four plans.
_STRIP_LACKS_S = (-1.0, 10.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of time in which the camera is on, and the ground it sees."""

    segment_id: str
    """`22160-1`: absolute orbit and number."""
    satellite: str
    mode: str
    """NOBS, VIC, DARK-O, SUN, RAW, ..."""
    timeliness: str
    """NOMINAL, NRT, RT or NOT_RECORDING; may be empty."""
    start: datetime
    """Aware UTC, of the reference orbit."""
    stop: datetime
    absolute_orbit: int
    relative_orbit: int
    """1 to 143."""
    polygon: tuple[Vertex, ...]
    """Outline as `strip` describes it, the closing vertex left out."""

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.stop.utcoffset() != timedelta(0):
            raise InputError(f"segment {self.segment_id}", f"{self.start} to {self.stop}", "aware UTC times")
        if not timedelta(0) < self.stop - self.start <= ORBIT:
            expected = "a stop after the start and within one orbit of it"
            raise InputError(f"segment {self.segment_id}", f"{self.start} to {self.stop}", expected)

    @property
    def is_distributed(self) -> bool:
        """Users get products of it."""
        return self.mode == DISTRIBUTED_MODE and self.timeliness != NOT_RECORDED


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionPlan:
    """All that one satellite will record in a period, as planned when the file was made."""

    satellite: str
    """S2A, S2B, S2C, ..."""
    start: datetime
    """Aware UTC: from when on the plan says all there is."""
    stop: datetime
    """Aware UTC: until when."""
    period_from: Literal["title", "segments"]
    """What `start` and `stop` were read from: segments only know when the first begins and the last ends."""
    segments: tuple[Segment, ...]
    """In order of time."""
    problems: tuple[str, ...]
    """What could not be read, one sentence each."""
    source: str
    """The file or address it came from."""


def parse_acquisition_plan(data: bytes, source: str) -> AcquisitionPlan:
    """Read a plan as ESA publishes it or as Google Earth saves it.

    Args:
        data: the KML file.
        source: its path or address, for errors and notes only.

    Returns:
        The plan. Segments that are broken are left out and named in `problems`.

    Raises:
        InputError: it is no plan of one Sentinel-2 satellite, or has not one segment that can be read.
    """
    document = read_kml(data, source)
    segments: dict[tuple[str, datetime], Segment] = {}
    problems = []
    for placemark in document.placemarks:
        try:
            segment = _segment(placemark)
            if (segment.segment_id, segment.start) in segments:
                raise InputError("ID", segment.segment_id, "a segment that is not in the file already")
        except InputError as error:
            problems.append(f"placemark {placemark.name[:40]!r} in line {placemark.line}: {error}")
        else:
            segments[segment.segment_id, segment.start] = segment
    satellites = sorted({s.satellite for s in segments.values()})
    if len(satellites) != 1:
        got = f"segments of {', '.join(satellites)}" if satellites else f"{len(document.placemarks)} placemarks, no segment"
        expected = "an acquisition plan of one Sentinel-2 satellite" + (f" ({problems[0]})" if problems else "")
        raise InputError(source, got, expected)
    ordered = sorted(segments.values(), key=lambda s: (s.start, s.segment_id))
    first, last = ordered[0].start, max(s.stop for s in ordered)
    period = _period(document.title)
    if period is None or first < period[0] - ORBIT or last > period[1] + ORBIT:
        problems.append(f"title {document.title[:80]!r} names no period that holds the segments, {first} to {last}")
        period = None
    start, stop = period or (first, last)
    return AcquisitionPlan(
        satellite=satellites[0],
        start=start,
        stop=stop,
        period_from="title" if period else "segments",
        segments=tuple(ordered),
        problems=tuple(problems),
        source=source,
    )


def _segment(placemark: Placemark) -> Segment:
    data = placemark.data
    start = _time("ObservationTimeStart", data.get("ObservationTimeStart") or placemark.begin)
    stop = _time("ObservationTimeStop", data.get("ObservationTimeStop") or placemark.end)
    relative_orbit = _orbit_number("OrbitRelative", data.get("OrbitRelative", ""))
    if not 1 <= relative_orbit <= 143:
        raise InputError("OrbitRelative", relative_orbit, "1 to 143")
    mode = data.get("Mode", "")
    if not 1 <= len(mode) <= 40:
        raise InputError("Mode", mode[:40], "NOBS, VIC, DARK-O, ...")
    if len(placemark.rings) != 1:
        raise InputError("polygon", f"{len(placemark.rings)} polygons", "one")
    segment = Segment(
        segment_id=(data.get("ID") or placemark.name)[:40],
        satellite=_satellite(placemark),
        mode=mode,
        timeliness=data.get("Timeliness", "")[:40],
        start=start,
        stop=stop,
        absolute_orbit=_orbit_number("OrbitAbsolute", data.get("OrbitAbsolute", "")),
        relative_orbit=relative_orbit,
        polygon=_outline(placemark.rings[0]),
    )
    strip_s = float(build_strip(segment.polygon).after_s[-1])
    duration_s = (stop - start).total_seconds()
    if not _STRIP_LACKS_S[0] <= duration_s - strip_s <= _STRIP_LACKS_S[1]:
        raise InputError("polygon", f"a strip of {strip_s:.1f} s", f"one of about {duration_s:.1f} s, stop minus start")
    return segment


def _satellite(placemark: Placemark) -> str:
    named = [name for name in placemark.folders if _SATELLITE.fullmatch(name)]
    style = _STYLE.match(placemark.style_url)
    if not named and not style:
        got = f"folders {placemark.folders[-4:]}, style {placemark.style_url[:40]!r}"
        raise InputError("satellite", got, "a folder or style of S2A, S2B, S2C, ...")
    return named[-1] if named else str(style and style[1])


def _outline(ring: str) -> tuple[Vertex, ...]:
    vertices = [_vertex(text) for text in ring.split()]
    if len(vertices) < 2 or vertices[0] != vertices[-1]:
        raise InputError("coordinates", f"{len(vertices)} vertices, the last unlike the first", "a closed ring")
    return tuple(vertices[:-1])


def _vertex(text: str) -> Vertex:
    numbers = text.split(",")
    if len(numbers) not in (2, 3) or not all(_NUMBER.fullmatch(n) for n in numbers):
        raise InputError("coordinates", text[:60], "longitude,latitude or longitude,latitude,altitude")
    lon, lat = float(numbers[0]), float(numbers[1])
    # Longitudes of real plans run from -214 to 185: they go on over the antimeridian, except in a few segments.
    if not (math.isfinite(lon) and abs(lon) <= 540.0 and abs(lat) <= 90.0):
        raise InputError("coordinates", text[:60], "a longitude within ±540 and a latitude within ±90")
    return Vertex(lon, lat)


def _time(what: str, text: str) -> datetime:
    expected = f"a time as 2025-02-13T12:07:16.245, UTC, of the years {_FIRST_YEAR} to {_LAST_YEAR}"
    if not _TIME.fullmatch(text):
        raise InputError(what, text[:40], expected)
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(what, text[:40], expected) from error
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise InputError(what, text[:40], expected)
    return time


def _orbit_number(what: str, text: str) -> int:
    if not _ORBIT_NUMBER.fullmatch(text) or not text.isascii():
        raise InputError(what, text[:40], "a number")
    return int(text)


def _period(title: str) -> tuple[datetime, datetime] | None:
    """`S2 Planned Observations from 20250213T120000 to 20250303T150000`."""
    found = _PERIOD.search(title)
    if not found:
        return None
    try:
        start, stop = (datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for text in found.groups())
    except ValueError:
        return None
    return (start, stop) if start < stop <= start + timedelta(days=60) else None
