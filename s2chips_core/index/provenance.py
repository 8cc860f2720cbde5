"""What a chip was cut from, kept so that it can be cut again: the scene as its item told it, the settings that decided.

Here: the two files, written once before the first artefact that names them, and never again. Not here: cutting again
(`recut`). Both are named after their content, so that a file that was changed since is noticed; what a killed run leaves is
what the next run would write. They are never removed: a few kilobytes for each scene and configuration of a dataset.
"""

import functools
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import StorageError
from s2chips_core.fetch import without_query
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature", "token", "access_token"})
"""Parameters of a query that are a key for a while: they are not kept, nor is the rest of such a query."""


@functools.lru_cache(maxsize=64)
def scene_snapshot(text: str) -> tuple[str, bytes]:
    """Key and bytes of the snapshot of a scene; pure.

    Args:
        text: `Scene.to_json`.
    """
    tree = json.loads(text)
    for asset in tree["assets"].values():
        asset["href"] = _unsigned(asset["href"])
    if tree["granule_metadata_href"] is not None:
        tree["granule_metadata_href"] = _unsigned(tree["granule_metadata_href"])
    data = json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()
    return layout.scene_snapshot(tree["scene_id"], hashlib.sha256(data).hexdigest()), data


def keep_scene(storage: Storage, text: str) -> None:
    """Write the snapshot of a scene unless it is there."""
    _put_once(storage, *scene_snapshot(text))


def keep_config(storage: Storage, settings: Settings) -> None:
    """Write what decides of `settings` unless it is there."""
    _put_once(storage, layout.deciding_config(settings.config_hash), settings.deciding_json.encode())


def read_scene(storage: Storage, key: str) -> Scene:
    """The scene of a snapshot.

    Raises:
        StorageError: it is not there, or is not what it was when it was written.
    """
    data = storage.get(key)
    name = key.rpartition("/")[2].removesuffix(".json")
    _check(key, data, name.rpartition("-")[2])
    return Scene.from_json(data.decode())


def read_config(storage: Storage, config_hash: str, settings: Settings) -> Settings:
    """`settings`, but what decides is that of `config_hash`.

    Raises:
        StorageError: its file is not there, or is not what it was when it was written.
        ConfigError: this version of the software cannot read it.
    """
    key = layout.deciding_config(config_hash)
    data = storage.get(key)
    _check(key, data, config_hash)
    return settings.with_deciding(data.decode(), key)


def _put_once(storage: Storage, key: str, data: bytes) -> None:
    if not storage.exists(key):
        storage.put(key, data)


def _check(key: str, data: bytes, told: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(told):
        raise StorageError(key, f"was changed since it was written: its SHA-256 begins with {found[:16]}, expected {told}")


def _unsigned(href: Any) -> Any:
    query = parse_qs(urlsplit(href).query) if isinstance(href, str) and "?" in href else {}
    return without_query(href) if _SIGNATURES.intersection(map(str.lower, query)) else href
