"""Whether a picture shows a ship: painted cases, and real ones that somebody has looked at."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window
from scipy import ndimage

from s2chips_core.chips.confirmation import (
    LEAST_SIGMA,
    STRONG,
    WEAK,
    Confirmation,
    ExpectedHull,
    Verdict,
    expected_hull,
    hull_distance_px,
    judge_confirmation,
)
from s2chips_core.chips.grid import utm_xy
from s2chips_core.chips.hull import box_corners_m, choose_extents

BANDS = ("B02", "B03", "B04", "B08")
SIZE = 256
WATER = {"B02": 0.04, "B03": 0.03, "B04": 0.02, "B08": 0.01}
SIGMA = 0.002


def sea(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, SIGMA, (len(BANDS), SIZE, SIZE))
    level = np.array([WATER[band] for band in BANDS])[:, None, None]
    return np.clip(level + noise, 0.0001, 1).astype(np.float32)


def hull(
    col: float = 128.5, row: float = 128.5, length_m: float = 100.0, width_m: float = 20.0, **more: Any
) -> ExpectedHull:
    """A hull that points east."""
    half, beam = length_m / 20, width_m / 20
    box = [col + half, row - beam, col + half, row + beam, col - half, row + beam, col - half, row - beam]
    facts: dict[str, Any] = {"antenna_known": True, "length_m": length_m, "sigma_m": 10.0}
    return expected_hull(col=col, row=row, box=box, **facts | more)


def paint(chip: np.ndarray, ship: ExpectedHull, brighter: float = 0.2) -> np.ndarray:
    """What a sensor sees of a bright hull: in all bands, blurred."""
    cols, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    cover = ndimage.gaussian_filter((hull_distance_px(ship, cols, rows) <= 0.5).astype(float), 0.6)
    return (chip + brighter * cover).astype(np.float32)


def judge(chip: np.ndarray, target: ExpectedHull, *others: ExpectedHull, bands: tuple[str, ...] = BANDS) -> Confirmation:
    return judge_confirmation(chip, bands, target, others)


def test_a_ship_where_it_ought_to_be() -> None:
    found = judge(paint(sea(), hull()), hull())
    assert found.verdict == Verdict.CONFIRMED
    assert found.offset_m is not None
    assert found.offset_m < 2.0
    assert found.contrast == pytest.approx(0.2 / SIGMA, rel=0.25)


def test_the_offset_is_how_far_it_was_seen() -> None:
    found = judge(paint(sea(), hull(col=130.0, row=126.5)), hull())
    assert found.verdict == Verdict.CONFIRMED
    assert found.offset_m == pytest.approx(25.0, abs=2.0)


def test_empty_water_shows_no_ship() -> None:
    for seed in range(20):
        found = judge(sea(seed), hull())
        assert (found.verdict, found.offset_m) == (Verdict.ABSENT, None)
        assert found.contrast is not None
        assert 0 < found.contrast < WEAK


def test_a_faint_thing_is_ambiguous() -> None:
    chip = sea()
    chip[3, 128, 128] = WATER["B08"] + SIGMA * (STRONG + WEAK) / 2
    found = judge(chip, hull())
    assert found.verdict == Verdict.AMBIGUOUS
    assert found.contrast is not None
    assert WEAK < found.contrast < STRONG


def test_farther_than_the_position_can_be_off_it_is_another_thing() -> None:
    far = hull(col=128.5 + 30)
    assert judge(paint(sea(), far), hull()).verdict == Verdict.ABSENT
    # With a position that is known less well the same thing may be the ship.
    assert judge(paint(sea(), far), hull(sigma_m=150.0)).verdict == Verdict.CONFIRMED


def test_where_the_antenna_is_not_known_the_hull_may_lie_half_its_length_off() -> None:
    ahead = paint(sea(), hull(col=128.5 + 9.0, length_m=200.0))
    assert judge(ahead, hull(length_m=200.0, antenna_known=False)).verdict == Verdict.CONFIRMED
    assert judge(ahead, hull(length_m=200.0, antenna_known=True)).verdict == Verdict.AMBIGUOUS


def test_two_like_things_are_ambiguous_unless_one_is_another_vessel() -> None:
    small, neighbour = (hull(row=128.5 + n, length_m=20.0, width_m=10.0, sigma_m=25.0) for n in (0.0, 6.0))
    chip = paint(paint(sea(), small), neighbour)
    assert judge(chip, small).verdict == Verdict.AMBIGUOUS
    assert judge(chip, small, neighbour).verdict == Verdict.CONFIRMED
    alone = paint(sea(), neighbour)
    assert judge(alone, small).verdict == Verdict.CONFIRMED
    assert judge(alone, small, neighbour).verdict == Verdict.ABSENT


def test_the_offset_is_of_the_ship_alone() -> None:
    """A brighter neighbour within the search window does not draw the middle towards itself."""
    small, neighbour = (hull(row=128.5 + n, length_m=20.0, width_m=10.0, sigma_m=25.0) for n in (0.0, 6.0))
    found = judge(paint(paint(sea(), small), neighbour, brighter=0.3), small, neighbour)
    assert found.verdict == Verdict.CONFIRMED
    assert found.offset_m is not None
    assert found.offset_m < 3.0


def test_a_dark_deck_amidships_makes_no_two_ships() -> None:
    chip = paint(sea(), hull(length_m=200.0))
    chip[:, 126:132, 126:131] = (chip[:, 126:132, 126:131] - 0.01) * 0.4
    assert judge(chip, hull(length_m=200.0)).verdict == Verdict.CONFIRMED


def test_among_many_like_things_one_at_the_place_may_be_there_by_chance() -> None:
    chip = paint(sea(), hull())
    for n in np.random.default_rng(1).uniform(70, 190, (60, 2)):
        if abs(n - 128).max() > 15:
            chip = paint(chip, hull(col=n[0], row=n[1], length_m=20.0, width_m=10.0))
    assert judge(chip, hull()).verdict == Verdict.AMBIGUOUS
    assert judge(paint(sea(), hull()), hull()).verdict == Verdict.CONFIRMED


def test_land_is_no_ship() -> None:
    chip = sea()
    chip[:, :, :132] = np.array([0.1, 0.1, 0.1, 0.3])[:, None, None]
    found = judge(chip, hull())
    assert (found.verdict, found.contrast) == (Verdict.AMBIGUOUS, None)
    # A quay within reach, and nothing on the water: the ship may lie alongside.
    assert judge(np.where(np.arange(SIZE) < 122, chip, sea()).astype(np.float32), hull()).verdict == Verdict.AMBIGUOUS
    assert judge(np.where(np.arange(SIZE) < 90, chip, sea()).astype(np.float32), hull()).verdict == Verdict.ABSENT


def test_a_ship_beside_a_quay_that_takes_less_than_half_of_the_place() -> None:
    ship = hull()
    quay = np.where(np.arange(SIZE) < 121, np.array([0.1, 0.1, 0.1, 0.3])[:, None, None], paint(sea(), ship))
    found = judge(quay.astype(np.float32), ship)
    assert found.verdict == Verdict.CONFIRMED
    assert found.contrast is not None
    assert found.contrast > STRONG


def test_what_cannot_be_judged_is_null() -> None:
    chip = paint(sea(), hull())
    nothing = Confirmation()
    assert judge(chip[:3], hull(), bands=BANDS[:3]) == nothing
    assert judge(np.zeros_like(chip), hull()) == nothing
    assert judge(np.full_like(chip, 0.3), hull()) == nothing, "no water to compare with"
    assert judge(chip, hull(col=-5_000.0)) == nothing, "the hull is nowhere near"


def test_without_a_green_band_land_is_not_told_but_ships_are() -> None:
    chip = paint(sea(), hull())[3:]
    assert judge(chip, hull(), bands=("B08",)).verdict == Verdict.CONFIRMED


def test_a_ship_that_tells_no_size_is_looked_for_around_its_position() -> None:
    ship = expected_hull(col=128.5, row=128.5, box=None, antenna_known=False, length_m=None, sigma_m=None)
    assert ship.corners is None
    assert ship.reach_m == 2 * 50 + 20 + 100 / 2
    assert judge(paint(sea(), hull(col=135.0)), ship).verdict == Verdict.CONFIRMED


def test_water_that_does_not_vary_has_a_least_sigma() -> None:
    chip = np.broadcast_to(np.array([0.03, 0.03, 0.02, 0.0001])[:, None, None], (4, SIZE, SIZE)).astype(np.float32)
    found = judge(paint(chip, hull(), brighter=0.05), hull())
    assert found.verdict == Verdict.CONFIRMED
    assert found.contrast is not None
    assert found.contrast <= 0.05 / LEAST_SIGMA


def test_at_the_edge_of_a_chip() -> None:
    near = hull(col=3.0, row=254.0)
    assert judge(paint(sea(), near), near).verdict == Verdict.CONFIRMED
    assert judge(sea(), near).verdict == Verdict.ABSENT


@pytest.mark.parametrize("angle_deg", [0, 33, 90, 200])
def test_distance_from_a_hull(angle_deg: float) -> None:
    turn = np.radians(angle_deg)
    bow, starboard = np.array([np.sin(turn), -np.cos(turn)]), np.array([np.cos(turn), np.sin(turn)])
    middle = np.array([100.0, 50.0])
    corners = [middle + u * 10 * bow + v * 2 * starboard for u, v in ((1, -1), (1, 1), (-1, 1), (-1, -1))]
    box = expected_hull(col=0, row=0, box=list(np.ravel(corners)), antenna_known=True, length_m=200.0, sigma_m=10.0)
    for u, v, expected in ((0, 0, 0), (9.9, 1.9, 0), (13, 0, 3), (0, -7, 5), (13, 6, 5)):
        col, row = middle + u * bow + v * starboard
        assert float(hull_distance_px(box, np.array(col), np.array(row))) == pytest.approx(expected, abs=1e-9)


# Real ships of tile 32VPH on 2022-08-25, each looked at by eye: false colour (B08, B04, B03), a pixel drawn as 4 x 4 and as
# 12 x 12, with the AIS box. Open water is what NDWI calls water in 90 % of the middle 640 m.

SEEN = [
    *("219000177", "219002731", "219016873", "219018044", "219022903", "219023945", "219105000", "220352000", "220432000"),
    *("220434000", "241604000", "257983000", "258709000", "258897000", "266475000", "304089000", "311000277", "352335000"),
    *("563112100", "636013272", "636019326", "664445000"),
]
"""In open water: a ship is to be seen at the place; of 219018044 one of two that lie 30 m from each other."""
NOT_SEEN = ["273450990"]
"""In open water: nothing is to be seen."""
SEEN_IN_HARBOUR = ["219018172", "220446000", "246819000"]
"""Of the 21 ships in and at harbours: those that the eye tells from the quays. Of the others it cannot say."""
MOVED_PX = {"N": (0, -40), "E": (40, 0), "S": (0, 40), "W": (-40, 0)}
"""The ships of open water, looked for 400 m from their place."""
NOT_EMPTY = {
    ("219000177", "N"),  # a line of foam
    ("219022903", "E"), ("219022903", "W"),  # the ship and its wake
    ("241604000", "N"), ("241604000", "S"),  # the ship, its wake
    ("273450990", "W"),  # hardly any data
    ("311000277", "S"),  # the ship
    ("352335000", "S"), ("563112100", "S"),  # wakes
    ("636013272", "N"), ("636013272", "S"),  # the wake, the ship
}  # fmt: skip
"""Where the eye sees something within the search window."""


def real_case(folder: Path, row: dict[str, str]) -> tuple[np.ndarray, ExpectedHull]:
    """256 x 256 pixels around a ship of the AIS table, and its hull; other ships are not told."""
    lon, lat, heading = float(row["lon"]), float(row["lat"]), float(row["heading_deg"])
    with rasterio.open(folder / "B08.tif") as raster:
        c, f = raster.transform.c, raster.transform.f
    x, y = (float(n) for n in utm_xy(lon, lat, 32632))
    col_off, row_off = int((x - c) // 10) - 128, int((f - y) // 10) - 128
    layers = []
    for band in BANDS:
        with rasterio.open(folder / f"{band}.tif") as raster:
            dn = raster.read(1, window=Window(col_off, row_off, SIZE, SIZE), boundless=True, fill_value=0)
        layers.append(np.where(dn == 0, 0, np.clip(dn / 10_000, 0.0001, 1)))
    length, width = np.array([float(row["length_m"])]), np.array([float(row["width_m"])])
    extents, _ = choose_extents(length, width, np.full((1, 4), np.nan))
    corners = box_corners_m(np.array([lon]), np.array([lat]), 32632, np.array([heading]), extents)[0]
    box = np.stack([(corners[:, 0] - c) / 10 - col_off, (f - corners[:, 1]) / 10 - row_off], axis=1)
    ship = expected_hull(
        col=0.0, row=0.0, box=box.ravel().tolist(), antenna_known=False, length_m=float(length[0]), sigma_m=10.0
    )
    return np.stack(layers).astype(np.float32), ship


@pytest.fixture(scope="module")
def real_cases(shared_data: Path) -> dict[str, tuple[np.ndarray, ExpectedHull]]:
    folder = shared_data / "archive-32VPH"
    with (folder / "ais.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["has_pixels"] == "True"]
    return {row["mmsi"]: real_case(folder, row) for row in rows}


@pytest.mark.shared_data
def test_precision_and_recall_on_real_ships(real_cases: dict[str, tuple[np.ndarray, ExpectedHull]]) -> None:
    """Precision: of the ships that were confirmed, those that the eye sees too. Recall: of those it sees, the confirmed."""
    assert len(real_cases) == 44
    found = {mmsi: judge(*case) for mmsi, case in real_cases.items()}
    confirmed = {mmsi for mmsi, one in found.items() if one.verdict == Verdict.CONFIRMED}
    assert confirmed <= {*SEEN, *SEEN_IN_HARBOUR}, "precision 1.00"
    assert len(confirmed.intersection(SEEN)) >= 21, "recall 0.95 in open water"
    assert found["219018044"].verdict == Verdict.AMBIGUOUS
    assert "219018172" in confirmed
    assert [found[mmsi].verdict for mmsi in NOT_SEEN] == [Verdict.ABSENT]
    harbour = [one.verdict for mmsi, one in found.items() if mmsi not in {*SEEN, *NOT_SEEN, *SEEN_IN_HARBOUR}]
    assert set(harbour) == {Verdict.AMBIGUOUS}


@pytest.mark.shared_data
def test_no_ship_is_confirmed_where_there_is_none(real_cases: dict[str, tuple[np.ndarray, ExpectedHull]]) -> None:
    empty, other = Counter[Any](), Counter[Any]()
    for mmsi in (*SEEN, *NOT_SEEN):
        chip, ship = real_cases[mmsi]
        for side, move in MOVED_PX.items():
            assert ship.corners is not None
            corners = (ship.corners + move).ravel().tolist()
            reach: dict[str, Any] = {"antenna_known": True, "length_m": None, "sigma_m": (ship.reach_m - 20) / 2}
            verdict = judge(chip, expected_hull(col=0, row=0, box=corners, **reach)).verdict
            (other if (mmsi, side) in NOT_EMPTY else empty)[verdict] += 1
    assert empty.total() == 81
    assert empty[Verdict.CONFIRMED] == 0
    assert empty[Verdict.ABSENT] >= 79
    assert other == {Verdict.AMBIGUOUS: 11}


@pytest.mark.shared_data
def test_a_box_lies_along_the_ship(real_cases: dict[str, tuple[np.ndarray, ExpectedHull]]) -> None:
    """Where on the ship the antenna is these ships do not tell, so the box may lie ahead or astern; it may not lie aside."""
    aside_m, along_share = [], []
    for mmsi in SEEN:
        chip, ship = real_cases[mmsi]
        assert ship.corners is not None
        middle = brightest_thing(chip, ship)
        bow_port, bow_starboard, _, stern_port = ship.corners
        along, across = bow_port - stern_port, bow_starboard - bow_port
        off = (middle - ship.corners.mean(axis=0)) * 10
        aside_m.append(abs(off @ across) / np.hypot(*across))
        along_share.append(abs(off @ along) / np.hypot(*along) / (np.hypot(*along) * 10 / 2))
    assert np.median(aside_m) < 6.0
    assert np.max(aside_m) < 15.0
    assert np.median(along_share) < 1.0


def brightest_thing(chip: np.ndarray, ship: ExpectedHull) -> np.ndarray:
    """Column and row of the middle of what hangs together above half of the brightest pixel within reach."""
    cols, rows = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    near = hull_distance_px(ship, cols, rows) <= ship.reach_m / 10
    nir = chip[3] - np.median(chip[3][chip[3] > 0])
    peak = np.where(near, nir, 0)
    things, _ = ndimage.label(nir > peak.max() / 2, structure=np.ones((3, 3)))
    thing = (things == things[np.unravel_index(peak.argmax(), peak.shape)]) & near
    return np.array([(cols[thing]).mean(), rows[thing].mean()])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("harbour", "day", "ships", "judged", "least_standing_out"),
    [("busan", "2022-05-14", 54, 21, 16), ("casablanca", "2023-04-26", 15, 5, 5)],
)
def test_ships_in_real_harbours_stand_out_of_the_water(
    shared_data: Path, harbour: str, day: str, ships: int, judged: int, least_standing_out: int
) -> None:
    """Boxes that somebody drew around ships. Most lie alongside, and none of those is called absent."""
    folder = shared_data / "harbours" / harbour
    chip = []
    for band in ("B03", "B08"):
        with rasterio.open(folder / f"{harbour}_{day}_{band}.tiff") as raster:
            chip.append(raster.read(1) / 65_535)  # their DN = value / 6.5535
    boxes = [a["bbox"] for a in json.loads((folder / f"{harbour}_coco.json").read_text())["annotations"]]
    hulls = [
        ExpectedHull(
            col=x + w / 2, row=y + h / 2, corners=np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), reach_m=20.0
        )
        for x, y, w, h in boxes
    ]
    assert len(hulls) == ships
    pixels = np.stack(chip).astype(np.float32)
    found = [judge(pixels, one, *(o for o in hulls if o is not one), bands=("B03", "B08")) for one in hulls]
    contrasts = [one.contrast for one in found if one.contrast is not None]
    assert len(contrasts) == judged, "the others are on land for the most part"
    assert sum(contrast >= WEAK for contrast in contrasts) >= least_standing_out
    assert {one.verdict for one in found} <= {Verdict.CONFIRMED, Verdict.AMBIGUOUS}
