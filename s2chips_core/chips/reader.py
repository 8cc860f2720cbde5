"""Windows of the assets of one scene, over HTTP: each touched block is fetched once and decoded once, for all ships.

Here: which blocks, in how many requests, on which threads, and the way round by GDAL for files that `cog` does not read.
Not here: TIFF itself (`cog`), HTTP (`fetch`). What cannot be read is a value beside the windows it concerns, so that one
lost block refuses its own ships and no others.
"""

import dataclasses
import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

import numpy as np

from s2chips_core.chips.cog import Header, NeedMore, Pixels, Unsupported, decode_block, parse_header
from s2chips_core.chips.gdal_reader import read_windows_gdal
from s2chips_core.chips.grid import Window, disagreement
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher, without_query
from s2chips_core.scenes.scene import Asset

log = logging.getLogger(__name__)

HEADER_FIRST_BYTES = 16 * 1024
"""The first directory of Earth Search's 10980 px COGs, with its block offsets, ends before byte 3,000."""
COALESCE_GAP_BYTES = 8 * 1024
COALESCE_MOST_BYTES = 3 * 1024 * 1024
_LOOK_UP_S = 0.2


class CancelledReadError(Exception):
    """`stop` was set while pixels were waited for. Not one of the project's errors: nothing is wrong."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Cut:
    """What one window takes from one block."""

    window: int
    rows: tuple[int, int]
    """In the block."""
    cols: tuple[int, int]
    target: tuple[slice, slice]
    """In the window."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """Blocks that lie beside each other in the file: one request."""

    start: int
    length: int
    blocks: tuple[tuple[int, int], ...]


class WindowRead:
    """One window that is being read."""

    def __init__(self, pixels: Pixels | ReadError) -> None:
        self._pixels = pixels
        self._parts: list[Future[ReadError | None]] = []

    def wait(self, stop: threading.Event | None = None) -> Pixels | ReadError:
        """The pixels (rows, columns), 0 outside the raster and where there is no data, or why they could not be read.

        Raises:
            CancelledReadError: `stop` was set meanwhile.
        """
        wait_all(self._parts, stop)
        for part in self._parts:
            problem = part.result()
            if problem is not None:
                return problem
        return self._pixels


def wait_all(futures: Iterable[Future[ReadError | None]], stop: threading.Event | None) -> None:
    """Return when all are done; CancelledReadError as soon as `stop` is set."""
    waiting = {future for future in futures if not future.done()}
    while True:
        if stop is not None and stop.is_set():
            raise CancelledReadError
        if not waiting:
            return
        _, waiting = wait(waiting, timeout=_LOOK_UP_S if stop else None, return_when=FIRST_COMPLETED)


class SceneReader:
    """Reads windows of one scene's assets; directories are kept as long as the reader lives."""

    def __init__(self, fetcher: Fetcher, pool: Executor) -> None:
        """Args:
        fetcher: the door.
        pool: threads that fetch and inflate; as many as requests may be in flight.
        """
        self._fetcher, self._pool = fetcher, pool
        self._headers: dict[str, Future[Header | Unsupported | ReadError]] = {}

    def open(self, assets: Iterable[Asset]) -> None:
        """Begin to read the directories of `assets`, all at once; no need to call it, `start` does."""
        for asset in assets:
            if asset.href not in self._headers:
                self._fetcher.forget(asset.href)
                self._headers[asset.href] = self._pool.submit(self._read_header, asset)

    def read_windows(
        self, asset: Asset, windows: Sequence[Window], stop: threading.Event | None = None
    ) -> list[Pixels | ReadError]:
        """The pixels of each window, in order: (rows, columns), 0 outside the raster, or why they could not be read.

        Raises:
            CancelledReadError: `stop` was set meanwhile.
        """
        return [read.wait(stop) for read in self.start(asset, windows, stop)]

    def start(self, asset: Asset, windows: Sequence[Window], stop: threading.Event | None = None) -> list[WindowRead]:
        """Begin to read; the answer can be waited for window by window."""
        self.open([asset])
        header = self._headers[asset.href]
        waiting = {header}
        while waiting:
            if stop is not None and stop.is_set():
                raise CancelledReadError
            _, waiting = wait(waiting, timeout=_LOOK_UP_S if stop else None)
        found = header.result()
        if isinstance(found, ReadError):
            return [WindowRead(found) for _ in windows]
        if isinstance(found, Unsupported):
            return self._start_gdal(asset, windows)
        return self._start_blocks(asset, found, windows)

    def _read_header(self, asset: Asset) -> Header | Unsupported | ReadError:
        try:
            head = self._fetcher.get_range(asset.href, 0, HEADER_FIRST_BYTES)
            while isinstance(found := parse_header(head), NeedMore):
                # A little more than asked for, because what lies behind may need more again.
                head += self._fetcher.get_range(asset.href, len(head), found.length - len(head) + HEADER_FIRST_BYTES)
                if len(head) < found.length:
                    return ReadError(without_query(asset.href), f"ends at byte {len(head)}, inside its own directory")
        except ReadError as error:
            return error
        if isinstance(found, Unsupported):
            log.info("%s is read by GDAL: %s", without_query(asset.href), found.reason)
            return found
        problem = disagreement(
            asset,
            rows=found.rows,
            cols=found.cols,
            nodata=found.nodata,
            pixel_m=found.pixel_m,
            origin_m=found.origin_m,
        )
        return ReadError(without_query(asset.href), problem) if problem else found

    def _start_gdal(self, asset: Asset, windows: Sequence[Window]) -> list[WindowRead]:
        reads = [WindowRead(np.zeros((w.rows, w.cols), np.uint16)) for w in windows]

        def task() -> ReadError | None:
            try:
                arrays = read_windows_gdal(asset, windows, self._fetcher)
            except ReadError as error:
                return error
            for read, array in zip(reads, arrays, strict=True):
                read._pixels = array
            return None

        future = self._pool.submit(task)
        for read in reads:
            read._parts.append(future)
        return reads

    def _start_blocks(self, asset: Asset, header: Header, windows: Sequence[Window]) -> list[WindowRead]:
        arrays = [np.zeros((w.rows, w.cols), header.dtype.newbyteorder("=")) for w in windows]
        reads = [WindowRead(array) for array in arrays]
        cuts = select_cuts(header, windows)
        for run in select_runs(header, cuts):
            future = self._pool.submit(self._read_run, asset, header, run, cuts, arrays)
            for window in {cut.window for block in run.blocks for cut in cuts[block]}:
                reads[window]._parts.append(future)
        return reads

    def _read_run(
        self,
        asset: Asset,
        header: Header,
        run: _Run,
        cuts: dict[tuple[int, int], list[_Cut]],
        arrays: Sequence[Pixels],
    ) -> ReadError | None:
        try:
            data = self._fetcher.get_range(asset.href, run.start, run.length)
        except ReadError as error:
            return error
        if len(data) < run.length:
            return ReadError(without_query(asset.href), f"ends at byte {run.start + len(data)}, inside a block")
        for block in run.blocks:
            begin = int(header.offsets[block]) - run.start
            compressed = data[begin : begin + int(header.byte_counts[block])]
            wanted = cuts[block]
            row_0, row_1 = min(c.rows[0] for c in wanted), max(c.rows[1] for c in wanted)
            col_0, col_1 = min(c.cols[0] for c in wanted), max(c.cols[1] for c in wanted)
            try:
                pixels = decode_block(header, compressed, (row_0, row_1), (col_0, col_1))
            except ValueError as error:
                return ReadError(without_query(asset.href), f"block {block}: {error}")
            for cut in wanted:
                part = pixels[cut.rows[0] - row_0 : cut.rows[1] - row_0, cut.cols[0] - col_0 : cut.cols[1] - col_0]
                arrays[cut.window][cut.target] = part
        return None


