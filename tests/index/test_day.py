"""The chips of a day, with made-up pixels: what stands, what is cut again, caps, sources, failures at every step."""

import contextlib
import io
import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.chips.chip import Chip
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.chips.grid import utm_xy
from s2chips_core.config import Settings
from s2chips_core.errors import CancelledRunError, StorageError
from s2chips_core.fetch import Fetcher
from s2chips_core.index.day import DayResult, Progress, chip_day, write_day_tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.parts import chips_of_scene_day, scene_days
from s2chips_core.index.records import PART_SCHEMA, properties, sidecar_fields
from s2chips_core.index.tiles import build_tiles_index, paths_in_index
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage, Storage
from tests.chips.range_server import serving
from tests.chips.rasters import ULX_M, ULY_M
from tests.chips.scenes import make_files, make_pixels, make_scene, make_settings, request_at
from tests.datasets import Datasets, Door, copy, everything
from tests.index.breaking import Breaking, Killed, calls_to_break
from tests.index.chips import (
    DAY,
    NOW,
    SETTINGS,
    Cutter,
    chip_of,
    match_of,
    scene_by_scene,
    scene_of,
    scenes_of_days,
    unmatched_of,
    write_matches,
)
from tests.reliability import often

FILE = layout.file_source("0123456789abcdef")


def run(storage: Any, cutter: Any, *, source: str = layout.CAPTURE, settings: Settings = SETTINGS, **more: Any) -> DayResult:
    more = {"clock": lambda: NOW, "software_version": "0.1.0"} | more
    more["cut"] = scene_by_scene(cutter)
    return chip_day(DAY, source, settings=settings, storage=storage, fetcher=Fetcher(()), **more)


def files(storage: LocalStorage) -> dict[str, bytes]:
    return everything(storage)


def versions(storage: LocalStorage) -> dict[str, str]:
    folders = {key.split("/")[0] for key in files(storage)}
    return {key: version for folder in folders for key, version in storage.versions(folder).items()}


def chips_on_disk(storage: LocalStorage) -> list[str]:
    return [key for key in storage.list("chips") if key.endswith(".tif")]


def as_rows(index: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in index.to_dict("records")]


def owners(index: pa.Table, mmsi: int) -> set[str]:
    return {row["source_id"] for row in index.to_pylist() if row["mmsi"] == mmsi}


@pytest.fixture
def cutter() -> Cutter:
    return Cutter()


@pytest.mark.on_bucket("rclone")
def test_every_target_has_an_outcome_and_every_chip_its_artefacts(storage: LocalStorage) -> None:
    matches = [match_of(n) for n in range(4)] + [unmatched_of(4, "no_scene"), unmatched_of(5, "invalid_ais")]
    write_matches(storage, matches)

    result = run(storage, Cutter({244_660_001: RefusalReason.GATE_CLOUD, 244_660_002: RefusalReason.READ_ERROR}))

    assert {name: n for name, n in result.counts.items() if n} == {
        "chipped": 2,
        "gate_cloud": 1,
        "read_error": 1,
        "no_scene": 1,
        "invalid_ais": 1,
    }
    assert list(result.outcomes["target_id"]) == [m["target_id"] for m in matches]
    assert result.outcomes["qa_cloud_frac"].tolist()[1] == 0.5
    assert (result.chips_cut, result.chips_kept) == (2, 0)
    assert result.scene_days == (DAY,)
    for row in as_rows(result.rows):
        base = row["path"].removesuffix(".tif")
        assert row["path"] == f"chips/{row['split']}/{row['mmsi']}/20251027/{row['chip_id']}.tif"
        assert json.loads(storage.get(base + ".json")) == sidecar_fields(row)
        assert json.loads(storage.get(base + ".geojson"))["properties"] == properties(row)
        assert storage.exists(base + "_quicklook.jpg")
        with rasterio.open(io.BytesIO(storage.get(row["path"]))) as raster:
            assert raster.tags()["chip_id"] == row["chip_id"]
            assert raster.tags()["mmsi"] == str(row["mmsi"])
            expected = np.random.default_rng(row["mmsi"]).uniform(0.01, 0.2, (4, 32, 32)).astype("float32")
            np.testing.assert_array_equal(raster.read(), expected)
    assert storage.list(layout.journals_folder()) == []


