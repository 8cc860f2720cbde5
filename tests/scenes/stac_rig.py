"""A small STAC API on loopback that counts requests and can be told to misbehave or to take its time."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from shapely.geometry import shape

CORE = "https://api.stacspec.org/v1.0.0/"
FIELDS = f"{CORE}item-search#fields"
CONFORMS_TO = [f"{CORE}core", f"{CORE}item-search", f"{CORE}item-search#query"]


class StacRig:
    """Items, what was asked, and how to misbehave."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = items
        self.conforms_to = list(CONFORMS_TO)
        self.searches: list[dict[str, Any]] = []
        self.requests = 0
        self.fail: list[int] = []
        """Statuses of the next answers to a search."""
        self.change_page: Callable[[dict[str, Any], int], object] | None = None
        """Alters a page (its number counted from 1) before it is sent; a text is sent in its place,
        and `ConnectionResetError` ends the connection."""
        self.page_size = 1000
        self.cut: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
        """Gives of an item what `fields` asks for; none: the service does not know `fields`, or does not mind it."""
        self.pages: list[int] = []
        """How many items each page had."""
        self.bytes = 0
        """Of all answers."""
        self.busy = self.most_busy = 0
        """Searches under way, now and at most."""
        self.wait_s: Callable[[dict[str, Any]], float] | None = None
        """How long a search takes, by its body."""
        self.lock = threading.Lock()
        self.url = ""

    def landing(self) -> dict[str, Any]:
        """The landing page."""
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "rig",
            "description": "rig",
            "conformsTo": self.conforms_to,
            "links": [
                {"rel": "self", "href": self.url},
                {"rel": "root", "href": self.url},
                {"rel": "search", "type": "application/geo+json", "method": "POST", "href": f"{self.url}/search"},
            ],
        }

    def search(self, body: dict[str, Any]) -> object:
        """One page."""
        if "next" not in body:
            with self.lock:
                self.searches.append(body)
        asked, first = body.get("asked", body), body.get("next", 0)
        start, end = (datetime.fromisoformat(text) for text in asked["datetime"].split("/"))
        area = shape(asked["intersects"])
        cloud = asked.get("query", {}).get("eo:cloud_cover", {})
        found = [
            item
            for item in self.items
            if item["collection"] in asked["collections"]
            and start <= datetime.fromisoformat(item["properties"]["datetime"]) <= end
            and shape(item["geometry"]).intersects(area)
            and cloud.get("gt", -1) < item["properties"]["eo:cloud_cover"] <= cloud.get("lte", 100)
        ]
        limit = min(asked["limit"], self.page_size)
        features = found[first : first + limit]
        if self.cut is not None and "fields" in asked:
            features = [self.cut(item, asked["fields"]) for item in features]
        self.pages.append(len(features))
        page: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": features,
            "numberMatched": len(found),
            "links": [],
        }
        if first + limit < len(found):
            following = {"next": first + limit, "asked": asked}
            page["links"] = [
                {"rel": "next", "method": "POST", "href": f"{self.url}/search", "merge": False, "body": following}
            ]
        changed = self.change_page(page, first // limit + 1) if self.change_page else None
        return page if changed is None else changed


@contextmanager
def serve(rig: StacRig) -> Iterator[StacRig]:
    """Serve it on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with rig.lock:
                rig.requests += 1
            self._answer(200, rig.landing())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with rig.lock:
                rig.requests += 1
                rig.busy += 1
                rig.most_busy = max(rig.most_busy, rig.busy)
                status = rig.fail.pop(0) if rig.fail else 200
            time.sleep(rig.wait_s(body) if rig.wait_s else 0.0)
            answer = rig.search(body) if status == 200 else {"code": "InternalServerError"}
            with rig.lock:
                rig.busy -= 1
            self._answer(status, answer)

        def _answer(self, status: int, tree: object) -> None:
            if tree is ConnectionResetError:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            data = tree.encode("utf-8", "surrogatepass") if isinstance(tree, str) else json.dumps(tree).encode()
            with rig.lock:
                rig.bytes += len(data)
            self.send_response(status)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    rig.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield rig
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
