"""Blocks that windows share: fetched once, kept as long as somebody needs them, the beginning of one topped up."""

import dataclasses
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s2chips_core.chips import block_windows
from s2chips_core.chips.block_windows import BlockWindows
from s2chips_core.chips.cog import Header, parse_header
from s2chips_core.chips.engine import Engine
from s2chips_core.chips.grid import Window
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import asset_of, make_cog

# Some rows are smooth, and take next to nothing.
PIXELS = np.random.default_rng(3).integers(0, 60000, (512, 512)).astype("uint16")
PIXELS[:100] = 7
PIXELS[256:356] = 7
COG = make_cog(PIXELS, 256)
ROUGH = PIXELS[::-1].copy()
ROUGH_COG = make_cog(ROUGH, 256)


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with serving({"smooth.tif": COG, "rough.tif": ROUGH_COG}) as server:
        yield server


class Reading:
    """Windows of a file, and waiting for them."""

    def __init__(self, server: RangeServer, name: str, windows: list[Window], pool: ThreadPoolExecutor) -> None:
        server.asked.clear()
        server.fault = lambda number, path: None
        found = parse_header(server.files[name])  # type: ignore[arg-type]
        assert isinstance(found, Header)
        self.header = found
        self.memory = MemoryBudget(1 << 40)
        self.failures: list[BaseException] = []
        fetcher = Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)
        engine = Engine(fetcher, network=pool, processor=pool, memory=self.memory, failed=self.failures.append)
        pixels = PIXELS if name == "smooth.tif" else ROUGH
        self.windows = BlockWindows(asset_of(server.href(name), pixels), found, windows, engine)

    def read(self, *numbers: int) -> None:
        size = sum(self.windows.reserve(number) for number in numbers)
        self.memory.reserve(size, lambda: None)
        done = threading.Event()
        self.windows.read(numbers, done.set)
        assert done.wait(20), self.failures


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


LEFT = Window(row_off=110, col_off=10, rows=64, cols=64)
ACROSS = Window(row_off=200, col_off=220, rows=64, cols=64)
LOW = Window(row_off=190, col_off=100, rows=64, cols=64)


def test_a_block_is_fetched_once_for_windows_that_are_read_one_after_the_other(
    server: RangeServer, pool: ThreadPoolExecutor
) -> None:
    reading = Reading(server, "smooth.tif", [LEFT, ACROSS, LOW], pool)
    for number, window in enumerate((LEFT, ACROSS, LOW)):
        reading.read(number)
        expected = PIXELS[window.row_off :, window.col_off :][:64, :64]
        np.testing.assert_array_equal(reading.windows.pixels(number), expected)
    spans = sorted((a.first, a.last) for a in server.asked)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))  # type: ignore[operator]


def test_bytes_are_given_back_with_the_last_window_of_a_block(server: RangeServer, pool: ThreadPoolExecutor) -> None:
    reading = Reading(server, "smooth.tif", [LEFT, LOW], pool)
    assert reading.windows.needs_bytes(0) == reading.windows.needs_bytes(1) > 0
    reading.read(0)
    assert reading.windows.needs_bytes(1) == 0, "the same block"
    held = reading.memory.used_bytes
    assert held <= 256 * 256 * 2, "compressed bytes are gone"
    reading.windows.drop(0)
    assert reading.memory.used_bytes == held
    reading.read(1)
    reading.windows.drop(1)
    reading.windows.drop(1)
    assert reading.memory.used_bytes == 0


def test_a_window_that_is_never_read_gives_back_too(server: RangeServer, pool: ThreadPoolExecutor) -> None:
    reading = Reading(server, "smooth.tif", [LEFT], pool)
    reading.memory.reserve(reading.windows.reserve(0), lambda: None)
    assert reading.memory.used_bytes > 0
    reading.windows.drop(0)
    assert (reading.memory.used_bytes, server.asked) == (0, [])


