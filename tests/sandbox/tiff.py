"""A little TIFF reading for tests, apart from the project's own."""

import struct
from pathlib import Path

_FORMATS = {2: "c", 3: "H", 4: "I", 12: "d"}
Directory = dict[int, tuple[int, ...]]


def directories(path: Path) -> list[Directory]:
    """Tags of each image file directory; -1 is the byte where it ends."""
    data = path.read_bytes()
    (offset,) = struct.unpack_from("<4xI", data)
    found = []
    while offset:
        (count,) = struct.unpack_from("<H", data, offset)
        tags: Directory = {-1: (offset + 6 + 12 * count,)}
        for k in range(count):
            at = offset + 2 + 12 * k
            code, kind, number = struct.unpack_from("<HHI", data, at)
            form = f"<{number}{_FORMATS[kind]}"
            size = struct.calcsize(form)
            where = at + 8 if size <= 4 else struct.unpack_from("<I", data, at + 8)[0]
            tags[code] = struct.unpack_from(form, data, where)
        found.append(tags)
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * count)
    return found
