"""Several archives in order: what one does not have is asked of the next.

Here: the door that signs for every provider, the search that goes down `stac.provider` for points that are left without a
scene, and the same scene at another archive when files of it are gone. Not here: one search (`search`), which scene a ship
gets (`matching`), signatures (`signing`).

The same scene is the same tile of the same datatake. It may be another processing; of the same processing the chips are the
same, pixel by pixel.
"""

import contextlib
import dataclasses
import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError
from s2chips_core.fetch import Fetcher, host_of
from s2chips_core.scenes.matching import preference
from s2chips_core.scenes.providers import PROVIDERS, collection_profile
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search import SearchResult, search_scenes
from s2chips_core.scenes.sensing_time import read_beginning
from s2chips_core.sections import LOOPBACK, ProviderName, Stac
from s2chips_core.signing import S3Signer, SasSigner, SignersByHref, missing_keys

SAME_SCENE = timedelta(seconds=1)
"""Catalogues may round a tile's sensing time differently; neighbours of one datatake are 14 s apart."""
_DATATAKE = re.compile(r"G?(S2[A-D])_(\d{8}T\d{6})(?:_\d{6})?")

log = logging.getLogger(__name__)

Left = Callable[[list[Scene]], npt.NDArray[np.bool_]]
"""Given the scenes found so far: which of the points, in order, still have none."""


def machine_clock() -> datetime:
    """What signatures end by: not the time that a run is given."""
    return datetime.now(UTC)


def open_fetcher(
    stac: Stac,
    environment: Mapping[str, str] | None = None,
    *,
    now: Callable[[], datetime] = machine_clock,
    **options: Any,
) -> Fetcher:
    """The HTTP door to the files of every provider, with signatures where they are wanted; close it.

    Args:
        stac: `allowed_hosts`, `endpoint` and `s3_endpoint` are looked at.
        environment: holds the keys; none: this process's.
        now: aware UTC, the machine's.
        options: of `Fetcher`.
    """
    tokens, storage = _token_service(stac)
    signers = SignersByHref(
        [
            SasSigner(tokens, lambda href: fetcher.get(href), now, storage),
            S3Signer(stac.s3_endpoint.rstrip("/"), os.environ if environment is None else environment, now),
        ]
    )
    hosts = dict.fromkeys((*stac.allowed_hosts, host_of(tokens), host_of(stac.s3_endpoint)))
    fetcher = Fetcher(tuple(hosts), signer=signers, **options)
    return fetcher


def check_archives(stac: Stac, environment: Mapping[str, str] | None = None) -> None:
    """Refuse what would fail at the first item.

    Raises:
        ConfigError: a provider has no such collection, or its files need keys that are not there. Names the variables.
    """
    for name in stac.providers:
        one = stac.of(name)
        collection_profile(name, str(one.collection))
        missing = missing_keys(os.environ if environment is None else environment) if name == "cdse" else []
        if missing:
            expected = "S3 keys from https://eodata-s3keysmanager.dataspace.copernicus.eu, for the files of cdse"
            raise ConfigError("environment", " and ".join(missing), "nothing", expected)


