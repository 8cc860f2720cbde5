"""What kind of AIS a dataset is of: real, or synthetic; never both.

Not here: recording (`recording`, `day`).
"""

import json

from s2chips_core import layout
from s2chips_core.errors import MixedAisError
from s2chips_core.storage import Storage


def claim_dataset(storage: Storage, ais_sources: set[str]) -> None:
    """Note what kind of AIS a dataset is of, before anything of it is written; later AIS must be of the same kind.

    Args:
        storage: the dataset.
        ais_sources: what is about to be recorded or read: aisstream, file, synthetic.

    Raises:
        MixedAisError: it is of the other kind, or the AIS itself is of both.
    """
    if not ais_sources:
        return
    kinds = {"synthetic" if source == "synthetic" else "real" for source in ais_sources}
    with storage.lock("dataset"):
        key = layout.dataset_note()
        known = str(json.loads(storage.get(key))["ais"]) if storage.exists(key) else None
        if kinds != {known or min(kinds)}:
            raise MixedAisError(known, sorted(ais_sources))
        if known is None:
            storage.put(key, json.dumps({"ais": min(kinds)}).encode())
