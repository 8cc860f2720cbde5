"""The command line `s2chips`: the short way to the jobs that the Dagster UI runs, on the same instance.

Results go to stdout, logs and progress to stderr. Exit code 0 done, 1 failed, 2 wrong usage. Heavy imports are inside the
commands, so that --help is quick.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from s2chips_core import __version__
from s2chips_core.errors import S2ChipsError, StorageError
from s2chips_dagster.export_command import add_export_arguments, run_export

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parse_arguments(arguments)
    # Partitioned asset checks are a preview in Dagster: known, and nothing a user of the command line can act on.
    warnings.filterwarnings("ignore", message=".*currently in (preview|beta).*")
    from dotenv import load_dotenv

    load_dotenv(Path.cwd() / ".env")
    try:
        return int(options.run(options))
    except S2ChipsError as error:
        print(f"s2chips: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("s2chips: stopped", file=sys.stderr)
        return FAILED


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of one command; ends the process with code 2, and says why, where they are wrong."""
    return _parser().parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="s2chips", description="Chips of ships from Sentinel-2.")
    parser.add_argument("--version", action="version", version=f"s2chips {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")

    run = _command(commands, "run", _run, "plan, AIS, matching, chips, index and report of one day")
    run.add_argument("--date", type=_day, help="the day, YYYY-MM-DD (default: lag_days ago)")
    run.add_argument("--max-ships", type=_count, help="most AIS targets to try")
    run.add_argument("--max-chips", type=_count, help="most chips to make")

    file = _command(commands, "chip-from-file", _chip_from_file, "chip the ships of a CSV, XLSX or Parquet file")
    file.add_argument("file", type=Path, help="the table: mmsi, lat, lon and, better, overpass_time")
    file.add_argument("--max-chips", type=_count, help="most chips to make")
    file.add_argument(
        "--position",
        choices=("as_reported", "at_sensing_time"),
        default="as_reported",
        help="centre on each row as it is (default), or take the rows of a ship as its track to the sensing time",
    )
    file.add_argument(
        "--column",
        type=_column,
        action="append",
        default=[],
        metavar="NAME=TITLE",
        help="which column is which, where its title is not known: --column 'overpass_time=Seen at' (may be repeated)",
    )

    plan = _command(commands, "predict-overpasses", _predict, "the overpass plan of some days, as CSV")
    plan.add_argument("--out", type=Path, help="the CSV to write (default: stdout)")
    plan.add_argument("--start", type=_day, help="first day, YYYY-MM-DD (default: today; for backfill: backfill_days ago)")
    plan.add_argument("--days", type=_count, help="how many days (default: horizon_days; for backfill: backfill_days)")
    plan.add_argument(
        "--source",
        choices=("backfill", "tle", "acquisition_plan", "auto"),
        help="what the plan is made from (default: satellite_tracking.source)",
    )

    ais = _command(commands, "collect-ais", _collect, "record AIS around the passes of a schedule, as they come")
    ais.add_argument("--schedule", type=Path, required=True, help="CSV with the columns of the overpass plan")
    ais.add_argument(
        "--window-min", type=_minutes, help="recording time each side of the pass, minutes (default: the schedule's windows)"
    )
    ais.add_argument("--dry-run", action="store_true", help="synthetic AIS, at once, marked so everywhere")

    export = _command(commands, "export", _export, "chips as files that others train on, with a data card")
    add_export_arguments(export)

    again = _command(commands, "recut", _recut, "cut chips again from their provenance and say what differs")
    again.add_argument("chip_id", nargs="*", help="of tiles.parquet")
    again.add_argument("--check", type=_count, metavar="N", help="N chips of tiles.parquet, the same ones every time")
    again.add_argument("--out", type=Path, help="where to write the chip that was cut now (of one chip_id)")
    again.add_argument(
        "--moved",
        action="append",
        type=_moved,
        default=[],
        metavar="OLD=NEW",
        help="read assets whose href begins with OLD from NEW: the archive has moved, or there is a mirror of it",
    )
    prune = _command(
        commands, "prune", _prune, "move chips that recorded AIS does not vouch for to the trash, or put them back"
    )
    prune.add_argument(
        "--time-tolerance-min",
        type=_tolerance,
        help="largest time from the scene to the nearest recorded fix, minutes (default: prune.time_tolerance_min)",
    )
    prune.add_argument(
        "--distance-tolerance-m",
        type=_tolerance,
        help="largest distance from the chip centre to recorded AIS, metres (default: prune.distance_tolerance_m)",
    )
    prune.add_argument("--first-day", type=_day, help="only chips sensed from this day on, YYYY-MM-DD")
    prune.add_argument("--last-day", type=_day, help="only chips sensed until this day, YYYY-MM-DD")
    what = prune.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="only say which chips would go and why")
    what.add_argument("--restore", metavar="WHICH", help="put the chips of a trash back: its id, or latest")
    what.add_argument("--list", action="store_true", help="say which trashes there are")
    prune.set_defaults(wrong=prune.error)

    doctor = _command(commands, "doctor", _doctor, "look at everything that runs need, and say what to do about it")
    doctor.add_argument("--offline", action="store_true", help="leave out what needs the network")

    demo = commands.add_parser("demo", help="two days offline, on the embedded archive")
    demo.set_defaults(run=_demo)
    demo.add_argument("--folder", type=Path, default=Path("demo"), help="where the archive and the dataset go")
    demo.add_argument("--ui", action="store_true", help="then open the demo in the Dagster UI")
    demo.add_argument("--port", type=int, default=3000, help="port of the UI")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("--config", type=Path, help="configuration file (default: S2CHIPS_CONFIG, config/config.yaml)")
    command.set_defaults(run=run)
    return command


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: expected YYYY-MM-DD") from error


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: expected a whole number from 1")
    return int(text)


