"""The chips as the page's script gets them: columns of all chips to filter, sort and map, and chunks to show.

Here: packing. Not here: names and places of the files (`dataset_assets`), what the script does with them (`templates/`).

Columns hold what a filter asks of every chip, as packed numbers: about 40 bytes a chip. Chunks hold the rest of at most
`CHUNK_CHIPS` chips of one month, as columns too, and are loaded when one of their chips is looked at.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from s2chips_core import layout
from s2chips_core.pages import facts
from s2chips_core.pages.dataset_balance import present_splits
from s2chips_core.pages.packing import pack

CHUNK_CHIPS = 2000
READ_COLUMNS = (
    *("chip_id", "path", "mmsi", "lat", "lon", "scene_id", "scene_datetime", "cloud_cover", "split", "bands"),
    *("qa_cloud_frac", "qa_water_frac", "qa_land_frac", "qa_nodata_frac", "ais_lat", "ais_lon", "ais_time", "ais_source"),
    *("position_method", "position_gap_s", "position_sigma_m", "dt_s", "mgrs_tile", "platform", "processing_baseline"),
    *("boa_offset_dn", "gate_verdict", "provider", "collection", "ship_name", "ship_type", "length_m", "width_m"),
    *("heading_deg", "sog_kn", "cog_deg", "config_hash", "vessels", "confirmation"),
)
"""What the page needs of the index."""
UNKNOWN_LENGTH, UNKNOWN_SPEED = 0xFFFF, 0xFF
_SPEED_STEPS_PER_KN = 4
_DECIMALS = {
    name: decimals
    for decimals, names in (
        (0, "position_gap_s position_sigma_m heading_deg cog_deg boa_offset_dn vessels"),
        (1, "cloud_cover dt_s length_m width_m sog_kn"),
        (4, "qa_cloud_frac qa_water_frac qa_land_frac qa_nodata_frac"),
        (5, "lat lon ais_lat ais_lon"),
    )
    for name in names.split()
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Chips that are loaded together."""

    name: str
    """`202510-1`."""
    first: int
    """Place of the first chip in the index."""
    count: int
    data: dict[str, Any]


def build_columns(index: pd.DataFrame) -> dict[str, Any]:
    """What filters, sorting and the map need of every chip.

    Args:
        index: chips with `READ_COLUMNS`, in the order of the index.

    Returns:
        JSON-ready. Texts are codes into `dict`, most frequent first; `vessel` points into `mmsi` and `names`.
    """
    sensed = index["scene_datetime"]
    first = sensed.min().floor("D") if len(index) else pd.Timestamp(_EPOCH)
    of_vessel = pd.MultiIndex.from_arrays([index["mmsi"].astype("int64"), index["ship_name"].fillna("").astype(str)])
    vessel, vessels = pd.factorize(of_vessel)
    length = index["length_m"].clip(0, UNKNOWN_LENGTH - 1).round().fillna(UNKNOWN_LENGTH)
    speed = (index["sog_kn"] * _SPEED_STEPS_PER_KN).clip(0, UNKNOWN_SPEED - 1).round().fillna(UNKNOWN_SPEED)
    texts: dict[str, Sequence[str]] = {}
    columns: dict[str, Any] = {
        "count": len(index),
        "first_day": first.date().isoformat(),
        "lon": pack(index["lon"].to_numpy(dtype=np.float32)),
        "lat": pack(index["lat"].to_numpy(dtype=np.float32)),
        "day": pack((sensed.dt.floor("D") - first).dt.days.to_numpy(dtype=np.uint16)),
        "length": pack(length.to_numpy(dtype=np.uint16)),
        "speed": pack(speed.to_numpy(dtype=np.uint8)),
        "vessel": pack(vessel.astype(np.uint32)),
        "mmsi": [int(mmsi) for mmsi, _ in vessels],
        "names": [str(name) for _, name in vessels],
    }
    coded = {"type": "ship_type", "tile": "mgrs_tile", "verdict": "gate_verdict", "source": "ais_source"}
    for name, column in {**coded, "confirmation": "confirmation"}.items():
        columns[name], texts[name] = _codes(index[column])
    order = list(present_splits(index["split"]))
    columns["split"] = pack(pd.Categorical(index["split"], categories=order).codes.astype(np.uint8))
    return {**columns, "dict": {**texts, "split": order}}


