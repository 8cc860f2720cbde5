"""The embedded archive with blocks as heavy as real ones.

The sandbox draws the sea plain where no ship is, so its blocks compress to a tenth of real ones. Here each block that a
workload touches gets the noise of a sensor and is stored where it lies in a real file: in row-major order, with room for
the blocks between, which are holes. Real files of Earth Search have 1.19 bytes a pixel. Not here: what is touched (`floor`).
"""

import hashlib
import json
import shutil
import struct
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.floor import touched_blocks
from benchmarks.workload import Workload, original
from s2chips_core.chips.cog import Header, decode_block, parse_header

NOISE_DN = 22.0
"""Standard deviation that gives 1.19 bytes a pixel after predictor 2 and deflate."""
HOLE_BYTES = 1_250_000
DEFLATE_LEVEL = 1
"""As dense as GDAL's default of 6 where there is noise, and inflated as fast; a fifth of the time to make."""
_TILE_OFFSETS, _TILE_BYTE_COUNTS, _LONG = 324, 325, 4


def build_dense_archive(
    embedded: Path, folder: Path, workloads: Iterable[Workload], progress: Callable[[str], None]
) -> Path:
    """Make it in `folder`, or leave it when it was made of the same things."""
    blocks: dict[str, set[tuple[int, int]]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    for workload in workloads:
        for href, found in touched_blocks(workload, embedded).items():
            item, _, file = href.partition("/")
            blocks[f"{original(item)}/{file}"] |= found
            names[original(item)].add(item)
    parameters = {
        "embedded": json.loads((embedded / "archive.json").read_text(encoding="utf-8"))["sources"],
        "made": hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16],
        "blocks": {href: sorted(found) for href, found in sorted(blocks.items())},
        "names": {name: sorted(copies) for name, copies in sorted(names.items())},
    }
    said = json.dumps(parameters, sort_keys=True)
    marker = folder / "dense.json"
    if marker.is_file() and marker.read_text(encoding="utf-8") == said:
        progress(f"archive {folder} is there already")
        return folder
    building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    total = sum(map(len, blocks.values()))
    progress(f"giving {total} blocks the weight of real ones, once")
    try:
        with ThreadPoolExecutor(2) as pool:
            for href, found in sorted(blocks.items()):
                (building / href).parent.mkdir(parents=True, exist_ok=True)
                _write(embedded / href, building / href, found, href, pool)
        for name, copies in names.items():
            for copy in copies - {name}:
                (building / copy).mkdir()
                for path in (building / name).iterdir():
                    (building / copy / path.name).hardlink_to(path)
        (building / "dense.json").write_text(said, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _write(source: Path, target: Path, blocks: set[tuple[int, int]], seed: str, pool: ThreadPoolExecutor) -> None:
    shutil.copyfile(source, target)
    if target.name == "SCL.tif":
        return  # classes are as light in reality
    whole = source.read_bytes()
    header = parse_header(whole)
    assert isinstance(header, Header), header
    ordered = sorted(blocks)
    heavy = dict(zip(ordered, pool.map(lambda block: _heavy(header, whole, block, seed), ordered), strict=True))
    offsets, counts = header.offsets.copy(), header.byte_counts.copy()
    with target.open("r+b") as file:
        at = -(-len(whole) // 16) * 16
        for block in np.ndindex(*offsets.shape):
            data = heavy.get(block)  # type: ignore[call-overload]
            if data is None:
                at += HOLE_BYTES
                continue
            file.seek(at)
            file.write(struct.pack("<I", len(data)) + data + data[-4:])
            offsets[block], counts[block] = at + 4, len(data)
            at += len(data) + 8
        for tag, values in ((_TILE_OFFSETS, offsets), (_TILE_BYTE_COUNTS, counts)):
            file.seek(_values_at(whole, tag, values.size))
            file.write(values.astype("<u4").tobytes())


def _values_at(whole: bytes, wanted: int, size: int) -> int:
    """Where the values of a tag of the first directory lie."""
    (start,) = struct.unpack_from("<I", whole, 4)
    (tags,) = struct.unpack_from("<H", whole, start)
    for tag, kind, count, at in struct.iter_unpack("<HHII", whole[start + 2 : start + 2 + 12 * tags]):
        if tag == wanted:
            assert (kind, count) == (_LONG, size)
            return int(at)
    raise AssertionError(f"no tag {wanted}")


def _heavy(header: Header, whole: bytes, block: tuple[int, int], seed: str) -> bytes:
    start, rows, cols = int(header.offsets[block]), header.block_rows, header.block_cols
    pixels = decode_block(header, whole[start : start + int(header.byte_counts[block])], (0, rows), (0, cols))
    digest = hashlib.sha256(f"{seed} {block}".encode()).digest()
    noise = np.random.default_rng(list(digest)).standard_normal(pixels.shape, np.float32)
    noisy = np.clip(pixels + np.rint(noise * np.float32(NOISE_DN)), 1, 20_000).astype(np.uint16)
    noisy[pixels == 0] = 0
    noisy[:, 1:] -= noisy[:, :-1].copy()
    return zlib.compress(noisy.tobytes(), DEFLATE_LEVEL)
