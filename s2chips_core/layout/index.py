"""Keys of the index: its parts, what is made from them, and the journals of who changes it.

Parts lie under the date of `scene_datetime` and are named after the AIS day and source that made them.
"""

from datetime import UTC, date, datetime

from s2chips_core.errors import StorageError
from s2chips_core.layout.names import safe, ymd


def dataset_note() -> str:
    """What kind of AIS the dataset is of: real or synthetic."""
    return "dataset.json"


def tiles_index() -> str:
    """The global index."""
    return "indexes/tiles.parquet"


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
    """The `scene_day` of an `index_part`; StorageError: it is none."""
    return _day(key.split("/")[-2], key)


def source_of_index_part(key: str) -> tuple[date, str]:
    """The `ais_day` and `source_id` of an `index_part`; StorageError: it is none."""
    ais_day, _, source_id = key.rpartition("/")[2].removesuffix(".parquet").partition("-")
    return _day(ais_day, key), source_id


def _day(text: str, key: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise StorageError(
            key, "is no part of the index: expected indexes/parts/{YYYYMMDD}/{YYYYMMDD}-{source}.parquet; move it away"
        ) from None


def daily_geojson(scene_day: date) -> str:
    """The footprints of all chips sensed on a day."""
    return f"indexes/tiles_{ymd(scene_day)}.geojson"


def daily_labels(scene_day: date) -> str:
    """All vessels in the chips sensed on a day."""
    return f"labels/labels_{ymd(scene_day)}.parquet"


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
