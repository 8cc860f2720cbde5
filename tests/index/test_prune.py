"""Pruning a dataset: what goes and what stays, what agrees afterwards, and what is left to runs that are at work."""

import io
import json
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from s2chips_core import layout, tables
from s2chips_core.errors import InputError
from s2chips_core.index.checks import check_day_files, check_outcomes_cover
from s2chips_core.index.dataset_checks import check_all_files
from s2chips_core.index.journal import Journal
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.parts import COMMIT_LOCK, chips_of_scene_day
from s2chips_core.index.prune import prune_chips
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.index.prune_trash import list_trashes
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, SETTINGS, Cutter, match_of, scene_of, write_matches
from tests.index.recorded_ais import (
    FILE,
    GOING,
    NEXT_DAY,
    PRUNED_AT,
    TRASH,
    chip,
    files,
    fixes_of,
    make_dataset,
    prune,
    write_file_rows,
    write_snapshot,
)


@pytest.fixture
def dataset(storage: LocalStorage) -> LocalStorage:
    return make_dataset(storage)


def outcomes(storage: LocalStorage, source: str = layout.CAPTURE) -> dict[int, tuple[str, str]]:
    """MMSI -> outcome, detail."""
    table = tables.read_table(storage, layout.outcomes_part(DAY, source), OUTCOME_SCHEMA)
    return {row["mmsi"]: (row["outcome"], row["detail"]) for row in table.to_dict("records")}


def ships(storage: LocalStorage) -> set[int]:
    """In tiles.parquet."""
    return set(tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)["mmsi"])


def assert_agrees(storage: LocalStorage) -> None:
    for day in (DAY, NEXT_DAY):
        checked = check_day_files(storage, day)
        assert checked.passed, checked.description
    whole = check_all_files(storage)
    assert whole.passed, whole.description
    covered = check_outcomes_cover(
        tables.read_table(storage, layout.matches(DAY), MATCH_SCHEMA),
        tables.read_table(storage, layout.outcomes(DAY), OUTCOME_SCHEMA),
    )
    assert covered.passed, covered.description


def test_what_ais_does_not_vouch_for_goes(dataset: LocalStorage) -> None:
    before, was = files(dataset), ships(dataset)
    result = prune(dataset)

    assert set(result.going["mmsi"]) == GOING
    assert ships(dataset) == was - GOING
    assert (result.trash_id, result.left, result.ais_days, result.scene_days) == (TRASH, {}, (DAY,), (DAY, NEXT_DAY))
    assert_agrees(dataset)
    kept = {key: data for key, data in before.items() if key.startswith("chips/") and dataset.exists(key)}
    gone = {key: data for key, data in before.items() if key.startswith("chips/") and not dataset.exists(key)}
    assert len(kept) == 3 * 4
    assert len(gone) == 2 * 4
    for key, data in kept.items():
        assert dataset.get(key) == data
    for key, data in gone.items():
        assert dataset.get(layout.in_trash(TRASH, key)) == data
    assert chips_of_scene_day(dataset, NEXT_DAY).num_rows == 0
    assert not dataset.exists(layout.daily_geojson(NEXT_DAY))
    assert dataset.list(layout.journals_folder()) == []


