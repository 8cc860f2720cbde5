"""The camera's geometry against pyproj's geodesics, ESA's plan polygons and brute force."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import Geod, Transformer

from s2chips_core.overpasses.acquisition_plan import parse_acquisition_plan
from s2chips_core.overpasses.elements import parse_elements, satrec_of, select_elements
from s2chips_core.overpasses.orbit import NODAL_PERIOD_S, Floats, earth_fixed_km, lonlat_below, next_node, propagate
from s2chips_core.overpasses.swath import Tracks, edge_lonlat, find_looks, look_at, swath_polygons, trace
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.overpasses.tile_shapes import tile_outlines

WGS84 = Geod(ellps="WGS84")
DAY_S = datetime(2026, 5, 27, tzinfo=UTC).timestamp()
# Equator, middle latitudes, both ends of the grid, antimeridian from both sides, zone edges, southern and northern summer.
TILES = [
    "31NAA",
    "36MZE",
    "30STF",
    "29SQA",
    "33XWJ",
    "01XEN",
    "60CWS",
    "19CDJ",
    "01KAB",
    "60KXF",
    "01WCS",
    "60WWV",
    "32VLH",
    "18HUA",
]


def tracks_of(shared_data: Path, satellite: str, day_s: float, passes: int) -> Tracks:
    accepted, _ = parse_elements((shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes(), "history")
    elements = select_elements(accepted, satellite, datetime.fromtimestamp(day_s, UTC), 5)
    satrec = satrec_of(elements)  # type: ignore[arg-type]
    nodes = [next_node(satrec, day_s, ascending=False)]
    while len(nodes) < passes:
        nodes.append(next_node(satrec, nodes[-1] + NODAL_PERIOD_S / 2, ascending=False))
    return trace([satrec] * passes, np.array(nodes))


@pytest.fixture(scope="module")
def tracks(shared_data: Path) -> Tracks:
    """A whole cycle of Sentinel-2B."""
    return tracks_of(shared_data, "S2B", DAY_S - 5 * 86_400, 143)


def corners_km(tiles: list[str]) -> Floats:
    lonlat = shapely.get_coordinates(tile_outlines(tiles, points_per_edge=1)).reshape(-1, 5, 2)[:, :4]
    return earth_fixed_km(lonlat[:, :, 0], lonlat[:, :, 1])


def km(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
    distance: Floats = WGS84.inv(a[0], a[1], b[0], b[1])[2] / 1000
    return distance


@pytest.mark.shared_data
def test_states_between_are_those_of_sgp4(shared_data: Path) -> None:
    accepted, _ = parse_elements((shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes(), "history")
    satrec = satrec_of(accepted[-1])
    node_s = next_node(satrec, accepted[-1].epoch.timestamp(), ascending=False)
    tracks = trace([satrec], np.array([node_s]))
    times = np.random.default_rng(1).uniform(tracks.start_s[0] - 60, tracks.stop_s[0] + 60, 500)
    position, velocity = propagate(satrec, times)
    got_position, got_velocity = tracks.state(np.zeros(500, int), times)
    np.testing.assert_allclose(got_position, position, atol=5e-4)
    np.testing.assert_allclose(got_velocity, velocity, atol=1e-4)


@pytest.mark.shared_data
def test_tracks_go_from_the_northernmost_to_the_southernmost_point(tracks: Tracks) -> None:
    assert np.all(np.abs(tracks.stop_s - tracks.start_s - NODAL_PERIOD_S / 2) < 20)
    which = np.arange(143)
    for times, sign in ((tracks.start_s, 1), (tracks.stop_s, -1)):
        _, latitude = lonlat_below(tracks.state(which, times)[0])
        assert np.all(np.abs(sign * latitude - 81.5) < 0.2)
        for dt in (-20.0, 20.0):
            assert np.all(sign * (latitude - lonlat_below(tracks.state(which, times + dt)[0])[1]) > 0)


@pytest.mark.shared_data
def test_a_point_is_sensed_when_the_track_is_nearest(tracks: Tracks) -> None:
    """pyproj: the shortest geodesic from the point to the ground track, and how long it is."""
    rng = np.random.default_rng(2)
    which = rng.integers(0, 143, 60)
    truth_s = rng.uniform(tracks.start_s[which] + 200, tracks.stop_s[which] - 200)
    side = rng.uniform(-1, 1, 60)
    lon, lat = (np.empty(60), np.empty(60))
    for i in range(60):
        (lon[i],), (lat[i],) = edge_lonlat(tracks, which[i : i + 1], truth_s[i : i + 1], side[i])
    time_s, got_side = look_at(tracks, which, earth_fixed_km(lon, lat), truth_s + rng.uniform(-40, 40, 60))
    np.testing.assert_allclose(time_s, truth_s, atol=1e-4)
    np.testing.assert_allclose(got_side, side, atol=1.5e-2)
    for i in range(60):
        times = truth_s[i] + np.arange(-4.0, 4.01, 0.05)
        below = lonlat_below(tracks.state(np.full(times.size, which[i]), times)[0])
        distance = km((np.full(times.size, lon[i]), np.full(times.size, lat[i])), below)
        if abs(side[i]) > 0.2:  # close to the track the square root has no sharp minimum to find
            parabola = np.polynomial.Polynomial.fit(times - truth_s[i], distance**2, 2).convert().coef
            assert -parabola[1] / 2 / parabola[2] == pytest.approx(0.0, abs=0.05)
        left, right = (edge_lonlat(tracks, which[i : i + 1], truth_s[i : i + 1], s) for s in (-1.0, 1.0))
        assert distance.min() == pytest.approx(abs(got_side[i]) * km(left, right)[0] / 2, abs=0.15)


@pytest.mark.shared_data
def test_the_swath_is_290_km_wide(tracks: Tracks) -> None:
    which = np.repeat(np.arange(0, 143, 10), 20)
    times = np.linspace(tracks.start_s, tracks.stop_s, 20).T[::10].ravel()
    width = km(edge_lonlat(tracks, which, times, -1.0), edge_lonlat(tracks, which, times, 1.0))
    assert width.min() == pytest.approx(288, abs=1)
    assert width.max() == pytest.approx(298, abs=1)
    middle = edge_lonlat(tracks, which, times, 0.0)
    np.testing.assert_allclose(km(middle, lonlat_below(tracks.state(which, times)[0])), 0.0, atol=1e-3)


@pytest.mark.shared_data
def test_edges_and_lines_are_those_of_the_acquisition_plan(shared_data: Path) -> None:
    """Elements of the fourth day of a plan, its segments of five days: ESA's own swath polygons."""
    path = shared_data / "orbit" / "acquisition_plan" / "S2A_MP_ACQ__KML_20241128T120000_20241214T150000.kml"
    begin_s = datetime(2024, 12, 1, tzinfo=UTC).timestamp()
    tracks = tracks_of(shared_data, "S2A", begin_s, 70)
    edges, lines, late = [], [], []
    for segment in parse_acquisition_plan(path.read_bytes(), path.name).segments:
        start_s, stop_s = segment.start.timestamp(), segment.stop.timestamp()
        number = int(np.searchsorted(tracks.start_s, start_s)) - 1
        if number < 0 or stop_s > tracks.stop_s[number] or not segment.is_distributed:
            continue
        ring = np.array(segment.polygon)
        half = len(ring) // 2
        guess = np.interp(np.arange(len(ring)), [0, half, len(ring)], [start_s, stop_s, start_s])
        time_s, side = look_at(tracks, np.full(len(ring), number), earth_fixed_km(ring[:, 0], ring[:, 1]), guess)
        # Vertices 0 and n/2 are the middles of the first and the last line.
        edges.append(np.abs(np.delete(side, [0, half])))
        lines += [
            time_s[1] - time_s[0],
            time_s[-1] - time_s[0],
            time_s[half - 1] - time_s[half],
            time_s[half + 1] - time_s[half],
        ]
        late.append(time_s[0] - start_s)
    assert len(late) > 150
    off_km = (np.concatenate(edges) - 1.0) * 145.0
    assert np.abs(off_km).max() < 2.0  # the satellite itself is kept within 2 km
    assert np.abs(off_km).mean() < 1.0
    assert np.abs(lines).max() < 0.01
    assert min(late) > -2.0
    assert max(late) < 11.0


