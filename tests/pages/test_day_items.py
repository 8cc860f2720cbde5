"""Who gets which picture and limits; the whole of a day is in test_day."""

import pytest

from s2chips_core.errors import InputError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages.day_items import MAX_INLINE_QUICKLOOKS, chip_items, refused_items
from s2chips_core.pages.limits import Limits
from s2chips_core.scenes.scene import Scene
from s2chips_core.tables import conform
from tests.pages.sample_day import SETTINGS, ReportDay, make_day

LIMITS = Limits({SETTINGS.config_hash: SETTINGS.gate})


def items_of(day: ReportDay, quicklooks: dict[str, bytes]) -> list[dict[str, object]]:
    chips = conform(day.index, PART_SCHEMA, "index").to_pylist()
    of_chip = {chip["chip_id"]: () for chip in chips}
    return list(chip_items(chips, of_chip, quicklooks=quicklooks, views={}, limits=LIMITS, fixes={}))


def test_few_chips_are_in_the_page_and_many_are_not() -> None:
    few, many = make_day(chips=2, refused=0), make_day(chips=MAX_INLINE_QUICKLOOKS + 1, refused=0)
    assert all(str(item["picture"]).startswith("data:image/jpeg;base64,") for item in items_of(few, few.quicklooks))
    last = list(many.quicklooks)[-1]
    linked = items_of(many, {last: many.quicklooks[last]})
    assert all(str(item["picture"]).startswith("../chips/") for item in linked)
    assert {item["side_px"] for item in linked} == {256}


def test_a_quicklook_that_is_needed_is_asked_for() -> None:
    day = make_day(chips=2, refused=0)
    with pytest.raises(InputError, match="quicklook of chip 0000000000000001"):
        items_of(day, {"0" * 16: day.quicklooks["0" * 16]})


def test_a_refusal_has_the_limits_that_its_fingerprint_tells() -> None:
    day = make_day(chips=0, refused=13)
    refused = conform(day.outcomes, OUTCOME_SCHEMA, "outcomes").to_pylist()
    scene = Scene.from_json(day.matches["scene"].dropna().iloc[0])
    gated = [row["outcome"].startswith("gate_") for row in refused]
    for scenes, limit in (({scene.scene_id: scene}, 0.05), ({}, None)):
        items = list(refused_items(refused, scenes, LIMITS))
        assert [item["gate"] is not None for item in items] == gated
        assert {item["gate"]["bars"][0]["limit"] for item in items if item["gate"]} == {limit}
        assert [item["id"] for item in items] == [f"target-{n}" for n in range(1, 14)]
