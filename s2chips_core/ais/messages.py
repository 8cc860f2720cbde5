"""What a message of aisstream.io means: a position, what a ship says of itself, or why it is neither. Pure.

Here: one frame in, one value out, whatever the bytes. Not here: receiving (`aisstream`), keeping (`journal`), which fix
belongs to which pass (`fixes_of_window`). The values are tuples, not dataclasses: they are made thousands of times a second.
Field names and meanings: ITU-R M.1371-5, annex 8; the envelope is aisstream.io's own.
"""

import functools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from s2chips_core.ais.fixes import (
    COG_NOT_AVAILABLE_DEG,
    LAT_NOT_AVAILABLE_DEG,
    LON_NOT_AVAILABLE_DEG,
    SOG_NOT_AVAILABLE_KN,
)
from s2chips_core.ais.ship_types import ship_type_name
from s2chips_core.ais.targets import ship_mmsi_problem


class Static(NamedTuple):
    """What a ship says of itself; None where it did not say. Any part of it may come alone."""

    mmsi: int
    message_type: str
    time_utc: datetime | None
    """When the service had it, aware UTC."""
    received_at: datetime
    ship_name: str | None
    ship_type: str | None
    length_m: float | None
    width_m: float | None
    to_bow_m: float | None
    """None, as the other three, where the ship told its size but not where its antenna is."""
    to_stern_m: float | None
    to_port_m: float | None
    to_starboard_m: float | None
    ais_class: str | None
    call_sign: str | None
    imo: int | None
    destination: str | None


class Position(NamedTuple):
    """Where a ship was; None where it did not say."""

    mmsi: int
    message_type: str
    time: datetime
    """When the ship was there, aware UTC: see `time_of_position`."""
    time_utc: datetime
    received_at: datetime
    lat: float
    lon: float
    sog_kn: float | None
    cog_deg: float | None
    heading_deg: float | None
    nav_status: int | None
    """0 to 14; 15 is "not defined"."""
    ais_class: str | None
    """None for a long-range message: ships of both classes send it."""
    ship_name: str | None
    """As the service knows it, from an earlier message."""
    static: Static | None
    """Of an ExtendedClassBPositionReport, which says both. `JournalWriter.append` keeps it with the position."""


class Ignored(NamedTuple):
    """A message that gives no fix and nothing about a ship."""

    reason: str
    """One of a limited number of short texts, to count by."""


class Confirmation(NamedTuple):
    """The service took the subscription."""


class ServiceError(NamedTuple):
    """The service says that something is wrong."""

    text: str
    """Its words, shortened, without anything that may be a key."""
    is_key: bool
    """The key is not accepted: final."""


Parsed = Position | Static | Ignored | Confirmation | ServiceError

POSITION_CLASSES = {
    "PositionReport": "A",
    "StandardClassBPositionReport": "B",
    "ExtendedClassBPositionReport": "B",
    "LongRangeAisBroadcastMessage": None,
}
"""Messages with a position -> the class of transponder that sends them."""
_EXTENDED, _LONG_RANGE = "ExtendedClassBPositionReport", "LongRangeAisBroadcastMessage"
_STATIC, _STATIC_PARTS = "ShipStaticData", "StaticDataReport"
_NAMED = {
    "BaseStationReport": "base station",
    "AidsToNavigationReport": "aid to navigation",
    "StandardSearchAndRescueAircraftReport": "search and rescue aircraft",
}
_OTHER = frozenset(
    {
        "AddressedBinaryMessage",
        "AddressedSafetyMessage",
        "AssignedModeCommand",
        "BinaryAcknowledge",
        "BinaryBroadcastMessage",
        "ChannelManagement",
        "CoordinatedUTCInquiry",
        "DataLinkManagementMessage",
        "DataLinkManagementMessageData",
        "GnssBroadcastBinaryMessage",
        "GroupAssignmentCommand",
        "Interrogation",
        "MultiSlotBinaryMessage",
        "SafetyBroadcastMessage",
        "SingleSlotBinaryMessage",
        "UnknownMessage",
    }
)

LONG_RANGE_SOG_NOT_AVAILABLE_KN = 63
"""M.1371-5, message 27."""
_MAX_TEXT = 64
"""Characters kept of a text; AIS has 34 at most (a name and its extension)."""
OLDEST_S, AHEAD_S = 20, 3
"""See `time_of_position`."""

_TIME = re.compile(
    r"(20\d\d-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?\s*(?:Z|UTC|([+-]\d\d):?(\d\d)(?: [A-Za-z]+)?)?", re.ASCII
)


