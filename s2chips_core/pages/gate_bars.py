"""The gate's numbers against their limits, for bars.

Here: the bars and the words. Not here: which limits a number was judged by (`limits`), the gate (`chips.gate`), the
drawing (`templates/viewer.js`).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from s2chips_core.pages import facts
from s2chips_core.sections import Gate


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateBar:
    """One number."""

    label: str
    value: float | None
    """A fraction; none: not measured."""
    value_text: str
    limit: float | None
    """None: not known."""
    limit_text: str
    least: bool
    """Whether the limit is the least that must be, else the most that may be."""
    holds: bool | None
    """Whether the number keeps to its limit; none: there is nothing to compare."""


_NUMBERS = (
    ("Cloud", "qa_cloud_frac", "max_cloud_center_frac"),
    ("Land", "qa_land_frac", "max_land_center_frac"),
    ("Water", "qa_water_frac", "min_water_center_frac"),
    ("Nodata, whole chip", "qa_nodata_frac", "max_nodata_frac"),
)


def gate_bars(row: Mapping[str, Any], gate: Gate | None) -> list[GateBar]:
    """The four numbers of a row of the index or the outcomes; none where nothing at all was measured.

    Args:
        row: its `qa_*_frac`.
        gate: the limits that it was judged by; None where they are not known.
    """
    if all(row[key] is None for _, key, _ in _NUMBERS):
        return []
    return [_bar(label, row[key], gate, limit) for label, key, limit in _NUMBERS]


def gate_notes(row: Mapping[str, Any], gate: Gate | None) -> list[str]:
    """What a reader of the bars must know.

    Args:
        row: of the index (`gate_verdict`, `scl_present`, `config_hash`) or of the outcomes.
        gate: see `gate_bars`.
    """
    notes = []
    if row.get("gate_verdict"):
        verdict = str(row["gate_verdict"]).replace("_", " ")
        scl = "used" if row["scl_present"] else "not there"
        notes.append(f"Verdict: {verdict}. Scene classification: {scl}.")
    if gate is None:
        made = f" {row['config_hash']}" if row.get("config_hash") else ""
        notes.append(f"The limits are not known here: made with another configuration{made}.")
    else:
        side = gate.center_window_px
        notes.append(f"Cloud, land and water are shares of the valid pixels of the {side} × {side} px at the centre.")
        if not gate.enabled:
            notes.append("The gate was off: nothing was refused by these numbers.")
    return notes


def _bar(label: str, value: float | None, gate: Gate | None, limit_name: str) -> GateBar:
    least = limit_name.startswith("min_")
    limit = None if gate is None else float(getattr(gate, limit_name))
    holds = None
    if value is not None and limit is not None:
        # As chips.gate compares: a number on its limit keeps to it.
        holds = value >= limit if least else value <= limit
    rule = "at least" if least else "at most"
    limit_text = "limit not known" if limit is None else f"{rule} {facts.share_text(limit)}"
    return GateBar(
        label=label,
        value=value,
        value_text="not measured" if value is None else facts.share_text(value),
        limit=limit,
        limit_text=limit_text,
        least=least,
        holds=holds,
    )
