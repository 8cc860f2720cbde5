"""What is loaded before anything is done: counted, not timed.

The code server, every run and every tick of the daemon load the definitions; who asks for help waits for the command line.
"""

import re
import subprocess
import sys

import pytest

HEAVY = {
    *("PIL", "jinja2", "numpy", "openpyxl", "pandas", "pyarrow", "pyproj", "pystac", "pystac_client", "rasterio", "scipy"),
    *("sgp4", "shapely", "starlette", "urllib3", "uvicorn", "websockets", "xlsxwriter"),
}
"""Packages that the core works with, each a tenth of a second and more or the way to one."""
COMMANDS = (
    "run",
    "chip-from-file",
    "predict-overpasses",
    "collect-ais",
    "export",
    "recut",
    "prune",
    "housekeeping",
    "doctor",
    "demo",
)


def loaded_by(code: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after some code."""
    report = "import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    source = f"import contextlib\nwith contextlib.suppress(SystemExit):\n    {code}\n{report}"
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


def of_dagster_alone() -> set[str]:
    return loaded_by("import dagster")


def test_the_definitions_load_nothing_heavy_but_dagster() -> None:
    code = (
        "from pathlib import Path; from s2chips_dagster.definitions import build_definitions; "
        "build_definitions(Path('config/config.yaml')).get_repository_def()"
    )
    loaded = loaded_by(code)
    assert {"dagster", "s2chips_core", "s2chips_dagster"} <= loaded
    assert (loaded & HEAVY) - of_dagster_alone() == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)])
def test_help_loads_not_even_dagster(arguments: list[str]) -> None:
    loaded = loaded_by(f"from s2chips_dagster.cli import main; main({arguments!r})")
    assert "s2chips_dagster" in loaded
    assert loaded & {*HEAVY, "dagster", "pydantic", "yaml"} == set()


def test_every_command_is_looked_at() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "s2chips_dagster.cli", "--help"], check=True, capture_output=True, text=True
    )
    assert set(re.findall(r"^    ([a-z][a-z-]+)", helped.stdout, re.MULTILINE)) == set(COMMANDS)
