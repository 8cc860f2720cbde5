"""Checks of the whole dataset, whatever its length: a day or a piece of a table is held at once, and 8 bytes of each chip.

Here: checks that go through everything. Not here: those of a day and of one table (`checks`).

A walk through millions of files takes minutes, in which no day may be kept from its commit: it is made without the lock.
What seems wrong may only have changed meanwhile, and is looked at again under the lock.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index.checks import CheckResult, result_of_problems
from s2chips_core.index.journal import paths_of_all_journals
from s2chips_core.index.parts import COMMIT_LOCK, scene_days
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.storage import Storage

_IDS = pa.schema([INDEX_SCHEMA.field(name) for name in ("chip_id", "scene_datetime")])
_NAMES = pa.schema([INDEX_SCHEMA.field(name) for name in ("chip_id", "path")])
_KEYS_AT_ONCE = 20_000
_MISSING = "files that are missing"
_SUFFIXES = tuple(sorted(layout.CHIP_SUFFIXES, key=len, reverse=True))
_BITS = {suffix: np.uint8(1 << n) for n, suffix in enumerate(_SUFFIXES)}
_ALWAYS = tuple(suffix for suffix in _SUFFIXES if suffix != "_masks.tif")

Hashes = npt.NDArray[np.uint64]


def check_unique_index(storage: Storage) -> CheckResult:
    """Whether every `chip_id` of `tiles.parquet` is there once."""
    key = layout.tiles_index()
    found = np.sort(_joined(_hashes(table["chip_id"].to_pylist()) for table in tables.scan(storage, key, _IDS)))
    doubtful = np.unique(found[1:][found[1:] == found[:-1]])
    count: Counter[str] = Counter()
    if len(doubtful):
        for table in tables.scan(storage, key, _IDS):
            ids = table["chip_id"].to_pylist()
            count.update(itertools.compress(ids, np.isin(_hashes(ids), doubtful)))
    problems = {"repeated": sorted(chip_id for chip_id, times in count.items() if times > 1)}
    return result_of_problems(problems, len(found), f"{len(found)} chips, each once")


def check_all_files(storage: Storage) -> CheckResult:
    """Whether `tiles.parquet`, the index parts and the artefacts of the whole dataset tell of the same chips."""
    walk = _Walk(storage)
    of_index, of_files = walk.compare_index(), walk.compare_files()
    lacking = walk.lacking
    if any(of_index.values()) or any(of_files.values()):
        with storage.lock(COMMIT_LOCK):
            if any(of_index.values()):
                walk = _Walk(storage, frozenset(walk.doubtful))
                of_index = walk.compare_index()
            of_files = _still(storage, of_files, lacking)
    return result_of_problems(of_files | of_index, walk.rows, f"{walk.rows} chips: index, parts and files agree")


def _still(storage: Storage, of_files: dict[str, list[str]], lacking: set[date]) -> dict[str, list[str]]:
    """What is wrong of what seemed wrong with files, on the days `lacking` and those of their paths.

    Call under the commit lock.
    """
    if not any(of_files.values()):
        return of_files
    path_of = {key: _chip_of(key)[0] for keys in of_files.values() for key in keys}
    paths = set(path_of.values())
    claimed = set[str]()
    for day in sorted(lacking | {day for path in paths if (day := layout.scene_day_of_chip(path)) is not None}):
        for key in storage.list(layout.index_parts_of_scene_day(day)):
            for table in tables.scan(storage, key, _NAMES):
                claimed.update(paths.intersection(table["path"].to_pylist()))
    running = paths_of_all_journals(storage)

    def is_nobodys(key: str) -> bool:
        path, suffix = _chip_of(key)
        return path not in claimed and not (path in running and suffix) and storage.exists(key)

    return {
        name: [
            key
            for key in keys
            if (path_of[key] in claimed and not storage.exists(key) if name == _MISSING else is_nobodys(key))
        ]
        for name, keys in of_files.items()
    }


class _Walk:
    """One walk through the dataset, day by day and then file by file. Whoever holds no lock sees it change."""

    def __init__(self, storage: Storage, only: frozenset[date] | None = None) -> None:
        """Args:
        storage: the dataset.
        only: the days to compare; none: all.
        """
        self.storage, self.only = storage, only
        self.days = [day for day in scene_days(storage) if only is None or day in only]
        self.doubtful = set[date]()
        """Days of which the index and the parts tell differently."""
        self.lacking = set[date]()
        """Days whose parts claim what is not there."""
        self.rows = 0
        """Of the index."""
        self.paths: list[Hashes] = []
        """Of the chips that parts claim."""

    def compare_index(self) -> dict[str, list[str]]:
        """What the parts and the index do not have in common. Both go through the days in order."""
        only_parts, only_index, misplaced = list[str](), list[str](), list[str]()
        days, last = iter(self.days), None
        day = next(days, None)
        for of_index, ids in self._index_days():
            self.rows += len(ids)
            if last is not None and of_index <= last:
                misplaced += ids
                continue
            last = of_index
            if self.only is not None and of_index not in self.only:
                continue
            while day is not None and day < of_index:
                only_parts += self._doubted(day, self._claimed(day))
                day = next(days, None)
            claimed = set[str]()
            if day == of_index:
                claimed = self._claimed(of_index)
                day = next(days, None)
            only_parts += self._doubted(of_index, claimed.difference(ids))
            only_index += self._doubted(of_index, set(ids) - claimed)
        while day is not None:
            only_parts += self._doubted(day, self._claimed(day))
            day = next(days, None)
        return {
            "in the parts, not in the index": sorted(only_parts),
            "in the index, not in the parts": sorted(only_index),
            "in the index, out of the order of days": sorted(misplaced),
        }

    def compare_files(self) -> dict[str, list[str]]:
        """What the parts and the folder of chips do not have in common. Call after `compare_index`."""
        claimed = np.unique(_joined(self.paths))
        seen = np.zeros(len(claimed), np.uint8)
        chips, others = list[str](), list[str]()
        keys = self.storage.walk(layout.chips_folder())
        while some := list(itertools.islice(keys, _KEYS_AT_ONCE)):
            of_chip = [_chip_of(key) for key in some]
            paths = [path for path, _ in of_chip]
            places, known = _find(_hashes(paths), claimed)
            bits = np.array([_BITS.get(suffix, 0) for _, suffix in of_chip], np.uint8)
            np.bitwise_or.at(seen, places[known], bits[known])
            for n in np.flatnonzero(~known):
                (chips if of_chip[n][1] == ".tif" else others).append(some[n])
        return {
            _MISSING: sorted(self._missing(claimed, seen)),
            "chips that nobody claims": sorted(chips),
            "other files that nobody claims": sorted(others),
        }

    def _missing(self, claimed: Hashes, seen: npt.NDArray[np.uint8]) -> set[str]:
        always = sum(int(_BITS[suffix]) for suffix in _ALWAYS)
        lacking = np.flatnonzero((seen & always) != always)
        if not len(lacking):
            return set()
        found = set[str]()
        for day in self.days:
            for table in self._parts(day):
                paths = table["path"].to_pylist()
                places, known = _find(_hashes(paths), claimed[lacking])
                for n in np.flatnonzero(known):
                    self.lacking.add(day)
                    there = seen[lacking[places[n]]]
                    found.update(
                        key
                        for suffix in _ALWAYS
                        if not there & _BITS[suffix]
                        for key in layout.chip_artefacts(paths[n], (suffix,))
                    )
        return found

    def _claimed(self, scene_day: date) -> set[str]:
        """The chip_ids of a day's parts; their paths are kept in mind."""
        ids = set[str]()
        for table in self._parts(scene_day):
            ids.update(table["chip_id"].to_pylist())
            self.paths.append(_hashes(table["path"].to_pylist()))
        return ids

    def _doubted(self, scene_day: date, ids: set[str]) -> set[str]:
        if ids:
            self.doubtful.add(scene_day)
        return ids

    def _parts(self, scene_day: date) -> Iterator[pa.Table]:
        for key in self.storage.list(layout.index_parts_of_scene_day(scene_day)):
            try:
                yield from tables.scan(self.storage, key, _NAMES)
            except StorageError:
                if self.storage.exists(key):
                    raise  # else it has gone since it was listed

    def _index_days(self) -> Iterator[tuple[date, list[str]]]:
        """The chip_ids of the index by the day on which they were sensed, in the order of the file."""
        key = layout.tiles_index()
        if not self.storage.exists(key):
            return
        waiting: tuple[date, list[str]] | None = None
        for table in tables.scan(self.storage, key, _IDS):
            ids = table["chip_id"].to_pylist()
            sensed = table["scene_datetime"].to_numpy().astype("datetime64[D]")
            starts = [0, *(np.flatnonzero(sensed[1:] != sensed[:-1]) + 1).tolist(), len(ids)]
            for start, end in itertools.pairwise(starts):
                if end == start:
                    continue
                day = sensed[start].item()
                if waiting is not None and waiting[0] == day:
                    waiting[1].extend(ids[start:end])
                    continue
                if waiting is not None:
                    yield waiting
                waiting = day, ids[start:end]
        if waiting is not None:
            yield waiting


def _chip_of(key: str) -> tuple[str, str]:
    """The path of the chip that a file belongs to, and its suffix; the key itself and nothing when it is no artefact."""
    suffix = next((suffix for suffix in _SUFFIXES if key.endswith(suffix)), "")
    return (key.removesuffix(suffix) + ".tif", suffix) if suffix else (key, "")


def _find(hashes: Hashes, among: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Where each is in a sorted array, and whether it is."""
    if not len(among):
        return np.zeros(len(hashes), np.intp), np.zeros(len(hashes), np.bool_)
    places = np.minimum(np.searchsorted(among, hashes), len(among) - 1)
    return places, among[places] == hashes


def _hashes(texts: list[str]) -> Hashes:
    """8 bytes for a text: that two of ten million are the same is one chance in 400,000."""
    return np.asarray(pd.util.hash_array(np.array(texts, dtype=object), categorize=False), np.uint64)


def _joined(arrays: Iterable[Hashes]) -> Hashes:
    return np.concatenate([np.zeros(0, np.uint64), *arrays])
