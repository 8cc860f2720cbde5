"""The command line of the sandbox's AIS server, for rehearsals in other processes. Not here: the server (`ais_server`)."""

import argparse
import inspect
import json
import re
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from s2chips_core.errors import S2ChipsError
from s2chips_core.sandbox.ais_faults import KINDS, AisFaults
from s2chips_core.sandbox.ais_feed import Feed, MixedFeed, replay_feed
from s2chips_core.sandbox.ais_fleet import fleet_feed
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_server import TEST_KEY, serve_ais
from s2chips_core.sandbox.passes import PASSES, fleet_of_pass

FAULT_FORM = "NAME or NAME:ARGUMENT=VALUE,…"


def set_fault(faults: AisFaults, text: str) -> None:
    """Set a fault from text such as `close:after_s=90,code=1001` or `error:text=overloaded`.

    Values are JSON, or text where they are none.

    Raises:
        ValueError: no such fault or argument, or a value that cannot be.
    """
    name, _, given = text.partition(":")
    if name not in KINDS:
        raise ValueError(f"no fault {name!r}; known: {', '.join(KINDS)}")
    method = getattr(faults, name)
    values: dict[str, Any] = {}
    for part in filter(None, re.split(r",(?![^\[]*\])", given)):  # no comma within brackets
        argument, equals, value = part.partition("=")
        if not equals or argument not in inspect.signature(method).parameters:
            raise ValueError(f"{name} has no argument {part!r}; it has {inspect.signature(method)}")
        try:
            values[argument] = json.loads(value)
        except ValueError:
            values[argument] = value
    try:
        method(**values)
    except TypeError as error:
        raise ValueError(f"{text!r}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted or terminated; the first line on stdout is the address, the last what was counted, as JSON."""
    parser = _parser()
    given = parser.parse_args(arguments)
    over = threading.Event()
    offset = timedelta(seconds=given.clock_offset_s)
    limits = Limits(max_connections=given.max_connections, min_interval_s=given.min_interval_s)
    try:
        feed = _feed(given)
        with serve_ais(
            feed,
            keys=set(given.key or [TEST_KEY]),
            clock=lambda: datetime.now(UTC) + offset,
            limits=limits,
            port=given.port,
            confirmation_after_s=given.confirmation_after_s,
            compression=given.compression,
        ) as served:
            for fault in given.fault:
                set_fault(served.faults, fault)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: over.set())
            print(served.url, flush=True)
            over.wait(given.duration_s)
    except (S2ChipsError, ValueError) as error:
        parser.error(str(error))
    counted = asdict(served.counters)
    counted["attempts"] = [(attempt["at_s"], attempt["status"]) for attempt in counted["attempts"]]
    print(json.dumps(counted), flush=True)
    return 0


def _feed(given: argparse.Namespace) -> Feed | None:
    low_s, high_s = given.delay_s
    feeds: list[Feed] = []
    if given.replay:
        feeds.append(
            replay_feed(
                given.replay,
                rate_per_s=given.rate,
                delay_s=(low_s, high_s),
                box=tuple(given.box) if given.box else None,
                copies=given.copies,
                seed=given.seed,
            )
        )
    if given.demo_fleet:
        over = next((each for each in PASSES if each.day == given.demo_fleet), None)
        if over is None:
            raise ValueError(f"no pass on {given.demo_fleet}: the archive has {', '.join(str(p.day) for p in PASSES)}")
        feeds.append(
            fleet_feed(
                fleet_of_pass(over, ships_per_tile=given.ships_per_tile, seed=given.seed),
                delay_s=(low_s, high_s),
                static_interval_s=given.static_interval_s,
                seed=given.seed,
            )
        )
    return MixedFeed(feeds) if len(feeds) > 1 else feeds[0] if feeds else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m s2chips_core.sandbox.ais_server",
        description="A loopback AIS server that behaves as aisstream.io does. Not a source of real AIS.",
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    add("--replay", type=Path, nargs="+", metavar="FILE", help=".jsonl or snapshot .csv files of real messages")
    add("--demo-fleet", type=date.fromisoformat, metavar="DAY", help="the ships of the embedded archive's pass of that day")
    add("--ships-per-tile", type=int, default=30, help="of the fleet; default: the demo's")
    add("--rate", type=float, default=10.0, help="replayed messages a second")
    add("--copies", type=int, default=1, help="replay each sender as so many ships")
    add("--box", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="move the replay there, degrees")
    add("--delay-s", type=float, nargs=2, default=(0.0, 0.0), metavar=("LEAST", "MOST"), help="from time_utc to sending")
    add("--static-interval-s", type=float, default=360.0, help="of the fleet's static reports")
    add("--key", action="append", help=f"a valid API key, may be repeated; default {TEST_KEY}")
    add("--clock-offset-s", type=float, default=0.0, help="added to the machine's clock")
    add("--seed", type=int, default=20251027, help="of ships, delays and places")
    add("--max-connections", type=int, default=Limits().max_connections)
    add("--min-interval-s", type=float, default=Limits().min_interval_s, help="between connections; sooner is HTTP 429")
    add("--confirmation-after-s", type=float, default=0.0)
    add("--compression", action="store_true", help="permessage-deflate, when offered")
    add("--duration-s", type=float, help="stop by itself")
    add("--fault", action="append", default=[], metavar="FAULT", help=f"{FAULT_FORM}, may be repeated: {', '.join(KINDS)}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
