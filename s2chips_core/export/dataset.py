"""The export of a dataset: `export_dataset`.

Here: what comes before the chips are read (choosing, pseudonyms) and after (card, manifest). Not here: the files (`passes`).
"""

import dataclasses
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import InputError, StorageError
from s2chips_core.export.card import format_card
from s2chips_core.export.card_facts import CardFacts, card_facts
from s2chips_core.export.folder import MADE_BY, export_folder
from s2chips_core.export.options import ExportOptions
from s2chips_core.export.passes import About, Passes, Progress
from s2chips_core.export.pseudonyms import Pseudonyms
from s2chips_core.export.selection import read_index, select_chips
from s2chips_core.storage import LocalStorage, Storage

KEY_BYTES = 32
MOST_THREADS = 8


def export_dataset(
    storage: Storage,
    target: Path,
    options: ExportOptions,
    *,
    settings: Settings,
    now: datetime,
    software_version: str,
    key: bytes | None = None,
    imagery_credit: str | None = None,
    progress: Progress = lambda told: None,
) -> dict[str, Any]:
    """Export the chips of a dataset that the options choose.

    Args:
        storage: the dataset.
        target: the folder to make: new, empty, or an earlier export, which is replaced when the new one is whole.
        options: which chips, in which form.
        settings: of the dataset as it is configured now; thresholds of earlier configurations are told where they are kept.
        now: aware UTC.
        software_version: of this package.
        key: of the pseudonyms; none is a random one that is kept nowhere.
        imagery_credit: whose pixels, when they are of no public archive.
        progress: is told what is going on.

    Returns:
        The manifest, `export.json`.

    Raises:
        InputError: the target holds something else, a condition cannot be evaluated, or no chip is left.
        StorageError: the index is missing or not what the files are, or something cannot be written.
        MixedAisError: real and synthetic AIS are mixed.
    """
    _refuse_around(storage, target)
    with export_folder(target) as folder:
        selection = select_chips(read_index(storage), options)
        progress(f"{selection.rows.num_rows} chips chosen")
        pseudonyms = Pseudonyms(key or secrets.token_bytes(KEY_BYTES)) if options.without_ais else None
        rows, shown = as_shown(selection.rows, pseudonyms)
        # The card is as coarse as the rows are.
        sigma = rows.schema.get_field_index("position_sigma_m")
        facts = card_facts(rows.set_column(sigma, rows.schema.field(sigma), shown["position_sigma_m"]))
        passes = Passes(
            storage=storage,
            folder=folder,
            options=options,
            rows=rows,
            shown=shown,
            pseudonyms=pseudonyms,
            threads=min(settings.compute.workers, MOST_THREADS),
            progress=progress,
        )
        made = passes.make(_about(facts, now, software_version))
        key_source = "none" if pseudonyms is None else "random" if key is None else "environment"
        card = format_card(
            facts,
            made.labels,
            options,
            made_at=now,
            software_version=software_version,
            left_out=selection.left_out,
            settings_of=_settings_of(storage, facts, settings),
            shards=made.shards,
            coco=made.coco,
            key=key_source,
            imagery_credit=imagery_credit,
        )
        folder.put(layout.export_card(), card.encode())
        return folder.finish(
            {
                "made_by": MADE_BY,
                "software_version": software_version,
                "made_at": now.isoformat(),
                "ais": "synthetic" if facts.synthetic else "real",
                "options": options.to_dict(),
                "pseudonym_key": key_source,
                "chips": facts.chips,
                "chips_by_split": {split: chips for split, (chips, _) in facts.splits.items()},
                "labels": made.labels.labels,
                "left_out": selection.left_out,
                "shards": made.shards,
                "coco": {split: dataclasses.asdict(counts) for split, counts in made.coco.items()},
            }
        )


def as_shown(rows: pa.Table, pseudonyms: Pseudonyms | None) -> tuple[pa.Table, pa.Table]:
    """The rows, and beside them the rows as the export shows them.

    With pseudonyms both are sorted by these: the order of the dataset's own ids would tell something of them.
    """
    if pseudonyms is None:
        return rows, rows
    shown = pseudonyms.rows(rows)
    order = pc.sort_indices(shown, sort_keys=[("scene_datetime", "ascending"), ("chip_id", "ascending")])
    return rows.take(order), shown.take(order)


def _refuse_around(storage: Storage, target: Path) -> None:
    """An export within its dataset, or around it, would be taken for a part of it, or replace it."""
    if isinstance(storage, LocalStorage):
        target, root = target.expanduser().resolve(), storage.root
        if target.is_relative_to(root) or root.is_relative_to(target):
            raise InputError("export folder", str(target), f"a folder apart from the dataset {root}")


def _about(facts: CardFacts, now: datetime, software_version: str) -> About:
    kind = "Synthetic ships" if facts.synthetic else "Ships"
    warning = "**Synthetic AIS: these are not real ships.** " if facts.synthetic else ""
    return About(
        title=f"{kind} in Sentinel-2 chips",
        description=f"{warning}{facts.chips} chips of Sentinel-2 Level-2A reflectance, each centred where a ship was by AIS "
        "when the scene was sensed. Terms and limits are in the data card.",
        keywords=("Sentinel-2", "ships", "vessels", "AIS", "machine learning", *(["synthetic"] if facts.synthetic else [])),
        software_version=software_version,
        made_on=now.date().isoformat(),
    )


def _settings_of(storage: Storage, facts: CardFacts, settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """What decided, by config hash: as the dataset has kept it, else as it is configured now when that is the same."""
    found: dict[str, Mapping[str, Any]] = {}
    for config_hash in facts.config_hashes:
        kept = layout.deciding_config(config_hash)
        if storage.exists(kept):
            try:
                found[config_hash] = json.loads(storage.get(kept))
            except ValueError as error:
                raise StorageError(kept, f"is no JSON: {error}") from error
        elif config_hash == settings.config_hash:
            found[config_hash] = settings.model_dump(mode="json")
    return found
