"""The door to orbital elements and acquisition plans: files, folders and URLs, with a cache in the dataset.

Here: getting the texts, politely, and saying what could not be had. Not here: what they mean (`elements`,
`acquisition_plan`), links of web pages (`kml_links`). CelesTrak renews its data every 2 hours and asks for one download each
time; who goes on after an answer other than 200 is blocked (celestrak.org/usage-policy.php). So a copy is used for
`cache_hours`, an attempt that failed is not repeated at once, and redirects are not followed: they would lead away from the
hosts that are configured.
"""

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from s2chips_core import layout
from s2chips_core.errors import HostNotAllowedError, InputError, ReadError, StorageError
from s2chips_core.fetch import Fetcher, check_allowed, host_of, without_query
from s2chips_core.overpasses.kml_links import kml_links
from s2chips_core.storage import Storage

MOST_LINKS = 12
MOST_FILES = 500
MOST_FILE_BYTES = 64 * 1024 * 1024
FAILURE_PAUSE = timedelta(minutes=15)
"""How long a source that failed is left alone: 8 attempts in 2 hours at most, where CelesTrak blocks after 50 errors."""
TIMEOUT_S = 30.0
CACHE_LOCK = "plan-sources"

_STAMP = "%Y%m%dT%H%M%SZ"
_COPY = re.compile(r"(?P<sha>[0-9a-f]{32})-(?P<at>\d{8}T\d{6}Z)(?P<failed>-failed)?")
_PAGE_BEGINS_BYTES = 64 * 1024
# The group is atomic: with backtracking the time doubles with each comment.
_HTML = re.compile(
    rb"(?>(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*)<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)

Check = Callable[[bytes, str], object]
"""Raises InputError when the bytes (first) from a source (second) are not what it should give."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """What one file or URL gave."""

    source: str
    """The file or the URL without its query, for people."""
    data: bytes
    fetched_at: datetime | None
    """When it was asked for; none for a file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceTexts:
    """What all sources gave, and what went wrong."""

    texts: tuple[SourceText, ...]
    notes: tuple[str, ...]
    requests: int


def read_sources(
    sources: Sequence[str],
    *,
    storage: Storage,
    now: datetime,
    cache_hours: float,
    check: Check,
    follow_links: bool = False,
    progress: Callable[[object], None] | None = None,
) -> SourceTexts:
    """Get every source once; one that fails is a note and the others go on.

    Args:
        sources: paths of files or folders (all files in it), `https://` URLs; `http://` only on this machine.
        storage: the dataset with the cache.
        now: aware UTC.
        cache_hours: how long a copy is used before its URL is asked again.
        check: what a URL gives is kept only when this accepts it; files are handed on as they are.
        follow_links: a URL may give a web page instead, whose links to KML (of the same host, MOST_LINKS at most) are asked.
        progress: told what is asked.

    Raises:
        StorageError: the cache cannot be written, or another process holds it for too long.
    """
    wanted = list(dict.fromkeys(source.strip() for source in sources))
    texts: list[SourceText] = []
    notes: list[str] = []
    urls = [source for source in wanted if "://" in source]
    for source in wanted:
        if "://" not in source:
            found, problems = _read_files(source)
            texts += found
            notes += problems
    if not urls:
        return SourceTexts(texts=tuple(texts), notes=tuple(notes), requests=0)
    hosts = []
    for url in list(urls):
        try:
            hosts.append(host_of(url))
            check_allowed(url, tuple(hosts))
        except HostNotAllowedError:
            urls.remove(url)
            notes.append(f"{without_query(url)}: plain http:// only to this machine, expected https://")
        except ReadError as error:
            urls.remove(url)
            notes.append(str(error))
    fetcher = Fetcher(tuple(hosts), retries=0, timeout_s=TIMEOUT_S)
    with contextlib.closing(fetcher), storage.lock(CACHE_LOCK):
        cache = _Cache(storage, fetcher, now, timedelta(hours=cache_hours), progress)
        for url in urls:
            found, problems = _read_url(cache, url, check, follow_links)
            texts += found
            notes += problems
    return SourceTexts(texts=tuple(texts), notes=tuple(notes), requests=fetcher.requests)


class _Cache:
    """Copies of what URLs gave: `{sha256 of the URL}-{when}`, and `…-failed` with the reason of the last failure."""

    def __init__(
        self,
        storage: Storage,
        fetcher: Fetcher,
        now: datetime,
        keep: timedelta,
        progress: Callable[[object], None] | None,
    ) -> None:
        self.storage, self.fetcher, self.now, self.keep = storage, fetcher, now.astimezone(UTC), keep
        self._progress = progress

    def read(self, url: str, check: Check) -> tuple[SourceText | None, str | None]:
        """The copy that is fresh, else what the URL gives now, else an old copy; and what went wrong.

        Raises:
            StorageError: the cache cannot be written.
        """
        label = without_query(url)
        copies = dict(sorted(self._stored(url, failed=False).items()))
        for at, key in reversed(copies.items()):
            if timedelta(0) <= self.now - at < self.keep:
                with contextlib.suppress(StorageError):  # gone meanwhile
                    return SourceText(source=label, data=self.storage.get(key), fetched_at=at), None
        problem = self._failed_lately(url)
        if problem is None:
            try:
                return self._fetch(url, label, check), None
            except (ReadError, InputError) as error:
                problem = str(error)
                self._replace(url, failed=True, data=problem.encode())
        for at, key in reversed(copies.items()):
            with contextlib.suppress(StorageError):
                text = SourceText(source=label, data=self.storage.get(key), fetched_at=at)
                return text, f"{problem}; the copy of {at:%Y-%m-%d %H:%M} UTC ({_age(self.now - at)}) is used instead"
        return None, problem

    def _fetch(self, url: str, label: str, check: Check) -> SourceText:
        if self._progress is not None:
            self._progress(f"asking {label}")
        data = self.fetcher.get(url)
        check(data, label)
        at = self._replace(url, failed=False, data=data)
        return SourceText(source=label, data=data, fetched_at=at)

    def _failed_lately(self, url: str) -> str | None:
        for at, key in self._stored(url, failed=True).items():
            if timedelta(0) <= self.now - at < FAILURE_PAUSE:
                with contextlib.suppress(StorageError):
                    said = self.storage.get(key).decode(errors="replace")
                    return f"{said} (at {at:%H:%M} UTC; not asked again before {at + FAILURE_PAUSE:%H:%M})"
        return None

    def _stored(self, url: str, *, failed: bool) -> dict[datetime, str]:
        sha = _sha(url)
        found = {}
        for key in self.storage.list(layout.plan_cache(sha).rpartition("/")[0]):
            name = _COPY.fullmatch(key.rpartition("/")[2])
            if name and name["sha"] == sha and (name["failed"] is not None) == failed:
                found[datetime.strptime(name["at"], _STAMP).replace(tzinfo=UTC)] = key
        return found

    def _replace(self, url: str, *, failed: bool, data: bytes) -> datetime:
        """Store `data` and remove what it replaces: an earlier failure, and with a copy the earlier copies."""
        at = self.now.replace(microsecond=0)
        old = [*self._stored(url, failed=True).values(), *([] if failed else self._stored(url, failed=False).values())]
        key = layout.plan_cache(f"{_sha(url)}-{at.strftime(_STAMP)}{'-failed' if failed else ''}")
        self.storage.put(key, data)
        for gone in old:
            if gone != key:
                self.storage.delete(gone)
        return at


def _is_page(data: bytes) -> bool:
    """Whether it is HTML, by its beginning: of endless comments the pattern would remember each."""
    return _HTML.match(data[:_PAGE_BEGINS_BYTES]) is not None


def _read_url(cache: _Cache, url: str, check: Check, follow_links: bool) -> tuple[list[SourceText], list[str]]:
    def check_page(data: bytes, label: str) -> None:
        if not (follow_links and _is_page(data)):
            check(data, label)
        elif not kml_links(data, url):
            raise InputError(label, "a web page without a link to KML", "KML, or a page that links to it")

    text, problem = cache.read(url, check_page)
    notes = [] if problem is None else [problem]
    if text is None or not (follow_links and _is_page(text.data)):
        return ([] if text is None else [text]), notes
    links = kml_links(text.data, url)
    here, elsewhere = [], []
    for link in links:
        try:
            host = host_of(link)
        except ReadError as error:
            notes.append(str(error))
            continue
        if host == host_of(url):
            here.append(link)
        else:
            elsewhere.append(host)
    if elsewhere:
        notes.append(
            f"{text.source}: {len(elsewhere)} of {len(links)} links to KML lead to other hosts "
            f"({', '.join(sorted(set(elsewhere)))}) and are not followed: name them as sources"
        )
    found = []
    for link in here[:MOST_LINKS]:
        plan, problem = cache.read(link, check)
        found += [] if plan is None else [plan]
        notes += [] if problem is None else [problem]
    return found, notes


def _read_files(source: str) -> tuple[list[SourceText], list[str]]:
    found, notes = [], []
    try:
        if not source:  # as a path it is the working directory
            raise InputError("source", source, "the path of a file or folder, or a URL")
        files = list(_files(Path(source).expanduser()))
    except InputError as error:
        return [], [str(error)]
    for file in files:
        try:
            if file.stat().st_size > MOST_FILE_BYTES:
                notes.append(f"{file}: is larger than {MOST_FILE_BYTES} bytes and not read")
                continue
            found.append(SourceText(source=str(file), data=file.read_bytes(), fetched_at=None))
        except OSError as error:
            notes.append(f"{file}: cannot be read: {error.strerror}")
    return found, notes


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    try:
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise InputError(str(path), error.strerror, "a folder that can be read") from error
    if not 1 <= len(files) <= MOST_FILES:
        raise InputError(str(path), f"a folder of {len(files)} files", f"1 to {MOST_FILES} files")
    yield from files


def _sha(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def _age(age: timedelta) -> str:
    if age < timedelta(0):
        return "later than now"
    hours = age / timedelta(hours=1)
    return f"{hours:.0f} h old" if hours < 48 else f"{hours / 24:.0f} days old"
