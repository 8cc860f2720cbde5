"""Cutting a chip again from its provenance, and saying what differs from the one that is stored.

Here: reading the row, the scene snapshot and the settings of a chip, cutting with the same code. Not here: what is kept for
it (`provenance`), how chips are cut (`chips.cutting`) and how rasters are compared (`chip_difference`). Nothing of the
dataset is changed.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import rasterio

from s2chips_core import layout
from s2chips_core.chips.artefacts import encode_geotiff
from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.cutting import cut_scene, needed_bands
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.chips.identity import fingerprint
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError, HostNotAllowedError, InputError, StorageError
from s2chips_core.fetch import Fetcher, without_query
from s2chips_core.hrefs import check_listed
from s2chips_core.index.chip_difference import mask_differences, raster_differences
from s2chips_core.index.chip_files import TAG_FIELDS
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.provenance import read_config, read_scene
from s2chips_core.index.records import INDEX_SCHEMA, PROPERTY_FIELDS, properties
from s2chips_core.scenes.radiometry import OffsetDecision
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage
from s2chips_core.tables import read_arrow

_IDS = pa.schema([INDEX_SCHEMA.field("chip_id")])
_ROW = pa.schema([INDEX_SCHEMA.field(name) for name in PROPERTY_FIELDS])
Verdict = Literal["identical", "different", "impossible"]
NUMBER_FIELDS = ("qa_cloud_frac", "qa_water_frac", "qa_land_frac", "qa_nodata_frac", "scl_present")
"""What the gate measured: of the scene classification and of bands that are in the chip or beside it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recut:
    """What became of cutting a chip again."""

    chip_id: str
    path: str | None
    """Key of the stored `.tif`; none where there is no such chip."""
    verdict: Verdict
    differences: tuple[str, ...] = ()
    """A sentence each, with the numbers; for `impossible` why."""
    notes: tuple[str, ...] = ()
    """What is no difference, but good to know."""
    geotiff: bytes | None = None
    """The chip that was cut now; none where it could not be."""

    def __str__(self) -> str:
        lines = [f"{self.chip_id}: {self.verdict}"]
        lines += [f"  {text}" for text in (*self.differences, *self.notes)]
        return "\n".join(lines)


_UNREADABLE = frozenset({RefusalReason.MISSING_ASSET, RefusalReason.READ_ERROR})


class _ImpossibleError(Exception):
    """Why a chip cannot be cut again."""


def recut(
    chip_id: str,
    *,
    settings: Settings,
    storage: Storage,
    fetcher: Fetcher,
    software_version: str,
    moved: Mapping[str, str] | None = None,
) -> Recut:
    """Cut a chip again and compare it with the stored one.

    Args:
        chip_id: of `tiles.parquet` or of a sidecar.
        settings: `stac.allowed_hosts` and `compute` are looked at; what decides is read from the dataset.
        storage: the dataset.
        fetcher: reads the archive.
        software_version: of this package.
        moved: beginnings of hrefs -> what stands there now, for an archive that has moved, or a mirror of it.

    Raises:
        InputError: `chip_id` is none.
        StorageError: the dataset cannot be read.
        SchemaError: its index was written by another version.
    """
    if not chip_id.isalnum() or not chip_id.isascii():
        raise InputError("chip_id", chip_id, "16 hex digits as in tiles.parquet")
    row = find_row(storage, chip_id)
    if row is None:
        return Recut(chip_id=chip_id, path=None, verdict="impossible", differences=(_missing_chip(storage, chip_id),))
    try:
        again = _cut_again(row, settings, storage, fetcher, moved or {})
    except _ImpossibleError as error:
        return Recut(chip_id=chip_id, path=row["path"], verdict="impossible", differences=(str(error),))
    return _compare(row, again, storage, software_version)


