"""The pixels of the sandbox over HTTP: whole files and single byte ranges, after RFC 9110.

Not here: counting and failing on purpose (`faults`), the thread that serves (`server`).
"""

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the byte after the last of a `Range` header; none where it is to be ignored.

    Raises:
        ValueError: the range has no byte of the file: answer 416.

    >>> parse_range("bytes=0-99", 1000), parse_range("bytes=-10", 1000), parse_range("bytes=990-", 1000)
    ((0, 100), (990, 1000), (990, 1000))
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None  # several ranges, another unit, nonsense: RFC 9110 lets a server send the whole
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise ValueError(header)
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise ValueError(header)
    return int(first), min(int(last) + 1, size) if last else size


class DataFiles:
    """GET and HEAD for the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    async def __call__(self, request: Request) -> Response:
        """The answer to one request; 404 for what is not there or would leave the folder."""
        path = (self.folder / request.path_params["path"]).resolve()
        if not path.is_relative_to(self.folder) or not path.is_file():
            return Response("no such file", status_code=404, media_type="text/plain")
        about = path.stat()
        size = about.st_size
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{about.st_mtime_ns:x}-{size:x}"'}
        kind = "image/tiff" if path.suffix == ".tif" else "application/octet-stream"
        first, stop, status = 0, size, 200
        asked = request.headers.get("range")
        condition = request.headers.get("if-range")
        if asked and request.method == "GET" and condition in (None, headers["ETag"]):
            try:
                part = parse_range(asked, size)
            except ValueError:
                headers["Content-Range"] = f"bytes */{size}"
                return Response(status_code=416, headers=headers)
            if part is not None:
                first, stop = part
                status = 206
                headers["Content-Range"] = f"bytes {first}-{stop - 1}/{size}"
        if request.method == "HEAD":
            headers["Content-Length"] = str(size)
            return Response(status_code=200, headers=headers, media_type=kind)
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(stop - first)
        return Response(body, status_code=status, headers=headers, media_type=kind)
