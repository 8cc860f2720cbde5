"""The limits of the gate that chips and refusals were judged by: those of the configuration that made them.

Here: which configurations a dataset knows, and which of them stands behind a row. Not here: bars (`gate_bars`), how a
dataset keeps its configurations (`index.provenance`).
"""

import logging
from collections.abc import Mapping, Sequence

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError, StorageError
from s2chips_core.index.provenance import read_config
from s2chips_core.sections import Gate
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)


class Limits:
    """The gate's limits by configuration, and by what a decision rests on."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        """`gates`: config hash -> limits, of the configurations that are known."""
        self._gates = dict(gates)

    def of_hash(self, config_hash: str) -> Gate | None:
        """The limits of a configuration."""
        return self._gates.get(config_hash)

    def of_fingerprint(self, wanted: str | None, by_hash: Mapping[str, str]) -> Gate | None:
        """The limits behind a decision.

        Args:
            wanted: its fingerprint.
            by_hash: config hash -> the fingerprint that the decision would have with that configuration.
        """
        found = [config_hash for config_hash, fingerprint in by_hash.items() if fingerprint == wanted]
        return self._gates.get(found[0]) if wanted is not None and found else None

    @property
    def hashes(self) -> Sequence[str]:
        """The configurations that are known."""
        return list(self._gates)


def read_limits(storage: Storage, settings: Settings) -> Limits:
    """The limits of all configurations that a dataset keeps, and of `settings`.

    One that cannot be read is left out: what it made is then shown without limits.
    """
    gates = {settings.config_hash: settings.gate}
    for key in storage.list(layout.deciding_configs()):
        config_hash = key.rpartition("/")[2].removesuffix(".json")
        try:
            gates[config_hash] = read_config(storage, config_hash, settings).gate
        except (StorageError, ConfigError) as error:
            logger.warning("limits of configuration %s are not known: %s", config_hash, error)
    return Limits(gates)