def find_row(storage: Storage, chip_id: str) -> dict[str, Any] | None:
    """The index row of a chip in its plain form (`records.properties`); none where there is no such chip.

    Where the chip has its sidecar that one is taken: `tiles.parquet` may be older than the chip.
    """
    indexed = _indexed_row(storage, chip_id)
    if indexed is None:
        name = f"/{chip_id}.json"
        sidecars = [key for key in storage.list(layout.chips_folder()) if key.endswith(name)]
    else:
        sidecars = layout.chip_artefacts(str(indexed["path"]), (".json",))
    for key in sidecars:
        if storage.exists(key):
            try:
                said = json.loads(storage.get(key))
            except ValueError:
                continue  # somebody edited it: what the index says is left
            if isinstance(said, dict) and said.get("chip_id") == chip_id and {*PROPERTY_FIELDS} <= set(said):
                return said
    return indexed


def select_chips(storage: Storage, count: int) -> list[str]:
    """Up to `count` chips of `tiles.parquet`: those whose ids, which are hashes, come first."""
    ids = read_arrow(storage, layout.tiles_index(), _IDS)["chip_id"].to_pylist()
    return sorted(ids)[:count]


def _indexed_row(storage: Storage, chip_id: str) -> dict[str, Any] | None:
    key = layout.tiles_index()
    if not storage.exists(key):
        return None
    table = read_arrow(storage, key, _ROW)
    found = table.filter(pc.equal(table["chip_id"], chip_id)).to_pylist()
    return properties(found[0]) if found else None


def _missing_chip(storage: Storage, chip_id: str) -> str:
    """Why there is no such chip, as far as the outcomes tell."""
    for key in reversed(storage.list(layout.outcomes_folder())):
        if key.endswith(".parquet") and "/parts/" not in key:
            for outcome in read_arrow(storage, key, OUTCOME_SCHEMA).to_pylist():
                if outcome["chip_id"] == chip_id:
                    return f"there is no such chip: {key} says {outcome['outcome']} ({outcome['detail']})"
    return "there is no such chip: neither tiles.parquet, nor a sidecar, nor an outcome names it"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """The chip of now and what it was cut from."""

    chip: Chip
    scene: Scene
    settings: Settings
    refused: str | None
    """What the gate says now, where it refuses what it let pass then."""
    notes: tuple[str, ...]


def _cut_again(
    row: Mapping[str, Any], settings: Settings, storage: Storage, fetcher: Fetcher, moved: Mapping[str, str]
) -> _Again:
    notes = []
    try:
        scene = _moved(read_scene(storage, row["scene_snapshot"]), moved)
        then = read_config(storage, row["config_hash"], settings)
    except (StorageError, ConfigError) as error:
        raise _ImpossibleError(f"its provenance cannot be read: {error}") from error
    if then.config_hash != row["config_hash"]:
        notes.append(f"configuration {row['config_hash']} is {then.config_hash} to this version, which knows further keys")
    offset = None
    if row["boa_offset_source"] == "pixels":
        # It was decided from all ships of the scene at once; one alone may not show it.
        notes.append(f"offset {row['boa_offset_dn']} DN is taken from the row: the pixels of all ships of the scene told it")
        offset = OffsetDecision(
            boa_offset_dn=row["boa_offset_dn"], boa_offset_source="pixels", detail="as the row says", needs_pixels=False
        )
    _check_hosts(scene, then, fetcher)
    request = CutRequest(**{name: row[name] for name in ("target_id", "mmsi", "lat", "lon", "chip_id")})
    [answer] = cut_scene(scene, [request], settings=then, fetcher=fetcher, offset=offset)
    refused = None
    if isinstance(answer, Refusal) and answer.reason not in _UNREADABLE:
        refused = f"the gate refuses it now, {answer.reason}: {answer.detail}"
        ungated = then.override({"gate": {"enabled": False}})
        [answer] = cut_scene(scene, [request], settings=ungated, fetcher=fetcher, offset=offset)
    if isinstance(answer, Refusal):
        gone = answer.reason is RefusalReason.MISSING_ASSET
        what = "an asset is gone" if gone else f"it cannot be cut now ({answer.reason})"
        raise _ImpossibleError(f"{what}: {answer.detail}")
    return _Again(chip=answer, scene=scene, settings=then, refused=refused, notes=tuple(notes))


