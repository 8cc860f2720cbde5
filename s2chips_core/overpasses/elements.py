"""Orbital elements of Sentinel-2 from texts of others: TLE, and OMM as JSON, CSV and XML (CCSDS 502.0-B).

Here: reading them, what can be wrong with a text, and choosing the set nearest to a time. Not here: whether an orbit is that
of a Sentinel-2 satellite (`element_checks`), where it leads (`orbit`), and getting the texts (`sources`).
"""

import csv
import dataclasses
import functools
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import ParseError

from sgp4 import omm
from sgp4.api import WGS72, Satrec
from sgp4.io import compute_checksum

from s2chips_core.errors import InputError
from s2chips_core.overpasses.element_checks import judge_orbit

SATELLITES = {40697: "S2A", 42063: "S2B", 60989: "S2C"}
"""By catalogue number."""
LAUNCHES = {"S2A": "2015-028A", "S2B": "2017-013A", "S2C": "2024-157A"}
"""International designators."""
MAX_TEXT_BYTES = 64 * 1024 * 1024
MOST_REFUSED = 1000
_SHOWN_CHARS = 100
_EXPECTED = "orbital elements: TLE lines, or OMM as JSON, CSV or XML"
_NAME = re.compile(r"(?:0 )?SENTINEL[- ]?2 ?([ABC])", re.IGNORECASE)
# Columns of a TLE; space or sign where the number is shorter. https://celestrak.org/columns/v04n03/
_LINE_1 = re.compile(
    r"1 [ \d]{4}\d[A-Z ] [ \dA-Z]{8} \d\d[ \d]{3}\.\d{8} [ +-]\.\d{8} [ +-][ \d]{5}[ +-]\d [ +-][ \d]{5}[ +-]\d [ \d] "
    r"[ \d]{4}\d"
)
_LINE_2 = re.compile(
    r"2 [ \d]{4}\d [ \d]{3}\.\d{4} [ \d]{3}\.\d{4} \d{7} [ \d]{3}\.\d{4} [ \d]{3}\.\d{4} [ \d]{2}\.\d{8}[ \d]{5}\d"
)
_TLE_LINE = re.compile(r"([12]) ([ \dA-Z][ \d]{4})[A-Z ]? ")
_OMM_KEYS = frozenset({"NORAD_CAT_ID", "EPOCH", "MEAN_MOTION", "ECCENTRICITY", "INCLINATION"})
_SGP4_EPOCH = datetime(1949, 12, 31, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """One element set that passed all checks."""

    satellite: str
    norad_id: int
    epoch: datetime
    """Aware UTC."""
    revolution: int
    """At the epoch, as the catalogue counts; for ESA's number see `orbit.absolute_orbit`."""
    mean_motion_rad_min: float
    """Kozai's."""
    mean_motion_dot: float
    """Half the first derivative, rad/min²; SGP4 does not use it."""
    mean_motion_ddot: float
    """A sixth of the second derivative, rad/min³; SGP4 does not use it."""
    eccentricity: float
    inclination_rad: float
    node_rad: float
    """Right ascension of the ascending node."""
    perigee_rad: float
    """Argument of perigee."""
    anomaly_rad: float
    """Mean anomaly."""
    bstar: float
    """Drag, per Earth radius."""
    track_offset_km: float
    """East of the nearest of the 143 reference tracks, along the equator; beyond 5 km the satellite is being moved."""
    source: str
    """Where the text came from."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RefusedElements:
    """An element set that is not used, and why."""

    satellite: str | None
    norad_id: int | None
    epoch: datetime | None
    """Aware UTC, where it could be read."""
    check: str
    """Which check failed: format, pair, checksum, identity, theory, inclination, eccentricity, mean motion, drag,
    propagation, local time, ground track, age."""
    reason: str
    """A sentence with the numbers."""
    source: str


_Found = Elements | RefusedElements


def parse_elements(text: str | bytes, source: str) -> tuple[list[Elements], list[RefusedElements]]:
    """The element sets of Sentinel-2 satellites in a text; those of others are passed over.

    Args:
        text: lines of TLE with or without name lines, or OMM as JSON, CSV or XML, as CelesTrak and Space-Track give them.
        source: its name, for messages.

    Returns:
        The sets that passed all checks, in the order of the text and each once, and those that did not, with the reason: the
        first MOST_REFUSED of them and how many more there are.

    Raises:
        InputError: the text is none of these, or too long.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(source, f"{len(text)} bytes", f"at most {MAX_TEXT_BYTES}")
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    text = text.removeprefix("\ufeff").strip()
    if text.startswith(("[", "{")):
        found = _from_records(_read_json(text, source), source)
    elif text.startswith("<"):
        found = _from_records(_read_xml(text, source), source)
    elif "NORAD_CAT_ID" in text.partition("\n")[0]:
        found = _from_records(_read_csv(text, source), source)
    else:
        found = _read_tle(text, source)
    accepted: dict[Elements, None] = {}
    refused: dict[RefusedElements, None] = {}
    more = 0
    for one in found:
        if isinstance(one, Elements):
            accepted[one] = None
        elif len(refused) < MOST_REFUSED:
            refused[one] = None
        else:
            more += 1
    if more:
        reason = f"{more} more element sets in {source} are refused."
        refused[_others_refused(reason, source)] = None
    return list(accepted), list(refused)


def _others_refused(reason: str, source: str) -> RefusedElements:
    return RefusedElements(satellite=None, norad_id=None, epoch=None, check="format", reason=reason, source=source)


def select_elements(
    elements: Iterable[Elements], satellite: str, at: datetime, max_age_days: float
) -> Elements | RefusedElements:
    """The set of a satellite whose epoch is nearest to a time; too far from it, it is refused with its age.

    Args:
        elements: of any satellites and epochs.
        satellite: S2A, S2B or S2C.
        at: aware UTC.
        max_age_days: largest time between epoch and `at`, before or after it.
    """
    own = [one for one in elements if one.satellite == satellite]
    if not own:
        return RefusedElements(
            satellite=satellite,
            norad_id=None,
            epoch=None,
            check="age",
            reason=f"there are no orbital elements of {satellite}.",
            source="",
        )
    nearest = min(own, key=lambda one: abs(one.epoch - at))
    age_days = abs(nearest.epoch - at) / timedelta(days=1)
    if age_days <= max_age_days:
        return nearest
    return RefusedElements(
        satellite=satellite,
        norad_id=nearest.norad_id,
        epoch=nearest.epoch,
        check="age",
        reason=f"the elements of {satellite} nearest to {_minute(at)} are of {_minute(nearest.epoch)}, {age_days:.1f} days "
        f"away; {max_age_days:g} are allowed.",
        source=nearest.source,
    )


@functools.lru_cache(maxsize=4096)
def satrec_of(elements: Elements) -> Any:
    """The elements as SGP4 takes them (sgp4.api.Satrec, WGS 72 constants as in the catalogue)."""
    satrec = Satrec()
    satrec.sgp4init(
        WGS72,
        "i",
        elements.norad_id,
        (elements.epoch - _SGP4_EPOCH) / timedelta(days=1),
        elements.bstar,
        elements.mean_motion_dot,
        elements.mean_motion_ddot,
        elements.eccentricity,
        elements.perigee_rad,
        elements.inclination_rad,
        elements.anomaly_rad,
        elements.mean_motion_rad_min,
        elements.node_rad,
    )
    return satrec


@dataclasses.dataclass(frozen=True, slots=True)
class _Read:
    """Whose element set is being read; makes the refusals."""

    satellite: str | None
    norad_id: int | None
    source: str

    def refuse(self, check: str, problem: str, epoch: datetime | None = None) -> RefusedElements:
        whose = self.satellite or f"catalogue number {self.norad_id}"
        of = f" of {_minute(epoch)}" if epoch else ""
        return RefusedElements(
            satellite=self.satellite,
            norad_id=self.norad_id,
            epoch=epoch,
            check=check,
            reason=f"the elements of {whose}{of} in {self.source} are refused ({check}): {problem}.",
            source=self.source,
        )


def _read_tle(text: str, source: str) -> Iterator[_Found]:
    lines = (line.rstrip() for line in text.splitlines() if line.strip())
    any_head = False
    line: str | None = next(lines, None)
    before = ""
    while line is not None:
        head = _TLE_LINE.match(line)
        following = next(lines, None)
        if head is None:
            before, line = line, following
            continue
        any_head = True
        second = _TLE_LINE.match(following) if following is not None else None
        name = _NAME.fullmatch(before.strip())
        named = f"S2{name[1].upper()}" if name else None
        paired = head[1] == "1" and second is not None and second[1] == "2"
        ids = [_catalogue_number(head[2])] + ([_catalogue_number(second[2])] if paired and second else [])
        ours = [number for number in ids if number in SATELLITES]
        if ours or named:
            read = _Read(SATELLITES[ours[0]] if ours else named, ours[0] if ours else ids[0], source)
            if paired and following is not None and ids[0] == ids[1]:
                yield _from_lines(line, following, named, read)
            elif paired:
                yield read.refuse("pair", f"line 1 is of {ids[0]} and line 2 of {ids[1]}")
            else:
                yield read.refuse("pair", f"line {head[1]} stands alone: {line[:_SHOWN_CHARS]!r}")
        before, line = "", next(lines, None) if paired else following
    if not any_head:
        raise InputError(source, text[:80], _EXPECTED)


def _from_lines(line1: str, line2: str, named: str | None, read: _Read) -> _Found:
    for line, form in ((line1, _LINE_1), (line2, _LINE_2)):
        if not form.fullmatch(line):
            return read.refuse("format", f"no line {line[:1]} of a TLE, columns 1 to 69: {line[:_SHOWN_CHARS]!r}")
    for line in (line1, line2):
        if int(line[68]) != compute_checksum(line):
            return read.refuse("checksum", f"line {line[0]} says {line[68]}, its digits add up to {compute_checksum(line)}")
    satrec = Satrec.twoline2rv(line1, line2, WGS72)
    day, fraction = line1[20:23], line1[24:32]
    if not 1 <= int(day) <= 366:
        return read.refuse("format", f"the epoch {line1[18:32]!r} has no day of a year")
    year = _century(line1[18:20]) + int(line1[18:20])
    # 8 decimals of a day are 864 µs: exact.
    epoch = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=int(day) - 1, microseconds=864 * int(fraction))
    launch = f"{_century(line1[9:11]) // 100}{line1[9:11]}-{line1[11:17].strip()}"
    if line1[62] not in " 0":
        return read.refuse("theory", f"ephemeris type {line1[62]} is not SGP4", epoch)
    return _judged(satrec, epoch, int(line2[63:68]), named, launch, read)