def test_the_parts_on_disk_are_what_was_returned(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(n) for n in range(3)])
    result = run(storage, cutter)
    part = tables.read_table(storage, layout.index_part(DAY, DAY, layout.CAPTURE), PART_SCHEMA)
    pd.testing.assert_frame_equal(part, result.rows)
    outcomes = tables.read_table(storage, layout.outcomes_part(DAY, layout.CAPTURE), OUTCOME_SCHEMA)
    pd.testing.assert_frame_equal(outcomes, result.outcomes)


def test_a_second_run_reads_nothing_and_changes_nothing(storage: LocalStorage) -> None:
    matches = [match_of(n) for n in range(5)] + [unmatched_of(9, "pending_l2a")]
    write_matches(storage, matches)
    refusals = {
        244_660_001: RefusalReason.GATE_LAND,
        244_660_002: RefusalReason.NODATA,
        244_660_003: RefusalReason.GATE_CLOUD,
    }
    first = run(storage, Cutter(refusals))
    before = files(storage), versions(storage)

    again = Cutter(refusals)
    second = run(storage, again, clock=lambda: NOW + timedelta(days=1))

    assert again.asked == []
    assert (files(storage), versions(storage)) == before
    pd.testing.assert_frame_equal(second.outcomes, first.outcomes)
    assert (second.chips_cut, second.chips_kept, second.chips_per_second) == (0, 2, 0.0)


@pytest.mark.parametrize("reason", [RefusalReason.READ_ERROR, RefusalReason.MISSING_ASSET])
def test_what_could_not_be_had_is_tried_again(storage: LocalStorage, reason: RefusalReason) -> None:
    write_matches(storage, [match_of(0), match_of(1)])
    run(storage, Cutter({244_660_001: reason}))
    again = Cutter()
    result = run(storage, again)
    assert again.asked == ["t001"]
    assert (result.chips_cut, result.chips_kept) == (1, 1)


@pytest.mark.parametrize("suffix", [".geojson", ".json", "_quicklook.jpg", ".tif"])
def test_a_chip_that_lost_an_artefact_is_made_again(storage: LocalStorage, cutter: Cutter, suffix: str) -> None:
    write_matches(storage, [match_of(0), match_of(1)])
    run(storage, cutter)
    before = files(storage)
    path = chips_on_disk(storage)[0]
    storage.delete(path.removesuffix(".tif") + suffix)
    again = Cutter()
    run(storage, again)
    assert len(again.asked) == 1
    assert files(storage) == before


@pytest.mark.parametrize("text", [b"", b"[1]", b'{"fingerprint": "another"}'])
def test_a_chip_with_a_strange_sidecar_is_made_again(storage: LocalStorage, cutter: Cutter, text: bytes) -> None:
    write_matches(storage, [match_of(0)])
    run(storage, cutter)
    before = files(storage)
    storage.put(chips_on_disk(storage)[0].removesuffix(".tif") + ".json", text)
    run(storage, cutter)
    assert cutter.asked == ["t000", "t000"]
    assert files(storage) == before


def test_a_reprocessed_scene_replaces_its_chips_only(storage: LocalStorage, cutter: Cutter) -> None:
    other = scene_of("S2B_30STG")
    write_matches(storage, [match_of(0), match_of(1, scene=other)])
    run(storage, cutter)
    write_matches(storage, [match_of(0, scene=scene_of(revision="2")), match_of(1, scene=other)])
    again = Cutter({244_660_000: RefusalReason.GATE_CLOUD})
    result = run(storage, again)
    assert again.asked == ["t000"]
    assert result.counts["gate_cloud"] == 1
    assert chips_on_disk(storage) == list(result.rows["path"])