def _moved(scene: Scene, moved: Mapping[str, str]) -> Scene:
    def now(href: str) -> str:
        for old, new in moved.items():
            if href.startswith(old):
                return new + href.removeprefix(old)
        return href

    assets = {band: dataclasses.replace(asset, href=now(asset.href)) for band, asset in scene.assets.items()}
    return dataclasses.replace(scene, assets=assets)


def _check_hosts(scene: Scene, settings: Settings, fetcher: Fetcher) -> None:
    for band in (*needed_bands(settings), *(("SCL",) if settings.masks.use_scl else ())):
        if band in scene.assets:
            try:
                check_listed(scene.assets[band].href, fetcher.allowed_hosts)
            except HostNotAllowedError as error:
                raise _ImpossibleError(f"the archive's host is not allowed now: {error}") from error


def _compare(row: Mapping[str, Any], again: _Again, storage: Storage, software_version: str) -> Recut:
    chip, path = again.chip, str(row["path"])
    now = {
        **row,
        "bands": list(chip.bands),
        **{name: getattr(chip.numbers, name) for name in NUMBER_FIELDS},
        "epsg": chip.epsg,
        "transform": [float(x) for x in chip.transform],
        "boa_offset_dn": chip.boa_offset_dn,
        "boa_offset_source": str(chip.boa_offset_source),
        "gate_verdict": row["gate_verdict"] if again.refused else str(chip.verdict),
        "fingerprint": _fingerprint(row, again),
        "software_version": software_version,
    }
    formats = again.settings.storage
    tags = {name: str(now[name]) for name in TAG_FIELDS}
    geotiff = encode_geotiff(chip, tags=tags, geotiff=formats.geotiff, compression=formats.compression)
    later = row["software_version"] != software_version
    other = [name for name in now if name != "software_version" and now[name] != row[name]]
    differences = [again.refused] if again.refused else []
    differences += [f"{name}: {row[name]} in the index, {now[name]} now" for name in other]
    notes = list(again.notes)
    if later:
        notes.append(f"it was cut by version {row['software_version']}, now by {software_version}")
    if not storage.exists(path):
        differences.append(f"{path} is gone: there is nothing to compare the pixels with")
        return _result(row, differences, notes, geotiff)
    stored = storage.get(path)
    found = list(raster_differences(path, stored, geotiff, told=(*other, "software_version")))
    differences += [text for _, text in found] + list(mask_differences(storage, path, chip.masks))
    bands = [band for band, _ in found] + (["SCL"] if {"qa_cloud_frac", "qa_land_frac"}.intersection(other) else [])
    hrefs = [without_query(again.scene.assets[band].href) for band in bands if band in again.scene.assets]
    if hrefs:
        causes = "the archive has replaced the asset, or the stored chip was changed"
        causes += ", or this version cuts otherwise" if later else ""
        differences.append(f"{causes}: {', '.join(hrefs)}")
    if not differences and not later:
        notes.append(
            f"the file too, byte for byte ({len(stored)} bytes)"
            if stored == geotiff
            else f"the file's bytes differ: another GDAL wrote it (here {rasterio.__gdal_version__})"
        )
    return _result(row, differences, notes, geotiff)


def _result(row: Mapping[str, Any], differences: Sequence[str], notes: Sequence[str], geotiff: bytes) -> Recut:
    return Recut(
        chip_id=row["chip_id"],
        path=row["path"],
        verdict="different" if differences else "identical",
        differences=tuple(differences),
        notes=tuple(notes),
        geotiff=geotiff,
    )


def _fingerprint(row: Mapping[str, Any], again: _Again) -> str:
    return fingerprint(
        config_hash=row["config_hash"],
        scene_id=again.scene.scene_id,
        revision=again.scene.revision,
        processing_baseline=again.scene.processing_baseline,
        lat=row["lat"],
        lon=row["lon"],
    )