def search_archives(
    points: pd.DataFrame,
    *,
    settings: Settings,
    now: datetime,
    cloud_cover_max: float | None,
    left: Left,
    cloud_cover_above: float | None = None,
    progress: Callable[[object], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SearchResult:
    """`search_scenes` of the first provider for all points, of each later one for those that are left without a scene.

    A scene that an earlier provider has is not taken from a later one.

    Args:
        points, settings, now, cloud_cover_max, cloud_cover_above, progress: as for `search_scenes`.
        left: asked between two providers.
        environment: holds the keys; none: this process's.

    Raises:
        ArchiveError: a service did not answer a search to its end; the others do not stand in for it.
        ConfigError: see `check_archives`.
    """
    check_archives(settings.stac, environment)
    scenes: list[Scene] = []
    results: list[SearchResult] = []
    with contextlib.closing(open_fetcher(settings.stac, environment)) as fetcher:
        for name in settings.stac.providers:
            asked = points[left(scenes)] if results else points
            if results and asked.empty:
                break
            found = search_scenes(
                asked,
                settings=_of(settings, name),
                now=now,
                cloud_cover_max=cloud_cover_max,
                cloud_cover_above=cloud_cover_above,
                progress=progress,
                fetch_metadata=lambda href: read_beginning(href, fetcher),
            )
            had = defaultdict[object, list[Scene]](list)
            for scene in scenes:
                had[same_scene_key(scene)].append(scene)
            scenes += [s for s in found.scenes if not any(_is_same(s, other) for other in had[same_scene_key(s)])]
            if results:
                log.info("%s was asked for %d of %d points", name, len(asked), len(points))
            results.append(found)
    return SearchResult(
        scenes=sorted(scenes, key=lambda scene: (scene.datetime, scene.scene_id)),
        requests=sum(found.requests for found in results),
        bytes=sum(found.bytes for found in results),
        skipped=[refused for found in results for refused in found.skipped],
    )


def find_elsewhere(
    missing: Mapping[str, str],
    matches: Sequence[Mapping[str, Any]],
    *,
    settings: Settings,
    now: datetime,
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """The same scenes at a later provider of the list, for ships whose scene lacks files.

    Args:
        missing: target_id -> what is missing, a sentence.
        matches: rows of MATCH_SCHEMA with a scene; those of other targets are not looked at.
        settings: `stac.provider` says what is asked, `stac.cloud_cover_max` holds there too.
        now: nothing is looked for later than this.
        environment: holds the keys; none: this process's.

    Returns:
        target_id -> its match with the other scene, whose `detail` says why; nothing for a ship whose scene no later
        provider has. Place and time stay as they were matched, so that the chip keeps its id.

    Raises:
        ArchiveError, ConfigError: as `search_archives`.
    """
    by_scene: dict[str, list[Mapping[str, Any]]] = {}
    for match in matches:
        if match["target_id"] in missing:
            by_scene.setdefault(str(match["scene"]), []).append(match)
    scenes = {text: Scene.from_json(text) for text in by_scene}
    instead: dict[str, Scene] = {}
    with contextlib.closing(open_fetcher(settings.stac, environment)) as fetcher:
        for number, name in enumerate(settings.stac.providers):
            open_texts = [
                text for text, scene in scenes.items() if text not in instead and number > _place(settings.stac, scene)
            ]
            if not open_texts:
                continue
            # One ship stands for all of its scene: the search is for the scene.
            ships = [by_scene[text][0] for text in open_texts]
            points = pd.DataFrame(
                {
                    "lon": [ship["lon"] for ship in ships],
                    "lat": [ship["lat"] for ship in ships],
                    "time": pd.to_datetime([scenes[text].datetime for text in open_texts], utc=True),
                }
            )
            found = search_scenes(
                points,
                settings=_of(settings, name),
                now=now,
                cloud_cover_max=settings.stac.cloud_cover_max,
                fetch_metadata=lambda href: read_beginning(href, fetcher),
            )
            for text in open_texts:
                same = choose_same(scenes[text], found.scenes)
                if same is not None:
                    instead[text] = same
    moved = {}
    for text, other in instead.items():
        line = other.to_json()
        for match in by_scene[text]:
            detail = (
                f"{match['detail']} Taken from {other.provider} as {other.scene_id}, because files of "
                f"{match['provider']} are missing: {missing[match['target_id']]}"
            )
            moved[match["target_id"]] = {
                **match,
                "scene": line,
                "scene_id": other.scene_id,
                "provider": other.provider,
                "collection": other.collection,
                "processing_baseline": other.processing_baseline,
                "cloud_cover": other.cloud_cover,
                "detail": detail,
            }
    return moved


def same_scene_key(scene: Scene) -> tuple[str, str, str] | None:
    """Satellite, second in which the datatake began, tile; none where the item does not tell the datatake."""
    found = _DATATAKE.fullmatch(scene.datatake_id or "")
    return (found[1], found[2], scene.mgrs_tile) if found else None


def choose_same(scene: Scene, others: Sequence[Scene]) -> Scene | None:
    """The one of `others` that is `scene`, best the same processing, else the newest; it gets the time of `scene`."""
    same = [other for other in others if _is_same(scene, other)]
    if not same:
        return None
    rank = preference(same)
    best = min(range(len(same)), key=lambda n: (same[n].processing_baseline != scene.processing_baseline, int(rank[n])))
    return dataclasses.replace(same[best], datetime=scene.datetime)


def _is_same(one: Scene, other: Scene) -> bool:
    """Two granules of a tile and datatake, where its data are parted, are two scenes: they are seconds apart."""
    key = same_scene_key(one)
    return key is not None and same_scene_key(other) == key and abs(other.datetime - one.datetime) < SAME_SCENE


def _of(settings: Settings, provider: ProviderName) -> Settings:
    return settings.model_copy(update={"stac": settings.stac.of(provider)})


def _place(stac: Stac, scene: Scene) -> int:
    """Where the scene's provider is in the list; before all of it when it is not there."""
    return next((n for n, name in enumerate(stac.providers) if name == scene.provider), -1)


def _token_service(stac: Stac) -> tuple[str, tuple[str, ...]]:
    """Where tokens are had, and the storage that is not Azure's: a service on this machine brings both itself."""
    default = PROVIDERS["planetary_computer"].token_service
    assert default is not None
    endpoint = stac.of("planetary_computer").endpoint if "planetary_computer" in stac.providers else None
    if not isinstance(endpoint, str) or urlsplit(endpoint).hostname not in LOOPBACK:
        return default, ()
    here = urlsplit(endpoint)
    return f"{here.scheme}://{here.netloc}{urlsplit(default).path}", (here.netloc.lower(),)