def test_other_splits_move_the_chips_and_leave_no_orphans(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(n) for n in range(6)])
    run(storage, cutter)
    moved = SETTINGS.override({"splits": {"train": 0.0, "val": 0.0, "test": 1.0}})
    result = run(storage, cutter, settings=moved)
    assert result.counts["chipped"] == 6
    assert set(result.rows["split"]) == {"test"}
    assert {key.split("/")[1] for key in storage.list("chips")} == {"test"}


def test_masks_that_are_no_longer_wanted_are_removed(storage: LocalStorage, cutter: Cutter, monkeypatch: Any) -> None:
    monkeypatch.setattr("s2chips_core.index.chip_files.encode_masks", lambda chip: b"masks")
    write_matches(storage, [match_of(0)])
    run(storage, cutter, settings=SETTINGS.override({"masks": {"persist": True}}))
    assert [key for key in storage.list("chips") if key.endswith("_masks.tif")]
    run(storage, cutter)
    assert not [key for key in storage.list("chips") if key.endswith("_masks.tif")]


def test_a_target_that_is_gone_takes_its_chip_with_it(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0), match_of(1, scene=scenes_of_days(2)[1])])
    run(storage, cutter)
    assert len(scene_days(storage)) == 2
    write_matches(storage, [match_of(0)])
    result = run(storage, cutter)
    assert scene_days(storage) == [DAY]
    assert len(result.scene_days) == 2, "the day that lost a chip must be told of"
    assert chips_on_disk(storage) == list(result.rows["path"])


def test_a_day_without_targets(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [])
    result = run(storage, cutter)
    assert len(result.rows) == 0
    assert sum(result.counts.values()) == 0
    assert storage.exists(layout.outcomes_part(DAY, layout.CAPTURE))


def test_a_corrected_ship_reaches_index_and_sidecar_without_reading(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0)])
    run(storage, cutter)
    pixels = storage.get(chips_on_disk(storage)[0])
    write_matches(storage, [match_of(0, ship_name="RENAMED")])
    result = run(storage, cutter, clock=lambda: NOW + timedelta(days=1))
    assert len(cutter.asked) == 1
    assert result.rows["ship_name"].tolist() == ["RENAMED"]
    assert result.rows["created_at"].tolist() == [NOW]
    path = chips_on_disk(storage)[0]
    assert json.loads(storage.get(path.removesuffix(".tif") + ".json"))["ship_name"] == "RENAMED"
    assert json.loads(storage.get(path.removesuffix(".tif") + ".geojson"))["properties"]["ship_name"] == "RENAMED"
    assert storage.get(path) == pixels


def record(storage: LocalStorage, *ships: tuple[int, float]) -> None:
    """What the capture heard at the sensing time: MMSI and latitude of ships near the first one."""
    rows = [
        {"mmsi": mmsi, "lat": lat, "lon": -5.5, "sog_kn": 0.0, "time": scene_of().datetime, "ais_source": "aisstream"}
        for mmsi, lat in ships
    ]
    fixes = tables.to_frame(tables.conform(pd.DataFrame(rows), FIX_SCHEMA, "fixes"))
    write_snapshots(storage, DAY, fixes.assign(tile_id="30STF"), metadata=None)


def on_its_place(scene: Any, requests: Any, **more: Any) -> Iterator[Chip]:
    """Chips whose transform is that of their place; 320 m wide."""
    for request in requests:
        x, y = (float(n) for n in utm_xy(request.lon, request.lat, scene.epsg))
        yield chip_of(request, scene, transform=(10.0, 0.0, x - 165.0, 0.0, -10.0, y + 165.0))


