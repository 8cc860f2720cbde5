"""Passes by real plans against real products, real tile times and plain planar intersections."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod

from s2chips_core.errors import InputError
from s2chips_core.overpasses.acquisition_plan import AcquisitionPlan, parse_acquisition_plan
from s2chips_core.overpasses.orbit import earth_fixed_km
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Plan
from s2chips_core.overpasses.segment_passes import (
    LATENESS_S,
    MIN_COVERED_KM2,
    TIME_SIGMA_S,
    coverage,
    plan_by_acquisition,
)
from s2chips_core.overpasses.strip import build_strip, map_outline, pieces_of
from s2chips_core.overpasses.tile_shapes import tile_outlines
from tests.overpasses.plan_kml import Made, published

WGS84 = Geod(ellps="WGS84")
START = datetime(2025, 2, 13, 12, 30, tzinfo=UTC)
PERIOD = ("20250213T120000", "20250303T150000")
SATELLITES = ("S2A", "S2B", "S2C")
CYCLE = timedelta(days=10)


def made(
    *segments: Made, period: tuple[str, str] = PERIOD, satellite: str = "S2B", source: str = "a.kml"
) -> AcquisitionPlan:
    return parse_acquisition_plan(published(satellite, period, *segments), source)


def planned(plans: list[AcquisitionPlan], tiles: list[str], days: float = 20.0, since: datetime | None = None) -> Plan:
    begin = since or datetime(2025, 2, 13, 12, tzinfo=UTC)
    return plan_by_acquisition(
        plans, tiles, begin, begin + timedelta(days=days), satellites=sorted({p.satellite for p in plans}), window_min=5.0
    )


@pytest.fixture(scope="module")
def plans(shared_data: Path) -> list[AcquisitionPlan]:
    files = sorted((shared_data / "orbit" / "acquisition_plan").glob("*.kml"))
    assert len(files) == 4
    return [parse_acquisition_plan(file.read_bytes(), file.name) for file in files]


def of_plan(plan: AcquisitionPlan, tiles: list[str]) -> pd.DataFrame:
    return plan_by_acquisition([plan], tiles, plan.start, plan.stop, satellites=SATELLITES, window_min=5.0).passes


@pytest.mark.shared_data
def test_every_real_product_of_the_periods_is_found(plans: list[AcquisitionPlan], shared_data: Path) -> None:
    """The start in a product's name is coarse: it ends with 1 for S2A and S2C and with 9 for S2B, always."""
    products = pd.read_csv(shared_data / "orbit" / "s2_product_names.csv", dtype=str)
    found = 0
    for product in products.itertuples():
        day = datetime.strptime(product.date, "%Y%m%d").replace(tzinfo=UTC)
        for plan in plans:
            if plan.satellite != product.satellite or not plan.start <= day < plan.stop:
                continue
            passes = of_plan(plan, [product.tile])
            (row,) = passes[passes["overpass_time"].dt.date == day.date()].itertuples()
            assert (row.satellite, row.relative_orbit) == (product.satellite, int(product.relative_orbit))
            datatake = datetime.strptime(product.datatake_start, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            assert timedelta(0) < row.overpass_time - datatake < timedelta(minutes=34)
            starts = [
                s.start for s in plan.segments if s.absolute_orbit == row.absolute_orbit and s.start <= row.overpass_time
            ]
            assert -2.0 <= (datatake - max(starts)).total_seconds() <= 15.0
            found += 1
    assert found == 3


@pytest.mark.shared_data
def test_real_tile_times_folded_by_whole_cycles(plans: list[AcquisitionPlan], shared_data: Path) -> None:
    """No real tile time lies in a period, but the reference orbit repeats after 10 days: how late the satellite really was.

    Several times of one day are one: what keeps the satellite off its reference changes within days.
    """
    times = pd.read_csv(shared_data / "orbit" / "s2_tile_sensing_times.csv")
    late: dict[tuple[str, object], list[float]] = {}
    recorded = {plan.source: [s for s in plan.segments if s.is_distributed] for plan in plans}
    pieces_by = {source: pieces_of([build_strip(s.polygon) for s in segments]) for source, segments in recorded.items()}
    for row in times.itertuples():
        sensed = pd.Timestamp(row.tile_time)
        sensed = sensed.tz_localize("UTC") if sensed.tzinfo is None else sensed
        assert not any(p.satellite == row.satellite and p.start <= sensed < p.stop for p in plans)
        if row.satellite == "S2A" and sensed.year in (2015, 2025):  # before its orbit was reached, and after it was moved
            continue
        partly = not np.isnan(row.data_lat)
        lon, lat = (row.data_lon, row.data_lat) if partly else (row.tile_lon, row.tile_lat)
        corners = np.array([WGS84.fwd(lon, lat, 45.0 + 90.0 * i, 500.0)[:2] for i in range(4)])
        for plan in plans:
            if plan.satellite != row.satellite:
                continue
            segments, pieces = recorded[plan.source], pieces_by[plan.source]
            square = earth_fixed_km(corners[:, 0], corners[:, 1])
            near = np.flatnonzero(
                np.linalg.norm(pieces.middle_km() - square.mean(axis=0), axis=1) < pieces.radius_km() + 1.0
            )
            area, after_s = pieces.part_inside(near, np.repeat(square[None], len(near), axis=0))
            for piece, after in zip(near[area > 0.4], after_s[area > 0.4], strict=True):
                segment = segments[pieces.strip[piece]]
                apart = (sensed - segment.start - timedelta(seconds=after)) / CYCLE
                seconds = (apart - round(apart)) * CYCLE.total_seconds()
                if abs(seconds) < 600.0:  # the same relative orbit
                    late.setdefault((row.satellite, sensed.date()), []).append(seconds)
    days = [float(np.median(seconds)) for seconds in late.values()]
    assert len(days) >= 15
    assert np.abs(np.array(days) - LATENESS_S).max() < 3 * TIME_SIGMA_S
    assert np.mean(days) == pytest.approx(LATENESS_S, abs=1.5)
    assert np.std(days) == pytest.approx(TIME_SIGMA_S, abs=1.0)


@pytest.mark.shared_data
def test_tiles_of_segments_against_planar_intersections(plans: list[AcquisitionPlan], shared_data: Path) -> None:
    """Everywhere, with segments over the antimeridian and near the poles: shapely on the outlines in longitude/latitude."""
    tiles = np.array(pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet").tile)
    outlines = tile_outlines(list(tiles), points_per_edge=4)
    worlds = np.concatenate(
        [shapely.transform(outlines, lambda c, x=x: c + np.array([x, 0.0])) for x in (-360.0, 0.0, 360.0)]
    )
    tree = shapely.STRtree(worlds)
    checked = 0
    for plan in plans:
        recorded = [s for s in plan.segments if s.is_distributed]
        chosen = [recorded[i] for i in np.random.default_rng(3).choice(len(recorded), 6, replace=False)]
        chosen += [s for s in recorded if s.segment_id in {"41507-4", "41593-4", "41650-4"}]
        chosen.append(max(recorded, key=lambda s: max(abs(v.lat) for v in s.polygon)))
        for segment in chosen:
            outline = map_outline(build_strip(segment.polygon))
            near = tree.query(outline)
            alone = dataclasses.replace(plan, segments=(segment,))
            found = set(of_plan(alone, list(tiles[near % len(tiles)]))["tile_id"])
            near = tree.query(outline, predicate="intersects")
            parts = shapely.intersection(worlds[near], outline)
            km2 = (
                np.array([sum(abs(WGS84.geometry_area_perimeter(p)[0]) for p in shapely.get_parts(q)) for q in parts]) / 1e6
            )
            seen = pd.Series(km2).groupby(tiles[near % len(tiles)]).sum()
            surely, maybe = (set(seen.index[seen > MIN_COVERED_KM2 + by]) for by in (60.0, -60.0))
            assert surely <= found <= maybe, segment.segment_id
            checked += len(found)
    assert checked > 2_000


def test_one_row_for_a_pass_with_all_its_columns() -> None:
    plan = made(Made(start=START))
    result = planned([plan], ["32TNP", "32TNP"])
    (row,) = result.passes.itertuples()
    assert list(result.passes.columns) == PLAN_SCHEMA.names
    assert (row.tile_id, row.satellite, row.relative_orbit, row.absolute_orbit) == ("32TNP", "S2B", 123, 41476)
    assert (row.imaging, row.source, row.time_sigma_s) == ("planned", "acquisition_plan", TIME_SIGMA_S)
    assert row.source_epoch == datetime(2025, 2, 13, 12, tzinfo=UTC)
    assert row.overpass_time - row.window_start == row.window_end - row.overpass_time == timedelta(minutes=5)
    (swath,) = result.swaths
    assert (swath.satellite, swath.relative_orbit, swath.absolute_orbit) == ("S2B", 123, 41476)
    assert (swath.imaging, swath.source) == ("planned", "acquisition_plan")
    assert swath.start == START + timedelta(seconds=LATENESS_S)
    assert (swath.stop - swath.start).total_seconds() == pytest.approx(130.0, abs=0.2)
    assert swath.start < row.overpass_time < swath.stop
    assert swath.geometry.intersects(tile_outlines(["32TNP"])[0])


def test_the_time_is_that_of_the_part_inside() -> None:
    """Segments that end and begin within a tile: the same ground, cut at 20 s."""
    whole = planned([made(Made(start=START, lat=45.5, lon=11.0))], ["32TPQ"]).passes
    later = WGS84.fwd(11.0, 45.5, 194.0, 20.0 * 6_713.0)
    first = Made(start=START, lat=45.5, lon=11.0, duration_s=20.0, segment_id="41476-1")
    second = Made(
        start=START + timedelta(seconds=20),
        lon=later[0],
        lat=later[1],
        azimuth_deg=later[2] + 180.0,
        duration_s=110.0,
        segment_id="41476-2",
    )
    alone = [planned([made(segment)], ["32TPQ"]).passes["overpass_time"].iloc[0] for segment in (first, second)]
    both = planned([made(first, second)], ["32TPQ"])
    cut = START + timedelta(seconds=20.0 + LATENESS_S)
    assert alone[0] < cut < alone[1]
    assert len(both.passes) == 1
    assert len(both.swaths) == 2
    assert abs(both.passes["overpass_time"].iloc[0] - whole["overpass_time"].iloc[0]) < timedelta(seconds=0.1)


@pytest.mark.parametrize(
    ("mode", "timeliness", "rows"),
    [("NOBS", "NOMINAL", 1), ("NOBS", "NRT", 1), ("NOBS", "", 1), ("NOBS", "NOT_RECORDING", 0), ("VIC", "NOMINAL", 0)],
)
def test_what_is_not_recorded_or_not_distributed_is_no_pass(mode: str, timeliness: str, rows: int) -> None:
    result = planned([made(Made(start=START, mode=mode, timeliness=timeliness))], ["32TNP"])
    assert (len(result.passes), len(result.swaths)) == (rows, rows)


def test_the_newer_plan_wins_entirely_where_it_covers() -> None:
    days = [Made(start=START + timedelta(days=d), segment_id=f"{d}-1", absolute_orbit=str(41476 + d)) for d in (0, 5, 10)]
    moved = Made(start=START + timedelta(days=5, hours=2), segment_id="9-1", absolute_orbit="9")
    older = made(*days, source="older")
    newer = made(moved, period=("20250216T120000", "20250220T120000"), source="newer")
    other = made(days[1], satellite="S2C", period=("20250217T120000", "20250220T120000"), source="other satellite")
    for order in ([older, newer, other], [other, newer, older]):
        passes = planned(order, ["32TNP"]).passes
        assert list(zip(passes["satellite"], passes["absolute_orbit"], strict=True)) == [
            ("S2B", 41476),
            ("S2C", 41481),
            ("S2B", 9),
            ("S2B", 41486),
        ]
    same_period = made(moved, source="published again")
    assert list(planned([older, same_period], ["32TNP"]).passes["absolute_orbit"]) == [9]


def test_a_segment_in_both_plans_at_their_seam_is_one_pass() -> None:
    before, after = Made(start=START), Made(start=START + timedelta(seconds=1), segment_id="41476-5")
    older = made(before)
    newer = made(after, period=(f"{START + timedelta(seconds=1):%Y%m%dT%H%M%S}", "20250303T150000"))
    (row,) = planned([older, newer], ["32TNP"]).passes.itertuples()
    assert row.source_epoch == newer.start


def test_from_start_until_before_end() -> None:
    plan = made(Made(start=START))
    (moment,) = planned([plan], ["32TNP"]).passes["overpass_time"]
    ask = {"satellites": ["S2B"], "window_min": 5.0}
    assert len(plan_by_acquisition([plan], ["32TNP"], moment, moment + timedelta(seconds=1), **ask).passes) == 1
    assert len(plan_by_acquisition([plan], ["32TNP"], moment - timedelta(days=1), moment, **ask).passes) == 0
    assert (
        len(plan_by_acquisition([plan], ["32TNP"], moment, moment + timedelta(1), satellites=["S2A"], window_min=5).passes)
        == 0
    )


def test_slivers_are_dropped() -> None:
    """A strip that is pushed sideways off a tile, 100 m at a time."""
    counts = []
    for beside_m in range(0, 20_000, 500):
        lon, lat, _ = WGS84.fwd(*WGS84.fwd(9.0, 45.1, 90.0, 135_000.0)[:2], 90.0, beside_m)
        plan = made(Made(start=START, lon=lon, lat=lat, azimuth_deg=180.0))
        ((area, rows),) = [(_seen_km2(plan, "32TMQ"), len(planned([plan], ["32TMQ"]).passes))]
        counts.append((area, rows))
        assert rows == (area >= MIN_COVERED_KM2)
    assert any(0 < area < MIN_COVERED_KM2 for area, _ in counts)
    assert {rows for _, rows in counts} == {0, 1}


def _seen_km2(plan: AcquisitionPlan, tile: str) -> float:
    pieces = pieces_of([build_strip(plan.segments[0].polygon)])
    corners = shapely.get_coordinates(tile_outlines([tile], points_per_edge=1)[0])[:4]
    square = earth_fixed_km(corners[:, 0], corners[:, 1])
    area, _ = pieces.part_inside(np.arange(len(pieces.strip)), np.repeat(square[None], len(pieces.strip), axis=0))
    return float(area.sum())


def test_nothing_to_plan() -> None:
    plan = made(Made(start=START))
    for result in (planned([plan], []), planned([plan], ["01KAB"]), planned([], ["32TNP"])):
        assert list(result.passes.columns) == PLAN_SCHEMA.names
        assert len(result.passes) == 0
        assert result.swaths == ()
    with pytest.raises(InputError, match="MGRS"):
        planned([plan], ["32"])


def test_notes_say_what_is_broken_and_what_is_not_covered() -> None:
    broken = published("S2B", PERIOD, Made(start=START), Made(start=START, segment_id="5-5", relative_orbit="999"))
    plan = parse_acquisition_plan(broken, "b.kml")
    begin = datetime(2025, 2, 10, tzinfo=UTC)
    result = plan_by_acquisition(
        [plan], ["32TNP"], begin, begin + timedelta(days=30), satellites=["S2A", "S2B"], window_min=5.0
    )
    assert result.notes[0].startswith("acquisition plan b.kml: 1 problem(s), the first: placemark '5-5'")
    assert list(result.notes[1:]) == [
        "no acquisition plan covers S2A from 2025-02-10 00:00 to 2025-03-12 00:00",
        "no acquisition plan covers S2B from 2025-02-10 00:00 to 2025-02-13 12:00",
        "no acquisition plan covers S2B from 2025-03-03 15:00 to 2025-03-12 00:00",
    ]


def test_coverage_is_merged() -> None:
    segment = Made(start=START + timedelta(days=3))
    first, second, third = (
        made(segment, period=("20250213T120000", "20250220T120000")),
        made(segment, period=("20250215T120000", "20250222T120000")),
        made(Made(start=START + timedelta(days=20)), period=("20250301T120000", "20250310T120000")),
    )
    moments = [datetime(2025, m, d, 12, tzinfo=UTC) for m, d in ((2, 13), (2, 22), (3, 1), (3, 10))]
    assert coverage([third, second, first], "S2B") == [(moments[0], moments[1]), (moments[2], moments[3])]
    assert coverage([first], "S2A") == []


@pytest.mark.shared_data
def test_all_tiles_of_the_earth(plans: list[AcquisitionPlan], shared_data: Path) -> None:
    tiles = list(pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet").tile)
    ask = {"satellites": SATELLITES, "window_min": 5.0}
    period = datetime(2025, 2, 6, 12, tzinfo=UTC), datetime(2025, 2, 25, 12, tzinfo=UTC)
    few = plan_by_acquisition(plans, tiles[:: len(tiles) // 200], *period, **ask)
    every = plan_by_acquisition(plans[2:3], tiles, *period, **ask)
    assert len(few.passes) > 300
    assert len(every.passes) > 80_000
    assert all(swath.geometry.is_valid for swath in every.swaths)
