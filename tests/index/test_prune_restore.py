"""Putting chips back: bit for bit, and what cannot be put back and why."""

import pytest

from s2chips_core import layout, tables
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.errors import InputError, SchemaError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.prune_restore import RestoreResult, restore_trash
from s2chips_core.index.prune_trash import list_trashes
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, SETTINGS, Cutter, match_of, scenes_of_days, write_matches
from tests.index.recorded_ais import FILE, NEXT_DAY, TRASH, chip, files, fixes_of, make_dataset, prune, write_snapshot
from tests.index.test_prune import assert_agrees, outcomes, ships


@pytest.fixture
def dataset(storage: LocalStorage) -> LocalStorage:
    return make_dataset(storage)


def restore(storage: LocalStorage, which: str = "latest") -> RestoreResult:
    return restore_trash(which, storage=storage)


@pytest.mark.on_bucket("moto")
@pytest.mark.parametrize("which", ["latest", TRASH])
def test_everything_is_back_bit_for_bit(dataset: LocalStorage, which: str) -> None:
    before = files(dataset)
    prune(dataset)
    result = restore(dataset, which)
    assert (result.trash_id, result.restored, result.left) == (TRASH, 2, {})
    assert (result.ais_days, result.scene_days) == ((DAY,), (DAY, NEXT_DAY))
    assert files(dataset) == before


def test_the_latest_first(dataset: LocalStorage) -> None:
    before = files(dataset)
    prune(dataset)
    between = files(dataset)
    prune(dataset, settings=SETTINGS.override({"prune": {"time_tolerance_min": 0.1}}))
    assert restore(dataset).trash_id == f"{TRASH}-2"
    assert files(dataset) == between
    assert restore(dataset).trash_id == TRASH
    assert files(dataset) == before


def test_the_older_one_first(dataset: LocalStorage) -> None:
    before = files(dataset)
    prune(dataset)
    prune(dataset, settings=SETTINGS.override({"prune": {"time_tolerance_min": 0.1}}))
    restore(dataset, TRASH)
    assert_agrees(dataset)
    restore(dataset)
    assert files(dataset) == before


def test_a_trash_that_is_not_there(dataset: LocalStorage) -> None:
    with pytest.raises(InputError, match="a trash, but there is none"):
        restore(dataset)
    prune(dataset)
    with pytest.raises(InputError, match=f"latest or one of {TRASH}"):
        restore(dataset, "20240101T000000Z")


def test_a_chip_that_was_made_anew_stays_in_the_trash(dataset: LocalStorage) -> None:
    prune(dataset)
    chip(dataset, FILE, settings=SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}}), cutter=Cutter())
    result = restore(dataset)
    assert result.restored == 1
    assert list(result.left.values()) == ["it has been made anew since"]
    assert ships(dataset) == {244_660_000 + n for n in (0, 1, 2, 4, 5)}
    assert_agrees(dataset)
    [note] = list_trashes(dataset)
    assert note.chips == 1
    left = [key for key in dataset.list(layout.trash(TRASH)) if key.endswith(".tif")]
    assert len(left) == 1
    assert "/244660001/" in left[0]
    before = files(dataset)
    assert restore(dataset).left == result.left
    assert files(dataset) == before


def test_a_target_that_was_judged_anew(dataset: LocalStorage) -> None:
    prune(dataset)
    other = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    chip(dataset, settings=other, cutter=Cutter({244_660_002: RefusalReason.GATE_CLOUD}))
    result = restore(dataset)
    assert result.restored == 0
    assert sorted(result.left.values()) == [
        "it has been made anew since",
        f"target t002 of capture of {DAY} has been judged anew since: gate_cloud",
    ]
    assert_agrees(dataset)


def test_a_target_that_is_gone(dataset: LocalStorage) -> None:
    prune(dataset)
    write_matches(dataset, [match_of(0)])
    chip(dataset)
    result = restore(dataset)
    assert list(result.left.values()) == [f"target t002 of capture of {DAY} is no target any more"]
    # The capture knows ship 1 no more, but the file does: the chip is back, as the file's.
    assert 244_660_001 in ships(dataset)
    assert_agrees(dataset)
    assert [note.chips for note in list_trashes(dataset)] == [1]
    assert outcomes(dataset, FILE)[244_660_001][0] == "chipped"
    assert_agrees(dataset)


def test_what_was_pruned_again_after_it_was_made_anew(dataset: LocalStorage) -> None:
    prune(dataset)
    other = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    chip(dataset, settings=other)
    chip(dataset, FILE, settings=other)
    again = prune(dataset, settings=other)
    assert len(again.going) == 2
    result = restore(dataset, TRASH)
    assert all("pruned again" in why for why in result.left.values())
    assert result.restored == 0
    assert restore(dataset).restored == 2
    assert_agrees(dataset)


def test_a_source_that_is_being_run_is_left(dataset: LocalStorage) -> None:
    before = files(dataset)
    prune(dataset)
    with dataset.lock(layout.source_lock(DAY, layout.CAPTURE)):
        result = restore(dataset)
    # Ship 1, which the file has too, waits as well: it would come back without its capture.
    assert list(result.left.values()) == [f"a run works on capture of {DAY}"] * 2
    assert result.restored == 0
    assert restore(dataset).restored == 2
    assert files(dataset) == before


def test_what_is_back_is_pruned_again_and_stands_then(dataset: LocalStorage) -> None:
    prune(dataset)
    pruned = files(dataset)
    restore(dataset)
    assert len(prune(dataset).going) == 2
    assert files(dataset) == pruned


def test_better_ais_keeps_what_was_put_back(dataset: LocalStorage) -> None:
    prune(dataset)
    restore(dataset)
    good = [fixes_of(match_of(1)), fixes_of(match_of(2, scene=scenes_of_days(2)[1]))]
    write_snapshot(dataset, [*good, fixes_of(match_of(0)), fixes_of(match_of(4))])
    assert len(prune(dataset).going) == 0
    again = Cutter()
    chip(dataset, cutter=again)
    assert again.asked == []
    table = tables.read_table(dataset, layout.outcomes_part(DAY, layout.CAPTURE), OUTCOME_SCHEMA)
    assert table["outcome"].tolist() == ["chipped", "chipped", "chipped", "gate_cloud", "chipped"]


def test_a_trash_of_another_version_is_refused_before_anything_moves(dataset: LocalStorage) -> None:
    prune(dataset)
    key = layout.in_trash(TRASH, layout.index_part(DAY, DAY, layout.CAPTURE))
    dataset.put(key, tables.parquet_bytes(tables.read_whole(dataset, key).drop_columns(["bands"])))
    before = files(dataset)
    with pytest.raises(SchemaError, match=r"\['bands'\] are missing; it was written by another version"):
        restore(dataset)
    assert files(dataset) == before
