"""The page of a day: one HTML file that opens from a folder or a server, without the internet.

Here: what is on the page, and the door that reads a day, makes the pictures of its chips, and writes its page. Not here:
what is counted (`day_summary`), what the scripts get of chips and refused targets (`day_items`), words and formats
(`facts`), the map (`day_map`), overpasses and captures (`overpasses`), the sheets of pictures (`views`, `view_files`), what
all pages share (`shell`), how it looks and moves (`templates/`).

Up to 300 chips the page holds their quicklooks and can be sent to somebody alone; beyond, it shows the files of the dataset
beside it, each when it is scrolled to. The larger pictures are files in either case: where they are not, the viewer says so.
"""

import dataclasses
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.parts import COMMIT_LOCK, join_parts
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA, unique_chips
from s2chips_core.pages import facts
from s2chips_core.pages.day_items import MAX_INLINE_QUICKLOOKS, chip_items, refused_items
from s2chips_core.pages.day_map import DayMap, build_map
from s2chips_core.pages.day_summary import build_funnel, build_tiles, find_mismatches
from s2chips_core.pages.item_chunks import item_chunks
from s2chips_core.pages.items import refused_name
from s2chips_core.pages.limits import Limits, read_limits
from s2chips_core.pages.overpasses import STATUS_NOTES, DayOverpasses, build_overpasses, read_overpasses
from s2chips_core.pages.rows import Rows, RowsByKey
from s2chips_core.pages.shell import page_pieces
from s2chips_core.pages.tracks import read_fixes
from s2chips_core.pages.view_files import READ_COLUMNS, View, ViewsResult, refresh_views
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

STYLES = ("page.css", "viewer.css")
SCRIPTS = ("dom.js", "viewer.js", "day_store.js", "day_map.js", "day.js")
_INDEX_HEAD_ROWS = 10

SHOWN_ROWS = 100
"""Of the targets without a chip, in the table that is there at once; the others are markup that the script reads when they
are wanted (`templates/day.js`), and that a browser without scripts shows as a second table."""

_SCANNED_ROWS = 500
"""Of the matches at once: each tells its whole scene, which is some kB."""
_MATCHED = pa.schema([MATCH_SCHEMA.field(name) for name in ("source_id", "target_id", "status", "scene")])

_Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DayPage:
    """What was written for a day."""

    key: str
    """Of the page."""
    views: ViewsResult


