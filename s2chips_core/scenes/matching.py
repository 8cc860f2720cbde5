"""Matching: which scene each target gets, or why it gets none. Pure and vectorised.

First the datatake is chosen (closest in time, then lower cloud), then within it the granule: the one whose footprint holds
most of the chip, then the one whose edge is farthest, then the newest processing. One chip for each ship and datatake within
a source. Not here: the pairs (`candidates`), what is said to the others (`refusals`).
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.errors import InputError
from s2chips_core.scenes.candidates import Ints, Limits, Pairs, Ships, build_pairs, chip_fit, scene_times_ms
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.radiometry import baseline_number
from s2chips_core.scenes.refusals import duration, explain_refusals, side
from s2chips_core.scenes.scene import Scene

DATATAKE_GAP = timedelta(minutes=45)
"""Scenes of one satellite that are farther apart are of different datatakes: one takes half an hour, an orbit 100 min."""
SHARE_STEP = 1e-3
EDGE_STEP_M = 100.0
"""Granules that differ by less in share and edge distance are equally good, so that reprocessed twins tie."""
NOTHING_FOUND = (MatchStatus.PENDING_L2A, MatchStatus.NO_SCENE, MatchStatus.TIME_MISMATCH)
"""What more scenes may explain better."""

_SCENE_COLUMNS = {
    "scene_id": "scene_id",
    "provider": "provider",
    "collection": "collection",
    "mgrs_tile": "mgrs_tile",
    "platform": "platform",
    "processing_baseline": "processing_baseline",
}


def match_targets(
    targets: pd.DataFrame,
    fixes: pd.DataFrame,
    scenes: Sequence[Scene],
    cloudy_scenes: Sequence[Scene],
    *,
    settings: Settings,
    now: datetime,
) -> pd.DataFrame:
    """Match every target.

    Args:
        targets: TARGET_SCHEMA.
        fixes: FIX_SCHEMA; needed for targets with position_mode `at_sensing_time`.
        scenes: what was found within the cloud limit.
        cloudy_scenes: what else is published there, whatever its cloud, to explain refusals; may repeat `scenes`. The limit
            is held to for both.
        settings: `stac`, `ais.max_gap_min`, `tiling.chip_size_px`, `limits.max_ships` and `scheduling.give_up_days`.
        now: aware UTC; until `give_up_days` after its AIS time a target without a scene is pending.

    Returns:
        MATCH_SCHEMA, one row for each target, in order.

    Raises:
        InputError: a scene does not know its tile's own time (`sensing_time.resolve_sensing_times`).
    """
    everything = _unique(itertools.chain(scenes, cloudy_scenes))
    answers = _Answers(targets)
    taken = _take_ships(targets, settings.limits.max_ships, now, answers)
    ships = _ships(targets, taken)
    footprints = [Footprint.of(scene) for scene in everything]
    limits = Limits(
        window_s=settings.stac.search_window_hours * 3600.0,
        max_dt_s=min(settings.stac.max_dt_min * 60.0, settings.stac.search_window_hours * 3600.0),
        max_gap_s=settings.ais.max_gap_min * 60.0,
        cloud_cover_max=settings.stac.cloud_cover_max,
    )
    pairs = build_pairs(ships, fixes, everything, footprints, limits)

    datatakes = datatakes_of(everything)
    best = _choose(pairs.take(pairs.usable), everything, footprints, datatakes, settings.tiling.chip_size_px)
    answers.give_scenes(taken[best.pairs.ship], best.pairs, everything, datatakes)
    _say_matched(answers, taken, best, everything)
    _mark_duplicates(answers, targets, taken, best, datatakes)

    lost = np.setdiff1d(np.arange(len(taken)), best.pairs.ship)
    give_up_s = settings.scheduling.give_up_days * 86_400.0
    refusals = explain_refusals(
        lost, ships, pairs, everything, footprints, limits, now_ms=_milliseconds(now), give_up_s=give_up_s
    )
    about = np.flatnonzero(refusals.pair >= 0)
    answers.give_scenes(taken[lost[about]], pairs.take(refusals.pair[about]), everything, datatakes)
    answers.say(taken[lost], refusals.status, refusals.detail)
    return answers.frame()


def match_lost_again(
    matches: pd.DataFrame,
    targets: pd.DataFrame,
    fixes: pd.DataFrame,
    scenes: Sequence[Scene],
    cloudy_scenes: Sequence[Scene],
    *,
    settings: Settings,
    now: datetime,
) -> pd.DataFrame:
    """What `match_targets` gives with the cloudy scenes too, where `matches` are those without.

    Scenes above the cloud limit explain a refusal and change nothing else: only the targets that got nothing are matched
    again. All are, where the cloudy scenes hold a clear one after all, or where a datatake that the items do not name gets
    another name by them.

    Args:
        matches: what `match_targets` gave for `targets`, `fixes` and `scenes` with no cloudy ones.
        targets, fixes, scenes, cloudy_scenes, settings, now: as for `match_targets`.
    """
    clear, everything = _unique(scenes), _unique(itertools.chain(scenes, cloudy_scenes))
    found_clear = any(scene.cloud_cover <= settings.stac.cloud_cover_max for scene in everything[len(clear) :])
    if found_clear or datatakes_of(everything)[: len(clear)] != datatakes_of(clear):
        return match_targets(targets, fixes, scenes, cloudy_scenes, settings=settings, now=now)
    lost = matches["status"].isin(NOTHING_FOUND).to_numpy(dtype=bool)
    again = match_targets(targets[lost], fixes, scenes, cloudy_scenes, settings=settings, now=now)
    both = pd.concat([matches[~lost], again.set_axis(np.flatnonzero(lost))]).sort_index()
    return tables.to_frame(tables.conform(both, MATCH_SCHEMA, "matches"))


def datatakes_of(scenes: Sequence[Scene]) -> list[str]:
    """The identity of each scene's datatake: ESA's, else satellite and time of the first scene of its cluster in time."""
    names = [scene.datatake_id for scene in scenes]
    nameless = sorted(
        (scene.platform, scene.datetime, number) for number, scene in enumerate(scenes) if scene.datatake_id is None
    )
    platform, last, name = "", datetime.min.replace(tzinfo=UTC), ""
    for this_platform, when, number in nameless:
        if this_platform != platform or when - last > DATATAKE_GAP:
            name = f"{this_platform}_{when:%Y%m%dT%H%M%S}"
        platform, last = this_platform, when
        names[number] = name
    return [str(name) for name in names]


def preference(scenes: Sequence[Scene]) -> Ints:
    """The rank of each scene among equally good granules: newest baseline, sequence and revision first, then by id."""
    by_id = sorted(range(len(scenes)), key=lambda n: scenes[n].scene_id)
    newest_first = sorted(
        by_id,
        key=lambda n: (
            baseline_number(scenes[n].processing_baseline) or (-1, -1),
            scenes[n].sequence,
            scenes[n].revision,
        ),
        reverse=True,
    )
    rank = np.empty(len(scenes), dtype=np.int64)
    rank[newest_first] = np.arange(len(scenes))
    return rank


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Best:
    """The pair that won for each ship that has one, in order of ship."""

    pairs: Pairs
    share: np.ndarray
    edge_m: np.ndarray
    siblings: list[list[str]]


class _Answers:
    """The columns of the matches in the making, one row for each target."""

    def __init__(self, targets: pd.DataFrame) -> None:
        self._targets = targets.reset_index(drop=True)
        added = [field for field in MATCH_SCHEMA if field.name not in self._targets.columns]
        self.columns = {field.name: np.full(len(targets), None, dtype=object) for field in added}
        for name in ("dt_s", "lat", "lon", "position_gap_s", "position_sigma_m", "cloud_cover"):
            self.columns[name] = np.full(len(targets), np.nan)
        for name in ("footprint_frac", "edge_distance_m"):
            self.columns[name] = np.full(len(targets), np.nan)
        self.columns["scene_datetime"] = np.full(len(targets), np.datetime64("NaT"), dtype="datetime64[ms]")

    def say(self, rows: np.ndarray, status: Iterable[MatchStatus], detail: Iterable[str]) -> None:
        """Set status and sentence of some rows."""
        self.columns["status"][rows] = [str(value) for value in status]
        self.columns["detail"][rows] = list(detail)

    def give_scenes(self, rows: np.ndarray, pairs: Pairs, scenes: Sequence[Scene], datatakes: Sequence[str]) -> None:
        """Set what is known of the scene and, where it could be told, the ship's place."""
        for column, attribute in _SCENE_COLUMNS.items():
            values = np.array([getattr(scene, attribute) for scene in scenes] or [None], dtype=object)
            self.columns[column][rows] = values[pairs.scene]
        self.columns["datatake"][rows] = np.array([*datatakes, None], dtype=object)[pairs.scene]
        self.columns["cloud_cover"][rows] = np.array([scene.cloud_cover for scene in scenes] or [0.0])[pairs.scene]
        times_ms = np.append(scene_times_ms(scenes), 0)
        self.columns["scene_datetime"][rows] = times_ms[pairs.scene].astype("datetime64[ms]")
        self.columns["dt_s"][rows] = pairs.dt_ms / 1000.0
        placed = pairs.in_reach & ~pairs.refused
        for column in ("lon", "lat", "position_method", "position_gap_s", "position_sigma_m"):
            self.columns[column][rows[placed]] = getattr(pairs, column)[placed]

    def frame(self) -> pd.DataFrame:
        """The table."""
        columns = dict(self.columns)
        columns["scene_datetime"] = pd.DatetimeIndex(columns["scene_datetime"]).tz_localize("UTC")
        frame = self._targets.assign(**columns)
        return tables.to_frame(tables.conform(frame, MATCH_SCHEMA, "matches"))


