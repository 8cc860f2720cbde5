"""Frames that are no message, for the fault `garbage`. Not here: when they are sent (`ais_faults`)."""

import json
from typing import Any

_TIME = "2023-10-15 09:51:08.145374163 +0000 UTC"


def _position_report(body: dict[str, Any], **metadata: Any) -> bytes:
    """A position report with these fields, as Python's JSON writes it: NaN and Infinity as such."""
    return json.dumps(
        {
            "Message": {"PositionReport": {"UserID": 211306490, "Valid": True, **body}},
            "MessageType": "PositionReport",
            "MetaData": {"MMSI": 211306490, "MMSI_String": 211306490, "time_utc": _TIME, **metadata},
        }
    ).encode()


GARBAGE: tuple[bytes | str, ...] = (
    b"",
    b"not json",
    "text that is no json",
    b"\xff\xfe\x00not utf-8\x80",
    b'{"Message":{"PositionReport":{"Cog":296.1,"Latitude":51.9',
    b"[]",
    b"null",
    b"17",
    b"{}",
    b'{"MessageType":"PositionReport"}',
    b'{"MessageType":["PositionReport"],"Message":{},"MetaData":{}}',
    b'{"MessageType":"PositionReport","Message":{"PositionReport":null},"MetaData":null}',
    b'{"MessageType":"NoSuchReport","Message":{"NoSuchReport":{}},"MetaData":{"MMSI":1}}',
    _position_report({"Latitude": float("nan"), "Longitude": float("inf")}),
    _position_report({"Latitude": 91, "Longitude": 181, "Cog": 360, "Sog": 102.3, "TrueHeading": 511, "Timestamp": 60}),
    _position_report({"Latitude": 54.4, "Longitude": 10.2, "UserID": 1021812661}, MMSI=1021812661),
    _position_report({"Latitude": 54.4, "Longitude": 10.2}, ShipName="\ud800LONE"),
    _position_report({"Latitude": 54.4, "Longitude": 10.2}, time_utc="yesterday"),
    _position_report({"Latitude": 54.4, "Longitude": 10.2}, time_utc="4161-15-31 24:60:60 +0000 UTC"),
    _position_report({"Latitude": "54.4", "Longitude": {}, "UserID": "x", "Timestamp": -3, "Valid": "yes"}, MMSI=10**400),
    b"[" * 100_000,
)
"""Empty, cut, not UTF-8, other JSON, wrong types, NaN, "not available" throughout, a ten-digit MMSI with `Valid` true, a
lone surrogate, times that are none, a number no integer type holds, nesting deeper than any parser's stack. Real feeds had
several of these; none may end a capture."""


def too_big_frame(size_bytes: int) -> bytes:
    """Valid JSON of this size, bytes (at least 100)."""
    shell = json.dumps({"MessageType": "UnknownMessage", "Message": {"UnknownMessage": {"Error": ""}}})
    return (shell[:-4] + "x" * (size_bytes - len(shell)) + shell[-4:]).encode()
