"""What an export without AIS shows, and what it does not."""

import hashlib
import hmac
from pathlib import Path

import pyarrow as pa
import pytest

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
    same = sorted(KEPT - {"chip_id", "path", "position_sigma_m"})
    assert rows.select(same).equals(shown.select(same))


@pytest.mark.parametrize(("sigma", "shown"), [(None, None), (0.0, 0.0), (0.1, 10.0), (10.0, 10.0), (64.11, 70.0)])
def test_standard_errors_are_coarse(dataset: Dataset, sigma: float | None, shown: float | None) -> None:
    label = {**next(iter(dataset[1].values())).row["labels"][0], "position_sigma_m": sigma}
    assert Pseudonyms(KEY).label(label)["position_sigma_m"] == shown


def test_labels(dataset: Dataset) -> None:
    names = Pseudonyms(KEY)
    for chip in dataset[1].values():
        for label in chip.row["labels"]:
            shown = names.label(label)
            assert set(shown) == {"vessel_id", *LABEL_KEPT}
            assert shown["vessel_id"] == names.vessel_id(label["mmsi"])
            assert (shown["box"], shown["col"], shown["row"]) == (label["box"], label["col"], label["row"])
            assert abs(shown["lat"] - label["lat"]) <= 5e-6
            assert len(str(shown["lon"]).split(".")[1]) <= 5
