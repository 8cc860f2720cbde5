"""Which vessels are in a chip, and what their labels say."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import rasterio.transform
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from s2chips_core import tables
from s2chips_core.ais.vessels import VESSEL_COLUMNS
from s2chips_core.index.labels import (
    LABEL,
    LABEL_SCHEMA,
    PlacedVessels,
    labels_of_chip,
    labels_table,
    place_vessel,
    place_vessels,
)
from s2chips_core.index.records import PART_SCHEMA, index_frame
from tests.index.chips import index_row, match_of, scenes_of_days

EPSG, SIZE = 32632, 256
TRANSFORM = (10.0, 0.0, 499_000.0, 0.0, -10.0, 6_207_000.0)
TO_LONLAT = Transformer.from_crs(EPSG, 4326, always_xy=True)


def vessel(mmsi: int, col: float, row: float, **said: Any) -> dict[str, Any]:
    """A vessel whose antenna is at that place of the chip."""
    lon, lat = TO_LONLAT.transform(TRANSFORM[2] + 10 * col, TRANSFORM[5] - 10 * row)
    base = {"mmsi": mmsi, "lat": lat, "lon": lon, "position_method": "interpolated", "ais_source": "aisstream"}
    return dict.fromkeys(VESSEL_COLUMNS) | base | said


def placed(*vessels: dict[str, Any]) -> PlacedVessels:
    return place_vessels(pd.DataFrame(list(vessels), columns=list(VESSEL_COLUMNS)), EPSG)


def labels(target: dict[str, Any], *others: dict[str, Any], size: int = SIZE) -> list[dict[str, Any]]:
    return labels_of_chip(placed(target), placed(*others), TRANSFORM, size)


TARGET = vessel(244660123, 128.5, 128.5)
BOX = {"heading_deg": 90.0, "to_bow_m": 20.0, "to_stern_m": 80.0, "to_port_m": 5.0, "to_starboard_m": 15.0}


def test_the_target_comes_first_and_once() -> None:
    found = labels(TARGET, vessel(300_000_000, 10, 10), {**TARGET, "lat": 0.0, "lon": 0.0}, vessel(210_000_000, 9, 9))
    assert [label["mmsi"] for label in found] == [244660123, 210_000_000, 300_000_000]
    assert [label["is_target"] for label in found] == [True, False, False]
    assert (found[0]["lat"], found[0]["lon"]) == (TARGET["lat"], TARGET["lon"])


def test_positions_are_those_of_rasterio() -> None:
    places = [(128.5, 128.5), (0.25, 255.75), (17.0, 3.0), (255.0, 0.5)]
    found = labels(*(vessel(244_000_000 + n, *place) for n, place in enumerate(places)))
    affine = rasterio.transform.Affine(*TRANSFORM)
    for label, place in zip(found, places, strict=True):
        assert (label["col"], label["row"]) == pytest.approx(place, abs=1e-4)
        x, y = Transformer.from_crs(4326, EPSG, always_xy=True).transform(label["lon"], label["lat"])
        col, row = rasterio.transform.rowcol(affine, x, y, op=lambda v: v)[::-1]
        assert (label["col"], label["row"]) == pytest.approx((col, row), abs=1e-6)


@pytest.mark.parametrize(
    ("col", "row", "inside"),
    [(0.001, 0.001, True), (255.999, 255.999, True), (-0.001, 10, False), (10, 256.001, False), (256.001, 10, False)],
)
def test_an_antenna_is_inside_or_not(col: float, row: float, inside: bool) -> None:
    assert (len(labels(TARGET, vessel(210_000_000, col, row))) == 2) is inside


def test_a_hull_that_reaches_in_is_a_label_and_truncated() -> None:
    """An antenna 5 px left of the chip, the bow 2 px left of its edge, or 2 px within."""
    short, long = {**BOX, "to_bow_m": 30.0}, {**BOX, "to_bow_m": 70.0}
    assert len(labels(TARGET, vessel(210_000_000, -5, 100, **short))) == 1
    _, found = labels(TARGET, vessel(210_000_000, -5, 100, **long))
    assert found["truncated"]
    assert found["col"] == pytest.approx(-5, abs=1e-4)
    box = shapely.Polygon(np.reshape(found["box"], (4, 2)))
    assert box.intersects(shapely.box(0, 0, SIZE, SIZE))


@pytest.mark.parametrize(
    ("heading", "side"),
    [(90.0, (-5.0, 100.0)), (270.0, (SIZE + 5.0, 100.0)), (180.0, (100.0, -5.0)), (0.0, (100.0, SIZE + 5.0))],
)
@pytest.mark.parametrize(("within_px", "labelled"), [(0.3, True), (-0.3, False)])
def test_a_hull_that_reaches_a_third_of_a_pixel_in(
    heading: float, side: tuple[float, float], within_px: float, labelled: bool
) -> None:
    said = {**BOX, "heading_deg": heading, "to_bow_m": 50.0 + 10 * within_px}
    found = labels(TARGET, vessel(210_000_000, *side, **said))
    assert [label["truncated"] for label in found[1:]] == [True] * labelled


def test_a_box_is_truncated_when_a_corner_is_outside() -> None:
    """The bow 10 px to the right of the antenna: 0.1 px within the edge of the chip, or 0.1 px beyond."""
    for col, truncated in ((SIZE - 10.1, False), (SIZE - 9.9, True), (128.0, False)):
        _, found = labels(TARGET, vessel(210_000_000, col, 100, **{**BOX, "to_bow_m": 100.0}))
        assert found["truncated"] is truncated, col
        corners = np.reshape(found["box"], (4, 2))
        assert bool((corners[:, 0] > SIZE).any()) is truncated


def test_a_box_around_the_whole_chip_is_seen() -> None:
    huge = dict.fromkeys(("to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m"), 500.0)
    found = labels(TARGET, vessel(210_000_000, -20, -20, heading_deg=0.0, **huge), size=16)
    assert len(found) == 2
    assert found[1]["truncated"]


def test_boxes_and_their_sources() -> None:
    by_dimensions, by_size, no_direction, no_size = labels(
        vessel(1, 128.5, 128.5, **BOX),
        vessel(2, 50, 50, length_m=100.0, width_m=20.0, cog_deg=90.0, sog_kn=10.0),
        vessel(3, 60, 60, length_m=100.0, width_m=20.0),
        vessel(4, 70, 70, heading_deg=1.0),
    )
    # It heads east, and the grid's east is that of the ellipsoid near the central meridian.
    expected = [130.5, 128.0, 130.5, 130.0, 120.5, 130.0, 120.5, 128.0]
    np.testing.assert_allclose(by_dimensions["box"], expected, atol=0.01)
    assert (by_dimensions["box_source"], by_dimensions["direction_source"]) == ("dimensions", "heading")
    np.testing.assert_allclose(by_size["box"], [55, 49, 55, 51, 45, 51, 45, 49], atol=0.02)
    assert (by_size["box_source"], by_size["direction_source"], by_size["direction_deg"]) == ("length_width", "course", 90.0)
    for label in (no_direction, no_size):
        assert (label["box"], label["box_source"], label["truncated"]) == (None, None, False)
    assert (no_size["direction_deg"], no_direction["direction_deg"]) == (1.0, None)


def test_labels_are_plain_values_in_the_order_of_their_struct() -> None:
    for label in labels(vessel(1, 128.5, 128.5, **BOX, sog_kn=float("nan"), ship_name="Ø"), vessel(2, 1, 1)):
        assert list(label) == [field.name for field in LABEL]
        assert pa.array([label], LABEL).to_pylist() == [label]


def test_the_table_of_a_day_is_every_label_with_its_chip() -> None:
    rows = [index_row(match_of(n, scene=scene)) for n, scene in enumerate(scenes_of_days(3))]
    rows[1]["labels"] = rows[1]["labels"] + labels(TARGET, vessel(210_000_000, 9, 9, **BOX))[1:]
    part = tables.conform(index_frame(rows), PART_SCHEMA, "part")
    table = labels_table(pa.concat_tables([part, part.slice(1, 1)]))
    assert table.schema == LABEL_SCHEMA
    found = table.to_pylist()
    assert len(found) == 6
    n = 0
    for row in [*rows, rows[1]]:
        for label in row["labels"]:
            own = {name: row[name] for name in ("chip_id", "source_id", "scene_datetime", "path", "split")}
            assert found[n] == {**label, **own}
            n += 1
    assert labels_table(PART_SCHEMA.empty_table()).schema == LABEL_SCHEMA


def crowded(count: int, seed: int) -> list[dict[str, Any]]:
    """Vessels around a chip: on its edges, far off, still, without a size, and as long as AIS can tell."""
    rng = np.random.default_rng(seed)
    return [
        vessel(
            210_000_000 + n,
            float(rng.choice([rng.uniform(-60, 316), 0.0, 256.0, rng.uniform(-3000, 3000)])),
            float(rng.choice([rng.uniform(-60, 316), 0.0, 256.0, rng.uniform(-3000, 3000)])),
            heading_deg=float(rng.choice([rng.uniform(0, 360), np.nan])),
            to_bow_m=float(rng.choice([10.0, 300.0, 511.0])),
            to_stern_m=float(rng.choice([10.0, 511.0])),
            to_port_m=15.0,
            to_starboard_m=15.0,
        )
        for n in range(count)
    ]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 40), st.integers(0, 10**6))
def test_the_vessels_of_a_chip_are_those_of_a_loop_over_all(count: int, seed: int) -> None:
    others = crowded(count, seed)
    found = labels(TARGET, *others)
    square = shapely.box(0, 0, SIZE, SIZE)
    expected = [TARGET["mmsi"]]
    for other in others:
        (alone,) = labels_of_chip(placed(other), placed(), TRANSFORM, SIZE)
        inside = 0 <= alone["col"] < SIZE and 0 <= alone["row"] < SIZE
        box = None if alone["box"] is None else shapely.Polygon(np.reshape(alone["box"], (4, 2)))
        if inside or (box is not None and box.intersection(square).area > 0):
            expected.append(other["mmsi"])
    assert [label["mmsi"] for label in found] == expected


def test_one_vessel_is_placed_as_a_table_of_it() -> None:
    for said in crowded(30, 1):
        one, table = place_vessel(said, EPSG), placed(said)
        np.testing.assert_array_equal(one.xy_m, table.xy_m)
        np.testing.assert_array_equal(one.corners_m, table.corners_m)
        assert one.said(0) == table.said(0)


def test_of_many_vessels_a_chip_looks_at_those_around_it() -> None:
    """2,000 in a tile, 100 km wide: of them a chip of 2.56 km has one or two."""
    rng = np.random.default_rng(2)
    vessels = placed(*(vessel(210_000_000 + n, *rng.uniform(-5000, 5000, 2), **BOX) for n in range(2_000)))
    near = vessels.near(TRANSFORM, SIZE)
    assert len(near) < 15
    affine = (vessels.xy_m - [TRANSFORM[2], TRANSFORM[5]]) / [10.0, -10.0]
    inside = np.flatnonzero(((affine >= 0) & (affine < SIZE)).all(axis=1))
    assert set(inside) <= set(near)
