"""An export is whole, or not there; what no export wrote is never lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from s2chips_core import layout
from s2chips_core.errors import InputError, StorageError
from s2chips_core.export.folder import MADE_BY, export_folder, read_manifest


def write(target: Path, content: bytes = b"one", name: str = "a/b.txt") -> None:
    with export_folder(target) as folder:
        folder.put(name, content)
        folder.finish({"made_by": MADE_BY})


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_empty_folder(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "deep" / "out"
    if there:
        target.mkdir(parents=True)
    write(target)
    assert set(files(target)) == {"a/b.txt", "checksums.sha256", "export.json"}
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with export_folder(target) as folder:
        folder.put("b.txt", b"two")
        with folder.stream("a.bin") as file:
            file.write(b"x" * 3_000_000)
            file.seek(10)
            file.write(b"y")
        manifest = folder.finish({"made_by": MADE_BY})
    checked = subprocess.run(["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=target, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.decode().splitlines() == ["a.bin: OK", "b.txt: OK"]
    assert (manifest["files"], manifest["bytes"]) == (2, 3_000_003)
    assert manifest["checksums_sha256"] == hashlib.sha256((target / "checksums.sha256").read_bytes()).hexdigest()
    assert read_manifest(target) == manifest == json.loads((target / "export.json").read_text())


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write(target, name="old.txt")
    write(target, b"two", name="new.txt")
    assert set(files(target)) == {"new.txt", "checksums.sha256", "export.json"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_other_files_are_refused_and_stay(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it holds other files"):
        write(target)
    assert files(target) == {"thesis.tex": b"years of work"}
    (target / "export.json").write_text('{"made_by": "another program"}')
    with pytest.raises(InputError, match="it holds other files"):
        write(target)


def test_files_that_were_added_to_an_export_are_refused_and_stay(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write(target)
    (target / "a" / "notes.txt").write_text("mine")
    before = files(target)
    with pytest.raises(InputError, match=r"a/notes\.txt"):
        write(target, b"two")
    assert files(target) == before


def test_a_file_added_while_the_export_runs_stays_too(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write(target)

    def write_beside() -> None:
        with export_folder(target) as folder:
            (target / "late.txt").write_text("mine")
            folder.finish({"made_by": MADE_BY})

    with pytest.raises(InputError, match=r"late\.txt"):
        write_beside()
    assert files(target)["late.txt"] == b"mine"
    assert files(target)["a/b.txt"] == b"one"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="this is a file"):
        write(tmp_path / "out")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out"

    def fail() -> None:
        with export_folder(target) as folder:
            folder.put("half.txt", b"half")
            raise error

    for earlier in (False, True):
        if earlier:
            write(target)
        before = files(target)
        with pytest.raises(error):
            fail()
        assert files(target) == before
        assert [p.name for p in tmp_path.iterdir()] == (["out"] if earlier else [])


def test_an_export_without_manifest_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not finished"), export_folder(tmp_path / "out") as folder:
        folder.put("a.txt", b"")
    assert not (tmp_path / "out").exists()


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """What a killed export left is never taken for one, and is gone after the next."""
    target = tmp_path / "out"
    script = (
        "import os, signal, sys; from pathlib import Path; from s2chips_core.export.folder import export_folder\n"
        "with export_folder(Path(sys.argv[1])) as folder:\n"
        "    folder.put('half.txt', b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)], env=os.environ, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    assert (tmp_path / ".out.partial" / "half.txt").exists()
    write(target)
    assert "half.txt" not in files(target)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("done", [False, True])
def test_killed_between_the_two_renames(tmp_path: Path, done: bool) -> None:
    """The earlier export comes back, or goes when it has its successor."""
    target = tmp_path / "out"
    write(target)
    target.rename(tmp_path / ".out.replaced")
    if done:
        write(tmp_path / "other", b"two")
        (tmp_path / "other").rename(target)
    with pytest.raises(RuntimeError), export_folder(target):
        raise RuntimeError
    assert files(target)["a/b.txt"] == (b"two" if done else b"one")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_the_earlier_export_comes_back_when_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "out", Path.rename
    write(target)

    def failing(self: Path, to: Path) -> Path:
        if self.name == ".out.partial":
            raise OSError(28, "no space left")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StorageError, match="no space left"):
        write(target, b"two")
    assert files(target)["a/b.txt"] == b"one"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".out.lock"), pytest.raises(StorageError, match="another export"):
        write(tmp_path / "out")


def test_links_stay_when_the_source_is_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source.txt", tmp_path / "out"
    source.write_bytes(b"one")
    with export_folder(target) as folder:
        data, digest = folder.link("a.txt", source)
        assert data == b"one"
        assert digest.sha256 == hashlib.sha256(b"one").hexdigest()
        new = tmp_path / "new.txt"
        new.write_bytes(b"two")
        new.replace(source)
        folder.finish({"made_by": MADE_BY})
    assert (target / "a.txt").read_bytes() == b"one"
    with pytest.raises(StorageError, match="cannot be linked"), export_folder(target) as folder:
        folder.link("b.txt", tmp_path / "nowhere")


def test_what_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=layout.export_manifest()):
        read_manifest(tmp_path)