def parse_message(frame: bytes | str, received_at: datetime) -> Parsed:
    """What one frame means. Never raises, whatever the bytes.

    The place comes from the message itself: the one in the envelope is the last that the service knew, also of messages
    that carry another. An MMSI that differs between the two is refused.

    Args:
        frame: as it came; UTF-8 JSON.
        received_at: when it came, aware UTC.
    """
    try:
        tree = json.loads(frame)
    except (ValueError, TypeError, RecursionError):  # of which also: bytes that are no text, integers of 5,000 digits
        return Ignored("no JSON")
    if type(tree) is not dict:
        return Ignored("no message")
    if "error" in tree:
        return _service_error(tree["error"])
    kind, messages, envelope = tree.get("MessageType"), tree.get("Message"), tree.get("MetaData")
    if type(kind) is not str:
        return Ignored("no message")
    if kind == "SubscriptionConfirmation":
        return Confirmation()
    if kind not in POSITION_CLASSES and kind not in (_STATIC, _STATIC_PARTS):
        return Ignored(_NAMED.get(kind) or (f"type {kind}" if kind in _OTHER else "type unknown"))
    body = messages.get(kind) if type(messages) is dict else None
    if type(body) is not dict:
        return Ignored("no message")
    if body.get("Valid") is False:
        return Ignored("marked invalid")
    mmsi, envelope = body.get("UserID"), envelope if type(envelope) is dict else {}
    if type(mmsi) is not int or not _is_ship(mmsi):
        return Ignored("not a ship's number")
    told = envelope.get("MMSI")
    if type(told) is int and told != mmsi:
        return Ignored("contradicts itself")
    time_utc = parse_time_utc(envelope.get("time_utc"))
    static = None if kind in POSITION_CLASSES and kind != _EXTENDED else _static(kind, body, mmsi, time_utc, received_at)
    if kind not in POSITION_CLASSES:
        return static or Ignored("says nothing")
    position = _position(kind, body, mmsi, time_utc, received_at, envelope.get("ShipName"), static)
    # A class B ship without a fix still tells its name and size.
    return static if static and type(position) is Ignored else position


def parse_time_utc(text: object) -> datetime | None:
    """The `time_utc` of an envelope as aware UTC, to microseconds: as Go writes a time, or ISO 8601; None for anything else.

    >>> parse_time_utc("2023-10-15 09:51:08.143077274 +0000 UTC").isoformat()
    '2023-10-15T09:51:08.143077+00:00'
    """
    found = _TIME.fullmatch(text) if type(text) is str else None
    if found is None:
        return None
    day, time, fraction, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}.{fraction or '0':0<6}{hours or '+00'}:{minutes or '00'}")
    except ValueError:
        return None
    return moment.astimezone(UTC)


def time_of_position(time_utc: datetime, second: object) -> datetime:
    """When a ship was where it says: `time_utc` brought to the UTC second that the message names.

    A position report carries the second (0 to 59) of its position, not the minute. `time_utc` is when a station of the
    service heard it: 1 to 3 s later in real messages, and different for each station, so repeats of one message only
    coincide at the second they name. A message up to 20 s old, or 3 s ahead of the service's clock, is believed; beyond,
    and for 60 and up (not available, or no satellite fix), the answer is `time_utc`.

    Args:
        time_utc: aware UTC.
        second: the message's `Timestamp`.
    """
    if type(second) is not int or not 0 <= second <= 59:
        return time_utc
    age_s = (time_utc.second - second) % 60
    if age_s >= 60 - AHEAD_S:
        age_s -= 60
    return time_utc.replace(microsecond=0) - timedelta(seconds=age_s) if age_s <= OLDEST_S else time_utc


def _position(
    kind: str,
    body: dict[str, Any],
    mmsi: int,
    time_utc: datetime | None,
    received_at: datetime,
    name: object,
    static: Static | None,
) -> Position | Ignored:
    lat, lon = _within(body.get("Latitude"), -90.0, 90.0), _within(body.get("Longitude"), -180.0, 180.0)
    if lat is None or lon is None:
        told = body.get("Latitude") != LAT_NOT_AVAILABLE_DEG and body.get("Longitude") != LON_NOT_AVAILABLE_DEG
        return Ignored("no place on earth" if told else "no position")
    if time_utc is None:
        return Ignored("no time")
    long_range = kind == _LONG_RANGE
    cog = _within(body.get("Cog"), 0.0, COG_NOT_AVAILABLE_DEG)
    heading = _within(body.get("TrueHeading"), 0.0, 360.0)
    return Position(
        mmsi,
        kind,
        time_utc if long_range else time_of_position(time_utc, body.get("Timestamp")),
        time_utc,
        received_at,
        lat,
        lon,
        # 0.1 kn steps, whole knots in a long-range message: half of one keeps binary fractions apart
        _within(body.get("Sog"), 0.0, (LONG_RANGE_SOG_NOT_AVAILABLE_KN if long_range else SOG_NOT_AVAILABLE_KN) - 0.05),
        None if cog == COG_NOT_AVAILABLE_DEG else cog,
        0.0 if heading == 360.0 else heading,
        _whole(body.get("NavigationalStatus"), 0, 14),
        POSITION_CLASSES[kind],
        _text(name),
        static,
    )


