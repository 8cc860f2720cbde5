"""Swaths as GeoJSON (RFC 7946): one Feature a line, the same bytes for the same swaths.

Here: the text, both ways. Not here: where it lies (`planning`), how it is drawn (`swath_map`).
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import shapely
import shapely.geometry
from shapely.geometry.polygon import orient

from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import Swath

DECIMALS = 5  # of a degree: to the metre


def format_swaths(swaths: Iterable[Swath]) -> bytes:
    """A FeatureCollection in order of time; outer rings run counterclockwise (section 3.1.6)."""
    ordered = sorted(swaths, key=lambda s: (s.start, s.satellite, s.source, s.stop))
    lines = ",\n".join(json.dumps(_feature(swath), separators=(",", ":"), allow_nan=False) for swath in ordered)
    return f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'.encode()


def parse_swaths(data: bytes, source: str) -> tuple[Swath, ...]:
    """The swaths of `format_swaths`.

    Raises:
        InputError: it is something else.
    """
    try:
        features = json.loads(data)["features"]
        return tuple(_swath(feature["properties"], feature["geometry"]) for feature in features)
    except (ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InputError(source, f"{type(error).__name__}: {error}", "a FeatureCollection of swaths") from error


def _feature(swath: Swath) -> dict[str, Any]:
    polygons = [orient(polygon) for polygon in shapely.get_parts(swath.geometry)]
    geometry = shapely.geometry.mapping(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
    return {
        "type": "Feature",
        "geometry": {"type": geometry["type"], "coordinates": _rounded(geometry["coordinates"])},
        "properties": {
            "satellite": swath.satellite,
            "relative_orbit": swath.relative_orbit,
            "absolute_orbit": swath.absolute_orbit,
            "start": _time(swath.start),
            "stop": _time(swath.stop),
            "imaging": swath.imaging,
            "source": swath.source,
        },
    }


def _swath(properties: dict[str, Any], geometry: dict[str, Any]) -> Swath:
    return Swath(
        satellite=str(properties["satellite"]),
        relative_orbit=properties["relative_orbit"],
        absolute_orbit=properties["absolute_orbit"],
        start=datetime.fromisoformat(properties["start"]).astimezone(UTC),
        stop=datetime.fromisoformat(properties["stop"]).astimezone(UTC),
        geometry=shapely.geometry.shape(geometry),
        imaging=str(properties["imaging"]),
        source=str(properties["source"]),
    )


def _time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(coordinates: Any) -> Any:
    if isinstance(coordinates, tuple | list):
        return [_rounded(item) for item in coordinates]
    return round(float(coordinates), DECIMALS)
