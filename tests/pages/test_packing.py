"""Arrays as text, read back by NumPy itself."""

import base64

import numpy as np
import pytest

from s2chips_core.pages.packing import pack


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "i4", "f4", ">u2", ">f4"])
def test_the_script_gets_little_endian_bytes_and_their_type(kind: str) -> None:
    values = np.array([0, 1, 100, 127], dtype=kind)
    packed = pack(values)
    assert packed["t"] == kind.lstrip(">")
    assert np.frombuffer(base64.b64decode(packed["d"]), dtype="<" + packed["t"]).tolist() == values.tolist()


def test_a_slice_is_packed_as_it_reads() -> None:
    packed = pack(np.arange(10, dtype=np.uint16)[::3])
    assert np.frombuffer(base64.b64decode(packed["d"]), dtype="<u2").tolist() == [0, 3, 6, 9]