def test_ais_that_comes_later_reaches_the_labels_without_reading(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0), match_of(1)])
    run(storage, on_its_place)
    before = {key: storage.get(key) for key in chips_on_disk(storage)}
    record(storage, (244_660_000, 36.0), (244_670_000, 36.001), (2_190_064, 36.001), (244_670_001, 36.1))
    result = run(storage, _unwanted)
    by_ship = {row["mmsi"]: row for row in as_rows(result.rows)}
    assert [label["mmsi"] for label in by_ship[244_660_000]["labels"]] == [244_660_000, 244_670_000]
    assert [by_ship[244_660_000 + n]["vessels"] for n in (0, 1)] == [2, 1]
    assert {key: storage.get(key) for key in chips_on_disk(storage)} == before
    for row in as_rows(result.rows):
        base = row["path"].removesuffix(".tif")
        assert json.loads(storage.get(base + ".json")) == sidecar_fields(row)
        assert json.loads(storage.get(base + ".geojson"))["properties"] == properties(row)
        assert row["labels"][0]["is_target"]
        assert (row["labels"][0]["lat"], row["labels"][0]["lon"]) == (row["lat"], row["lon"])
        assert (int(row["labels"][0]["col"]), int(row["labels"][0]["row"])) == (16, 16)
    # And again: nothing changes any more.
    settled = files(storage), versions(storage)
    run(storage, _unwanted)
    assert (files(storage), versions(storage)) == settled


def test_a_chip_that_another_source_made_has_the_labels_of_its_own_source(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0)])
    write_matches(storage, [match_of(0, position_mode="as_reported")], source=FILE)
    record(storage, (244_660_000, 36.0), (244_670_000, 36.001))
    assert run(storage, on_its_place).rows["vessels"].tolist() == [2]
    assert run(storage, _unwanted, source=FILE).rows["vessels"].tolist() == [1]


def _unwanted(scene: Any, requests: Any, **more: Any) -> Iterator[Any]:
    raise AssertionError(f"pixels of {scene.scene_id} were read")


def test_the_second_of_two_targets_with_one_chip_is_a_duplicate(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0), match_of(0, target_id="again")])
    result = run(storage, cutter)
    assert result.outcomes["outcome"].tolist() == ["chipped", "duplicate"]
    assert "t000" in result.outcomes["detail"].tolist()[1]
    assert cutter.asked == ["t000"]


def test_with_the_real_reader(storage: LocalStorage) -> None:
    """A small scene behind a range server: the pixels are those that rasterio alone gives, and are read once."""
    pixels = make_pixels()
    with serving(make_files(pixels)) as server:
        scene = make_scene(server, pixels)
        settings = make_settings(tiling={}, stac={"allowed_hosts": [server.host]})
        places = {1: (400, 500), 2: (200, 200), 3: (450, 640), 4: (850, 500)}
        found = {n: request_at(*place) for n, place in places.items()}
        write_matches(storage, [match_of(n, scene=scene, lat=r.lat, lon=r.lon) for n, r in found.items()])
        more: dict[str, Any] = {"settings": settings, "storage": storage, "software_version": "0.1.0", "clock": lambda: NOW}
        with contextlib.closing(Fetcher(settings.stac.allowed_hosts)) as fetcher:
            result = chip_day(DAY, layout.CAPTURE, fetcher=fetcher, **more)
            again = chip_day(DAY, layout.CAPTURE, fetcher=fetcher, **more)
    assert result.outcomes["outcome"].tolist() == ["chipped", "gate_cloud", "chipped", "gate_land"]
    assert result.requests > 0
    assert (result.cog_assets, result.gdal_assets, again.cog_assets) == (5, 0, 0)
    assert (again.requests, again.bytes, again.chips_kept) == (0, 0, 2)
    for row in as_rows(result.rows):
        col, line = places[row["mmsi"] % 1000]
        with rasterio.open(io.BytesIO(storage.get(row["path"]))) as raster:
            for number, band in enumerate(row["bands"], 1):
                window = pixels[band][line - 128 : line + 128, col - 128 : col + 128]
                np.testing.assert_array_equal(raster.read(number), (window / 10_000).astype("float32"))
            assert rasterio.transform.rowcol(raster.transform, *(ULX_M + 10 * col + 5, ULY_M - 10 * line - 5)) == (128, 128)


