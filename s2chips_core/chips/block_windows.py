"""Windows of one tiled file over HTTP: each touched block is fetched once and decoded once, for all windows.

Here: which blocks are there, asked for or gone again. Not here: which blocks a window needs (`block_cuts`), TIFF itself
(`cog`), HTTP (`fetch`). A block is kept from the first window that is read until the last one that needs it is dropped:
blocks and not windows, because ships lie close together and their windows overlap. What cannot be read is a value in the
place of the pixels, so that one lost block refuses its own ships and no others.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.block_cuts import Block, Cut, Piece, Run, select_cuts, select_runs
from s2chips_core.chips.cog import BlockEndsError, Header, Pixels, inflate_rows, prefix_bytes, unpredict
from s2chips_core.chips.engine import Countdown, Engine
from s2chips_core.chips.grid import Window
from s2chips_core.errors import ReadError
from s2chips_core.fetch import without_query
from s2chips_core.scenes.scene import Asset

PART_LEAST_SAVED_BYTES = 32 * 1024
"""A beginning that leaves out less is not worth a request of its own: the whole block can share one with the next."""
DAMAGED_AGAIN = 2
"""A block whose bytes are no good is fetched so often again."""

log = logging.getLogger(__name__)


class _Held:
    """A block that windows need."""

    __slots__ = ("asked", "cols", "cuts", "damaged", "parts", "reserved", "rows", "waiting")

    def __init__(self) -> None:
        self.cuts: dict[int, Cut] = {}
        """By window; those that have been dropped are gone."""
        self.parts: dict[int, Pixels] | ReadError | None = None
        """The same cuts as pixels."""
        self.rows = self.cols = (0, 0)
        """What of the block holds them all."""
        self.asked = False
        self.damaged = 0
        """How often it came with other bytes."""
        self.reserved = 0
        """Bytes that the account holds for it."""
        self.waiting: list[Callable[[], None]] = []

    def wanted(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns of the block that hold what all windows take."""
        cuts = self.cuts.values()
        rows = min(c.rows[0] for c in cuts), max(c.rows[1] for c in cuts)
        return rows, (min(c.cols[0] for c in cuts), max(c.cols[1] for c in cuts))


