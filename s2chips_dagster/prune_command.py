"""What `s2chips prune` says: the table of what goes, trashes, and what could not be put back.

Not here: the jobs (`prune_jobs`) and what they do (`s2chips_core.index.prune`).
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from s2chips_core import layout, tables
from s2chips_dagster.runs import Runs

TOLERANCES = ("time_tolerance_min", "distance_tolerance_m")
HEAD = ("chip_id", "mmsi", "ship", "dt_s", "distance_m", "reason")


def prune(runs: Runs, given: Mapping[str, Any], *, dry_run: bool) -> bool:
    """Run `prune_by_ais`, print what went or would go. Whether it succeeded.

    Args:
        runs: of the configuration file.
        given: tolerances and days in place of the configuration's.
        dry_run: only say it.
    """
    from s2chips_core.index.prune_selection import PRUNE_SCHEMA

    config = {
        "dry_run": dry_run,
        "prune": {name: given[name] for name in TOLERANCES if name in given},
        **{name: given[name].isoformat() for name in ("first_day", "last_day") if name in given},
    }
    said = runs.prune(config)
    if said is None:
        return False
    for move in said["finished"]:
        print(f"finished what had been broken off: {move['action']} of {move['chips']} chips, trash {move['trash']}")
    key = layout.prune_proposal("parquet") if dry_run else layout.trash_table(said["trash"]) if said["trash"] else None
    if said["going"] and key is not None:
        table = tables.read_table(runs.storage, key, PRUNE_SCHEMA)
        print(format_reasons(table[~table["stays"]]))
    for chip_id, why in said["left"].items():
        print(f"s2chips: chip {chip_id} should go and is left: {why}", file=sys.stderr)
    print(
        f"{said['going']} of {said['judged']} chips {'would go' if dry_run else 'went'}: tolerances "
        f"{said['time_tolerance_min']:g} min, {said['distance_tolerance_m']:g} m"
    )
    if dry_run:
        print(f"  dry run, nothing has changed; every chip and its numbers: {said['path']}")
    elif said["trash"]:
        print(f"  trash {said['trash']}; back with: s2chips prune --restore {said['trash']}")
        print(f"  every reason: {said['path']}")
    return True


def restore(runs: Runs, which: str) -> bool:
    """Run `restore_pruned`, print what is back. Whether everything is."""
    said = runs.restore(which)
    if said is None:
        return False
    print(f"trash {said['trash']}: {said['restored']} chips put back, {said['left_in_trash']} could not be")
    for chip_id, why in said["reasons"].items():
        print(f"  {chip_id}: {why}")
    return not said["left_in_trash"]


def print_trashes(runs: Runs) -> None:
    """Every trash, the latest first."""
    from s2chips_core.index.prune_trash import list_trashes

    trashes = list_trashes(runs.storage)
    if not trashes:
        print("there is no trash")
        return
    rows = [
        (
            note.trash_id,
            str(note.chips),
            f"{note.time_tolerance_s / 60:g} min, {note.distance_tolerance_m:g} m",
            runs.storage.url(layout.trash(note.trash_id)),
        )
        for note in reversed(trashes)
    ]
    print(_columns(("trash", "chips", "tolerances", "where"), rows))


def format_reasons(reasons: pd.DataFrame) -> str:
    """A table for people: one line for each chip that goes, and under it why. `reasons`: PRUNE_SCHEMA."""
    rows = [
        (
            row["chip_id"],
            str(row["mmsi"]),
            row["ship_name"] if isinstance(row["ship_name"], str) else "-",
            _number(row["dt_s"]),
            _number(row["distance_m"]),
            row["reason"],
        )
        for row in reasons.to_dict("records")
    ]
    return _columns(HEAD, rows)


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.1f}"


def _columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Text in columns; numbers are at the right."""
    lines = [head, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    right = {n for n, name in enumerate(head) if name in ("mmsi", "dt_s", "distance_m", "chips")}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
