"""`s2chips recut`: its options, and cutting again what they name.

Not here: cutting and comparing (`s2chips_core.index.recut`). Nothing heavy is imported before it runs, so that --help is
quick.
"""

import argparse
import contextlib
import os
from pathlib import Path

from s2chips_core import __version__
from s2chips_dagster.arguments import parse_count
from s2chips_dagster.out_file import write_whole


def add_recut_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add = parser.add_argument
    add("chip_id", nargs="*", help="of tiles.parquet")
    add("--check", type=parse_count, metavar="N", help="N chips of tiles.parquet, the same ones every time")
    add("--out", type=Path, help="where to write the chip that was cut now (of one chip_id)")
    add(
        "--moved",
        action="append",
        type=_moved,
        default=[],
        metavar="OLD=NEW",
        help="read assets whose href begins with OLD from NEW: the archive has moved, or there is a mirror of it",
    )
    parser.set_defaults(wrong=parser.error)


def run_recut(options: argparse.Namespace, config_file: Path) -> bool:
    """Cut the chips again and print what differs. Whether all of them are identical."""
    if bool(options.chip_id) == bool(options.check) or (options.out and len(options.chip_id) != 1):
        options.wrong("expected chip ids or --check N; --out needs exactly one chip id")

    from s2chips_core.config import load_settings
    from s2chips_core.index.recut import recut, select_chips
    from s2chips_core.scenes.archives import open_fetcher
    from s2chips_core.storage import open_storage

    settings = load_settings(config_file, os.environ)
    storage = open_storage(settings.storage, os.environ)
    verdicts = set()
    with contextlib.closing(open_fetcher(settings.stac)) as fetcher:
        for chip_id in options.chip_id or select_chips(storage, options.check):
            result = recut(
                chip_id,
                settings=settings,
                storage=storage,
                fetcher=fetcher,
                software_version=__version__,
                moved=dict(options.moved),
            )
            print(result)
            verdicts.add(result.verdict)
            if options.out and result.geotiff is not None:
                write_whole(options.out, result.geotiff)
    return verdicts <= {"identical"}


def _moved(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text!r}: expected OLD=NEW, two beginnings of URLs")
    return old, new
