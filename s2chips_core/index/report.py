"""The page of a day: one HTML file that needs nothing else, neither a server nor the internet.

Here: what is on the page, and the door that reads a day and writes its page. Not here: what is counted (`report_summary`),
pictures and refused targets one by one (`report_items`), words and formats (`report_facts`), the map (`report_map`),
overpasses and captures (`report_overpasses`), how it looks and moves (`templates/`).

Names of ships come from strangers. They reach the page through jinja2's autoescape, or as JSON that the script puts in as
text; a Content-Security-Policy with the hashes of our own script and style stops whatever else might want to run.
"""

import base64
import hashlib
import importlib.resources
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from s2chips_core import layout, tables
from s2chips_core.index import report_facts as facts
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.parts import COMMIT_LOCK, join_parts
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA, unique_chips
from s2chips_core.index.report_items import MAX_FULL_QUICKLOOKS, chip_item, find_quicklook, refused_item
from s2chips_core.index.report_map import DayMap, build_map
from s2chips_core.index.report_overpasses import STATUS_NOTES, DayOverpasses, build_overpasses, read_overpasses
from s2chips_core.index.report_summary import build_funnel, build_tiles, find_mismatches
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

_INDEX_HEAD_ROWS = 10

_Row = Mapping[str, Any]


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
    title: str | None = None,
    imagery_credit: str | None = None,
) -> bytes:
    """The page of an AIS day as UTF-8 HTML.

    Args:
        day: the UTC day.
        outcomes: all its targets (`OUTCOME_SCHEMA`).
        index: the chips made from its AIS (`INDEX_SCHEMA`), wherever in time they were sensed.
        quicklooks: chip_id -> JPEG, one pixel per chip pixel.
        matches: its matches (`MATCH_SCHEMA`); gives the footprints of the scenes.
        generated_at: when, aware; passes whose window lies behind that and has no record are missed.
        software_version: of s2chips.
        overpasses: its plan and captures; None for a day of files only.
        title: what to call the dataset, beside the date.
        imagery_credit: whose pixels these are; the notice that the Copernicus terms ask for when not given.

    Raises:
        InputError: a chip has no quicklook, or it is no picture.
        SchemaError: a table is not what it should be.
    """
    targets = tables.conform(outcomes, OUTCOME_SCHEMA, "outcomes").to_pylist()
    chips = unique_chips(tables.conform(index, INDEX_SCHEMA, "index")).to_pylist()
    matched = tables.conform(matches, MATCH_SCHEMA, "matches")
    order = {outcome: place for place, outcome in enumerate(Outcome)}
    indexed = {c["chip_id"] for c in chips}
    refused = [t for t in targets if t["chip_id"] not in indexed or t["outcome"] != Outcome.CHIPPED]
    refused.sort(key=lambda t: (order[Outcome(t["outcome"])], str(t["ais_time"]), t["source_id"], t["target_id"]))

    of_chip = defaultdict(list)
    for target in targets:
        if target["outcome"] == Outcome.CHIPPED:
            of_chip[target["chip_id"]].append(target)
    full = len(chips) <= MAX_FULL_QUICKLOOKS
    items = [chip_item(c, of_chip[c["chip_id"]], find_quicklook(quicklooks, c["chip_id"]), full=full) for c in chips]
    items += [refused_item(number, target) for number, target in enumerate(refused, 1)]

    found = (Scene.from_json(text) for text in matched["scene"].drop_null().unique().to_pylist())
    scenes = sorted({s.scene_id: s for s in found}.values(), key=lambda s: (s.mgrs_tile, s.scene_id))
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
    style, script = _own_file("report.css"), _own_file("report.js")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            day=day,
            title=title,
            generated=facts.time_text(generated_at.replace(microsecond=0)),
            software_version=software_version,
            credit=credit,
            policy=_content_policy(style, script),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            notes=facts.OUTCOME_NOTES,
            targets=targets,
            tiles=([section.tile] if section else []) + build_tiles(targets, chips, scenes),
            overpasses=section,
            status_notes=STATUS_NOTES,
            stages=build_funnel(targets, matched_keys),
            outcome_rows=[
                (o, counts[o]) for o in sorted(counts, key=lambda o: (o != Outcome.CHIPPED, -counts[o], order[o]))
            ],
            widest=max(counts.values(), default=1),
            warnings=[*(section.warnings if section else ()), *find_mismatches(targets, indexed, of_chip)],
            synthetic=sum(t["ais_source"] == "synthetic" for t in targets),
            items=items,
            chip_count=len(chips),
            full=full,
            refused=list(zip(items[len(chips) :], refused, strict=True)),
            day_map=day_map,
            outcome_of={item["id"]: item["outcome"] for item in items},
            labels={outcome: note.label for outcome, note in facts.OUTCOME_NOTES.items()},
            index_head=_index_head(chips),
            splits=sorted({c["split"] for c in chips}, key=lambda s: ("train", "val", "test", s).index(s)),
            ship_types=sorted({item["type"] for item in items}, key=lambda t: (t == facts.NOT_SAID, t.casefold())),
            text=facts,
        )
    )
    return page.encode("utf-8")


def write_report(
    day: date,
    *,
    storage: Storage,
    generated_at: datetime,
    software_version: str,
    title: str | None = None,
    imagery_credit: str | None = None,
) -> str:
    """Read what the dataset knows of an AIS day, and put its page; returns the page's key.

    Raises:
        StorageError: a table or a quicklook of the day is not there.
        SchemaError: a table was written by another version.
    """
    with storage.lock(COMMIT_LOCK):
        outcomes = tables.read_table(storage, layout.outcomes(day), OUTCOME_SCHEMA)
        matches = tables.read_table(storage, layout.matches(day), MATCH_SCHEMA)
        chipped = outcomes[outcomes["outcome"] == Outcome.CHIPPED].to_dict("records")
        keys = {layout.index_part(row["scene_datetime"].date(), day, row["source_id"]) for row in chipped}
        parts = [tables.read_arrow(storage, key, PART_SCHEMA) for key in sorted(keys) if storage.exists(key)]
        index = unique_chips(join_parts(parts))
        pictures = {
            chip_id: layout.chip_artefacts(path, ("_quicklook.jpg",))[0]
            for chip_id, path in zip(index["chip_id"].to_pylist(), index["path"].to_pylist(), strict=True)
        }
        quicklooks = {chip_id: storage.get(key) for chip_id, key in pictures.items()}
    overpasses = read_overpasses(storage, day)
    page = build_report(
        day,
        outcomes=outcomes,
        index=tables.to_frame(index),
        quicklooks=quicklooks,
        matches=matches,
        overpasses=overpasses,
        generated_at=generated_at,
        software_version=software_version,
        title=title,
        imagery_credit=imagery_credit,
    )
    key = layout.report(day)
    storage.put(key, page)
    return key


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


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("s2chips_core.index", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _own_file(name: str) -> str:
    return (importlib.resources.files("s2chips_core.index") / "templates" / name).read_text(encoding="utf-8")


def _content_policy(style: str, script: str) -> str:
    """Nothing may be fetched, and nothing may run but our own script (CSP level 2, hash sources)."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
