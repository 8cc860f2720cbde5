"""Which storage a configuration names."""

from pathlib import Path

import pytest

from s2chips_core.config import parse_settings
from s2chips_core.sections import StorageSettings
from s2chips_core.storage import LocalStorage, open_storage
from s2chips_core.storage.s3 import S3Storage
from tests.storage.s3_servers import KEYS


def settings_of(root: str, **more: str) -> StorageSettings:
    tree = {"satellite_tracking": {"tiles": ["30STE"]}, "storage": {"dataset_root": root, **more}}
    return parse_settings(tree, "test").storage


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    storage = open_storage(settings_of(str(tmp_path)), {})
    assert isinstance(storage, LocalStorage)
    storage.put("k", b"v")
    assert (tmp_path / "k").read_bytes() == b"v"


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ("s3://bucket", "s3://bucket/k"),
        ("s3://bucket/", "s3://bucket/k"),
        ("s3://my.bucket-1/ships/2025", "s3://my.bucket-1/ships/2025/k"),
        ("s3://bucket/ships/", "s3://bucket/ships/k"),
    ],
)
def test_an_s3_url_is_a_bucket_and_a_prefix(root: str, url: str) -> None:
    storage = open_storage(settings_of(root), KEYS)
    assert isinstance(storage, S3Storage)
    assert storage.url("k") == url
