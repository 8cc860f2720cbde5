"""What an export without AIS shows, and what it does not."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyproj
import pytest
from affine import Affine
from rasterio.transform import rowcol, xy

from s2chips_core import tables
from s2chips_core.export.pseudonyms import DROPPED, KEPT, LABEL_DROPPED, LABEL_KEPT, Pseudonyms, shown_schema
from s2chips_core.export.selection import read_index
from s2chips_core.index.labels import LABEL
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.export.chips import Kept

Dataset = tuple[LocalStorage, dict[str, Kept]]
KEY = b"0123456789abcdef"


def test_every_column_was_thought_of() -> None:
    """Whoever adds a column to the index or to labels decides here whether it may name a ship."""
    assert set(INDEX_SCHEMA.names) == KEPT | set(DROPPED)
    assert not KEPT & set(DROPPED)
    assert {field.name for field in LABEL} == set(LABEL_KEPT) | set(LABEL_DROPPED) - {"source_id"}
    assert not set(LABEL_KEPT) & set(LABEL_DROPPED)


def test_what_is_dropped_is_in_the_data_dictionary() -> None:
    told = (Path(__file__).parents[2] / "docs" / "data-dictionary.md").read_text(encoding="utf-8").split("## Exports\n")[1]
    for name in (*DROPPED, *LABEL_DROPPED, "vessel_id"):
        assert f"`{name}`" in told, name


def test_a_column_that_nobody_thought_of_goes() -> None:
    assert "call_sign" not in shown_schema(INDEX_SCHEMA.append(pa.field("call_sign", pa.string()))).names


def test_the_hashes_are_hmac_sha_256() -> None:
    names = Pseudonyms(KEY)
    expected = hmac.digest(KEY, b"mmsi:244660123", hashlib.sha256).hex()[:16]
    assert names.vessel_id(244660123) == expected
    assert names.chip_id("d96fd1987d732223") == hmac.digest(KEY, b"chip:d96fd1987d732223", "sha256").hex()[:16]
    assert Pseudonyms(KEY + b"!").vessel_id(244660123) != expected


def test_rows(dataset: Dataset) -> None:
    rows = read_index(dataset[0])
    shown = Pseudonyms(KEY).rows(rows)
    assert shown.schema == shown_schema()
    assert shown.schema.names[:3] == ["chip_id", "path", "vessel_id"]
    before, after = tables.to_frame(rows), tables.to_frame(shown)
    # The same ship is the same, another one another.
    pairs = set(zip(before["mmsi"], after["vessel_id"], strict=True))
    assert len(pairs) == before["mmsi"].nunique() == after["vessel_id"].nunique() == 12
    assert after["chip_id"].is_unique
    assert not set(after["chip_id"]) & set(before["chip_id"])
    for _, row in after.iterrows():
        assert row["path"] == f"chips/{row['split']}/{row['vessel_id']}/{row['scene_datetime']:%Y%m%d}/{row['chip_id']}.tif"
    assert (after["position_sigma_m"] == 20.0).all()  # 12 m
    same = sorted(KEPT - {"chip_id", "path", "position_sigma_m", "lat", "lon", "confirmation_offset_m"})
    assert rows.select(same).equals(shown.select(same))
    # Places are the middles of the ships' pixels, by rasterio and pyproj.
    for was, now in zip(rows.to_pylist(), shown.to_pylist(), strict=True):
        grid = Affine(*was["transform"][:6])
        to_grid = pyproj.Transformer.from_crs(4326, was["epsg"], always_xy=True)
        pixel = rowcol(grid, *to_grid.transform(was["lon"], was["lat"]))
        x, y = xy(grid, *pixel)
        assert to_grid.transform(now["lon"], now["lat"]) == pytest.approx((x, y), abs=1.0)


def with_column(rows: pa.Table, name: str, values: list[Any]) -> pa.Table:
    field = rows.schema.field(name)
    return rows.set_column(rows.schema.get_field_index(name), field, pa.array(values, field.type))


def test_rows_do_not_tell_where_in_its_pixel_a_ship_was(dataset: Dataset) -> None:
    """Who knew the place to 5 decimals could try all MMSI: a chip's split follows from MMSI, time and place."""
    rows = read_index(dataset[0])
    places: dict[str, list[list[float]]] = {"lat": [[], []], "lon": [[], []]}
    for row in rows.to_pylist():
        to_grid = pyproj.Transformer.from_crs(4326, row["epsg"], always_xy=True)
        x, y = (v // 10 * 10 for v in to_grid.transform(row["lon"], row["lat"]))
        for corner, (dx, dy) in enumerate([(0.5, 0.5), (9.5, 9.5)]):
            lon, lat = to_grid.transform(x + dx, y + dy, direction="INVERSE")
            places["lat"][corner].append(lat)
            places["lon"][corner].append(lon)
    one, other = (
        Pseudonyms(KEY).rows(with_column(with_column(rows, "lat", places["lat"][n]), "lon", places["lon"][n]))
        for n in (0, 1)
    )
    assert one.equals(other)


@pytest.mark.parametrize(("offset", "shown"), [(None, None), (0.0, 0.0), (4.9, 0.0), (5.1, 10.0), (36.195, 40.0)])
def test_offsets_are_told_in_pixels(dataset: Dataset, offset: float | None, shown: float | None) -> None:
    rows = read_index(dataset[0])
    rows = with_column(rows, "confirmation_offset_m", [offset] * rows.num_rows)
    assert set(Pseudonyms(KEY).rows(rows)["confirmation_offset_m"].to_pylist()) == {shown}


@pytest.mark.parametrize(("sigma", "shown"), [(None, None), (0.0, 0.0), (0.1, 10.0), (10.0, 10.0), (64.11, 70.0)])
def test_standard_errors_are_coarse(dataset: Dataset, sigma: float | None, shown: float | None) -> None:
    row = next(iter(dataset[1].values())).row
    label = {**row["labels"][0], "position_sigma_m": sigma}
    told = Pseudonyms(KEY).label(label, transform=row["transform"], epsg=row["epsg"])
    assert told["position_sigma_m"] == shown


def test_labels(dataset: Dataset) -> None:
    names = Pseudonyms(KEY)
    for chip in dataset[1].values():
        transform, epsg = chip.row["transform"], chip.row["epsg"]
        for label in chip.row["labels"]:
            shown = names.label(label, transform=transform, epsg=epsg)
            assert set(shown) == {"vessel_id", *LABEL_KEPT}
            assert shown["vessel_id"] == names.vessel_id(label["mmsi"])
            # In the middle of the same pixel, and the box goes with the antenna.
            assert (shown["col"], shown["row"]) == (int(label["col"]) + 0.5, int(label["row"]) + 0.5)
            if label["box"] is None:
                assert shown["box"] is None
            else:
                moved = [shown["col"] - label["col"], shown["row"] - label["row"]] * 4
                assert shown["box"] == pytest.approx([v + m for v, m in zip(label["box"], moved, strict=True)])
            to_grid = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
            x, y = Affine(*transform[:6]) * (shown["col"], shown["row"])
            assert to_grid.transform(shown["lon"], shown["lat"]) == pytest.approx((x, y), abs=1.0)
            assert len(str(shown["lon"]).split(".")[1]) <= 5


def test_labels_do_not_tell_where_in_its_pixel_a_ship_was(dataset: Dataset) -> None:
    """By col and row an exact fix could be computed, and be looked up."""
    row = next(chip.row for chip in dataset[1].values() if len(chip.row["labels"]) > 1)
    placed = {"transform": row["transform"], "epsg": row["epsg"]}
    label = row["labels"][1]
    assert label["box"] is not None
    moved = {
        "col": label["col"] + 0.625,
        "row": label["row"] + 0.25,
        "box": [v + (0.25 if n % 2 else 0.625) for n, v in enumerate(label["box"])],
        "lat": label["lat"] + 2e-5,
        "lon": label["lon"] + 6e-5,
    }
    assert Pseudonyms(KEY).label(label, **placed) == Pseudonyms(KEY).label({**label, **moved}, **placed)


def test_the_order_of_labels_is_not_that_of_the_mmsi(dataset: Dataset) -> None:
    row = next(chip.row for chip in dataset[1].values() if len(chip.row["labels"]) > 1)
    target, other = row["labels"]
    labels = [target, *({**other, "mmsi": mmsi} for mmsi in range(311_000_000, 311_000_020))]
    for key in (KEY, KEY[::-1], KEY + KEY):
        shown = Pseudonyms(key).labels(labels, transform=row["transform"], epsg=row["epsg"])
        ids = [label["vessel_id"] for label in shown]
        assert [label["is_target"] for label in shown] == [True] + [False] * 20
        assert ids[0] == Pseudonyms(key).vessel_id(target["mmsi"])
        assert ids[1:] == sorted(ids[1:])
        assert len(set(ids)) == 21