# Caps


@pytest.mark.parametrize("cap", [0, 1, 3, 7, 100])
def test_the_cap_takes_the_first_that_pass(storage: LocalStorage, cap: int) -> None:
    scenes = [scene_of(f"S2B_{n}", when=datetime(2025, 10, 27, 11, 4, n, tzinfo=UTC)) for n in range(3)]
    matches = [match_of(n, scene=scenes[n % 3]) for n in range(12)]
    write_matches(storage, matches)
    refusals = {244_660_000 + n: RefusalReason.GATE_CLOUD for n in (0, 3, 4, 8)}
    result = run(storage, Cutter(refusals), settings=_capped(cap))

    # One at a time, in order: what the definition says.
    order = sorted(result.outcomes.to_dict("records"), key=lambda row: (row["scene_datetime"], row["chip_id"]))
    chips = 0
    for row in order:
        expected = "over_cap" if chips >= cap else "gate_cloud" if row["mmsi"] in refusals else "chipped"
        assert row["outcome"] == expected
        chips += expected == "chipped"

    again = Cutter(refusals)
    before = files(storage)
    run(storage, again, settings=_capped(cap))
    assert again.asked == []
    assert files(storage) == before


def test_a_lower_cap_takes_no_chip_away(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(n) for n in range(4)])
    run(storage, cutter)
    write_matches(storage, [match_of(n) for n in range(6)])
    result = run(storage, cutter, settings=_capped(2))
    assert result.counts["chipped"] == 4
    assert result.counts["over_cap"] == 2


def test_chips_that_go_are_told_with_what_their_ships_are_now(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(n) for n in range(5)])
    assert run(storage, cutter).chips_lost == {}
    write_matches(storage, [match_of(0), unmatched_of(1, "over_cap"), unmatched_of(2, "over_cap"), match_of(3)])
    result = run(storage, Cutter({244_660_003: RefusalReason.GATE_CLOUD}))
    assert result.chips_lost == {"no target": 1, "over_cap": 2}
    assert len(chips_on_disk(storage)) == 2


# Sources


def test_two_sources_with_one_ship(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0), match_of(1)])
    write_matches(storage, [match_of(1, target_id="row 2"), match_of(2, target_id="row 3")], source=FILE)
    run(storage, cutter)
    result = run(storage, cutter, source=FILE, clock=lambda: NOW + timedelta(hours=1))
    assert cutter.asked == ["t000", "t001", "row 3"] or cutter.asked == ["t001", "t000", "row 3"]
    assert (result.chips_cut, result.chips_kept, result.counts["chipped"]) == (1, 1, 2)
    union = chips_of_scene_day(storage, DAY)
    assert union.num_rows == 3
    assert owners(union, 244_660_001) == {layout.CAPTURE}

    # The capture loses the ship: its chip stays, for the file still has it, and the sidecar says so.
    write_matches(storage, [match_of(0)])
    run(storage, cutter)
    union = chips_of_scene_day(storage, DAY)
    assert owners(union, 244_660_001) == {FILE}
    assert chips_on_disk(storage) == sorted(union["path"].to_pylist())
    for row in union.to_pylist():
        assert json.loads(storage.get(row["path"].removesuffix(".tif") + ".json")) == sidecar_fields(row)


def test_a_source_sees_that_another_replaced_its_chip(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0)])
    write_matches(storage, [match_of(0)], source=FILE)
    other = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    run(storage, cutter)
    run(storage, cutter, source=FILE, settings=other, clock=lambda: NOW + timedelta(hours=1))
    assert chips_of_scene_day(storage, DAY)["config_hash"].to_pylist() == [other.config_hash]
    run(storage, cutter, clock=lambda: NOW + timedelta(hours=2))
    assert len(cutter.asked) == 3
    assert chips_of_scene_day(storage, DAY)["config_hash"].to_pylist() == [SETTINGS.config_hash]


