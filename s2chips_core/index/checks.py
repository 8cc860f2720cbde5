"""Checks of what is in the dataset; each says whether it holds, in a sentence, and with its numbers.

Here: the checks. Not here: when they run and what they hold up (the asset checks of the orchestration).
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from rasterio.io import MemoryFile

from s2chips_core import layout, tables
from s2chips_core.errors import SchemaError, StorageError
from s2chips_core.index.geojson import features
from s2chips_core.index.journal import paths_of_all_journals
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.parts import COMMIT_LOCK, join_parts, parts_of_scene_day
from s2chips_core.index.records import properties, rows_one_by_one, sidecar_fields, unique_chips
from s2chips_core.storage import Storage

SPLITS = ("train", "val", "test")
CLIPPED_LOW = np.float32(0.0001)
"""What valid pixels are clipped to from below."""
MAX_CLIPPED_SHARE = 0.01
NAMED = 5
"""How many examples a description names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check found."""

    passed: bool
    description: str
    """One sentence."""
    numbers: dict[str, int | float]


def check_schema(storage: Storage, key: str, schema: pa.Schema) -> CheckResult:
    """Whether the table at `key` has the declared columns, types and no null where none may be."""
    try:
        rows = sum(table.num_rows for table in tables.scan(storage, key, schema))
    except (SchemaError, StorageError) as error:
        return CheckResult(passed=False, description=str(error), numbers={"rows": 0})
    description = f"{key} has its {len(schema)} declared columns and {rows} rows"
    return CheckResult(passed=True, description=description, numbers={"rows": rows})


def check_unique_chip_ids(index: pd.DataFrame) -> CheckResult:
    """Whether every `chip_id` of an index is there once."""
    twice = sorted(set(index.loc[index["chip_id"].duplicated(), "chip_id"]))
    numbers: dict[str, int | float] = {"chips": len(index), "repeated": len(twice)}
    said = f"repeated: {_named(twice)}" if twice else f"{len(index)} chips, each once"
    return CheckResult(passed=not twice, description=said, numbers=numbers)


def check_day_files(storage: Storage, scene_day: date) -> CheckResult:
    """Whether the index parts of a scene day, its artefacts and its GeoJSON tell of the same chips.

    Every chip has its `.tif`, quicklook, GeoJSON and sidecar; the sidecar and the day's GeoJSON have the fields of the
    index; there is no `.tif` of a ship of that day that no part and no journal names.
    """
    unlike: list[str] = []
    with storage.lock(COMMIT_LOCK):
        union = join_parts(parts_of_scene_day(storage, scene_day).values())
        chips = unique_chips(union)
        claimed = set(union["path"].to_pylist())
        folders = {layout.chip_folder(s, m, scene_day) for s in SPLITS for m in set(union["mmsi"].to_pylist())}
        on_disk = {key for folder in folders for key in storage.list(folder)}
        running = paths_of_all_journals(storage)
        in_geojson = _daily_features(storage, scene_day)
        said: dict[str, bytes] = {}
        for chip in rows_one_by_one(chips):
            said[chip["chip_id"]] = _digest(properties(chip))
            if chip["path"] not in running and _sidecar(storage, chip["path"], on_disk) != sidecar_fields(chip):
                unlike.append(chip["chip_id"])
    problems = _file_problems(claimed, on_disk, running)
    problems |= {
        "sidecars unlike the index": sorted(unlike),
        "in the index, not in the GeoJSON": sorted(set(said) - set(in_geojson)),
        "in the GeoJSON, not in the index": sorted(set(in_geojson) - set(said)),
        "other fields in the GeoJSON": sorted(i for i in set(said) & set(in_geojson) if said[i] != in_geojson[i]),
    }
    return result_of_problems(problems, len(said), f"{len(said)} chips of {scene_day}: index, files and GeoJSON agree")


def _daily_features(storage: Storage, scene_day: date) -> dict[str, bytes]:
    """The digest of the properties of each chip of the day's GeoJSON."""
    key = layout.daily_geojson(scene_day)
    if not storage.exists(key):
        return {}
    with storage.open_read(key) as file:
        try:
            return {str(feature["id"]): _digest(feature["properties"]) for feature in features(file)}
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(key, f"cannot be read as GeoJSON: {error!r}") from error


