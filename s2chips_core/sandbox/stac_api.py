"""The STAC API of the sandbox, in the shape of Earth Search v1: landing page, collections, items and search.

Starlette routes over a folder of items. Not here: what is found (`search`), the pixels (`data_files`), the thread that
serves them (`server`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s2chips_core.errors import InputError
from s2chips_core.sandbox import search
from s2chips_core.sandbox.search import Item

GEOJSON = "application/geo+json"
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#fields",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#sort",
    "https://api.stacspec.org/v1.0.0/ogcapi-features#query",
    "https://api.stacspec.org/v1.0.0/item-search#fields",
    "https://api.stacspec.org/v1.0.0/item-search#sort",
    "https://api.stacspec.org/v1.0.0/item-search#query",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
_LISTS = ("ids", "collections", "bbox")


def read_items(folder: Path) -> list[Item]:
    """All `item-*.json` of a folder; InputError for one that is no STAC item."""
    items = []
    for path in sorted(folder.glob("item-*.json")):
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
            missing = [key for key in ("id", "collection", "bbox", "geometry", "assets") if key not in item]
            search.parse_instant(item["properties"]["datetime"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(str(path), repr(error), "a STAC item") from error
        if missing:
            raise InputError(str(path), f"no {', '.join(missing)}", "a STAC item")
        items.append(item)
    return items


class StacApi:
    """The routes below `/v1`."""

    def __init__(self, items: Sequence[Item], base: str, now: Callable[[], datetime | None]) -> None:
        self.items, self.root, self.data, self.now = items, f"{base}/v1", f"{base}/data", now

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/v1", self._landing),
            Route("/v1/", self._landing),
            Route("/v1/conformance", self._conformance),
            Route("/v1/collections", self._collections),
            Route("/v1/collections/{collection}", self._collection),
            Route("/v1/collections/{collection}/items", self._items),
            Route("/v1/collections/{collection}/items/{item}", self._item),
            Route("/v1/search", self._search, methods=["GET", "POST"]),
        ]

    async def _landing(self, _: Request) -> Response:
        links = [
            _link("self", self.root),
            _link("root", self.root),
            _link("conformance", f"{self.root}/conformance"),
            _link("data", f"{self.root}/collections"),
            {**_link("search", f"{self.root}/search", GEOJSON), "method": "GET"},
            {**_link("search", f"{self.root}/search", GEOJSON), "method": "POST"},
        ]
        links += [_link("child", f"{self.root}/collections/{name}", GEOJSON) for name in self._names()]
        return JSONResponse(
            {
                "stac_version": "1.0.0",
                "type": "Catalog",
                "id": "s2chips-sandbox",
                "title": "s2chips sandbox",
                "description": "Synthetic Sentinel-2 L2A scenes for trials; nothing in here was ever measured.",
                "links": links,
                "conformsTo": CONFORMS_TO,
            }
        )

    async def _conformance(self, _: Request) -> Response:
        return JSONResponse({"conformsTo": CONFORMS_TO})

    async def _collections(self, _: Request) -> Response:
        links = [_link("self", f"{self.root}/collections"), _link("root", self.root)]
        collections = [self._describe(name) for name in self._names()]
        count = len(collections)
        context = {"page": 1, "limit": 100, "matched": count, "returned": count}
        return JSONResponse({"collections": collections, "links": links, "context": context})

    async def _collection(self, request: Request) -> Response:
        return JSONResponse(self._describe(self._known(request)))

    async def _items(self, request: Request) -> Response:
        name = self._known(request)
        return self._answer(
            request, {**_from_query(request.query_params), "collections": [name]}, f"collections/{name}/items"
        )

    async def _item(self, request: Request) -> Response:
        name, item_id = self._known(request), request.path_params["item"]
        for item in self.items:
            if (item["collection"], item["id"]) == (name, item_id) and search.is_published(item, self.now()):
                return JSONResponse(self._linked(item), media_type=GEOJSON)
        raise HTTPException(404, f"no item {item_id} in {name}")

    async def _search(self, request: Request) -> Response:
        if request.method == "GET":
            return self._answer(request, _from_query(request.query_params), "search")
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _refusal(InputError("body", "something else", "a JSON object"))
        return self._answer(request, body, "search")

    def _answer(self, request: Request, asked: dict[str, Any], path: str) -> Response:
        try:
            limit = search.parse_limit(asked.get("limit", search.LIMIT_DEFAULT))
            found = search.select(self.items, asked, self.now())
            chosen, token = search.page(found, limit=limit, token=asked.get("next"))
            fields = _fields(asked.get("fields"))
        except InputError as error:
            return _refusal(error)
        features = [search.with_fields(self._linked(item), fields) for item in chosen]
        return JSONResponse(
            {
                "type": "FeatureCollection",
                "stac_version": "1.0.0",
                "stac_extensions": [],
                "context": {"limit": limit, "matched": len(found), "returned": len(features)},
                "numberMatched": len(found),
                "numberReturned": len(features),
                "features": features,
                "links": [*self._next(request, asked, path, token), _link("root", self.root)],
            },
            media_type=GEOJSON,
        )

    def _next(self, request: Request, asked: Mapping[str, Any], path: str, token: str | None) -> list[dict[str, Any]]:
        if token is None:
            return []
        link = {**_link("next", f"{self.root}/{path}", GEOJSON), "title": "Next page of Items", "method": request.method}
        if request.method == "POST":
            # The whole body again with the token, so nothing is to be merged: as Earth Search does.
            return [{**link, "merge": False, "body": {**asked, "next": token}}]
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "next"]
        return [{**link, "href": f"{self.root}/{path}?{urlencode([*kept, ('next', token)])}"}]

    def _names(self) -> list[str]:
        return sorted({item["collection"] for item in self.items})

    def _known(self, request: Request) -> str:
        name: str = request.path_params["collection"]
        if name not in self._names():
            raise HTTPException(404, f"no collection {name}")
        return name

    def _describe(self, name: str) -> dict[str, Any]:
        box, times = search.extent([item for item in self.items if item["collection"] == name])
        href = f"{self.root}/collections/{name}"
        return {
            "type": "Collection",
            "id": name,
            "stac_version": "1.0.0",
            "title": f"{name} (synthetic)",
            "description": "Synthetic Sentinel-2 L2A scenes of the s2chips sandbox.",
            "license": "proprietary",
            "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [times]}},
            "links": [
                _link("self", href),
                _link("parent", self.root),
                _link("root", self.root),
                _link("items", f"{href}/items", GEOJSON),
            ],
        }

    def _linked(self, item: Item) -> Item:
        """The item with absolute hrefs and its links."""
        href = f"{self.root}/collections/{item['collection']}"
        assets = {
            key: {**asset, "href": asset["href"] if "://" in asset["href"] else f"{self.data}/{asset['href']}"}
            for key, asset in item["assets"].items()
        }
        links = [
            _link("self", f"{href}/items/{item['id']}", GEOJSON),
            _link("parent", href),
            _link("collection", href),
            _link("root", self.root),
        ]
        return {**item, "assets": assets, "links": links}


def _link(rel: str, href: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"rel": rel, "type": media_type, "href": href}


def _refusal(error: InputError) -> Response:
    return JSONResponse({"code": "BadRequest", "description": str(error)}, status_code=400)


def _from_query(params: Mapping[str, str]) -> dict[str, Any]:
    """A GET request in the form of a POST body."""
    asked: dict[str, Any] = dict(params)
    for name in _LISTS:
        if name in asked:
            asked[name] = [part for part in asked[name].split(",") if part]
    for name in ("intersects", "query"):
        if name in asked:
            try:
                asked[name] = json.loads(asked[name])
            except ValueError:
                asked[name] = {"type": "no JSON"} if name == "intersects" else "no JSON"
    return asked


def _fields(fields: Any) -> dict[str, list[str]] | None:
    """`{include, exclude}`, or `id,-links` of a GET request."""
    if fields is None:
        return None
    if isinstance(fields, str):
        names = [name.strip() for name in fields.split(",") if name.strip()]
        include = [name.lstrip("+ ") for name in names if not name.startswith("-")]
        return {"include": include, "exclude": [name[1:] for name in names if name.startswith("-")]}
    if not isinstance(fields, Mapping):
        raise InputError("fields", fields, "{include, exclude} or a list of names")
    return {"include": list(fields.get("include") or []), "exclude": list(fields.get("exclude") or [])}
