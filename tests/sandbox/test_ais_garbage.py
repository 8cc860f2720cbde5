import json
from typing import Any

from s2chips_core.sandbox.ais_garbage import GARBAGE, too_big_frame


def _values() -> list[Any]:
    values = []
    for frame in GARBAGE:
        try:
            values.append(json.loads(frame))
        except (ValueError, RecursionError):
            continue
    return values


def test_what_real_feeds_had_is_in_it() -> None:
    objects = [value for value in _values() if isinstance(value, dict) and isinstance(value.get("MetaData"), dict)]
    assert any(value["MetaData"].get("MMSI") == 1021812661 for value in objects)
    assert any(value["MetaData"].get("ShipName") == "\ud800LONE" for value in objects)
    assert any(value["MetaData"].get("time_utc", "").startswith("4161-15") for value in objects)
    assert b"" in GARBAGE
    assert any(isinstance(frame, str) for frame in GARBAGE)
    assert any(isinstance(value, list) for value in _values())
    assert len(_values()) < len(GARBAGE)


def test_a_big_frame_is_exactly_so_big_and_valid() -> None:
    for size_bytes in (100, 2**20 + 1):
        frame = too_big_frame(size_bytes)
        assert len(frame) == size_bytes
        assert set(json.loads(frame)["Message"]["UnknownMessage"]["Error"]) <= {"x"}