def brute_force(tracks: Tracks, tile: str, number: int, guess_s: float) -> tuple[float, float]:
    """Share seen and mean time of 100 x 100 points of a tile."""
    epsg, ulx_m, uly_m = tile_corner(tile)
    at = (np.arange(100) + 0.5) / 100 * TILE_SIDE_M
    x, y = np.meshgrid(ulx_m + at, uly_m - at)
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x.ravel(), y.ravel())
    points = earth_fixed_km(np.asarray(lon), np.asarray(lat))
    time_s, side = look_at(tracks, np.full(10_000, number), points, np.full(10_000, guess_s))
    seen = (np.abs(side) <= 1.0) & (time_s >= tracks.start_s[number]) & (time_s <= tracks.stop_s[number])
    return float(seen.mean()), float(time_s[seen].mean()) if seen.any() else np.nan


@pytest.mark.shared_data
def test_part_and_time_of_a_tile_agree_with_counting_points(tracks: Tracks) -> None:
    looks = find_looks(tracks, corners_km(TILES), 0.002)
    assert set(looks.tile) == set(range(len(TILES)))
    partial = 0
    for at in range(0, len(looks.tile), 2):
        tile, number = TILES[looks.tile[at]], int(looks.track[at])
        covered, time_s = brute_force(tracks, tile, number, looks.time_s[at])
        assert looks.covered[at] == pytest.approx(covered, abs=0.004), (tile, number)
        if covered > 0.01:
            assert looks.time_s[at] == pytest.approx(time_s, abs=0.05), (tile, number)
        assert looks.first_s[at] <= looks.time_s[at] <= looks.last_s[at]
        partial += 0.01 < covered < 0.99
    assert partial > 20


