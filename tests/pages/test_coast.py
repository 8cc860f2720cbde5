"""The coast line: shapes of a sphere brought to a plane, checked by places and areas that are known from elsewhere."""

import base64

import numpy as np
import pytest
import shapely
from pyproj import Geod

from s2chips_core.pages.coast import COARSE, FINE, build_coarse, build_fine, decode_land, parts_of, read_land, unroll

ON_LAND = {"Madrid": (-3.7, 40.4), "Chukotka in the east": (175.0, 66.5), "Chukotka in the west": (-175.0, 66.8),
           "Suva": (178.43, -18.1), "South Pole": (10.0, -89.0), "Nairobi": (36.8, -1.3)}  # fmt: skip
AT_SEA = {"Gibraltar, the strait": (-5.6, 35.93), "North Sea": (4.0, 56.0), "Caspian Sea": (50.5, 42.0),
          "Pacific at the antimeridian": (180.0, 20.0), "Koro Sea": (179.5, -18.0)}  # fmt: skip


def anywhere(land: list[shapely.Polygon], lon: float, lat: float) -> bool:
    return any(shapely.contains_xy(p, lon + turn, lat) for p in land for turn in (-360, 0, 360))


@pytest.mark.parametrize("name", [COARSE, FINE])
def test_known_places_are_on_land_or_at_sea(name: str) -> None:
    land = read_land(name)
    assert {place for place, at in ON_LAND.items() if not anywhere(land, *at)} == set()
    assert {place for place, at in AT_SEA.items() if anywhere(land, *at)} == set()


@pytest.mark.parametrize("name", [COARSE, FINE])
def test_land_has_the_area_that_the_earth_has(name: str) -> None:
    """148.9 million km², of which the Caspian Sea and the ice shelves of Antarctica are booked differently."""
    geod = Geod(ellps="WGS84")
    area = sum(abs(geod.geometry_area_perimeter(shapely.geometry.polygon.orient(p))[0]) for p in read_land(name))
    assert area / 1e12 == pytest.approx(148.9, rel=0.02)


def test_no_edge_jumps_over_the_world() -> None:
    for polygon in read_land(COARSE):
        for ring in (polygon.exterior, *polygon.interiors):
            points = shapely.get_coordinates(ring)
            along_a_pole = np.abs(points[:, 1]) > 89.9
            steps = np.abs(np.diff(points[:, 0]))
            assert steps[~(along_a_pole[1:] & along_a_pole[:-1])].max(initial=0.0) < 60


def test_a_small_topology_by_hand() -> None:
    """Two squares that share the arc 1, the second of them across the antimeridian."""
    topology = {
        "transform": {"scale": [0.5, 0.5], "translate": [-180.0, -90.0]},
        "arcs": [[[720, 180], [-4, 0], [0, 4], [4, 0]], [[720, 184], [0, -4]], [[0, 180], [4, 0], [0, 4], [-4, 0]]],
        "objects": {"land": {"geometries": [{"type": "MultiPolygon", "arcs": [[[0, 1]], [[2, 1]]]}]}},
    }
    west, east = decode_land(topology)
    assert west.bounds == (178.0, 0.0, 180.0, 2.0)
    assert east.bounds == (-180.0, 0.0, -178.0, 2.0)
    assert (west.area, east.area) == (4.0, 4.0)


def test_a_ring_around_a_pole_is_led_past_it() -> None:
    lons = np.array([-170.0, -90.0, 0.0, 90.0, 170.0, -170.0])
    ring = unroll(np.column_stack([lons, np.full(6, -70.0)]))
    assert shapely.Polygon(ring).area == pytest.approx(360 * 20)


def test_what_is_packed_is_the_land_around_the_chips() -> None:
    fine = build_fine(np.array([-5.4, 179.9]), np.array([36.0, -17.0]))
    assert fine is not None
    region, land = unpacked(fine["region"]), unpacked(fine["land"])
    assert region.bounds == (-7.0, -18.0, 181.0, 38.0)
    truth = shapely.unary_union([p for p in read_land(FINE) if p.intersects(shapely.box(-7, 35, -4, 38))])
    there = shapely.intersection(shapely.make_valid(truth), shapely.box(-7, 35, -4, 38))
    got = shapely.intersection(land, shapely.box(-7, 35, -4, 38))
    assert shapely.symmetric_difference(got, there).area < 0.01 * there.area
    # Where the region ends there is no coast, and Fiji goes on beyond 180°.
    edges = shapely.boundary(region).buffer(1e-6)
    for line in unpacked_lines(fine["coast"]):
        assert not edges.contains(line)
    assert land.intersects(shapely.box(180.0, -18, 181, -15))
    assert build_fine(np.array([]), np.array([])) is None


def test_the_world_ends_where_the_map_does() -> None:
    world = unpacked(build_coarse()["land"])
    assert world.bounds[1] == pytest.approx(-85.06, abs=0.02)
    assert world.area == pytest.approx(sum(p.area for p in read_land(COARSE)) - 360 * 4.94, rel=0.01)


def unpacked_lines(packed: dict[str, object]) -> list[shapely.LineString]:
    assert isinstance(packed["points"], dict)
    values = np.frombuffer(base64.b64decode(packed["points"]["d"]), dtype="<" + packed["points"]["t"])
    points = values.reshape(-1, 2) * packed["step"]
    assert isinstance(packed["rings"], list)
    return [shapely.LineString(part) for part in np.split(points, np.cumsum(packed["rings"])[:-1])]


def unpacked(packed: dict[str, object]) -> shapely.Geometry:
    lines, at, polygons = unpacked_lines(packed), 0, []
    assert isinstance(packed["polygons"], list)
    for rings in packed["polygons"]:
        shell, *holes = [line.coords for line in lines[at : at + rings]]
        polygons.append(shapely.make_valid(shapely.Polygon(shell, holes)))
        at += rings
    assert at == len(lines)
    return shapely.MultiPolygon([part for polygon in polygons for part in parts_of(polygon)])


def test_the_work_is_that_of_the_land_near_the_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chips in many places of the world: thousands of islands are looked at as numbers, and few as polygons."""
    asked = []
    bounds = shapely.Polygon.bounds

    def counting(polygon: shapely.Polygon) -> object:
        asked.append(polygon)
        return bounds.fget(polygon)  # type: ignore[attr-defined]

    monkeypatch.setattr(shapely.Polygon, "bounds", property(counting))
    lons, lats = np.meshgrid(np.arange(-175.0, 180.0, 25.0), np.arange(-50.0, 70.0, 20.0))
    found = build_fine(lons.ravel(), lats.ravel())
    assert found is not None
    assert found["land"]["polygons"]
    assert len(asked) <= 2 * lons.size