def _static(kind: str, body: dict[str, Any], mmsi: int, time_utc: datetime | None, received_at: datetime) -> Static | None:
    if kind == _STATIC_PARTS:
        a, b = body.get("ReportA"), body.get("ReportB")
        names = a if type(a) is dict and a.get("Valid") is True else {}
        rest = b if type(b) is dict and b.get("Valid") is True else {}
        code = rest.get("ShipType")
        # Part A may come from any station (M.1371-5, message 24), part B only from class B.
        ais_class = "B" if rest else None
    else:
        names = rest = body
        code = body.get("Type")
        ais_class = "A" if kind == _STATIC else "B"
    code = _whole(code, 1, 99)
    said = (
        _text(names.get("Name")),
        ship_type_name(code) if code else None,
        *_dimensions(rest.get("Dimension")),
        ais_class,
        _text(rest.get("CallSign")),
        _whole(rest.get("ImoNumber"), 1_000_000, 9_999_999),
        _text(rest.get("Destination")),
    )
    return Static(mmsi, kind, time_utc, received_at, *said) if any(value is not None for value in said) else None


_Dimensions = tuple[float | None, float | None, float | None, float | None, float | None, float | None]


def _dimensions(dimension: object) -> _Dimensions:
    """Length, width and A to D, metres. M.1371-5, figure 41: all 0, no size; A = C = 0, a size but no antenna's place."""
    if type(dimension) is not dict:
        return (None,) * 6
    a, b = _within(dimension.get("A"), 0.0, 511.0), _within(dimension.get("B"), 0.0, 511.0)
    c, d = _within(dimension.get("C"), 0.0, 63.0), _within(dimension.get("D"), 0.0, 63.0)
    if a is None or b is None or c is None or d is None:
        return (None,) * 6
    size = a + b or None, c + d or None
    return (*size, None, None, None, None) if a == c == 0 else (*size, a, b, c, d)


@functools.lru_cache(maxsize=1 << 16)
def _is_ship(mmsi: int) -> bool:
    return 0 < mmsi < 10**9 and ship_mmsi_problem(mmsi) is None


def _within(value: object, low: float, high: float) -> float | None:
    # type() and not isinstance(): JSON's true is an int to Python
    if (type(value) is float or type(value) is int) and low <= value <= high:
        return float(value)
    return None


def _whole(value: object, low: int, high: int) -> int | None:
    return value if type(value) is int and low <= value <= high else None


def _text(value: object) -> str | None:
    """Up to the first "@", which ends a six-bit text (M.1371-5, table 47), without padding; None when nothing is left."""
    if type(value) is not str:
        return None
    text = value.partition("@")[0].strip()[:_MAX_TEXT]
    if not (text.isascii() and text.isprintable()):  # six bits have no such characters
        text = "".join(c for c in text if c.isascii() and c.isprintable()).strip()
    return text or None


_MAY_BE_KEY = re.compile(r"[0-9A-Za-z+/=_-]{20,}")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W]+")
_ABOUT_KEY = re.compile(r"\b(api ?key|key|token|credentials?)\b")
_REFUSED = re.compile(
    r"\b(not|no|isn|without|invalid|wrong|bad|incorrect|unknown|unrecogni[sz]ed|revoked|expired|missing|required|empty|"
    r"malformed|disabled|inactive|blocked|banned|denied|refused|reject\w*)\b"
)
_NOT_LET_IN = re.compile(r"\b(unauthori[sz]ed|not authori[sz]ed|unauthenticated|authentication|forbidden|access denied)\b")
_PASSING = re.compile(
    r"\b(concurrent|too many|limit\w*|exceed\w*|throttl\w*|quota|unavailable|temporar\w*|try again|time ?out)\b"
)


def _service_error(error: object) -> ServiceError:
    """Known: "Api Key Is Not Valid", "Subscription Object Is Malformed", "concurrent connections per user exceeded"."""
    try:
        text = error if type(error) is str else json.dumps(error)
    except RecursionError:  # the encoder gives up on fewer levels than the decoder
        text = "an error in no words"
    text = _MAY_BE_KEY.sub("…", text[:2000])[:200].encode(errors="replace").decode()
    words = _WORDS.sub(" ", text).lower()
    about_key = _NOT_LET_IN.search(words) or (_ABOUT_KEY.search(words) and _REFUSED.search(words))
    return ServiceError(text, bool(about_key) and not _PASSING.search(words))