def test_the_day_tables_are_the_union(storage: LocalStorage, cutter: Cutter) -> None:
    write_matches(storage, [match_of(0)])
    write_matches(storage, [match_of(1), unmatched_of(2, "no_scene")], source=FILE)
    run(storage, cutter)
    run(storage, cutter, source=FILE)
    write_day_tables(DAY, storage)
    matches = tables.read_table(storage, layout.matches(DAY), MATCH_SCHEMA)
    outcomes = tables.read_table(storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert list(zip(matches["source_id"], matches["target_id"], strict=True)) == [
        ("capture", "t000"),
        (FILE, "t001"),
        (FILE, "t002"),
    ]
    assert outcomes["outcome"].tolist() == ["chipped", "chipped", "no_scene"]
    for key in storage.list("matches/parts") + storage.list("outcomes/parts"):
        storage.delete(key)
    write_day_tables(DAY, storage)
    assert not storage.exists(layout.matches(DAY))
    assert not storage.exists(layout.outcomes(DAY))


# Failures


def first_day(storage: LocalStorage) -> None:
    """Three chips and a refusal, one chip shared with a file."""
    days = scenes_of_days(2)
    write_matches(storage, [match_of(0), match_of(1), match_of(2, scene=days[1]), match_of(3)])
    write_matches(storage, [match_of(1)], source=FILE)
    run(storage, Cutter({244_660_003: RefusalReason.GATE_CLOUD}))
    run(storage, Cutter(), source=FILE)
    # Then: one gets another label, one goes but is the file's too, one goes, one is replaced, one is new.
    turned = match_of(0, heading_deg=45.0, length_m=80.0, width_m=12.0)
    write_matches(storage, [turned, match_of(3, scene=scene_of(revision="2")), match_of(4, scene=days[1])])


@pytest.mark.parametrize("dead", [False, True], ids=["one call fails", "killed"])
def test_a_run_that_breaks_anywhere_and_is_run_again(datasets: Datasets, tmp_path: Path, dead: bool) -> None:
    start = datasets.at(tmp_path / "start")
    first_day(start)
    undisturbed = copy(start, datasets.at(tmp_path / "undisturbed"))
    run(undisturbed, Cutter())
    expected = files(undisturbed)

    for at in calls_to_break(start):
        storage = copy(start, datasets.at(tmp_path / str(at)))
        with contextlib.suppress(Killed, StorageError):
            run(Breaking(storage, at, dead=dead), Cutter())
            break
        _assert_no_half_chip(storage)
        run(storage, Cutter())
        assert files(storage) == expected, f"call {at}"
    assert at > 50, "calls of one run"
    assert files(storage) == expected


def _assert_no_half_chip(storage: LocalStorage) -> None:
    """Where a `.tif` is, the others are."""
    present = set(storage.list("chips"))
    wanted = [s for s in layout.CHIP_SUFFIXES if s != "_masks.tif"]
    for key in present:
        if key.endswith(".tif"):
            assert set(layout.chip_artefacts(key, tuple(wanted))) <= present


def test_a_stopped_run_leaves_the_earlier_commit(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0)])
    run(storage, Cutter())
    before = files(storage)
    write_matches(storage, [match_of(n) for n in range(10)])
    before[layout.matches_part(DAY, layout.CAPTURE)] = storage.get(layout.matches_part(DAY, layout.CAPTURE))
    stop = threading.Event()
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.chips >= 4:
            stop.set()

    with pytest.raises(CancelledRunError):
        run(storage, _Slow(), stop=stop, progress=tell)
    assert told[-1].chips < 10
    assert files(storage) == before


def test_an_interrupted_run_leaves_the_earlier_commit(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(n) for n in range(6)])
    before = files(storage)

    def tell(progress: Progress) -> None:
        if progress.chips >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(storage, Cutter(), progress=tell)
    # What chips are cut from is kept: another source may have seen it, and it is the same next time.
    assert {key: data for key, data in files(storage).items() if not key.startswith("provenance/")} == before


