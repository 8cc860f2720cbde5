"""Placemarks of a KML file (OGC 12-007r2), read without trusting it.

Here: XML to texts: folder names, extended data, time span and rings of each placemark. Elements are known by their local
names, whatever their prefix or version of the namespace. Not here: what the texts mean (`acquisition_plan`).

A file with a document type is refused before anything of it is read, so there are no entities to expand and none to fetch;
the file is bounded in size, depth and number of placemarks, and parsed in one call, because expat before 2.6 rereads a long
token for every piece it is given (CVE-2023-52425).
"""

import dataclasses
from xml.parsers import expat

from s2chips_core.errors import InputError

MAX_BYTES = 32 << 20  # a published plan has 1.3 to 2.9 MB
MAX_DEPTH = 50
MAX_PLACEMARKS = 20_000
MAX_TEXT_CHARS = 100_000  # a ring of 75 vertices has 4,000
_MAX_DATA = 50
_FEATURES = ("Document", "Folder")
_TEXTS = frozenset({"name", "begin", "end", "value", "styleUrl", "coordinates"})


@dataclasses.dataclass(slots=True, kw_only=True)
class Placemark:
    """The texts of one placemark, stripped; an absent one is empty."""

    line: int
    """Line of the file where it begins, from 1."""
    folders: tuple[str, ...]
    """Names of the folders it is in, the outermost first."""
    name: str = ""
    begin: str = ""
    end: str = ""
    style_url: str = ""
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    """ExtendedData, by the name of each value."""
    rings: list[str] = dataclasses.field(default_factory=list)
    """Coordinates of the outer boundary of each polygon."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kml:
    """A KML document."""

    title: str
    """Name of the document, or else of its first folder that has one."""
    placemarks: list[Placemark]


def read_kml(data: bytes, source: str) -> Kml:
    """Read the placemarks of a KML file.

    Args:
        data: the file, in any encoding that its XML declaration names and Python knows.
        source: what to call it in an error.

    Raises:
        InputError: it is no KML, not well-formed, has a document type, or is larger than any real one.
    """
    if len(data) > MAX_BYTES:
        raise InputError(source, f"{len(data):,} bytes", f"a KML file of at most {MAX_BYTES:,} bytes")
    reader = _Reader(source, _beginning(data))
    try:
        reader.parser.Parse(data, True)
    except InputError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: an encoding Python does not know
        raise InputError(source, f"{_beginning(data)} ({error})", "a KML file: well-formed XML") from error
    return Kml(title=reader.title, placemarks=reader.placemarks)


class _Reader:
    def __init__(self, source: str, beginning: str) -> None:
        self.source, self.beginning = source, beginning
        self.title = ""
        self.placemarks: list[Placemark] = []
        self._path: list[str] = []
        self._folders: list[str] = []
        self._placemark: Placemark | None = None
        self._data_name = ""
        self._text: list[str] | None = None
        self._chars = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _refuse_doctype(self, name: str, *_: object) -> None:
        raise InputError(self.source, f"<!DOCTYPE {name[:40]}", "a KML file: XML without a document type or entities")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        if not self._path and local != "kml":
            raise InputError(self.source, f"<{tag[:40]}> ({self.beginning})", "a KML file: XML with <kml> at its root")
        if len(self._path) == MAX_DEPTH:
            raise InputError(self.source, f"elements nested deeper than {MAX_DEPTH}", "a KML file")
        self._path.append(local)
        self._text = [] if local in _TEXTS else None
        self._chars = 0
        if local in _FEATURES:
            self._folders.append("")
        elif local == "Placemark":
            if len(self.placemarks) == MAX_PLACEMARKS:
                raise InputError(self.source, f"more than {MAX_PLACEMARKS:,} placemarks", "an acquisition plan")
            folders = tuple(name for name in self._folders if name)
            self._placemark = Placemark(line=self.parser.CurrentLineNumber, folders=folders)
            self.placemarks.append(self._placemark)
        elif local == "Data":
            self._data_name = attributes.get("name", "")

    def _characters(self, text: str) -> None:
        if self._text is not None and self._chars < MAX_TEXT_CHARS:
            self._text.append(text[: MAX_TEXT_CHARS - self._chars])
            self._chars += len(text)

    def _end(self, tag: str) -> None:
        local = self._path.pop()
        parent = self._path[-1] if self._path else ""
        if self._text is not None:
            self._keep(local, parent, "".join(self._text).strip())
            self._text = None
        if local in _FEATURES:
            self._folders.pop()
        elif local == "Placemark":
            self._placemark = None

    def _keep(self, local: str, parent: str, text: str) -> None:
        placemark = self._placemark
        if local == "name" and parent in _FEATURES:
            self._folders[-1] = text
            self.title = self.title or text
        if placemark is None:
            return
        if local == "name" and parent == "Placemark":
            placemark.name = text
        elif local == "begin":
            placemark.begin = text
        elif local == "end":
            placemark.end = text
        elif local == "styleUrl":
            placemark.style_url = text
        elif local == "value" and parent == "Data" and len(placemark.data) < _MAX_DATA:
            placemark.data[self._data_name] = text
        elif local == "coordinates" and "outerBoundaryIs" in self._path:
            placemark.rings.append(text)


def _beginning(data: bytes) -> str:
    """The first characters of a file, to show what came."""
    return repr(data[:60].decode("latin-1").strip())
