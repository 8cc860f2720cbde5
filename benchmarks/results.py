"""The raw figures of a run, kept as JSON after each one, so that a run that was stopped goes on where it was.

Here: the file. Not here: how it is shown (`report`).
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "results.json"
Figures = dict[str, Any]


class Results:
    """Figures by key, such as `readers/dense/30 ms/s2chips`."""

    def __init__(self, path: Path, *, fresh: bool, sizes: Figures) -> None:
        """Args:
        path: of the JSON file.
        fresh: forget what is in there; else a finished run, or one of other sizes, is forgotten too.
        sizes: what the run was asked for.
        """
        self.path = path
        self.tree: Figures = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if fresh or self.tree.get("complete", True) or self.tree.get("sizes") != json.loads(json.dumps(sizes)):
            self.tree = {"complete": False, "sizes": sizes, "machine": machine(), "began": _now(), "figures": {}}

    def __contains__(self, key: str) -> bool:
        return key in self.tree["figures"]

    def __getitem__(self, key: str) -> Any:
        return self.tree["figures"][key]

    def put(self, key: str, figures: Any) -> None:
        """Keep and save."""
        self.tree["figures"][key] = figures
        self.save()

    def finish(self) -> None:
        """The next run begins anew."""
        self.tree.update(complete=True, ended=_now())
        self.save()

    def save(self) -> None:
        """Write the file."""
        self.path.write_text(json.dumps(self.tree, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def machine() -> Figures:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    memory_gb = None
    if Path("/proc/cpuinfo").is_file():
        names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    if hasattr(os, "sysconf"):
        memory_gb = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    here = Path(__file__).parent
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {
        "cores": os.cpu_count(),
        "model": model,
        "memory_gb": memory_gb,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": told.stdout.strip() or None,
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
