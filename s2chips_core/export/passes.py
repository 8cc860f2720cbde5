"""The passes over the chips of an export: one in the order of time, one in the order of the shards.

Here: which file is made of what. Not here: the formats (`stac`, `coco`, `shards`, `label_table`), what comes before and
after (`dataset`). Memory is bounded but for the rows of the index, of which 100,000 are about 60 MB.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import pyarrow as pa

from s2chips_core import layout
from s2chips_core.errors import InputError
from s2chips_core.export import shards, stac, stac_catalog
from s2chips_core.export.card_facts import LabelStatistics
from s2chips_core.export.chip_files import ChipFiles, Labels, RasterFacts, read_chip, rewritten
from s2chips_core.export.chip_stream import Row, in_order, iter_rows
from s2chips_core.export.coco import CocoCounts, CocoWriter
from s2chips_core.export.folder import Digest, ExportFolder
from s2chips_core.export.label_table import LabelWriter
from s2chips_core.export.options import ExportOptions
from s2chips_core.export.pseudonyms import Pseudonyms
from s2chips_core.index.chip_files import MASKS_SUFFIX
from s2chips_core.index.geoparquet import write_geoparquet
from s2chips_core.storage import LocalStorage, Storage

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the formats say of the whole export."""

    title: str
    description: str
    keywords: tuple[str, ...]
    software_version: str
    made_on: str
    """YYYY-MM-DD."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Made:
    """What was written, counted."""

    labels: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    coco: dict[str, CocoCounts] = dataclasses.field(default_factory=dict)
    """By split."""
    shards: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    """Chips of each shard, by split; splits without chips have none."""
    masks: bool = False
    """Whether any chip has masks."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A chip that lies in the export."""

    shown: Row
    raster: RasterFacts
    labels: Labels | None
    digests: Mapping[str, Digest]
    """By suffix."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """One export, with everything that its passes share."""

    storage: Storage
    """The dataset."""
    folder: ExportFolder
    options: ExportOptions
    rows: pa.Table
    """The chosen rows, `INDEX_SCHEMA`."""
    shown: pa.Table
    """The same rows, in the same order, as the export shows them."""
    pseudonyms: Pseudonyms | None
    threads: int
    progress: Progress

    def make(self, about: About) -> Made:
        """Write everything but the card and the manifest."""
        made = Made()
        if self.options.chip_files:
            self._in_time(about, made)
        if "geoparquet" in self.options.formats:
            with self.folder.stream(layout.export_index()) as file:
                write_geoparquet(file, self.shown)
        if "stac" in self.options.formats:
            self._catalogues(about, made)
        if "webdataset" in self.options.formats:
            for split in self.options.splits:
                self._in_shards(split, made)
        return made

    def _in_time(self, about: About, made: Made) -> None:
        """Chips, their items and annotations, and the table of labels."""
        wanted = self.options.formats
        with contextlib.ExitStack() as opened:
            coco = self._open_coco(opened, about) if "coco" in wanted else {}
            made.coco.update({split: writer.counts for split, writer in coco.items()})
            table = self._open_labels(opened) if "geoparquet" in wanted else None
            chips = in_order(iter_rows(self.rows, self.shown), self._write_chip, threads=self.threads)
            for done, chip in enumerate(chips, start=1):
                made.labels.add(chip.labels)
                made.masks |= MASKS_SUFFIX in chip.digests
                if table is not None:
                    table.add(chip.shown, chip.labels)
                if coco:
                    coco[chip.shown["split"]].add(chip.shown, chip.raster, chip.labels)
                if "stac" in wanted:
                    key = layout.export_item(chip.shown["scene_datetime"].date(), chip.shown["chip_id"])
                    self._put_json(key, stac.stac_item(chip.shown, chip.raster, chip.digests))
                self.progress(f"{done} of {self.rows.num_rows} chips written")

    def _write_chip(self, row: Row, shown: Row) -> _Written:
        """Read a chip, and write its files where they belong in the export."""
        linked: dict[str, Digest] = {}

        def link(key: str) -> bytes:
            # Linked files are never written anew, so that they have the key that they have in the dataset.
            data, linked[key] = self._link(key)
            return data

        files = read_chip(self.storage, row, link if self.options.assets == "link" else None)
        files, labels = self._as_shown(files, shown)
        digests = {}
        for suffix, data in files.data.items():
            [key] = layout.chip_artefacts(shown["path"], (suffix,))
            digests[suffix] = linked[key] if linked else self.folder.put(key, data)
        return _Written(shown=shown, raster=files.raster, labels=labels, digests=digests)

    def _link(self, key: str) -> tuple[bytes, Digest]:
        if not isinstance(self.storage, LocalStorage):
            raise InputError("export option assets", "link", "copy: the dataset is on no local disk")
        return self.folder.link(key, self.storage.path(key))

    def _as_shown(self, files: ChipFiles, shown: Row) -> tuple[ChipFiles, Labels | None]:
        labels = files.labels
        if self.pseudonyms and labels is not None:
            labels = self.pseudonyms.labels(labels, transform=tuple(shown["transform"][:6]), epsg=shown["epsg"])
        return (rewritten(files, shown, labels) if self.options.rewrites else files), labels

    def _open_coco(self, opened: contextlib.ExitStack, about: About) -> dict[str, CocoWriter]:
        writers = {}
        for split in self.options.splits:
            info = {
                "description": f"{about.title}: {split}",
                "version": about.software_version,
                "year": int(about.made_on[:4]),
                "date_created": about.made_on,
            }
            file = opened.enter_context(self.folder.stream(layout.export_instances(split)))
            by_type = self.options.categories == "ship_type"
            writers[split] = opened.enter_context(CocoWriter(file, info=info, by_type=by_type))
        return writers

    def _open_labels(self, opened: contextlib.ExitStack) -> LabelWriter:
        file = opened.enter_context(self.folder.stream(layout.export_labels()))
        return opened.enter_context(LabelWriter(file, without_ais=self.pseudonyms is not None))

    def _catalogues(self, about: About, made: Made) -> None:
        for day, chip_ids in stac_catalog.days_of(self.shown).items():
            self._put_json(layout.export_catalog(day), stac_catalog.catalog(day, chip_ids))
        root = stac_catalog.collection(
            self.shown,
            title=about.title,
            description=about.description,
            keywords=list(about.keywords),
            software_version=about.software_version,
            masks=made.masks,
            tables="geoparquet" in self.options.formats,
        )
        self._put_json(layout.export_collection(), root)

    def _in_shards(self, split: str, made: Made) -> None:
        """The shards of a split."""
        pairs = zip(self.rows["split"].to_pylist(), self.shown["chip_id"].to_pylist(), strict=True)
        of_split = {place: chip_id for place, (each, chip_id) in enumerate(pairs) if each == split}
        places = list(of_split)
        order = [places[n] for n in shards.shuffled(list(of_split.values()), self.options.seed)]

        def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
            pairs = iter_rows(self.rows.take(order), self.shown.take(order))
            for done, (chip_id, files, labels) in enumerate(in_order(pairs, self._sample, threads=self.threads), start=1):
                if not self.options.chip_files:
                    made.labels.add(labels)
                yield chip_id, files
                self.progress(f"{done} of {len(order)} {split} chips in shards")

        def open_shard(number: int) -> contextlib.AbstractContextManager[IO[bytes]]:
            return self.folder.stream(layout.export_shard(split, number))

        if order:
            made.shards[split] = shards.write_shards(
                samples(), open_shard, most_chips=self.options.shard_chips, most_mb=self.options.shard_mb
            )

    def _sample(self, row: Row, shown: Row) -> tuple[str, dict[str, bytes], Labels | None]:
        """Name, files and labels of a chip; one that lies in the export is not made a second time."""
        if self.options.chip_files:
            keys = {s: layout.chip_artefacts(shown["path"], (s,))[0] for s in shards.NAMES}
            there = self.folder.storage
            data = {suffix: there.get(key) for suffix, key in keys.items() if suffix != MASKS_SUFFIX or there.exists(key)}
            return shown["chip_id"], shards.sample_files(data, self.options.array), None
        files, labels = self._as_shown(read_chip(self.storage, row), shown)
        return shown["chip_id"], shards.sample_files(files.data, self.options.array), labels

    def _put_json(self, key: str, tree: Mapping[str, Any]) -> None:
        self.folder.put(key, (json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
