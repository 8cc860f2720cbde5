"""`s2chips demo`: two days on the embedded archive, offline, and where to look at what came out.

Everything of it is under one folder: the archive, the dataset, its own Dagster instance and the configuration that was
used. The code that runs is the code of real runs; only the archive's address and the clock are the demo's.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import yaml

from s2chips_core import layout, tables
from s2chips_core.config import DATASET_ROOT_VARIABLE, parse_settings
from s2chips_core.errors import ConfigError
from s2chips_dagster.resources import NOW_VARIABLE
from s2chips_dagster.runs import HOME_VARIABLE, Runs

TEMPLATE = Path("config/demo.yaml")
INSTANCE = Path("dagster.yaml")
STOP_MOST_S = 60.0


def run_demo(folder: Path, *, ui: bool = False, port: int = 3000) -> bool:
    """Build the archive, serve it on loopback, run both days, print what came out. Whether all runs succeeded."""
    from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, build_archive
    from s2chips_core.sandbox.server import serve

    began = time.monotonic()
    instance, tree = _of_checkout(INSTANCE), dict(yaml.safe_load(_of_checkout(TEMPLATE)))
    settings = parse_settings(tree, str(TEMPLATE))
    archive = build_archive(
        folder / "archive",
        seed=settings.ais.synthetic_seed,
        ships_per_tile=settings.ais.synthetic_ships_per_tile,
        progress=lambda line: print(line, file=sys.stderr),
    )
    home = folder / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / INSTANCE).write_text(instance, encoding="utf-8")
    os.environ.update({HOME_VARIABLE: str(home), NOW_VARIABLE: DEMO_NOW.isoformat()})
    os.environ.pop(DATASET_ROOT_VARIABLE, None)
    with serve(archive, now=DEMO_NOW) as served:
        tree["stac"] = {**tree.get("stac", {}), "endpoint": served.stac_url, "allowed_hosts": [served.host]}
        tree["storage"] = {**tree.get("storage", {}), "dataset_root": str(folder / "dataset")}
        config = folder / "config.yaml"
        config.write_text(f"# Made by `s2chips demo` from {TEMPLATE}.\n{yaml.safe_dump(tree)}", encoding="utf-8")
        runs = Runs(config)
        # Every day, also after one has failed: one error should not hide what the other day would have shown.
        fine = [runs.run_day(day, {}) for day in DEMO_DAYS]
        done = all(fine) and runs.index()
        if done:
            _print_summary(runs, list(DEMO_DAYS), time.monotonic() - began)
        if ui and done:
            _open_ui(config, port)
    return done


def _print_summary(runs: Runs, days: Sequence[date], seconds: float) -> None:
    from s2chips_core.index.records import INDEX_SCHEMA

    for day in days:
        runs.print_outcomes(day)
    index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    print(f"\n{len(index)} chips in {seconds:.0f} s. Look at:")
    print(f"  pictures  {runs.storage.url('chips')}/*/*/*/*_quicklook.jpg")
    print(f"  all       {runs.storage.url(layout.dataset_page())}")
    for day in days:
        print(f"  day       {runs.storage.url(layout.report(day))}")
    print(f"  index     {runs.storage.url(layout.tiles_index())}")
    print("  Dagster   make demo-ui (or s2chips demo --ui)")


def _of_checkout(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), "(file)", error.strerror, "to be run in a checkout of s2chips") from error


def _open_ui(config: Path, port: int) -> None:
    """`dagster dev` on the demo's instance, until it is stopped; the archive is served meanwhile."""
    print(f"Dagster on http://127.0.0.1:{port} (Ctrl-C ends it)", file=sys.stderr)
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "S2CHIPS_CONFIG": str(config)}
    # Also when started in the background, where a shell has interrupts ignored, and when terminated: the UI ends with us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own interpreter
    try:
        process.wait()
    except KeyboardInterrupt:
        print("stopping Dagster", file=sys.stderr)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_MOST_S)
            except subprocess.TimeoutExpired:
                process.kill()