def _unique(scenes: Iterable[Scene]) -> list[Scene]:
    found: dict[tuple[str, str, str], Scene] = {}
    for scene in scenes:
        if scene.datetime_is != "tile":
            raise InputError(
                f"scene {scene.scene_id}: datetime", scene.datetime_is, "the tile's own sensing time: resolve it first"
            )
        found.setdefault((scene.provider, scene.collection, scene.scene_id), scene)
    return list(found.values())


def _take_ships(targets: pd.DataFrame, max_ships: int | None, now: datetime, answers: _Answers) -> np.ndarray:
    """The rows to match, in order; the others get their answer."""
    complete = targets[["mmsi", "ais_time", "ais_lat", "ais_lon"]].notna().all(axis=1).to_numpy()
    reason = targets["invalid_reason"].to_numpy(dtype=object)
    told = targets["invalid_reason"].notna().to_numpy(dtype=bool)
    bad = np.flatnonzero(told | ~complete)
    answers.say(
        bad,
        [MatchStatus.INVALID_AIS] * len(bad),
        [str(reason[row]) if told[row] else "MMSI, time or place is missing." for row in bad],
    )
    good = targets.reset_index(drop=True)[~told & complete].sort_values(["ais_time", "mmsi", "target_id"], kind="stable")
    in_order = good.index.to_numpy()
    taken, over = (in_order, in_order[:0]) if max_ships is None else (in_order[:max_ships], in_order[max_ships:])
    answers.say(
        over,
        [MatchStatus.OVER_CAP] * len(over),
        [
            f"limits.max_ships is {max_ships}, and this is ship {len(taken) + n} of {len(in_order)} in order of AIS time."
            for n in range(1, len(over) + 1)
        ],
    )
    ahead_s = (_times_ms(targets["ais_time"])[taken] - _milliseconds(now)) / 1000.0
    future = ahead_s > 0
    answers.say(
        taken[future],
        [MatchStatus.PENDING_L2A] * int(future.sum()),
        [f"The AIS time is {duration(seconds)} in the future: nothing can be published yet." for seconds in ahead_s[future]],
    )
    return np.sort(taken[~future])


