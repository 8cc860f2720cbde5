"""The demo's preparations: its template, the configuration it writes, the environment, refusals. The whole: tests/flow."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import s2chips_core.sandbox.archive
import s2chips_core.sandbox.server
from s2chips_core.config import DATASET_ROOT_VARIABLE, load_settings
from s2chips_core.errors import ConfigError
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES
from s2chips_core.sandbox.server import Served
from s2chips_dagster import demo
from s2chips_dagster.resources import NOW_VARIABLE, Workspace
from s2chips_dagster.runs import HOME_VARIABLE
from tests import sandbox_fixtures
from tests.dagster.conftest import REPOSITORY


class Played:
    """Stands in for the archive and the runs, which tests/flow covers; notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.fails: set[Any] = set()

    def build_archive(self, folder: Path, **parameters: Any) -> Path:
        self.asked.append(("archive", (folder, parameters["seed"], parameters["ships_per_tile"])))
        return folder

    @contextlib.contextmanager
    def serve(self, folder: Path, *, now: Any) -> Iterator[Served]:
        self.asked.append(("serve", (folder, now)))
        yield Served("127.0.0.1:4711", now)
        self.asked.append(("served", None))

    def runs(self, config: Path) -> "Played":
        self.asked.append(("runs", config))
        return self

    def run_day(self, day: date, config: dict[str, Any]) -> bool:
        self.asked.append(("day", day))
        return day not in self.fails

    def index(self) -> bool:
        self.asked.append(("index", None))
        return "index" not in self.fails


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    """In a folder like a checkout."""
    checkout = tmp_path / "checkout"
    (checkout / "config").mkdir(parents=True)
    shutil.copyfile(REPOSITORY / "config" / "demo.yaml", checkout / "config" / "demo.yaml")
    shutil.copyfile(REPOSITORY / "dagster.yaml", checkout / "dagster.yaml")
    monkeypatch.chdir(checkout)
    found = Played()
    monkeypatch.setattr(s2chips_core.sandbox.archive, "build_archive", found.build_archive)
    monkeypatch.setattr(s2chips_core.sandbox.server, "serve", found.serve)
    monkeypatch.setattr(demo, "Runs", found.runs)
    monkeypatch.setattr(demo, "_print_summary", lambda *_: found.asked.append(("summary", None)))
    monkeypatch.setattr(demo, "_open_ui", lambda *a: found.asked.append(("ui", a)))
    return found


def test_the_template_is_of_the_archive() -> None:
    settings = load_settings(REPOSITORY / "config" / "demo.yaml", {})
    assert set(settings.satellite_tracking.tiles) == set(DEMO_TILES)
    assert settings.ais.source == "synthetic"
    assert settings.scheduling.first_day <= min(DEMO_DAYS)
    # One day is over the time to give up at the demo's "now", the other is not: no_scene and pending_l2a.
    waited = sorted((DEMO_NOW.date() - day).days for day in DEMO_DAYS)
    assert waited[0] < settings.scheduling.give_up_days < waited[-1]
    # The tests see the archive that the demo sees.
    assert (settings.ais.synthetic_seed, settings.ais.synthetic_ships_per_tile) == (
        sandbox_fixtures.SEED,
        sandbox_fixtures.SHIPS_PER_TILE,
    )


def test_both_days_then_the_index_then_the_summary(played: Played, tmp_path: Path) -> None:
    assert demo.run_demo(tmp_path / "demo")
    names = [name for name, _ in played.asked]
    assert names == ["archive", "serve", "runs", *["day"] * len(DEMO_DAYS), "index", "summary", "served"]
    assert [what for name, what in played.asked if name == "day"] == list(DEMO_DAYS)
    settings = load_settings(REPOSITORY / "config" / "demo.yaml", {})
    parameters = (settings.ais.synthetic_seed, settings.ais.synthetic_ships_per_tile)
    assert played.asked[0][1] == (tmp_path / "demo" / "archive", *parameters)
    assert played.asked[1][1] == (tmp_path / "demo" / "archive", DEMO_NOW)


