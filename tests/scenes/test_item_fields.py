"""The fields that are asked for, against what reading an item really looks at."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.sandbox.search import with_fields
from s2chips_core.scenes.item_fields import is_cut_short, item_fields
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.providers import PROVIDERS, CollectionProfile
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import item, recorded_items


class Watched(dict[str, Any]):
    """An object that writes down which of its fields are looked at, as `fields` names them."""

    def __init__(self, tree: dict[str, Any], seen: set[str], path: str = "") -> None:
        super().__init__(tree)
        self._seen, self._path = seen, path

    def _look(self, key: str) -> Any:
        self._seen.add(f"{self._path}{key}")
        value = dict.get(self, key)
        # What lies within an asset's field is asked for as a whole.
        deep = isinstance(value, dict) and key != "geometry" and self._path.count(".") < 2
        return Watched(value, self._seen, f"{self._path}{key}.") if deep else value

    def get(self, key: str, default: Any = None) -> Any:
        value = self._look(key)
        return default if value is None else value

    def __getitem__(self, key: str) -> Any:
        return self._look(key) if key in self.keys() else super().__getitem__(key)


def read(tree: dict[str, Any], provider: str) -> tuple[Scene | str, CollectionProfile]:
    profile = PROVIDERS[provider].collections[tree["collection"]]
    try:
        return parse_item(tree, PROVIDERS[provider], profile), profile
    except InputError as error:
        return str(error), profile


def cut(tree: dict[str, Any], profile: CollectionProfile) -> dict[str, Any]:
    """As a service sends it that does just what it is asked."""
    return with_fields(tree, {"include": item_fields(profile)})


def known_items(shared_data: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(p, tree) for p, _, tree in recorded_items(shared_data) if tree["collection"] in PROVIDERS[p].collections]


def test_every_recorded_item_gives_the_same_scene_when_it_is_cut(shared_data: Path) -> None:
    sizes = []
    for provider, tree in known_items(shared_data):
        whole, profile = read(tree, provider)
        small = cut(tree, profile)
        assert isinstance(whole, Scene)
        assert read(small, provider)[0] == whole
        # Items of an archive on disk name their files beside them; no service does.
        assert is_cut_short(small) == any("://" not in asset["href"] for asset in tree["assets"].values())
        sizes.append((len(str(small)), len(str(tree))))
    assert len(sizes) == 175
    assert sum(small for small, _ in sizes) < 0.4 * sum(whole for _, whole in sizes)


def test_nothing_is_looked_at_that_is_not_asked_for(shared_data: Path) -> None:
    everything: set[str] = set()
    for provider, tree in [*known_items(shared_data), ("earth_search", item(1))]:
        seen: set[str] = set()
        profile = PROVIDERS[provider].collections[tree["collection"]]
        assert parse_item(Watched(tree, seen), PROVIDERS[provider], profile) == parse_item(
            tree, PROVIDERS[provider], profile
        )
        # The links are for relative hrefs alone, which `is_cut_short` finds.
        leaves = {path for path in seen if not any(other.startswith(f"{path}.") for other in seen)} - {"links"}
        assert leaves <= set(item_fields(profile)) | {path for path in seen if path.count(".") < 2 and path[:6] == "assets"}
        everything |= leaves
    assert len(everything) > 60


@settings(deadline=None)
@given(st.data())
def test_an_item_that_lacks_something_is_read_or_refused_in_the_same_words(data: st.DataObject) -> None:
    tree = copy.deepcopy(item(3))
    for name in data.draw(st.lists(st.sampled_from(sorted(tree["properties"])), unique=True)):
        del tree["properties"][name]
    for key in data.draw(st.lists(st.sampled_from(sorted(tree["assets"])), unique=True, max_size=8)):
        name = data.draw(st.sampled_from(sorted(tree["assets"][key])))
        tree["assets"][key][name] = data.draw(st.sampled_from([None, "x", 5, []]))
    whole, profile = read(tree, "earth_search")
    small = cut(tree, profile)
    assert read(small, "earth_search")[0] == whole or is_cut_short(small)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.pop("assets"),
        lambda tree: tree.update(assets={}),
        lambda tree: tree.pop("geometry"),
        lambda tree: tree.pop("properties"),
        lambda tree: tree["assets"]["red"].pop("href"),
        lambda tree: tree["assets"]["red"].update(href="../B04.tif"),
        lambda tree: tree["assets"].update(red=None),
    ],
)
def test_an_item_without_what_every_item_has_was_cut_too_short(change: Any) -> None:
    tree = item(1)
    assert not is_cut_short(tree)
    change(tree)
    assert is_cut_short(tree)
