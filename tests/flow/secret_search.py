"""Looks for secrets in what runs leave behind, through what files are packed in.

Each secret is looked for as it is, encoded for a URL, escaped as JSON, and in base64 at each of its three places. Files are
looked into as bytes, and where they are SQLite, Parquet, ZIP (XLSX) or gzip also unpacked; so are cells of a database that
zlib has packed, as Dagster's are.
"""

import base64
import contextlib
import gzip
import io
import json
import re
import sqlite3
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

SIGNED = {
    "a presigned URL": re.compile(rb"X-Amz-(Signature|Credential|Security-Token)", re.IGNORECASE),
    "a SAS token": re.compile(rb"[?&](sig=|se=\d{4}-)", re.IGNORECASE),
}
"""What only a URL with a signature has."""
_DEEPEST = 4


class Search:
    """For some secrets, by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._spellings = {name: _spellings(secret) for name, secret in secrets.items()}

    def in_bytes(self, data: bytes, depth: int = 0) -> set[str]:
        """Names of the secrets in `data`, and in what is packed in it."""
        found = {name for name, spellings in self._spellings.items() if any(one in data for one in spellings)}
        found |= {name for name, pattern in SIGNED.items() if pattern.search(data)}
        if depth < _DEEPEST:
            for inner in _unpacked(data):
                found |= self.in_bytes(inner, depth + 1)
        return found

    def in_files(self, files: Mapping[str, bytes]) -> dict[str, set[str]]:
        """File -> names of the secrets in it or in its name; only files with some."""
        found = {name: self.in_bytes(name.encode()) | self.in_bytes(data) for name, data in files.items()}
        return {name: secrets for name, secrets in found.items() if secrets}


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file, also hidden ones: path from the folder -> bytes; of a database with what was in its journal."""
    for path in folder.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _spellings(secret: str) -> set[bytes]:
    texts = {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret), urllib.parse.quote_plus(secret)}
    texts |= {urllib.parse.quote(one, safe="") for one in tuple(texts)}
    texts |= {json.dumps(one)[1:-1] for one in tuple(texts)} | {secret.replace("/", "\\/"), repr(secret)[1:-1]}
    plain = {one.encode() for one in texts}
    return plain | {one.encode("utf-16-le") for one in texts} | {one for text in plain for one in _base64(text)}


def _base64(text: bytes) -> Iterator[bytes]:
    """Of `text` with 0, 1 or 2 bytes before it: without the digits that depend on its neighbours."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            digits = encode(b"\0" * before + text).rstrip(b"=")
            yield digits[before + (before > 0) : len(digits) - 1]


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"SQLite format 3\0"):
        yield from _cells(data)
    elif data.startswith(b"PAR1"):
        parquet = pq.ParquetFile(io.BytesIO(data))
        yield repr((parquet.schema_arrow.metadata, parquet.metadata.metadata)).encode()
        yield json.dumps(parquet.read().to_pylist(), default=str).encode()
    elif data.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    elif data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    elif data[:1] == b"\x78":
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(data)


def _cells(data: bytes) -> Iterator[bytes]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        # A copy that says it has no journal of its own: that of the file is in the file by now.
        database.deserialize(data[:18] + b"\1\1" + data[20:])
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in database.execute(f'SELECT * FROM "{name}"'):
                yield from (cell if isinstance(cell, bytes) else str(cell).encode() for cell in row if cell is not None)
