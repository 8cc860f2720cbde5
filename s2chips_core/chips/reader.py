"""Windows of one asset over HTTP, whatever its file is.

Here: the directory of the file, whether it is what the item says, and by which reader its windows are read: by
`block_windows`, or by GDAL for files that `cog` does not know. Not here: TIFF itself (`cog`), HTTP (`fetch`). What cannot be
read is a value beside the windows it concerns.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from s2chips_core.chips.block_windows import DAMAGED_AGAIN, BlockWindows
from s2chips_core.chips.cog import Header, NeedMore, Pixels, Unsupported, parse_header
from s2chips_core.chips.engine import Engine
from s2chips_core.chips.gdal_reader import driver_of, read_windows_gdal
from s2chips_core.chips.grid import Window, disagreement
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher, without_query
from s2chips_core.scenes.scene import Asset

log = logging.getLogger(__name__)

HEADER_FIRST_BYTES = 8 * 1024
"""The first directory of a 10,980 px COG ends at byte 2,526 in blocks of 1024 (Earth Search), at 5,616 in blocks of 512."""
GDAL_BYTES = 64 * 1024 * 1024
"""What one file that GDAL has open may hold besides the windows: the pages of the file and its own blocks."""
_LOOK_UP_S = 0.2

Directory = Header | Unsupported | ReadError


class CancelledReadError(Exception):
    """`stop` was set while pixels were waited for. Not one of the project's errors: nothing is wrong."""


class Windows(Protocol):
    """The windows that will be read of one asset, by their number."""

    def needs_bytes(self, number: int) -> int:
        """What has to be reserved before a window is read, besides what is reserved already."""

    def reserve(self, number: int) -> int:
        """The same, and take note that these bytes are being reserved."""

    def read(self, numbers: Iterable[int], then: Callable[[], None]) -> None:
        """Read windows, and call `then` when all of them are there, as pixels or as an error."""

    def problem(self, number: int) -> ReadError | None:
        """Why a window that has been read has no pixels; none when it has."""

    def pixels(self, number: int) -> Pixels:
        """A window that has been read and has no problem: (rows, columns), 0 outside the raster."""

    def drop(self, number: int) -> None:
        """Nobody will read the window any more."""


def open_asset(asset: Asset, engine: Engine, then: Callable[[Directory], None]) -> None:
    """Read the directory of an asset's file and hand it to `then`, on a thread that computes."""

    def step() -> None:
        directory = read_directory(asset, engine.fetcher)
        if not isinstance(directory, ReadError):
            engine.opened(asset.href, "cog" if isinstance(directory, Header) else "gdal")
        engine.compute(then, directory)

    engine.transfer(step)


def select_windows(asset: Asset, directory: Directory, windows: Sequence[Window], engine: Engine) -> Windows:
    """The reader for an asset's windows."""
    if isinstance(directory, Header):
        return BlockWindows(asset, directory, windows, engine)
    if isinstance(directory, Unsupported):
        return GdalWindows(asset, windows, engine)
    return LostWindows(directory)


def read_directory(asset: Asset, fetcher: Fetcher) -> Directory:
    """What the file is: blocks that `cog` reads, one for GDAL, or an error, also where it is not what the item says.

    A beginning that is no picture's, or another one's than the item says, may have been damaged on the way: it is fetched
    again.
    """
    shown = without_query(asset.href)
    problem: str | None = None
    for _ in range(1 + DAMAGED_AGAIN):
        if problem is not None:
            log.warning("%s: fetching its directory again: %s", shown, problem)
        try:
            found, head = _fetch_directory(asset.href, fetcher)
        except ReadError as error:
            return error
        problem = _problem(asset, found, head)
        if problem is None:
            if isinstance(found, Unsupported):
                log.info("%s is read by GDAL: %s", shown, found.reason)
            return found
    return ReadError(shown, f"{problem}, fetched {1 + DAMAGED_AGAIN} times")


def _fetch_directory(href: str, fetcher: Fetcher) -> tuple[Header | Unsupported, bytes]:
    """What the beginning of a file says, and the beginning."""
    fetcher.forget(href)
    head = fetcher.get_range(href, 0, HEADER_FIRST_BYTES)
    while isinstance(found := parse_header(head), NeedMore):
        # A little more than asked for, because what lies behind may need more again.
        head += fetcher.get_range(href, len(head), found.length - len(head) + HEADER_FIRST_BYTES)
        if len(head) < found.length:
            raise ReadError(without_query(href), f"ends at byte {len(head)}, inside its own directory")
    return found, head


