"""What a client of the AIS service asks for: reading a subscription strictly, and what it lets through.

The service's documentation: key and boxes are required, corners are [lat, lon] and any two opposite ones, at most 50 MMSIs
of nine digits as text, no message type twice; Go reads names of fields in any case. Not here: which keys are valid
(`ais_connection`).
"""

import json
from dataclasses import dataclass
from typing import Any

from s2chips_core.sandbox.ais_limits import MALFORMED

MOST_MMSIS = 50
MESSAGE_TYPES = frozenset(
    {
        "PositionReport",
        "UnknownMessage",
        "AddressedSafetyMessage",
        "AddressedBinaryMessage",
        "AidsToNavigationReport",
        "AssignedModeCommand",
        "BaseStationReport",
        "BinaryAcknowledge",
        "BinaryBroadcastMessage",
        "ChannelManagement",
        "CoordinatedUTCInquiry",
        "DataLinkManagementMessage",
        "DataLinkManagementMessageData",
        "ExtendedClassBPositionReport",
        "GroupAssignmentCommand",
        "GnssBroadcastBinaryMessage",
        "Interrogation",
        "LongRangeAisBroadcastMessage",
        "MultiSlotBinaryMessage",
        "SafetyBroadcastMessage",
        "ShipStaticData",
        "SingleSlotBinaryMessage",
        "StandardClassBPositionReport",
        "StandardSearchAndRescueAircraftReport",
        "StaticDataReport",
    }
)
"""github.com/aisstream/ais-message-models, type-definition.yaml."""


class SubscriptionError(ValueError):
    """A client's message is no subscription; the text is what the service answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What one connection wants to hear."""

    api_key: str
    boxes: tuple[tuple[float, float, float, float], ...]
    """South, west, north, east, degrees."""
    message_types: frozenset[str] | None
    """None: all."""
    mmsis: frozenset[int] | None
    """None: all."""

    def wants(self, message_type: str, mmsi: int, lat: float, lon: float) -> bool:
        """Whether a message of this type, sender and place is sent. A place that is NaN is in no box."""
        if self.message_types is not None and message_type not in self.message_types:
            return False
        if self.mmsis is not None and mmsi not in self.mmsis:
            return False
        return any(south <= lat <= north and west <= lon <= east for south, west, north, east in self.boxes)


def parse_body(received: str | bytes) -> Any:
    """The JSON that a client sent; where it is none, what it sent."""
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        return received


def parse_subscription(body: Any) -> Subscription:
    """A subscription from a client's JSON.

    Stricter than the service may be: a message type that it does not have is refused, and so are corners that are not on
    Earth. A box goes from the smaller to the larger longitude: corners at 179° and -179° mean the long way around.

    Raises:
        SubscriptionError: something is missing, of another type, or out of range.
    """
    if not isinstance(body, dict):
        raise SubscriptionError(MALFORMED)
    fields = {name.lower(): value for name, value in body.items()}
    key, boxes = fields.get("apikey"), fields.get("boundingboxes")
    if not isinstance(key, str) or not isinstance(boxes, list) or not boxes:
        raise SubscriptionError(MALFORMED)
    kinds = _texts(fields.get("filtermessagetypes"))
    if kinds is not None and (len(set(kinds)) < len(kinds) or not set(kinds) <= MESSAGE_TYPES):
        raise SubscriptionError(MALFORMED)
    mmsis = _texts(fields.get("filtersshipmmsi"))
    if mmsis is not None and (
        len(mmsis) > MOST_MMSIS or not all(len(mmsi) == 9 and mmsi.isascii() and mmsi.isdigit() for mmsi in mmsis)
    ):
        raise SubscriptionError(MALFORMED)
    return Subscription(
        api_key=key,
        boxes=tuple(_box(box) for box in boxes),
        message_types=frozenset(kinds) if kinds else None,
        mmsis=frozenset(map(int, mmsis)) if mmsis else None,
    )


def _texts(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise SubscriptionError(MALFORMED)
    return value


def _box(corners: Any) -> tuple[float, float, float, float]:
    try:
        (lat_1, lon_1), (lat_2, lon_2) = corners
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in (lat_1, lon_1, lat_2, lon_2)):
            raise TypeError
    except (TypeError, ValueError) as error:
        raise SubscriptionError(MALFORMED) from error
    south, north = sorted((float(lat_1), float(lat_2)))
    west, east = sorted((float(lon_1), float(lon_2)))
    if not (-90 <= south <= north <= 90 and -180 <= west <= east <= 180):  # NaN too
        raise SubscriptionError(MALFORMED)
    return south, west, north, east
