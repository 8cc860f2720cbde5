"""What is asked of the AIS service: boxes around the tiles, message types, ships. Pure.

Not here: sending it (`aisstream`).
"""

import dataclasses
import json
from collections.abc import Sequence

from s2chips_core.overpasses.tile_grid import Area


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What is asked of the service."""

    areas: tuple[Area, ...]
    """west, south, east, north, degrees; none crosses the antimeridian."""
    message_types: tuple[str, ...]
    mmsi: tuple[int, ...] = ()
    """Only these ships; empty: all."""

    def to_json(self, api_key: str) -> str:
        """The first message of a connection."""
        tree: dict[str, object] = {
            "APIKey": api_key,
            "BoundingBoxes": [[[south, west], [north, east]] for west, south, east, north in self.areas],
            "FilterMessageTypes": list(self.message_types),
        }
        if self.mmsi:
            tree["FiltersShipMMSI"] = [f"{one:09d}" for one in self.mmsi]
        return json.dumps(tree)


def join_areas(areas: Sequence[Area]) -> tuple[Area, ...]:
    """Boxes that cover the same places: cut at the antimeridian, neighbours joined where that asks for no more area.

    Args:
        areas: west > east crosses the antimeridian.

    Returns:
        Sorted, without one that lies in another.
    """
    boxes: list[Area] = []
    for west, south, east, north in areas:
        halves = (
            [(west, south, east, north)] if west <= east else [(west, south, 180.0, north), (-180.0, south, east, north)]
        )
        boxes += [half for half in halves if half[2] > half[0]]
    while True:
        joined: list[Area] = []
        for box in sorted(set(boxes)):
            for n, other in enumerate(joined):
                both = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
                if _size(both) <= _size(box) + _size(other):
                    joined[n] = both
                    break
            else:
                joined.append(box)
        if len(joined) == len(boxes):
            return tuple(joined)
        boxes = joined


def _size(area: Area) -> float:
    return (area[2] - area[0]) * (area[3] - area[1])
