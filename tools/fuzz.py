"""Parsers of what comes from outside, fuzzed with atheris: `python -m tools.fuzz tle -max_total_time=300`.

Not part of the tests, and atheris is no dependency: `pip install atheris`. What it finds becomes a case of a test in
`tests/`. Each target takes bytes; all but the project's own errors are findings, and so is what takes longer than 20 s
(`-timeout=20`) or more than 2 GB (`-rss_limit_mb=2048`). Where there are real files, they are the first inputs.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Target = Callable[[bytes], object]


def _messages() -> Target:
    from s2chips_core.ais.messages import parse_message

    return lambda data: parse_message(data, NOW)


def _tables() -> Target:
    from s2chips_core.ais.tables import read_ais_table

    return lambda data: read_ais_table(data, "x", now=NOW, source_id="file-fuzz")


def _items() -> Target:
    from s2chips_core.scenes.footprints import Footprint
    from s2chips_core.scenes.providers import PROVIDERS
    from s2chips_core.scenes.search import parse_items

    def run(data: bytes) -> None:
        try:
            item = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(item, dict) and "id" in item:
            for provider in PROVIDERS.values():
                for profile in provider.collections.values():
                    for scene in parse_items([item], provider, profile)[0]:
                        scene.to_json().encode()
                        Footprint.of(scene)

    return run


def _tiff_directory() -> Target:
    from s2chips_core.chips.tiff_directory import parse_header

    return parse_header


def _cog_blocks() -> Target:
    import numpy as np

    from s2chips_core.chips.cog import decode_block
    from s2chips_core.chips.tiff_directory import Header

    def run(data: bytes) -> None:
        kinds = ["u1", "<u2", ">u2", "<u4", "<f4"]
        dtype = np.dtype(kinds[data[0] % len(kinds)]) if data else np.dtype("u1")
        header = Header(
            rows=64, cols=64, block_rows=32, block_cols=32, dtype=dtype,
            predictor=1 + (data[1] % 3 if len(data) > 1 and dtype.kind == "f" else len(data) % 2),
            offsets=np.ones((2, 2), np.int64), byte_counts=np.ones((2, 2), np.int64),
            nodata=None, origin_m=None, pixel_m=None,
        )  # fmt: skip
        with contextlib.suppress(ValueError):  # what `block_windows` makes a ReadError of
            decode_block(header, data[2:], (0, 32), (3, 30))

    return run


def _jp2() -> Target:
    from s2chips_core.chips.jp2 import parse_tile_index

    return lambda data: parse_tile_index(data, 1 << 20)


def _kml() -> Target:
    from s2chips_core.overpasses.acquisition_plan import parse_acquisition_plan

    return lambda data: parse_acquisition_plan(data, "x")


def _kml_links() -> Target:
    from s2chips_core.overpasses.kml_links import kml_links

    return lambda data: kml_links(data, "https://a.example/b/")


def _tle() -> Target:
    from s2chips_core.overpasses.elements import parse_elements

    return lambda data: parse_elements(data, "x")


def _schedule() -> Target:
    from s2chips_core.overpasses.schedule import parse_schedule

    return lambda data: parse_schedule(data.decode("utf-8", errors="replace"), "x")


def _hrefs() -> Target:
    from s2chips_core.hrefs import target_of

    return lambda data: target_of(data.decode("utf-8", errors="surrogateescape"), ("good.example", "127.0.0.1:80"))


TARGETS: dict[str, tuple[Callable[[], Target], tuple[str, ...]]] = {
    "messages": (_messages, ("ais/aisstream/*.jsonl",)),
    "tables": (_tables, ("ais/aisstream/*.csv", "ais/marinecadastre*.csv")),
    "items": (_items, ("stac/cdse/*.json", "stac/planetary-computer/S2*.json", "stac/earth-search-v1/item_*.json")),
    "tiff_directory": (_tiff_directory, ("archive-32VPH/**/*.tif",)),
    "cog_blocks": (_cog_blocks, ()),
    "jp2": (_jp2, ("archive-32VPH/**/*.jp2",)),
    "kml": (_kml, ("orbit/acquisition_plan/*.kml",)),
    "kml_links": (_kml_links, ()),
    "tle": (_tle, ("orbit/*.tle",)),
    "schedule": (_schedule, ()),
    "hrefs": (_hrefs, ()),
}
"""Name -> what makes it, and which files of a folder with real data are its first inputs."""
WRITTEN: dict[str, tuple[str, ...]] = {
    "schedule": (
        (
            "tile_id,satellite,overpass_time,window_start,window_end,time_sigma_s,imaging,source,source_epoch,relative_orbit\n"
            "30STF,S2A,2025-10-27T11:04:22.1Z,2025-10-27T10:59:22Z,2025-10-27T11:09:22+00:00,5,planned,tle,2025-10-27T00:00:00Z,94\n"
        ),
    ),
    "kml_links": ("<html><base href='/x/'><!-- a --><a class=b href=\"S2A_20250213.kml?a=1&amp;b\">", "<A HREF=a.kml>"),
    "hrefs": ("https://good.example/a/b.tif?x=1#y", "http://127.0.0.1:80/a", "s3://eodata/a.jp2", "//u:p@[::1]:443/%41"),
    "tables": ("mmsi;lat;lon;overpass_time\n244660123;36,1;-5,4;2025-10-27 11:04:22 UTC\n",),
}
"""Target -> first inputs that are in no file."""
_SEED_MOST_BYTES = 16 * 1024


def main() -> None:
    """Fuzz one target; what is not known here goes to libFuzzer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--data", type=Path, help="folder with real data")
    given, more = parser.parse_known_args()
    import atheris

    make, seeds = TARGETS[given.target]
    with atheris.instrument_imports(include=["s2chips_core"], enable_loader_override=False):
        target = make()
    from s2chips_core.errors import S2ChipsError

    def once(data: bytes) -> None:
        try:
            target(data)
        except S2ChipsError as error:
            str(error).encode()

    with tempfile.TemporaryDirectory() as corpus:
        _write_seeds(given.data, seeds, WRITTEN.get(given.target, ()), Path(corpus))
        options = ["-timeout=20", "-rss_limit_mb=2048", f"-max_len={_SEED_MOST_BYTES}", *more, corpus]
        atheris.Setup([sys.argv[0], *options], once)
        atheris.Fuzz()


def _write_seeds(data: Path | None, patterns: tuple[str, ...], written: tuple[str, ...], corpus: Path) -> None:
    """The beginnings of real files, of lines of JSON each one; and what is written here."""
    pieces: list[Any] = [text.encode() for text in written]
    for pattern in patterns if data is not None else ():
        for file in sorted(data.glob(pattern))[:50] if data is not None else ():
            content = file.read_bytes()
            pieces += content.splitlines()[:200] if file.suffix == ".jsonl" else [content[:_SEED_MOST_BYTES]]
    for number, piece in enumerate(pieces):
        (corpus / f"{number:05d}").write_bytes(piece)


if __name__ == "__main__":
    main()
