"""The page of a day: one HTML file that opens from a folder or a server, without the internet.

Here: what is on the page, and the door that reads a day, makes the pictures of its chips, and writes its page. Not here:
what is counted (`day_summary`), what the scripts get of chips and refused targets (`day_items`), words and formats
(`facts`), the map (`day_map`), overpasses and captures (`overpasses`), the sheets of pictures (`views`, `view_files`), what
all pages share (`shell`), how it looks and moves (`templates/`).

Up to 300 chips the page holds their quicklooks and can be sent to somebody alone; beyond, it shows the files of the dataset
beside it, each when it is scrolled to. The larger pictures are files in either case: where they are not, the viewer says so.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.parts import COMMIT_LOCK, join_parts
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA, unique_chips
from s2chips_core.pages import facts
from s2chips_core.pages.day_items import MAX_INLINE_QUICKLOOKS, chip_items, refused_items
from s2chips_core.pages.day_map import DayMap, build_map
from s2chips_core.pages.day_summary import build_funnel, build_tiles, find_mismatches
from s2chips_core.pages.limits import Limits, read_limits
from s2chips_core.pages.overpasses import STATUS_NOTES, DayOverpasses, build_overpasses, read_overpasses
from s2chips_core.pages.shell import render_page
from s2chips_core.pages.tracks import read_fixes
from s2chips_core.pages.view_files import View, ViewsResult, refresh_views
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

STYLES = ("page.css", "viewer.css")
SCRIPTS = ("dom.js", "viewer.js", "day.js")
_INDEX_HEAD_ROWS = 10

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
    targets = tables.conform(outcomes, OUTCOME_SCHEMA, "outcomes").to_pylist()
    chips = unique_chips(tables.conform(index, PART_SCHEMA, "index")).to_pylist()
    matched = tables.conform(matches, MATCH_SCHEMA, "matches")
    order = {outcome: place for place, outcome in enumerate(Outcome)}
    indexed = {c["chip_id"] for c in chips}
    refused = [t for t in targets if t["chip_id"] not in indexed or t["outcome"] != Outcome.CHIPPED]
    refused.sort(key=lambda t: (order[Outcome(t["outcome"])], str(t["ais_time"]), t["source_id"], t["target_id"]))

    of_chip = defaultdict(list)
    for target in targets:
        if target["outcome"] == Outcome.CHIPPED:
            of_chip[target["chip_id"]].append(target)
    found = (Scene.from_json(text) for text in matched["scene"].drop_null().unique().to_pylist())
    by_id = {s.scene_id: s for s in found}
    limits = limits or Limits({})
    views = views or {}
    items = chip_items(chips, of_chip, quicklooks=quicklooks, views=views, limits=limits, fixes=fixes or {})
    items += refused_items(refused, by_id, limits)
    scenes = sorted(by_id.values(), key=lambda s: (s.mgrs_tile, s.scene_id))
    day_map = _day_map(scenes, chips, refused)
    counts = Counter(Outcome(t["outcome"]) for t in targets)
    matched_keys = {
        (source, target)
        for source, target, status in zip(
            *(matched[name].to_pylist() for name in ("source_id", "target_id", "status")), strict=True
        )
        if status == MatchStatus.MATCHED
    }
    years = sorted({c["scene_datetime"].year for c in chips} | {s.datetime.year for s in scenes}) or [day.year]
    credit = imagery_credit or f"Contains modified Copernicus Sentinel data {', '.join(map(str, years))}."

    section = None if overpasses is None else build_overpasses(day, overpasses, targets, generated_at)
    return render_page(
        "day.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        data={
            "items": items,
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
        stages=build_funnel(targets, matched_keys),
        outcome_rows=[(o, counts[o]) for o in sorted(counts, key=lambda o: (o != Outcome.CHIPPED, -counts[o], order[o]))],
        widest=max(counts.values(), default=1),
        warnings=[*(section.warnings if section else ()), *find_mismatches(targets, indexed, of_chip)],
        synthetic=sum(t["ais_source"] == "synthetic" for t in targets),
        chip_count=len(chips),
        refused=list(zip(items[len(chips) :], refused, strict=True)),
        day_map=day_map,
        outcome_of={item["id"]: item["outcome"] for item in items},
        index_head=_index_head(chips),
        splits=sorted({c["split"] for c in chips}, key=lambda s: ("train", "val", "test", s).index(s)),
        ship_types=sorted({item["type"] for item in items}, key=lambda t: (t == facts.NOT_SAID, t.casefold())),
        text=facts,
    )


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
        outcomes = tables.read_table(storage, layout.outcomes(day), OUTCOME_SCHEMA)
        matches = tables.read_table(storage, layout.matches(day), MATCH_SCHEMA)
        chipped = outcomes[outcomes["outcome"] == Outcome.CHIPPED].to_dict("records")
        keys = {layout.index_part(row["scene_datetime"].date(), day, row["source_id"]) for row in chipped}
        parts = [tables.read_arrow(storage, key, PART_SCHEMA) for key in sorted(keys) if storage.exists(key)]
        index = unique_chips(join_parts(parts))
    chips = index.to_pylist()
    limits = read_limits(storage, settings)
    scene_days = {moment.date() for moment in outcomes["scene_datetime"].dropna()} | {day}
    views = refresh_views(chips, scene_days, storage=storage, limits=limits, progress=progress)
    quicklooks = _read_quicklooks(storage, chips)
    del chips  # the page makes its own of them, and of thousands it takes a while
    page = build_report(
        day,
        outcomes=outcomes,
        index=tables.to_frame(index),
        quicklooks=quicklooks,
        matches=matches,
        overpasses=read_overpasses(storage, day),
        views=views.views,
        limits=limits,
        fixes=read_fixes(storage, day, sorted(set(outcomes["source_id"]))),
        generated_at=generated_at,
        software_version=software_version,
        title=title,
        imagery_credit=imagery_credit,
    )
    key = layout.report(day)
    storage.put(key, page)
    return DayPage(key=key, views=views)


def _read_quicklooks(storage: Storage, chips: Sequence[_Row]) -> dict[str, bytes]:
    """Those that the page needs: all that it holds, else one for each configuration."""
    wanted = chips if len(chips) <= MAX_INLINE_QUICKLOOKS else {chip["config_hash"]: chip for chip in chips}.values()
    return {chip["chip_id"]: storage.get(layout.chip_artefacts(chip["path"], ("_quicklook.jpg",))[0]) for chip in wanted}


def _day_map(scenes: Sequence[Scene], chips: Sequence[_Row], refused: Sequence[_Row]) -> DayMap | None:
    marks = {}
    for number, target in enumerate(refused, 1):
        lon, lat = (target["lon"], target["lat"]) if target["lon"] is not None else (target["ais_lon"], target["ais_lat"])
        if lon is not None and lat is not None:
            marks[f"target-{number}"] = (_mark_label(target), lon, lat)
    return build_map(
        scenes={s.scene_id: (s.mgrs_tile, s.footprint) for s in scenes},
        chips={f"chip-{c['chip_id']}": (facts.name_text(c), c["lon"], c["lat"], c["geometry"]) for c in chips},
        refused=marks,
    )


def _mark_label(target: _Row) -> str:
    return f"{facts.name_text(target)}: {facts.OUTCOME_NOTES[Outcome(target['outcome'])].label}"


def _index_head(chips: Sequence[_Row]) -> tuple[list[str], list[list[str]]]:
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
