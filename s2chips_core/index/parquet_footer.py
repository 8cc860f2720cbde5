"""The footer of a Parquet file, taken apart and put together again: row groups that stand elsewhere in another file.

Here: the few parts of the Thrift compact protocol that it takes. Not here: anything of pages and columns (pyarrow) and what
the row groups are of (`tiles`). What is not looked at stays the bytes that it was. A row group whose bytes lie elsewhere
differs in its offsets only: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

import dataclasses
from collections.abc import Sequence
from typing import IO, Final, NamedTuple

MAGIC: Final = b"PAR1"
_TAIL_BYTES: Final = 8
"""Length of the footer and the magic."""
_MOST_GROUPS: Final = 32_767
"""The ordinal of a row group is an i16."""

# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_VARINTS: Final = frozenset({_I16, _I32, _I64})
# Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_NUM_ROWS, _ROW_GROUPS, _KEY_VALUES = 3, 4, 5
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_SIZE, _ORDINAL = 1, 3, 5, 6, 7
_CHUNK_OFFSET, _META_DATA = 2, 3
_OF_CHUNK_ELSEWHERE: Final = frozenset({1, 4, 6})
"""`file_path`, `offset_index_offset`, `column_index_offset`: of bytes that are not in the row group."""
_PAGE_OFFSETS: Final = frozenset({9, 10, 11})
"""`data_page_offset`, `index_page_offset`, `dictionary_page_offset`."""
_BLOOM_FILTER_OFFSET: Final = 14


class _Number(NamedTuple):
    """A number in the text of a row group."""

    start: int
    end: int
    value: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowGroup:
    """A row group as the footer tells of it."""

    rows: int
    start: int
    """First byte in the file."""
    size: int
    """Bytes in the file."""
    text: bytes
    """Thrift."""
    offsets: tuple[_Number, ...]
    """Where `text` names bytes of the file, in the order in which they stand there."""
    ordinal: _Number | None
    """The number of the row group in its file, counted from 0; not every writer says it. It stands last."""

    def moved(self, start: int, ordinal: int) -> "RowGroup":
        """The same row group as number `ordinal`, counted from 0, of a file in which its bytes begin at `start`."""
        numbered = self.ordinal is None or self.ordinal.value == ordinal
        if start == self.start and numbered:
            return self
        by = start - self.start
        # 0 is no place of data, but a field that its writer leaves alone.
        wanted = [(place, place.value + by if place.value else 0) for place in self.offsets]
        if self.ordinal is not None:
            wanted.append((self.ordinal, ordinal))
        text, numbers, at = bytearray(), list[_Number](), 0
        for place, value in wanted:
            text += self.text[at : place.start]
            begin = len(text)
            text += _zigzag(value)
            numbers.append(_Number(begin, len(text), value))
            at = place.end
        text += self.text[at:]
        last = None if self.ordinal is None else numbers.pop()
        return dataclasses.replace(self, start=start, text=bytes(text), offsets=tuple(numbers), ordinal=last)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What a Parquet file says of itself."""

    row_groups: tuple[RowGroup, ...]
    key_values: dict[bytes, bytes]
    others: dict[int, tuple[int, bytes]]
    """Field of `FileMetaData` -> its type and Thrift: version, schema, writer, order of columns, and what may be new."""

    def to_bytes(self) -> bytes:
        """The end of the file, from the footer to the magic."""
        if len(self.row_groups) > _MOST_GROUPS:
            raise ValueError(f"a Parquet file has at most {_MOST_GROUPS} row groups, got {len(self.row_groups)}")
        pairs = [b"\x18" + _varint(len(k)) + k + b"\x18" + _varint(len(v)) + v + b"\0" for k, v in self.key_values.items()]
        fields = self.others | {
            _NUM_ROWS: (_I64, _zigzag(sum(group.rows for group in self.row_groups))),
            _ROW_GROUPS: (_LIST, _list([group.text for group in self.row_groups])),
            _KEY_VALUES: (_LIST, _list(pairs)),
        }
        text, before = bytearray(), 0
        for number in sorted(fields):
            kind, value = fields[number]
            text += bytes([(number - before) << 4 | kind]) + value
            before = number
        text.append(0)
        return bytes(text) + len(text).to_bytes(4, "little") + MAGIC


def read_footer(file: IO[bytes]) -> tuple[Footer, int]:
    """The footer of a file and where it begins.

    Raises:
        ValueError: it is no Parquet file, or has what cannot be moved: encryption, page indexes, Bloom filters.
    """
    end = file.seek(0, 2)
    file.seek(max(end - _TAIL_BYTES, 0))
    tail = file.read(_TAIL_BYTES)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL_BYTES or tail[4:] != MAGIC or length > end - _TAIL_BYTES - len(MAGIC):
        raise ValueError("it does not end as a Parquet file does")
    file.seek(end - _TAIL_BYTES - length)
    text = file.read(length)
    try:
        return _parse(text), end - _TAIL_BYTES - length
    except (IndexError, RecursionError) as error:
        raise ValueError("its footer is broken off") from error


