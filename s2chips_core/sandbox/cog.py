"""Writing Cloud-Optimized GeoTIFFs tile by tile, in the layout of the real archive.

1024 px tiles and overviews by 2, 4, 8, 16 in 512 px tiles, deflate, predictor 2, nodata 0, directories before data, smallest
overview first, each tile between its size and its own last four bytes, as GDAL's COG driver writes. Equal tiles of a level
are stored once, so an empty sea costs nothing; that is why the file does not claim GDAL's row-major block order.
GDAL's own driver would need every pixel of a level in memory and compress every empty tile again.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

TILE_PX, OVERVIEW_TILE_PX = 1024, 512
OVERVIEWS = (2, 4, 8, 16)
_GHOST = (
    "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
    "KNOWN_INCOMPATIBLE_EDITION=NO\n "
)
_SHORT, _LONG, _ASCII, _DOUBLE = 3, 4, 2, 12
_FORMAT = {_SHORT: "H", _LONG: "I", _ASCII: "s", _DOUBLE: "d"}

Tag = tuple[int, int, int, bytes]
KnownTile = tuple[np.ndarray, bytes]
"""A tile and what it was compressed to."""


def deflated(tile: np.ndarray) -> bytes:
    """One tile, horizontally differenced (TIFF predictor 2) and deflated."""
    difference = tile.copy()
    difference[:, 1:] -= tile[:, :-1]
    # From level 4 on zlib sees well that rows repeat; where there is noise that is no gain, and slow.
    noisy = np.count_nonzero(difference) > 0.05 * difference.size
    return zlib.compress(difference.tobytes(), 1 if noisy else 4)


class CogTiles:
    """The compressed tiles of one band of one scene, level by level."""

    def __init__(self, size_px: int, dtype: type[np.unsignedinteger]) -> None:
        self.size_px, self.dtype = size_px, np.dtype(dtype)
        self.levels: list[dict[tuple[int, int], bytes]] = [{} for _ in (1, *OVERVIEWS)]
        self._plain: dict[tuple[int, int], bytes] = {}

    def level_px(self, level: int) -> int:
        """Width and height of a level, 0 is full size."""
        return -(-self.size_px // (1, *OVERVIEWS)[level])

    def tiles_across(self, level: int) -> int:
        """How many tiles a level has along each side."""
        return -(-self.level_px(level) // (OVERVIEW_TILE_PX if level else TILE_PX))

    def put(self, level: int, row: int, col: int, tile: np.ndarray, known: "list[KnownTile] | None" = None) -> None:
        """Compress a tile and keep it; one that lies outside the raster is forgotten.

        `known` are tiles that were compressed before, for other files; an equal one is taken over, a new one is appended.
        """
        across = self.tiles_across(level)
        if row >= across or col >= across:
            return
        first = tile[0, 0]
        if tile[0, -1] == first and tile[-1, 0] == first and bool((tile == first).all()):
            self.put_plain(level, row, col, int(first))
            return
        for other, data in known or ():
            if np.array_equal(other, tile):
                self.levels[level][row, col] = data
                return
        data = self.levels[level][row, col] = deflated(tile)
        if known is not None:
            known.append((tile, data))

    def put_plain(self, level: int, row: int, col: int, value: int) -> None:
        """A tile of one value."""
        across = self.tiles_across(level)
        if row >= across or col >= across:
            return
        side = OVERVIEW_TILE_PX if level else TILE_PX
        data = self._plain.get((side, value))
        if data is None:
            data = self._plain[side, value] = deflated(np.full((side, side), value, self.dtype))
        self.levels[level][row, col] = data

    def write(self, path: Path, *, epsg: int, ulx_m: float, uly_m: float, pixel_m: float, offset: float | None) -> None:
        """Write the file; `offset` (reflectance) goes into GDAL's metadata with the scale, as real files have it."""
        directories = [self._tags(level, epsg, ulx_m, uly_m, pixel_m, offset) for level in range(len(self.levels))]
        ghost = _GHOST.encode()
        head = f"GDAL_STRUCTURAL_METADATA_SIZE={len(ghost):06d} bytes\n".encode() + ghost
        start = 8 + len(head)
        start += start % 2
        data_start = start + sum(_directory_size(tags) for tags in directories)
        blob: list[bytes] = []
        position = data_start
        for level in reversed(range(len(self.levels))):
            across = self.tiles_across(level)
            known: dict[bytes, int] = {}
            offsets, counts = [], []
            for row in range(across):
                for col in range(across):
                    data = self.levels[level][row, col]
                    if data not in known:
                        blob += [struct.pack("<I", len(data)), data, data[-4:]]
                        known[data] = position + 4
                        position += len(data) + 8
                    offsets.append(known[data])
                    counts.append(len(data))
            tags = {tag[0]: tag for tag in directories[level]}
            tags[324] = _tag(324, _LONG, *offsets)
            tags[325] = _tag(325, _LONG, *counts)
            directories[level] = sorted(tags.values())
        out = bytearray(struct.pack("<2sHI", b"II", 42, start) + head)
        out += b"\0" * (start - len(out))
        for number, tags_of_level in enumerate(directories):
            out += _directory(tags_of_level, len(out), last=number == len(directories) - 1)
        with path.open("wb") as file:
            file.write(bytes(out))
            file.writelines(blob)

    def _tags(self, level: int, epsg: int, ulx_m: float, uly_m: float, pixel_m: float, offset: float | None) -> list[Tag]:
        px, side = self.level_px(level), OVERVIEW_TILE_PX if level else TILE_PX
        tiles = self.tiles_across(level) ** 2
        tags = [
            _tag(256, _SHORT, px),
            _tag(257, _SHORT, px),
            _tag(258, _SHORT, self.dtype.itemsize * 8),
            _tag(259, _SHORT, 8),  # deflate
            _tag(262, _SHORT, 1),
            _tag(277, _SHORT, 1),
            _tag(284, _SHORT, 1),
            _tag(317, _SHORT, 2),  # horizontal differencing
            _tag(322, _SHORT, side),
            _tag(323, _SHORT, side),
            _tag(324, _LONG, *[0] * tiles),
            _tag(325, _LONG, *[0] * tiles),
            _tag(339, _SHORT, 1),
            _tag(42113, _ASCII, b"0\0"),
        ]
        if level:
            return [_tag(254, _LONG, 1), *tags]
        name = f"WGS 84 / UTM zone {epsg % 100}{'N' if epsg < 32700 else 'S'}|WGS 84|\0".encode()
        citation = name.index(b"|") + 1
        keys: tuple[int, ...] = (
            1,
            1,
            0,
            7,
            1024,
            0,
            1,
            1,
            1025,
            0,
            1,
            1,
            1026,
            34737,
            citation,
            0,
            2049,
            34737,
            7,
            citation,
        )
        keys += (2054, 0, 1, 9102, 3072, 0, 1, epsg, 3076, 0, 1, 9001)
        metadata = '<GDALMetadata>\n  <Item name="OVR_RESAMPLING_ALG">AVERAGE</Item>\n'
        if offset is not None:
            metadata += f'  <Item name="OFFSET" sample="0" role="offset">{offset:g}</Item>\n'
            metadata += '  <Item name="SCALE" sample="0" role="scale">0.0001</Item>\n'
        georeference = [
            _tag(33550, _DOUBLE, pixel_m, pixel_m, 0.0),
            _tag(33922, _DOUBLE, 0.0, 0.0, 0.0, ulx_m, uly_m, 0.0),
            _tag(34735, _SHORT, *keys),
            _tag(34737, _ASCII, name),
            _tag(42112, _ASCII, (metadata + "</GDALMetadata>\n\0").encode()),
        ]
        return sorted(tags + georeference)


def _tag(code: int, kind: int, *values: float | bytes) -> Tag:
    if kind == _ASCII:
        text = values[0]
        assert isinstance(text, bytes)
        return code, kind, len(text), text
    return code, kind, len(values), struct.pack(f"<{len(values)}{_FORMAT[kind]}", *values)


def _directory_size(tags: list[Tag]) -> int:
    return 2 + 12 * len(tags) + 4 + sum(len(data) + len(data) % 2 for *_, data in tags if len(data) > 4)


def _directory(tags: list[Tag], offset: int, *, last: bool) -> bytes:
    """One image file directory that begins at `offset`, its long values right behind it."""
    entries, values = [struct.pack("<H", len(tags))], b""
    values_at = offset + 2 + 12 * len(tags) + 4
    for code, kind, count, data in tags:
        if len(data) <= 4:
            entries.append(struct.pack("<HHI", code, kind, count) + data.ljust(4, b"\0"))
        else:
            entries.append(struct.pack("<HHII", code, kind, count, values_at + len(values)))
            values += data + b"\0" * (len(data) % 2)
    following = 0 if last else values_at + len(values)
    return b"".join(entries) + struct.pack("<I", following) + values
