"""One error tree. An exception is for what is broken; a refusal (cloud, no scene) is a value, see `index.outcomes`.

S2ChipsError
├── ConfigError        the configuration file or an override says something that cannot be
├── InputError         a file or message from outside is not readable as what it should be
├── ArchiveError       the STAC service did not answer as it should
├── ReadError          pixels could not be had: HTTP, TIFF layout, short body
│   ├── HostNotAllowedError   an asset href points outside `stac.allowed_hosts`
│   └── MissingAssetError     the scene has no such asset, or it is gone (404)
├── CaptureError       the AIS service cannot be listened to
│   └── AisKeyError           the key is missing or was refused; never tried again
├── MixedAisError      real and synthetic AIS would come into one dataset
├── StorageError       the dataset root cannot be read or written
│   └── LockedError           another process holds what is asked for
├── ClusterError       the Dask cluster cannot be reached, or was lost
├── SchemaError        a table between stages does not have the columns it declares
└── CancelledRunError  the caller asked to stop
"""

SHOWN_MOST_CHARS = 4000
"""Of what came from outside, in an error."""


class S2ChipsError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigError(S2ChipsError):
    """A setting is wrong: which file, which key, what came and what is expected."""

    def __init__(self, file: str, key: str, got: object, expected: str) -> None:
        self.file, self.key, self.got, self.expected = file, key, got, expected
        super().__init__(f"{file}: {key}: got {got!r}, expected {expected}")


class InputError(S2ChipsError):
    """Something from outside is not what it should be: where, what came and what is expected."""

    def __init__(self, where: str, got: object, expected: str) -> None:
        self.where, self.got, self.expected = where, got, expected
        super().__init__(_cut(f"{where}: got {_shown(got)}, expected {expected}", 2 * SHOWN_MOST_CHARS))


class ArchiveError(S2ChipsError):
    """The STAC service refused, broke off or answered with something that is no STAC."""

    def __init__(self, endpoint: str, problem: str) -> None:
        problem = _cut(problem)
        self.endpoint, self.problem = endpoint, problem
        super().__init__(f"STAC service {endpoint}: {problem}")


class ReadError(S2ChipsError):
    """Pixels of an asset could not be read."""

    def __init__(self, href: str, problem: str) -> None:
        self.href, self.problem = href, problem
        super().__init__(_cut(f"{href}: {problem}"))


class HostNotAllowedError(ReadError):
    """An asset href names a host or scheme that `stac.allowed_hosts` does not list."""

    def __init__(self, href: str, host: str, allowed: tuple[str, ...]) -> None:
        self.host, self.allowed = host, allowed
        super().__init__(href, f"host {host!r} is not in stac.allowed_hosts ({', '.join(allowed)})")


class MissingAssetError(ReadError):
    """The scene lists no such asset, or the archive no longer has it."""


class CaptureError(S2ChipsError):
    """The AIS service refused, or could not be reached in time."""

    def __init__(self, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(f"AIS service {url}: {problem}")


class AisKeyError(CaptureError):
    """The API key is missing or the service does not accept it; the key itself is never shown."""


class MixedAisError(S2ChipsError):
    """Real and synthetic AIS would come into one dataset."""

    def __init__(self, dataset: str | None, ais_sources: list[str]) -> None:
        self.dataset, self.ais_sources = dataset, ais_sources
        holds = f"this dataset is of {dataset} AIS" if dataset else "a dataset is of real or of synthetic AIS"
        super().__init__(
            f"{holds}, got {', '.join(ais_sources)}: give it a dataset of its own "
            "(storage.dataset_root or S2CHIPS_DATASET_ROOT)"
        )


class StorageError(S2ChipsError):
    """The dataset root cannot be read or written as asked."""

    def __init__(self, key: str, problem: str) -> None:
        self.key, self.problem = key, problem
        super().__init__(f"{key}: {problem}")


class LockedError(StorageError):
    """A lock of the dataset was not let go in time."""


class ClusterError(S2ChipsError):
    """The Dask cluster cannot be reached, has other versions, or was lost in the middle of a run."""

    def __init__(self, address: str, problem: str) -> None:
        self.address, self.problem = address, problem
        super().__init__(f"Dask cluster {address}: {problem}")


class SchemaError(S2ChipsError):
    """A table does not have the declared columns or types."""

    def __init__(self, table: str, problem: str) -> None:
        self.table, self.problem = table, problem
        super().__init__(f"table {table}: {problem}")


class CancelledRunError(S2ChipsError):
    """The caller asked to stop before all was done; nothing half-written is left."""


def _shown(got: object) -> str:
    try:
        text = repr(got)
    except (RecursionError, ValueError):  # JSON may be deeper than what Python writes out; a number may be too long
        text = f"something of type {type(got).__name__} that is too deep to show"
    return _cut(text)


def _cut(text: str, most: int = SHOWN_MOST_CHARS) -> str:
    """Not too long, and without what no encoding can write: half of a pair of characters."""
    text = text if len(text) <= most else f"{text[:most]}…"
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")