def _parse(text: bytes) -> Footer:
    others: dict[int, tuple[int, bytes]] = {}
    row_groups: list[RowGroup] = []
    key_values: dict[bytes, bytes] = {}
    at, number = 0, 0
    while text[at]:
        kind, number, at = _field(text, at, number)
        start = at
        if number == _ROW_GROUPS and kind == _LIST:
            count, _, at = _list_head(text, at)
            for _ in range(count):
                group, at = _row_group(text, at)
                row_groups.append(group)
        elif number == _KEY_VALUES and kind == _LIST:
            count, _, at = _list_head(text, at)
            for _ in range(count):
                pair, at = _key_value(text, at)
                key_values[pair[0]] = pair[1]
        else:
            at = _skip(text, at, kind)
            if number != _NUM_ROWS:
                others[number] = kind, text[start:at]
    return Footer(row_groups=tuple(row_groups), key_values=key_values, others=others)


def _row_group(text: bytes, begin: int) -> tuple[RowGroup, int]:
    found: dict[int, _Number] = {}
    offsets: list[_Number] = []
    at, number = begin, 0
    while text[at]:
        kind, number, at = _field(text, at, number)
        if number == _COLUMNS and kind == _LIST:
            count, _, at = _list_head(text, at)
            for _ in range(count):
                at = _column_chunk(text, at, begin, offsets)
        elif kind in _VARINTS:
            value, end = _number(text, at)
            found[number] = _Number(at - begin, end - begin, value)
            at = end
        else:
            at = _skip(text, at, kind)
    at += 1
    missing = {_GROUP_ROWS, _GROUP_OFFSET, _GROUP_SIZE} - found.keys()
    if missing:
        raise ValueError(f"a row group lacks the fields {sorted(missing)}")
    offsets.append(found[_GROUP_OFFSET])
    group = RowGroup(
        rows=found[_GROUP_ROWS].value,
        start=found[_GROUP_OFFSET].value,
        size=found[_GROUP_SIZE].value,
        text=text[begin:at],
        offsets=tuple(offsets),
        ordinal=found.get(_ORDINAL),
    )
    return group, at


def _column_chunk(text: bytes, at: int, begin: int, offsets: list[_Number]) -> int:
    number = 0
    while text[at]:
        kind, number, at = _field(text, at, number)
        if number in _OF_CHUNK_ELSEWHERE:
            raise ValueError(f"a column has field {number}, of bytes outside of its row group")
        if number == _META_DATA and kind == _STRUCT:
            inner = 0
            while text[at]:
                kind, inner, at = _field(text, at, inner)
                if inner == _BLOOM_FILTER_OFFSET:
                    raise ValueError("a column has a Bloom filter, which lies outside of its row group")
                at = _offset(text, at, begin, offsets) if inner in _PAGE_OFFSETS else _skip(text, at, kind)
            at += 1
        else:
            at = _offset(text, at, begin, offsets) if number == _CHUNK_OFFSET else _skip(text, at, kind)
    return at + 1


def _offset(text: bytes, at: int, begin: int, offsets: list[_Number]) -> int:
    value, end = _number(text, at)
    offsets.append(_Number(at - begin, end - begin, value))
    return end


def _key_value(text: bytes, at: int) -> tuple[tuple[bytes, bytes], int]:
    values, number = {1: b"", 2: b""}, 0
    while text[at]:
        kind, number, at = _field(text, at, number)
        end = _skip(text, at, kind)
        if kind == _BINARY:
            _, start = _unsigned(text, at)
            values[number] = text[start:end]
        at = end
    return (values[1], values[2]), at + 1


def _field(text: bytes, at: int, before: int) -> tuple[int, int, int]:
    """The type and number of a field, and where its value begins."""
    head = text[at]
    if head >> 4:
        return head & 15, before + (head >> 4), at + 1
    number, at = _number(text, at + 1)
    return head & 15, number, at


def _list_head(text: bytes, at: int) -> tuple[int, int, int]:
    """The length of a list, the type of its items, and where the first begins."""
    head, count = text[at], text[at] >> 4
    at += 1
    if count == 15:
        count, at = _unsigned(text, at)
    if count > len(text) - at:  # an item takes a byte at least
        raise ValueError("its footer is broken off")
    return count, head & 15, at


def _skip(text: bytes, at: int, kind: int) -> int:
    """Where the value ends that begins at `at`."""
    if kind in _VARINTS:
        while text[at] & 128:
            at += 1
        return at + 1
    if kind == _BINARY:
        length, at = _unsigned(text, at)
        at += length
    elif kind == _STRUCT:
        while text[at]:
            inner, _, at = _field(text, at, 0)
            at = _skip(text, at, inner)
        at += 1
    elif kind in (_LIST, _SET):
        count, inner, at = _list_head(text, at)
        for _ in range(count):
            # In a list a boolean takes a byte.
            at = at + 1 if inner in (_TRUE, _FALSE) else _skip(text, at, inner)
    elif kind == _BYTE:
        at += 1
    elif kind == _DOUBLE:
        at += 8
    elif kind not in (_TRUE, _FALSE):
        # Maps too: Parquet has none in its footer.
        raise ValueError(f"its footer has a value of type {kind}")
    if at > len(text):
        raise ValueError("its footer is broken off")
    return at


def _unsigned(text: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7


def _number(text: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(text, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _list(items: Sequence[bytes]) -> bytes:
    """A list of structs."""
    head = bytes([len(items) << 4 | _STRUCT]) if len(items) < 15 else bytes([0xF0 | _STRUCT]) + _varint(len(items))
    return head + b"".join(items)