def _from_records(records: Iterable[Mapping[str, Any]], source: str) -> Iterator[_Found]:
    return (one for one in (_from_omm(fields, source) for fields in records) if one is not None)


def _from_omm(fields: Mapping[str, Any], source: str) -> _Found | None:
    name = _NAME.fullmatch(_plain(fields.get("OBJECT_NAME", "")))
    named = f"S2{name[1].upper()}" if name else None
    norad_id = _catalogue_number(_plain(fields.get("NORAD_CAT_ID", "")))
    if norad_id not in SATELLITES and named is None:
        return None
    read = _Read(SATELLITES.get(norad_id or 0, named), norad_id, source)
    try:
        epoch = datetime.fromisoformat(_plain(fields["EPOCH"]))
        epoch = epoch.replace(tzinfo=UTC) if epoch.tzinfo is None else epoch.astimezone(UTC)
        for key in ("EPHEMERIS_TYPE", "ELEMENT_SET_NO", "REV_AT_EPOCH"):
            if abs(int(fields[key])) >= 1 << 31:  # SGP4 would keep its last 32 bits
                raise ValueError(f"{key} has more than 31 bits")
        satrec = Satrec()
        omm.initialize(satrec, {**fields, "EPOCH": f"{epoch:%Y-%m-%dT%H:%M:%S.%f}"})
    except KeyError as error:
        return read.refuse("format", f"it has no {error.args[0]}")
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        return read.refuse("format", str(error)[:_SHOWN_CHARS])
    for key, expected in (
        ("MEAN_ELEMENT_THEORY", "SGP4"),
        ("REF_FRAME", "TEME"),
        ("TIME_SYSTEM", "UTC"),
        ("EPHEMERIS_TYPE", "0"),
    ):
        if (said := _plain(fields.get(key) or expected)) != expected:
            return read.refuse("theory", f"{key} is {said[:_SHOWN_CHARS]}, not {expected}", epoch)
    return _judged(satrec, epoch, satrec.revnum, named, _plain(fields["OBJECT_ID"]), read)


