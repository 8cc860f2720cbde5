"""The sheets of pictures as files: `reports/views/{YYYYMMDD}/{chip_id}.jpg`, made where they are missing or out of date.

Here: reading chips, writing sheets, removing those of chips that are gone. Not here: the pictures (`views`). The note of a
day (`views.json`) says which chip each sheet was made from and how it is laid out; a sheet that it does not know is made
anew.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import date
from typing import Any

import numpy.typing as npt
import rasterio.errors
from rasterio.io import MemoryFile

from s2chips_core import layout
from s2chips_core.errors import StorageError
from s2chips_core.index.parts import COMMIT_LOCK, chip_ids_of_scene_day
from s2chips_core.pages.limits import Limits
from s2chips_core.pages.views import VERSION, Desk, Layout, draw_sheet
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

WORKERS = os.cpu_count() or 1
"""Decoding, drawing and encoding let go of the interpreter; more threads than cores only wait for it."""
_TELL_EVERY = 50
_AHEAD = 8 * WORKERS
READ_COLUMNS = ("chip_id", "path", "scene_datetime", "config_hash", "fingerprint", "created_at")
"""What is looked at of a chip's row."""

_Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The sheet of one chip."""

    key: str
    layout: Layout


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ViewsResult:
    """What was done for a day's sheets."""

    views: Mapping[str, View]
    """chip_id -> its sheet."""
    made: int
    kept: int
    removed: int
    seconds: float


