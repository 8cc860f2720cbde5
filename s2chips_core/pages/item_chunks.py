"""The items of a page in chunks, deflated: a tenth of their bytes as plain JSON, and the script opens what it shows.

Here: the chunks. Not here: what an item is (`items`), the page around them (`shell`), what reads them (`day_store.js`).

A chunk is a mapping, in the data of the page as one of a list:

| key | value |
|---|---|
| `count` | its items |
| `head` | of each item the list of its `HEAD` fields: what the gallery and the filters need of all of them |
| `rest` | of each item the other fields, which the larger view needs of one |
| `pictures` | addresses that hold their picture (`data:`), which deflate no more; the head has the place in this list |

`head` and `rest` are JSON in UTF-8, deflated (zlib, RFC 1950), in base64.
"""

import base64
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

CHUNK_ITEMS = 250
"""More deflate hardly better; of so many a browser has the one that is looked at in 10 ms."""
HEAD = ("id", "outcome", "split", "type", "name", "mmsi", "line", "picture")

_HELD = "data:"


def item_chunks(items: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The items in this order, one chunk after another: only one is held."""
    left = iter(items)
    while several := list(itertools.islice(left, CHUNK_ITEMS)):
        pictures: list[str] = []
        heads = [_head(item, pictures) for item in several]
        rests = [{name: value for name, value in item.items() if name not in HEAD} for item in several]
        yield {"count": len(several), "head": deflate(heads), "rest": deflate(rests), "pictures": pictures}


def _head(item: Mapping[str, Any], pictures: list[str]) -> list[Any]:
    values = [item[name] for name in HEAD]
    if isinstance(item["picture"], str) and item["picture"].startswith(_HELD):
        values[HEAD.index("picture")] = len(pictures)
        pictures.append(item["picture"])
    return values


def deflate(value: Any) -> str:
    """JSON, deflated, in base64."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")