def _ships(targets: pd.DataFrame, rows: np.ndarray) -> Ships:
    taken = targets.iloc[rows]
    return Ships(
        mmsi=taken["mmsi"].to_numpy(np.int64),
        time_ms=_times_ms(taken["ais_time"]),
        lon=taken["ais_lon"].to_numpy(np.float64),
        lat=taken["ais_lat"].to_numpy(np.float64),
        sog_kn=taken["sog_kn"].to_numpy(np.float64, na_value=np.nan),
        at_sensing=(taken["position_mode"] == "at_sensing_time").to_numpy(dtype=bool),
        captured=(taken["source_id"] == layout.CAPTURE).to_numpy(dtype=bool),
    )


def _choose(
    pairs: Pairs, scenes: Sequence[Scene], footprints: Sequence[Footprint], datatakes: Sequence[str], chip_size_px: int
) -> _Best:
    """The best pair of each ship that has a usable one."""
    names, number = np.unique(np.array(datatakes, dtype=str), return_inverse=True)
    datatake = number[pairs.scene] if len(pairs.scene) else np.empty(0, dtype=np.int64)
    cloud = np.array([scene.cloud_cover for scene in scenes], dtype=np.float64)[pairs.scene]
    # The best pair of each ship by time and cloud tells its datatake: the closest, then the clearest, then by name.
    group = pairs.ship * max(len(names), 1) + datatake
    groups, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    closest_ms = np.full(len(groups), np.iinfo(np.int64).max)
    np.minimum.at(closest_ms, inverse, np.abs(pairs.dt_ms))
    clearest = np.full(len(groups), np.inf)
    np.minimum.at(clearest, inverse, cloud)
    ship_of_group = pairs.ship[first]
    order = np.lexsort((groups, clearest, closest_ms, ship_of_group))
    _, head = np.unique(ship_of_group[order], return_index=True)
    chosen = np.zeros(len(groups), dtype=bool)
    chosen[order[head]] = True

    pairs = pairs.take(np.flatnonzero(chosen[inverse]))
    share, edge_m = chip_fit(pairs, footprints, chip_size_px)
    rank = preference(scenes)[pairs.scene]
    # Measured from the best, not rounded: twins on both sides of a step tie as well.
    good = share >= _best_of_ship(pairs.ship, share) - SHARE_STEP
    edge_of_good_m = np.where(good, edge_m, -np.inf)
    good &= edge_of_good_m >= _best_of_ship(pairs.ship, edge_of_good_m) - EDGE_STEP_M
    order = np.lexsort((rank, ~good, pairs.ship))
    _, head, count = np.unique(pairs.ship[order], return_index=True, return_counts=True)
    siblings: list[list[str]] = [[] for _ in head]
    for n in np.flatnonzero(count > 1):
        siblings[n] = [scenes[s].scene_id for s in pairs.scene[order[head[n] + 1 : head[n] + count[n]]]]
    won = order[head]
    return _Best(pairs=pairs.take(won), share=share[won], edge_m=edge_m[won], siblings=siblings)


