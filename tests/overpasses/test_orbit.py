"""Orbits against published vectors, pyproj, ESA's orbit numbers and the Sun of real products."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from sgp4.api import WGS72, Satrec

from s2chips_core.errors import InputError
from s2chips_core.overpasses.acquisition_plan import parse_acquisition_plan
from s2chips_core.overpasses.elements import Elements, parse_elements, satrec_of, select_elements
from s2chips_core.overpasses.orbit import (
    NODAL_PERIOD_S,
    absolute_orbit,
    earth_fixed_km,
    geodetic_up,
    lonlat_below,
    next_node,
    node_longitude_deg,
    propagate,
    relative_orbit,
    sidereal_angle_rad,
    sun_direction,
    track_offset_km,
)

TO_GEODETIC = Transformer.from_crs(4978, 4979, always_xy=True)


@pytest.fixture(scope="module")
def history(shared_data: Path) -> list[Elements]:
    return parse_elements((shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes(), "history")[0]


def unix(*when: float) -> float:
    *whole, seconds = when
    return (datetime(*(int(part) for part in whole), tzinfo=UTC) + timedelta(seconds=seconds)).timestamp()  # type: ignore[arg-type]


def orbit_before(elements: Elements, time_s: float) -> tuple[int, int | None]:
    """Relative and absolute orbit at a time, by the ascending node before it."""
    satrec = satrec_of(elements)
    node_s = next_node(satrec, time_s - NODAL_PERIOD_S, ascending=True)
    relative = relative_orbit(node_longitude_deg(satrec, node_s))
    revolutions = round((node_s - elements.epoch.timestamp()) / NODAL_PERIOD_S)
    return relative, absolute_orbit(elements.satellite, elements.revolution + revolutions, relative)


def test_sidereal_time_of_the_textbook() -> None:
    # Vallado, Fundamentals of Astrodynamics and Applications, example 3-5: 1992-08-20 12:14 UT1.
    angle = sidereal_angle_rad(np.array([unix(1992, 8, 20, 12, 14, 0)]))
    assert math.degrees(angle[0]) == pytest.approx(152.578787810, abs=1e-6)


def test_teme_turns_into_the_published_earth_fixed_vector() -> None:
    # Vallado et al., AIAA 2006-6753, appendix C: 2004-04-06 07:51:28.386009 UTC, UT1 - UTC = -0.439961 s.
    angle = sidereal_angle_rad(np.array([unix(2004, 4, 6, 7, 51, 28.386009 - 0.439961)]))[0]
    x, y = 5094.18016210, 6127.64465950
    turned = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    assert turned == pytest.approx((-1033.4750313, 7901.3055856), abs=0.002)


@pytest.mark.shared_data
def test_velocity_is_the_change_of_position(history: list[Elements]) -> None:
    satrec = satrec_of(history[-1])
    times = history[-1].epoch.timestamp() + np.linspace(0.0, 6000.0, 50)
    before, after = (propagate(satrec, times + dt)[0] for dt in (-0.5, 0.5))
    np.testing.assert_allclose(propagate(satrec, times)[1], after - before, atol=2e-5)


@given(st.floats(-180, 180), st.floats(-89.9, 89.9), st.floats(0, 1000))
def test_geodetic_agrees_with_pyproj(lon: float, lat: float, height_km: float) -> None:
    x, y, z = TO_GEODETIC.transform(lon, lat, height_km * 1000, direction="INVERSE")
    position = np.array([[x, y, z]]) / 1000
    _, height = geodetic_up(position)
    got_lon, got_lat = lonlat_below(position)
    assert height[0] == pytest.approx(height_km, abs=1e-6)
    assert got_lat[0] == pytest.approx(lat, abs=1e-8)
    assert (got_lon[0] - lon + 180) % 360 - 180 == pytest.approx(0, abs=1e-8)
    x, y, z = TO_GEODETIC.transform(lon, lat, 0.0, direction="INVERSE")
    np.testing.assert_allclose(earth_fixed_km(np.array(lon), np.array(lat)) * 1000, [x, y, z], atol=1e-5)


@pytest.mark.shared_data
def test_catalogue_epochs_lie_at_the_ascending_node(history: list[Elements]) -> None:
    for elements in history:
        epoch_s = elements.epoch.timestamp()
        node_s = next_node(satrec_of(elements), epoch_s - 60, ascending=True)
        assert abs(node_s - epoch_s) < 1.0
        south_s = next_node(satrec_of(elements), epoch_s, ascending=False)
        assert south_s - node_s == pytest.approx(NODAL_PERIOD_S / 2, abs=6)
        (position,), (velocity,) = propagate(satrec_of(elements), np.array([south_s]))
        assert abs(position[2]) < 1e-6
        assert velocity[2] < 0


@pytest.mark.shared_data
def test_nodes_of_real_satellites_are_on_the_143_tracks(history: list[Elements]) -> None:
    offsets = []
    for elements in history:
        node_s = next_node(satrec_of(elements), elements.epoch.timestamp() - 60, ascending=True)
        offsets.append(track_offset_km(node_longitude_deg(satrec_of(elements), node_s)))
    assert max(map(abs, offsets)) < 2.0
    assert abs(np.mean(offsets)) < 0.1


@pytest.mark.shared_data
def test_orbit_numbers_are_those_of_the_acquisition_plan(shared_data: Path, history: list[Elements]) -> None:
    path = shared_data / "orbit" / "acquisition_plan" / "S2A_MP_ACQ__KML_20241128T120000_20241214T150000.kml"
    segments = parse_acquisition_plan(path.read_bytes(), path.name).segments
    (elements,) = (e for e in history if e.satellite == "S2A" and e.epoch.year == 2024 and e.epoch.month == 12)
    assert len(segments) > 700
    for segment in segments:
        numbers = orbit_before(elements, segment.start.timestamp() + 5.0)
        assert numbers == (segment.relative_orbit, segment.absolute_orbit), segment.segment_id


# Datatakes of public products: satellite, start, absolute orbit, relative orbit (None: not known).
DATATAKES = [
    ("S2A", "2018-12-31T19:04:06", 18414, None),
    ("S2A", "2022-04-01T08:36:01", 35382, 64),
    ("S2A", "2025-06-26T10:17:01", 52286, 65),
    ("S2A", "2026-07-02T15:07:41", 57594, 82),
    ("S2A", "2026-08-25T13:12:51", 58365, 138),
    ("S2B", "2025-10-10T05:26:49", 44890, 105),
    ("S2B", "2026-07-16T13:02:49", 48884, 95),
    ("S2B", "2026-08-25T13:02:39", 49456, 95),
    ("S2B", "2026-09-20T11:21:09", 49827, 37),
]


@pytest.mark.shared_data
@pytest.mark.parametrize(("satellite", "start", "absolute", "relative"), DATATAKES)
def test_orbit_numbers_are_those_of_products(
    history: list[Elements], satellite: str, start: str, absolute: int, relative: int | None
) -> None:
    when = datetime.fromisoformat(start).replace(tzinfo=UTC)
    elements = select_elements(history, satellite, when, 60)
    assert isinstance(elements, Elements)
    found = orbit_before(elements, when.timestamp() + 60.0)
    assert found[1] == absolute
    assert relative in (None, found[0])


def test_relative_orbits_count_on_by_one_each_revolution() -> None:
    lon = 0.9993
    for number in range(143):
        assert relative_orbit(lon % 360.0) == number + 1
        lon -= 3600 / 143
    assert lon % 360 == pytest.approx(0.9993)


@given(st.floats(0, 360), st.integers(-3, 3))
def test_track_offset_is_at_most_half_a_spacing_and_turns_repeat(lon: float, turns: int) -> None:
    assert abs(track_offset_km(lon)) <= 140.2
    spaced = track_offset_km(lon + 360 * turns)
    assert abs(spaced - track_offset_km(lon)) < 1e-6 or abs(abs(spaced) - 140.1) < 0.1


def test_a_revolution_that_fits_no_constant_has_no_absolute_orbit() -> None:
    assert absolute_orbit("S2C", 8998, 19) is not None
    assert absolute_orbit("S2C", 8998, 30) is None
    assert absolute_orbit("S2D", 8998, 19) is None


def test_elements_that_decay_are_an_input_error() -> None:
    satrec = Satrec()
    satrec.sgp4init(WGS72, "i", 40697, 27000.0, 0.05, 0.0, 0.0, 1e-4, 1.5, 1.72, 4.7, 0.0624, 4.0)
    with pytest.raises(InputError, match="SGP4"):
        propagate(satrec, np.array([unix(2023, 12, 3, 0, 0, 0) + 86_400.0 * 300]))
    with pytest.raises(InputError, match="SGP4"):
        next_node(satrec, unix(2023, 12, 3, 0, 0, 0) + 86_400.0 * 300, ascending=True)


@pytest.mark.parametrize(
    ("when", "declination", "tolerance"),
    [
        # Solstices and equinoxes to the minute (U.S. Naval Observatory).
        ((2025, 3, 20, 9, 1, 0), 0.0, 0.01),
        ((2025, 6, 21, 2, 42, 0), 23.44, 0.01),
        ((2025, 9, 22, 18, 19, 0), 0.0, 0.01),
        ((2025, 12, 21, 15, 3, 0), -23.44, 0.01),
    ],
)
def test_the_sun_at_solstices_and_equinoxes(when: tuple[int, ...], declination: float, tolerance: float) -> None:
    direction = sun_direction(np.array([unix(*when)]))[0]
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    assert math.degrees(math.asin(direction[2])) == pytest.approx(declination, abs=tolerance)


@pytest.mark.parametrize(
    ("tile", "time", "lon", "lat", "elevation_deg"),
    [
        # view:sun_elevation of Earth Search, mean over the tile.
        ("20EPT", (2025, 7, 31, 13, 19, 22.93), -60.14453, -60.89836, 4.164),
        ("24MUV", (2025, 7, 31, 13, 3, 27.058), -40.30885, -5.01855, 55.449),
        ("24MVV", (2025, 7, 31, 13, 3, 25.899), -39.40721, -5.01974, 56.095),
    ],
)
def test_the_sun_of_real_products(tile: str, time: tuple[float, ...], lon: float, lat: float, elevation_deg: float) -> None:
    up, _ = geodetic_up(earth_fixed_km(np.array([lon]), np.array([lat])))
    elevation = math.degrees(math.asin(float(up[0] @ sun_direction(np.array([unix(*time)]))[0])))
    assert elevation == pytest.approx(elevation_deg, abs=0.05)