@dataclasses.dataclass(slots=True)
class _Note:
    """What is known of the sheets of a scene day."""

    sheets: dict[str, tuple[str, Layout]]
    """chip_id -> fingerprint and layout."""

    @staticmethod
    def read(storage: Storage, scene_day: date) -> "_Note":
        """The note of a day; empty where there is none, or none that can be read: the sheets are made anew."""
        key = layout.views_note(scene_day)
        if not storage.exists(key):
            return _Note({})
        try:
            said = json.loads(storage.get(key))
            layouts = {
                name: Layout(
                    bands=tuple(one["bands"]),
                    masks=tuple(one["masks"]),
                    side_px=int(one["side_px"]),
                    ndwi_water_thresh=one["ndwi_water_thresh"],
                )
                for name, one in said["layouts"].items()
            }
            return _Note({chip_id: (str(made), layouts[name]) for chip_id, (made, name) in said["sheets"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s cannot be read, all sheets of the day are made anew: %s", key, error)
            return _Note({})

    def write(self, storage: Storage, scene_day: date) -> None:
        """Put the note; where there are no sheets, remove it."""
        if not self.sheets:
            storage.delete(layout.views_note(scene_day))
            return
        said = {
            "layouts": {one.name: dataclasses.asdict(one) for _, one in self.sheets.values()},
            "sheets": {chip_id: [made, one.name] for chip_id, (made, one) in sorted(self.sheets.items())},
        }
        storage.put(layout.views_note(scene_day), (json.dumps(said, sort_keys=True) + "\n").encode())


def refresh_views(
    chips: Iterable[_Row],
    scene_days: Iterable[date],
    *,
    storage: Storage,
    limits: Limits,
    progress: Callable[[str], None] = lambda text: None,
) -> ViewsResult:
    """Make the sheets of these chips that are missing or out of date, and remove those of chips that are gone.

    Killed anywhere and called again it ends as if it had not been: sheets are put whole, and what the note does not tell of
    is made once more.

    Args:
        chips: rows of the index, of which `READ_COLUMNS` are looked at.
        scene_days: days to tidy up, also where none of the chips was sensed.
        storage: the dataset.
        limits: of the gate, by configuration.
        progress: is told how far it is.

    Raises:
        StorageError: a chip of the index is not there, or is no GeoTIFF, or a sheet cannot be written.
    """
    began = time.monotonic()
    by_day: dict[date, list[_Row]] = defaultdict(list)
    for chip in chips:
        by_day[chip["scene_datetime"].date()].append(chip)
    views: dict[str, View] = {}
    made = removed = 0
    for scene_day in sorted({*by_day, *scene_days}):
        with storage.lock(f"views-{layout.ymd(scene_day)}"):
            note = _Note.read(storage, scene_day)
            there = set(storage.list(layout.views_folder(scene_day)))
            try:
                made += _make(by_day[scene_day], scene_day, note, there, storage, limits, progress)
                removed += _remove(scene_day, note, there, storage)
            finally:
                if note.sheets or there:
                    note.write(storage, scene_day)
        for chip in by_day[scene_day]:
            key = layout.view(scene_day, chip["chip_id"])
            views[chip["chip_id"]] = View(key=key, layout=note.sheets[chip["chip_id"]][1])
    seconds = time.monotonic() - began
    if made or removed:
        logger.info("views: %d made, %d kept, %d removed, %.1f s", made, len(views) - made, removed, seconds)
    return ViewsResult(views=views, made=made, kept=len(views) - made, removed=removed, seconds=seconds)


def read_layouts(storage: Storage, scene_day: date) -> dict[str, Layout]:
    """chip_id -> what is where on its sheet, for the sheets of a day that the note tells of."""
    return {chip_id: layout for chip_id, (_, layout) in _Note.read(storage, scene_day).sheets.items()}


def _make(
    chips: Sequence[_Row],
    scene_day: date,
    note: _Note,
    there: set[str],
    storage: Storage,
    limits: Limits,
    progress: Callable[[str], None],
) -> int:
    """Draw what is not there; returns how many."""
    waiting = []
    for chip in chips:
        key, made_from = layout.view(scene_day, chip["chip_id"]), _fingerprint(chip, _threshold(chip, limits))
        known = note.sheets.get(chip["chip_id"])
        if known is None or known[0] != made_from or key not in there:
            waiting.append((chip, key, made_from))
    desk = Desk()
    coming = iter(waiting)
    number = 0
    with _cancelling(WORKERS) as pool:
        drawing: dict[Future[Layout], tuple[str, str]] = {}
        while True:
            # A few at once: what waits in the pool takes more than the row that it is made from.
            for chip, key, made_from in itertools.islice(coming, _AHEAD - len(drawing)):
                future = pool.submit(_draw_one, chip, key, storage, _threshold(chip, limits), desk)
                drawing[future] = chip["chip_id"], made_from
            if not drawing:
                return len(waiting)
            for done in wait(drawing, return_when=FIRST_COMPLETED).done:
                chip_id, made_from = drawing.pop(done)
                note.sheets[chip_id] = (made_from, done.result())
                number += 1
                if number % _TELL_EVERY == 0 or number == len(waiting):
                    progress(f"views of {scene_day}: {number:,} of {len(waiting):,}")


def _remove(scene_day: date, note: _Note, there: set[str], storage: Storage) -> int:
    """Remove the sheets of chips that no source has any more; returns how many."""
    if not there and not note.sheets:
        return 0
    with storage.lock(COMMIT_LOCK):
        alive = chip_ids_of_scene_day(storage, scene_day)
    for chip_id in set(note.sheets) - alive:
        del note.sheets[chip_id]
    kept = {layout.view(scene_day, chip_id) for chip_id in alive} | {layout.views_note(scene_day)}
    gone = sorted(there - kept)
    for key in gone:
        storage.delete(key)
    return len(gone)


def _draw_one(chip: _Row, key: str, storage: Storage, threshold: float | None, desk: Desk) -> Layout:
    bands, reflectance = _read_raster(storage, chip["path"], desk)
    masks_key = layout.chip_artefacts(chip["path"], ("_masks.tif",))[0]
    mask_bands, masks = _read_raster(storage, masks_key, desk) if storage.exists(masks_key) else ((), None)
    drawn = Layout(bands=bands, masks=mask_bands, side_px=reflectance.shape[1], ndwi_water_thresh=threshold)
    storage.put(key, draw_sheet(drawn, reflectance, masks, desk=desk))
    return drawn


def _read_raster(storage: Storage, key: str, desk: Desk) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    """Names of the bands, and pixels (bands, rows, cols), on the desk until the next raster of this kind."""
    try:
        with MemoryFile(storage.get(key)) as memory, memory.open(driver="GTiff") as dataset:
            names = tuple(str(name) for name in dataset.descriptions)
            return names, dataset.read(out=desk.array((dataset.count, *dataset.shape), dataset.dtypes[0]))
    except rasterio.errors.RasterioError as error:
        raise StorageError(key, f"cannot be read as GeoTIFF: {error}") from error


def _threshold(chip: _Row, limits: Limits) -> float | None:
    gate = limits.of_hash(chip["config_hash"])
    return None if gate is None else gate.ndwi_water_thresh


def _fingerprint(chip: _Row, threshold: float | None) -> str:
    """What a sheet is made from: while it is unchanged the sheet stands."""
    decides = json.dumps([VERSION, chip["chip_id"], chip["fingerprint"], chip["created_at"].isoformat(), threshold])
    return hashlib.sha256(decides.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _cancelling(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that begin nothing new when the work is given up; what they have begun is waited for."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="views")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
