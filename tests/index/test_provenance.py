"""What chips are cut from, kept once under the name of its content."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core import layout
from s2chips_core.errors import ConfigError, StorageError
from s2chips_core.index.provenance import keep_config, keep_scene, read_config, read_scene, scene_snapshot
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage
from tests.index.chips import SETTINGS, scene_of
from tests.scenes.samples import scene


def test_a_scene_comes_back(storage: LocalStorage) -> None:
    kept = scene()
    keep_scene(storage, kept.to_json())
    key, data = scene_snapshot(kept.to_json())
    assert storage.list("provenance") == [key]
    assert key == f"provenance/scenes/S2A_32VPH_20250731_0_L2A-{hashlib.sha256(data).hexdigest()[:16]}.json"
    assert read_scene(storage, key) == kept


def test_settings_come_back_under_the_name_that_the_index_has(storage: LocalStorage) -> None:
    then = SETTINGS.override({"tiling": {"band_profile": "clay10"}, "storage": {"geotiff": "cog"}})
    keep_config(storage, then)
    assert storage.list("provenance") == [layout.deciding_config(then.config_hash)]
    now = SETTINGS.override({"compute": {"workers": 2}, "gate": {"enabled": False}})
    found = read_config(storage, then.config_hash, now)
    assert found.config_hash == then.config_hash
    assert found.compute.workers == 2


def test_it_is_written_once(storage: LocalStorage) -> None:
    keep_scene(storage, scene().to_json())
    keep_config(storage, SETTINGS)
    before = storage.versions("provenance")
    keep_scene(storage, scene().to_json())
    keep_config(storage, SETTINGS.override({"compute": {"workers": 2}}))
    assert storage.versions("provenance") == before
    keep_scene(storage, scene_of(revision="2").to_json())
    keep_scene(storage, scene_of(revision="3").to_json())
    assert len(storage.list("provenance/scenes")) == 3


def test_what_was_changed_or_is_gone_is_noticed(storage: LocalStorage) -> None:
    keep_scene(storage, scene().to_json())
    keep_config(storage, SETTINGS)
    key, data = scene_snapshot(scene().to_json())
    storage.put(key, data.replace(b"05.11", b"05.10"))
    with pytest.raises(StorageError, match="was changed since it was written"):
        read_scene(storage, key)
    storage.delete(key)
    with pytest.raises(StorageError, match="cannot be read"):
        read_scene(storage, key)
    config = layout.deciding_config(SETTINGS.config_hash)
    storage.put(config, storage.get(config) + b" ")
    with pytest.raises(StorageError, match="was changed"):
        read_config(storage, SETTINGS.config_hash, SETTINGS)
    later = b'{"compression": "deflate"}'
    storage.put(layout.deciding_config(hashlib.sha256(later).hexdigest()[:16]), later)
    with pytest.raises(ConfigError, match="deciding configuration"):
        read_config(storage, hashlib.sha256(later).hexdigest()[:16], SETTINGS)


def test_a_signature_is_not_kept(storage: LocalStorage) -> None:
    tree = json.loads(scene().to_json())
    plain = tree["assets"]["B02"]["href"]
    tree["assets"]["B02"]["href"] = f"{plain}?st=2025&sig=secret%2F1"
    tree["assets"]["B03"]["href"] += "?versionId=7"
    tree["granule_metadata_href"] = f"{plain}.xml?X-Amz-Signature=secret"
    key, data = scene_snapshot(json.dumps(tree))
    assert b"secret" not in data
    storage.put(key, data)
    found = read_scene(storage, key)
    assert found.assets["B02"].href == plain
    assert found.assets["B03"].href.endswith("?versionId=7")
    assert found.granule_metadata_href == f"{plain}.xml"


@given(st.text(min_size=1))
def test_any_scene_id_makes_a_key_of_its_own_folder(scene_id: str) -> None:
    tree = json.loads(scene().to_json()) | {"scene_id": scene_id}
    key, data = scene_snapshot(json.dumps(tree))
    folder, _, name = key.rpartition("/")
    assert folder == "provenance/scenes"
    assert layout.safe(name) == name
    assert len(name) < 130
    assert Scene.from_json(data.decode()).scene_id == scene_id
