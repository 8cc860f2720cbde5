"""The inbox on disk: files are moved on whole, nothing is overwritten, and what was killed anywhere is finished."""

import os
from pathlib import Path

import pytest

from s2chips_core.ais import inbox_folder
from s2chips_core.ais.inbox_folder import DONE, ERROR, FAILED, NOTE, REPORT, Inbox, working
from s2chips_core.errors import InputError, StorageError
from s2chips_core.storage import Storage
from tests.datasets import locks_of

WORK = "abcdef012345-11112222"


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    made = Inbox(tmp_path / "inbox")
    made.prepare()
    return made


def no_link(*_: object, **__: object) -> None:
    raise OSError(1, "Operation not permitted")


def drop(inbox: Inbox, name: str = "ships.csv", content: bytes = b"new") -> Path:
    path = inbox.root / name
    path.write_bytes(content)
    return path


def contents(inbox: Inbox) -> dict[str, bytes]:
    return {p.relative_to(inbox.root).as_posix(): p.read_bytes() for p in sorted(inbox.root.rglob("*")) if p.is_file()}


def test_taken_and_done_with_what_is_beside_it(inbox: Inbox) -> None:
    drop(inbox)
    assert inbox.take("ships.csv", WORK).read_bytes() == b"new"
    assert not (inbox.root / "ships.csv").exists()
    where = inbox.conclude(WORK, DONE, {REPORT: b"rows", NOTE: b"said"})
    assert where == inbox.root / "done" / "ships.csv"
    assert contents(inbox) == {
        "done/ships.csv": b"new",
        "done/ships.csv.report.csv": b"rows",
        "done/ships.csv.note.txt": b"said",
    }
    assert inbox.work_ids() == []


@pytest.mark.parametrize("taken_name", ["ships.csv", "ships.csv.error.txt"])
def test_nothing_is_overwritten(inbox: Inbox, taken_name: str) -> None:
    (inbox.root / "failed").mkdir()
    (inbox.root / "failed" / taken_name).write_bytes(b"old")
    drop(inbox)
    inbox.take("ships.csv", WORK)
    assert inbox.conclude(WORK, FAILED, {ERROR: b"why"}).name == "ships-2.csv"
    assert contents(inbox) == {
        f"failed/{taken_name}": b"old",
        "failed/ships-2.csv": b"new",
        "failed/ships-2.csv.error.txt": b"why",
    }


def test_who_comes_in_between_keeps_his_name(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts a file there after the name was chosen."""
    drop(inbox)
    inbox.take("ships.csv", WORK)
    real, times = inbox_folder._move, []

    def move(source: Path, target: Path) -> None:
        if not times and target.name == "ships.csv":
            target.write_bytes(b"somebody's")
        times.append(target.name)
        real(source, target)

    monkeypatch.setattr(inbox_folder, "_move", move)
    assert inbox.conclude(WORK, DONE, {}).name == "ships-2.csv"
    assert contents(inbox) == {"done/ships.csv": b"somebody's", "done/ships-2.csv": b"new"}


@pytest.mark.parametrize("hard_links", [True, False])
def test_killed_at_any_step_it_is_finished_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    """A fault at each call that changes the disk, then `finish`."""
    steps = 0
    if not hard_links:
        monkeypatch.setattr(os, "link", no_link)
    for fail_at in range(1, 40):
        inbox = Inbox(tmp_path / f"inbox-{fail_at}")
        inbox.prepare()
        drop(inbox)
        (inbox.root / DONE).mkdir()
        (inbox.root / DONE / "ships.csv").write_bytes(b"old")
        inbox.take("ships.csv", WORK)
        calls = 0

        class Killed(BaseException):
            pass

        def faulty(name: str, real: object) -> object:
            def call(*arguments: object, **options: object) -> object:
                nonlocal calls
                calls += 1
                if calls == fail_at:  # noqa: B023 - called before the loop goes on
                    raise Killed(name)
                return real(*arguments, **options)  # type: ignore[operator]

            return call

        with monkeypatch.context() as patched:
            for name, owner in (("link", os), ("open", os), ("replace", Path), ("unlink", Path), ("write_bytes", Path)):
                patched.setattr(owner, name, faulty(name, getattr(owner, name)))
            try:
                inbox.conclude(WORK, DONE, {REPORT: b"rows", NOTE: b"said"})
                steps = fail_at - 1
            except Killed:
                pass
        if steps:
            break
        inbox.finish(WORK, "killed")
        left = contents(inbox)
        assert left.pop("done/ships.csv") == b"old"
        folder = next(iter(left)).split("/")[0]
        ending, told = (REPORT, b"rows") if folder == DONE else (ERROR, b"killed\n")
        [name] = [key for key in left if not key.endswith((ending, NOTE))]
        # With the report the note is there too: the report is what tells that the file was chipped.
        note = left.pop(name + NOTE, None)
        assert note == b"said" or (note is None and folder == FAILED)
        assert left == {name: b"new", name + ending: told}
        assert inbox.work_ids() == []
    assert steps > 5


def test_a_run_that_was_killed_before_it_took_the_file_leaves_it(inbox: Inbox) -> None:
    drop(inbox)
    (inbox.root / "working" / WORK).mkdir(parents=True)
    assert inbox.finish(WORK, "killed") is None
    assert contents(inbox) == {"ships.csv": b"new"}
    assert inbox.work_ids() == []


def test_a_file_that_is_gone_is_told(inbox: Inbox) -> None:
    with pytest.raises(InputError, match="no such file"):
        inbox.take("ships.csv", WORK)
    assert inbox.work_ids() == []
    with pytest.raises(StorageError):
        inbox.sha256("ships.csv")


def test_where_there_are_no_hard_links_a_name_is_reserved(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_link)
    (inbox.root / "done").mkdir()
    (inbox.root / "done" / "ships.csv").write_bytes(b"old")
    drop(inbox)
    inbox.take("ships.csv", WORK)
    inbox.conclude(WORK, DONE, {REPORT: b"rows"})
    assert contents(inbox) == {
        "done/ships.csv": b"old",
        "done/ships-2.csv": b"new",
        "done/ships-2.csv.report.csv": b"rows",
    }


def test_a_lock_tells_whether_the_run_lives(storage: Storage) -> None:
    with working(storage, WORK), pytest.raises(StorageError, match="held"), working(storage, WORK):
        pass
    with working(storage, WORK):
        pass


def test_a_run_that_fails_leaves_no_lock(storage: Storage) -> None:
    with pytest.raises(KeyError), working(storage, WORK):
        raise KeyError
    assert locks_of(storage) == []


def test_the_listing_has_files_only(inbox: Inbox) -> None:
    drop(inbox)
    drop(inbox, ".hidden")
    (inbox.root / "folder.csv").mkdir()
    (inbox.root / "link.csv").symlink_to(inbox.root / "ships.csv")
    found = inbox.listing()
    assert [(file.name, file.size_bytes) for file in found.files] == [("ships.csv", 3)]
    assert found.waiting == {}


def test_a_name_that_is_no_text_waits(inbox: Inbox) -> None:
    Path(os.fsdecode(os.fsencode(inbox.root) + b"/sh\xffps.csv")).write_bytes(b"x")
    [(name, reason)] = inbox.listing().waiting.items()
    assert name.encode()
    assert "rename it" in reason
