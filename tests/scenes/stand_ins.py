"""Three archives on loopback that have the same product: Earth Search, Planetary Computer and CDSE.

A piece of the embedded archive's tile 30STE of its first day. Earth Search has it without ESA's offset; Planetary Computer
as COG and CDSE as lossless JPEG 2000, both with it. Items are recorded ones (their shape, keys and dialect) with other names
and places. Planetary Computer's blobs want a token of its token service, CDSE's objects a signature (AWS Signature Version
4, query form) that is computed here again from the specification, not by the library that made it.
"""

import contextlib
import copy
import dataclasses
import hashlib
import hmac
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from rasterio.windows import Window

from s2chips_core.overpasses.tile_grid import tile_corner
from s2chips_core.sandbox import passes
from tests.chips.rasters import make_cog, make_jp2
from tests.scenes.samples import square
from tests.scenes.stac_rig import StacRig

TILE = "30STE"
OVER = passes.PASSES[0]
SENSED = passes.sensing_time(OVER, TILE)
ROW_OFF, COL_OFF, SIDE_PX = 640, 4224, 1536
"""A piece of the tile with ships on open water."""
PRODUCT = "S2B_MSIL2A_20251012T110629_N0511_R137_T30STE_20251012T163057"
BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")
ACCOUNT, CONTAINER = "sentinel2l2a01", "sentinel2-l2"
KEYS = {"CDSE_ACCESS_KEY_ID": "STANDINACCESSKEY0001", "CDSE_SECRET_ACCESS_KEY": "stand-in/secret+key/never-shown-0001"}
SCOPE = "default/s3/aws4_request"
MTD_TL = f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
<n1:General_Info><L1C_TILE_ID metadataLevel="Brief">none</L1C_TILE_ID>
<SENSING_TIME metadataLevel="Standard">{SENSED:%Y-%m-%dT%H:%M:%S}.{SENSED.microsecond:06d}Z</SENSING_TIME>
</n1:General_Info><n1:Geometric_Info>{"<VALUES>1 2 3</VALUES>" * 20_000}</n1:Geometric_Info></n1:Level-2A_Tile_ID>
""".encode()


@dataclasses.dataclass
class World:
    """The piece: its grid, and its digital numbers with and without the offset."""

    ulx_m: float
    uly_m: float
    without: dict[str, np.ndarray]
    with_offset: dict[str, np.ndarray]
    epsg: int = tile_corner(TILE)[0]

    def gsd_m(self, band: str) -> int:
        """Of a band."""
        return SIDE_PX * 10 // self.without[band].shape[0]

    @property
    def geometry(self) -> dict[str, Any]:
        """Its footprint."""
        side_m = SIDE_PX * 10
        return square(self.epsg, self.ulx_m, self.uly_m - side_m, self.ulx_m + side_m, self.uly_m)

    def water(self, count: int, margin_px: int = 150, seed: int = 0) -> list[tuple[float, float]]:
        """Longitude and latitude of places on clear water, some way from the edge."""
        half = margin_px // 2
        rows, cols = np.nonzero(self.without["SCL"][half:-half, half:-half] == 6)
        # Water all around, so that no gate minds.
        picks = np.random.default_rng(seed).permutation(len(rows))
        found: list[tuple[float, float]] = []
        to_lonlat = passes.transform
        for n in picks:
            row, col = rows[n] + half, cols[n] + half
            near = self.without["SCL"][row - 16 : row + 17, col - 16 : col + 17]
            if (near == 6).all():
                x, y = self.ulx_m + col * 20 + 7, self.uly_m - row * 20 - 3
                lon, lat = to_lonlat(self.epsg, 4326, np.array([x]), np.array([y]))
                found.append((float(lon[0]), float(lat[0])))
                if len(found) == count:
                    return found
        raise AssertionError(f"only {len(found)} places on water")


def cut_world(archive: Path) -> World:
    """From the files of the embedded archive."""
    _, ulx_m, uly_m = tile_corner(TILE)

    def read(item: str, band: str) -> np.ndarray:
        with rasterio.open(archive / item / f"{band}.tif") as dataset:
            scale = 10980 // dataset.width
            whole = Window(COL_OFF // scale, ROW_OFF // scale, SIDE_PX // scale, SIDE_PX // scale)
            pixels: np.ndarray = dataset.read(1, window=whole)
            return pixels

    without = {band: read("S2B_30STE_20251012_0_L2A", band) for band in BANDS}
    with_offset = {band: read("S2B_T30STE_20251012T111541_L2A", band) for band in BANDS}
    for band, share in (("B08", 0.02), ("B11", 0.003)):
        # Reflectances of 0 and below, as dark water has them: with the offset they can be told, without they are the least.
        dark = np.random.default_rng(5).random(without[band].shape) < share
        with_offset[band][dark] = np.random.default_rng(6).integers(900, 1001, int(dark.sum()))
        without[band][dark] = 1
    return World(ulx_m=ulx_m + COL_OFF * 10.0, uly_m=uly_m - ROW_OFF * 10.0, without=without, with_offset=with_offset)


Answer = tuple[int, dict[str, str], bytes]


class StandIn:
    """One archive: its catalogue, its files, and what it was asked."""

    def __init__(self) -> None:
        self.rig = StacRig([])
        self.files: dict[str, bytes] = {}
        """By path."""
        self.asked: list[tuple[str, int]] = []
        """Path and status of every request, the catalogue's too."""
        self.gone: set[str] = set()
        """Parts of paths of files that answer 404."""
        self.before_answer: Callable[[str], object] = lambda path: None
        """Told the path of every request before it is answered."""
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.host = ""
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """For `stac.endpoint`."""
        return f"http://{self.host}/api/stac/v1"

    def count(self, part: str, status: int | None = None) -> int:
        """Requests for paths with `part` in them."""
        return sum(part in path and status in (None, answered) for path, answered in self.asked)

    def may_read(self, path: str, query: dict[str, str], target: str) -> Answer | None:
        """None: the file may be had; else the refusal."""
        return None

    def other(self, path: str) -> Answer | None:
        """What is neither catalogue nor file."""
        return None

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        """One request."""
        path, _, raw_query = target.partition("?")
        self.before_answer(path)
        if path.rstrip("/") == "/api/stac/v1":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.rig.landing()).encode()
        if path.startswith("/api/stac/v1/collections/"):
            collection = {"type": "Collection", "id": path.rpartition("/")[2], "stac_version": "1.0.0", "links": []}
            extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
            collection |= {"description": "stand-in", "license": "proprietary", "extent": extent}
            return 200, {"Content-Type": "application/json"}, json.dumps(collection).encode()
        if method == "POST" and path == "/api/stac/v1/search":
            self.rig.requests += 1
            return 200, {"Content-Type": "application/geo+json"}, json.dumps(self.rig.search(json.loads(body))).encode()
        found = self.other(path)
        if found is not None:
            return found
        name = urllib.parse.unquote(path)
        refused = self.may_read(path, dict(urllib.parse.parse_qsl(raw_query)), target)
        if refused is not None:
            return refused
        if name not in self.files or any(part in name for part in self.gone):
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        whole = self.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range", ""))
        if asked is None:
            return 200, {}, whole
        first, last = int(asked[1]), min(int(asked[2]), len(whole) - 1)
        said = {"Content-Range": f"bytes {first}-{last}/{len(whole)}", "ETag": f'"{hashlib.md5(whole).hexdigest()}"'}
        return 206, said, whole[first : last + 1]


