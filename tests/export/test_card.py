"""The data card: what it must say, and that what it says of loading works."""

import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.export.card import format_card
from s2chips_core.export.card_facts import LabelStatistics, card_facts
from s2chips_core.export.options import ExportOptions
from s2chips_core.export.selection import read_index
from s2chips_core.storage import LocalStorage
from tests.export.chips import EXPORTED_AT, Kept, make_dataset
from tests.export.conftest import Export, export
from tests.index.chips import SETTINGS

Dataset = tuple[LocalStorage, dict[str, Kept]]


def card_of(export: Export) -> str:
    return (export.folder / "DATACARD.md").read_text(encoding="utf-8")


def plain_card(storage: LocalStorage, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "made_at": EXPORTED_AT,
        "software_version": "0.1.0",
        "left_out": {},
        "settings_of": {},
        "shards": {},
        "coco": {},
        "key": "none",
        "imagery_credit": None,
    }
    options = changes.pop("options", ExportOptions())
    return format_card(card_facts(read_index(storage)), LabelStatistics(), options, **arguments | changes)


def test_what_every_card_says(whole: Export) -> None:
    card = card_of(whole)
    assert "16 chips of 12 ships" in card
    assert "Contains modified Copernicus Sentinel data 2025." in card
    assert "AIS: not resolved" in card
    assert "16 chips rest on AIS received through aisstream.io" in card
    assert "Licence of this export: to be decided by whoever publishes it" in card
    assert "s2chips 0.1.0" in card
    assert "SYNTHETIC" not in card
    assert "3 scenes on 3 days" in card
    assert "are in more than one split" in card
    assert "2025-11-30 09:30 UTC" in card


def test_thresholds_of_each_configuration(whole: Export) -> None:
    """Of the one in use they are told; of the other one nothing was kept."""
    card = card_of(whole)
    gate = SETTINGS.gate
    assert (
        f"| `{SETTINGS.config_hash}` | 8 | centre {gate.center_window_px} px: cloud ≤ {gate.max_cloud_center_frac}" in card
    )
    assert len(re.findall(r"\| `[0-9a-f]{16}` \| 8 \| its settings are not kept in the dataset \|", card)) == 1


def test_thresholds_that_the_dataset_has_kept(storage: LocalStorage, tmp_path: Path) -> None:
    from s2chips_core.index.provenance import keep_config
    from tests.export.chips import SWIR

    make_dataset(storage)
    keep_config(storage, SWIR)
    export(storage, tmp_path / "out", formats=("geoparquet",))
    assert "not kept" not in (tmp_path / "out" / "DATACARD.md").read_text()


def test_synthetic_is_loud(storage: LocalStorage, tmp_path: Path) -> None:
    make_dataset(storage, ais_source="synthetic")
    manifest = export(storage, tmp_path / "out", formats=("stac",))
    card = (tmp_path / "out" / "DATACARD.md").read_text()
    assert card.index("SYNTHETIC. THESE ARE NOT REAL SHIPS.") < 200
    assert manifest["ais"] == "synthetic"
    assert "Synthetic AIS: these are not real ships" in (tmp_path / "out" / "stac" / "collection.json").read_text()
    assert "nobody's" in card


def test_without_ais_it_says_what_remains(nameless: Export, make_export: Callable[..., Export]) -> None:
    card = " ".join(card_of(nameless).split())
    assert "This is pseudonymous, not anonymous." in card
    assert "with a key that its owner keeps" in card
    assert "where and when each chip was sensed" in card
    assert "MMSI, names and exact AIS positions of ships are in" not in card
    assert "| interpolated | 16 | 20 | 20 | 20 |" in card
    assert "| interpolated | 16 | 12 | 12 | 12 |" in card_of(make_export(formats=("geoparquet",)))
    random = card_of(make_export(without_ais=True, key=None, formats=("geoparquet",)))
    assert "with a random key that was thrown away" in random


def test_what_was_left_out(dataset: Dataset) -> None:
    card = plain_card(dataset[0], left_out={"of another split": 3}, options=ExportOptions(where="length_m > 50"))
    assert "this export leaves out: 3 chips of another split. Condition: length\\_m \\> 50." in card
    hidden = plain_card(dataset[0], options=ExportOptions(where="mmsi == 244660001", without_ais=True))
    assert "244660001" not in hidden


def test_words_of_ships_are_no_markup(storage: LocalStorage) -> None:
    make_dataset(storage, ship_type="<b>|x|</b> *Cargo*\n# no heading")
    assert "| \\<b\\>\\|x\\|\\</b\\> \\*Cargo\\* \\# no heading | " in plain_card(storage)


def test_another_credit(dataset: Dataset) -> None:
    card = plain_card(dataset[0], imagery_credit="Imagery as served by a test.")
    assert "Imagery as served by a test." in card
    assert "Copernicus Sentinel data" not in card


def test_tables_are_tables(whole: Export) -> None:
    """Every row of a table has as many cells as its heading."""
    for block in re.findall(r"(?:^\|.*\n)+", card_of(whole), re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block
        assert re.fullmatch(r"\|(-+:?\|)+", block.splitlines()[1]), block


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("options", [{}, {"without_ais": True, "array": "npy"}, {"formats": ("webdataset",)}])
def test_how_to_load_works_as_it_stands(
    make_export: Callable[..., Export], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    made = make_export(**options)
    monkeypatch.chdir(made.folder)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", card_of(made), re.DOTALL)
    assert len(blocks) == (6 if "formats" not in options else 1)
    for block in blocks:
        exec(block, names)
    if len(blocks) == 6:
        assert len(names["chips"]) == 16
        assert names["pixels"] is not None
        assert names["item"].id in set(names["chips"]["chip_id"])
        assert all(Path(picture).is_file() for picture in names["pictures"])
        assert len(names["train"]) == made.manifest["chips_by_split"]["train"]
    samples = list(names["samples"])
    assert len(samples) == made.manifest["chips_by_split"]["train"]
    for array, said in samples:
        assert array.shape == (len(said["bands"]), 32, 32)
    gc.collect()
    assert Path.cwd() == made.folder
