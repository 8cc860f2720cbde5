"""What a chip is called, which split it belongs to, and what it was made from. Pure.

Here: `chip_id`, split and fingerprint. Not here: paths (`layout`). The three are stable: the same ship in the same scene
has the same id and the same split for ever, on every machine.
"""

import hashlib
import json
from datetime import UTC, datetime

from s2chips_core.sections import Splits

ALGORITHM = "1"
"""Counts up when the same scene, position and settings give other pixels or another decision than before."""


def format_coordinate(degrees: float) -> str:
    """A coordinate as the chip id has it: 5 decimals, Python's `repr`, never a negative zero.

    >>> format_coordinate(36.21040049), format_coordinate(-1e-7)
    ('36.2104', '0.0')
    """
    return repr(round(float(degrees), 5) + 0.0)


def format_time(time: datetime) -> str:
    """UTC, RFC 3339 with milliseconds (cut off, not rounded) and `Z`; ValueError without a time zone."""
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone, expected an aware time")
    return time.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def chip_id(mmsi: int, scene_datetime: datetime, lat: float, lon: float) -> str:
    """16 hex digits of SHA-1 over ship, scene time and chip centre (degrees, rounded to 5 decimals)."""
    text = f"{int(mmsi)}|{format_time(scene_datetime)}|{format_coordinate(lat)}|{format_coordinate(lon)}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]


def split_share(hex_digits: str) -> float:
    """0 <= u < 1 from the first 8 hex digits."""
    return int(hex_digits[:8], 16) / 16**8


def split_of(chip: str, mmsi: int, splits: Splits) -> str:
    """train, val or test.

    Args:
        chip: the chip id; it decides with `by: chip_id`.
        mmsi: SHA-1 of its decimal text decides with `by: mmsi`, so that a vessel is never in two splits.
        splits: the shares.
    """
    digits = chip if splits.by == "chip_id" else hashlib.sha1(str(int(mmsi)).encode(), usedforsecurity=False).hexdigest()
    share = split_share(digits)
    if share < splits.train:
        return "train"
    return "val" if share < splits.train + splits.val else "test"


def fingerprint(
    *,
    config_hash: str,
    scene_id: str,
    revision: str,
    processing_baseline: str | None,
    lat: float,
    lon: float,
) -> str:
    """16 hex digits over everything a decision rests on: while it is unchanged, no pixel needs to be read again.

    Args:
        config_hash: `Settings.config_hash`.
        scene_id, revision, processing_baseline: of the scene; `revision` changes when the archive replaced it.
        lat, lon: the chip centre, degrees; how it was found decides no pixel.
    """
    decides = [
        *(ALGORITHM, config_hash, scene_id, revision, processing_baseline),
        *(format_coordinate(lat), format_coordinate(lon)),
    ]
    return hashlib.sha256(json.dumps(decides, separators=(",", ":")).encode()).hexdigest()[:16]