class PlanetaryComputer(StandIn):
    """Blobs in Azurite's form (/account/container/blob) and the token service beside the catalogue."""

    def __init__(self) -> None:
        super().__init__()
        self.lifetime = timedelta(minutes=45)
        self.tokens: dict[str, datetime] = {}
        """Signature -> until when."""

    def revoke(self) -> None:
        """No token that was given so far is good any longer."""
        self.tokens = dict.fromkeys(self.tokens, datetime.min.replace(tzinfo=UTC))

    def other(self, path: str) -> Answer | None:
        """A token."""
        if path != f"/api/sas/v1/token/{ACCOUNT}/{CONTAINER}":
            return None
        with self.lock:
            signature = f"stand-in-token-{len(self.tokens):04d}/+="
            ends = self.now() + self.lifetime
            self.tokens[signature] = ends
        query = {"st": f"{self.now():%Y-%m-%dT%H:%M:%SZ}", "se": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "sp": "rl", "sr": "c"}
        token = urllib.parse.urlencode({**query, "sv": "2021-06-08", "sig": signature})
        return 200, {}, json.dumps({"msft:expiry": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "token": token}).encode()

    def may_read(self, path: str, query: dict[str, str], target: str) -> Answer | None:
        """Only with a token that is still good."""
        ends = self.tokens.get(query.get("sig", ""))
        if ends is not None and self.now() < ends:
            return None
        return 403, {}, b"<Error><Code>AuthenticationFailed</Code></Error>"