def test_outcomes_tell_it_with_the_numbers_for_every_source(dataset: LocalStorage) -> None:
    result = prune(dataset)
    reason = result.going.set_index("mmsi")["detail"]
    for source in (layout.CAPTURE, FILE):
        assert outcomes(dataset, source)[244_660_001] == ("pruned", reason[244_660_001])
    assert "m from where recorded AIS puts the ship" in reason[244_660_001]
    assert outcomes(dataset)[244_660_002] == ("pruned", "no real AIS of MMSI 244660002 is recorded around 2025-10-28")
    assert outcomes(dataset)[244_660_000][0] == "chipped"
    assert outcomes(dataset)[244_660_003][0] == "gate_cloud"
    union = tables.read_table(dataset, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert (union["outcome"] == "pruned").sum() == 3


def test_a_trash_says_what_it_holds(dataset: LocalStorage) -> None:
    part = layout.index_part(DAY, DAY, FILE)
    rows = tables.read_whole(dataset, part)
    result = prune(dataset)
    [note] = list_trashes(dataset)
    assert (note.trash_id, note.chips, note.created_at) == (TRASH, 2, PRUNED_AT)
    assert (note.time_tolerance_s, note.distance_tolerance_m) == (600.0, 500.0)
    pd.testing.assert_frame_equal(tables.read_table(dataset, layout.trash_table(TRASH), PRUNE_SCHEMA), result.going)
    taken = tables.read_whole(dataset, layout.in_trash(TRASH, part))
    assert taken.equals(rows.filter(pa.compute.equal(rows["mmsi"], 244_660_001)))


def test_columns_that_others_add_are_kept(dataset: LocalStorage) -> None:
    part = layout.index_part(DAY, DAY, layout.CAPTURE)
    table = tables.read_whole(dataset, part)
    column = pa.array([[{"mmsi": n, "box": [1.0, None]}] for n in range(table.num_rows)])
    dataset.put(part, tables.parquet_bytes(table.append_column("later", column)))
    prune(dataset)
    for key in (part, layout.in_trash(TRASH, part)):
        assert tables.read_whole(dataset, key).schema.field("later").type == column.type


def test_a_dry_run_writes_its_table_and_nothing_else(dataset: LocalStorage) -> None:
    before = files(dataset)
    result = prune(dataset, dry_run=True)
    after = files(dataset)
    assert set(after) - set(before) == {layout.prune_proposal("parquet"), layout.prune_proposal("csv")}
    assert {key: after[key] for key in before} == before
    assert set(result.going["mmsi"]) == GOING
    assert result.trash_id is None
    table = pd.read_csv(io.BytesIO(after[layout.prune_proposal("csv")]))
    assert set(table.loc[~table["stays"], "mmsi"]) == GOING
    assert len(table) == 5
    assert table["scene_datetime"][0] == "2025-10-27T11:04:22.123Z"
    assert {"chip_id", "dt_s", "distance_m", "time_tolerance_s", "distance_tolerance_m", "reason", "detail"} <= set(table)


def test_a_name_is_no_formula_in_the_proposal(dataset: LocalStorage) -> None:
    part = layout.index_part(DAY, DAY, layout.CAPTURE)
    rows = tables.read_whole(dataset, part)
    place = rows.schema.get_field_index("ship_name")
    names = pa.array(["=HYPERLINK(1)"] * rows.num_rows, pa.string())
    dataset.put(part, tables.parquet_bytes(rows.set_column(place, rows.schema.field(place), names)))
    prune(dataset, dry_run=True)
    proposed = pd.read_csv(io.BytesIO(dataset.get(layout.prune_proposal("csv"))))["ship_name"]
    assert "'=HYPERLINK(1)" in set(proposed)
    assert not proposed.str.startswith("=", na=False).any()


def test_a_second_prune_finds_nothing(dataset: LocalStorage) -> None:
    prune(dataset)
    before = files(dataset)
    again = prune(dataset)
    assert (again.trash_id, len(again.going), again.ais_days) == (None, 0, ())
    assert files(dataset) == before


def test_two_prunes_of_one_second_have_trashes_of_their_own(dataset: LocalStorage) -> None:
    prune(dataset)
    narrow = SETTINGS.override({"prune": {"time_tolerance_min": 0.1}})
    assert prune(dataset, settings=narrow).trash_id == f"{TRASH}-2"
    assert [note.trash_id for note in list_trashes(dataset)] == [TRASH, f"{TRASH}-2"]
    assert ships(dataset) == set()
    assert_agrees(dataset)


def test_the_days_asked_for(dataset: LocalStorage) -> None:
    assert set(prune(dataset, dry_run=True, first_day=NEXT_DAY).judged["mmsi"]) == {244_660_002}
    assert set(prune(dataset, last_day=DAY).going["mmsi"]) == {244_660_001}
    assert_agrees(dataset)
    with pytest.raises(InputError, match="2025-10-28 to 2025-10-27"):
        prune(dataset, first_day=NEXT_DAY, last_day=DAY)


def test_an_empty_dataset(storage: LocalStorage) -> None:
    result = prune(storage)
    assert (len(result.judged), result.trash_id) == (0, None)
    assert files(storage) == {}
    assert len(prune(storage, dry_run=True).judged) == 0


def test_progress_names_days(dataset: LocalStorage) -> None:
    told: list[object] = []
    prune(dataset, tell=told.append)
    assert told[0] == "2025-10-27: 4 chips judged, 1 without AIS that vouches for them"


# Which AIS counts


def one_ship(storage: LocalStorage, match: dict[str, Any], source: str = layout.CAPTURE, day: date = DAY) -> None:
    write_matches(storage, [match], day=day, source=source)
    chip(storage, source, day=day, cutter=Cutter())


def test_rows_of_a_file_vouch_for_its_chips(storage: LocalStorage) -> None:
    match = match_of(0, ais_source="file", position_method="as_reported")
    one_ship(storage, match, FILE)
    write_file_rows(storage, [match])
    [row] = prune(storage, dry_run=True).judged.to_dict("records")
    assert row["stays"]
    assert row["dt_s"] == 60.0
    write_file_rows(storage, [{**match, "invalid_reason": "no ship"}])
    assert prune(storage, dry_run=True).judged["reason"].tolist() == ["no_ais"]


def test_around_midnight(storage: LocalStorage) -> None:
    """Sensed 30 s after midnight; the pass, and so the snapshot, is of the day before."""
    after = scene_of(when=scene_of().datetime.replace(hour=0, minute=0, second=30) + timedelta(days=1))
    match = match_of(0, scene=after, ais_time=after.datetime - timedelta(seconds=40))
    one_ship(storage, match)
    write_snapshot(storage, [fixes_of(match)[:1]], DAY)
    [row] = prune(storage, dry_run=True).judged.to_dict("records")
    assert (row["stays"], row["dt_s"]) == (True, 40.0)


def test_ais_that_is_days_from_its_scene_is_found_and_told(storage: LocalStorage) -> None:
    """A file's row of one day, a scene of four days later: too far, with the number."""
    scene = scene_of(when=scene_of().datetime + timedelta(days=4))
    match = match_of(0, scene=scene, ais_time=scene_of().datetime, ais_source="file", position_method="as_reported")
    one_ship(storage, match, FILE)
    write_file_rows(storage, [match])
    [row] = prune(storage, dry_run=True).judged.to_dict("records")
    assert (row["reason"], row["dt_s"]) == ("time", 4 * 86_400.0)
    wide = SETTINGS.override({"prune": {"time_tolerance_min": 4 * 24 * 60}})
    assert prune(storage, dry_run=True, settings=wide).judged["stays"].all()


# Later runs


def test_a_later_run_of_the_day_does_not_make_the_chip_again(dataset: LocalStorage) -> None:
    prune(dataset)
    before = files(dataset)
    for source in (layout.CAPTURE, FILE):
        again = Cutter()
        result = chip(dataset, source, cutter=again)
        assert again.asked == []
        assert result.counts["pruned"] == (2 if source == layout.CAPTURE else 1)
    assert files(dataset) == before


def test_another_configuration_or_place_is_tried_anew(dataset: LocalStorage) -> None:
    prune(dataset)
    again = Cutter()
    other = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    result = chip(dataset, FILE, settings=other, cutter=again)
    assert sorted(again.asked) == ["t001", "t005"]
    assert result.counts["pruned"] == 0
    write_matches(dataset, [match_of(2, lat=37.0)])
    moved = Cutter()
    assert chip(dataset, cutter=moved).counts["chipped"] == 1
    assert moved.asked == ["t002"]
    assert_agrees(dataset)


# Runs that are at work


def test_a_chip_of_a_source_that_is_being_run_is_left(dataset: LocalStorage) -> None:
    with dataset.lock(layout.source_lock(DAY, FILE)):
        result = prune(dataset)
    assert list(result.left.values()) == [f"a run works on {FILE} of {DAY}"]
    assert set(result.going["mmsi"]) == {244_660_002}
    assert_agrees(dataset)
    assert set(prune(dataset).going["mmsi"]) == {244_660_001}


def test_more_sources_than_files_may_be_open_are_left_to_the_next_time(
    dataset: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2chips_core.index.prune.MOST_SOURCES", 1)
    first = prune(dataset)
    assert set(first.going["mmsi"]) < GOING
    assert [why for why in first.left.values() if "do it again" in why]
    assert_agrees(dataset)
    monkeypatch.setattr("s2chips_core.index.prune.MOST_SOURCES", 2)
    second = prune(dataset)
    assert set(first.going["mmsi"]) | set(second.going["mmsi"]) == GOING
    assert not second.left
    assert_agrees(dataset)


def test_when_all_are_left_there_is_no_trash(dataset: LocalStorage) -> None:
    with dataset.lock(layout.source_lock(DAY, layout.CAPTURE)):
        before = files(dataset)
        result = prune(dataset)
    assert len(result.left) == 2
    assert (result.trash_id, len(result.going)) == (None, 0)
    assert files(dataset) == before


def test_a_chip_in_the_journal_of_a_killed_run_is_left(dataset: LocalStorage) -> None:
    path = next(key for key in dataset.list("chips") if "/244660001/" in key and key.endswith(".tif"))
    dataset.put(layout.journal(NEXT_DAY, "file-a"), Journal(writes={path: DAY}, drops={}).to_json())
    result = prune(dataset)
    assert list(result.left.values()) == ["a run that works or was killed has it in its journal; run that day again"]
    assert dataset.exists(path)


def test_a_chip_that_changes_while_it_is_judged_is_left(dataset: LocalStorage) -> None:
    """Another source takes the chip over while AIS is read."""
    other = layout.file_source("f" * 64)
    write_matches(dataset, [match_of(1)], source=other)

    def meanwhile(told: object) -> None:
        if str(told).startswith("2025-10-28"):
            chip(dataset, other, cutter=Cutter())

    result = prune(dataset, tell=meanwhile)
    assert list(result.left.values()) == ["its rows of the index have changed while it was judged"]
    assert_agrees(dataset)
    assert set(prune(dataset).going["mmsi"]) == {244_660_001}


def test_others_wait_while_chips_are_moved_only(dataset: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it judges, a run can commit."""
    free: list[str] = []

    def look(told: object) -> None:
        with dataset.lock(COMMIT_LOCK, timeout_s=0.0):
            free.append(str(told))

    prune(dataset, tell=look)
    assert len(free) == 2


def test_the_sidecar_of_what_stays_is_untouched(dataset: LocalStorage) -> None:
    prune(dataset)
    for row in chips_of_scene_day(dataset, DAY).to_pylist():
        assert json.loads(dataset.get(row["path"].replace(".tif", ".json")))["mmsi"] == row["mmsi"]


def test_the_settings_decide(dataset: LocalStorage) -> None:
    far = SETTINGS.override({"prune": {"distance_tolerance_m": 2000}})
    result = prune_chips(settings=far, storage=dataset, now=PRUNED_AT, software_version="1", dry_run=False)
    assert set(result.going["mmsi"]) == {244_660_002}
