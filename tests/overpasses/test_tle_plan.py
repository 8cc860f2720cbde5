"""The plan by orbital elements against real tile times and products."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.elements import Elements, RefusedElements, parse_elements, satrec_of, select_elements
from s2chips_core.overpasses.orbit import NODAL_PERIOD_S, earth_fixed_km, next_node, propagate
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Plan
from s2chips_core.overpasses.swath import look_at, trace
from s2chips_core.overpasses.tile_shapes import tile_outlines
from s2chips_core.overpasses.tle_plan import plan_by_tle, time_sigma_s

pytestmark = pytest.mark.shared_data
NOON = datetime(2026, 5, 27, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(shared_data: Path) -> list[Elements]:
    return parse_elements((shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes(), "history")[0]


@pytest.fixture(scope="module")
def real_times(shared_data: Path) -> pd.DataFrame:
    frame = pd.read_csv(shared_data / "orbit" / "s2_tile_sensing_times.csv")
    return frame.assign(tile_time=pd.to_datetime(frame["tile_time"], utc=True, format="ISO8601"))


@pytest.fixture(scope="module")
def tiles(shared_data: Path) -> list[str]:
    return list(pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")["tile"].iloc[::283][:200])


def plan_day(history: list[Elements], tile: str, satellite: str, day: datetime, max_age_days: float = 15) -> Plan:
    start = day.replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    return plan_by_tle(history, [tile], start, end, window_min=5, max_age_days=max_age_days, satellites=[satellite])


def with_fresh_elements(history: list[Elements], real_times: pd.DataFrame, days: float) -> pd.DataFrame:
    fresh = [
        isinstance(select_elements(history, row.satellite, row.tile_time.to_pydatetime(), days), Elements)
        for row in real_times.itertuples()
    ]
    return real_times[fresh]


def sensed_at(history: list[Elements], satellite: str, when: pd.Timestamp, lon: float, lat: float) -> float:
    """Unix time when a place is sensed on the pass around a time."""
    elements = select_elements(history, satellite, when.to_pydatetime(), 90)
    assert isinstance(elements, Elements)
    satrec = satrec_of(elements)
    node_s = next_node(satrec, when.timestamp() - NODAL_PERIOD_S / 2, ascending=False)
    tracks = trace([satrec], np.array([node_s]))
    place = earth_fixed_km(np.array([lon]), np.array([lat]))
    time_s, side = look_at(tracks, np.array([0]), place, np.array([when.timestamp()]))
    assert abs(side[0]) < 1.02
    return float(time_s[0])


def test_real_tile_times(history: list[Elements], real_times: pd.DataFrame) -> None:
    """Every real tile with elements at most 15 days from it is in the plan; its data is sensed when ESA says.

    ESA's time is that of the middle of the data. Where the camera was off over a part of the tile that is not the middle of
    what the swath covers: then the time of the data's own centre is compared, and the plan's is within half a tile of it.
    """
    rows = with_fresh_elements(history, real_times, 15)
    assert len(rows) == 8
    errors, planned = [], []
    for row in rows.itertuples():
        passes = plan_day(history, row.tile, row.satellite, row.tile_time.to_pydatetime()).passes
        (found,) = passes[(passes["overpass_time"] - row.tile_time).abs() < pd.Timedelta(minutes=5)].itertuples()
        assert found.relative_orbit == row.relative_orbit
        planned.append((found.overpass_time - row.tile_time).total_seconds())
        if np.isnan(row.data_lon):
            errors.append(planned[-1])
        else:
            sensed_s = sensed_at(history, row.satellite, row.tile_time, row.data_lon, row.data_lat)
            errors.append(sensed_s - row.tile_time.timestamp())
    assert np.median(np.abs(errors)) <= 0.5
    assert np.abs(errors).max() <= 1.0
    assert np.abs(planned).max() <= 10.0


def test_one_moment_of_switching_off_explains_four_tiles(history: list[Elements], real_times: pd.DataFrame) -> None:
    """Why ESA's times of 2025-07-31 are up to 8 s before the plan's: the datatake ended within these tiles.

    Each tile alone tells, by where the middle of its data is along the track, when the camera went off. Across the track the
    middle of what was left then is where the data's is, also in tiles that the edge of the swath cuts.
    """
    datatake = real_times[real_times["datatake_start"] == "20250731T130249"]
    ended_s = []
    for row in datatake.itertuples():
        elements = select_elements(history, row.satellite, row.tile_time.to_pydatetime(), 15)
        assert isinstance(elements, Elements)
        satrec, at_s = satrec_of(elements), row.tile_time.timestamp()
        tracks = trace([satrec], np.array([next_node(satrec, at_s - NODAL_PERIOD_S / 2, ascending=False)]))
        corners = shapely.get_coordinates(tile_outlines([row.tile], points_per_edge=1))[:4]
        lon, lat = np.vstack([corners, [[row.data_lon, row.data_lat]]]).T
        times, sides = look_at(tracks, np.zeros(5, dtype=np.intp), earth_fixed_km(lon, lat), np.full(5, at_s))
        tile = shapely.Polygon(np.column_stack([times[:4] - at_s, sides[:4]]))
        off_s = np.arange(tile.bounds[0] + 0.5, tile.bounds[2], 0.05)
        cut = shapely.intersection(tile, shapely.box(-30.0, -1.0, off_s, 1.0))
        off_s, left = off_s[shapely.area(cut) > 0], shapely.centroid(cut[shapely.area(cut) > 0])
        fits = int(np.abs(shapely.get_x(left) - (times[4] - at_s)).argmin())
        assert abs(shapely.get_y(left[fits]) - sides[4]) < 0.012, row.tile  # 1.7 km
        if row.tile != "24MUA":  # that one was over before
            ended_s.append(at_s + off_s[fits])
    assert len(ended_s) == 4
    assert max(ended_s) - min(ended_s) < 0.4
    # It is not the swath's end: 24MVV and 24MWV lie inside it.


def test_old_elements_are_refused_and_would_be_off_by_much(history: list[Elements], real_times: pd.DataFrame) -> None:
    errors = []
    for row in real_times.itertuples():
        elements = select_elements(history, row.satellite, row.tile_time.to_pydatetime(), 75)
        if isinstance(elements, RefusedElements) or abs(elements.epoch - row.tile_time) < timedelta(days=36):
            continue
        refused = plan_day(history, row.tile, row.satellite, row.tile_time.to_pydatetime(), 36)
        assert refused.passes.empty
        assert "days away, 36 are allowed" in refused.notes[0]
        passes = plan_day(history, row.tile, row.satellite, row.tile_time.to_pydatetime(), 75).passes
        errors.append((passes["overpass_time"] - row.tile_time).abs().min().total_seconds())
    assert len(errors) == 4
    assert np.median(errors) > 20


def test_real_products_are_found(shared_data: Path, history: list[Elements]) -> None:
    rows = pd.read_csv(shared_data / "orbit" / "s2_product_names.csv")
    seen = 0
    for row in rows.itertuples():
        day = datetime.strptime(str(row.date), "%Y%m%d").replace(tzinfo=UTC)
        if isinstance(select_elements(history, row.satellite, day, 30), RefusedElements):
            continue
        (found,) = plan_day(history, row.tile, row.satellite, day, 31).passes.itertuples()
        seen += 1
        assert found.satellite == row.satellite
        if isinstance(row.datatake_start, str):
            began = datetime.strptime(row.datatake_start, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            assert found.relative_orbit == row.relative_orbit
            assert timedelta(seconds=-5) <= found.overpass_time - began <= timedelta(minutes=30)
    assert seen == 20


def test_the_error_is_as_large_as_it_says(history: list[Elements], real_times: pd.DataFrame) -> None:
    """Element sets against each other, along the track, and against real tile times that are not cut."""
    for low, high in ((0.5, 2), (2, 4), (4, 8), (8, 20), (30, 45)):
        ratios = []
        for old in history:
            for new in history:
                age = abs(old.epoch - new.epoch) / timedelta(days=1)
                if old.satellite != new.satellite or not low < age <= high:
                    continue
                at = np.array([new.epoch.timestamp()])
                (expected,), (velocity,) = propagate(satrec_of(new), at)
                (got,), _ = propagate(satrec_of(old), at)
                error_s = (got - expected) @ velocity / (velocity @ velocity)
                ratios.append(error_s / time_sigma_s(age))
        assert len(ratios) >= 4
        assert 0.2 < np.sqrt(np.mean(np.square(ratios))) < 1.4, (low, high)
    whole = with_fresh_elements(history, real_times[real_times["tile"].isin(["13TDE", "01LAC", "01KAB", "01WCP"])], 75)
    errors = []
    for row in whole.itertuples():
        passes = plan_day(history, row.tile, row.satellite, row.tile_time.to_pydatetime(), 75).passes
        nearest = passes.iloc[[(passes["overpass_time"] - row.tile_time).abs().argmin()]].iloc[0]
        errors.append((nearest["overpass_time"] - row.tile_time).total_seconds() / nearest["time_sigma_s"])
    assert len(errors) >= 6
    assert np.sqrt(np.mean(np.square(errors))) < 1.2


def test_rows_follow_the_schema(history: list[Elements]) -> None:
    start = datetime(2026, 5, 24, tzinfo=UTC)
    plan = plan_by_tle(
        history, ["30STF", "29SQA", "01KAB", "30STF"], start, start + timedelta(days=10), window_min=7, max_age_days=14
    )
    passes = plan.passes
    tables.conform(passes, PLAN_SCHEMA, "plan")
    assert passes.equals(passes.sort_values(["overpass_time", "tile_id", "satellite"], ignore_index=True))
    assert not passes.duplicated(["tile_id", "satellite", "overpass_time"]).any()
    assert set(passes["imaging"]) == {"unknown"}
    assert set(passes["source"]) == {"tle"}
    assert (passes["overpass_time"] - passes["window_start"] == pd.Timedelta(minutes=7)).all()
    assert (passes["window_end"] - passes["overpass_time"] == pd.Timedelta(minutes=7)).all()
    assert passes["overpass_time"].between(start, start + timedelta(days=10), inclusive="left").all()
    assert passes["relative_orbit"].between(1, 143).all()
    epochs = {e.epoch for e in history}
    for row in passes.itertuples():
        own = [e.epoch for e in history if e.satellite == row.satellite]
        nearest = min(own, key=lambda epoch: abs(epoch - row.overpass_time))
        # By the middle of the pass: half an hour may lie between.
        assert abs(abs(row.source_epoch - row.overpass_time) - abs(nearest - row.overpass_time)) < pd.Timedelta(hours=1)
        assert min(abs(epoch - row.source_epoch) for epoch in epochs) < pd.Timedelta(milliseconds=1)
    assert plan.notes == ()


def test_every_pass_repeats_after_a_cycle_on_the_same_orbit(history: list[Elements]) -> None:
    start = datetime(2026, 5, 20, tzinfo=UTC)
    wanted = ["30STF", "01KAB", "33XWJ", "60CWS", "31NAA"]
    passes = plan_by_tle(
        history, wanted, start, start + timedelta(days=20), window_min=5, max_age_days=14, min_sun_elevation_deg=-90
    ).passes
    first = passes[passes["overpass_time"] < start + timedelta(days=10)].copy()
    second = passes[passes["overpass_time"] >= start + timedelta(days=10)].copy()
    first["overpass_time"] += pd.Timedelta(days=10)
    both = first.merge(second, on=["tile_id", "satellite", "relative_orbit"], suffixes=("", "_later"))
    assert len(both) == len(first) == len(second)
    assert ((both["overpass_time_later"] - both["overpass_time"]).abs() < pd.Timedelta(seconds=12)).all()
    assert (both["absolute_orbit_later"] - both["absolute_orbit"] == 143).all()


def test_a_switch_of_elements_loses_and_doubles_no_pass(history: list[Elements], tiles: list[str]) -> None:
    start, end = datetime(2026, 5, 24, tzinfo=UTC), datetime(2026, 5, 30, tzinfo=UTC)
    many = plan_by_tle(history, tiles, start, end, window_min=5, max_age_days=14).passes
    single = [
        next(e for e in history if e.satellite == s and e.epoch > datetime(2026, 5, 27, tzinfo=UTC))
        for s in ("S2A", "S2B", "S2C")
    ]
    few = plan_by_tle(single, tiles, start, end, window_min=5, max_age_days=14).passes
    keys = ["tile_id", "satellite", "absolute_orbit"]
    assert not many.duplicated(keys).any()
    both = many.merge(few, on=keys, how="outer", indicator=True)
    assert (both["_merge"] == "both").mean() > 0.998  # a sliver more or less
    assert ((both["overpass_time_x"] - both["overpass_time_y"]).abs().max()) < pd.Timedelta(seconds=4)


def test_only_by_day(history: list[Elements]) -> None:
    winter = datetime(2025, 12, 20, tzinfo=UTC)
    kwargs = {"window_min": 5.0, "max_age_days": 14.0, "satellites": ["S2C"]}
    assert plan_by_tle(history, ["33XWJ"], winter, winter + timedelta(days=10), **kwargs).passes.empty  # type: ignore[arg-type]
    night = plan_by_tle(history, ["33XWJ"], winter, winter + timedelta(days=10), min_sun_elevation_deg=-90.0, **kwargs)  # type: ignore[arg-type]
    assert len(night.passes) >= 20
    assert not plan_by_tle(history, ["60CWS"], winter, winter + timedelta(days=2), **kwargs).passes.empty  # type: ignore[arg-type]
    # 10:30 at the equator; towards the poles earlier and later.
    passes = plan_by_tle(history, ["31NAA"], winter, winter + timedelta(days=10), **kwargs).passes  # type: ignore[arg-type]
    assert passes["overpass_time"].dt.hour.isin([10, 11]).all()


def test_swaths_hold_the_tiles_that_they_are_made_of(history: list[Elements]) -> None:
    start = NOON - timedelta(hours=12)
    wanted = {"30STF": (-5.68, 35.95), "01KAB": (-179.9, -16.7), "60KXF": (178.6, -17.6), "20EPT": (-60.1, -60.9)}
    plan = plan_by_tle(
        history, list(wanted), start, start + timedelta(days=10), window_min=5, max_age_days=14, min_sun_elevation_deg=0
    )
    assert plan.swaths
    assert [s.start for s in plan.swaths] == sorted(s.start for s in plan.swaths)
    for swath in plan.swaths:
        assert swath.geometry.is_valid
        assert swath.start < swath.stop
        assert (swath.imaging, swath.source) == ("unknown", "tle")
        west, _, east, _ = swath.geometry.bounds
        assert -180 <= west < east <= 180
    covered = 0
    for row in plan.passes.itertuples():
        own = [s for s in plan.swaths if s.satellite == row.satellite and s.start <= row.overpass_time <= s.stop]
        (swath,) = own
        assert (swath.relative_orbit, swath.absolute_orbit) == (row.relative_orbit, row.absolute_orbit)
        covered += swath.geometry.distance(shapely.Point(wanted[row.tile_id])) < 1.2
    assert covered == len(plan.passes)


def test_missing_and_refused_elements_are_said(history: list[Elements]) -> None:
    start = datetime(2026, 6, 5, tzinfo=UTC)
    only_a = [e for e in history if e.satellite == "S2A" and e.epoch < start]
    _, refused = parse_elements("SENTINEL-2B\n1 42063U 17013A   26\n", "broken.txt")
    plan = plan_by_tle(
        only_a,
        ["30STF"],
        start,
        start + timedelta(days=10),
        window_min=5,
        max_age_days=10,
        satellites=["S2A", "S2B"],
        refused=refused,
    )
    assert set(plan.passes["satellite"]) == {"S2A"}
    assert plan.passes["overpass_time"].max() < pd.Timestamp("2026-06-09T15:00Z")
    broken, aged, missing = plan.notes
    assert "broken.txt" in broken
    assert "S2A is not planned for 5." in aged
    assert "10.1 to 15." in aged
    assert "S2B" in missing


def test_a_satellite_on_the_move_has_times_and_no_orbit_numbers(history: list[Elements]) -> None:
    base = select_elements(history, "S2A", NOON, 1)
    assert isinstance(base, Elements)
    moving = dataclasses.replace(base, track_offset_km=61.0)
    plan = plan_by_tle([moving], ["30STF"], NOON, NOON + timedelta(days=10), window_min=5, max_age_days=14)
    still = plan_by_tle([base], ["30STF"], NOON, NOON + timedelta(days=10), window_min=5, max_age_days=14)
    assert plan.passes["overpass_time"].equals(still.passes["overpass_time"])
    assert plan.passes["relative_orbit"].isna().all()
    assert plan.passes["absolute_orbit"].isna().all()
    assert still.passes["absolute_orbit"].notna().all()
    (note,) = plan.notes
    assert "61 km" in note


def test_nothing_asked_gives_an_empty_plan(history: list[Elements]) -> None:
    for elements, wanted, days in ((history, [], 1), ([], ["30STF"], 1), (history, ["30STF"], 0)):
        plan = plan_by_tle(elements, wanted, NOON, NOON + timedelta(days=days), window_min=5, max_age_days=14)
        tables.conform(plan.passes, PLAN_SCHEMA, "plan")
        assert plan.passes.empty
        assert plan.swaths == ()


def test_a_name_that_is_no_tile_is_an_input_error(history: list[Elements]) -> None:
    with pytest.raises(InputError, match="MGRS"):
        plan_by_tle(history, ["99ZZZ"], NOON, NOON + timedelta(days=1), window_min=5, max_age_days=14)


def test_thirty_days_of_200_tiles(history: list[Elements], tiles: list[str]) -> None:
    plan = plan_by_tle(history, tiles, NOON, NOON + timedelta(days=30), window_min=5, max_age_days=60)
    assert len(plan.passes) > 2000
