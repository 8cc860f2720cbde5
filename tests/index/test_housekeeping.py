"""What is old goes, and nothing that a chip, a run or another process needs."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from s2chips_core import layout
from s2chips_core.ais.journal import JournalWriter, journals
from s2chips_core.config import Settings
from s2chips_core.errors import StorageError
from s2chips_core.index import housekeeping
from s2chips_core.index.housekeeping import AIS, JOURNAL, LOCK, PAGES, TRASH, needed_days, tidy
from s2chips_core.index.prune_trash import TrashNote, list_trashes, put_note
from s2chips_core.storage import LOCKS, Entry, Storage
from tests.datasets import Door, again, everything, locks_of
from tests.index.chips import SETTINGS
from tests.storage.s3_servers import serve_moto

NOW = datetime.now(UTC).replace(microsecond=0)
ALL_OLD: dict[str, Any] = {
    "ais_days": 30,
    "trash_days": 30,
    "journal_days": 30,
    "report_days": 30,
    "lock_days": 30,
    "run_days": 30,
}
OLD, YOUNG = (NOW - timedelta(days=40)).date(), (NOW - timedelta(days=20)).date()
FILE = "file-0123456789ab"


def settings(**retention: Any) -> Settings:
    return SETTINGS.override({"retention": retention})


def names(tidied: Any, kind: str) -> list[str]:
    return [one.name for one in tidied.old if one.kind == kind]


def assert_nothing_is_old(retentions: Settings, storage: Storage) -> None:
    """Neither told beforehand, nor tried and left."""
    for dry_run in (True, False):
        tidied = tidy(retentions, storage, NOW, dry_run=dry_run)
        assert (tidied.old, tidied.left) == ((), {})


def ais(storage: Storage, day: date, *, chipped: bool = True, source: str = layout.CAPTURE) -> list[str]:
    """AIS of a day: what a capture recorded, or rows of a file."""
    if source == layout.CAPTURE:
        keys = [layout.ais_snapshot(day, "30STF", suffix) for suffix in ("parquet", "xlsx")]
    else:
        keys = [layout.ais_file(day, source)]
    for key in keys:
        storage.put(key, b"12345")
    if chipped:
        storage.put(layout.outcomes_part(day, source), b"1")
    return keys


def trash(storage: Storage, created_at: datetime, *kept: str) -> str:
    trash_id = layout.trash_id(created_at)
    for key in kept:
        storage.put(layout.in_trash(trash_id, key), b"123")
    note = TrashNote(
        trash_id=trash_id,
        created_at=created_at,
        software_version="1",
        time_tolerance_s=600.0,
        distance_tolerance_m=500.0,
        chips=1,
        row_keys=[],
        outcome_keys=[],
    )
    put_note(storage, note)
    return trash_id


class Aged(Door):
    """A dataset of which some was written long ago: nobody can say so to a bucket."""

    def __init__(self, behind: Storage) -> None:
        super().__init__(behind)
        self.written: dict[str, datetime] = {}

    def entries(self, prefix: str) -> Sequence[Entry]:
        return [
            dataclasses.replace(entry, modified=self.written.get(entry.key, entry.modified))
            for entry in super().entries(prefix)
        ]


@pytest.fixture
def storage(storage: Storage) -> Aged:
    return Aged(storage)


def age(storage: Aged, key: str, days: float) -> None:
    """As if it had been written then."""
    storage.written[key] = NOW - timedelta(days=days)


# --- AIS


@pytest.mark.on_bucket("moto")
def test_old_ais_goes_and_young_stays(storage: Aged) -> None:
    gone, stays = ais(storage, OLD), ais(storage, YOUNG)
    gone += ais(storage, OLD, source=FILE)
    tidied = tidy(settings(ais_days=30), storage, NOW, dry_run=False)
    assert names(tidied, AIS) == [f"{OLD}"]
    [one] = tidied.old
    assert (len(one.keys), one.size_bytes) == (3, 15)
    assert not any(storage.exists(key) for key in gone)
    assert all(storage.exists(key) for key in stays)
    assert storage.exists(layout.outcomes_part(OLD, layout.CAPTURE))
    assert tidied.left == {}


@pytest.mark.parametrize(("days_ago", "goes"), [(30, False), (31, True)])
def test_the_day_of_the_limit_stays(storage: Aged, days_ago: int, goes: bool) -> None:
    ais(storage, (NOW - timedelta(days=days_ago)).date())
    assert bool(tidy(settings(ais_days=30), storage, NOW, dry_run=True).old) == goes


def test_ais_that_was_never_chipped_stays(storage: Aged) -> None:
    ais(storage, OLD)
    ais(storage, OLD, source=FILE, chipped=False)
    assert_nothing_is_old(settings(ais_days=30), storage)


def test_days_that_runs_try_again_stay(storage: Aged) -> None:
    """Until scheduling.give_up_days a ship may still get its scene."""
    day = (NOW - timedelta(days=10)).date()
    ais(storage, day)
    assert_nothing_is_old(settings(ais_days=1), storage)
    sooner = settings(ais_days=1).override({"scheduling": {"give_up_days": 5}})
    assert names(tidy(sooner, storage, NOW, dry_run=False), AIS) == [f"{day}"]


@pytest.mark.parametrize("shift_days", [-1, 0, 1])
def test_ais_around_the_scene_of_a_chip_stays(storage: Aged, shift_days: int) -> None:
    ais(storage, OLD)
    scene_day = OLD + timedelta(days=shift_days)
    storage.put(layout.index_part(scene_day, scene_day, FILE), b"1")
    assert_nothing_is_old(settings(ais_days=30), storage)


def test_ais_that_a_chip_was_cut_from_stays_however_far_its_scene_is(storage: Aged) -> None:
    ais(storage, OLD)
    storage.put(layout.index_part(OLD + timedelta(days=9), OLD, layout.CAPTURE), b"1")
    assert_nothing_is_old(settings(ais_days=30), storage)


def test_ais_of_a_chip_in_the_trash_stays_until_the_trash_goes(storage: Aged) -> None:
    ais(storage, OLD)
    trash(storage, NOW - timedelta(days=35), layout.index_part(OLD, OLD, layout.CAPTURE))
    assert_nothing_is_old(settings(ais_days=30), storage)
    assert names(tidy(settings(ais_days=30, trash_days=30), storage, NOW, dry_run=False), TRASH) != []
    assert names(tidy(settings(ais_days=30), storage, NOW, dry_run=False), AIS) == [f"{OLD}"]


def test_tolerances_of_days_reach_further() -> None:
    part = layout.index_part(date(2025, 3, 1), date(2025, 3, 1), layout.CAPTURE)
    assert sorted(needed_days([part], 1)) == [date(2025, 2, 28), date(2025, 3, 1), date(2025, 3, 2)]
    assert len(needed_days([part], 3)) == 7


@pytest.mark.parametrize("at_work", [layout.CAPTURE, FILE])
def test_a_day_whose_run_is_at_work_is_left_whole_and_named(storage: Aged, at_work: str) -> None:
    keys = ais(storage, OLD) + ais(storage, OLD, source=FILE)
    other = again(storage)
    with other.lock(layout.source_lock(OLD, at_work)):
        tidied = tidy(settings(ais_days=30), storage, NOW, dry_run=False)
    assert tidied.old == ()
    assert "still held" in tidied.left[f"{AIS} {OLD}"]
    assert all(storage.exists(key) for key in keys)


def test_a_chip_that_comes_between_listing_and_removal_is_seen(storage: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, remove = ais(storage, OLD), housekeeping.remove

    def meanwhile(*args: Any) -> dict[str, str]:
        storage.put(layout.index_part(OLD, OLD, layout.CAPTURE), b"1")
        return remove(*args)

    monkeypatch.setattr(housekeeping, "remove", meanwhile)
    tidied = tidy(settings(ais_days=30), storage, NOW, dry_run=False)
    assert "a chip needs it by now" in tidied.left[f"{AIS} {OLD}"]
    assert all(storage.exists(key) for key in keys)


# --- the rest


@pytest.mark.on_bucket("moto")
def test_an_old_trash_goes_as_a_whole(storage: Aged) -> None:
    old = trash(storage, NOW - timedelta(days=31), "chips/train/1/20250101/a.tif")
    young = trash(storage, NOW - timedelta(days=29), "chips/train/1/20250101/b.tif")
    tidied = tidy(settings(trash_days=30), storage, NOW, dry_run=False)
    assert names(tidied, TRASH) == [old]
    assert storage.list(layout.trash(old)) == []
    assert len(storage.list(layout.trash(young))) == 2


def test_the_removal_of_a_trash_that_breaks_leaves_none_to_restore_and_is_finished_by_default(
    storage: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "chips/train/1/20250101/a.tif"
    old = trash(storage, NOW - timedelta(days=31), lost)

    def fail(prefix: str) -> None:
        raise StorageError(prefix, "the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(storage, "delete_folder", fail)
        tidied = tidy(settings(trash_days=30), storage, NOW, dry_run=False)
    assert "the disk is gone" in tidied.left[f"{TRASH} {old}"]
    assert list_trashes(storage) == []
    assert_nothing_is_old(settings(), storage)
    age(storage, layout.in_trash(old, lost), 1.1)
    assert names(tidy(settings(), storage, NOW, dry_run=False), TRASH) == [old]
    assert storage.list(layout.trash_folder()) == []


def test_a_trash_whose_chips_are_on_their_way_stays(storage: Aged) -> None:
    old = trash(storage, NOW - timedelta(days=31), "chips/train/1/20250101/a.tif")
    storage.put(layout.move_journal(old), b"{}")
    assert_nothing_is_old(settings(trash_days=30), storage)


def test_a_restore_that_was_broken_off_between_listing_and_removal_is_seen(
    storage: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, remove = trash(storage, NOW - timedelta(days=31), "chips/train/1/20250101/a.tif"), housekeeping.remove

    def meanwhile(*args: Any) -> dict[str, str]:
        storage.put(layout.move_journal(old), b"{}")
        return remove(*args)

    monkeypatch.setattr(housekeeping, "remove", meanwhile)
    tidied = tidy(settings(trash_days=30), storage, NOW, dry_run=False)
    assert "on their way out of it" in tidied.left[f"{TRASH} {old}"]
    assert len(storage.list(layout.trash(old))) == 2


def test_a_trash_stays_while_prune_is_at_work(storage: Aged) -> None:
    old = trash(storage, NOW - timedelta(days=31), "chips/train/1/20250101/a.tif")
    with again(storage).lock("prune"):
        assert f"{TRASH} {old}" in tidy(settings(trash_days=30), storage, NOW, dry_run=False).left
    assert storage.exists(layout.trash_journal(old))


def journal(storage: Aged, capture_id: str, days: float) -> list[str]:
    writer = JournalWriter(storage, capture_id, {"windows": []})
    writer.append([], [], {"ended": None})
    keys = storage.list(layout.capture_journal(capture_id))
    for key in keys:
        age(storage, key, days)
    return keys


def test_journals_of_dead_captures_go_by_their_age_and_those_that_are_held_stay(storage: Aged) -> None:
    for capture_id, days in (("dead-old", 31), ("dead-young", 29), ("held", 31)):
        journal(storage, capture_id, days)
    with again(storage).lock("capture-held"):
        tidied = tidy(settings(journal_days=30), storage, NOW, dry_run=False)
    assert (names(tidied, JOURNAL), tidied.left) == (["dead-old"], {})
    assert journals(storage) == ["dead-young", "held"]


def test_a_journal_that_is_still_written_is_young(storage: Aged) -> None:
    *_, last = journal(storage, "long", 31)
    age(storage, last, 1)
    assert tidy(settings(journal_days=30), storage, NOW, dry_run=False).old == ()


def test_what_a_broken_removal_of_a_journal_left_goes_by_default(storage: Aged) -> None:
    """It has no header any longer: its snapshots are written."""
    journal(storage, "finished", 2.0)
    storage.delete(f"{layout.capture_journal('finished')}/header.json")
    assert tidy(settings(), storage, NOW - timedelta(days=1.5), dry_run=False).old == ()
    assert names(tidy(settings(), storage, NOW, dry_run=False), JOURNAL) == ["finished"]
    assert storage.list(layout.capture_journal("finished")) == []


@pytest.mark.on_bucket("moto")
def test_old_pages_and_views_go_and_nothing_else_of_reports(storage: Aged) -> None:
    stay = [
        layout.report(YOUNG),
        layout.view(YOUNG, "a"),
        layout.dataset_page(),
        layout.dataset_asset("a.js"),
        layout.ais_file_report(FILE),
    ]
    for key in (layout.report(OLD), layout.view(OLD, "a"), layout.views_note(OLD), *stay):
        storage.put(key, b"1")
    tidied = tidy(settings(report_days=30), storage, NOW, dry_run=False)
    assert names(tidied, PAGES) == [f"{OLD}"]
    assert storage.list(layout.reports_folder()) == sorted(stay)


def test_old_locks_go_by_default_and_those_that_are_held_stay(storage: Aged, storage_kind: str) -> None:
    if storage_kind == "rclone":
        pytest.skip("its locks are files of this machine, in the system's temporary folder")
    other = again(storage)
    with other.lock("held"):
        for name, days in (("old", 31), ("young", 29), ("held", 31)):
            with storage.lock(name, 0.0) if name != "held" else other.lock("another"):
                pass
            age(storage, f"{LOCKS}/{name}.lock", days)
        tidied = tidy(settings(), storage, NOW, dry_run=False)
        assert names(tidied, LOCK) == ["old"]
        assert "still held" in tidied.left[f"{LOCK} held"]
    assert not storage.exists(f"{LOCKS}/old.lock")
    assert storage.exists(f"{LOCKS}/young.lock")
    with storage.lock("old", 0.0):
        pass


def test_locks_of_a_bucket_go_too() -> None:
    with serve_moto() as server:
        storage = server.storage()
        with storage.lock("old"):
            pass
        later = NOW + timedelta(days=31)
        assert names(tidy(settings(), storage, later, dry_run=False), LOCK) == ["old"]
        assert storage.entries(LOCKS) == []
        with storage.lock("old", 0.0):
            pass


# --- as a whole


@pytest.fixture
def full(storage: Aged) -> Aged:
    """Something old of each kind."""
    ais(storage, OLD)
    trash(storage, NOW - timedelta(days=31), "chips/train/1/20250101/a.tif")
    journal(storage, "dead", 31)
    storage.put(layout.report(OLD), b"1")
    with storage.lock("old"):
        pass
    age(storage, f"{LOCKS}/old.lock", 31)
    return storage


def kinds_of_locks(full: Aged) -> list[str]:
    """What goes of them: not all have them in the dataset."""
    return [LOCK] if "old.lock" in locks_of(full) else []


def test_by_default_nothing_goes_that_contains_data(full: Aged) -> None:
    locks = kinds_of_locks(full)
    assert [one.kind for one in tidy(settings(), full, NOW, dry_run=False).old] == locks


def test_a_dry_run_names_what_goes_and_changes_nothing(full: Aged) -> None:
    before, locks = everything(full), kinds_of_locks(full)
    would = tidy(settings(**ALL_OLD), full, NOW, dry_run=True)
    assert everything(full) == before
    assert [one.kind for one in would.old] == [AIS, TRASH, JOURNAL, PAGES, *locks]
    went = tidy(settings(**ALL_OLD), full, NOW, dry_run=False)
    assert (went.old, went.left) == (would.old, {})
    after = everything(full)
    size_bytes = sum(one.size_bytes for one in went.old if one.kind != LOCK)  # in a bucket they have some
    assert size_bytes == sum(map(len, before.values())) - sum(map(len, after.values()))
    assert tidy(settings(**ALL_OLD), full, NOW, dry_run=False).old == ()


def test_an_empty_dataset(storage: Aged) -> None:
    assert tidy(settings(**ALL_OLD), storage, NOW, dry_run=False).old == ()
