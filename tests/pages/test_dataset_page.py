"""The page of the dataset, read as a file; how it looks in a browser is in tests/browser/test_dataset_page.py."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from s2chips_core.config import Settings, load_settings
from s2chips_core.pages.dataset_days import REFUSED_COLUMNS, Day, count_outcomes
from s2chips_core.pages.dataset_page import DatasetPage, build_dataset_page
from s2chips_core.pages.views import Layout
from tests.pages.sample_dataset import SampleDataset, make_dataset
from tests.pages.test_day import HOSTILE, Reader

GENERATED_AT = datetime(2025, 11, 5, 12, tzinfo=UTC)
CONFIG = Path(__file__).parents[2] / "config" / "config.yaml"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(CONFIG, {})


def page_of(made: SampleDataset, settings: Settings, **more: Any) -> DatasetPage:
    days = [
        Day(day=day, counts=count_outcomes(frame), synthetic=0, page=f"report_{day:%Y%m%d}.html")
        for day, frame in sorted(made.outcomes.items())
    ]
    everything = pd.concat(made.outcomes.values()) if made.outcomes else pd.DataFrame(columns=list(REFUSED_COLUMNS))
    refused = everything.loc[everything["outcome"].str.contains("gate|nodata", regex=True), list(REFUSED_COLUMNS)]
    options: dict[str, Any] = {"layouts": {}, "generated_at": GENERATED_AT, "software_version": "0.1.0"} | more
    return build_dataset_page(made.index, days, refused, settings=settings, **options)


@pytest.fixture(scope="module")
def made() -> SampleDataset:
    return make_dataset(400, days=200, names=HOSTILE)


@pytest.fixture(scope="module")
def page(made: SampleDataset, settings: Settings) -> DatasetPage:
    return page_of(made, settings)


def data_of(page: DatasetPage) -> Any:
    return json.loads(Reader(page.html).scripts[0])


def test_every_file_that_the_page_names_is_there(page: DatasetPage) -> None:
    data = data_of(page)
    assert set(data["assets"].values()) == {asset.name for asset in page.assets}
    assert {name for name, _, _ in data["chunks"]} <= set(data["assets"])
    assert {"columns", "leaflet", "supercluster", "land", "coast", "vessels"} <= set(data["assets"])
    for name, file in data["assets"].items():
        if name not in ("leaflet", "supercluster"):
            [asset] = [each for each in page.assets if each.name == file]
            assert asset.data.startswith(f's2chips.take("{name}",'.encode())


def test_only_our_scripts_run_and_nothing_is_fetched(page: DatasetPage) -> None:
    reader = Reader(page.html)
    [policy] = [str(a["content"]) for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert {source for source in rules["script-src"] if not source.startswith("'sha256-")} == {"'strict-dynamic'"}
    assert all(source.startswith("'sha256-") for source in rules["style-src"])
    assert set(rules["img-src"]) == {"data:", "'self'", "file:"}
    for tag, attributes in reader.tags:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or re.match(r"#|data:|report_\d{8}\.html$", address), (tag, address)
    ours = "".join(reader.scripts[1:])
    assert not re.search(
        r"\beval\(|new Function|innerHTML|document\.write|fetch\(|XMLHttpRequest|https?://(?!www\.w3)", ours
    )


def test_names_of_ships_stay_text(made: SampleDataset, settings: Settings) -> None:
    made = SampleDataset(index=made.index.copy(), outcomes=made.outcomes)
    made.index.loc[:20, "ship_type"] = HOSTILE[2]
    page = page_of(made, settings, title=HOSTILE[0])
    reader = Reader(page.html)
    assert HOSTILE[2] in reader.text
    assert HOSTILE[0] in reader.text
    assert reader.count("script") == 1 + 7
    assert reader.count("img") == 0


def test_the_figures_are_those_of_the_tables(page: DatasetPage, made: SampleDataset) -> None:
    text = " ".join(Reader(page.html).text.split())
    outcomes = pd.concat(made.outcomes.values())
    for label, value in (
        ("Chips", len(made.index)),
        ("Vessels", made.index["mmsi"].nunique()),
        ("Scenes", made.index["scene_id"].nunique()),
        ("AIS targets", len(outcomes)),
    ):
        assert f"{label}{value:,}" in text
    without = outcomes["outcome"].isin(["no_scene", "time_mismatch", "duplicate", "over_cap"]).sum()
    assert f"With a scene{len(outcomes) - without:,}" in text
    assert f"{page.leaking_vessels:,} of {made.index['mmsi'].nunique():,} vessels have chips in more than one split" in text


def test_each_day_links_to_its_page_and_has_its_funnel(page: DatasetPage, made: SampleDataset) -> None:
    reader, data = Reader(page.html), data_of(page)
    links = [a["href"] for tag, a in reader.tags if tag == "a" and str(a.get("href", "")).startswith("report_")]
    assert links == [f"report_{day:%Y%m%d}.html" for day in sorted(made.outcomes)]
    assert sorted(a["data-day"] for _, a in reader.tags if "data-day" in a) == sorted(map(str, made.outcomes))
    for day, frame in made.outcomes.items():
        stages = data["days"][str(day)]["stages"]
        assert stages[0][0] == len(frame)
        assert stages[-1][0] == (frame["outcome"] == "chipped").sum()
        assert stages[0][0] - sum(n for _, losses in stages for _, n in losses) == stages[-1][0]


def test_every_chart_has_its_table(page: DatasetPage) -> None:
    reader = Reader(page.html)
    figures = reader.count("figure")
    assert figures == 5 + 4
    assert reader.count("summary") == figures + 1 + len({"2024", "2025"})
    assert [a["role"] for tag, a in reader.tags if tag == "svg" and a.get("class") == "histogram"] == ["img"] * 4


def test_filters_are_there_where_chips_differ(made: SampleDataset, settings: Settings) -> None:
    both = Reader(page_of(made, settings).html)
    assert both.count("select", id="filter-verdict") == 1
    assert both.count("select", id="filter-source") == 0
    assert both.count("select", id="filter-confirmation") == 1
    assert f"could not be judged ({made.index['confirmation'].isna().sum()})" in both.text
    alike = SampleDataset(index=made.index.assign(confirmation=None), outcomes=made.outcomes)
    assert Reader(page_of(alike, settings).html).count("select", id="filter-confirmation") == 0


def test_synthetic_ais_is_marked_and_real_ais_is_not(made: SampleDataset, settings: Settings) -> None:
    assert "Synthetic AIS" not in Reader(page_of(made, settings).html).text
    index = made.index.assign(ais_source="synthetic")
    text = " ".join(Reader(page_of(SampleDataset(index=index, outcomes={}), settings).html).text.split())
    assert "Synthetic AIS: for trials only. All chips" in text
    index.loc[1:, "ais_source"] = "file"
    text = " ".join(Reader(page_of(SampleDataset(index=index, outcomes={}), settings).html).text.split())
    assert "Synthetic AIS: for trials only. 1 of the 400 chips" in text


def test_sheets_of_pictures_come_with_their_layouts(made: SampleDataset, settings: Settings) -> None:
    sheet = Layout(bands=("B02", "B03", "B04", "B08"), masks=(), side_px=256, ndwi_water_thresh=0.05)
    page = page_of(made, settings, layouts={made.index["chip_id"][3]: sheet})
    assert data_of(page)["layouts"] == json.loads(json.dumps({sheet.name: sheet.to_json()}))


def test_credit_and_when(page: DatasetPage, made: SampleDataset, settings: Settings) -> None:
    text = Reader(page.html).text
    assert "Made 2025-11-05 12:00:00 UTC by s2chips 0.1.0." in text
    assert "Contains modified Copernicus Sentinel data 2024, 2025." in text
    assert "Natural Earth" in text
    other = Reader(page_of(made, settings, imagery_credit="Synthetic imagery.").html).text
    assert "Synthetic imagery." in other
    assert "Copernicus" not in other


def test_the_same_tables_make_the_same_bytes(page: DatasetPage, made: SampleDataset, settings: Settings) -> None:
    assert page_of(made, settings) == page


def test_an_empty_dataset_says_so(settings: Settings) -> None:
    empty = SampleDataset(index=make_dataset(3).index.iloc[:0], outcomes={})
    reader = Reader(page_of(empty, settings).html)
    assert "No chips yet" in reader.text
    assert reader.count("table") == reader.count("dialog") == reader.count("form") == 0
