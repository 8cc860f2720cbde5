"""Every output key. Nobody else builds a path.

A day's tables come from *sources*: its capture (`capture`) and each file chipped for it (`file-<12 hex of sha256>`).
Each source owns its parts; the day's table is the union of them. Index parts lie under the date of `scene_datetime` and
are named after the AIS day and source that made them.
"""

import re
from datetime import UTC, date, datetime

CAPTURE = "capture"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def safe(name: str) -> str:
    """`name` if it can be one component of a key, else ValueError: letters, digits, `.`, `_`, `-`."""
    if not _SAFE.fullmatch(name):
        raise ValueError(f"{name!r} cannot be part of a key: expected letters, digits, '.', '_' or '-'")
    return name


def ymd(day: date) -> str:
    """`YYYYMMDD`."""
    return f"{day:%Y%m%d}"


def file_source(sha256_hex: str) -> str:
    """The source id of an AIS file, from the SHA-256 of its bytes."""
    return f"file-{sha256_hex[:12]}"


def dataset_note() -> str:
    """What kind of AIS the dataset is of: real or synthetic."""
    return "dataset.json"


def ais_file_note(source_id: str) -> str:
    """When a file was first read, which is the time of its rows that tell none; and under which names."""
    return f"ais/files/{safe(source_id)}.json"


def ais_file_report(source_id: str) -> str:
    """What became of each row of a file: CSV."""
    return f"reports/files/{safe(source_id)}.csv"


def plan(day: date) -> str:
    """The overpass plan of a day."""
    return f"plan/overpasses_{ymd(day)}.parquet"


def plan_swaths(day: date) -> str:
    """What the satellites see on a day, as far as the plan knows: GeoJSON."""
    return f"plan/swaths_{ymd(day)}.geojson"


def plan_notes(day: date) -> str:
    """What a reader of a day's plan must know: refused sources, disagreements, a satellite that was moved."""
    return f"plan/notes_{ymd(day)}.json"


def plan_cache(source_sha: str) -> str:
    """A TLE text or acquisition plan as it was fetched, named after its source."""
    return f"plan/cache/{safe(source_sha)}"


def ais_folders() -> str:
    """The AIS of all days."""
    return "ais"


def day_of_ais_key(key: str) -> date | None:
    """The day of what lies in an `ais_folder`; none for other keys below `ais_folders`."""
    folder = re.fullmatch(r"ais/(\d{8})/[^/]+", key)
    return datetime.strptime(folder[1], "%Y%m%d").replace(tzinfo=UTC).date() if folder else None


def ais_folder(day: date) -> str:
    """All AIS snapshots of a day."""
    return f"ais/{ymd(day)}"


def ais_snapshot(day: date, tile_id: str, suffix: str = "parquet") -> str:
    """What was recorded around the overpass of one tile (`parquet` or `xlsx`)."""
    return f"{ais_folder(day)}/ais_overpass_{safe(tile_id)}.{suffix}"


def is_snapshot(key: str) -> bool:
    """Whether a key below an `ais_folder` is a snapshot of a tile."""
    return key.rpartition("/")[2].startswith("ais_overpass_")


def capture_record(day: date, capture_id: str) -> str:
    """What one capture recorded for the passes of a day: coverage, gaps, counts."""
    return f"{captures_of_day(day)}/{safe(capture_id)}.json"


def captures_of_day(day: date) -> str:
    """The records of all captures for the passes of a day."""
    return f"ais/captures/{ymd(day)}"


def capture_journals() -> str:
    """The journals of captures that have not ended, or were killed."""
    return "ais/journal"


def capture_journal(capture_id: str) -> str:
    """What a running capture has heard, as it comes; gone when the snapshots are written."""
    return f"{capture_journals()}/{safe(capture_id)}"


def ais_file(day: date, source_id: str) -> str:
    """The rows of an AIS file that belong to a day, as they were read."""
    return f"{ais_folder(day)}/ais_{safe(source_id)}.parquet"


def source_of_ais_key(key: str) -> str:
    """Whose fixes a key below an `ais_folder` has: the capture's, or a file's."""
    found = re.fullmatch(r"ais_(file-[^.]+)\.parquet", key.rpartition("/")[2])
    return found[1] if found else CAPTURE


def is_recorded_ais(key: str) -> bool:
    """Whether a key below an `ais_folder` is a table of fixes: a snapshot, or rows of an AIS file."""
    return key.endswith(".parquet") and key.rpartition("/")[2].startswith(("ais_overpass_", "ais_file-"))


def matches(day: date) -> str:
    """The matches of a day, all sources."""
    return f"matches/{ymd(day)}.parquet"


def matches_part(day: date, source_id: str) -> str:
    """The matches of one source of a day."""
    return f"matches/parts/{ymd(day)}/{safe(source_id)}.parquet"


def matches_parts_of_day(day: date) -> str:
    """The matches parts of a day."""
    return f"matches/parts/{ymd(day)}"


