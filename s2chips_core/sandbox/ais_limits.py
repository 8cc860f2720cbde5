"""What the AIS service refuses as a rule, and how the sandbox's server says so.

From the service's documentation and its users' reports: a subscription within 3 s; two or three connections a user; about
one new connection a second and address, beyond that HTTP 429 from the proxy in front; errors come as a frame and then the
connection ends without a close frame. Not here: faults on demand (`ais_faults`).
"""

from dataclasses import dataclass
from typing import Literal

WRONG_KEY = "Api Key Is Not Valid"
MALFORMED = "Subscription Object Is Malformed"
TOO_MANY_CONNECTIONS = "concurrent connections per user exceeded"
RATE_LIMITED = "local_rate_limited"
"""The body of a 429."""

OverLimit = Literal["error", "close_old", "429"]


@dataclass(slots=True, kw_only=True)
class Limits:
    """May be changed while the server runs."""

    subscribe_within_s: float = 3.0
    """A connection that has not subscribed by then is dropped."""
    max_connections: int = 3
    """Of all keys together: users report that keys of one account share one allowance."""
    over_limit: OverLimit = "error"
    """What a connection too many gets: `error` frame after its subscription; `close_old`: the oldest connection is dropped
    instead; `429`: refused at the handshake."""
    min_interval_s: float = 1.0
    """From one accepted connection of an address to the next; sooner: 429. 0: as fast as one likes."""
    refused_count_too: bool = False
    """Whether a refused handshake starts the interval again: who insists stays out."""
    max_backlog: int = 50_000
    """Messages that wait for a slow reader; beyond, it is dropped."""