def test_the_configuration_that_was_used_is_written(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert demo.run_demo(folder)
    config = folder / "config.yaml"
    assert dict(played.asked)["runs"] == config
    assert config.read_text().startswith("# Made by `s2chips demo` from config")
    settings = load_settings(config, {})
    assert settings.stac.endpoint == "http://127.0.0.1:4711/v1"
    assert settings.stac.allowed_hosts == ("127.0.0.1:4711",)
    assert settings.storage.dataset_root == str(folder / "dataset")
    template = yaml.safe_load(Path("config/demo.yaml").read_text())
    made = yaml.safe_load(config.read_text())
    for section, values in template.items():
        differ = {key for key in values if made[section][key] != values[key]}
        assert differ <= {"endpoint", "allowed_hosts", "dataset_root"}, section


def test_everything_of_it_is_under_its_folder(played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATASET_ROOT_VARIABLE, str(tmp_path / "precious"))
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "mine"))
    folder = tmp_path / "demo"
    assert demo.run_demo(folder)
    assert os.environ[HOME_VARIABLE] == str(folder / "dagster")
    assert (folder / "dagster" / "dagster.yaml").read_bytes() == Path("dagster.yaml").read_bytes()
    assert Workspace(config_file=str(folder / "config.yaml")).clock() == DEMO_NOW
    assert os.environ[NOW_VARIABLE] == DEMO_NOW.isoformat()
    # A dataset of one's own is not filled with made-up ships.
    assert load_settings(folder / "config.yaml", os.environ).storage.dataset_root == str(folder / "dataset")


def test_a_day_that_fails_does_not_hide_the_other(played: Played, tmp_path: Path) -> None:
    played.fails = {DEMO_DAYS[0]}
    assert not demo.run_demo(tmp_path / "demo", ui=True)
    assert [what for name, what in played.asked if name == "day"] == list(DEMO_DAYS)
    assert {"index", "summary", "ui"}.isdisjoint(name for name, _ in played.asked)


def test_an_index_that_fails_is_a_failure(played: Played, tmp_path: Path) -> None:
    played.fails = {"index"}
    assert not demo.run_demo(tmp_path / "demo")
    assert "summary" not in dict(played.asked)


def test_the_ui_is_opened_while_the_archive_is_served(played: Played, tmp_path: Path) -> None:
    assert demo.run_demo(tmp_path / "demo", ui=True, port=4321)
    names = [name for name, _ in played.asked]
    assert names.index("ui") < names.index("served")
    assert dict(played.asked)["ui"] == (tmp_path / "demo" / "config.yaml", 4321)


@pytest.mark.parametrize("missing", ["config/demo.yaml", "dagster.yaml"])
def test_outside_a_checkout_it_is_refused_and_nothing_is_made(played: Played, tmp_path: Path, missing: str) -> None:
    Path(missing).unlink()
    with pytest.raises(ConfigError, match="to be run in a checkout of s2chips") as refused:
        demo.run_demo(tmp_path / "demo")
    assert missing in str(refused.value)
    assert played.asked == []
    assert not (tmp_path / "demo").exists()


class FakeDagster:
    """`dagster dev` that ends, or that a Ctrl-C of the user reaches while it is waited for."""

    def __init__(self, interrupted: bool) -> None:
        self.interrupted, self.signals = interrupted, list[int]()
        self.command: list[str] = []
        self.environment: dict[str, str] = {}

    def __call__(self, command: list[str], env: dict[str, str]) -> "FakeDagster":
        self.command, self.environment = command, env
        return self

    def wait(self, timeout: float | None = None) -> int:
        if self.interrupted and not self.signals:
            raise KeyboardInterrupt
        return 0

    def poll(self) -> int | None:
        return None if self.interrupted and not self.signals else 0

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.fixture
def kept_handlers() -> Iterator[None]:
    """What the demo does to signals is undone."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("kept_handlers")
@pytest.mark.parametrize("interrupted", [False, True])
def test_the_ui_is_dagster_on_loopback_and_ends_with_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, interrupted: bool
) -> None:
    fake = FakeDagster(interrupted)
    popen: Callable[..., Any] = fake
    monkeypatch.setattr(subprocess, "Popen", popen)
    demo._open_ui(tmp_path / "config.yaml", 4321)
    assert fake.command[:4] == [sys.executable, "-m", "dagster", "dev"]
    assert fake.command[fake.command.index("-h") + 1] == "127.0.0.1"
    assert fake.command[fake.command.index("-p") + 1] == "4321"
    assert fake.environment["S2CHIPS_CONFIG"] == str(tmp_path / "config.yaml")
    assert fake.signals == ([signal.SIGINT] if interrupted else [])
