"""What the report says of a target, in words and numbers for people.

Here: names and explanations of the outcomes, formats of numbers, times and places, and the facts of a chip or a refused
target. Not here: the page (`day`, `templates/`), the map (`day_map`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pyproj import Geod

from s2chips_core.index.outcomes import Outcome

_WGS84 = Geod(ellps="WGS84")
NOT_SAID = "not said"

Facts = list[tuple[str, list[tuple[str, str]]]]
"""Groups of (label, value), in the order of reading."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeNote:
    """How the page shows an outcome."""

    label: str
    explanation: str
    """One line."""
    mark: str
    """SVG path in a box from -6 to 6. Every outcome has its own shape, so that nothing hangs on colour."""


OUTCOME_NOTES: Mapping[Outcome, OutcomeNote] = {
    Outcome.CHIPPED: OutcomeNote(
        label="Chipped", explanation="The chip, its sidecars and its index row are there.", mark="M-5-5H5V5H-5Z"
    ),
    Outcome.PENDING_L2A: OutcomeNote(
        label="Pending L2A",
        explanation="No scene yet, but one may still be published: the ship is tried again.",
        mark="M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6ZM0-3A3 3 0 1 0 0 3A3 3 0 1 0 0-3Z",
    ),
    Outcome.NO_SCENE: OutcomeNote(
        label="No scene",
        explanation="No scene within the time window and the cloud limit holds the ship.",
        mark="M-5.5-3.5L-3.5-5.5L0-2L3.5-5.5L5.5-3.5L2 0L5.5 3.5L3.5 5.5L0 2L-3.5 5.5L-5.5 3.5L-2 0Z",
    ),
    Outcome.TIME_MISMATCH: OutcomeNote(
        label="Time mismatch",
        explanation="AIS and scene are too far apart in time to say where the ship was.",
        mark="M-5-6H5L1 0L5 6H-5L-1 0Z",
    ),
    Outcome.DUPLICATE: OutcomeNote(
        label="Duplicate",
        explanation="The same ship has its chip from this datatake already.",
        mark="M-6-6H2V-2H6V6H-2V2H-6Z",
    ),
    Outcome.OVER_CAP: OutcomeNote(
        label="Over cap", explanation="Beyond the cap on ships or chips of the run.", mark="M-6-2.2H6V2.2H-6Z"
    ),
    Outcome.INVALID_AIS: OutcomeNote(
        label="Invalid AIS",
        explanation="The AIS row cannot be used as it is.",
        mark="M-2.5-6H2.5L6-2.5V2.5L2.5 6H-2.5L-6 2.5V-2.5Z",
    ),
    Outcome.GATE_CLOUD: OutcomeNote(
        label="Cloud", explanation="Too much cloud around the ship.", mark="M0-5.5A5.5 5.5 0 1 1 0 5.5A5.5 5.5 0 1 1 0-5.5Z"
    ),
    Outcome.GATE_LAND: OutcomeNote(label="Land", explanation="Too much land around the ship.", mark="M0-6L6 5H-6Z"),
    Outcome.GATE_WATER: OutcomeNote(
        label="Little water", explanation="Too little water around the ship.", mark="M0 6L6-5H-6Z"
    ),
    Outcome.NODATA: OutcomeNote(
        label="Nodata",
        explanation="Too much of the chip lies outside the scene's data.",
        mark="M0-6.5L6.5 0L0 6.5L-6.5 0ZM0-3L-3 0L0 3L3 0Z",
    ),
    Outcome.MISSING_ASSET: OutcomeNote(
        label="Missing asset",
        explanation="The scene lacks a file that the chip needs.",
        mark="M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    ),
    Outcome.READ_ERROR: OutcomeNote(
        label="Read error",
        explanation="The pixels could not be read.",
        mark="M0-6.5L1.6-2.2L6.2-2L2.6.9L3.8 5.3L0 2.7L-3.8 5.3L-2.6.9L-6.2-2L-1.6-2.2Z",
    ),
    Outcome.PRUNED: OutcomeNote(
        label="Pruned",
        explanation="The chip is in the trash: recorded AIS does not vouch for it. It can be put back.",
        mark="M-6-5.5H6V-3H4.5L3.8 6H-3.8L-4.5-3H-6Z",
    ),
}


def time_text(moment: datetime | None) -> str:
    """`2025-10-27 11:04:22 UTC`, with milliseconds where there are any."""
    if moment is None:
        return NOT_SAID
    moment = moment.astimezone(UTC)
    milliseconds = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{milliseconds} UTC"


def place_text(lon: float | None, lat: float | None) -> str:
    """Longitude and latitude in degrees as `36.12510° N, 5.43020° W`."""
    if lon is None or lat is None:
        return NOT_SAID
    return f"{abs(lat):.5f}° {'S' if lat < 0 else 'N'}, {abs(lon):.5f}° {'W' if lon < 0 else 'E'}"


def duration_text(seconds: float | None, *, signed: bool = False) -> str:
    """`2 min 31 s`; with `signed`, `+` or `−` in front."""
    if seconds is None:
        return NOT_SAID
    total = round(abs(seconds))
    sign = ("−" if seconds < 0 else "+") if signed and total else ""
    hours, minutes, rest = total // 3600, total % 3600 // 60, total % 60
    parts = [f"{hours} h"] if hours else []
    if minutes or hours:
        parts.append(f"{minutes} min")
    if not hours:
        parts.append(f"{rest} s")
    return sign + " ".join(parts)


def distance_text(metres: float | None) -> str:
    """`34 m`, `12.3 km`."""
    if metres is None:
        return NOT_SAID
    return f"{metres / 1000:,.1f} km" if metres >= 9950 else f"{metres:,.0f} m"


def share_text(fraction: float | None) -> str:
    """A fraction from 0 to 1 as `3.2 %`."""
    return NOT_SAID if fraction is None else f"{fraction * 100:.1f} %"


def number_text(value: float | None, unit: str, decimals: int = 0) -> str:
    """`12.4 kn`."""
    return NOT_SAID if value is None else f"{value:,.{decimals}f} {unit}".rstrip()


def name_text(row: Mapping[str, Any]) -> str:
    """The ship's name, else its MMSI, else what there is."""
    name = (row.get("ship_name") or "").strip()
    if name:
        return name
    return "ship without MMSI" if row.get("mmsi") is None else f"MMSI {row['mmsi']}"


def size_text(length_m: float | None, width_m: float | None = None) -> str:
    """`104 m × 16 m`."""
    if length_m is None:
        return NOT_SAID
    return f"{length_m:,.0f} m" if width_m is None else f"{length_m:,.0f} m × {width_m:,.0f} m"


def _text(value: object) -> str:
    return NOT_SAID if value in (None, "") else str(value).replace("_", " ")


def _identifier(value: object) -> str:
    return NOT_SAID if value in (None, "") else str(value)


def _ship(row: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    facts = [
        ("Name", _identifier(row["ship_name"])),
        ("MMSI", _identifier(row["mmsi"])),
        ("Type", _identifier(row["ship_type"])),
        ("Size", size_text(row["length_m"], row.get("width_m"))),
    ]
    for label, key, unit, decimals in (
        ("Heading", "heading_deg", "°", 0),
        ("Speed", "sog_kn", "kn", 1),
        ("Course", "cog_deg", "°", 0),
    ):
        if row.get(key) is not None:
            facts.append((label, number_text(row[key], unit, decimals).replace(" °", "°")))
    return "Ship", facts


def _sources(targets: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    texts = []
    for target in targets:
        row = "" if target["row_number"] is None else f", row {target['row_number']}"
        texts.append(f"{target['source_id']}{row}{' (time inferred)' if target['time_inferred'] else ''}")
    return [("Source", "; ".join(dict.fromkeys(texts)))] if texts else []


def _confirmation(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Whether the picture shows the ship; nothing for an index that does not judge it."""
    if "confirmation" not in row:
        return []
    found = [("Seen in the picture", row["confirmation"] or "could not be judged")]
    if row["confirmation_offset_m"] is not None:
        found.append(("Brightest near by", f"{distance_text(row['confirmation_offset_m'])} from the expected hull"))
    if row["confirmation_contrast"] is not None:
        found.append(("Contrast", number_text(row["confirmation_contrast"], "", 1)))
    return found


def chip_facts(row: Mapping[str, Any], targets: Sequence[Mapping[str, Any]]) -> Facts:
    """The facts of a chip.

    Args:
        row: its row of the index.
        targets: the rows of the outcomes that name it.
    """
    moved_m = _WGS84.inv(row["ais_lon"], row["ais_lat"], row["lon"], row["lat"])[2]
    siblings = row["sibling_scene_ids"] or []
    return [
        _ship(row),
        (
            "Time and place",
            [
                ("Sensed", time_text(row["scene_datetime"])),
                ("AIS fix", time_text(row["ais_time"])),
                ("Scene minus AIS", duration_text(row["dt_s"], signed=True)),
                ("Overpass expected", time_text(row["overpass_time"])),
                ("Chip centre", place_text(row["lon"], row["lat"])),
                ("AIS position", place_text(row["ais_lon"], row["ais_lat"])),
                ("Centre to AIS", distance_text(moved_m)),
                ("Method", _text(row["position_method"])),
                ("Gap to nearest fix", duration_text(row["position_gap_s"])),
                ("Sigma", distance_text(row["position_sigma_m"])),
                *_confirmation(row),
                ("AIS source", _text(row["ais_source"])),
                *_sources(targets),
            ],
        ),
        (
            "Scene",
            [
                ("Scene", row["scene_id"]),
                ("Platform, tile", f"{row['platform']}, {row['mgrs_tile']}"),
                ("Datatake", _identifier(row["datatake"])),
                ("Cloud cover", number_text(row["cloud_cover"], "%", 1)),
                ("Baseline", _identifier(row["processing_baseline"])),
                ("BOA offset", f"{row['boa_offset_dn']} DN, from {_text(row['boa_offset_source'])}"),
                ("Archive", f"{row['provider']}, {row['collection']}"),
                ("Sibling scenes", ", ".join(siblings) if siblings else "none"),
            ],
        ),
        (
            "Chip",
            [
                ("Chip id", row["chip_id"]),
                ("Split", row["split"]),
                ("Bands", " ".join(row["bands"])),
                ("CRS", f"EPSG:{row['epsg']}"),
                ("Made", f"{time_text(row['created_at'])}, s2chips {row['software_version']}"),
                ("Config hash", row["config_hash"]),
            ],
        ),
    ]


def refusal_facts(row: Mapping[str, Any]) -> Facts:
    """The facts of a target without a chip, from its row of the outcomes; numbers that were not measured are left out."""
    place = [
        ("AIS fix", time_text(row["ais_time"])),
        ("AIS position", place_text(row["ais_lon"], row["ais_lat"])),
        ("AIS source", _text(row["ais_source"])),
    ]
    if row["position_method"] is not None:
        place += [
            ("At sensing time", place_text(row["lon"], row["lat"])),
            ("Method", _text(row["position_method"])),
            ("Sigma", distance_text(row["position_sigma_m"])),
        ]
    place += _sources([row])
    facts: Facts = [
        ("Why no chip", [("Outcome", str(row["outcome"])), ("Reason", row["detail"])]),
        _ship(row),
        ("Time and place", place),
    ]
    if row["scene_id"] is not None:
        scene = [("Scene", row["scene_id"]), ("Sensed", time_text(row["scene_datetime"]))]
        facts.append(("Scene", [*scene, ("Scene minus AIS", duration_text(row["dt_s"], signed=True))]))
    return facts