def outcomes_folder() -> str:
    """The outcomes of all days, and their parts."""
    return "outcomes"


def outcomes(day: date) -> str:
    """The outcomes of a day, all sources."""
    return f"outcomes/{ymd(day)}.parquet"


def day_of_outcomes(key: str) -> date | None:
    """The day of an `outcomes` key; none for any other key below `outcomes_folder`."""
    found = re.fullmatch(r"outcomes/([0-9]{8})\.parquet", key)
    return datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC).date() if found else None


def outcomes_part(day: date, source_id: str) -> str:
    """The outcomes of one source of a day."""
    return f"outcomes/parts/{ymd(day)}/{safe(source_id)}.parquet"


def outcomes_parts_of_day(day: date) -> str:
    """The outcomes parts of a day."""
    return f"outcomes/parts/{ymd(day)}"


def chip_folder(split: str, mmsi: int, scene_day: date) -> str:
    """Where the artefacts of a chip lie."""
    return f"chips/{safe(split)}/{mmsi}/{ymd(scene_day)}"


def chip(split: str, mmsi: int, scene_day: date, chip_id: str, suffix: str = ".tif") -> str:
    """One artefact of a chip: `.tif`, `.geojson`, `.json`, `_quicklook.jpg` or `_masks.tif`."""
    return f"{chip_folder(split, mmsi, scene_day)}/{safe(chip_id)}{suffix}"


CHIP_SUFFIXES = (".geojson", ".json", "_quicklook.jpg", "_masks.tif", ".tif")
"""In the order of writing: where the `.tif` is, the others are."""


def chip_artefacts(path: str, suffixes: tuple[str, ...] = CHIP_SUFFIXES) -> list[str]:
    """The keys of the artefacts whose `.tif` is `path`, in the order of writing."""
    return [path.removesuffix(".tif") + suffix for suffix in suffixes]


def scene_day_of_chip(path: str) -> date | None:
    """The day on which the chip at `path` was sensed; none when it is no path of a chip."""
    found = re.fullmatch(r"chips/[^/]+/[^/]+/([0-9]{8})/[^/]+", path)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None


def chips_folder() -> str:
    """All artefacts of all chips."""
    return "chips"


def index_parts_folder() -> str:
    """All parts of the index."""
    return "indexes/parts"


def index_parts_of_scene_day(scene_day: date) -> str:
    """The parts whose chips were sensed on a day."""
    return f"indexes/parts/{ymd(scene_day)}"


def index_part(scene_day: date, ais_day: date, source_id: str) -> str:
    """Index rows sensed on `scene_day` that the AIS day and source made."""
    return f"{index_parts_of_scene_day(scene_day)}/{ymd(ais_day)}-{safe(source_id)}.parquet"


def scene_day_of_index_part(key: str) -> date:
    """The `scene_day` of an `index_part`."""
    return datetime.strptime(key.split("/")[-2], "%Y%m%d").replace(tzinfo=UTC).date()


def source_of_index_part(key: str) -> tuple[date, str]:
    """The `ais_day` and `source_id` of an `index_part`."""
    ais_day, _, source_id = key.rpartition("/")[2].removesuffix(".parquet").partition("-")
    return datetime.strptime(ais_day, "%Y%m%d").replace(tzinfo=UTC).date(), source_id


def journals_folder() -> str:
    """All journals."""
    return "indexes/journal"


def journal(ais_day: date, source_id: str) -> str:
    """Which artefacts a running source of a day may be writing or removing; gone when it has committed."""
    return f"indexes/journal/{ymd(ais_day)}-{safe(source_id)}.json"


def staged(ais_day: date, source_id: str) -> str:
    """What a running source of a day has cut anew and not yet put in its place; gone when it has committed."""
    return f"staged/{ymd(ais_day)}-{safe(source_id)}"


def staged_chip(ais_day: date, source_id: str, path: str) -> str:
    """Where the artefacts of the chip at `path` wait: under their own keys."""
    return f"{staged(ais_day, source_id)}/{path}"


