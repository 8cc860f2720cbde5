"""One short conversation with the AIS service: does it answer, and does it take the key?

It takes its turn among all processes of this machine, keeps to their back-off and adds to it, and closes what it opens. A
key is sent once; without one nothing is subscribed to. Not here: recording (`s2chips_core.ais.aisstream`).
"""

import time
from datetime import UTC, datetime
from pathlib import Path

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection

from s2chips_core.ais.connection_limit import ConnectionLimit
from s2chips_core.ais.handshake import Opening, closing_reason, failure_reason, other_host, retry_after_s
from s2chips_core.ais.messages import Confirmation, Position, ServiceError, Static, parse_message
from s2chips_core.ais.subscription import Subscription, join_areas
from s2chips_core.config import Settings
from s2chips_core.errors import AisKeyError
from s2chips_core.overpasses.plan import watched_tiles
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_dagster.findings import Finding, failed, ok, skipped, warning
from s2chips_dagster.run_config import KEY_VARIABLE

TURN_S, OPEN_S, ANSWER_S = 5.0, 6.0, 3.0
"""Waits for a turn, for the connection, and for the answer to the subscription, which comes within a second."""
NAME = "ais service"
DISTURBED = "try again in a minute; the service may be disturbed"


def probe_ais_service(settings: Settings, key: str, meeting_folder: Path) -> Finding:
    """Connect, subscribe to the first watched tile where there is a key, and close: 14 s at most.

    Args:
        settings: `ais` names the service.
        key: may be empty.
        meeting_folder: where processes take turns.

    Raises:
        StorageError: the folder cannot be used.
    """
    ais = settings.ais
    limit = ConnectionLimit(
        ais.url,
        most=ais.max_connections,
        first_wait_s=ais.reconnect_initial_s,
        longest_wait_s=ais.reconnect_max_s,
        folder=meeting_folder,
    )
    end = time.monotonic() + TURN_S
    waits: list[str] = []
    try:
        with limit.turn(key, lambda: time.monotonic() >= end, waits.append) as mine:
            if mine:
                return _connect(settings, limit, key)
            why = waits[-1] if waits else "no turn came"
            return skipped(NAME, f"not tried, {why}: a capture records now, or failed to connect a moment ago")
    except AisKeyError as error:
        return failed(NAME, str(error), f"check {KEY_VARIABLE} in .env; a new key may take minutes to be known")


def _connect(settings: Settings, limit: ConnectionLimit, key: str) -> Finding:
    opening = Opening(settings.ais.url)
    try:
        connection = opening.wait(OPEN_S)
    except (OSError, WebSocketException) as error:
        opening.abandon()
        limit.failed(retry_after_s(error, datetime.now(UTC)))
        why = f"no answer within {OPEN_S:g} s" if isinstance(error, TimeoutError) else failure_reason(error)
        remedy = "wait some minutes before trying again" if why == "HTTP 429" else "look at the network and at ais.url"
        return failed(NAME, f"{limit.url} does not open: {why}", remedy)
    with connection:
        if (other := other_host(connection, settings.ais.url)) is not None:
            return failed(NAME, f"{limit.url} redirects to {other}", "write the service's own URL into ais.url")
        if not key:
            return ok(NAME, f"{limit.url} opens; not subscribed, for there is no key")
        try:
            return _subscribe(settings, connection, limit, key)
        except ConnectionClosed as error:
            limit.failed()
            return failed(NAME, f"{limit.url} ended the connection: {closing_reason(error)}", DISTURBED)


def _subscribe(settings: Settings, connection: ClientConnection, limit: ConnectionLimit, key: str) -> Finding:
    tile = watched_tiles(settings.satellite_tracking)[0]
    asked = Subscription(areas=join_areas([tile_area(tile)]), message_types=settings.ais.message_types)
    connection.send(asked.to_json(key))
    end = time.monotonic() + ANSWER_S
    while (left_s := end - time.monotonic()) > 0:
        try:
            said = parse_message(connection.recv(timeout=left_s), datetime.now(UTC))
        except TimeoutError:
            break
        if isinstance(said, ServiceError):
            text = said.text.replace(key, "***")
            if said.is_key:
                limit.refuse_key(key)
                raise AisKeyError(limit.url, f"does not take the key ({text})")
            limit.failed()
            return failed(NAME, f"{limit.url} says: {text}", f"{DISTURBED}, or the key be in use elsewhere")
        if isinstance(said, Confirmation | Position | Static):
            return ok(NAME, f"{limit.url} opens and takes the key")
    return warning(NAME, f"{limit.url} opens, but neither took nor refused the key within {ANSWER_S:g} s", DISTURBED)
