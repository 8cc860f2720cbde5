import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import shape

from s2chips_core.scenes.search_plan import MOST_BOXES, plan_searches, union_geometry

EPOCH = np.datetime64("2025-07-01T00:00:00.000", "ms")
LATEST = np.datetime64("2026-01-01", "ms")
HOUR = np.timedelta64(3600, "s")
POINT = st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.integers(0, 20 * 86_400))


def plan(
    points: list[tuple[float, float, int]],
    margin_m: float = 20_000,
    latest: np.datetime64 = LATEST,
    before_s: float = 86_400,
):  # type: ignore[no-untyped-def]
    lon, lat, seconds = (np.array(column) for column in zip(*points, strict=True))
    time = EPOCH + seconds.astype("timedelta64[s]")
    return time, plan_searches(
        lon.astype(float), lat.astype(float), time, before_s=before_s, after_s=86_400, margin_m=margin_m, latest=latest
    )


@settings(deadline=None)
@given(st.lists(POINT, min_size=1, max_size=30), st.floats(0, 360), st.floats(0, 0.99), st.floats(-1, 1))
def test_every_point_is_searched_around_in_space_and_time(
    points: list[tuple[float, float, int]], azimuth: float, share: float, of_window: float
) -> None:
    margin_m = 20_000
    time, searches = plan(points, margin_m)
    for (lon, lat, _), when in zip(points, time, strict=True):
        at = when + np.timedelta64(round(of_window * 86_400_000), "ms")
        near_lon, near_lat, _ = Geod(ellps="WGS84").fwd(lon, lat, azimuth, margin_m * share)
        at_time = [search for search in searches if search.start <= at <= search.end]
        assert any(shapely.intersects_xy(shape(search.intersects), near_lon, near_lat) for search in at_time)


@settings(deadline=None)
@given(st.lists(POINT, min_size=1, max_size=30))
def test_geometries_are_such_that_a_service_takes_them(points: list[tuple[float, float, int]]) -> None:
    for search in plan(points)[1]:
        geometry = shape(search.intersects)
        assert geometry.is_valid
        west, south, east, north = geometry.bounds
        assert west >= -180
        assert east <= 180
        assert south >= -90
        assert north <= 90
        # RFC 7946: outer rings run counterclockwise.
        assert all(shapely.is_ccw(part.exterior) for part in shapely.get_parts(geometry))
        assert search.start <= search.end


def test_a_point_at_the_antimeridian_has_a_box_on_each_side() -> None:
    (search,) = plan([(179.95, 0.0, 0)], before_s=0, latest=EPOCH)[1]
    west, east = sorted(part.bounds for part in shapely.get_parts(shape(search.intersects)))
    assert west[0] == -180
    # 20 km are 0.181 degrees here; outwards to hundredths.
    assert west[2] == pytest.approx(-179.86)
    assert east[0] == pytest.approx(179.76)
    assert east[2] == 180


def test_a_point_at_the_pole_is_searched_all_around() -> None:
    (search,) = plan([(10.0, 89.95, 0)], before_s=0, latest=EPOCH)[1]
    assert shape(search.intersects).bounds == pytest.approx((-180, 89.76, 180, 90))


def test_thousands_of_points_need_a_handful_of_searches() -> None:
    rng = np.random.default_rng(7)
    ports = rng.uniform([-10, 35], [30, 60], (65, 2))
    places = ports[rng.integers(0, 65, 2000)] + rng.normal(0, 0.2, (2000, 2))
    for days, most in ((1, 6), (10, 24), (300, 80)):
        seconds = rng.integers(0, days * 86_400, 2000)
        _, searches = plan([(*place, int(s)) for place, s in zip(places, seconds, strict=True)])
        assert len(searches) <= most
    world = rng.uniform([-180, -70], [180, 70], (2000, 2))
    _, searches = plan([(*place, 0) for place in world])
    assert len(searches) <= 3 * -(-2000 // MOST_BOXES)


def test_nothing_is_searched_after_the_latest_time() -> None:
    _, searches = plan([(0.0, 0.0, 0), (0.0, 0.0, 30 * 86_400)], latest=EPOCH + HOUR)
    assert searches[0].start == EPOCH - 24 * HOUR
    assert max(search.end for search in searches) == EPOCH + HOUR
    assert plan([(0.0, 0.0, 30 * 86_400)], latest=EPOCH)[1] == []


def test_a_box_is_not_much_larger_than_its_points() -> None:
    (search, *_) = plan([(0.5, 50.5, 0), (0.6, 50.6, 0)], margin_m=0)[1]
    assert shape(search.intersects).bounds == pytest.approx((0.5, 50.5, 0.6, 50.6))


def test_areas_that_overlap_become_one_geometry() -> None:
    geometry = shape(union_geometry([(0.0, 0.0, 2.0, 2.0), (1.0, 1.0, 3.0, 3.0), (170.0, 5.0, -170.0, 6.0)]))
    assert geometry.is_valid
    assert geometry.area == pytest.approx(7 + 20)


def test_the_bodies_stay_small() -> None:
    world = np.random.default_rng(3).uniform([-180, -70], [180, 70], (5000, 2))
    for search in plan([(*place, 0) for place in world])[1]:
        assert search.boxes <= MOST_BOXES
        assert len(json.dumps(search.intersects)) < 20_000


def test_no_more_searches_than_cells_of_space_and_time() -> None:
    """However the points lie."""
    rng = np.random.default_rng(8)
    for points, days, spread in ((1, 1, 50), (20, 400, 1), (300, 30, 60), (3000, 14, 60)):
        lon, lat = rng.uniform(-spread, spread, (2, points))
        seconds = rng.integers(0, days * 86_400, points)
        searches = plan([(x, y, int(s)) for x, y, s in zip(lon, lat, seconds, strict=True)])[1]
        # The window of a point is two days long and touches three.
        cells = {(int(x // 1), int(y // 1), int(s // 86_400)) for x, y, s in zip(lon, lat, seconds, strict=True)}
        assert len(searches) <= 3 * len(cells)


def test_many_days_of_few_points_are_asked_for_in_long_spans() -> None:
    """One point a day at one place: a search a day would be 300."""
    searches = plan([(0.5, 50.5, day * 86_400) for day in range(300)])[1]
    assert len(searches) < 15
    assert searches[0].end - searches[0].start >= np.timedelta64(16, "D")


def test_a_crowd_of_one_day_is_one_search() -> None:
    rng = np.random.default_rng(4)
    places = rng.uniform([-9, 36], [-5, 44], (2000, 2))
    assert len(plan([(*place, int(s)) for place, s in zip(places, rng.integers(0, 86_400, 2000), strict=True)])[1]) == 1
