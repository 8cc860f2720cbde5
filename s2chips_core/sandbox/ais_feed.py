"""Where the messages of the sandbox's AIS server come from: real ones again, at any rate.

Not here: made-up ships (`ais_fleet`), the shape of messages (`ais_message`).
"""

import csv
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from s2chips_core.ais.fixes import (
    COG_NOT_AVAILABLE_DEG,
    HEADING_NOT_AVAILABLE_DEG,
    SOG_NOT_AVAILABLE_KN,
)
from s2chips_core.errors import InputError
from s2chips_core.sandbox.ais_message import Template, message, parse_time_utc_s, position_report, ship_static_data

MOST_AT_ONCE = 200_000
"""A replay sends no more than this after its clock has jumped."""
_BODY_POSITION = (("Latitude", "Longitude"), ("latitude", "longitude"))


class Heard(NamedTuple):
    """One message as it leaves the service."""

    frame: bytes
    """UTF-8 JSON."""
    message_type: str
    mmsi: int
    lat: float
    """Where the service has the sender: `MetaData.latitude`."""
    lon: float


class Feed(Protocol):
    """Messages by the time they leave the service."""

    delay_s: tuple[float, float]
    """Least and greatest time from `time_utc` to leaving, seconds; may be set while it runs."""

    def leaving(self, after_s: float, until_s: float) -> list[Heard]:
        """What leaves later than `after_s` and not later than `until_s`, seconds since 1970 UTC, in the order of leaving."""
        ...


class _Entry(NamedTuple):
    template: Template
    message_type: str
    lat: float
    lon: float


class ReplayFeed:
    """Messages again and again, at a rate. `rate_per_s` and `delay_s` may be set while it runs."""

    def __init__(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        rate_per_s: float,
        delay_s: tuple[float, float],
        loop: bool,
        retime: bool,
        copies: int,
        seed: int,
    ) -> None:
        self.rate_per_s = rate_per_s
        self.delay_s = delay_s
        self._entries = [
            _Entry(
                Template(item),
                item["MessageType"],
                _number(item["MetaData"].get("latitude")),
                _number(item["MetaData"].get("longitude")),
            )
            for item in messages
        ]
        self._loop, self._retime, self._copies = loop, retime, copies
        self._dice = random.Random(seed)  # noqa: S311 - no secret hangs on it
        self._next = 0
        self._due = 1.0  # so that the first one comes at once, also at a slow rate

    def __len__(self) -> int:
        """Messages in one round."""
        return len(self._entries)

    def leaving(self, after_s: float, until_s: float) -> list[Heard]:
        """See `Feed.leaving`."""
        entries = self._entries
        span_s = until_s - after_s
        if span_s <= 0 or not entries:
            return []
        self._due = min(self._due + span_s * self.rate_per_s, MOST_AT_ONCE)
        count = int(self._due)
        if not self._loop:
            count = min(count, len(entries) - self._next)
        self._due -= int(self._due)
        least_s, most_s = self.delay_s
        heard = []
        for index in range(count):
            turn, place = divmod(self._next, len(entries))
            self._next += 1
            template, message_type, lat, lon = entries[place]
            copy = turn % self._copies
            if self._retime:
                time_s = after_s + (index + 1) / count * span_s - least_s
                if most_s > least_s:
                    time_s -= self._dice.random() * (most_s - least_s)
                frame = template.frame(time_s, copy)
            else:
                frame = template.original
            heard.append(Heard(frame, message_type, template.copy_mmsi(copy), lat, lon))
        return heard


