"""A plain client for the tests of the AIS server, and messages to send through it."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_message import message, position_report
from s2chips_core.sandbox.ais_server import AisServed

AT_ONCE = Limits(min_interval_s=0)
"""As many connections a second as one likes."""
WORLD = [[[-90, -180], [90, 180]]]
CONFIRMATION = {"MessageType": "SubscriptionConfirmation", "Message": {"CompressionEnabled": False}}


def subscription(**other: Any) -> str:
    """A subscription to everything, or with other fields."""
    return json.dumps({"APIKey": "test-key", "BoundingBoxes": WORLD, **other})


@contextlib.contextmanager
def subscribed(served: AisServed, **other: Any) -> Iterator[ClientConnection]:
    """A connection that has subscribed."""
    with connect(served.url, max_size=2**22, compression=None, close_timeout=1) as client:
        client.send(subscription(**other))
        yield client


def read(client: ClientConnection, count: int, timeout_s: float = 5.0) -> list[Any]:
    """The JSON of the next frames."""
    return [json.loads(client.recv(timeout_s)) for _ in range(count)]


def hear(client: ClientConnection, for_s: float) -> list[str | bytes]:
    """All frames within so many seconds."""
    frames = []
    until_s = time.monotonic() + for_s
    with contextlib.suppress(TimeoutError):
        while True:
            frames.append(client.recv(max(0.0, until_s - time.monotonic())))
    return frames


def end_of(client: ClientConnection, timeout_s: float = 5.0) -> tuple[int, list[Any]]:
    """Close code as the client sees it (1006: no close frame), and the JSON of the frames before."""
    frames = []
    try:
        while True:
            frames.append(json.loads(client.recv(timeout_s)))
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else 1006), frames


def numbered(count: int) -> list[dict[str, Any]]:
    """Position reports of different ships on the equator, each a degree east of the last."""
    return [
        message(
            "PositionReport",
            position_report(lat=0.0, lon=float(n), sog_kn=10.0, cog_deg=90.0, heading_deg=90, nav_status=0, second=8),
            mmsi=244_000_000 + n,
            ship_name=f"SHIP {n}".ljust(20),
            lat=0.0,
            lon=float(n),
            time_s=1697363468.5,
        )
        for n in range(count)
    ]


def mmsis(frames: list[Any]) -> list[int]:
    """Whose messages these are, less 244,000,000."""
    return [frame["MetaData"]["MMSI"] - 244_000_000 for frame in frames]
