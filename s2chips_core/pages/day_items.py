"""The items of a day's page: its chips and its targets without one, with pictures, tracks and gate numbers put together.

Here: who gets which picture, track and limits. Not here: what an item is (`items`), the page (`day`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from s2chips_core.chips.identity import fingerprint
from s2chips_core.pages.gate_bars import gate_bars, gate_notes
from s2chips_core.pages.items import (
    Sheet,
    chip_item,
    find_quicklook,
    inline_picture,
    linked_picture,
    quicklook_side_px,
    refused_item,
)
from s2chips_core.pages.limits import Limits
from s2chips_core.pages.tracks import select_track
from s2chips_core.pages.view_files import View
from s2chips_core.scenes.scene import Scene

MAX_INLINE_QUICKLOOKS = 300
"""Up to so many chips the page holds their quicklooks; beyond, it links to the files."""

_Row = Mapping[str, Any]


def chip_items(
    chips: Collection[_Row],
    of_chip: Mapping[str, Sequence[_Row]],
    *,
    quicklooks: Mapping[str, bytes],
    views: Mapping[str, View],
    limits: Limits,
    fixes: Mapping[int, pd.DataFrame],
) -> Iterator[dict[str, Any]]:
    """The chips of a day, one after another.

    Args:
        chips: rows of the index.
        of_chip: chip_id -> the rows of the outcomes that name it.
        quicklooks, views, limits, fixes: see `day.build_report`.

    Raises:
        InputError: a quicklook that is needed is not there, or is no JPEG.
    """
    inline = len(chips) <= MAX_INLINE_QUICKLOOKS
    sides_px = {
        chip["config_hash"]: quicklook_side_px(chip["chip_id"], quicklooks[chip["chip_id"]])
        for chip in chips
        if chip["chip_id"] in quicklooks
    }
    for chip in chips:
        chip_id, gate = chip["chip_id"], limits.of_hash(chip["config_hash"])
        if inline or chip["config_hash"] not in sides_px:
            quicklook = find_quicklook(quicklooks, chip_id)
        side_px = sides_px[chip["config_hash"]]
        view = views.get(chip_id)
        yield chip_item(
            chip,
            of_chip.get(chip_id, ()),
            picture=inline_picture(quicklook) if inline else linked_picture(chip["path"]),
            side_px=side_px,
            sheet=None if view is None else Sheet(src=view.key.removeprefix("reports/"), layout=view.layout.name),
            bars=gate_bars(chip, gate),
            gate_notes=gate_notes(chip, gate),
            track=select_track(chip, fixes[chip["mmsi"]], side_px) if chip["mmsi"] in fixes else (),
        )


def refused_items(refused: Iterable[_Row], scenes: Mapping[str, Scene], limits: Limits) -> Iterator[dict[str, Any]]:
    """The targets without a chip, in this order, one after another.

    Args:
        refused: rows of the outcomes.
        scenes: scene id -> scene; with them it is found out by which limits a target was refused.
        limits: of the gate, by configuration.
    """
    return (_refused_item(number, target, scenes, limits) for number, target in enumerate(refused, 1))


def _refused_item(number: int, target: _Row, scenes: Mapping[str, Scene], limits: Limits) -> dict[str, Any]:
    gate, scene = None, scenes.get(target["scene_id"])
    if scene is not None and target["fingerprint"] is not None:
        # The outcome does not say its configuration, but what it rests on does.
        rests_on = {
            config_hash: fingerprint(
                config_hash=config_hash,
                scene_id=scene.scene_id,
                revision=scene.revision,
                processing_baseline=scene.processing_baseline,
                lat=target["lat"],
                lon=target["lon"],
            )
            for config_hash in limits.hashes
        }
        gate = limits.of_fingerprint(target["fingerprint"], rests_on)
    return refused_item(number, target, bars=gate_bars(target, gate), gate_notes=gate_notes(target, gate))