class MixedFeed:
    """Several feeds as one. Setting `delay_s` sets it for all."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.feeds = list(feeds)

    @property
    def delay_s(self) -> tuple[float, float]:
        """The least and the greatest of all."""
        return min(feed.delay_s[0] for feed in self.feeds), max(feed.delay_s[1] for feed in self.feeds)

    @delay_s.setter
    def delay_s(self, delay_s: tuple[float, float]) -> None:
        for feed in self.feeds:
            feed.delay_s = delay_s

    def leaving(self, after_s: float, until_s: float) -> list[Heard]:
        """See `Feed.leaving`; one feed's messages after the other's."""
        return [heard for feed in self.feeds for heard in feed.leaving(after_s, until_s)]


def replay_feed(
    sources: Iterable[Path | Mapping[str, Any]],
    *,
    rate_per_s: float = 10.0,
    delay_s: tuple[float, float] = (0.0, 0.0),
    box: tuple[float, float, float, float] | None = None,
    loop: bool = True,
    retime: bool = True,
    copies: int = 1,
    seed: int = 0,
) -> ReplayFeed:
    """Messages of aisstream.io again, in the order given.

    Args:
        sources: `.jsonl` files with one message a line; `.csv` files as the vessel snapshot has them (each row becomes a
            PositionReport, a ShipStaticData, or both); or messages themselves.
        rate_per_s: messages a second, 0 to about 10,000.
        delay_s: least and greatest time from `time_utc` to leaving, seconds.
        box: west, south, east, north, degrees: every sender is put somewhere in it, always at the same place; positions that
            say "not available" stay so. None: where they were.
        loop: begin again at the end; else silence.
        retime: `time_utc` and `Timestamp` follow the server's clock, as far apart as they were; else they stay what they
            were, and `copies` has no effect.
        copies: each sender appears as so many ships, with other MMSIs: another one in each round.
        seed: of delays and places.

    Raises:
        InputError: a file is not there, or a line or row is no message.
    """
    messages = [item for source in sources for item in _read(source)]
    if box is not None:
        messages = [_moved(item, box, seed) for item in messages]
    return ReplayFeed(
        messages,
        rate_per_s=rate_per_s,
        delay_s=delay_s,
        loop=loop,
        retime=retime,
        copies=copies if retime else 1,
        seed=seed,
    )


def _read(source: Path | Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not isinstance(source, Path):
        yield _checked(dict(source), "message")
        return
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(str(source), error.strerror, "a .jsonl or .csv file of AIS messages") from error
    if source.suffix == ".csv":
        yield from _snapshot_messages(text, source)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            where = f"{source}, line {number}"
            try:
                item = json.loads(line)
            except ValueError as error:
                raise InputError(where, line[:80], "a JSON object") from error
            yield _checked(item, where)


def _checked(item: Any, where: str) -> dict[str, Any]:
    try:
        kind, metadata = item["MessageType"], item["MetaData"]
        body = item["Message"][kind]
        parse_time_utc_s(metadata["time_utc"])
        if not (isinstance(metadata["MMSI"], int) and isinstance(body, dict) and isinstance(kind, str)):
            raise TypeError("MMSI, Message or MessageType")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            where, str(item)[:80], "MessageType, Message of that type, MetaData with MMSI and time_utc"
        ) from error
    return dict(item)


def _snapshot_messages(text: str, source: Path) -> Iterator[dict[str, Any]]:
    """The messages that a vessel snapshot was merged from.

    Where a column is empty, the message says "not available". A row without a position (its static data was heard first)
    gets the place and time of the row before that has one, or of the first: a message of the service always has some.
    """
    rows = list(csv.DictReader(text.splitlines()))
    place = next((row for row in rows if row.get("lat")), None)
    for number, row in enumerate(rows, 2):
        try:
            mmsi, name = int(row["mmsi"]), row["name"]
            if row["lat"]:
                place = row
            if place is None:
                raise ValueError("no row has a position")
            lat, lon, time_s = float(place["lat"]), float(place["lon"]), parse_time_utc_s(place["timestamp"])
            if row["lat"]:
                body = position_report(
                    lat=lat,
                    lon=lon,
                    sog_kn=float(row["sog"] or SOG_NOT_AVAILABLE_KN),
                    cog_deg=float(row["cog"] or COG_NOT_AVAILABLE_DEG),
                    heading_deg=HEADING_NOT_AVAILABLE_DEG,
                    nav_status=int(row["nav_status"] or 15),
                    second=int(time_s) % 60,
                )
                yield message("PositionReport", body, mmsi=mmsi, ship_name=name, lat=lat, lon=lon, time_s=time_s)
            if row["ship_type"]:
                body = ship_static_data(
                    name=name,
                    call_sign="",
                    imo=int(row["imo"] or 0),
                    ship_type=int(row["ship_type"]),
                    dimension_m=(int(row["dim_bow"] or 0), int(row["dim_stern"] or 0), 0, 0),
                    destination=row["destination"],
                    eta=json.loads(row["eta"]) if row["eta"] else None,
                )
                yield message("ShipStaticData", body, mmsi=mmsi, ship_name=name, lat=lat, lon=lon, time_s=time_s)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{source}, line {number}", str(row)[:80], "a row of a vessel snapshot") from error


def _moved(item: Mapping[str, Any], box: tuple[float, float, float, float], seed: int) -> dict[str, Any]:
    west, south, east, north = box
    kind, metadata = item["MessageType"], dict(item["MetaData"])
    dice = random.Random(f"{seed}|{metadata['MMSI']}")  # noqa: S311 - no secret hangs on it
    lat = round(south + dice.random() * (north - south), 6)
    lon = round((west + dice.random() * ((east - west) % 360.0 or 360.0) + 180.0) % 360.0 - 180.0, 6)
    body = dict(item["Message"][kind])
    for fields, (lat_name, lon_name) in zip((body, metadata), _BODY_POSITION, strict=True):
        if abs(_number(fields.get(lat_name))) <= 90 and abs(_number(fields.get(lon_name))) <= 180:
            fields[lat_name], fields[lon_name] = lat, lon
    return {**item, "Message": {kind: body}, "MetaData": metadata}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
