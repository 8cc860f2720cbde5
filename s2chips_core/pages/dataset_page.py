"""The page of the whole dataset: map, gallery, days, balance, gate numbers, vessels in more than one split.

Here: what is on the page, from tables to bytes. Not here: counting (`dataset_days`, `dataset_balance`, `dataset_gate`,
`dataset_leakage`), packing the chips (`dataset_items`), reading and writing (`dataset`), how it looks (`templates/`).
"""

import calendar
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from s2chips_core import layout
from s2chips_core.chips.hull import COURSE_IS_DIRECTION_KN
from s2chips_core.config import Settings
from s2chips_core.pages import dataset_days, facts
from s2chips_core.pages.coast import build_coarse, build_fine
from s2chips_core.pages.dataset_assets import Asset, data_asset, library_assets
from s2chips_core.pages.dataset_balance import LENGTH_EDGES_M, build_balance, present_splits, range_labels
from s2chips_core.pages.dataset_days import Day
from s2chips_core.pages.dataset_gate import build_histograms
from s2chips_core.pages.dataset_items import UNKNOWN_LENGTH, build_chunks, build_columns
from s2chips_core.pages.dataset_leakage import Leakage, find_leakage
from s2chips_core.pages.shell import render_page
from s2chips_core.pages.views import Layout

