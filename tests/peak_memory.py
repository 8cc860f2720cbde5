"""How much memory a call takes at most: measured in a process of its own, whose peak nobody else has raised."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def peak_bytes(script: str, *arguments: str, timeout_s: float = 300.0) -> tuple[int, str]:
    """The growth of the peak of resident memory over `script`'s body, and what the script printed.

    Args:
        script: Python; what comes before a line `# measured` is not counted.
        arguments: as `sys.argv[1:]`.
        timeout_s: longest time that it may take.
    """
    before, _, body = script.partition("# measured")
    whole = (
        f"import sys\nfrom benchmarks.memory import peak_mb\n{before}\n_base = peak_mb()\n{body}\n"
        "print(round((peak_mb() - _base) * 1024), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", whole, *arguments], capture_output=True, text=True, timeout=timeout_s, cwd=_ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, kilobytes = done.stdout.rpartition("\n")
    return int(kilobytes) * 1024, said