def _judged(satrec: Any, epoch: datetime, revolution: int, named: str | None, launch: str, read: _Read) -> _Found:
    """The element set if it is of the satellite that it says, and of an orbit that a Sentinel-2 satellite flies."""
    satellite = SATELLITES.get(read.norad_id or 0)
    if satellite is None or read.norad_id is None or named not in (None, satellite) or launch != LAUNCHES[satellite]:
        expected = ", ".join(f"{number} {name} {LAUNCHES[name]}" for number, name in SATELLITES.items())
        return read.refuse(
            "identity", f"catalogue number {read.norad_id}, {named}, {launch[:_SHOWN_CHARS]}; expected {expected}", epoch
        )
    judged = judge_orbit(satrec, epoch.timestamp())
    if judged.check is not None:
        return read.refuse(judged.check, judged.reason, epoch)
    return Elements(
        satellite=satellite,
        norad_id=read.norad_id,
        epoch=epoch,
        revolution=revolution,
        mean_motion_rad_min=satrec.no_kozai,
        mean_motion_dot=satrec.ndot,
        mean_motion_ddot=satrec.nddot,
        eccentricity=satrec.ecco,
        inclination_rad=satrec.inclo,
        node_rad=satrec.nodeo,
        perigee_rad=satrec.argpo,
        anomaly_rad=satrec.mo,
        bstar=satrec.bstar,
        track_offset_km=judged.track_offset_km,
        source=read.source,
    )


