"""The sections of what is kept: where a dataset may be."""

import pytest

from s2chips_core.config import parse_settings
from tests.sections.trees import SOMEWHERE, refused


@pytest.mark.parametrize(
    ("root", "bucket"),
    [
        ("data", None),
        ("/data/ships", None),
        ("C:/data/ships", None),
        ("of 2025: s3", None),
        ("s3://bucket", ("bucket", "")),
        ("s3://my.bucket-1/ships/2025/", ("my.bucket-1", "ships/2025")),
    ],
)
def test_a_folder_or_a_bucket_and_a_prefix(root: str, bucket: tuple[str, str] | None) -> None:
    assert parse_settings({**SOMEWHERE, "storage": {"dataset_root": root}}, "x").storage.bucket == bucket


@pytest.mark.parametrize(
    "root",
    [
        "s3://",
        "s3://B/x",
        "s3://bucket//x",
        "s3://bucket/../x",
        "gs://bucket/x",
        "file:///x",
        "s3://bucket/a?b",
        "s3:/x/y://",
        "s3:/bucket/ships",
        "S3:/bucket",
    ],
)
def test_other_roots_are_refused(root: str) -> None:
    error = refused({**SOMEWHERE, "storage": {"dataset_root": root}})
    assert error.key == "storage.dataset_root"
    assert error.expected.startswith("a folder, or s3://bucket/prefix")


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://", "x:9000", "http://user:key@host", "http://host/path"])
def test_an_endpoint_is_a_host(endpoint: str) -> None:
    error = refused({**SOMEWHERE, "storage": {"dataset_root": "s3://bucket", "s3_endpoint": endpoint}})
    assert (error.key, error.expected) == ("storage.s3_endpoint", "http://host[:port] or https://host[:port]")


@pytest.mark.parametrize("days", [0, -1, 1.5, "5", True, 36_501])
def test_how_long_things_are_kept_is_whole_days_or_all(days: object) -> None:
    assert refused({**SOMEWHERE, "retention": {"trash_days": days}}).key.startswith("retention.trash_days")
    assert parse_settings({**SOMEWHERE, "retention": {"lock_days": "all"}}, "x").retention.lock_days is None
