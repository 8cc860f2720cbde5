"""The benchmarks that are programs of their own: run one after the other, what they print is kept.

One that is not there, or fails, is named with the reason.
"""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.days import measure_day
from benchmarks.results import Results

MOST_S = 900.0
SCRIPTS: dict[str, tuple[list[str], list[str]]] = {
    "planning": ([], []),
    "matching": (["--ships", "1000", "10000"], []),
    "writing": ([], []),
    "indexing": (["--rows", "10000", "100000", "1000000"], []),
    "dataset_page": (["--chips", "10000"], []),
    "capture": (["--seconds", "15"], []),
}
"""Module -> arguments of a short run and of a full one."""


def measure(results: Results, embedded: Path, folder: Path, *, full: bool, tell: Callable[[str], None]) -> None:
    """Run them all."""
    for name, arguments in SCRIPTS.items():
        if f"scripts/{name}" in results:
            continue
        if importlib.util.find_spec(f"benchmarks.{name}") is None:
            tell(f"{name} is skipped: there is no benchmarks/{name}.py")
            results.put(f"skipped/{name}", "is not there")
            continue
        tell(name)
        if name == "writing" and not (folder / "dataset").is_dir():
            measure_day(embedded, ships_per_tile=30, keep=str(folder / "dataset"))
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments[full]]
        command += ["--dataset", str(folder / "dataset")] if name == "writing" else []
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_S, check=False)
        except subprocess.TimeoutExpired:
            results.put(f"skipped/{name}", f"was not done after {MOST_S:g} s")
            continue
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            tell(f"{name} failed: {last}")
            results.put(f"skipped/{name}", f"failed: {last}")
            continue
        results.put(f"scripts/{name}", {"printed": done.stdout.splitlines(), "seconds": time.monotonic() - began})
