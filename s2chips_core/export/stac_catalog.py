"""The STAC catalogue above the items: a collection, and a catalogue for each day, so that no file lists all chips.

Here: collection and catalogues as JSON, made from the rows. Not here: the items (`stac`).
"""

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from s2chips_core import layout
from s2chips_core.export.stac import (
    COLLECTION_ID,
    EO_BANDS,
    EXTENSIONS,
    GEOJSON_TYPE,
    GSD_M,
    PREFIX,
    STAC_VERSION,
    bbox_of_all,
    item_assets,
    link,
    platform,
    relative,
)
from s2chips_core.index.records import plain

PARQUET = "application/vnd.apache.parquet"
MARKDOWN = "text/markdown"
_SUMMARISED = (
    *("split", "ais_source", "provider", "mgrs_tile", "gate_verdict", "position_method", "ship_type", "confirmation"),
)
"""Columns whose values are listed."""
_RANGES = ("qa_cloud_frac", "qa_water_frac", "position_sigma_m", "length_m")
"""Columns whose smallest and largest value are told."""


def collection(
    rows: pa.Table, *, title: str, description: str, keywords: list[str], software_version: str, masks: bool, tables: bool
) -> dict[str, Any]:
    """The root: extent, summaries, who made it, and a child for each day.

    Args:
        rows: as the export shows them, at least one.
        title: one line.
        description: Markdown.
        keywords: of the collection.
        software_version: of s2chips.
        masks: whether any chip has masks.
        tables: whether index and labels are in the export as tables.
    """
    here = layout.export_collection()
    bounds = bbox_of_all(shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False)))
    first, last = (plain(pc.min_max(rows["scene_datetime"])[name].as_py()) for name in ("min", "max"))
    bands = bands_of(rows)
    assets = {
        "index": _table(here, layout.export_index(), "One row for every chip (GeoParquet)"),
        "labels": _table(here, layout.export_labels(), "One row for every ship in a chip (Parquet)"),
    }
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": COLLECTION_ID,
        "title": title,
        "description": description,
        "keywords": keywords,
        "license": "other",
        "providers": [
            {"name": "European Union/ESA/Copernicus", "roles": ["producer", "licensor"], "url": "https://www.copernicus.eu"},
            {"name": f"s2chips {software_version}", "roles": ["processor"]},
        ],
        "extent": {"spatial": {"bbox": [bounds]}, "temporal": {"interval": [[first, last]]}},
        "summaries": _summaries(rows, bands),
        "item_assets": item_assets(bands, masks=masks),
        **({"assets": assets} if tables else {}),
        "links": [
            link("root", here, here),
            link("describedby", here, layout.export_card(), MARKDOWN, title="Data card"),
            link("license", here, layout.export_card(), MARKDOWN, title="Terms: see the data card"),
            *(link("child", here, layout.export_catalog(day), title=day.isoformat()) for day in sorted(days_of(rows))),
        ],
    }


def catalog(day: date, chip_ids: list[str]) -> dict[str, Any]:
    """The catalogue of the chips sensed on a day."""
    here = layout.export_catalog(day)
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{COLLECTION_ID}-{layout.ymd(day)}",
        "title": day.isoformat(),
        "description": f"Chips sensed on {day.isoformat()}, UTC",
        "links": [
            link("root", here, layout.export_collection()),
            link("parent", here, layout.export_collection()),
            *(link("item", here, layout.export_item(day, chip_id), GEOJSON_TYPE) for chip_id in chip_ids),
        ],
    }


def bands_of(rows: pa.Table) -> tuple[str, ...]:
    """Every band of any chip, in the order of a chip that has most of them."""
    kinds = sorted({tuple(bands) for bands in rows["bands"].to_pylist()}, key=lambda bands: (-len(bands), bands))
    return tuple(dict.fromkeys(band for bands in kinds for band in bands))


def days_of(rows: pa.Table) -> dict[date, list[str]]:
    """The chips by the UTC day of `scene_datetime`, in the order of the rows."""
    days: dict[date, list[str]] = {}
    for moment, chip_id in zip(rows["scene_datetime"].to_pylist(), rows["chip_id"].to_pylist(), strict=True):
        days.setdefault(moment.date(), []).append(chip_id)
    return days


def _summaries(rows: pa.Table, bands: tuple[str, ...]) -> dict[str, Any]:
    summaries: dict[str, Any] = {
        "constellation": ["sentinel-2"],
        "platform": [platform(name) for name in _values(rows, "platform")],
        "instruments": ["msi"],
        "gsd": [GSD_M],
        "eo:bands": [dict(EO_BANDS[band]) for band in bands],
        "proj:code": [f"EPSG:{epsg}" for epsg in _values(rows, "epsg")],
        "eo:cloud_cover": _range(rows, "cloud_cover"),
    }
    there = set(rows.column_names)
    summaries |= {f"{PREFIX}{name}": _values(rows, name) for name in _SUMMARISED if name in there}
    summaries |= {f"{PREFIX}{name}": _range(rows, name) for name in _RANGES if name in there}
    return {name: summary for name, summary in summaries.items() if summary}


def _values(rows: pa.Table, name: str) -> list[Any]:
    return sorted(value for value in pc.unique(rows[name]).to_pylist() if value is not None)


def _range(rows: pa.Table, name: str) -> dict[str, float] | None:
    found = pc.min_max(rows[name])
    least, most = found["min"].as_py(), found["max"].as_py()
    return None if least is None else {"minimum": least, "maximum": most}


def _table(here: str, key: str, title: str) -> dict[str, Any]:
    return {"href": relative(here, key), "type": PARQUET, "title": title, "roles": ["metadata"]}
