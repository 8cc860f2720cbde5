"""Messages in the shape aisstream.io gives them: its times, its envelope, its numbers for "not available".

The service is written in Go: times are Go's `time.Time.String()`, `MMSI_String` is a number, `ShipName` keeps its padding,
`MetaData` has the last known position of the sender also for messages without one. Field names as in its public models
(github.com/aisstream/ais-message-models). Not here: which messages, and when (`ais_feed`, `ais_fleet`).
"""

import functools
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MMSI_COPY_STEP = 7919
"""A prime: copies of one ship are spread over its country's numbers."""

# Characters for private use: no AIS text has them (its alphabet is 6-bit ASCII), so they mark what changes in a template.
_TIME, _SECOND, _MMSI = "\ue000", "\ue001", "\ue002"


@functools.lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_utc_text(time_s: float) -> str:
    """A time as the service writes it: up to nine decimals, without trailing zeros.

    Args:
        time_s: seconds since 1970 UTC; a float holds them to about 0.2 µs.

    >>> time_utc_text(1697363468.5)
    '2023-10-15 09:51:08.5 +0000 UTC'
    """
    second = math.floor(time_s)
    decimals = f"{int((time_s - second) * 1e9):09d}".rstrip("0")
    return f"{_second_text(second)}{'.' if decimals else ''}{decimals} +0000 UTC"


def parse_time_utc_s(text: str) -> float:
    """Seconds since 1970 UTC of a time as the service writes it, to about a microsecond.

    Raises:
        ValueError: it is none.
    """
    date, _, rest = text.partition(" ")
    clock, _, zone = rest.partition(" ")
    if zone != "+0000 UTC":
        raise ValueError(f"{text!r} is no time of the service")
    whole, _, decimals = clock.partition(".")
    moment = datetime.strptime(f"{date} {whole}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{decimals}") if decimals else 0.0)


