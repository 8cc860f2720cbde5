"""Strips against geodesics, against an orbit by sgp4, and against areas computed in UTM."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from sgp4.api import Satrec, jday

from s2chips_core.errors import InputError
from s2chips_core.overpasses.acquisition_plan import AcquisitionPlan, Segment, parse_acquisition_plan
from s2chips_core.overpasses.orbit import earth_fixed_km
from s2chips_core.overpasses.strip import Strip, Vertex, build_strip, map_outline, pieces_of
from tests.overpasses.plan_kml import Made

WGS84 = Geod(ellps="WGS84")
START = datetime(2025, 2, 13, 12, tzinfo=UTC)
PLAN_OF_KNOWN_ORBIT = "S2A_MP_ACQ__KML_20241128T120000_20241214T150000.kml"


def outline(**changes: float) -> list[Vertex]:
    return [Vertex(lon, lat) for lon, lat in Made(start=START, **changes).ring]  # type: ignore[arg-type]


def square_km(lon: float, lat: float, side_m: float) -> np.ndarray:
    """A square on the ground around a place, (1, 4, 3)."""
    corners = [WGS84.fwd(lon, lat, 45.0 + 90.0 * i, side_m / 2**0.5)[:2] for i in range(4)]
    return earth_fixed_km(*np.array(corners).T)[None]


def sensed_s(strip: Strip, lon: float, lat: float) -> float:
    pieces = pieces_of([strip])
    area, after_s = pieces.part_inside(
        np.arange(len(pieces.strip)), np.repeat(square_km(lon, lat, 1_000.0), len(pieces.strip), axis=0)
    )
    return float(np.nansum(area * after_s) / area.sum())


@pytest.mark.parametrize(("lon", "lat"), [(10.0, 45.0), (179.0, 10.0), (-178.0, -30.0), (30.0, 78.0), (0.0, -70.0)])
@pytest.mark.parametrize("moment_s", [3.0, 61.0, 128.0])
@pytest.mark.parametrize("beside_m", [-140_000.0, 0.0, 100_000.0])
def test_time_of_a_place_along_a_geodesic(lon: float, lat: float, moment_s: float, beside_m: float) -> None:
    strip = build_strip(outline(lon=lon, lat=lat))
    assert strip.after_s == pytest.approx([0.0, 60.0, 120.0, 130.0], abs=0.1)
    on_track = WGS84.fwd(lon, lat, 194.0, moment_s * 6_713.0)
    place = WGS84.fwd(*on_track[:2], on_track[2] + 90.0, beside_m)
    assert sensed_s(strip, *place[:2]) == pytest.approx(moment_s, abs=0.1)


def real_plan(shared_data: Path, name: str) -> AcquisitionPlan:
    return parse_acquisition_plan((shared_data / "orbit" / "acquisition_plan" / name).read_bytes(), name)


def moment_abeam(orbit: Satrec, lon: float, lat: float, near: datetime) -> datetime:
    """When the satellite has the place at a right angle to its motion over the turning Earth."""
    place = earth_fixed_km(np.array(lon), np.array(lat))
    for _ in range(6):
        day, fraction = jday(near.year, near.month, near.day, near.hour, near.minute, near.second + near.microsecond * 1e-6)
        error, position, velocity = orbit.sgp4(day, fraction)
        assert error == 0
        centuries = (day - 2451545.0 + fraction) / 36525.0  # IAU 1982 sidereal time, as sgp4 counts TEME
        sidereal = 67310.54841 + (876600 * 3600 + 8640184.812866) * centuries + 0.093104 * centuries**2
        turn = np.radians(sidereal % 86400.0 / 240.0)
        to_earth = np.array([[np.cos(turn), np.sin(turn), 0.0], [-np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
        fixed = to_earth @ position
        moving = to_earth @ velocity - np.cross([0.0, 0.0, 7.2921159e-5], fixed)
        near += timedelta(seconds=float((place - fixed) @ moving / (moving @ moving)) * 1.12)
    return near


@pytest.mark.shared_data
def test_times_in_strips_against_an_orbit_of_the_same_days(shared_data: Path) -> None:
    """Elements of 2024-12-02, plan of 2024-11-28 to 12-14: times from the start of a strip, and how late that start is."""
    elements = pd.read_csv(shared_data / "orbit" / "sentinel2_tle_history.csv")
    row = elements[(elements.name == "SENTINEL-2A") & elements.epoch_utc.str.startswith("2024-12-02")].iloc[0]
    orbit = Satrec.twoline2rv(row.line1, row.line2)
    segments = real_plan(shared_data, PLAN_OF_KNOWN_ORBIT).segments
    random = np.random.default_rng(1)
    errors, ends, late_s = [], [], []
    for i in random.choice(len(segments), 50, replace=False):
        segment = segments[i]
        strip = build_strip(segment.polygon)
        begin = moment_abeam(orbit, *segment.polygon[0], segment.start)
        late_s.append((begin - segment.start).total_seconds())
        half = len(segment.polygon) // 2
        ends += [(moment_abeam(orbit, *segment.polygon[k], begin) - begin).total_seconds() for k in (1, -1)]
        last = (moment_abeam(orbit, *segment.polygon[half], segment.stop) - begin).total_seconds()
        ends.append(last - strip.after_s[-1])
        piece = random.integers(len(strip.after_s) - 1)
        share, side = random.random(2)
        first = strip.first_km[piece] * (1 - share) + strip.first_km[piece + 1] * share
        second = strip.second_km[piece] * (1 - share) + strip.second_km[piece + 1] * share
        x, y, z = first * (1 - side) + second * side
        lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, (1 - 6.69437999014e-3) * np.hypot(x, y)))
        after_s = sensed_s(strip, lon, lat)
        errors.append(
            (moment_abeam(orbit, lon, lat, segment.start + timedelta(seconds=after_s)) - begin).total_seconds() - after_s
        )
    assert np.abs(ends).max() < 0.4  # the last piece, when there is no whole one to tell the speed
    assert np.abs(errors).max() < 0.4
    assert np.sqrt(np.mean(np.square(errors))) < 0.06
    assert min(late_s) > 0.0
    assert max(late_s) < 3.5


@pytest.mark.shared_data
def test_areas_against_utm(shared_data: Path) -> None:
    """The planar intersection in UTM of a square there and the outline for a map."""
    segments = [s for s in real_plan(shared_data, PLAN_OF_KNOWN_ORBIT).segments if s.is_distributed]
    random = np.random.default_rng(2)
    compared = 0
    for i in random.choice(len(segments), 60, replace=False):
        strip = build_strip(segments[i].polygon)
        line = random.integers(len(strip.after_s))
        x, y, z = strip.first_km[line] + random.random() * (strip.second_km[line] - strip.first_km[line])
        lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
        epsg = (32600 if lat > 0 else 32700) + int((lon + 180) // 6) % 60 + 1
        if abs(lat) > 80:
            continue
        to_utm, to_lonlat = (Transformer.from_crs(*pair, always_xy=True) for pair in ((4326, epsg), (epsg, 4326)))
        e, n = to_utm.transform(lon, lat)
        square = shapely.box(e - 54_900, n - 54_900, e + 54_900, n + 54_900)
        corners = shapely.get_coordinates(square)[:4]
        squares_km = earth_fixed_km(*to_lonlat.transform(corners[:, 0], corners[:, 1]))[None]
        pieces = pieces_of([strip])
        near = np.linalg.norm(pieces.middle_km() - squares_km.mean(axis=1), axis=1) < pieces.radius_km() + 100
        rows = np.flatnonzero(near)
        area, _ = pieces.part_inside(rows, np.repeat(squares_km, len(rows), axis=0))
        ground = shapely.intersection(map_outline(strip), shapely.box(lon - 12, -90, lon + 12, 90))
        if abs(lon) > 165:
            continue
        in_utm = shapely.transform(ground, lambda c, t=to_utm: np.stack(t.transform(c[:, 0], c[:, 1]), axis=1))
        expected = shapely.area(shapely.intersection(shapely.make_valid(in_utm), square)) / 1e6
        assert area.sum() == pytest.approx(expected, rel=0.01, abs=40.0), segments[i].segment_id
        compared += 1
    assert compared > 40


def bent(vertices: list[Vertex], at: int, lon: float = 0.0, lat: float = 0.0) -> list[Vertex]:
    return [Vertex(v.lon + lon, v.lat + lat) if i == at else v for i, v in enumerate(vertices)]


@pytest.mark.parametrize(
    "vertices",
    [
        [],
        outline()[:5],
        outline()[:7],
        [Vertex(0.0, 0.0)] * 8,
        outline()[1:] + outline()[:1],
        bent(outline(), 2, lat=3.0),
        bent(outline(), 2, lon=5.0),
        bent(outline(), 0, lat=0.5),
        [
            Vertex(v.lon, v.lat)
            for v in [outline()[0], *outline()[1:3], outline()[-3], *outline()[4:7], outline()[3], *outline()[8:]]
        ],
        outline() * 200,
    ],
    ids=["none", "five", "odd", "point", "shifted", "kinked", "wide", "off centre", "twisted", "endless"],
)
def test_what_is_no_strip_is_refused(vertices: list[Vertex]) -> None:
    with pytest.raises(InputError):
        build_strip(vertices)


def ring_km2(geometry: shapely.Geometry) -> float:
    return abs(WGS84.geometry_area_perimeter(geometry)[0]) / 1e6


@settings(max_examples=40, deadline=None)
@given(
    lon=st.floats(-180.0, 180.0),
    lat=st.floats(-86.0, 86.0),
    azimuth_deg=st.floats(0.0, 360.0),
    duration_s=st.floats(1.0, 900.0),
)
def test_outline_for_a_map_is_valid_and_whole(lon: float, lat: float, azimuth_deg: float, duration_s: float) -> None:
    vertices = outline(lon=lon, lat=lat, azimuth_deg=azimuth_deg, duration_s=duration_s)
    geometry = map_outline(build_strip(vertices))
    west, south, east, north = geometry.bounds
    assert -180.0 <= west <= east <= 180.0
    assert -90.0 <= south <= north <= 90.0
    assert geometry.is_valid
    parts = shapely.get_parts(geometry)
    assert all(part.exterior.is_ccw for part in parts)
    if north < 88.0 and south > -88.0:  # between the chords of a pole's surroundings areas cannot be compared
        length_km = duration_s * 6.713
        assert sum(ring_km2(part) for part in parts) == pytest.approx(290.0 * length_km, rel=0.02)


@pytest.mark.parametrize(("lat", "azimuth_deg"), [(86.0, 5.0), (-86.0, 175.0)])
def test_an_outline_around_a_pole_holds_it(lat: float, azimuth_deg: float) -> None:
    geometry = map_outline(build_strip(outline(lat=lat, azimuth_deg=azimuth_deg, duration_s=150.0)))
    assert geometry.is_valid
    pole = 89.9 if lat > 0 else -89.9
    assert all(geometry.covers(shapely.Point(lon, pole)) for lon in (-180.0, -90.0, 0.0, 90.0, 180.0))
    assert not geometry.covers(shapely.Point(90.0, lat))


@pytest.mark.shared_data
def test_the_segments_over_the_antimeridian(shared_data: Path) -> None:
    plan = real_plan(shared_data, "S2B_MP_ACQ__KML_20250213T120000_20250303T150000.kml")
    jumping = [
        s for s in plan.segments if max(abs(a.lon - b.lon) for a, b in zip(s.polygon, s.polygon[1:], strict=False)) > 180.0
    ]
    beyond = [s for s in plan.segments if max(abs(v.lon) for v in s.polygon) > 180.0]
    assert [s.segment_id for s in jumping] == ["41507-4", "41593-4", "41650-4"]
    assert len(beyond) > 20
    for segment in [*jumping, *beyond]:
        geometry = map_outline(build_strip(segment.polygon))
        assert geometry.geom_type == "MultiPolygon"
        assert {-180.0, 180.0} == {geometry.bounds[0], geometry.bounds[2]}
        assert sum(ring_km2(p) for p in geometry.geoms) == pytest.approx(strip_km2(segment), rel=0.02)


def strip_km2(segment: Segment) -> float:
    strip = build_strip(segment.polygon)
    return float(strip.after_s[-1] * 6.713 * np.linalg.norm(strip.first_km - strip.second_km, axis=1).mean())
