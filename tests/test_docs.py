"""What the documents say is so: the data dictionary against the schemas, links and commands against the files."""

import re
import shlex
from pathlib import Path

import pyarrow as pa
import pytest

from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.row_report import ROW_REPORT_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_dagster.cli import parse_arguments

REPOSITORY = Path(__file__).parents[1]
DICTIONARY = (REPOSITORY / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\S+(?: \S+)?) \| (yes|no) \|", re.MULTILINE)


def section(title: str) -> str:
    return DICTIONARY.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(
    ("title", "schema"),
    [
        ("Overpass plan", PLAN_SCHEMA),
        ("AIS snapshots", FIX_SCHEMA),
        ("Targets", TARGET_SCHEMA),
        ("Matches", pa.schema([f for f in MATCH_SCHEMA if f.name not in TARGET_SCHEMA.names])),
        ("Outcomes", OUTCOME_SCHEMA),
        ("Index", INDEX_SCHEMA),
        ("Labels", LABEL_SCHEMA),
        ("Pruned chips", PRUNE_SCHEMA),
        ("Rows of an AIS file", ROW_REPORT_SCHEMA),
    ],
)
def test_dictionary_is_the_schema(title: str, schema: pa.Schema) -> None:
    told = [(name, kind, null == "yes") for name, kind, null in ROW.findall(section(title))]
    real = [(f.name, _kind(f.type), f.nullable) for f in schema]
    assert told == real


def test_every_outcome_is_explained() -> None:
    for outcome in Outcome:
        assert f"`{outcome}`" in section("Outcome values")


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} -> {target}"


def _commands() -> list[tuple[str, str]]:
    """Every command line of s2chips that a document tells in a block of its own, and the document."""
    found = []
    for document in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")]:
        lines = re.findall(r"^    (?:\.venv/bin/)?s2chips (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
        found += [(document.name, line.partition(" # ")[0].strip()) for line in lines]
    return found


@pytest.mark.parametrize(("document", "line"), _commands())
def test_commands_of_the_documents_are_commands(document: str, line: str) -> None:
    parse_arguments(shlex.split(line))  # ends the process with 2 where it is none


def test_documents_tell_commands() -> None:
    assert {document for document, _ in _commands()} >= {"README.md", "operations.md"}


def test_every_dependency_has_its_line() -> None:
    told = (REPOSITORY / "docs" / "design" / "0002-dependencies.md").read_text(encoding="utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = project.split("\ndependencies = [", 1)[1].split("]", 1)[0]
    for name in re.findall(r'"([a-z0-9-]+)', block):
        assert name in told, name


def test_constraints_name_no_registry() -> None:
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.!+-]+", line), line


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return "struct"
    return str(kind).replace("list<item: ", "list<").replace("list<element: ", "list<")