def test_progress_ends_at_the_total(storage: LocalStorage) -> None:
    write_matches(storage, [*(match_of(n) for n in range(5)), unmatched_of(7, "no_scene")])
    told: list[Progress] = []
    run(storage, Cutter({244_660_001: RefusalReason.GATE_CLOUD}), progress=told.append)
    assert (told[0].done, told[0].total) == (1, 6)
    assert [p.done for p in told] == sorted(p.done for p in told)
    last = told[-1]
    assert (last.done, last.total, last.chips, last.refusals) == (6, 6, 4, 2)


def test_a_cut_that_forgets_a_request_is_noticed(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0), match_of(1)])

    def forgetful(scene: Any, requests: Any, **kwargs: Any) -> Iterator[Any]:
        yield from Cutter()(scene, requests[1:], **kwargs)

    with pytest.raises(AssertionError, match="1 cut requests were not answered"):
        run(storage, forgetful)
    assert storage.list("chips") == []


class _Slow(Cutter):
    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for result in super().__call__(*args, **kwargs):
            threading.Event().wait(0.02)
            yield result


def _capped(cap: int) -> Settings:
    return SETTINGS.override({"limits": {"max_chips": cap, "bind_chips_to_ships": False}})


def test_progress_says_how_fast_and_how_long() -> None:
    half = Progress(total=1000, done=500, chips=400, refusals=100, bytes=1_250_000_000, seconds=10.0)
    assert str(half) == "500 of 1000 ships: 400 chips, 100 without, 40.0 chips/s, 1250.0 MB read, about 10 s left"
    nothing = Progress(total=3, done=0, chips=0, refusals=0, bytes=0, seconds=0.0)
    assert str(nothing) == "0 of 3 ships: 0 chips, 0 without, 0.0 chips/s, 0.0 MB read"


AROUND = [DAY - timedelta(days=5), DAY + timedelta(days=5)]


class _Reader(Door):
    """Somebody looks at the index whenever a file is about to go."""

    def delete(self, key: str) -> None:
        if self.exists(key):
            assert key not in paths_in_index(self, AROUND)
        super().delete(key)


def test_a_chip_that_is_dropped_leaves_the_index_first(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0), match_of(1), match_of(2, scene=scenes_of_days(2)[1])])
    run(storage, Cutter())
    build_tiles_index(storage)
    before = paths_in_index(storage, AROUND)
    assert before == {key for key in storage.list("chips") if key.endswith(".tif")}
    assert len(before) == 3
    write_matches(storage, [match_of(0)])
    run(_Reader(storage), Cutter())
    after = paths_in_index(storage, AROUND)
    assert after == {key for key in storage.list("chips") if key.endswith(".tif")}
    assert len(after) == 1
    assert paths_in_index(storage, []) == set()


OTHER = SETTINGS.override({"gate": {"max_nodata_frac": 0.04}})
"""Another configuration: all is cut anew, and has other fingerprints."""


def row_and_pixels(storage: LocalStorage) -> dict[str, str]:
    """What `tiles.parquet` names, by path: the fingerprint. Row, sidecar and pixels must tell of the same one."""
    with storage.open_read(layout.tiles_index()) as file:
        rows = pq.read_table(file, columns=["path", "fingerprint"]).to_pylist()
    for row in rows:
        with rasterio.open(io.BytesIO(storage.get(row["path"]))) as raster:
            assert raster.tags()["fingerprint"] == row["fingerprint"], "pixels of another row"
        [key] = layout.chip_artefacts(row["path"], (".json",))
        assert json.loads(storage.get(key))["fingerprint"] == row["fingerprint"]
    return {row["path"]: row["fingerprint"] for row in rows}


