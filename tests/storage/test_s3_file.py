"""An object as a file."""

import pytest

from s2chips_core.errors import StorageError
from tests.storage.fault_proxy import serve_faults
from tests.storage.s3_servers import S3Server


def test_an_object_that_is_replaced_is_not_read_half_and_half(moto: S3Server) -> None:
    storage = moto.storage()
    storage.put("k", b"a" * 3_000_000)
    with storage.open_read("k") as file:
        assert file.read(10) == b"a" * 10
        storage.put("k", b"b" * 3_000_000)
        with pytest.raises(StorageError, match="replaced while it was read"):
            file.read()


def test_a_file_is_read_whole_in_one_request(moto: S3Server) -> None:
    with serve_faults(moto.endpoint, lambda *_: "") as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        data = bytes(range(256)) * 10_000
        storage.put("k", data)
        proxy.done.clear()
        with storage.open_read("k") as file:
            assert file.read(3) == data[:3]
            assert file.read() == data[3:]
            assert file.read() == b""
    assert [method for method, _, _ in proxy.done] == ["HEAD", "GET", "GET"]