def _problem(asset: Asset, found: Header | Unsupported, head: bytes) -> str | None:
    """Why this cannot be the asset's file; none where it can."""
    if isinstance(found, Unsupported):
        return None if driver_of(head) else f"begins with {head[:4]!r}, expected a TIFF or JPEG 2000"
    if found.dtype.kind != "u" or found.dtype.itemsize > 2:
        return f"has 1 bands of {found.dtype.name}, expected 1 of uint8 or uint16"
    return disagreement(
        asset,
        rows=found.rows,
        cols=found.cols,
        nodata=found.nodata,
        pixel_m=found.pixel_m,
        origin_m=found.origin_m,
    )


class LostWindows:
    """Windows of an asset that cannot be read at all."""

    def __init__(self, error: ReadError) -> None:
        self._error = error

    def needs_bytes(self, number: int) -> int:
        """Nothing."""
        return 0

    def reserve(self, number: int) -> int:
        """Nothing."""
        return 0

    def read(self, numbers: Iterable[int], then: Callable[[], None]) -> None:
        """At once."""
        then()

    def problem(self, number: int) -> ReadError:
        """The error."""
        return self._error

    def pixels(self, number: int) -> Pixels:
        """There are none."""
        raise self._error

    def drop(self, number: int) -> None:
        """Nothing."""


class GdalWindows:
    """Windows of a file that GDAL reads: those that are asked for together are read from one open file."""

    def __init__(self, asset: Asset, windows: Sequence[Window], engine: Engine) -> None:
        self._asset, self._windows, self._engine = asset, windows, engine
        self._pixels: dict[int, Pixels | ReadError] = {}
        self._reserved: dict[int, int] = {}

    def needs_bytes(self, number: int) -> int:
        """Its pixels; for the first one also what GDAL holds beside."""
        window = self._windows[number]
        return window.rows * window.cols * 2 + (0 if self._reserved else GDAL_BYTES)

    def reserve(self, number: int) -> int:
        """The same, and take note of it."""
        self._reserved[number] = size = self.needs_bytes(number)
        return size

    def read(self, numbers: Iterable[int], then: Callable[[], None]) -> None:
        """All in one go."""
        numbers = [number for number in numbers if number not in self._pixels]

        def step() -> None:
            found: Sequence[Pixels | ReadError]
            try:
                found = read_windows_gdal(self._asset, [self._windows[n] for n in numbers], self._engine.fetcher)
            except ReadError as error:
                found = [error] * len(numbers)
            self._pixels.update(zip(numbers, found, strict=True))
            self._engine.compute(then)

        if numbers:
            self._engine.transfer(step)
        else:
            then()

    def problem(self, number: int) -> ReadError | None:
        """Why it could not be read."""
        found = self._pixels[number]
        return found if isinstance(found, ReadError) else None

    def pixels(self, number: int) -> Pixels:
        """What was read."""
        found = self._pixels[number]
        if isinstance(found, ReadError):
            raise found
        return found

    def drop(self, number: int) -> None:
        """Forget it."""
        self._pixels.pop(number, None)
        self._engine.memory.release(self._reserved.pop(number, 0))


class SceneReader:
    """Reads windows and waits for them; directories are kept as long as the reader lives."""

    def __init__(self, fetcher: Fetcher, pool: Executor) -> None:
        """Args:
        fetcher: the door.
        pool: threads that fetch and inflate; as many as requests may be in flight.
        """
        self._failures: list[BaseException] = []
        self._memory = MemoryBudget(1 << 62)
        self._engine = Engine(fetcher, network=pool, processor=pool, memory=self._memory, failed=self._fail)
        self._directories: dict[str, Directory] = {}
        self._done = threading.Event()

    def read_windows(
        self, asset: Asset, windows: Sequence[Window], stop: threading.Event | None = None
    ) -> list[Pixels | ReadError]:
        """The pixels of each window, in order: (rows, columns), 0 outside the raster, or why they could not be read.

        Raises:
            CancelledReadError: `stop` was set meanwhile.
        """
        if asset.href not in self._directories:

            def begin(then: Callable[[], None]) -> None:
                def found(directory: Directory) -> None:
                    self._directories[asset.href] = directory
                    then()

                open_asset(asset, self._engine, found)

            self._wait(begin, stop)
        source = select_windows(asset, self._directories[asset.href], windows, self._engine)
        self._wait(lambda then: source.read(range(len(windows)), then), stop)
        return [source.problem(number) or source.pixels(number) for number in range(len(windows))]

    def _wait(self, begin: Callable[[Callable[[], None]], None], stop: threading.Event | None) -> None:
        self._done.clear()
        begin(self._done.set)
        while not self._done.wait(_LOOK_UP_S if stop else None):
            if stop is not None and stop.is_set():
                raise CancelledReadError
        if self._failures:
            raise self._failures.pop()

    def _fail(self, error: BaseException) -> None:
        self._failures.append(error)
        self._done.set()
