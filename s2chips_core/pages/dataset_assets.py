"""The files beside the page of the dataset: data and libraries, each a script, each named after a hash of its bytes.

Here: what such a file looks like and is called, and the libraries that are shipped with the package (`vendor/`). Not here:
what data they hold (`dataset_items`), writing them (`dataset`).

A page that was opened from a disk may not fetch, but it may load scripts: so data are scripts that hand themselves over by
`s2chips.take(name, data)`. Since the name holds the hash, a file that is there is right, and an old page and a new one do
not meet each other's files.
"""

import dataclasses
import hashlib
import importlib.resources
import json
from typing import Any

VENDORED = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
    "supercluster.min.js": "5981fb396427d9050ae430a350d3e6175b33acd6bb1523713fa457b5ca3411d4",
    "land-50m.json": "619477ff690c086885e45cb91707d783805561bd75ae8e437b7d4694b0204e0f",
    "land-10m.json.gz": "9b9f584709c119d63fbadf484ce425260497697b7166be7a2fe360e8c0b171a8",
}
"""SHA-256 of the files of `vendor/` as they are in their packages (of `.gz` what is in it); README.md there says which."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    name: str
    """`columns-0123456789ab.js`."""
    data: bytes


def data_asset(name: str, data: Any) -> Asset:
    """A script that hands over `data`.

    Raises:
        ValueError: NaN or infinity, which JSON has not.
    """
    # ASCII only: no encoding to guess. `<` never ends up in markup as it is, and U+2028 not as a line end.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return _asset(name, f"s2chips.take({json.dumps(name)},{text});\n".encode("ascii"))


def library_assets() -> dict[str, Asset]:
    """Leaflet and Supercluster, by a short name."""
    # Without the reference to a source map, which is not shipped: developer tools would look for it.
    leaflet = vendored("leaflet.js").partition("\n//# sourceMappingURL")[0]
    return {
        "leaflet": _asset("leaflet", leaflet.encode("utf-8")),
        "supercluster": _asset("supercluster", vendored("supercluster.min.js").encode("utf-8")),
    }


def vendored(name: str) -> str:
    """The text of a file of `vendor/`."""
    return (importlib.resources.files("s2chips_core.pages") / "vendor" / name).read_text(encoding="utf-8")


def _asset(name: str, data: bytes) -> Asset:
    return Asset(name=f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.js", data=data)
