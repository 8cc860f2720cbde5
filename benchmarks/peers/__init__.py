"""The readers that are measured: ours, and others as their own documentation recommends for reading windows over HTTP.

A module each, imported in a process of its own; each has `read(work, sink)`. All are told the windows, all get the SCL of
every ship and the bands of the ships that the gate lets through, and hand over float32 chips of the same bands.
"""

import dataclasses
import importlib.util
import sys


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One reader."""

    title: str
    module: str
    """In this package."""
    needs: tuple[str, ...] = ()
    """Importable names beyond the project's own dependencies."""
    python: tuple[int, int] = (3, 11)

    @property
    def missing(self) -> str | None:
        """Why it cannot be measured here; none when it can."""
        if sys.version_info[:2] < self.python:
            wanted = ".".join(map(str, self.python))
            return f"needs Python {wanted} or newer, this is {sys.version.split()[0]}"
        lacking = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(lacking)} is not installed" if lacking else None


PEERS = {
    "s2chips": Peer(title="s2chips", module="ours"),
    "rasterio": Peer(title="rasterio, tuned, 16 threads", module="rasterio_threads"),
    "odc-stac": Peer(title="odc-stac, 16 threads", module="odc_stac_threads", needs=("odc.stac",)),
    "stackstac": Peer(title="stackstac, 16 threads", module="stackstac_threads", needs=("stackstac",)),
    "async-geotiff": Peer(title="async-geotiff", module="async_geotiff_gather", needs=("async_geotiff", "obstore")),
    "rasteret": Peer(title="rasteret", module="rasteret_collection", needs=("rasteret",), python=(3, 12)),
}
