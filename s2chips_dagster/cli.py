"""The command line `s2chips`: the short way to the jobs that the Dagster UI runs, on the same instance.

Results go to stdout, logs and progress to stderr. Exit code 0 done, 1 failed, 2 wrong usage. Heavy imports are inside the
commands, so that --help is quick.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s2chips_core import __version__
from s2chips_core.errors import S2ChipsError
from s2chips_dagster.arguments import parse_count, parse_day
from s2chips_dagster.export_command import add_export_arguments, run_export
from s2chips_dagster.housekeeping_command import add_housekeeping_arguments, run_housekeeping
from s2chips_dagster.out_file import write_whole
from s2chips_dagster.prune_command import add_prune_arguments, run_prune
from s2chips_dagster.recut_command import add_recut_arguments, run_recut

DONE, FAILED = 0, 1


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
    run.add_argument("--date", type=parse_day, help="the day, YYYY-MM-DD (default: lag_days ago)")
    run.add_argument("--max-ships", type=parse_count, help="most AIS targets to try")
    run.add_argument("--max-chips", type=parse_count, help="most chips to make")

    file = _command(commands, "chip-from-file", _chip_from_file, "chip the ships of a CSV, XLSX or Parquet file")
    file.add_argument("file", type=Path, help="the table: mmsi, lat, lon and, better, overpass_time")
    file.add_argument("--max-chips", type=parse_count, help="most chips to make")
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
    plan.add_argument("--start", type=parse_day, help="first day, YYYY-MM-DD (default: today; backfill: backfill_days ago)")
    plan.add_argument("--days", type=parse_count, help="how many days (default: horizon_days; backfill: backfill_days)")
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
    add_recut_arguments(again)

    prune = _command(
        commands, "prune", _prune, "move chips that recorded AIS does not vouch for to the trash, or put them back"
    )
    add_prune_arguments(prune)

    house = _command(commands, "housekeeping", _housekeeping, "remove what is older than the section retention says")
    add_housekeeping_arguments(house)

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
        write_whole(options.out, text.encode())
        print(options.out)
    else:
        print(text, end="")
    return DONE


def _collect(options: argparse.Namespace) -> int:
    from s2chips_dagster.collect import collect

    recorded = collect(
        options.schedule, config_file=_config_file(options), window_min=options.window_min, dry_run=options.dry_run
    )
    return DONE if recorded else FAILED


def _export(options: argparse.Namespace) -> int:
    return DONE if run_export(options, _config_file(options)) else FAILED


def _recut(options: argparse.Namespace) -> int:
    return DONE if run_recut(options, _config_file(options)) else FAILED


def _prune(options: argparse.Namespace) -> int:
    return DONE if run_prune(options, _config_file(options)) else FAILED


def _housekeeping(options: argparse.Namespace) -> int:
    return DONE if run_housekeeping(options, _config_file(options)) else FAILED


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