def build_chunks(index: pd.DataFrame, sheets: Mapping[str, str]) -> list[Chunk]:
    """All chips, month by month, in the order of the index.

    Args:
        index: chips with `READ_COLUMNS`.
        sheets: chip_id -> the name of the layout of its sheet of pictures.
    """
    months = index["scene_datetime"].dt.strftime("%Y%m").to_numpy()
    starts = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist(), len(index)] if len(index) else []
    chunks = []
    for begin, end in itertools.pairwise(starts):
        for number, first in enumerate(range(begin, end, CHUNK_CHIPS), 1):
            rows = index.iloc[first : min(first + CHUNK_CHIPS, end)]
            chunks.append(Chunk(name=f"{months[first]}-{number}", first=first, count=len(rows), data=_chunk(rows, sheets)))
    return chunks


def _chunk(rows: pd.DataFrame, sheets: Mapping[str, str]) -> dict[str, Any]:
    """Columns of one chunk. Numbers are rounded to what a person can use; null is not known."""
    texts: dict[str, list[str | None]] = {}
    codes: dict[str, list[int]] = {}
    for name in ("scene_id", "platform", "position_method", "processing_baseline", "provider", "collection", "config_hash"):
        found, values = pd.factorize(rows[name], use_na_sentinel=False)
        codes[name] = found.tolist()
        texts[name] = [None if pd.isna(value) else str(value) for value in values]
    made: dict[str, pd.Series[str]] = {
        "bands": rows["bands"].map(" ".join),
        "views": rows["chip_id"].map(sheets),
        "views_folder": rows["scene_datetime"].dt.date.map(_views_folder),
    }
    for name, column in made.items():
        found, values = pd.factorize(column, use_na_sentinel=False)
        codes[name], texts[name] = found.tolist(), [None if pd.isna(value) else str(value) for value in values]
    return {
        "chip_id": rows["chip_id"].tolist(),
        "folder": [path.rpartition("/")[0] for path in rows["path"]],
        "scene_datetime": _milliseconds(rows["scene_datetime"]),
        "ais_time": _milliseconds(rows["ais_time"]),
        **{name: numbers(rows[name], places) for name, places in _DECIMALS.items()},
        "codes": codes,
        "dict": texts,
    }


def _views_folder(scene_day: date) -> str:
    """The way from the page to the sheets of a day."""
    return layout.views_folder(scene_day).removeprefix(f"{layout.reports_folder()}/")


def numbers(values: "pd.Series[float]", decimals: int) -> list[float | int | None]:
    """Rounded, whole ones as int, null where not known."""
    plain = values.to_numpy(dtype=float, na_value=np.nan)
    rounded = np.round(plain, decimals)
    return [None if x != x else int(x) if x == int(x) else x for x in rounded.tolist()]


def _milliseconds(moments: "pd.Series[pd.Timestamp]") -> list[int]:
    return ((moments - pd.Timestamp(_EPOCH)) // pd.Timedelta(milliseconds=1)).astype("int64").tolist()


def _codes(values: "pd.Series[str]") -> tuple[dict[str, str], list[str]]:
    """A code for each text, the most frequent first; what is not said has a text of its own."""
    said = values.where(values.notna() & (values != ""), facts.NOT_SAID).astype(str)
    order = said.value_counts().index.tolist()
    codes = pd.Categorical(said, categories=order).codes
    width = np.uint8 if len(order) <= 0xFF else np.uint16 if len(order) <= 0xFFFF else np.uint32
    return pack(codes.astype(width)), [str(text) for text in order]
