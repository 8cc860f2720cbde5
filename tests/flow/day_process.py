"""A day's work in processes that can be killed: what is slow to import is imported once, then each piece of work is a fork.

Run as a script by `DayProcesses`. It reads one JSON object a line, `Work` and where its messages go, and answers `started
PID`, and `ended STATUS` when that process has ended.
"""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import time
import traceback
from datetime import date
from pathlib import Path
from typing import Any

from s2chips_core import __version__, layout
from s2chips_core.ais.day import record_day
from s2chips_core.index.day import write_day_tables
from s2chips_core.index.geojson import refresh_geojson
from s2chips_core.index.prune import prune_chips
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.overpasses.planning import plan_overpasses
from s2chips_core.pages import coast
from s2chips_core.scenes.day import match_capture
from s2chips_core.scenes.observed import observe_scenes
from s2chips_dagster import chipping
from s2chips_dagster.pages import report_dataset, report_day
from s2chips_dagster.resources import Workspace
from s2chips_dagster.runs import Runs

log = logging.getLogger(__name__)

INTERRUPTED = 130
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
"""In such steps the kernel tells what a process has spent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a process does: everything for a day, the index, and a prune."""

    config: str
    """Path of the configuration file."""
    now: str
    day: str
    chips: dict[str, Any]
    """Sections of the configuration for the cutting."""
    prune: dict[str, Any] | None
    """Tolerances; none: no prune."""
    dagster: bool
    """By the jobs of Dagster, or by the same calls without it."""


def spent_s(process: int) -> float | None:
    """The seconds of the processor that a process of Linux has spent so far; none when it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) * TICK_S


class DayProcesses:
    """The script at work, seen from the test."""

    def __init__(self, messages: Path) -> None:
        self.messages = messages
        self.spent_s = 0.0
        """Of the processor, by the last one that has ended."""
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, work: Work) -> int:
        """Begin; the number of the process."""
        assert self._server.stdin is not None
        print(json.dumps({**dataclasses.asdict(work), "log": str(self.messages)}), file=self._server.stdin, flush=True)
        return int(self._answer("started")[0])

    def run(self, work: Work) -> float:
        """To the end, which must be a good one; the seconds of the processor that it took."""
        self.start(work)
        code, self.spent_s = self._ended()
        assert code == 0, self.messages.read_text()[-4000:]
        return self.spent_s

    def kill_after(self, seconds: float, work: Work) -> bool:
        """Begin, and kill -9 after some seconds of the processor; whether it was still at work then.

        Others on the machine make a run slow, but hardly longer by that measure.
        """
        process = self.start(work)
        self._wait_for(process, seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        code, self.spent_s = self._ended()
        assert code in (0, -signal.SIGKILL), self.messages.read_text()[-4000:]
        return code != 0

    def interrupt_after(self, seconds: float, work: Work) -> tuple[int, float, float]:
        """Begin, and interrupt it after some seconds of the processor, as Dagster does when a run is cancelled.

        Returns:
            The exit code; how long it went on, seconds, and seconds of the processor.
        """
        process = self.start(work)
        self._wait_for(process, seconds)
        until_s, began = spent_s(process) or 0.0, time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGINT)
        code, self.spent_s = self._ended()
        return code, time.monotonic() - began, self.spent_s - until_s

    def _ended(self) -> tuple[int, float]:
        """Its exit code, negative for a signal, and the seconds of the processor that it has spent."""
        code, spent = self._answer("ended")
        return int(code), float(spent)

    def _wait_for(self, process: int, seconds: float) -> None:
        """Until it has spent so much, or has ended; within a tick of the kernel's clock any moment may be the one."""
        whole = seconds - seconds % TICK_S
        while (spent := spent_s(process)) is not None and spent < whole:
            time.sleep(0.001)
        time.sleep(seconds % TICK_S)

    def close(self) -> None:
        """Let it end."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()

    def _answer(self, word: str) -> list[str]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline().split()
        assert line, self.messages.read_text()[-4000:]
        assert line[0] == word
        return line[1:]


def _work(asked: dict[str, Any]) -> int:
    config, now = Path(asked["config"]), asked["now"]
    if asked["dagster"]:
        return _by_dagster(Runs(config, now=now), asked)
    run_steps(Workspace(config_file=str(config), now=now), date.fromisoformat(asked["day"]), asked["chips"], asked["prune"])
    return 0


def _by_dagster(runs: Runs, asked: dict[str, Any]) -> int:
    done = runs.run_day(date.fromisoformat(asked["day"]), {"chips": asked["chips"]}) and runs.index()
    if done and asked["prune"] is not None:
        done = runs.prune({"dry_run": False, "prune": asked["prune"]}) is not None
    return 0 if done else 1


def run_steps(workspace: Workspace, day: date, chips: dict[str, Any], prune: dict[str, Any] | None) -> None:
    """What the assets and the prune do, one after another, without Dagster's own 10 s."""
    settings, now = workspace.settings(), workspace.clock()
    storage = workspace.storage(settings)
    plan_overpasses(day, 1, settings=settings, storage=storage, now=now, observe=observe_scenes(settings, now))
    record_day(day, settings=settings, storage=storage, clock=workspace.clock, api_key="not needed: all was heard before")
    match_capture(day, settings=settings, storage=storage, now=now)
    write_day_tables(day, storage)
    chipping.chips_of_source(day, layout.CAPTURE, settings.override(chips), storage, workspace.clock, lambda said: None)
    refresh_geojson(storage, day, settings.stac.search_window_hours)
    report_day(day, settings, workspace, log)
    build_tiles_index(storage)
    report_dataset(workspace)
    if prune is not None:
        with_tolerances = settings.override({"prune": prune})
        prune_chips(settings=with_tolerances, storage=storage, now=now, software_version=__version__, dry_run=False)
        report_day(day, settings, workspace, log)
        report_dataset(workspace)


def _serve() -> None:
    for name in (coast.COARSE, coast.FINE):
        coast.read_land(name)  # a second each, which every fork then has already
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            with Path(asked["log"]).open("a") as messages:
                os.dup2(messages.fileno(), 1)
                os.dup2(messages.fileno(), 2)
                signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell of the tests ignores it
                try:
                    code = _work(asked)
                except KeyboardInterrupt:
                    code = INTERRUPTED
                except BaseException:  # noqa: BLE001 - told in the messages
                    traceback.print_exc()
                sys.stderr.flush()
                os._exit(code)
        print(f"started {child}", flush=True)
        _, status, spent = os.wait4(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)} {spent.ru_utime + spent.ru_stime}", flush=True)


if __name__ == "__main__":
    _serve()