def scene_snapshot(scene_id: str, sha256_hex: str) -> str:
    """A scene as it was when chips were cut from it, named after its id and its content; written once."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", scene_id).lstrip("._-")[:100]
    return f"provenance/scenes/{name or 'scene'}-{safe(sha256_hex[:16])}.json"


def deciding_configs() -> str:
    """All settings that decided what is in chips."""
    return "provenance/configs"


def deciding_config(config_hash: str) -> str:
    """The settings that decided what is in chips, named after their hash; written once."""
    return f"{deciding_configs()}/{safe(config_hash)}.json"


def daily_geojson(scene_day: date) -> str:
    """The footprints of all chips sensed on a day."""
    return f"indexes/tiles_{ymd(scene_day)}.geojson"


def daily_labels(scene_day: date) -> str:
    """All vessels in the chips sensed on a day."""
    return f"labels/labels_{ymd(scene_day)}.parquet"


def tiles_index() -> str:
    """The global index."""
    return "indexes/tiles.parquet"


def report(day: date) -> str:
    """The page of a day."""
    return f"reports/report_{ymd(day)}.html"


def day_of_page(key: str) -> date | None:
    """The day of a `report`, or of something in a `views_folder`; none for any other key below `reports_folder`."""
    found = re.fullmatch(r"reports/(?:report_([0-9]{8})\.html|views/([0-9]{8})/[^/]+)", key)
    return datetime.strptime(found[1] or found[2], "%Y%m%d").replace(tzinfo=UTC).date() if found else None


def prune_proposal(suffix: str) -> str:
    """What the last dry run of pruning would remove, and every chip that it judged (`parquet` or `csv`)."""
    return f"prune/proposal.{suffix}"


def trash_folder() -> str:
    """All trashes."""
    return "trash"


def trash_id(now: datetime, number: int = 1) -> str:
    """The name of a trash: when it was filled, UTC, to the second; `number` tells those of one second apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}" + (f"-{number}" if number > 1 else "")


def trash(trash_id: str) -> str:
    """One trash."""
    return f"{trash_folder()}/{safe(trash_id)}"


def in_trash(trash_id: str, key: str) -> str:
    """Where something of the dataset lies in a trash: under its own key."""
    return f"{trash(trash_id)}/{key}"


def trash_journal(trash_id: str) -> str:
    """What a trash holds, since when and why; written last, when all is there."""
    return f"{trash(trash_id)}/journal.json"


def trash_table(trash_id: str) -> str:
    """Why each chip of a trash was removed, with the numbers."""
    return f"{trash(trash_id)}/pruned.parquet"


def move_journal(trash_id: str) -> str:
    """What is on its way into a trash or out of it; gone when it has arrived."""
    return f"{journals_folder()}/trash-{safe(trash_id)}.json"


def is_move_journal(key: str) -> bool:
    """Whether a key below `journals_folder` is a `move_journal`."""
    return key.startswith(f"{journals_folder()}/trash-")


def source_lock(ais_day: date, source_id: str) -> str:
    """The name of the lock that a run of a source of a day holds from its first decision to its commit."""
    return f"day-{ymd(ais_day)}-{safe(source_id)}"


def reports_folder() -> str:
    """All pages."""
    return "reports"


def dataset_page() -> str:
    """The page of the whole dataset."""
    return "reports/index.html"


def dataset_assets() -> str:
    """The scripts and data that the page of the dataset loads when they are looked at."""
    return "reports/assets"


def dataset_asset(name: str) -> str:
    """One of them; its name holds a hash of its bytes."""
    return f"{dataset_assets()}/{safe(name)}"


def views_folder(scene_day: date) -> str:
    """The sheets of pictures of all chips sensed on a day."""
    return f"reports/views/{ymd(scene_day)}"


def view(scene_day: date, chip_id: str) -> str:
    """The sheet of pictures of one chip."""
    return f"{views_folder(scene_day)}/{safe(chip_id)}.jpg"


def views_note(scene_day: date) -> str:
    """What is where on the sheets of a day, and which chips they were made from."""
    return f"{views_folder(scene_day)}/views.json"


# Of an export: keys relative to its own folder.


def export_manifest() -> str:
    """What an export is of; written last, so that a folder that has it is whole."""
    return "export.json"


def export_checksums() -> str:
    """The SHA-256 of every other file of an export, as `sha256sum --check` reads it."""
    return "checksums.sha256"


def export_card() -> str:
    """What a reader must know of the data."""
    return "DATACARD.md"


def export_index() -> str:
    """The rows of the chips."""
    return "chips.parquet"


def export_labels() -> str:
    """The labels of all chips."""
    return "labels.parquet"


def export_collection() -> str:
    """The root of the STAC catalogue."""
    return "stac/collection.json"


def export_catalog(scene_day: date) -> str:
    """The STAC catalogue of the chips sensed on a day."""
    return f"stac/{ymd(scene_day)}/catalog.json"


def export_item(scene_day: date, chip_id: str) -> str:
    """The STAC item of a chip."""
    return f"stac/{ymd(scene_day)}/{safe(chip_id)}.json"


def export_shard(split: str, number: int) -> str:
    """One WebDataset shard of a split, counted from 0."""
    return f"webdataset/{safe(split)}-{number:06d}.tar"


def export_instances(split: str) -> str:
    """The COCO annotations of a split."""
    return f"coco/instances_{safe(split)}.json"


def export_chip(split: str, vessel_id: str, scene_day: date, chip_id: str) -> str:
    """The `.tif` of a chip whose ship has a pseudonym; with its MMSI it lies where `chip` says."""
    return f"chips/{safe(split)}/{safe(vessel_id)}/{ymd(scene_day)}/{safe(chip_id)}.tif"
