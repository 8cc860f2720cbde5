"""One run of a source of a day: what still has to be cut, what stands from an earlier run, the caps, the commit.

Not here: reading and judging pixels (`chips.cutting`), the threads (`batch`), the journal and the removal of orphans
(`commit`), what is said of a run (`day_result`).

Running a day again changes nothing and reads no pixel: a chip stands while its fingerprint (position, scene and its
revision, configuration) is that of its sidecar and its artefacts are there; so do refusals, except read errors. A chip that
another source has made in the same way is taken over without reading it.

What a chip is cut from (`provenance`) is written before its artefacts and stays, also when the run is given up.
"""

import contextlib
import dataclasses
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

from s2chips_core import layout, tables
from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.config import Settings
from s2chips_core.errors import StorageError
from s2chips_core.fetch import Fetcher
from s2chips_core.index.batch import Cut, cut_batch
from s2chips_core.index.chip_files import are_intact, encode_artefacts, write_artefacts
from s2chips_core.index.commit import commit_source, withdraw_source
from s2chips_core.index.day_result import DayResult, Progress
from s2chips_core.index.earlier import Earlier, read_earlier
from s2chips_core.index.journal import Journal
from s2chips_core.index.outcomes import (
    Outcome,
    chipped_row,
    counts,
    outcome_row,
    outcomes_frame,
    standing_row,
    unmatched_row,
)
from s2chips_core.index.parts import COMMIT_LOCK
from s2chips_core.index.provenance import keep_config, keep_scene
from s2chips_core.index.prune_moves import finish_moves
from s2chips_core.index.records import (
    PART_SCHEMA,
    ChipKey,
    chip_key,
    in_order,
    row_from_chip,
    row_from_earlier,
    rows_one_by_one,
)
from s2chips_core.index.row_batches import RowBatches
from s2chips_core.index.vessels import SceneVessels, read_vessels
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

Elsewhere = Callable[[Mapping[str, str], Sequence[Mapping[str, Any]]], Mapping[str, dict[str, Any]]]
"""Given what is missing by target_id, and matches: those targets' matches with the same scene of another archive, by
target_id; a target that is not in there has no other (`scenes.archives.find_elsewhere`)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A target with a scene, which nobody else of its source shares."""

    match: dict[str, Any]
    key: ChipKey


