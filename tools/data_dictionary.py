"""Writes the tables of docs/data-dictionary.md from the schemas in the code and the meanings in docs/columns.yaml.

    make docs

A section whose title is in `SCHEMAS` has one table of columns; it is replaced, the text around it stays. A column without a
meaning, and a meaning without a column, are errors.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import yaml

from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.row_report import ROW_REPORT_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.scenes.matches import MATCH_SCHEMA

DOCS = Path(__file__).parents[1] / "docs"
DICTIONARY, MEANINGS = DOCS / "data-dictionary.md", DOCS / "columns.yaml"
ALL = "all tables"

SCHEMAS: dict[str, pa.Schema] = {
    "Overpass plan": PLAN_SCHEMA,
    "AIS snapshots": FIX_SCHEMA,
    "Targets": TARGET_SCHEMA,
    "Matches": pa.schema([field for field in MATCH_SCHEMA if field.name not in TARGET_SCHEMA.names]),
    "Outcomes": OUTCOME_SCHEMA,
    "Index": INDEX_SCHEMA,
    "Labels": LABEL_SCHEMA,
    "Pruned chips": PRUNE_SCHEMA,
    "Rows of an AIS file": ROW_REPORT_SCHEMA,
}
"""Section of the dictionary -> the schema of its table. Matches begin with all columns of the targets."""

_HEAD = "| column | type | null | meaning |\n|---|---|---|---|\n"


def table_of(title: str, meanings: Mapping[str, Mapping[str, str]]) -> str:
    """The Markdown table of a section.

    Raises:
        ValueError: a column has no meaning.
    """
    known = {**meanings[ALL], **meanings.get(title, {})}
    missing = [name for name in SCHEMAS[title].names if name not in known]
    if missing:
        raise ValueError(f"docs/columns.yaml says nothing of {', '.join(missing)} under {title!r} or {ALL!r}")
    rows = [
        f"| `{f.name}` | {_type(f.type)} | {'yes' if f.nullable else 'no'} | {known[f.name]} |\n" for f in SCHEMAS[title]
    ]
    return _HEAD + "".join(rows)


def rewrite(text: str, meanings: Mapping[str, Mapping[str, str]]) -> str:
    """The dictionary with its tables made anew.

    Raises:
        ValueError: a section has no table, a column no meaning, or a meaning no column.
    """
    for title in SCHEMAS:
        pattern = re.compile(rf"(^## {re.escape(title)}\n(?:(?!^## ).*\n)*?){re.escape(_HEAD)}(?:\|.*\n)+", re.MULTILINE)
        made = table_of(title, meanings)
        text, replaced = pattern.subn(lambda match, made=made: match.group(1) + made, text)
        if replaced != 1:
            raise ValueError(f"docs/data-dictionary.md has no section {title!r} with a table of columns")
    names = {name for schema in SCHEMAS.values() for name in schema.names}
    unused = [name for name in meanings[ALL] if name not in names]
    unused += [
        f"{title}.{name}"
        for title in meanings
        if title != ALL
        for name in meanings[title]
        if title not in SCHEMAS or name not in SCHEMAS[title].names
    ]
    if unused:
        raise ValueError(f"docs/columns.yaml has meanings of columns that are not there: {', '.join(unused)}")
    return text


def read_meanings() -> dict[str, dict[str, str]]:
    """docs/columns.yaml: section -> column -> meaning."""
    meanings: dict[str, dict[str, str]] = yaml.safe_load(MEANINGS.read_text(encoding="utf-8"))
    return meanings


def _type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "struct"
    return str(kind).replace("list<item: ", "list<").replace("list<element: ", "list<")


def main() -> int:
    """Write the dictionary; 1 where it was not up to date."""
    before = DICTIONARY.read_text(encoding="utf-8")
    after = rewrite(before, read_meanings())
    if after != before:
        DICTIONARY.write_text(after, encoding="utf-8")
        print(f"{DICTIONARY} was not up to date: written anew")
    return int(after != before)


if __name__ == "__main__":
    sys.exit(main())