@pytest.mark.shared_data
def test_no_pass_of_any_tile_is_missed(shared_data: Path, tracks: Tracks) -> None:
    """Planar polygons of swaths and tiles find the same pairs, but for slivers."""
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")["tile"]
    tiles = [*grid.iloc[::409], *TILES]
    looks = find_looks(tracks, corners_km(tiles), 0.01)
    found = set(zip(looks.track.tolist(), looks.tile.tolist(), strict=True))
    which = np.arange(143)
    swaths = swath_polygons(tracks, which, tracks.start_s[which], tracks.stop_s[which])
    outlines = shapely.make_valid(tile_outlines(tiles))
    expected, possible = set(), set()
    for number, swath in zip(which.tolist(), swaths, strict=True):
        share = np.zeros(len(tiles))
        for turn in (-360.0, 0.0, 360.0):
            moved = shapely.transform(outlines, lambda xy, by=turn: xy + np.array([by, 0.0]))
            near = shapely.intersects(swath, moved)
            share[near] += shapely.area(shapely.intersection(swath, moved[near])) / shapely.area(moved[near])
        expected |= {(number, int(tile)) for tile in np.flatnonzero(share > 0.03)}
        possible |= {(number, int(tile)) for tile in np.flatnonzero(share > 0.0)}
    assert len(expected) > 300
    assert expected <= found <= possible


@pytest.mark.shared_data
def test_swath_polygons_are_valid_and_as_large_as_their_strip(tracks: Tracks) -> None:
    which = np.arange(0, 143, 3)
    polygons = swath_polygons(tracks, which, tracks.start_s[which], tracks.stop_s[which])
    assert any(polygon.geom_type == "MultiPolygon" for polygon in polygons)
    for polygon in polygons:
        assert polygon.is_valid
        west, south, east, north = polygon.bounds
        assert -180 <= west < east <= 180
        assert -83 < south < -81
        assert 81 < north < 83
        area_km2 = 0.0
        for part in shapely.get_parts(polygon):
            assert shapely.is_ccw(part.exterior)
            area_km2 += WGS84.geometry_area_perimeter(shapely.segmentize(part, 0.5))[0] / 1e6
        # Half a circumference of 20,000 km, and the Earth turning below.
        assert area_km2 == pytest.approx(292 * 20_340, rel=0.02)


@pytest.mark.shared_data
def test_swaths_of_nothing(tracks: Tracks) -> None:
    none = np.array([], dtype=np.intp)
    assert swath_polygons(tracks, none, none.astype(float), none.astype(float)) == []


@pytest.mark.shared_data
def test_a_tile_that_touches_by_a_sliver_is_left_out(tracks: Tracks) -> None:
    corners = corners_km(TILES)
    all_of_them, large = find_looks(tracks, corners, 0.0), find_looks(tracks, corners, 0.1)
    assert all_of_them.covered.min() < 0.1 <= large.covered.min()
    assert len(large.tile) == (all_of_them.covered >= 0.1).sum()