def build_report(
    day: date,
    *,
    outcomes: pd.DataFrame,
    index: pd.DataFrame,
    quicklooks: Mapping[str, bytes],
    matches: pd.DataFrame,
    generated_at: datetime,
    software_version: str,
    overpasses: DayOverpasses | None = None,
    views: Mapping[str, View] | None = None,
    limits: Limits | None = None,
    fixes: Mapping[int, pd.DataFrame] | None = None,
    title: str | None = None,
    imagery_credit: str | None = None,
) -> bytes:
    """The page of an AIS day as UTF-8 HTML.

    Args:
        day: the UTC day.
        outcomes: all its targets (`OUTCOME_SCHEMA`).
        index: the chips made from its AIS (`PART_SCHEMA`), wherever in time they were sensed.
        quicklooks: chip_id -> JPEG, one pixel per chip pixel: of all chips, or, where there are more than the page holds
            (`MAX_INLINE_QUICKLOOKS`), of at least one for each `config_hash`, which tells how large the chips are.
        matches: its matches (`MATCH_SCHEMA`); gives the footprints of the scenes.
        generated_at: when, aware; passes whose window lies behind that and has no record are missed.
        software_version: of s2chips.
        overpasses: its plan and captures; None for a day of files only.
        views: chip_id -> its sheet of pictures.
        limits: of the gate, by configuration.
        fixes: MMSI -> `time`, `lon`, `lat` of the ship, for its track.
        title: what to call the dataset, beside the date.
        imagery_credit: whose pixels these are; the notice that the Copernicus terms ask for when not given.

    Raises:
        InputError: a chip has no quicklook, or it is no picture.
        SchemaError: a table is not what it should be.
    """
    targets = Rows(tables.conform(outcomes, OUTCOME_SCHEMA, "outcomes"))
    matched = tables.conform(matches, MATCH_SCHEMA, "matches").select(_MATCHED.names)
    return b"".join(
        _pieces(
            day,
            targets=targets,
            chips=Rows(unique_chips(tables.conform(index, PART_SCHEMA, "index"))),
            quicklooks=quicklooks,
            matches=_read_matches([matched], targets),
            generated_at=generated_at,
            software_version=software_version,
            overpasses=overpasses,
            views=views or {},
            limits=limits or Limits({}),
            fixes=fixes or {},
            title=title,
            imagery_credit=imagery_credit,
        )
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Matches:
    """What the page needs of a day's matches."""

    scenes: Mapping[str, Scene]
    """By id."""
    over_cap: set[tuple[str, str]]
    """(source_id, target_id) of targets with a scene; of others than those over the cap it is not asked."""


def _read_matches(tables_of_it: Iterable[pa.Table], targets: Rows) -> _Matches:
    """Go through tables of `_MATCHED`: each row tells its whole scene."""
    texts: dict[str, None] = {}
    known = targets.only("outcome", "source_id", "target_id")
    capped = {(row["source_id"], row["target_id"]) for row in known if row["outcome"] == Outcome.OVER_CAP}
    matched = set()
    for table in tables_of_it:
        texts |= dict.fromkeys(table["scene"].drop_null().unique().to_pylist())
        columns = (table[name].to_pylist() for name in ("source_id", "target_id", "status"))
        rows = zip(*columns, strict=True)
        matched |= {(source, target) for source, target, status in rows if status == MatchStatus.MATCHED}
        matched &= capped
    return _Matches(scenes={s.scene_id: s for s in map(Scene.from_json, texts)}, over_cap=matched)


def _pieces(
    day: date,
    *,
    targets: Rows,
    chips: Rows,
    quicklooks: Mapping[str, bytes],
    matches: _Matches,
    generated_at: datetime,
    software_version: str,
    overpasses: DayOverpasses | None,
    views: Mapping[str, View],
    limits: Limits,
    fixes: Mapping[int, pd.DataFrame],
    title: str | None,
    imagery_credit: str | None,
) -> Iterator[bytes]:
    """The page piece by piece; rows and items are made as they are needed, and not kept."""
    order = {outcome: place for place, outcome in enumerate(Outcome)}
    indexed = set(chips.column("chip_id"))
    refused = targets.take(_order_refused(targets, indexed, order))
    chipped = np.flatnonzero(np.array([outcome == Outcome.CHIPPED for outcome in targets.column("outcome")], dtype=bool))
    of_chip = RowsByKey(targets.take(chipped), "chip_id")
    scenes = sorted(matches.scenes.values(), key=lambda s: (s.mgrs_tile, s.scene_id))
    counts = Counter(Outcome(outcome) for outcome in targets.column("outcome"))
    years = sorted({moment.year for moment in chips.different("scene_datetime")} | {s.datetime.year for s in scenes})
    credit = imagery_credit or f"Contains modified Copernicus Sentinel data {', '.join(map(str, years or [day.year]))}."
    told = targets.only("overpass_time", "ais_source")
    section = None if overpasses is None else build_overpasses(day, overpasses, told, generated_at)
    items = itertools.chain(
        chip_items(chips, of_chip, quicklooks=quicklooks, views=views, limits=limits, fixes=fixes),
        refused_items(refused, matches.scenes, limits),
    )
    named = ((refused_name(number, row), row) for number, row in enumerate(refused, 1))
    types = {kind or facts.NOT_SAID for kind in (*chips.column("ship_type"), *refused.column("ship_type"))}
    return page_pieces(
        "day.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        data={
            "chunks": item_chunks(items),
            "layouts": {one.name: one.to_json() for one in dict.fromkeys(view.layout for view in views.values())},
            "labels": {outcome: note.label for outcome, note in facts.OUTCOME_NOTES.items()},
        }
        if targets
        else None,
        sources={"img-src": ["'self'"]},
        day=day,
        title=title,
        generated=facts.time_text(generated_at.replace(microsecond=0)),
        software_version=software_version,
        credit=credit,
        notes=facts.OUTCOME_NOTES,
        targets=targets,
        tiles=([section.tile] if section else []) + build_tiles(targets, chips, scenes),
        overpasses=section,
        status_notes=STATUS_NOTES,
        stages=build_funnel(targets.only("outcome", "source_id", "target_id"), matches.over_cap),
        outcome_rows=[(o, counts[o]) for o in sorted(counts, key=lambda o: (o != Outcome.CHIPPED, -counts[o], order[o]))],
        widest=max(counts.values(), default=1),
        warnings=[
            *(section.warnings if section else ()),
            *find_mismatches(targets.only("outcome", "chip_id"), indexed, of_chip),
        ],
        synthetic=targets.column("ais_source").count("synthetic"),
        chip_count=len(chips),
        refused_first=itertools.islice(named, SHOWN_ROWS),
        refused_others=named,
        refused_more=len(refused) > SHOWN_ROWS,
        refused_count=len(refused),
        day_map=_day_map(scenes, chips, refused),
        outcome_of={f"target-{n}": sys.intern(outcome) for n, outcome in enumerate(refused.column("outcome"), 1)},
        index_head=_index_head(chips),
        splits=sorted(chips.different("split"), key=lambda s: ("train", "val", "test", s).index(s)),
        ship_types=sorted(types, key=lambda t: (t == facts.NOT_SAID, t.casefold())),
        text=facts,
    )


