"""`s2chips prune`: its options, and what it says: the table of what goes, trashes, and what could not be put back.

Not here: the jobs (`prune_jobs`) and what they do (`s2chips_core.index.prune`). Nothing heavy is imported before it runs, so
that --help is quick.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2chips_core import layout
from s2chips_dagster.arguments import parse_day

if TYPE_CHECKING:
    import pandas as pd

    from s2chips_dagster.runs import Runs

TOLERANCES = ("time_tolerance_min", "distance_tolerance_m")
HEAD = ("chip_id", "mmsi", "ship", "dt_s", "distance_m", "reason")


def add_prune_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add(
        "--time-tolerance-min",
        type=_tolerance,
        help="largest time from the scene to the nearest recorded fix, minutes (default: prune.time_tolerance_min)",
    )
    add(
        "--distance-tolerance-m",
        type=_tolerance,
        help="largest distance from the chip centre to recorded AIS, metres (default: prune.distance_tolerance_m)",
    )
    add("--first-day", type=parse_day, help="only chips sensed from this day on, YYYY-MM-DD")
    add("--last-day", type=parse_day, help="only chips sensed until this day, YYYY-MM-DD")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say which chips would go and why")
    what.add_argument("--restore", metavar="WHICH", help="put the chips of a trash back: its id, or latest")
    what.add_argument("--list", action="store_true", help="say which trashes there are")
    parser.set_defaults(wrong=parser.error)


def run_prune(options: argparse.Namespace, config_file: Path) -> bool:
    """Prune, restore or list, as the options say. Whether it succeeded; of a restore, whether every chip is back."""
    chosen = {
        "time_tolerance_min": options.time_tolerance_min,
        "distance_tolerance_m": options.distance_tolerance_m,
        "first_day": options.first_day,
        "last_day": options.last_day,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if given and (options.restore is not None or options.list):
        options.wrong(f"--{next(iter(given)).replace('_', '-')} does not go with --restore and --list")
    if options.first_day and options.last_day and options.last_day < options.first_day:
        options.wrong(f"--last-day {options.last_day} is before --first-day {options.first_day}")

    from s2chips_dagster.runs import Runs

    runs = Runs(config_file)
    if options.list:
        print_trashes(runs)
        return True
    if options.restore is not None:
        return restore(runs, options.restore)
    return prune(runs, given, dry_run=options.dry_run)


def prune(runs: "Runs", given: Mapping[str, Any], *, dry_run: bool) -> bool:
    """Run `prune_by_ais`, print what went or would go. Whether it succeeded.

    Args:
        runs: of the configuration file.
        given: tolerances and days in place of the configuration's.
        dry_run: only say it.
    """
    from s2chips_core import tables
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


def restore(runs: "Runs", which: str) -> bool:
    """Run `restore_pruned`, print what is back. Whether everything is."""
    said = runs.restore(which)
    if said is None:
        return False
    print(f"trash {said['trash']}: {said['restored']} chips put back, {said['left_in_trash']} could not be")
    for chip_id, why in said["reasons"].items():
        print(f"  {chip_id}: {why}")
    return not said["left_in_trash"]


def print_trashes(runs: "Runs") -> None:
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


def format_reasons(reasons: "pd.DataFrame") -> str:
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


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


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