def _digest(tree: Any) -> bytes:
    """Of a day's chips only this is held."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).digest()


def check_labels(storage: Storage, scene_day: date) -> CheckResult:
    """Whether the labels of a scene day are those of its chips: each chip once with its target, `vessels` of them in all."""
    with storage.lock(COMMIT_LOCK):
        chips = unique_chips(join_parts(parts_of_scene_day(storage, scene_day).values()))
        key = layout.daily_labels(scene_day)
        labels = tables.read_arrow(storage, key, LABEL_SCHEMA) if storage.exists(key) else LABEL_SCHEMA.empty_table()
    vessels = dict(zip(chips["chip_id"].to_pylist(), chips["vessels"].to_pylist(), strict=True))
    ship = dict(zip(chips["chip_id"].to_pylist(), chips["mmsi"].to_pylist(), strict=True))
    of_label = list(zip(*(labels[name].to_pylist() for name in ("chip_id", "mmsi", "is_target")), strict=True))
    found = Counter(chip_id for chip_id, _, _ in of_label)
    targets = Counter((chip_id, mmsi) for chip_id, mmsi, is_target in of_label if is_target)
    problems = {
        "labels of no chip": sorted(found.keys() - vessels.keys()),
        "another number of labels than vessels": sorted(i for i, n in vessels.items() if found[i] != n),
        "not labelled with its target once": sorted(i for i, mmsi in ship.items() if targets[(i, mmsi)] != 1),
        "labelled with another target": sorted({i for i, mmsi in targets if ship.get(i) != mmsi}),
    }
    return result_of_problems(
        problems, len(vessels), f"{len(vessels)} chips of {scene_day}: {labels.num_rows} vessels labelled"
    )


def check_reflectance(storage: Storage, paths: Sequence[str], *, sample: int = 50) -> CheckResult:
    """Whether valid pixels that are clipped from below are rare: an offset taken off twice makes water 0.0001 in every band.

    The band with the fewest is judged: infrared over dark water is below 0 after atmospheric correction now and then
    (half a percent of real chips), blue is not.

    Args:
        storage: the dataset.
        paths: keys of chips.
        sample: at most so many are read, evenly spread over `paths`.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(sample, len(paths))).astype(int))]
    clipped: Counter[str] = Counter()
    valid: Counter[str] = Counter()
    for path in chosen:
        with MemoryFile(storage.get(path)) as memory, memory.open(driver="GTiff") as raster:
            for number, band in enumerate(raster.descriptions, start=1):
                pixels = raster.read(number)
                valid[str(band)] += int(np.count_nonzero(pixels > 0))
                clipped[str(band)] += int(np.count_nonzero(pixels == CLIPPED_LOW))
    share, band = min(((clipped[b] / n, b) for b, n in valid.items() if n), default=(0.0, "none"))
    return CheckResult(
        passed=share <= MAX_CLIPPED_SHARE,
        description=f"{share:.3%} of the valid pixels of {len(chosen)} chips are clipped to 0.0001 in {band}, the band with "
        f"the fewest; at most {MAX_CLIPPED_SHARE:.0%} may be",
        numbers={
            "chips": len(chosen),
            "valid_px": valid.total(),
            "clipped_px": clipped.total(),
            "clipped_share": share,
        },
    )


def check_outcomes_cover(matches: pd.DataFrame, outcomes: pd.DataFrame) -> CheckResult:
    """Whether every target of the matches has exactly one outcome, and nothing else has."""
    wanted, found = _targets(matches), _targets(outcomes)
    problems = {
        "without an outcome": sorted("/".join(t) for t in wanted.keys() - found.keys()),
        "with several": sorted("/".join(t) for t, n in found.items() if n > 1),
        "no target": sorted("/".join(t) for t in found.keys() - wanted.keys()),
    }
    return result_of_problems(problems, len(wanted), f"{len(wanted)} targets, each with one outcome", what="targets")


def check_ais_sources(ais_sources: Iterable[str]) -> CheckResult:
    """Whether a dataset with real AIS (aisstream, file) has no synthetic AIS.

    Args:
        ais_sources: the column `ais_source` of the index or of outcomes, or the number of rows of each (`Counter`).
    """
    count = Counter(ais_sources)
    synthetic = count["synthetic"]
    real = sum(count.values()) - synthetic
    passed = not (real and synthetic)
    said = "only synthetic" if synthetic else "no synthetic"
    return CheckResult(
        passed=passed,
        description=f"{said} AIS" if passed else f"{synthetic} synthetic rows among {real} real ones",
        numbers={"real": real, "synthetic": synthetic},
    )


def _file_problems(claimed: set[str], on_disk: set[str], running: set[str]) -> dict[str, list[str]]:
    tifs = {key for key in on_disk if key.endswith(".tif") and not key.endswith("_masks.tif")}
    always = tuple(s for s in layout.CHIP_SUFFIXES if s != "_masks.tif")
    expected = {key for path in claimed for key in layout.chip_artefacts(path, always)}
    allowed = {key for path in claimed | running for key in layout.chip_artefacts(path)}
    return {
        "files that are missing": sorted(expected - on_disk),
        "chips that nobody claims": sorted(tifs - allowed),
        "other files that nobody claims": sorted(on_disk - tifs - allowed),
    }


def result_of_problems(problems: dict[str, list[str]], total: int, fine: str, what: str = "chips") -> CheckResult:
    """That nothing is wrong, or what: the names of each problem are counted, and some are told."""
    found = {name: named for name, named in problems.items() if named}
    said = "; ".join(f"{name}: {len(named)} ({_named(named)})" for name, named in found.items())
    numbers: dict[str, int | float] = {what: total, **{name: len(named) for name, named in problems.items()}}
    return CheckResult(passed=not found, description=said or fine, numbers=numbers)


def _sidecar(storage: Storage, path: str, on_disk: set[str]) -> Any:
    key = layout.chip_artefacts(path, (".json",))[0]
    return json.loads(storage.get(key)) if key in on_disk else None


def _targets(frame: pd.DataFrame) -> Counter[tuple[str, str]]:
    return Counter(zip(frame["source_id"], frame["target_id"], strict=True))


def _named(items: Sequence[str]) -> str:
    return ", ".join(items[:NAMED]) + (", …" if len(items) > NAMED else "")


def all_of(results: Sequence[CheckResult]) -> CheckResult:
    """Several results as one: it holds when each holds; numbers are added up."""
    failed = [result.description for result in results if not result.passed]
    numbers: Counter[str] = Counter()
    for result in results:
        numbers.update(result.numbers)
    said = "; ".join(failed[:NAMED]) if failed else f"{len(results)} tables are as declared"
    return CheckResult(passed=not failed, description=said, numbers=dict(numbers))
