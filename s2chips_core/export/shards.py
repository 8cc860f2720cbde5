"""WebDataset shards: tar files of samples, in an order that mixes ships, places and days.

Here: the order and the tars. Not here: the files that go in (`chip_files`). A sample is the files whose names are the same
up to the first dot: `{chip_id}.tif` (or `.npy`), `.jpg`, `.json`, and `.masks.tif` where there are masks. Same chips and
same seed give the same bytes: no time, no user.
"""

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO

import numpy as np
from rasterio.io import MemoryFile

from s2chips_core.export.chip_files import QUICKLOOK_SUFFIX, SIDECAR_SUFFIX, TIF_SUFFIX
from s2chips_core.index.chip_files import MASKS_SUFFIX

NAMES = {TIF_SUFFIX: ".tif", MASKS_SUFFIX: ".masks.tif", QUICKLOOK_SUFFIX: ".jpg", SIDECAR_SUFFIX: ".json"}
BLOCK_BYTES = 512
END_BYTES = 10_240
"""A tar is filled up to a multiple of this."""
MB = 1_000_000


def shuffled(chip_ids: Sequence[str], seed: int) -> list[int]:
    """The places of chips in an order that looks random and depends on ids and seed only, not on how they were sorted."""
    keys = [hashlib.sha256(f"{seed}|{chip_id}".encode()).digest() for chip_id in chip_ids]
    return sorted(range(len(keys)), key=keys.__getitem__)


def sample_files(data: Mapping[str, bytes], array: str) -> dict[str, bytes]:
    """The files of a sample by the rest of their names; pixels as `tif`, or as `npy`: float32 (bands, rows, cols).

    Args:
        data: the files of a chip by suffix.
        array: tif or npy.
    """
    named = {NAMES[suffix]: content for suffix, content in data.items()}
    if array == "npy":
        named[".npy"] = _npy(named.pop(".tif"))
    return dict(sorted(named.items()))


def write_shards(
    samples: Iterable[tuple[str, dict[str, bytes]]],
    open_shard: Callable[[int], contextlib.AbstractContextManager[IO[bytes]]],
    *,
    most_chips: int,
    most_mb: int,
) -> list[int]:
    """Write samples into shards, in their order; a shard is never empty and never above its limits but for one sample.

    Args:
        samples: chip_id and `sample_files`.
        open_shard: the file of shard number n, counted from 0.
        most_chips, most_mb: of one shard; 10^6 bytes.

    Returns:
        The number of chips of each shard.
    """
    counts: list[int] = []
    with contextlib.ExitStack() as opened:
        tar, size = None, 0
        for chip_id, files in samples:
            added = sum(_in_tar(len(data)) for data in files.values())
            if tar is None or counts[-1] == most_chips or size + added + END_BYTES > most_mb * MB:
                opened.close()
                tar = opened.enter_context(_tar(open_shard(len(counts))))
                counts.append(0)
                size = 0
            for rest, data in files.items():
                tar.addfile(_entry(f"{chip_id}{rest}", len(data)), io.BytesIO(data))
            counts[-1] += 1
            size += added
    return counts


@contextlib.contextmanager
def _tar(file: contextlib.AbstractContextManager[IO[bytes]]) -> Iterator[tarfile.TarFile]:
    with file as sink, tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        yield tar


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, 0, 0o644
    return entry


def _in_tar(size: int) -> int:
    """A header, and the data up to a whole block."""
    return BLOCK_BYTES + -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _npy(tif: bytes) -> bytes:
    with MemoryFile(tif) as memory, memory.open(driver="GTiff") as raster:
        pixels = raster.read()
    sink = io.BytesIO()
    np.save(sink, pixels, allow_pickle=False)
    return sink.getvalue()
