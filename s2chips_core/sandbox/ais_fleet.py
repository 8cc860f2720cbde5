"""The synthetic fleet on the air: the messages its ships send, as often as real ships do.

Not here: who the ships are (`ais.synthetic`), real messages (`ais_feed`).
"""

import heapq
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from s2chips_core.ais.fixes import COG_NOT_AVAILABLE_DEG, HEADING_NOT_AVAILABLE_DEG
from s2chips_core.ais.ship_types import ship_type_name
from s2chips_core.ais.synthetic import SyntheticShip
from s2chips_core.sandbox.ais_feed import Heard
from s2chips_core.sandbox.ais_message import (
    class_b_position_report,
    encode,
    message,
    position_report,
    ship_static_data,
    static_data_report,
)

LATENCY_S = (0.2, 3.0)
"""From a position to `time_utc`; in the real messages at hand it is 0-3 s."""
_DEGREE = 600_000
"""AIS gives positions in 1/10,000 minute (ITU-R M.1371-5, table 48)."""
_TYPE_CODES = {name: code for code in range(99, 0, -1) if (name := ship_type_name(code))}
"""Of several numbers with one name, the lowest."""


class _Report(NamedTuple):
    """One report of one ship, as it waits in a queue: sorted by its time, then as it comes."""

    at_s: float
    ship: int
    static: bool
    number: int


class FleetFeed:
    """What the ships of a fleet send; see `fleet_feed`. `delay_s` may be set while it runs."""

    def __init__(
        self,
        ships: Sequence[SyntheticShip],
        *,
        delay_s: tuple[float, float],
        static_interval_s: float,
        first_static_within_s: float,
        begin: datetime | None,
        position_interval_s: float | None,
        lost: float,
        seed: int,
    ) -> None:
        self.delay_s = delay_s
        self._ships = list(ships)
        self._static_interval_s = static_interval_s
        self._first_static_within_s = first_static_within_s
        self._begin_s = begin.timestamp() if begin else None
        self._intervals_s = [position_interval_s or reporting_interval_s(ship) for ship in self._ships]
        self._lost, self._seed = lost, seed
        self._asked_s: float | None = None
        self._coming: list[_Report] = []
        self._leaving: list[tuple[float, int, Heard]] = []
        self._order = 0

    def leaving(self, after_s: float, until_s: float) -> list[Heard]:
        """See `Feed.leaving`."""
        if until_s <= after_s:
            return []
        if self._asked_s != after_s:
            self._start(after_s)
        self._asked_s = until_s
        while self._coming and self._coming[0].at_s <= until_s:
            self._send(heapq.heappop(self._coming), after_s)
        heard = []
        while self._leaving and self._leaving[0][0] <= until_s:
            heard.append(heapq.heappop(self._leaving)[2])
        return heard

    def _start(self, after_s: float) -> None:
        """Take up what left the ships before `after_s` and leaves the service later, and all that follows."""
        if self._begin_s is None:
            self._begin_s = after_s
        from_s = after_s - LATENCY_S[1] - self.delay_s[1]
        self._leaving = []
        self._coming = []
        for index, interval_s in enumerate(self._intervals_s):
            phase_s = self._dice(index, "phase").random() * interval_s
            number = math.ceil((from_s - phase_s) / interval_s)
            self._coming.append(_Report(phase_s + number * interval_s, index, False, number))
            first_s = self._first_static_s(index)
            number = max(0, math.ceil((from_s - first_s) / self._static_interval_s))
            self._coming.append(_Report(first_s + number * self._static_interval_s, index, True, number))
        heapq.heapify(self._coming)

    def _first_static_s(self, ship: int) -> float:
        """When a ship must report for the report to leave the service early."""
        assert self._begin_s is not None
        _, latency_s, delay_s = self._luck(ship, True, 0)
        within_s = self._dice(ship, "static").random() * self._first_static_within_s
        return self._begin_s + 1e-3 + within_s - latency_s - delay_s

    def _luck(self, ship: int, static: bool, number: int) -> tuple[bool, float, float]:
        """Whether a report is heard at all; its latency and delay, seconds. The first static report always is."""
        dice = self._dice(ship, static, number)
        heard = dice.random() >= self._lost or (static and number == 0)
        return heard, dice.uniform(*LATENCY_S), dice.uniform(*self.delay_s)

    def _dice(self, ship: int, *what: object) -> random.Random:
        return random.Random(f"{self._seed}|{self._ships[ship].mmsi}|{what}")  # noqa: S311 - no secret hangs on it

    def _send(self, report: _Report, after_s: float) -> None:
        at_s, index, static, number = report
        interval_s = self._static_interval_s if static else self._intervals_s[index]
        heapq.heappush(self._coming, _Report(at_s + interval_s, index, static, number + 1))
        heard, latency_s, delay_s = self._luck(index, static, number)
        leaves_s = at_s + latency_s + delay_s
        if not heard or leaves_s <= after_s:
            return
        for message_heard in self._messages(self._ships[index], math.floor(at_s), at_s + latency_s, static):
            self._order += 1
            heapq.heappush(self._leaving, (leaves_s, self._order, message_heard))

    @staticmethod
    def _messages(ship: SyntheticShip, second_s: int, time_s: float, static: bool) -> list[Heard]:
        lon, lat = ship.at(datetime.fromtimestamp(second_s, UTC))
        lon, lat = round(lon * _DEGREE) / _DEGREE, round(lat * _DEGREE) / _DEGREE
        class_a = ship.ais_class == "A"
        cog_deg = COG_NOT_AVAILABLE_DEG if ship.cog_deg is None else ship.cog_deg
        name = ship.name.ljust(20) if class_a else ship.name  # class A fills its 20 characters up
        if static:
            parts = _static_parts(ship, name)
        elif class_a:
            parts = [
                (
                    "PositionReport",
                    position_report(
                        lat=lat,
                        lon=lon,
                        sog_kn=ship.sog_kn,
                        cog_deg=cog_deg,
                        heading_deg=round(ship.heading_deg) % 360,
                        nav_status=5 if ship.moored else 0,
                        second=second_s % 60,
                    ),
                )
            ]
        else:
            parts = [
                (
                    "StandardClassBPositionReport",
                    class_b_position_report(
                        lat=lat,
                        lon=lon,
                        sog_kn=ship.sog_kn,
                        cog_deg=cog_deg,
                        heading_deg=HEADING_NOT_AVAILABLE_DEG,  # hardly any class B set has a compass
                        second=second_s % 60,
                    ),
                )
            ]
        return [
            Heard(
                encode(message(kind, body, mmsi=ship.mmsi, ship_name=name, lat=lat, lon=lon, time_s=time_s)),
                kind,
                ship.mmsi,
                lat,
                lon,
            )
            for kind, body in parts
        ]


