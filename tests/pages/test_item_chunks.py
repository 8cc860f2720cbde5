"""Items in chunks, read back by zlib itself."""

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

from s2chips_core.pages.item_chunks import CHUNK_ITEMS, item_chunks


def items(count: int, read: list[int]) -> Iterator[dict[str, Any]]:
    for n in range(count):
        read.append(n)
        picture = None if n % 3 == 2 else f"data:image/jpeg;base64,{n}" if n % 3 else f"../chips/{n}.jpg"
        known = {"id": f"chip-{n}", "outcome": "chipped", "split": "val", "type": "Cargo", "name": "ÆGIR </script>"}
        yield {
            **known,
            "mmsi": str(n),
            "line": "30STF",
            "picture": picture,
            "place": {"at": [1.5, 2.0]},
            "facts": [["Ship", []]],
        }


def inflate(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text, validate=True)))


def test_all_items_come_back_in_their_order_and_only_one_chunk_is_held() -> None:
    read: list[int] = []
    count = 2 * CHUNK_ITEMS + 7
    wanted, found, names = list(items(count, [])), [], ("id", "outcome", "split", "type", "name", "mmsi", "line", "picture")
    for number, chunk in enumerate(item_chunks(items(count, read)), 1):
        assert len(read) == min(number * CHUNK_ITEMS, count), "no more were asked for"
        for head, rest in zip(inflate(chunk["head"]), inflate(chunk["rest"]), strict=True):
            item = dict(zip(names, head, strict=True))
            if isinstance(item["picture"], int):
                item["picture"] = chunk["pictures"][item["picture"]]
            found.append(item | rest)
        assert chunk["count"] == min(CHUNK_ITEMS, count - (number - 1) * CHUNK_ITEMS)
        assert all(picture.startswith("data:") for picture in chunk["pictures"])
    assert found == wanted


def test_nothing_is_in_a_chunk_that_could_end_its_script() -> None:
    (chunk,) = item_chunks(items(6, []))
    assert "<" not in json.dumps(chunk)


def test_no_items_are_no_chunks() -> None:
    assert list(item_chunks([])) == []