STYLES = ("page.css", "viewer.css", "vendor/leaflet.css", "dataset.css")
SCRIPTS = (
    *("dom.js", "viewer.js", "dataset_store.js", "dataset_gallery.js", "dataset_map.js", "dataset_days.js"),
    "dataset_viewer.js",
)
SOURCES = {
    # Files beside the page are loaded by our own script, which a hash lets run; nothing else may load any.
    "script-src": ["'strict-dynamic'"],
    "img-src": ["'self'", "file:"],
}
SPLIT_MARKS = {"train": "M0-5A5 5 0 1 1 0 5A5 5 0 1 1 0-5Z", "val": "M0-6L5.5 4.5H-5.5Z", "test": "M-4.5-4.5H4.5V4.5H-4.5Z"}
_OTHER_MARK = "M0-6L6 0L0 6L-6 0Z"
_LINKED = (".tif", "_quicklook.jpg", ".json", ".geojson")
_MOST_TYPES = 200
_OPEN_MONTHS = 14
"""Up to so many months the calendar shows all of its years at once, beyond only the newest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPage:
    """The page and what it loads."""

    html: bytes
    assets: tuple[Asset, ...]
    leaking_vessels: int
    """Vessels in more than one split."""


def build_dataset_page(
    index: pd.DataFrame,
    days: Sequence[Day],
    refused: pd.DataFrame,
    *,
    layouts: Mapping[str, Layout],
    settings: Settings,
    generated_at: datetime,
    software_version: str,
    title: str | None = None,
    imagery_credit: str | None = None,
) -> DatasetPage:
    """The page of a dataset.

    Args:
        index: its chips, in the order of the index, with `dataset_items.READ_COLUMNS`.
        days: its days with outcomes, in order.
        refused: what the gate measured of the targets that it refused (`dataset_days.REFUSED_COLUMNS`).
        layouts: chip_id -> what is where on its sheet of pictures; none where it has no sheet.
        settings: today's; gives the gate's thresholds, the side of a chip and what splits go by.
        generated_at: when, aware.
        software_version: of s2chips.
        title: what to call the dataset.
        imagery_credit: whose pixels these are; the notice that the Copernicus terms ask for when not given.
    """
    splits = present_splits(index["split"])
    balance = build_balance(index)
    charts = {variable.name: variable for variable in balance}
    leakage = find_leakage(index, splits)
    columns, chunks = build_columns(index), build_chunks(index, {chip_id: sheet.name for chip_id, sheet in layouts.items()})
    files = {"columns": data_asset("columns", columns), **library_assets(), "land": data_asset("land", build_coarse())}
    fine = build_fine(index["lon"].to_numpy(dtype=float), index["lat"].to_numpy(dtype=float))
    if fine is not None:
        files["coast"] = data_asset("coast", fine)
    files |= {chunk.name: data_asset(chunk.name, chunk.data) for chunk in chunks}
    if leakage.vessels:
        files["vessels"] = data_asset("vessels", [[v.mmsi, v.name, v.counts] for v in leakage.vessels])
    months, steps = dataset_days.build_months(days), dataset_days.shade_steps(days)
    stages = dataset_days.funnel_of_days(days)
    years = sorted({int(y) for y in index["scene_datetime"].dt.year.unique()}) or [generated_at.year]
    gate = settings.gate
    html = render_page(
        "dataset.html.j2",
        styles=STYLES,
        scripts=SCRIPTS,
        sources=SOURCES,
        data={
            "assets": {name: file.name for name, file in files.items()},
            "chunks": [(chunk.name, chunk.first, chunk.count) for chunk in chunks],
            "days": {day.day.isoformat(): _day_data(day) for day in days},
            "stages": [stage.label for stage in stages],
            "outcomes": {outcome: note.label for outcome, note in facts.OUTCOME_NOTES.items()},
            "layouts": {sheet.name: sheet.to_json() for sheet in set(layouts.values())},
            "suffixes": dict(zip(("tif", "quicklook", "json", "geojson"), layout.chip_artefacts("", _LINKED), strict=True)),
            "vessels": len(leakage.vessels),
            "side_px": settings.tiling.chip_size_px,
            "course_from_kn": COURSE_IS_DIRECTION_KN,
            "config_hash": settings.config_hash,
            "gate": [
                ("Cloud", "qa_cloud_frac", gate.max_cloud_center_frac, False),
                ("Land", "qa_land_frac", gate.max_land_center_frac, False),
                ("Water", "qa_water_frac", gate.min_water_center_frac, True),
                ("Nodata, whole chip", "qa_nodata_frac", gate.max_nodata_frac, False),
            ],
        },
        title=title,
        lead=_lead(index),
        generated=facts.time_text(generated_at.replace(microsecond=0)),
        software_version=software_version,
        credit=imagery_credit or f"Contains modified Copernicus Sentinel data {', '.join(map(str, years))}.",
        notes=facts.OUTCOME_NOTES,
        chips=len(index),
        synthetic=int((index["ais_source"] == "synthetic").sum()),
        tiles=_tiles(index, days, leakage),
        splits=splits,
        split_marks={split: SPLIT_MARKS.get(split, _OTHER_MARK) for split in splits},
        types=charts["type"].categories[:_MOST_TYPES],
        months_with_chips=charts["month"].categories[::-1],
        regions=charts["region"].categories,
        lengths=_length_ranges(),
        further=_further_filters(index),
        days=days,
        years=_years(months),
        all_open=len(months) <= _OPEN_MONTHS,
        weekdays=[(name, name[:2]) for name in calendar.day_name],
        shade=lambda chips: dataset_days.shade(chips, steps),
        most_of_a_day=max((day.chips for day in days), default=0),
        stages=stages,
        outcomes=list(dataset_days.outcomes_of_days(days)),
        balance=balance,
        marked=any(any(each.stands_out) for variable in balance for each in variable.categories),
        histograms=build_histograms(index, refused, gate),
        gate_enabled=gate.enabled,
        leakage=leakage,
        splits_by=settings.splits.by,
    )
    return DatasetPage(html=html, assets=tuple(files.values()), leaking_vessels=len(leakage.vessels))


def _day_data(day: Day) -> dict[str, Any]:
    stages = dataset_days.funnel_of_days([day])
    return {"page": day.page, "stages": [(stage.count, stage.losses) for stage in stages]}


def _years(months: Sequence[dataset_days.Month]) -> list[tuple[int, list[dataset_days.Month]]]:
    """Months by year, the newest year first."""
    grouped = [(year, list(of_year)) for year, of_year in itertools.groupby(months, key=lambda month: month.year)]
    return grouped[::-1]


def _lead(index: pd.DataFrame) -> str:
    if index.empty:
        return "Nothing has been chipped yet. All times are UTC."
    first, last = index["scene_datetime"].min(), index["scene_datetime"].max()
    span = _day_text(first) if first.date() == last.date() else f"{_day_text(first)} to {_day_text(last)}"
    return f"Ships that AIS heard and Sentinel-2 saw, sensed {span}. All times are UTC."


def _day_text(moment: pd.Timestamp) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _tiles(index: pd.DataFrame, days: Sequence[Day], leakage: Leakage) -> list[tuple[str, str, list[str]]]:
    """The figures at the top: label, value, lines of small print."""
    by_split = index["split"].value_counts()
    targets, chipped = sum(day.targets for day in days), sum(day.chips for day in days)
    shares = " · ".join(f"{by_split[split]:,} {split}" for split in present_splits(index["split"]))
    platforms = ", ".join(sorted(index["platform"].unique()))
    sensed = index["scene_datetime"].dt.floor("D").nunique()
    passed = [f"{100 * chipped / targets:.0f} % have a chip"] if targets else []
    return [
        ("Chips", f"{len(index):,}", [shares] if shares else []),
        ("Vessels", f"{leakage.all_vessels:,}", [f"{index['ship_type'].nunique():,} ship types"]),
        ("Scenes", f"{index['scene_id'].nunique():,}", [platforms or "none"]),
        ("Regions", f"{index['mgrs_tile'].nunique():,}", ["MGRS tiles"]),
        ("Days with chips", f"{sensed:,}", [f"{len(days):,} days of AIS"]),
        ("AIS targets", f"{targets:,}", passed),
    ]


def _length_ranges() -> list[tuple[str, str]]:
    edges = [0, *(int(edge) for edge in LENGTH_EDGES_M), UNKNOWN_LENGTH]
    ranges = [f"{low} {high}" for low, high in itertools.pairwise(edges)]
    labels = [*range_labels(LENGTH_EDGES_M, "m"), facts.NOT_SAID]
    return list(zip([*ranges, f"{UNKNOWN_LENGTH} {UNKNOWN_LENGTH + 1}"], labels, strict=True))


def _further_filters(index: pd.DataFrame) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Filters that are there only where chips differ in them: name, label, (value, text) of the options."""
    found = []
    for name, label, column in (
        ("verdict", "Verdict", "gate_verdict"),
        ("confirmation", "Confirmation", "confirmation"),
        ("source", "AIS source", "ais_source"),
    ):
        counts = index[column].fillna(facts.NOT_SAID).value_counts()
        if len(counts) > 1:
            texts = {facts.NOT_SAID: "could not be judged"} if name == "confirmation" else {}
            options = [
                (str(value), f"{texts.get(str(value), str(value).replace('_', ' '))} ({count:,})")
                for value, count in counts.items()
            ]
            found.append((name, label, options))
    return found