class _Comparing(Door):
    """Somebody opens what the index names after every step that changes anything."""

    def __init__(self, behind: Storage) -> None:
        super().__init__(behind)
        self.seen: set[int] = set()

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self._look()

    def move(self, source: str, target: str) -> None:
        super().move(source, target)
        self._look()

    def delete(self, key: str) -> None:
        super().delete(key)
        self._look()

    def _look(self) -> None:
        self.seen.add(len(row_and_pixels(self)))


def indexed_day(storage: Storage) -> Storage:
    """Three chips in the index, one of which a file has too."""
    write_matches(storage, [match_of(0), match_of(1), match_of(2, scene=scenes_of_days(2)[1])])
    write_matches(storage, [match_of(1)], source=FILE)
    run(storage, Cutter())
    run(storage, Cutter(), source=FILE)
    build_tiles_index(storage)
    return storage


def test_a_chip_that_is_cut_anew_has_its_own_row_at_any_moment(datasets: Datasets, tmp_path: Path) -> None:
    storage = _Comparing(indexed_day(datasets.at(tmp_path / "dataset")))
    before = row_and_pixels(storage)
    result = run(storage, Cutter(), settings=OTHER, clock=lambda: NOW + timedelta(days=1))
    assert result.chips_cut == 3
    after = row_and_pixels(storage)
    assert after.keys() == before.keys()
    assert set(after.values()).isdisjoint(before.values())
    assert storage.seen == {0, 3}, "they are gone from the index while their files are replaced"
    assert storage.list(layout.staged(DAY, layout.CAPTURE)) == []


def test_a_stopped_run_that_cuts_anew_changes_no_chip(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(n) for n in range(8)])
    run(storage, Cutter())
    build_tiles_index(storage)
    before = files(storage)
    stop = threading.Event()

    def tell(progress: Progress) -> None:
        if progress.chips >= 3:
            assert len(storage.list(layout.staged(DAY, layout.CAPTURE))) >= 3 * 4
            stop.set()

    with pytest.raises(CancelledRunError):
        run(storage, _Slow(), settings=OTHER, stop=stop, progress=tell)
    assert {key: data for key, data in files(storage).items() if not key.startswith("provenance/")} == {
        key: data for key, data in before.items() if not key.startswith("provenance/")
    }


def test_a_run_that_cuts_anew_is_killed_anywhere(datasets: Datasets, tmp_path: Path) -> None:
    """Also when another day's run makes the index next, and when the day's next run is given up."""
    start, later = indexed_day(datasets.at(tmp_path / "start")), NOW + timedelta(days=1)
    undisturbed = copy(start, datasets.at(tmp_path / "undisturbed"))
    run(undisturbed, Cutter(), settings=OTHER, clock=lambda: later)
    build_tiles_index(undisturbed)
    expected, index = files(undisturbed), layout.tiles_index()
    lost = 0
    for at in itertools.count(1, often(4, 1)):
        storage = copy(start, datasets.at(tmp_path / str(at)))
        with contextlib.suppress(Killed):
            run(Breaking(storage, at, dead=True, writes_only=True), Cutter(), settings=OTHER, clock=lambda: later)
            break
        row_and_pixels(storage)
        build_tiles_index(storage)
        lost += len(row_and_pixels(storage)) < 3
        with pytest.raises(KeyboardInterrupt):
            run(storage, Cutter(), settings=OTHER, clock=lambda: later, progress=_interrupt)
        build_tiles_index(storage)
        row_and_pixels(storage)
        run(storage, Cutter(), settings=OTHER, clock=lambda: later)
        build_tiles_index(storage)
        found = files(storage)
        assert [key for key in expected.keys() | found.keys() if key != index and expected.get(key) != found.get(key)] == []
        assert row_and_pixels(storage) == row_and_pixels(undisturbed)
    assert at > 30, "calls of one run that write"
    assert lost > often(2, 12), "killed while files were replaced"


def _interrupt(progress: Progress) -> None:
    raise KeyboardInterrupt
