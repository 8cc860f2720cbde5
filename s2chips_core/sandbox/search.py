"""Searching STAC items as Earth Search v1 does: which items of a folder an item search finds, in which order.

Pure: items and a request in, items out. `filter` (CQL2) is accepted and ignored, as the real service does. Not here: HTTP
(`stac_api`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.errors import ShapelyError

from s2chips_core.errors import InputError

Item = dict[str, Any]
LIMIT_DEFAULT, LIMIT_MOST = 10, 10_000
_OPERATORS = ("eq", "neq", "lt", "lte", "gt", "gte", "startsWith", "endsWith", "contains", "in")
_ALWAYS = ("type", "stac_version", "id", "bbox", "collection")


def parse_instant(text: str) -> datetime:
    """An RFC 3339 time; InputError for anything else."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        raise InputError("datetime", text, "an RFC 3339 time such as 2025-10-27T00:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """A time, or an interval whose ends may be `..` or empty; both ends are within."""
    ends = text.split("/")
    if len(ends) > 2:
        raise InputError("datetime", text, "one time, or two with one '/' between them")
    parsed = [None if end in ("", "..") else parse_instant(end) for end in ends]
    if len(parsed) == 1:
        if parsed[0] is None:
            raise InputError("datetime", text, "a time")
        return parsed[0], parsed[0]
    first, last = parsed
    if first is None and last is None:
        raise InputError("datetime", text, "an interval with at least one end")
    if first and last and first > last:
        raise InputError("datetime", text, "an interval that begins before it ends")
    return first, last


