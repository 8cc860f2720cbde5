"""Cutting one source of a day for Dagster: what is shown of it, and that a run that is stopped leaves nothing half done."""

import io
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import s2chips_core.index.day
from s2chips_core import layout, tables
from s2chips_core.config import parse_settings
from s2chips_core.fetch import Fetcher
from s2chips_core.index.day import DayResult
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome, outcomes_frame
from s2chips_core.index.records import INDEX_SCHEMA, index_frame
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.sandbox.server import serve
from s2chips_core.storage import LocalStorage
from s2chips_dagster import chipping
from tests.dagster.conftest import DAY, DayRun, MakeDataset, files_of, start_cli

SETTINGS = parse_settings({"satellite_tracking": {"tiles": ["30STE"]}}, "test")
STOP_MOST_S = 6.0
STAGED = layout.staged(DAY, layout.CAPTURE)


def empty_result(**changes: Any) -> DayResult:
    outcomes = outcomes_frame([])
    fields: dict[str, Any] = {
        "day": DAY,
        "source_id": layout.CAPTURE,
        "counts": {outcome.value: 0 for outcome in Outcome},
        "rows": index_frame([]),
        "outcomes": outcomes,
        "scene_days": (),
        "chips_cut": 0,
        "chips_kept": 0,
        "chips_lost": {},
        "requests": 0,
        "bytes": 0,
        "cog_assets": 0,
        "gdal_assets": 0,
        "seconds": 0.5,
    }
    return DayResult(**{**fields, **changes})


def test_a_day_without_targets_is_shown_without_a_picture(storage: LocalStorage) -> None:
    shown = chipping.chips_metadata(DAY, empty_result(), storage)
    assert "contact_sheet" not in shown
    assert (shown["chips"], shown["targets"], shown["pass_rate"], shown["chips_per_second"]) == (0, 0, 0.0, 0.0)
    assert shown["outcomes"].value.count("\n") == 1 + len(Outcome)


def test_the_contact_sheet_holds_the_first_chips(day_run: DayRun) -> None:
    rows = tables.read_table(day_run.storage, layout.index_part(DAY, DAY, layout.CAPTURE), INDEX_SCHEMA)
    few = Image.open(io.BytesIO(chipping.contact_sheet_of(empty_result(rows=rows.head(3)), day_run.storage)))
    all_of_them = Image.open(io.BytesIO(chipping.contact_sheet_of(empty_result(rows=rows), day_run.storage)))
    assert few.format == all_of_them.format == "JPEG"
    assert all_of_them.width * all_of_them.height > few.width * few.height
    many = [rows] * 3
    capped = empty_result(rows=tables.concat(many, INDEX_SCHEMA))
    assert len(capped.rows) > chipping.CONTACT_SHEET_CHIPS
    limited = Image.open(io.BytesIO(chipping.contact_sheet_of(capped, day_run.storage)))
    first = empty_result(rows=capped.rows.head(chipping.CONTACT_SHEET_CHIPS))
    assert limited.size == Image.open(io.BytesIO(chipping.contact_sheet_of(first, day_run.storage))).size


def test_chips_that_go_are_warned_of() -> None:
    assert chipping.lost_warning(DAY, empty_result()) is None
    told = chipping.lost_warning(DAY, empty_result(chips_lost={"gate_land": 2, "over_cap": 16}))
    assert told is not None
    assert told.startswith(f"{DAY}: 18 chips of an earlier run are removed; their ships are now 2 gate_land, 16 over_cap.")


def test_metadata_adds_up(day_run: DayRun) -> None:
    outcomes = tables.read_table(day_run.storage, layout.outcomes_part(DAY, layout.CAPTURE), OUTCOME_SCHEMA)
    shown = day_run.metadata("chips")
    chipped = int((outcomes["outcome"] == "chipped").sum())
    assert (shown["chips"], shown["targets"]) == (chipped, len(outcomes))
    assert shown["chips_cut"] + shown["chips_kept"] == chipped
    assert shown["pass_rate"] == pytest.approx(chipped / len(outcomes), abs=1e-4)
    for outcome, count in outcomes["outcome"].value_counts().items():
        assert f"| {outcome} | {count} |" in shown["outcomes"]
    assert all(record.data["outcome"] != "chipped" for record in shown["refusals"].records)