def test_a_beginning_that_is_too_short_is_topped_up(
    server: RangeServer, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Never enough.
    monkeypatch.setattr(block_windows, "prefix_bytes", lambda header, block, rows: 2000)
    window = Window(row_off=60, col_off=0, rows=64, cols=300)
    reading = Reading(server, "rough.tif", [window], pool)
    reading.read(0)
    np.testing.assert_array_equal(reading.windows.pixels(0), ROUGH[60:124, :300])
    sizes = reading.header.byte_counts[0, :2]
    spans = sorted((a.first, a.last - a.first + 1) for a in server.asked)  # type: ignore[operator, misc]
    assert [length for _, length in spans] == [2000, sizes[0] - 2000, 2000, sizes[1] - 2000]
    reading.windows.drop(0)
    assert reading.memory.used_bytes == 0


def test_only_the_beginning_of_a_block_is_fetched_where_that_saves_much(
    server: RangeServer, pool: ThreadPoolExecutor
) -> None:
    reading = Reading(server, "smooth.tif", [Window(row_off=60, col_off=0, rows=60, cols=60)], pool)
    reading.read(0)
    np.testing.assert_array_equal(reading.windows.pixels(0), PIXELS[60:120, :60])
    [asked] = server.asked
    assert asked.last - asked.first + 1 < 0.6 * reading.header.byte_counts[0, 0]  # type: ignore[operator]


def test_a_stream_that_ends_inside_its_whole_block_is_an_error(server: RangeServer, pool: ThreadPoolExecutor) -> None:
    reading = Reading(server, "rough.tif", [Window(row_off=190, col_off=0, rows=64, cols=60)], pool)
    short = reading.header.byte_counts.copy()
    short[0, 0] -= 40_000
    header = dataclasses.replace(reading.header, byte_counts=short)
    reading.windows._header = header
    reading.read(0)
    problem = reading.windows.problem(0)
    assert isinstance(problem, ReadError)
    assert "block (0, 0)" in str(problem)
    reading.windows.drop(0)
    assert reading.memory.used_bytes == 0


@pytest.mark.parametrize("damaged_times", [1, 2, 3])
def test_a_damaged_block_is_fetched_again_and_never_becomes_pixels(
    server: RangeServer, pool: ThreadPoolExecutor, damaged_times: int
) -> None:
    reading = Reading(server, "rough.tif", [LEFT], pool)
    start, length = int(reading.header.offsets[0, 0]), int(reading.header.byte_counts[0, 0])
    damaged = bytearray(ROUGH_COG)
    damaged[start + 100] ^= 0x10
    damaged[start + length - 1] ^= 1

    def serve(number: int, path: str) -> None:
        server.files["rough.tif"] = bytes(damaged) if number <= damaged_times else ROUGH_COG

    server.fault = serve
    try:
        reading.read(0)
    finally:
        server.files["rough.tif"] = ROUGH_COG
    problem = reading.windows.problem(0)
    if problem is None:
        np.testing.assert_array_equal(reading.windows.pixels(0), ROUGH[110:174, 10:74])
    assert (problem is None) == (damaged_times < 3)
    assert len(server.asked) == min(damaged_times, 2) + 1
    assert server.asked[-1].last == start + length - 1, "all of it"
    reading.windows.drop(0)
    assert reading.memory.used_bytes == 0


def test_no_mere_beginnings_are_fetched_where_checksums_are_wanted(server: RangeServer, pool: ThreadPoolExecutor) -> None:
    window = Window(row_off=0, col_off=0, rows=64, cols=64)
    lengths = []
    for whole in (False, True):
        reading = Reading(server, "smooth.tif", [window], pool)
        reading.windows._engine.whole_blocks = whole
        reading.read(0)
        np.testing.assert_array_equal(reading.windows.pixels(0), PIXELS[:64, :64])
        lengths.append(sum(asked.last - asked.first + 1 for asked in server.asked))  # type: ignore[operator]
    assert lengths[0] < lengths[1] == int(reading.header.byte_counts[0, 0])