def _best_of_ship(ship: np.ndarray, value: np.ndarray) -> np.ndarray:
    """For each pair the largest value among the pairs of its ship."""
    best = np.full(int(ship.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(best, ship, value)
    return np.asarray(best[ship])


def _say_matched(answers: _Answers, taken: np.ndarray, best: _Best, scenes: Sequence[Scene]) -> None:
    rows, pairs = taken[best.pairs.ship], best.pairs
    lines = np.array([*(scene.to_json() for scene in scenes), None], dtype=object)
    answers.columns["footprint_frac"][rows] = best.share
    answers.columns["edge_distance_m"][rows] = best.edge_m
    answers.columns["scene"][rows] = lines[pairs.scene]
    for row, siblings in zip(rows, best.siblings, strict=True):
        answers.columns["sibling_scene_ids"][row] = siblings
    answers.say(
        rows,
        [MatchStatus.MATCHED] * len(rows),
        [
            f"{scenes[pairs.scene[n]].scene_id} was sensed {duration(pairs.dt_ms[n] / 1000)} {side(pairs.dt_ms[n])} the AIS "
            f"time; the ship's place is {pairs.position_method[n]}, {duration(pairs.position_gap_s[n])} from a fix, "
            f"± {pairs.position_sigma_m[n]:.0f} m; {best.share[n]:.1%} of the chip lies in the scene."
            for n in range(len(rows))
        ],
    )


def _mark_duplicates(
    answers: _Answers, targets: pd.DataFrame, taken: np.ndarray, best: _Best, datatakes: Sequence[str]
) -> None:
    """Within a source, keep one target of each ship and datatake: the closest in time, then the first row."""
    rows = taken[best.pairs.ship]
    dt_s = np.abs(best.pairs.dt_ms) / 1000.0
    datatake = np.array([*datatakes, None], dtype=object)[best.pairs.scene]
    mmsi = targets["mmsi"].to_numpy(np.int64, na_value=0)[rows]
    source_id = targets["source_id"].to_numpy(dtype=object)[rows]
    won = pd.DataFrame({"source_id": source_id, "mmsi": mmsi, "datatake": datatake, "dt_s": dt_s, "row": rows})
    won = won.sort_values(["source_id", "mmsi", "datatake", "dt_s", "row"])
    order = won.index.to_numpy()
    first = ~won.duplicated(["source_id", "mmsi", "datatake"]).to_numpy(dtype=bool)
    keeper = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    again, keeper = order[~first], keeper[~first]
    target_id = targets["target_id"].to_numpy(dtype=object)[rows]
    answers.say(
        rows[again],
        [MatchStatus.DUPLICATE] * len(again),
        [
            f"Target {target_id[k]} of ship {mmsi[n]} has the chip of datatake {datatake[n]}: its AIS time is "
            f"{duration(dt_s[k])} from the sensing time, this one's {duration(dt_s[n])}."
            for n, k in zip(again, keeper, strict=True)
        ],
    )
    answers.columns["scene"][rows[again]] = None


def _times_ms(times: pd.Series) -> Ints:
    utc = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]")
    milliseconds: Ints = utc.astype(np.int64)
    return milliseconds


def _milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)
