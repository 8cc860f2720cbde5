"""The command line: usage, exit codes, and where things are said."""

import subprocess
import sys
from pathlib import Path

import pytest

from s2chips_dagster.cli import main

REPOSITORY = Path(__file__).parents[2]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    assert "chip-from-file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--date", "27.10.2025"],
        ["run", "--max-chips", "-1"],
        ["run", "--max-chips", "few"],
        ["chip-from-file"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_a_wrong_configuration_is_exit_code_1_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("S2CHIPS_CONFIG", "")
    file = tmp_path / "c.yaml"
    file.write_text("satellite_tracking: {tiles: [30STF]}\nstac: {cloud_cover_max: 400}\n")
    assert main(["run", "--config", str(file)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "stac.cloud_cover_max: got 400" in told.err
    assert main(["run", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from s2chips_dagster.cli import _parser; _parser().format_help(); "
        "print([m for m in ('dagster', 'pandas', 'rasterio', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
