"""The bytes of `tiles.parquet` that two datasets of the same chips share."""

import io

from s2chips_core.index.parquet_footer import read_footer
from s2chips_core.index.tiles_segments import RECORD_KEY


def without_record(index: bytes) -> bytes:
    """The file without the record that the next build reads: it tells when the parts were written."""
    footer, begin = read_footer(io.BytesIO(index))
    footer.key_values.pop(RECORD_KEY)
    return index[:begin] + footer.to_bytes()
