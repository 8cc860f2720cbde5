"""The data card: what a reader must know before training on an export, or publishing what came of it.

Here: the text. Not here: its numbers (`card_facts`).
"""

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2

from s2chips_core.export.card_facts import QUANTILES, CardFacts, LabelStatistics
from s2chips_core.export.coco import CocoCounts
from s2chips_core.export.options import ExportOptions
from s2chips_core.export.pseudonyms import DROPPED, LABEL_DROPPED


def format_card(
    facts: CardFacts,
    labels: LabelStatistics,
    options: ExportOptions,
    *,
    made_at: datetime,
    software_version: str,
    left_out: Mapping[str, int],
    settings_of: Mapping[str, Mapping[str, Any]],
    shards: Mapping[str, Sequence[int]],
    coco: Mapping[str, CocoCounts],
    key: str,
    imagery_credit: str | None,
) -> str:
    """The card as Markdown.

    Args:
        facts: of the rows.
        labels: of the labels.
        options: of the export.
        made_at: when, aware UTC.
        software_version: of s2chips.
        left_out: chips that were not chosen, by reason.
        settings_of: settings tree by config hash, of those that are known.
        shards: chips of each shard, by split.
        coco: what was written, by split.
        key: where the key of pseudonyms came from: environment, random, or none.
        imagery_credit: whose pixels, when they are of no public archive.
    """
    return _template().render(
        f=facts,
        labels=labels,
        o=options,
        told=options.to_dict(),
        made_at=made_at,
        software_version=software_version,
        left_out=left_out,
        settings_of=settings_of,
        shards=shards,
        coco=coco,
        key=key,
        credit=imagery_credit or f"Contains modified Copernicus Sentinel data {', '.join(map(str, facts.years))}.",
        public=imagery_credit is None,
        dropped=sorted(DROPPED),
        labels_dropped=sorted(LABEL_DROPPED),
        quantiles=QUANTILES,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s2chips_core.export", "templates"),
        autoescape=False,  # noqa: S701 - Markdown, of values that the dataset's schemas allow
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    return environment.get_template("DATACARD.md.j2")


def _cell(value: object) -> str:
    """A value in a table: ships say what they like, also in their type."""
    text = " ".join(str(value).split())
    for mark in "\\`*_{}[]<>|#!":
        text = text.replace(mark, f"\\{mark}")
    return text
