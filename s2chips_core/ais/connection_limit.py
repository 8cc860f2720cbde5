"""Taking turns at an AIS service: what all processes of this machine keep to together.

A service counts connections by user and address, not by process, and blocks addresses that insist. So every process asks
here before it connects: at most so many connections at once, at least a second between new ones, and one back-off for all,
with a memory of keys that were refused. Connections at once are locks of the operating system, so a process that is killed
gives its own back. Not here: the conversation with the service (`aisstream`).
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import random
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from s2chips_core.errors import AisKeyError, StorageError
from s2chips_core.fetch import without_query

SPACING_S = 1.2
"""Between new connections: the service takes about one a second from an address, and the way there takes its time."""
REFUSED_KEY_S = 600.0
"""For so long a refused key is not tried again by anybody; a key that was just made may take minutes to be known."""
RETRY_AFTER_MOST_S = 3600.0
"""A service that asks for more is asked again after this."""
_LOOK_EVERY_S = 0.1
_ASK_EVERY_S = 1.0
_FILE_LOCK_S = 10.0
_log = logging.getLogger(__name__)


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where the processes of this user meet: `s2chips` in the cache folder (XDG_CACHE_HOME, ~/.cache), or a temporary one.

    Raises:
        StorageError: the temporary folder has a `s2chips-<uid>` that belongs to somebody else.
    """
    homes = [environ.get("XDG_CACHE_HOME") or ""]
    if environ.get("HOME"):
        homes.append(str(Path(environ["HOME"]) / ".cache"))
    for home in homes:
        folder = Path(home) / "s2chips"
        if Path(home).is_absolute():
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK | os.X_OK):
                    return folder
    uid = getattr(os, "getuid", lambda: 0)()
    shared = Path(tempfile.gettempdir()) / f"s2chips-{uid}"
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
    except OSError as error:
        raise StorageError(str(shared), f"cannot be used to take turns at the AIS service: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise StorageError(str(shared), "belongs to another user; set XDG_CACHE_HOME to a folder of your own")
    return shared


@dataclasses.dataclass(slots=True)
class _State:
    """What is kept between turns, for all processes. Times are seconds since 1970 by this machine's clock."""

    salt: str
    next_at: float = 0.0
    """No new connection before."""
    failures: int = 0
    """In a row."""
    refused: dict[str, float] = dataclasses.field(default_factory=dict)
    """Salted hash of a key -> until when it is not tried."""
    at: float = 0.0
    """When it was written: later than now, the clock has been set back since."""


class ConnectionLimit:
    """The turns at one service, for this process. Its methods may be called from any thread."""

    def __init__(
        self,
        url: str,
        *,
        most: int,
        first_wait_s: float,
        longest_wait_s: float,
        folder: Path,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """
        Args:
            url: of the service; whoever names the same one shares the turns.
            most: connections at once, of all processes.
            first_wait_s: the longest wait after one failure; doubled with each further one …
            longest_wait_s: … up to this.
            folder: where the processes meet, see `default_folder`.
            now: seconds since 1970: the machine's clock, since processes with other clocks take turns too.
            sleep: waits so many seconds.
            dice: uniform in [0, 1).

        Raises:
            StorageError: the folder cannot be made.
        """
        self.url = without_query(url)
        self._folder = folder / "connections" / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._most, self._first_wait_s, self._longest_wait_s = most, first_wait_s, longest_wait_s
        self._now, self._sleep, self._dice = now, sleep, dice
        self._unsaved: _State | None = None
        """What could not be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(str(self._folder), f"cannot be made: {error.strerror}") from error

    @contextlib.contextmanager
    def turn(
        self, key: str, give_up: Callable[[], bool], waits: Callable[[str], None] = lambda reason: None
    ) -> Iterator[bool]:
        """Wait for a turn to connect, and hold it; gives whether it was had.

        Args:
            key: the API key that will be used.
            give_up: asked every 0.1 s; true ends the wait.
            waits: told why it takes longer.

        Raises:
            AisKeyError: the service refused this key a short time ago.
        """
        told = None
        with contextlib.ExitStack() as held:
            slot = False
            while True:
                if give_up():
                    yield False
                    return
                slot = slot or self._take_slot(held)
                wait_s = self._enter(key) if slot else _LOOK_EVERY_S
                if wait_s <= 0:
                    break
                reason = "waiting to connect again" if slot else "all connections are in use by others on this machine"
                if reason != told and (not slot or wait_s > SPACING_S):
                    waits(reason)
                    told = reason
                rest_s = min(wait_s, _ASK_EVERY_S)
                while rest_s > 0 and not give_up():
                    self._sleep(min(rest_s, _LOOK_EVERY_S))
                    rest_s -= _LOOK_EVERY_S
            yield True

    def failed(self, retry_after_s: float | None = None) -> float:
        """Nobody connects for a while: full jitter below a limit that doubles, or what the service asked for if it is more.

        Returns:
            The wait, seconds.
        """
        with self._state() as state:
            state.failures += 1
            limit_s = min(self._longest_wait_s, self._first_wait_s * 2.0 ** min(state.failures - 1, 30))
            wait_s = max(limit_s * self._dice(), min(retry_after_s or 0.0, RETRY_AFTER_MOST_S))
            state.next_at = max(state.next_at, self._now() + wait_s)
            return wait_s

    def delivered(self) -> None:
        """A connection has delivered for a while: failures before it no longer count."""
        with self._state() as state:
            state.failures = 0

    def refuse_key(self, key: str) -> None:
        """The service does not take this key: nobody tries it for `REFUSED_KEY_S`. Only a salted hash of it is kept."""
        with self._state() as state:
            state.refused[_hashed(state.salt, key)] = self._now() + REFUSED_KEY_S

    def _take_slot(self, held: contextlib.ExitStack) -> bool:
        for number in range(self._most):
            # A turn may be given back by another thread than the one that took it.
            lock = FileLock(self._folder / f"slot{number}.lock", timeout=0, thread_local=False)
            try:
                held.enter_context(lock)
            except Timeout:
                continue
            except OSError as error:
                raise StorageError(str(self._folder), f"cannot be locked: {error.strerror}") from error
            return True
        return False

    def _enter(self, key: str) -> float:
        """Seconds to wait yet; at 0 the turn is taken, and the next one is a second away."""
        with self._state() as state:
            now = self._now()
            if state.refused.get(_hashed(state.salt, key), 0.0) > now:
                raise AisKeyError(
                    self.url, "refused this key a few minutes ago; it is not tried again so soon: check AISSTREAM_API_KEY"
                )
            if state.next_at > now:
                return state.next_at - now
            state.next_at = now + SPACING_S
            return 0.0

    @contextlib.contextmanager
    def _state(self) -> Iterator[_State]:
        """The state, to be changed; nobody else has it meanwhile.

        Where it cannot be kept (a full disk), this process goes on with what it knows: a capture does not end for that.
        """
        path = self._folder / "state.json"
        with contextlib.ExitStack() as held:
            before: object = None
            state = _State(salt=secrets.token_hex(16))
            try:
                held.enter_context(FileLock(self._folder / "state.lock", timeout=_FILE_LOCK_S, thread_local=False))
                before, state = self._read(path)
            except (OSError, Timeout) as error:
                self._warn(error)
            if self._unsaved is not None:
                state.next_at = max(state.next_at, self._unsaved.next_at)
                state.failures = max(state.failures, self._unsaved.failures)
            yield state
            after = dataclasses.asdict(state)
            if after != before:  # also when reading has mended it
                after["at"] = self._now()
                temporary = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
                try:
                    temporary.write_text(json.dumps(after))
                    temporary.replace(path)
                    self._unsaved = None
                except OSError as error:
                    self._warn(error)
                    self._unsaved = state
                    with contextlib.suppress(OSError):
                        temporary.unlink()

    def _warn(self, error: OSError) -> None:
        if self._unsaved is None:
            _log.warning("turns at the AIS service are not shared with other processes: %s: %s", self._folder, error)

    def _read(self, path: Path) -> tuple[object, _State]:
        """What is in the file, and the state that it stands for."""
        now = self._now()
        tree: Any = None
        try:
            tree = json.loads(path.read_bytes())
            # A wait is as long as it was, also where the clock has been set back by an hour since.
            ahead_s = max(0.0, float(tree["at"]) - now)
            refused = {str(n): min(float(until) - ahead_s, now + REFUSED_KEY_S) for n, until in tree["refused"].items()}
            return tree, _State(
                salt=str(tree["salt"]),
                next_at=min(float(tree["next_at"]) - ahead_s, now + max(RETRY_AFTER_MOST_S, self._longest_wait_s)),
                failures=int(tree["failures"]),
                refused={name: until for name, until in refused.items() if until > now},
                at=float(tree["at"]) - ahead_s,
            )
        except FileNotFoundError:
            return tree, _State(salt=secrets.token_hex(16))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            # Half a file, or of another version: to begin anew costs one connection at most.
            return tree, _State(salt=secrets.token_hex(16))


def _hashed(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}|{key}".encode()).hexdigest()