def encode(message: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON without spaces; lone surrogates as escapes, since UTF-8 has none."""
    try:
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(message, separators=(",", ":")).encode()


class Template:
    """A message that is encoded once and sent many times, with other times and MMSIs."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        """`message`: whole, with the times it was heard at."""
        metadata = dict(message["MetaData"])
        kind = message["MessageType"]
        body = dict(message["Message"].get(kind) or {})
        self.mmsi = int(metadata["MMSI"])
        self.original = encode(message)
        self.lag_s = 0
        """Whole seconds from the position to `time_utc`."""
        second = body.get("Timestamp")
        if isinstance(second, int) and 0 <= second < 60:  # 60 and more: no time, dead reckoning (M.1371-5, table 48)
            self.lag_s = (int(parse_time_utc_s(metadata["time_utc"])) - second) % 60
            body["Timestamp"] = _SECOND
        metadata["time_utc"] = _TIME
        for fields in (metadata, body):
            for name in ("MMSI", "MMSI_String", "UserID"):
                if fields.get(name) == self.mmsi:
                    fields[name] = _MMSI
        frame = encode({**message, "Message": {kind: body}, "MetaData": metadata}).replace(b"%", b"%%")
        for mark, place in ((_SECOND, b"%(second)d"), (_MMSI, b"%(mmsi)d")):
            frame = frame.replace(f'"{mark}"'.encode(), place)
        self._frame = frame.replace(_TIME.encode(), b"%(time)s")

    def copy_mmsi(self, copy: int) -> int:
        """The MMSI of the nth copy: of the same country and kind, and itself for 0 and for what is no ship's number."""
        if not copy or not 200_000_000 <= self.mmsi < 800_000_000:
            return self.mmsi
        country, number = divmod(self.mmsi, 1_000_000)
        return country * 1_000_000 + (number + copy * MMSI_COPY_STEP) % 1_000_000

    def frame(self, time_s: float, copy: int = 0) -> bytes:
        """The message as heard at `time_s`, seconds since 1970 UTC."""
        return self._frame % {
            b"time": time_utc_text(time_s).encode(),
            b"second": (math.floor(time_s) - self.lag_s) % 60,
            b"mmsi": self.copy_mmsi(copy),
        }


def message(
    kind: str, body: Mapping[str, Any], *, mmsi: int, ship_name: str, lat: float, lon: float, time_s: float
) -> dict[str, Any]:
    """The envelope around a body, which gets `UserID` and `Valid`.

    Args:
        kind: `MessageType`.
        body: the fields of that type.
        mmsi: of the sender.
        ship_name: as the service last had it, padding and all.
        lat, lon: where the service last had it, degrees.
        time_s: when the service had the message, seconds since 1970 UTC.
    """
    return {
        "Message": {kind: {**body, "RepeatIndicator": 0, "UserID": mmsi, "Valid": True}},
        "MessageType": kind,
        "MetaData": {
            "MMSI": mmsi,
            "MMSI_String": mmsi,
            "ShipName": ship_name,
            "latitude": lat,
            "longitude": lon,
            "time_utc": time_utc_text(time_s),
        },
    }


def position_report(
    *, lat: float, lon: float, sog_kn: float, cog_deg: float, heading_deg: int, nav_status: int, second: int
) -> dict[str, Any]:
    """The body of a class A position report (message 1). `second`: UTC second of the position, 60 when unknown."""
    return {
        "Cog": cog_deg,
        "CommunicationState": 0,
        "Latitude": lat,
        "Longitude": lon,
        "MessageID": 1,
        "NavigationalStatus": nav_status,
        "PositionAccuracy": True,
        "Raim": False,
        "RateOfTurn": 0,
        "Sog": sog_kn,
        "Spare": 0,
        "SpecialManoeuvreIndicator": 0,
        "Timestamp": second,
        "TrueHeading": heading_deg,
    }


def class_b_position_report(
    *, lat: float, lon: float, sog_kn: float, cog_deg: float, heading_deg: int, second: int
) -> dict[str, Any]:
    """The body of a class B position report (message 18)."""
    return {
        "AssignedMode": False,
        "ClassBBand": True,
        "ClassBDisplay": False,
        "ClassBDsc": True,
        "ClassBMsg22": True,
        "ClassBUnit": True,
        "Cog": cog_deg,
        "CommunicationState": 393222,
        "CommunicationStateIsItdma": True,
        "Latitude": lat,
        "Longitude": lon,
        "MessageID": 18,
        "PositionAccuracy": False,
        "Raim": False,
        "Sog": sog_kn,
        "Spare1": 0,
        "Spare2": 0,
        "Timestamp": second,
        "TrueHeading": heading_deg,
    }


def ship_static_data(
    *,
    name: str,
    call_sign: str,
    imo: int,
    ship_type: int,
    dimension_m: tuple[int, int, int, int],
    destination: str,
    eta: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The body of class A static data (message 5). `dimension_m`: A to D, antenna to bow, stern, port, starboard."""
    return {
        "AisVersion": 1,
        "CallSign": call_sign,
        "Destination": destination,
        "Dimension": dict(zip("ABCD", dimension_m, strict=True)),
        "Dte": False,
        "Eta": dict(eta) if eta else {"Day": 0, "Hour": 24, "Minute": 60, "Month": 0},
        "FixType": 1,
        "ImoNumber": imo,
        "MaximumStaticDraught": 0,
        "MessageID": 5,
        "Name": name,
        "Spare": False,
        "Type": ship_type,
    }


def static_data_report(
    *,
    part_b: bool,
    name: str = "",
    call_sign: str = "",
    ship_type: int = 0,
    dimension_m: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> dict[str, Any]:
    """The body of class B static data (message 24): part A has the name, part B everything else."""
    return {
        "MessageID": 24,
        "PartNumber": part_b,
        "ReportA": {"Name": "" if part_b else name, "Valid": not part_b},
        "ReportB": {
            "CallSign": call_sign if part_b else "",
            "Dimension": dict(zip("ABCD", dimension_m if part_b else (0, 0, 0, 0), strict=True)),
            "FixType": 1 if part_b else 0,
            "ShipType": ship_type if part_b else 0,
            "Spare": 0,
            "Valid": part_b,
            "VenderIDModel": 0,
            "VenderIDSerial": 0,
            "VendorIDName": "",
        },
        "Reserved": 0,
    }