def _moved(text: str) -> tuple[str, str]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise argparse.ArgumentTypeError(f"{text!r}: expected OLD=NEW, two beginnings of URLs")
    return old, new


def _column(text: str) -> tuple[str, str]:
    name, equals, title = text.partition("=")
    if not equals or not name.strip() or not title.strip():
        raise argparse.ArgumentTypeError(f"{text!r}: expected name=title, such as overpass_time=Seen at")
    return name.strip(), title.strip()


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= 60:
        raise argparse.ArgumentTypeError(f"{text!r}: expected minutes, above 0 and at most 60")
    return minutes


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def _config_file(options: argparse.Namespace) -> Path:
    from s2chips_core.config import config_path

    if options.config:
        os.environ["S2CHIPS_CONFIG"] = str(options.config)
    return config_path(os.environ)


def _run(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from s2chips_dagster.runs import Runs

    runs = Runs(_config_file(options))
    day = options.date or (runs.now().date() - timedelta(days=runs.settings.scheduling.lag_days))
    limits: dict[str, Any] = {}
    if options.max_chips is not None:
        limits = {"bind_chips_to_ships": False, "max_chips": options.max_chips}
    config = {
        "scene_matches": {"limits": {"max_ships": options.max_ships}} if options.max_ships is not None else {},
        "chips": {"limits": limits} if limits else {},
    }
    if not runs.run_day(day, config) or not runs.index():
        return FAILED
    runs.print_day(day)
    return DONE


def _chip_from_file(options: argparse.Namespace) -> int:
    from s2chips_dagster.runs import Runs

    runs = Runs(_config_file(options))
    config: dict[str, Any] = {"position": options.position}
    if options.max_chips is not None:
        config["limits"] = {"bind_chips_to_ships": False, "max_chips": options.max_chips}
    if options.column:
        config["ais"] = {"columns": {**runs.settings.ais.columns, **dict(options.column)}}
    days = runs.chip_file(options.file.resolve(), config)
    if days is None:
        return FAILED
    for day in days:
        runs.print_day(day)
    runs.print_row_report(options.file)
    return DONE


def _predict(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from s2chips_core.overpasses.planning import plan_overpasses
    from s2chips_core.overpasses.schedule import format_schedule
    from s2chips_core.scenes.observed import observe_scenes
    from s2chips_dagster.plans import day_metadata
    from s2chips_dagster.runs import Runs, report_days

    runs = Runs(_config_file(options))
    settings, now = runs.settings, runs.now()
    if options.source:
        settings = settings.override({"satellite_tracking": {"source": options.source}}, "--source")
    tracking = settings.satellite_tracking
    past = tracking.source == "backfill"
    days = options.days or (tracking.backfill_days if past else tracking.horizon_days)
    start = options.start or (now.date() - timedelta(days=days if past else 0))
    planned = plan_overpasses(
        start,
        days,
        settings=settings,
        storage=runs.storage,
        now=now,
        observe=observe_scenes(settings, now),
        progress=lambda what: print(what, file=sys.stderr),
    )
    for note in planned.plan.notes:
        print(f"s2chips: warning: {note}", file=sys.stderr)
    for day, rows in planned.by_day.items():
        print(f"{day}: {len(rows)} overpasses", file=sys.stderr)
    report_days("overpass_plan", {day: day_metadata(day, rows, runs.storage) for day, rows in planned.by_day.items()})
    text = format_schedule(planned.plan.passes)
    if options.out:
        _write_whole(options.out, text.encode())
        print(options.out)
    else:
        print(text, end="")
    return DONE


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file at once: half a schedule looks like a whole one."""
    from s2chips_core.storage import LocalStorage

    target = path.resolve()
    if target.exists() and not target.is_file():  # /dev/stdout, a named pipe
        try:
            target.write_bytes(data)
        except OSError as error:
            raise StorageError(str(path), f"cannot be written: {error.strerror}") from error
    else:
        LocalStorage(target.parent).put(target.name, data)


def _collect(options: argparse.Namespace) -> int:
    from s2chips_dagster.collect import collect

    recorded = collect(
        options.schedule, config_file=_config_file(options), window_min=options.window_min, dry_run=options.dry_run
    )
    return DONE if recorded else FAILED


def _export(options: argparse.Namespace) -> int:
    return DONE if run_export(options, _config_file(options)) else FAILED


def _recut(options: argparse.Namespace) -> int:
    import contextlib

    from s2chips_core.config import load_settings
    from s2chips_core.fetch import Fetcher
    from s2chips_core.index.recut import recut, select_chips
    from s2chips_core.storage import open_storage

    if bool(options.chip_id) == bool(options.check) or (options.out and len(options.chip_id) != 1):
        print("s2chips recut: error: expected chip ids or --check N; --out needs exactly one chip id", file=sys.stderr)
        return WRONG_USAGE
    settings = load_settings(_config_file(options), os.environ)
    storage = open_storage(settings.storage.dataset_root)
    verdicts = set()
    with contextlib.closing(Fetcher(settings.stac.allowed_hosts)) as fetcher:
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
                _write_whole(options.out, result.geotiff)
    return DONE if verdicts <= {"identical"} else FAILED


def _prune(options: argparse.Namespace) -> int:
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

    from s2chips_dagster import prune_command
    from s2chips_dagster.runs import Runs

    runs = Runs(_config_file(options))
    if options.list:
        prune_command.print_trashes(runs)
        return DONE
    if options.restore is not None:
        return DONE if prune_command.restore(runs, options.restore) else FAILED
    return DONE if prune_command.prune(runs, given, dry_run=options.dry_run) else FAILED


def _doctor(options: argparse.Namespace) -> int:
    from s2chips_dagster.doctor import examine
    from s2chips_dagster.findings import format_findings

    found = examine(_config_file(options), offline=options.offline)
    print(format_findings(found), end="")
    return FAILED if any(one.verdict == "failed" for one in found) else DONE


def _demo(options: argparse.Namespace) -> int:
    from s2chips_dagster.demo import run_demo

    return DONE if run_demo(options.folder.resolve(), ui=options.ui, port=options.port) else FAILED


if __name__ == "__main__":
    sys.exit(main())