def _order_refused(targets: Rows, indexed: set[str], order: Mapping[Outcome, int]) -> list[int]:
    """Places of the targets without a chip, by outcome, then by time."""
    names = ("outcome", "chip_id", "ais_time", "source_id", "target_id")
    keys = []
    for place, row in enumerate(targets.only(*names)):
        if row["chip_id"] not in indexed or row["outcome"] != Outcome.CHIPPED:
            key = (order[Outcome(row["outcome"])], str(row["ais_time"]), row["source_id"], row["target_id"])
            keys.append((key, place))
    return [place for _, place in sorted(keys)]


def write_report(
    day: date,
    *,
    storage: Storage,
    settings: Settings,
    generated_at: datetime,
    software_version: str,
    title: str | None = None,
    imagery_credit: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> DayPage:
    """Read what the dataset knows of an AIS day, make the pictures of its chips that are missing, and put its page.

    Args:
        day: the UTC day.
        storage: the dataset.
        settings: the configuration of now; what was made with another is shown with that one's limits.
        generated_at, software_version, title, imagery_credit: see `build_report`.
        progress: is told how far the pictures are.

    Raises:
        StorageError: a table, a chip or a quicklook of the day is not there, or a picture cannot be written.
        SchemaError: a table was written by another version.
    """
    with storage.lock(COMMIT_LOCK):
        targets = Rows(tables.read_arrow(storage, layout.outcomes(day), OUTCOME_SCHEMA))
        matches = _read_matches(tables.scan(storage, layout.matches(day), _MATCHED, _SCANNED_ROWS), targets)
        keys = {
            layout.index_part(row["scene_datetime"].date(), day, row["source_id"])
            for row in targets.only("outcome", "scene_datetime", "source_id")
            if row["outcome"] == Outcome.CHIPPED
        }
        parts = [tables.read_arrow(storage, key, PART_SCHEMA) for key in sorted(keys) if storage.exists(key)]
        chips = Rows(unique_chips(join_parts(parts)))
        del parts
    limits = read_limits(storage, settings)
    scene_days = {moment.date() for moment in targets.different("scene_datetime")} | {day}
    views = refresh_views(chips.only(*READ_COLUMNS), scene_days, storage=storage, limits=limits, progress=progress)
    pieces = _pieces(
        day,
        targets=targets,
        chips=chips,
        quicklooks=_read_quicklooks(storage, chips),
        matches=matches,
        overpasses=read_overpasses(storage, day),
        views=views.views,
        limits=limits,
        fixes=read_fixes(storage, day, sorted(targets.different("source_id"))),
        generated_at=generated_at,
        software_version=software_version,
        title=title,
        imagery_credit=imagery_credit,
    )
    key = layout.report(day)
    with storage.open_write(key) as file:
        for piece in pieces:
            file.write(piece)
    return DayPage(key=key, views=views)


def _read_quicklooks(storage: Storage, chips: Rows) -> dict[str, bytes]:
    """Those that the page needs: all that it holds, else one for each configuration."""
    rows: Iterable[_Row] = chips.only("chip_id", "path", "config_hash")
    wanted = rows if len(chips) <= MAX_INLINE_QUICKLOOKS else {chip["config_hash"]: chip for chip in rows}.values()
    return {chip["chip_id"]: storage.get(layout.chip_artefacts(chip["path"], ("_quicklook.jpg",))[0]) for chip in wanted}


class _ChipPlaces:
    """What the map needs of the chips."""

    def __init__(self, chips: Rows) -> None:
        self._chips = chips.only("chip_id", "ship_name", "mmsi", "lon", "lat", "geometry")

    def items(self) -> Iterator[tuple[str, tuple[str, float, float, bytes]]]:
        """See `day_map.Places`."""
        for c in self._chips:
            yield f"chip-{c['chip_id']}", (facts.name_text(c), c["lon"], c["lat"], c["geometry"])


def _day_map(scenes: Sequence[Scene], chips: Rows, refused: Rows) -> DayMap | None:
    marks = {}
    columns = ("lon", "lat", "ais_lon", "ais_lat", "ship_name", "mmsi", "outcome")
    for number, target in enumerate(refused.only(*columns), 1):
        lon, lat = (target["lon"], target["lat"]) if target["lon"] is not None else (target["ais_lon"], target["ais_lat"])
        if lon is not None and lat is not None:
            marks[f"target-{number}"] = (_mark_label(target), lon, lat)
    return build_map(
        scenes={s.scene_id: (s.mgrs_tile, s.footprint) for s in scenes}, chips=_ChipPlaces(chips), refused=marks
    )


def _mark_label(target: _Row) -> str:
    return f"{facts.name_text(target)}: {facts.OUTCOME_NOTES[Outcome(target['outcome'])].label}"


def _index_head(chips: Rows) -> tuple[list[str], list[list[str]]]:
    """The first rows of the index, the columns named as in `tiles.parquet`; geometry and bbox are what the map shows."""
    columns = [name for name in INDEX_SCHEMA.names if name not in ("geometry", "bbox")]
    return columns, [[_cell(chip[name]) for name in columns] for chip in chips[:_INDEX_HEAD_ROWS]]


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.9g}"
        case list():
            return " ".join(_cell(v) for v in value)
        case _:
            return str(value)
