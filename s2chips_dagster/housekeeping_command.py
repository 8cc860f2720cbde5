"""`s2chips housekeeping`: its option, and what it says.

Not here: the job (`housekeeping_job`). Nothing heavy is imported before it runs, so that --help is quick.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

HEAD = ("kind", "count", "files", "bytes", "oldest")
LISTED = ("kind", "name", "since", "files", "bytes")


def add_housekeeping_arguments(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def run_housekeeping(options: argparse.Namespace, config_file: Path) -> bool:
    """Run the job and print what went, or would go. Whether it succeeded."""
    from s2chips_dagster.runs import Runs

    said = Runs(config_file).housekeeping({"dry_run": options.dry_run})
    if said is None:
        return False
    if options.dry_run and said["count"]:
        print(_columns(LISTED, said["table"].records))
        print()
    print(_columns(HEAD, said["kinds"].records))
    what = "would go" if options.dry_run else "went"
    print(f"{said['count']} {what}, {said['bytes']} bytes")
    if options.dry_run:
        print("  dry run, nothing has changed; how long things are kept: section retention of the configuration")
    for name, why in said["left"].items():
        print(f"s2chips: {name} is left: {why}", file=sys.stderr)
    return True


def _columns(head: tuple[str, ...], records: Any) -> str:
    lines = [head, *(tuple(str(record.data[name]) for name in head) for record in records)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    right = {"count", "files", "bytes"}
    return "\n".join(
        "  ".join(c.rjust(w) if h in right else c.ljust(w) for c, w, h in zip(line, widths, head, strict=True)).rstrip()
        for line in lines
    )