def _read_json(text: str, source: str) -> Sequence[Mapping[str, Any]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise InputError(source, text[:80], f"{_EXPECTED}; this JSON is broken: {error}") from error
    records = [data] if isinstance(data, dict) else data
    return _checked(records, source, text)


def _read_csv(text: str, source: str) -> Iterator[Mapping[str, Any]]:
    try:
        for fields in csv.DictReader(text.splitlines(keepends=True), strict=True):
            yield from _checked([fields], source, text)
    except csv.Error as error:
        raise InputError(source, text[:80], f"{_EXPECTED}; this CSV is broken: {error}") from error


def _read_xml(text: str, source: str) -> Sequence[Mapping[str, Any]]:
    # An OMM needs neither; without them no entity can read another file or grow without end.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(source, text[:80], f"{_EXPECTED}; no document type, no entities")
    try:
        return _checked(list(omm.parse_xml(io.StringIO(text))), source, text)
    except (ParseError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise InputError(source, text[:80], f"{_EXPECTED}; this XML is none: {error}") from error


def _checked(records: Any, source: str, text: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(records, list) or not all(isinstance(one, dict) and one.keys() >= _OMM_KEYS for one in records):
        raise InputError(source, text[:80], f"{_EXPECTED}; each OMM with {', '.join(sorted(_OMM_KEYS))}")
    if not records and text.lstrip().startswith("<"):
        raise InputError(source, text[:80], _EXPECTED)
    return records


def _plain(value: object) -> str:
    """A field as text; what is no text and no number says nothing, and can be too deep to write out."""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def _century(year: str) -> int:
    """Two digits are of 1957 to 2056: Sputnik."""
    return 2000 if year < "57" else 1900


def _catalogue_number(text: str) -> int | None:
    number = text.strip()
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 9 else None  # 9: CCSDS 502.0-B


def _minute(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%MZ}"