class BlockWindows:
    """The windows that will be read of one file, by their number; safe to share between threads."""

    def __init__(self, asset: Asset, header: Header, windows: Sequence[Window], engine: Engine) -> None:
        """Args:
        asset: where the file is.
        header: what it is.
        windows: all that may be read; each is read, or not, and then dropped.
        engine: fetches and decodes.
        """
        self._asset, self._header, self._windows, self._engine = asset, header, windows, engine
        self._native = header.dtype.newbyteorder("=")
        self._lock = threading.Lock()
        self._blocks: dict[Block, _Held] = {}
        self._cuts: list[list[Cut]] = []
        for number, window in enumerate(windows):
            cuts = select_cuts(header, window)
            self._cuts.append(cuts)
            for cut in cuts:
                self._blocks.setdefault(cut.block, _Held()).cuts[number] = cut

    def needs_bytes(self, number: int) -> int:
        """What has to be reserved before a window is read, besides what is reserved already."""
        with self._lock:
            blocks = [(cut.block, self._blocks[cut.block]) for cut in self._cuts[number]]
            return sum(self._cost(block, held) for block, held in blocks if not held.reserved)

    def reserve(self, number: int) -> int:
        """The same, and take note that these bytes are being reserved."""
        size = 0
        with self._lock:
            for cut in self._cuts[number]:
                held = self._blocks[cut.block]
                if not held.reserved:
                    held.reserved = self._cost(cut.block, held)
                    size += held.reserved
        return size

    def read(self, numbers: Iterable[int], then: Callable[[], None]) -> None:
        """Read windows, and call `then` when all of them are there, as pixels or as an error."""
        pieces = []
        with self._lock:
            missing = {cut.block for number in numbers for cut in self._cuts[number]}
            missing = {block for block in missing if self._blocks[block].parts is None}
            arrived = Countdown(len(missing) + 1, then)
            for block in missing:
                held = self._blocks[block]
                held.waiting.append(arrived)
                if not held.asked:
                    held.asked = True
                    held.rows, held.cols = held.wanted()
                    pieces.append(self._piece(block, held.rows[1]))
        for run in select_runs(pieces):
            self._fetch(run)
        arrived()

    def problem(self, number: int) -> ReadError | None:
        """Why a window that has been read has no pixels; none when it has."""
        for cut in self._cuts[number]:
            parts = self._blocks[cut.block].parts
            if isinstance(parts, ReadError):
                return parts
        return None

    def pixels(self, number: int) -> Pixels:
        """A window that has been read: (rows, columns), 0 outside the raster and where there is no data."""
        window, cuts = self._windows[number], self._cuts[number]
        whole: Pixels | None = None
        for cut in cuts:
            parts = self._blocks[cut.block].parts
            assert isinstance(parts, dict), "it has not been read, or has a problem"
            part = parts[number]
            if part.shape == (window.rows, window.cols):
                return part
            whole = np.zeros((window.rows, window.cols), self._native) if whole is None else whole
            whole[cut.target] = part
        return np.zeros((window.rows, window.cols), self._native) if whole is None else whole

    def drop(self, number: int) -> None:
        """Nobody will read the window any more; blocks that no other window needs are forgotten."""
        freed = 0
        with self._lock:
            for cut in self._cuts[number]:
                held = self._blocks[cut.block]
                if held.cuts.pop(number, None) is None:
                    continue
                if isinstance(held.parts, dict):
                    held.parts.pop(number, None)
                if not held.cuts and (held.parts is not None or not held.asked):
                    freed += held.reserved
                    held.reserved, held.parts = 0, None
        self._engine.memory.release(freed)

    def _cost(self, block: Block, held: _Held) -> int:
        return int(self._header.byte_counts[block]) + self._decoded_bytes(*held.wanted())

    def _decoded_bytes(self, rows: tuple[int, int], cols: tuple[int, int]) -> int:
        # Differences are summed from the first column on.
        return int((rows[1] - rows[0]) * cols[1] * self._native.itemsize)

    def _piece(self, block: Block, rows: int) -> Piece:
        length, whole = prefix_bytes(self._header, block, rows), int(self._header.byte_counts[block])
        if self._engine.whole_blocks or whole - length < PART_LEAST_SAVED_BYTES:
            length = whole
        return Piece(block, int(self._header.offsets[block]), length, length == whole)

    def _fetch(self, run: Run) -> None:
        def arrived(data: bytes | ReadError) -> None:
            for piece in run.pieces:
                begin = piece.start - run.start
                part = data if isinstance(data, ReadError) else data[begin : begin + piece.length]
                self._engine.compute_long(self._decode, piece, part)

        self._engine.fetch(self._asset.href, run.start, run.length, arrived)

    def _decode(self, piece: Piece, data: bytes | ReadError) -> None:
        held = self._blocks[piece.block]
        if isinstance(data, ReadError):
            self._settle(held, data)
        elif len(data) < piece.length:
            self._settle(held, self._error(f"ends at byte {piece.start + len(data)}, inside a block"))
        else:
            try:
                raw = inflate_rows(self._header, data, held.rows[1], whole=piece.whole)
            except BlockEndsError as error:
                if piece.whole:
                    self._damaged(piece, held, error)
                else:
                    self._top_up(piece, data)
            except ValueError as error:
                self._damaged(piece, held, error)
            else:
                self._settle(held, self._parts_of(held, raw))

    def _parts_of(self, held: _Held, raw: npt.NDArray[np.uint8]) -> dict[int, Pixels]:
        """What each window takes of an inflated block."""
        with self._lock:
            cuts = dict(held.cuts)
        (top, bottom), (left, right) = held.rows, held.cols
        area_px = sum((c.rows[1] - c.rows[0]) * (c.cols[1] - c.cols[0]) for c in cuts.values())
        if area_px < (bottom - top) * (right - left):  # they lie apart
            return {number: unpredict(self._header, raw, cut.rows, cut.cols) for number, cut in cuts.items()}
        pixels = unpredict(self._header, raw, held.rows, held.cols)
        return {
            number: pixels[cut.rows[0] - top : cut.rows[1] - top, cut.cols[0] - left : cut.cols[1] - left]
            for number, cut in cuts.items()
        }

    def _damaged(self, piece: Piece, held: _Held, error: ValueError) -> None:
        """Fetch the block once more, all of it: what damaged it may have been on the way. The file itself stays as it is."""
        held.damaged += 1
        if held.damaged > DAMAGED_AGAIN:
            self._settle(held, self._error(f"block {piece.block}, fetched {held.damaged} times: {error}"))
            return
        log.warning("%s: block %s is damaged, fetching it again: %s", without_query(self._asset.href), piece.block, error)
        length = int(self._header.byte_counts[piece.block])
        self._fetch(Run(piece.start, length, (Piece(piece.block, piece.start, length, True),)))

    def _top_up(self, piece: Piece, data: bytes) -> None:
        """The beginning did not hold all rows: fetch the rest of the block."""
        whole = int(self._header.byte_counts[piece.block])

        def arrived(rest: bytes | ReadError) -> None:
            together = rest if isinstance(rest, ReadError) else data + rest
            self._engine.compute_long(self._decode, Piece(piece.block, piece.start, whole, True), together)

        self._engine.fetch(self._asset.href, piece.start + len(data), whole - len(data), arrived)

    def _settle(self, held: _Held, parts: dict[int, Pixels] | ReadError) -> None:
        with self._lock:
            left = 0 if isinstance(parts, ReadError) or not held.cuts else self._decoded_bytes(held.rows, held.cols)
            freed, held.reserved = held.reserved - left, left
            # A window may have been dropped meanwhile.
            held.parts = parts if isinstance(parts, ReadError) else {n: parts[n] for n in held.cuts}
            waiting, held.waiting = held.waiting, []
        self._engine.memory.release(freed)
        for arrived in waiting:
            arrived()

    def _error(self, problem: str) -> ReadError:
        return ReadError(without_query(self._asset.href), problem)
