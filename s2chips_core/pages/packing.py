"""Numbers as text: how arrays go into the files of a page.

Here: the one form, of which the script makes typed arrays again. Not here: what the numbers are (`dataset_items`, `coast`).
"""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt


def pack(values: npt.NDArray[Any]) -> dict[str, str]:
    """Little-endian bytes in base64 and their type: `{"t": "u2", "d": …}`."""
    plain = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return {"t": f"{plain.dtype.kind}{plain.dtype.itemsize}", "d": base64.b64encode(plain.tobytes()).decode("ascii")}