def test_imagery_credit_names_an_archive_of_ones_own() -> None:
    assert chipping.imagery_credit(SETTINGS) is None
    own = SETTINGS.override({"stac": {"endpoint": "http://127.0.0.1/v1"}})
    assert "http://127.0.0.1/v1" in str(chipping.imagery_credit(own))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_threads_are_told_to_stop_when_the_run_ends_badly(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    seen: dict[str, Any] = {}

    def interrupted(*_: Any, stop: threading.Event, fetcher: Fetcher, **__: Any) -> DayResult:
        assert not stop.is_set()
        seen.update(stop=stop, hosts=fetcher.allowed_hosts)
        monkeypatch.setattr(fetcher, "close", lambda: seen.update(closed=True))
        raise error

    monkeypatch.setattr(s2chips_core.index.day, "chip_day", interrupted)
    with pytest.raises(error):
        chipping.chips_of_source(DAY, layout.CAPTURE, SETTINGS, storage, lambda: datetime.now(UTC), lambda _: None)
    assert seen["stop"].is_set()
    assert seen["closed"]
    # And the service that gives tokens for those that want one.
    assert seen["hosts"] == (*SETTINGS.stac.allowed_hosts, "planetarycomputer.microsoft.com")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("earlier", [False, True], ids=["first run", "after an earlier run"])
def test_an_interrupted_run_leaves_nothing_half_written(
    sandbox_archive: Path, make_dataset: MakeDataset, home: Path, earlier: bool
) -> None:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        dataset = make_dataset("stopped", served=served, compute={"workers": 4})
        if earlier:  # what stands is not to be lost: SWIR is left out, so that all must be cut again
            assert dataset.execute("run_day", ops={"chips": {"tiling": {"include_swir": False}}}).success
        before = files_of(dataset.storage, "chips", "indexes", "outcomes")
        served.faults.fail("slow", match="/data/", delay_s=0.1)
        served.counters.reset()
        process = start_cli("run", "--date", DAY, "--config", dataset.config, home=home)
        try:
            wait_for_new_chips(dataset.storage, before, 3, process)
            requests = served.counters.requests["data"]
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            stdout, stderr = process.communicate(timeout=60)
            took_s = time.monotonic() - began
        finally:
            process.kill()
        assert requests > 0
        assert took_s < STOP_MOST_S, stderr[-2000:]
        assert process.returncode == 1
        assert stdout == ""
        assert stderr.rstrip().endswith("s2chips: stopped")
        check_nothing_half_written(dataset.storage, before)

        served.faults.clear()
        assert dataset.execute("run_day").success
        assert dataset.execute("index_tiles", day=None).success
        # Byte for byte what an undisturbed run makes of the same archive: matches and provenance name its port.
        whole = make_dataset("whole", served=served, compute={"workers": 4})
        assert whole.execute("run_day").success
        assert whole.execute("index_tiles", day=None).success
        same = ("chips", "outcomes", "plan", "indexes", "matches", "labels", "provenance/scenes")
        assert files_of(dataset.storage, *same) == files_of(whole.storage, *same)
        index = tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA)
        assert {f"chips/{name}" for name in files_below(dataset.storage.root / "chips")} >= set(index["path"])
        assert dataset.storage.list(layout.journals_folder()) == []


def wait_for_new_chips(storage: LocalStorage, before: dict[str, bytes], count: int, process: Any) -> None:
    """Until so many chips of this run are on disk, which nothing has committed yet."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        new = [key for key in storage.list("chips") if key not in before] + storage.list(STAGED)
        if sum(key.endswith(".tif") and not key.endswith("_masks.tif") for key in new) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no chips were written")


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def check_nothing_half_written(storage: LocalStorage, before: dict[str, bytes]) -> None:
    """All that the index names is whole, and there is nothing else: no temporary file, no journal, no stray artefact."""
    on_disk = {f"chips/{name}" for name in files_below(storage.root / "chips")}
    assert storage.list(layout.journals_folder()) == []
    stray = [name for name in files_below(storage.root) if "/." in f"/{name}" and not name.startswith(".locks/")]
    assert stray == []
    parts = [tables.read_table(storage, key, INDEX_SCHEMA) for key in storage.list(layout.index_parts_folder())]
    named = {path for part in parts for path in part["path"]}
    assert {key for key in on_disk if key.endswith(".tif") and not key.endswith("_masks.tif")} <= named
    assert {key.removesuffix(".json") + ".tif" for key in on_disk if key.endswith(".json")} <= named
    assert storage.list(STAGED) == []
    assert files_of(storage, "chips", "indexes", "outcomes") == before


def test_created_at_is_the_clock_of_the_workspace(day_run: DayRun) -> None:
    rows = tables.read_table(day_run.storage, layout.index_part(DAY, DAY, layout.CAPTURE), INDEX_SCHEMA)
    assert (rows["created_at"] - DEMO_NOW).abs().max() <= timedelta(0)