class DayRun:
    """One run of `day.chip_day`; decisions are made on the calling thread only."""

    def __init__(
        self,
        *,
        day: date,
        source_id: str,
        settings: Settings,
        storage: Storage,
        fetcher: Fetcher,
        created_at: datetime,
        software_version: str,
        stop: threading.Event | None,
        progress: Callable[[Progress], None] | None,
        cut: Cut,
        elsewhere: Elsewhere | None,
    ) -> None:
        self.day, self.source_id, self.settings, self.storage = day, source_id, settings, storage
        self.fetcher, self.created_at, self.software_version = fetcher, created_at, software_version
        self.stop, self.tell, self.cut, self.elsewhere = stop, progress, cut, elsewhere
        self.began, self.before = time.monotonic(), fetcher.stats()
        self.outcomes: dict[str, dict[str, Any]] = {}
        """By target_id."""
        self.vessels: dict[str, SceneVessels] = {}
        """By scene."""
        self.rows = RowBatches(PART_SCHEMA, "index")
        self.kept: set[str] = set()
        """Paths of the chips that have a row."""
        self.fresh: dict[str, date] = {}
        """Paths of the chips that this run has written."""
        self.staged: set[str] = set()
        """Those of them that the index has already: they wait for the commit."""
        self.files: dict[str, str] = {}
        """Reader by href."""

    def result(self) -> DayResult:
        """Decide, cut, commit."""
        matches = _read_matches(self.storage, self.day, self.source_id)
        self.total = len(matches)
        candidates = self._candidates(matches)
        self.vessels = read_vessels(self.storage, self.day, self.source_id, matches, self.settings)
        with self.storage.lock(COMMIT_LOCK):
            finish_moves(self.storage)
            earlier = read_earlier(self.storage, self.day, self.source_id, {c.key.scene_day for c in candidates})
            waiting = [c for c in candidates if not self._stands(c, earlier)]
            journal = self._journal(waiting, earlier)
            if journal is not None:
                self.storage.delete_folder(layout.staged(self.day, self.source_id))  # of a run that was killed
                self.storage.put(layout.journal(self.day, self.source_id), journal.to_json())
        self._report()
        with self._withdrawn_on_failure(journal):
            self._try_in_order(waiting, earlier)
            rows = tables.to_frame(in_order(self.rows.table()))
            outcomes = outcomes_frame(self.outcomes[match["target_id"]] for match in matches)
        with ThreadPoolExecutor(1, "s2chips-commit") as pool:
            # An interruption reaches this thread only: it is heard when the commit has ended.
            committed = pool.submit(
                commit_source,
                self.storage,
                self.day,
                self.source_id,
                rows=rows,
                outcomes=outcomes,
                fresh=self.fresh,
                staged=self.staged,
                journal=journal,
                masks=self.settings.masks.persist,
            )
            scene_days = committed.result()
        spent = self.fetcher.stats() - self.before
        readers = Counter(self.files.values())
        found = DayResult(
            day=self.day,
            source_id=self.source_id,
            counts=counts(outcomes),
            rows=rows,
            outcomes=outcomes,
            scene_days=tuple(sorted(scene_days)),
            chips_cut=len(self.fresh),
            chips_kept=len(rows) - len(self.fresh),
            chips_lost=self._lost(earlier),
            requests=spent.requests,
            bytes=spent.bytes,
            cog_assets=readers["cog"],
            gdal_assets=readers["gdal"],
            seconds=time.monotonic() - self.began,
        )
        logger.info(
            "%s %s: %d targets, %d chips cut, %d kept, %d requests, %d bytes, %d files (%d by GDAL), %.1f s",
            *(self.day, self.source_id, self.total, found.chips_cut, found.chips_kept),
            *(found.requests, found.bytes, len(self.files), found.gdal_assets, found.seconds),
        )
        return found

    def _candidates(self, matches: Sequence[dict[str, Any]]) -> list[_Candidate]:
        """The targets that may get a chip, in the order in which they are tried; the others get their outcome here."""
        first: dict[str, _Candidate] = {}
        for match in matches:
            if match["status"] != MatchStatus.MATCHED:
                self.outcomes[match["target_id"]] = unmatched_row(match)
                continue
            candidate = _Candidate(match=match, key=chip_key(match, self.settings))
            same = first.setdefault(candidate.key.chip_id, candidate)
            if same is not candidate:
                detail = f"the same ship, scene and place as target {same.match['target_id']}: one chip for both"
                self._decide(candidate, Outcome.DUPLICATE, detail)
        return sorted(first.values(), key=lambda c: (c.match["scene_datetime"], c.key.chip_id))

    def _stands(self, candidate: _Candidate, earlier: Earlier) -> bool:
        """Whether the earlier decision of this source stands; then it is taken over."""
        refused = earlier.refused.get(candidate.key.chip_id)
        if refused is not None and refused["fingerprint"] == candidate.key.fingerprint:
            self.outcomes[candidate.match["target_id"]] = standing_row(candidate.match, refused)
            return True
        return self._take_over(candidate, earlier.own, earlier.uncertain)

    def _take_over(self, candidate: _Candidate, known: Mapping[str, dict[str, Any]], uncertain: frozenset[str]) -> bool:
        """Whether the chip has been made already, exactly so; then it gets its row."""
        key, row = candidate.key, known.get(candidate.key.chip_id)
        if row is None or (row["fingerprint"], row["path"]) != (key.fingerprint, key.path) or key.path in uncertain:
            return False
        # The artefacts too: another source may have replaced them since the row was written.
        if not are_intact(self.storage, key, masks=self.settings.masks.persist):
            return False
        labels = self._labels(candidate, row["transform"])
        self._chipped(candidate, row_from_earlier(candidate.match, key, row, labels))
        return True

    def _labels(self, candidate: _Candidate, transform: Sequence[float]) -> list[dict[str, Any]]:
        a, b, c, d, e, f = transform
        return self.vessels[candidate.match["scene"]].labels(
            candidate.match,
            lat=candidate.key.lat,
            lon=candidate.key.lon,
            transform=(a, b, c, d, e, f),
            size_px=self.settings.tiling.chip_size_px,
        )

    def _journal(self, waiting: Sequence[_Candidate], earlier: Earlier) -> Journal | None:
        drops = {row["path"]: row["scene_datetime"].date() for row in earlier.own.values() if row["path"] not in self.kept}
        if earlier.replay is not None:
            drops |= earlier.replay.paths
        writes = {c.key.path: c.key.scene_day for c in waiting}
        replaces = {} if earlier.replay is None else earlier.replay.replaces
        return Journal(writes=writes, drops=drops, replaces=replaces) if writes or drops else None

    def _lost(self, earlier: Earlier) -> dict[str, int]:
        targets = [row["target_id"] for row in earlier.own.values() if row["path"] not in self.kept]
        now = Counter(str(self.outcomes[t]["outcome"]) if t in self.outcomes else "no target" for t in targets)
        return {outcome: n for outcome, n in sorted(now.items()) if outcome != Outcome.CHIPPED}  # those have another chip

    @contextlib.contextmanager
    def _withdrawn_on_failure(self, journal: Journal | None) -> Iterator[None]:
        done = False
        try:
            yield
            done = True
        finally:
            if not done and journal is not None:
                # If even this fails, the journal stays and the next run of this day and source does it.
                with contextlib.suppress(StorageError):
                    withdraw_source(self.storage, self.day, self.source_id, fresh=self.fresh, journal=journal)

    def _try_in_order(self, waiting: Sequence[_Candidate], earlier: Earlier) -> None:
        """Try as many at once as chips are missing to the cap: no more can come of them, and none is passed over."""
        cap = self.settings.limits.chips_cap
        at = 0
        while at < len(waiting) and (cap is None or len(self.rows) < cap):
            batch = waiting[at:] if cap is None else waiting[at : at + cap - len(self.rows)]
            at += len(batch)
            self._cut([c for c in batch if not self._take_over(c, earlier.others, earlier.uncertain)], earlier)
        for candidate in waiting[at:]:
            detail = f"the cap of {cap} chips was reached by ships before it in the order of scene time and chip id"
            self._decide(candidate, Outcome.OVER_CAP, detail)
        self._report()

    def _cut(self, batch: Sequence[_Candidate], earlier: Earlier) -> None:
        by_target = {c.match["target_id"]: c for c in batch}
        by_scene: dict[str, list[_Candidate]] = {}
        for candidate in batch:
            by_scene.setdefault(candidate.match["scene"], []).append(candidate)
        groups = [(Scene.from_json(text), [_request(c) for c in members]) for text, members in by_scene.items()]

        keep_config(self.storage, self.settings)

        def write(chip: Chip) -> dict[str, Any]:
            candidate = by_target[chip.request.target_id]
            keep_scene(self.storage, candidate.match["scene"])
            row = row_from_chip(
                candidate.match,
                candidate.key,
                chip,
                self._labels(candidate, chip.transform),
                created_at=self.created_at,
                software_version=self.software_version,
                config_hash=self.settings.config_hash,
            )
            path, place = candidate.key.path, candidate.key.path
            if path in earlier.indexed_paths:
                place = layout.staged_chip(self.day, self.source_id, path)
                self.staged.add(path)
            write_artefacts(self.storage, place, encode_artefacts(row, chip, self.settings))
            self.fresh[path] = candidate.key.scene_day
            return row

        results = cut_batch(
            groups,
            cut=self.cut,
            write=write,
            settings=self.settings,
            fetcher=self.fetcher,
            stop=self.stop,
            opened=self.files.__setitem__,
        )
        incomplete: list[tuple[_Candidate, Refusal]] = []
        with contextlib.closing(results):
            for request, result in results:
                candidate = by_target[request.target_id]
                if not isinstance(result, Refusal):
                    self._chipped(candidate, result)
                elif self.elsewhere is not None and result.reason is RefusalReason.MISSING_ASSET:
                    incomplete.append((candidate, result))
                else:
                    self._decide(candidate, Outcome(result.reason.value), result.detail, result)
                self._report()
        if incomplete:
            self._cut_elsewhere(incomplete, earlier)

    def _cut_elsewhere(self, incomplete: Sequence[tuple[_Candidate, Refusal]], earlier: Earlier) -> None:
        """Cut from another archive what this one has no files of, as often as there is another; what has none is refused."""
        assert self.elsewhere is not None
        missing = {candidate.match["target_id"]: refusal.detail for candidate, refusal in incomplete}
        moved = self.elsewhere(missing, [candidate.match for candidate, _ in incomplete])
        again = []
        for candidate, refusal in incomplete:
            match = moved.get(candidate.match["target_id"])
            if match is None:
                self._decide(candidate, Outcome(refusal.reason.value), refusal.detail, refusal)
                continue
            logger.info("%s: %s", match["target_id"], match["detail"])
            self.vessels[match["scene"]] = self.vessels[candidate.match["scene"]]
            other = _Candidate(match=match, key=chip_key(match, self.settings))
            if not self._stands(other, earlier) and not self._take_over(other, earlier.others, earlier.uncertain):
                again.append(other)
        self._report()
        if again:
            self._cut(again, earlier)

    def _decide(self, candidate: _Candidate, outcome: Outcome, detail: str, refusal: Refusal | None = None) -> None:
        logger.debug("%s: %s: %s", candidate.match["target_id"], outcome, detail)
        self.outcomes[candidate.match["target_id"]] = outcome_row(
            candidate.match,
            outcome,
            detail,
            chip_id=candidate.key.chip_id,
            fingerprint=candidate.key.fingerprint,
            numbers=None if refusal is None else refusal.numbers,
        )

    def _chipped(self, candidate: _Candidate, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.kept.add(row["path"])
        self.outcomes[candidate.match["target_id"]] = chipped_row(candidate.match, row)

    def _report(self) -> None:
        if self.tell is not None:
            self.tell(
                Progress(
                    total=self.total,
                    done=len(self.outcomes),
                    chips=len(self.rows),
                    refusals=len(self.outcomes) - len(self.rows),
                    bytes=self.fetcher.stats().bytes - self.before.bytes,
                    seconds=time.monotonic() - self.began,
                )
            )


def _read_matches(storage: Storage, day: date, source_id: str) -> list[dict[str, Any]]:
    """The rows of its matches. The text of a scene, which is some kB, is held once for all its ships."""
    table = tables.read_arrow(storage, layout.matches_part(day, source_id), MATCH_SCHEMA)
    texts: dict[str, str] = {}
    return [match | {"scene": texts.setdefault(match["scene"], match["scene"])} for match in rows_one_by_one(table)]


def _request(candidate: _Candidate) -> CutRequest:
    match = candidate.match
    return CutRequest(
        target_id=match["target_id"],
        mmsi=int(match["mmsi"]),
        lat=candidate.key.lat,
        lon=candidate.key.lon,
        chip_id=candidate.key.chip_id,
    )


def whole_ms(time_utc: datetime) -> datetime:
    """What a table can hold: milliseconds."""
    return time_utc.replace(microsecond=time_utc.microsecond // 1000 * 1000)