def parse_bbox(values: Sequence[Any]) -> shapely.Geometry:
    """A box of 4 or 6 numbers; west > east crosses the antimeridian."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise InputError("bbox", values, "4 or 6 numbers") from None
    if len(numbers) == 6:
        numbers = [numbers[k] for k in (0, 1, 3, 4)]
    if len(numbers) != 4:
        raise InputError("bbox", values, "4 or 6 numbers")
    west, south, east, north = numbers
    if south > north:
        raise InputError("bbox", values, "south below north")
    if west > east:
        return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))
    return shapely.box(west, south, east, north)


def parse_geometry(geometry: Any) -> shapely.Geometry:
    """A GeoJSON geometry of any type."""
    try:
        shape = shapely.from_geojson(json.dumps(geometry))
    except (ShapelyError, TypeError) as error:
        raise InputError("intersects", geometry, f"a GeoJSON geometry ({error})") from None
    if shape is None or shape.is_empty or not isinstance(geometry, Mapping) or geometry.get("type") == "Feature":
        raise InputError("intersects", geometry, "a GeoJSON geometry")
    return shape


def parse_limit(value: Any) -> int:
    """1 to 10000, as Earth Search has it."""
    try:
        limit = int(value)
    except (TypeError, ValueError):
        raise InputError("limit", value, f"a whole number from 1 to {LIMIT_MOST}") from None
    if not 1 <= limit <= LIMIT_MOST or isinstance(value, bool):
        raise InputError("limit", value, f"a whole number from 1 to {LIMIT_MOST}")
    return limit


def select(items: Sequence[Item], request: Mapping[str, Any], now: datetime | None) -> list[Item]:
    """All items that `request` asks for, sorted; what was published after `now` is not there yet.

    Args:
        items: STAC items.
        request: the body of POST /search: bbox, intersects, datetime, ids, collections, query, sortby.
        now: the archive as it was then; none for all of it.

    Raises:
        InputError: a parameter cannot be understood.
    """
    if request.get("bbox") is not None and request.get("intersects") is not None:
        raise InputError("search", "bbox and intersects", "one of them")
    place = None
    if request.get("bbox") is not None:
        place = parse_bbox(request["bbox"])
    elif request.get("intersects") is not None:
        place = parse_geometry(request["intersects"])
    interval = parse_interval(request["datetime"]) if request.get("datetime") else (None, None)
    query = request.get("query") or {}
    if not isinstance(query, Mapping):
        raise InputError("query", query, "an object of properties")
    ids, collections = _texts(request, "ids"), _texts(request, "collections")
    found = [
        item
        for item in items
        if (ids is None or item["id"] in ids)
        and (collections is None or item["collection"] in collections)
        and is_published(item, now)
        and _is_within(item, interval)
        and all(_satisfies(item, name, wanted) for name, wanted in query.items())
        and (place is None or _touches(item, place))
    ]
    for name, descending in reversed(parse_sortby(request.get("sortby"))):
        known = [item for item in found if _value(item, name) is not None]
        unknown = [item for item in found if _value(item, name) is None]
        found = sorted(known, key=lambda item: _value(item, name), reverse=descending) + unknown
    return found


def parse_sortby(sortby: Any) -> list[tuple[str, bool]]:
    """Field and whether it descends; `-datetime,+id`, or a list of `{field, direction}`; newest first without one."""
    default = [("properties.datetime", True), ("id", True), ("collection", True)]
    if not sortby:
        return default
    if isinstance(sortby, str):
        sortby = sortby.split(",")
    keys = []
    for key in sortby:
        if isinstance(key, Mapping) and isinstance(key.get("field"), str) and key.get("direction", "asc") in ("asc", "desc"):
            keys.append((key["field"], key.get("direction") == "desc"))
        elif isinstance(key, str) and key.strip(" +-"):
            keys.append((key.strip().lstrip("+-"), key.strip().startswith("-")))
        else:
            raise InputError("sortby", key, "'+field', '-field' or {field, direction: asc or desc}")
    return keys + default


def with_fields(item: Item, fields: Mapping[str, Any] | None) -> Item:
    """Only the fields asked for; `properties.x` for one property. Id, type, bbox and collection stay."""
    if fields is None:
        return item
    include, exclude = fields.get("include") or [], fields.get("exclude") or []
    kept = dict(item)
    if include:
        kept = {key: item[key] for key in _ALWAYS if key in item}
        for path in include:
            _copy(item, kept, path.split("."))
    for path in exclude:
        kept = _without(kept, path.split("."))
    return kept


def is_published(item: Item, now: datetime | None) -> bool:
    """Whether the archive had it at `now`."""
    created = item["properties"].get("created")
    return now is None or created is None or parse_instant(created) <= now


def _texts(request: Mapping[str, Any], name: str) -> list[str] | None:
    values = request.get(name)
    if values is None or values == []:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(name, values, "a list of names")
    return values


def _is_within(item: Item, interval: tuple[datetime | None, datetime | None]) -> bool:
    first, last = interval
    time = parse_instant(item["properties"]["datetime"])
    return (first is None or time >= first) and (last is None or time <= last)


def _touches(item: Item, place: shapely.Geometry) -> bool:
    return bool(shapely.intersects(shapely.from_geojson(json.dumps(item["geometry"])), place))


def _value(item: Item, name: str) -> Any:
    if name in ("id", "collection"):
        return item.get(name)
    value: Any = item["properties"]
    name = name.removeprefix("properties.")
    return value.get(name)


def _satisfies(item: Item, name: str, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        wanted = {"eq": wanted}
    value = _value(item, name)
    return all(_compare(operator, value, operand, name) for operator, operand in wanted.items())


def _compare(operator: str, value: Any, operand: Any, name: str) -> bool:
    if operator not in _OPERATORS:
        raise InputError(f"query.{name}", operator, f"one of {', '.join(_OPERATORS)}")
    if operator == "eq":
        return bool(value == operand)
    if operator == "neq":
        return bool(value != operand)
    if operator == "in":
        if not isinstance(operand, list):
            raise InputError(f"query.{name}.in", operand, "a list")
        return value in operand
    if value is None:
        return False
    if operator in ("startsWith", "endsWith", "contains"):
        text, part = str(value), str(operand)
        return {"startsWith": text.startswith(part), "endsWith": text.endswith(part), "contains": part in text}[operator]
    try:
        return bool(
            {"lt": value < operand, "lte": value <= operand, "gt": value > operand, "gte": value >= operand}[operator]
        )
    except TypeError:
        raise InputError(f"query.{name}.{operator}", operand, f"something to compare with {value!r}") from None


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    if path[0] not in source:
        return
    if len(path) == 1 or not isinstance(source[path[0]], Mapping):
        target[path[0]] = source[path[0]]
        return
    _copy(source[path[0]], target.setdefault(path[0], {}), path[1:])


def _without(tree: dict[str, Any], path: list[str]) -> dict[str, Any]:
    if path[0] not in tree:
        return tree
    if len(path) == 1:
        return {key: value for key, value in tree.items() if key != path[0]}
    inner = tree[path[0]]
    return {**tree, path[0]: _without(inner, path[1:])} if isinstance(inner, dict) else tree


def page(found: Sequence[Item], *, limit: int, token: str | None) -> tuple[list[Item], str | None]:
    """One page and the token of the next; the token names the last item of the page before, as Earth Search's does.

    Raises:
        InputError: the token names no item of this search.
    """
    start = 0
    if token:
        tokens = [token_of(item) for item in found]
        if token not in tokens:
            raise InputError("next", token, "a token that this search gave out")
        start = tokens.index(token) + 1
    chosen = list(found[start : start + limit])
    return chosen, token_of(chosen[-1]) if start + limit < len(found) and chosen else None


def token_of(item: Item) -> str:
    """`2025-07-31T13:03:25.899000Z,S2B_T24MVV_20250731T130245_L2A,sentinel-2-c1-l2a`."""
    return f"{item['properties']['datetime']},{item['id']},{item['collection']}"


def extent(items: Sequence[Item]) -> tuple[list[float], list[str | None]]:
    """Bounding box and first and last time of items."""
    if not items:
        return [-180.0, -90.0, 180.0, 90.0], [None, None]
    boxes = [item["bbox"] for item in items]
    times = sorted(parse_instant(item["properties"]["datetime"]) for item in items)
    box = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    return box, [f"{t.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for t in (times[0], times[-1])]