class Cdse(StandIn):
    """Objects of the bucket `eodata`, for who has the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked_before = datetime.min.replace(tzinfo=UTC)

    def revoke(self) -> None:
        """No signature of before now is good any longer; now is the next full second, which is what signatures tell."""
        time.sleep(1.0 - self.now().microsecond / 1e6)
        self.revoked_before = self.now().replace(microsecond=0)

    def may_read(self, path: str, query: dict[str, str], target: str) -> Answer | None:
        """Only with a signature that is right and still good."""
        if query.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
            return _s3_refusal("AccessDenied")
        if query["X-Amz-Credential"].partition("/")[0] != KEYS["CDSE_ACCESS_KEY_ID"]:
            return _s3_refusal("InvalidAccessKeyId")
        signature = signature_v4(path, query, self.host, KEYS["CDSE_SECRET_ACCESS_KEY"])
        if not hmac.compare_digest(signature, query["X-Amz-Signature"]):
            return _s3_refusal("SignatureDoesNotMatch")
        made = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if self.now() > made + timedelta(seconds=int(query["X-Amz-Expires"])) or made < self.revoked_before:
            return _s3_refusal("AccessDenied")
        return None


def _s3_refusal(code: str) -> Answer:
    return 403, {}, f"<Error><Code>{code}</Code></Error>".encode()


def signature_v4(path: str, query: dict[str, str], host: str, secret: str) -> str:
    """The signature of a presigned GET: AWS, "Authenticating Requests: Using Query Parameters (Signature Version 4)"."""

    def encode(text: str, safe: str = "") -> str:
        return urllib.parse.quote(text, safe=f"-_.~{safe}")

    signed = sorted((encode(key), encode(value)) for key, value in query.items() if key != "X-Amz-Signature")
    canonical_query = "&".join(f"{key}={value}" for key, value in signed)
    canonical_path = encode(urllib.parse.unquote(path), "/")
    request = "\n".join(["GET", canonical_path, canonical_query, f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"])
    moment = query["X-Amz-Date"]
    scope = f"{moment[:8]}/{SCOPE}"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@contextlib.contextmanager
def serve_stand_in(stand_in: StandIn) -> Iterator[StandIn]:
    """On a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, payload = stand_in.answer(self.command, self.path, self.headers, body)
            with stand_in.lock:
                stand_in.asked.append((self.path.partition("?")[0], status))
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(payload))}.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(payload)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    stand_in.host = f"127.0.0.1:{server.server_address[1]}"
    stand_in.rig.url = stand_in.endpoint
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fill_earth_search(stand_in: StandIn, world: World, archive: Path) -> None:
    """COGs without the offset; the item is the embedded archive's, in the shape of Earth Search's."""
    item = json.loads((archive / "item-S2B_30STE_20251012_0_L2A.json").read_text())
    for asset in item["assets"].values():
        band = Path(asset["href"]).stem
        if band not in BANDS:
            continue
        path = f"/data/{asset['href']}"
        stand_in.files[path] = make_cog(
            world.without[band], 512, gsd_m=world.gsd_m(band), ulx_m=world.ulx_m, uly_m=world.uly_m, epsg=world.epsg
        )
        asset["href"] = f"http://{stand_in.host}{path}"
        asset |= _grid(world, band)
    item["assets"] = {key: asset for key, asset in item["assets"].items() if "://" in asset["href"]}
    stand_in.rig.items = [{**item, "geometry": world.geometry, "bbox": _bbox(world)}]


