"""Turns at an AIS service: connections at once, a second between them, one back-off for all, refused keys."""

import hashlib
import itertools
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s2chips_core.ais import connection_limit
from s2chips_core.ais.connection_limit import REFUSED_KEY_S, RETRY_AFTER_MOST_S, SPACING_S, ConnectionLimit, default_folder
from s2chips_core.errors import AisKeyError, StorageError

URL = "wss://stream.aisstream.io/v0/stream"


class Machine:
    """A clock that goes on by being slept on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now_s, self.throw = folder, 1_700_000_000.0, 1.0
        self.slept_s = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.now_s += seconds

    def process(self, *, most: int = 2, url: str = URL, first_s: float = 1.0, longest_s: float = 60.0) -> ConnectionLimit:
        return ConnectionLimit(
            url,
            most=most,
            first_wait_s=first_s,
            longest_wait_s=longest_s,
            folder=self.folder,
            now=lambda: self.now_s,
            sleep=self.sleep,
            dice=lambda: self.throw,
        )

    def wait_s(self, limit: ConnectionLimit, key: str = "key") -> float:
        """How long a turn takes to come."""
        before_s = self.now_s
        with limit.turn(key, never) as mine:
            assert mine
        return self.now_s - before_s


def never() -> bool:
    return False


def after(looks: int) -> Callable[[], bool]:
    count = itertools.count()
    return lambda: next(count) >= looks


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_new_connections_are_a_second_apart_whoever_makes_them(machine: Machine) -> None:
    first, second = machine.process(), machine.process()
    assert machine.wait_s(first) == 0
    assert machine.wait_s(second) == pytest.approx(SPACING_S, abs=0.11)
    assert machine.wait_s(first) == pytest.approx(SPACING_S, abs=0.11)
    assert SPACING_S >= 1.0


def test_only_so_many_at_once(machine: Machine) -> None:
    processes = [machine.process() for _ in range(3)]
    told: list[str] = []
    with processes[0].turn("key", never) as first, processes[1].turn("key", never) as second:
        assert first
        assert second
        with processes[2].turn("key", after(30), told.append) as third:
            assert not third
    assert told == ["all connections are in use by others on this machine"]
    assert machine.wait_s(processes[2]) < 2 * SPACING_S


def test_another_service_has_turns_of_its_own(machine: Machine) -> None:
    machine.process().failed(600.0)
    assert machine.wait_s(machine.process(url="ws://127.0.0.1:9/v0/stream")) == 0
    assert machine.wait_s(machine.process(url=f"{URL}?x=1")) > 500, "the query is no other service"


def test_the_wait_doubles_up_to_the_longest_and_is_forgotten_with_success(machine: Machine) -> None:
    limit = machine.process(longest_s=10.0)
    assert [limit.failed() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    limit.delivered()
    assert limit.failed() == 1.0


@pytest.mark.parametrize("throw", [0.0, 0.25, 0.999])
def test_jitter_is_over_the_whole_wait(machine: Machine, throw: float) -> None:
    machine.throw = throw
    limit = machine.process()
    assert [limit.failed() for _ in range(3)] == [throw, 2 * throw, 4 * throw]


def test_all_processes_keep_the_back_off(machine: Machine) -> None:
    mine, other = machine.process(), machine.process()
    for _ in range(5):
        mine.failed()
    assert machine.wait_s(other) == pytest.approx(16.0, abs=0.2)
    assert other.failed() == 32.0, "failures of all count"


def test_retry_after_is_honoured_where_it_is_longer(machine: Machine) -> None:
    limit = machine.process()
    assert limit.failed(30.0) == 30.0
    assert machine.wait_s(machine.process()) == pytest.approx(30.0, abs=0.2)
    limit.delivered()
    assert limit.failed(0.1) == 1.0
    assert limit.failed(1e9) == RETRY_AFTER_MOST_S


def test_a_later_failure_does_not_shorten_the_wait(machine: Machine) -> None:
    limit = machine.process()
    limit.failed(100.0)
    limit.delivered()
    limit.failed()
    assert machine.wait_s(limit) == pytest.approx(100.0, abs=0.2)


def test_who_gives_up_waiting_gets_no_turn(machine: Machine) -> None:
    limit = machine.process()
    limit.failed(100.0)
    told: list[str] = []
    with limit.turn("key", after(5), told.append) as mine:
        assert not mine
    assert told == ["waiting to connect again"]
    assert machine.slept_s < 2.0


def test_a_refused_key_is_not_tried_by_anybody_but_another_is(machine: Machine) -> None:
    machine.process().refuse_key("the-old-key")
    with pytest.raises(AisKeyError, match="AISSTREAM_API_KEY"), machine.process().turn("the-old-key", never):
        pass
    assert machine.wait_s(machine.process(), "a-new-key") == 0
    machine.now_s += REFUSED_KEY_S + 1
    assert machine.wait_s(machine.process(), "the-old-key") == 0


def test_a_refused_key_can_not_be_read_from_the_folder(machine: Machine) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    machine.process().refuse_key(key)
    texts = [path.read_text() for path in machine.folder.rglob("*") if path.is_file()]
    assert any("refused" in text for text in texts)
    assert not [text for text in texts if key in text or key[:12] in text]
    [state] = machine.folder.rglob("state.json")
    tree = json.loads(state.read_text())
    assert hashlib.sha256(key.encode()).hexdigest() not in tree["refused"], "without salt anybody could look it up"


def test_the_error_of_a_refused_key_does_not_show_it(machine: Machine) -> None:
    machine.process().refuse_key("the-old-key")
    with pytest.raises(AisKeyError) as refused, machine.process().turn("the-old-key", never):
        pass
    assert "the-old-key" not in f"{refused.value!r}{refused.value}"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"salt": 1}', '{"salt":"a","next_at":"x","failures":0,"refused":{}}']
)
def test_a_state_that_is_none_is_begun_anew(machine: Machine, text: str) -> None:
    machine.process().failed(50.0)
    [state] = machine.folder.rglob("state.json")
    state.write_text(text)
    assert machine.wait_s(machine.process()) == 0


@pytest.mark.parametrize("by_s", [60.0, 3600.0, 10 * 365 * 86_400.0])
def test_a_clock_that_is_set_back_makes_no_wait_longer(machine: Machine, by_s: float) -> None:
    machine.process().failed(100.0)
    machine.process().refuse_key("key")
    machine.now_s -= by_s
    assert machine.wait_s(machine.process(), "another") <= 100.2
    machine.now_s += REFUSED_KEY_S
    assert machine.wait_s(machine.process(), "key") <= SPACING_S


def test_a_clock_that_is_set_back_after_a_connection_does_not_hold_the_next_up(machine: Machine) -> None:
    assert machine.wait_s(machine.process()) == 0
    machine.now_s -= 3600.0
    assert machine.wait_s(machine.process()) <= SPACING_S + 0.2


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Machine(tmp_path / "file").process()


def test_a_full_disk_does_not_end_the_turns(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limit = machine.process()
    assert machine.wait_s(limit) == 0
    with monkeypatch.context() as full:

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        full.setattr(Path, "write_text", refuse)
        assert [limit.failed() for _ in range(3)] == [1.0, 2.0, 4.0]
        assert machine.wait_s(limit) == pytest.approx(4.0, abs=0.2)
        limit.delivered()
    assert caplog.text.count("No space left on device") == 1
    limit.failed(50.0)
    assert machine.wait_s(machine.process()) == pytest.approx(50.0, abs=0.2), "shared again"
    assert [path.name for path in machine.folder.rglob("state.*")].count("state.json") == 1
    assert not list(machine.folder.rglob("state.*.*")), "nothing half-written is left"


HOLDER = """
import sys, time
from pathlib import Path
from s2chips_core.ais.connection_limit import ConnectionLimit
limit = ConnectionLimit(sys.argv[2], most=1, first_wait_s=1, longest_wait_s=60, folder=Path(sys.argv[1]))
with limit.turn("key", lambda: False) as mine:
    print("mine", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_killed_gives_its_connection_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), URL], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    limit = ConnectionLimit(URL, most=1, first_wait_s=1, longest_wait_s=60, folder=tmp_path)
    with limit.turn("key", after(3)) as mine:
        assert not mine
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    until = time.monotonic() + 5
    with limit.turn("key", lambda: time.monotonic() > until) as mine:
        assert mine


def test_threads_take_turns_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.0)
    at_once, most = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        limit = ConnectionLimit(
            URL, most=2, first_wait_s=1, longest_wait_s=60, folder=tmp_path, sleep=lambda s: time.sleep(0.01)
        )
        with limit.turn("key", never) as mine:
            assert mine
            with guard:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.05)
            with guard:
                at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_processes_of_one_user_meet_in_the_cache_folder(tmp_path: Path) -> None:
    assert default_folder({"XDG_CACHE_HOME": str(tmp_path / "cache")}) == tmp_path / "cache" / "s2chips"
    assert default_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "s2chips"


def test_without_a_home_in_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = default_folder({"XDG_CACHE_HOME": "relative", "HOME": "/proc/nowhere"})
    assert folder == tmp_path / f"s2chips-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert default_folder({}) == folder


def test_a_folder_that_another_has_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"s2chips-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="another user"):
        default_folder({})