def select_cuts(header: Header, windows: Sequence[Window]) -> dict[tuple[int, int], list[_Cut]]:
    """Block (row, column) -> what each window takes from it; blocks that the file leaves out are not in here."""
    cuts: dict[tuple[int, int], list[_Cut]] = {}
    for number, window in enumerate(windows):
        top, bottom = max(window.row_off, 0), min(window.row_off + window.rows, header.rows)
        left, right = max(window.col_off, 0), min(window.col_off + window.cols, header.cols)
        if top >= bottom or left >= right:
            continue
        for block_row in range(top // header.block_rows, (bottom - 1) // header.block_rows + 1):
            for block_col in range(left // header.block_cols, (right - 1) // header.block_cols + 1):
                if header.is_sparse(block_row, block_col):
                    continue
                y, x = block_row * header.block_rows, block_col * header.block_cols
                row_0, row_1 = max(top, y), min(bottom, y + header.block_rows)
                col_0, col_1 = max(left, x), min(right, x + header.block_cols)
                cuts.setdefault((block_row, block_col), []).append(
                    _Cut(
                        window=number,
                        rows=(row_0 - y, row_1 - y),
                        cols=(col_0 - x, col_1 - x),
                        target=(
                            slice(row_0 - window.row_off, row_1 - window.row_off),
                            slice(col_0 - window.col_off, col_1 - window.col_off),
                        ),
                    )
                )
    return cuts


def select_runs(header: Header, blocks: Iterable[tuple[int, int]]) -> list[_Run]:
    """Requests that cover `blocks`: those that lie close together in the file share one."""
    runs: list[_Run] = []
    for block in sorted(blocks, key=lambda b: int(header.offsets[b])):
        start, length = int(header.offsets[block]), int(header.byte_counts[block])
        if runs:
            last = runs[-1]
            gap = start - (last.start + last.length)
            if 0 <= gap <= COALESCE_GAP_BYTES and start + length - last.start <= COALESCE_MOST_BYTES:
                runs[-1] = _Run(last.start, start + length - last.start, (*last.blocks, block))
                continue
        runs.append(_Run(start, length, (block,)))
    return runs