def fill_planetary_computer(stand_in: StandIn, world: World, recorded: Path) -> None:
    """COGs with the offset, and no item tells so."""
    item = json.loads((recorded / "planetary-computer/S2B_MSIL2A_20220612_T24XWR_baseline_04.00.json").read_text())
    root = f"/{ACCOUNT}/{CONTAINER}/30/S/TE/2025/10/12/{PRODUCT}.SAFE/GRANULE/L2A_T30STE_A044922_20251012T111541"
    item = copy.deepcopy(item) | {"id": PRODUCT.replace("_N0511", ""), "geometry": world.geometry, "bbox": _bbox(world)}
    item["properties"] |= {
        "datetime": "2025-10-12T11:06:29.024000Z",
        "proj:epsg": world.epsg,
        "s2:mgrs_tile": TILE,
        "eo:cloud_cover": 3.538017,
        "s2:datatake_id": "GS2B_20251012T110629_044922_N05.11",
        "s2:product_uri": f"{PRODUCT}.SAFE",
        "s2:processing_baseline": "05.11",
        "s2:generation_time": "2025-10-12T16:30:57.000000Z",
    }
    assets = {}
    for band in BANDS:
        path = f"{root}/IMG_DATA/R{world.gsd_m(band)}m/T30STE_20251012T110629_{band}_{world.gsd_m(band)}m.tif"
        stand_in.files[path] = make_cog(
            world.with_offset[band], 512, gsd_m=world.gsd_m(band), ulx_m=world.ulx_m, uly_m=world.uly_m, epsg=world.epsg
        )
        assets[band] = item["assets"][band] | {"href": f"http://{stand_in.host}{path}"} | _grid(world, band)
    path = f"{root}/MTD_TL.xml"
    stand_in.files[path] = MTD_TL
    assets["granule-metadata"] = item["assets"]["granule-metadata"] | {"href": f"http://{stand_in.host}{path}"}
    item["assets"] = assets
    stand_in.rig.items = [item]


def fill_cdse(stand_in: StandIn, world: World, recorded: Path) -> None:
    """Lossless JPEG 2000 with the offset, in tiles that are listed, as ESA's are."""
    name = "cdse/S2C_MSIL2A_20250330T100051_N0511_R122_T33UWP_20250330T145914_cdse_stac_v110.json"
    item = json.loads((recorded / name).read_text())
    root = f"Sentinel-2/MSI/L2A/2025/10/12/{PRODUCT}.SAFE/GRANULE/L2A_T30STE_A044922_20251012T111541"
    item |= {"id": PRODUCT, "geometry": world.geometry, "bbox": _bbox(world)}
    item["properties"] |= {
        "datetime": "2025-10-12T11:06:29.024Z",
        "start_datetime": "2025-10-12T11:06:29.024Z",
        "end_datetime": "2025-10-12T11:06:29.024Z",
        "platform": "sentinel-2b",
        "grid:code": f"MGRS-{TILE}",
        "eo:cloud_cover": 3.538017,
        "eopf:datatake_id": "GS2B_20251012T110629_044922_N05.11",
        "processing:version": "05.11",
    }
    assets = {}
    for band in BANDS:
        gsd_m = world.gsd_m(band)
        key = f"{band}_{gsd_m}m"
        path = f"{root}/IMG_DATA/R{gsd_m}m/T30STE_20251012T110629_{key}.jp2"
        stand_in.files[f"/eodata/{path}"] = make_jp2(
            world.with_offset[band],
            1024,
            gsd_m=gsd_m,
            ulx_m=world.ulx_m,
            uly_m=world.uly_m,
            epsg=world.epsg,
            TLM="YES",
            PLT="YES",
        )
        changed = {"href": f"s3://eodata/{path}", "proj:code": f"EPSG:{world.epsg}"}
        assets[key] = item["assets"][key] | changed | _grid(world, band)
    stand_in.files[f"/eodata/{root}/MTD_TL.xml"] = MTD_TL
    assets["granule_metadata"] = item["assets"]["granule_metadata"] | {"href": f"s3://eodata/{root}/MTD_TL.xml"}
    item["assets"] = assets
    stand_in.rig.items = [item]


def _grid(world: World, band: str) -> dict[str, Any]:
    rows, cols = world.without[band].shape
    gsd_m = world.gsd_m(band)
    return {"proj:shape": [rows, cols], "proj:transform": [gsd_m, 0, world.ulx_m, 0, -gsd_m, world.uly_m]}


def _bbox(world: World) -> list[float]:
    return list(shapely.geometry.shape(world.geometry).bounds)
