"""All keys together: nothing from outside can bend one."""

import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import layout
from s2chips_core.storage.base import key_parts
from tests.reliability import often

DAY = date(2025, 10, 27)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x\0", "é"])
def test_names_from_outside_cannot_bend_a_key(name: str) -> None:
    for build in (
        lambda: layout.ais_snapshot(DAY, name),
        lambda: layout.chip("train", 1, DAY, name),
        lambda: layout.matches_part(DAY, name),
        lambda: layout.index_part(DAY, DAY, name),
        lambda: layout.deciding_config(name),
        lambda: layout.dataset_asset(name),
    ):
        with pytest.raises(ValueError, match="part of a key"):
            build()


NAMES = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["..", "/", "\\", ".", "a", "%2e", "~", "C:", "\0", "\n", "\u202e", "\ud800", "\uff0f", "CON", "-", "$HOME"]
    ),
    max_size=6,
).map("".join)


@settings(max_examples=often(200, 20_000))
@given(NAMES)
def test_no_name_leads_out_of_the_dataset(name: str) -> None:
    """A tile, a source, a chip, a capture, a trash, a scene, settings: what is refused is no key; what is none leads out."""
    root = Path("/dataset")
    for build in (
        lambda: layout.ais_snapshot(DAY, name),
        lambda: layout.ais_file(DAY, name),
        lambda: layout.ais_file_note(name),
        lambda: layout.ais_file_report(name),
        lambda: layout.capture_record(DAY, name),
        lambda: layout.capture_journal(name),
        lambda: layout.matches_part(DAY, name),
        lambda: layout.outcomes_part(DAY, name),
        lambda: layout.index_part(DAY, DAY, name),
        lambda: layout.chip("train", 1, DAY, name),
        lambda: layout.chip(name, 1, DAY, "ab"),
        lambda: layout.journal(DAY, name),
        lambda: layout.staged(DAY, name),
        lambda: layout.trash(name),
        lambda: layout.move_journal(name),
        lambda: layout.plan_cache(name),
        lambda: layout.deciding_config(name),
        lambda: layout.scene_snapshot(name, "0123456789abcdef99"),
    ):
        try:
            key = build()
        except ValueError:
            continue
        assert key.isascii()
        assert key.isprintable()
        path = root.joinpath(*key_parts(key))
        assert path == Path(os.path.normpath(path))
        assert path.is_relative_to(root)
        assert path.parent != root
