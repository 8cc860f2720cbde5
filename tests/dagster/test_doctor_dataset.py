"""Whether a dataset can be written: folders that cannot be, full disks, buckets of every kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from s2chips_core.storage import LocalStorage
from s2chips_core.storage.s3 import S3Storage
from s2chips_dagster import doctor_dataset
from s2chips_dagster.doctor_dataset import check_dataset
from tests.storage.s3_servers import BUCKET, KEYS, S3Server, serve_moto, serve_rclone


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with serve_moto() as server:
        yield server


def test_a_folder_that_can_be_written(tmp_path: Path) -> None:
    found = check_dataset(LocalStorage(tmp_path))
    assert (found.check, str(tmp_path) in found.sentence) == ("dataset", True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = check_dataset(LocalStorage(tmp_path / "file" / "data"))
    assert (found.verdict, "file" in found.sentence, "storage.dataset_root" in found.remedy) == ("failed", True, True)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5_000_000})
    monkeypatch.setattr(doctor_dataset.shutil, "disk_usage", lambda path: usage)
    found = check_dataset(LocalStorage(tmp_path / "a" / "b"))
    assert (found.verdict, "0.0 GiB" in found.sentence, "will be made" in found.sentence) == ("failed", True, True)
    assert not (tmp_path / "a").exists()


def test_a_bucket_that_keeps_locks(moto: S3Server) -> None:
    found = check_dataset(moto.storage("ships"))
    assert (found.verdict, found.sentence) == ("ok", f"s3://{moto.bucket}/ships can be written, read and locked")
    assert moto.storage("ships").list(".locks") == []


def test_a_bucket_that_keeps_none(tmp_path: Path) -> None:
    with serve_rclone(tmp_path) as rclone:
        storage = S3Storage(BUCKET, "ships", environment=KEYS, endpoint=rclone.endpoint)
        found = check_dataset(storage)
        assert (found.verdict, "ignores If-None-Match" in found.sentence, "s3_locks" in found.remedy) == (
            "failed",
            True,
            True,
        )
        assert check_dataset(rclone.storage("ships")).verdict == "ok"


@pytest.mark.parametrize("bucket", ["nobody", BUCKET])
def test_a_bucket_that_is_not_there_and_keys_that_are_wrong(tmp_path: Path, bucket: str) -> None:
    keys = {**KEYS, "AWS_SECRET_ACCESS_KEY": "another/secret"} if bucket == BUCKET else KEYS
    with serve_rclone(tmp_path) as rclone:
        storage = S3Storage(bucket, "ships", environment=keys, endpoint=rclone.endpoint, locks="this_machine")
        found = check_dataset(storage)
    assert (found.verdict, "AWS_ACCESS_KEY_ID" in found.remedy) == ("failed", True)
    assert "another/secret" not in found.sentence + found.remedy