def _static_parts(ship: SyntheticShip, name: str) -> list[tuple[str, dict[str, object]]]:
    bow_m, port_m = round(ship.length_m / 2), round(ship.width_m / 2)  # where a ship is, is the middle of its hull
    dimension_m = (bow_m, round(ship.length_m) - bow_m, port_m, round(ship.width_m) - port_m)
    call_sign = f"SYN{ship.mmsi % 10_000:04d}"
    code = _TYPE_CODES.get(ship.ship_type, 0)
    if ship.ais_class == "A":
        body = ship_static_data(
            name=name,
            call_sign=call_sign,
            imo=0,
            ship_type=code,
            dimension_m=dimension_m,
            destination="SANDBOX".ljust(20),
        )
        return [("ShipStaticData", body)]
    part_a = static_data_report(part_b=False, name=name)
    part_b = static_data_report(part_b=True, call_sign=call_sign, ship_type=code, dimension_m=dimension_m)
    return [("StaticDataReport", part_a), ("StaticDataReport", part_b)]


def reporting_interval_s(ship: SyntheticShip) -> float:
    """How often a ship on a straight way reports its position, seconds: ITU-R M.1371-5, tables 1 and 2."""
    if ship.ais_class == "A":
        if ship.moored:
            return 180.0
        return 10.0 if ship.sog_kn <= 14 else 6.0 if ship.sog_kn <= 23 else 2.0
    return 180.0 if ship.sog_kn <= 2 else 30.0


def fleet_feed(
    ships: Sequence[SyntheticShip],
    *,
    delay_s: tuple[float, float] = (0.0, 0.0),
    static_interval_s: float = 360.0,
    first_static_within_s: float = 20.0,
    begin: datetime | None = None,
    position_interval_s: float | None = None,
    lost: float = 0.0,
    seed: int = 0,
) -> FleetFeed:
    """What the ships send: position reports as often as their class and speed ask for, and static data.

    A position is where `SyntheticShip.at` has the ship at the whole UTC second that `Timestamp` names, to 1/10,000 minute;
    `time_utc` is 0.2-4 s later. Positions come at the same times on every connection and after every restart.

    Args:
        ships: such as `passes.fleet_of_pass`.
        delay_s: least and greatest time from `time_utc` to leaving, seconds.
        static_interval_s: from one static report of a ship to the next, seconds.
        first_static_within_s: each ship's first static report leaves within so many seconds of `begin`.
        begin: aware UTC; none: when the feed is first asked, which is the first subscription.
        position_interval_s: instead of `reporting_interval_s`, for every ship.
        lost: share of messages that no receiver hears.
        seed: of when in its interval each ship reports, of delays and losses.
    """
    return FleetFeed(
        ships,
        delay_s=delay_s,
        static_interval_s=static_interval_s,
        first_static_within_s=first_static_within_s,
        begin=begin,
        position_interval_s=position_interval_s,
        lost=lost,
        seed=seed,
    )
