"""What the documents say is so: the data dictionary against the schemas, links and commands against the files."""

import re
import shlex
from pathlib import Path

import pytest

from s2chips_core.index.outcomes import Outcome
from s2chips_dagster.cli import parse_arguments
from tools.data_dictionary import ALL, read_meanings, rewrite

REPOSITORY = Path(__file__).parents[1]
DICTIONARY = (REPOSITORY / "docs" / "data-dictionary.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return DICTIONARY.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_dictionary_is_made_of_the_schemas() -> None:
    assert rewrite(DICTIONARY, read_meanings()) == DICTIONARY, "run: make docs"


def test_a_column_without_a_meaning_and_a_meaning_without_a_column_are_errors() -> None:
    meanings = read_meanings()
    with pytest.raises(ValueError, match="says nothing of chip_id under 'Outcomes'"):
        rewrite(DICTIONARY, {**meanings, ALL: {k: v for k, v in meanings[ALL].items() if k != "chip_id"}})
    with pytest.raises(ValueError, match=r"not there: Index\.colour"):
        rewrite(DICTIONARY, {**meanings, "Index": {**meanings.get("Index", {}), "colour": "red"}})


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


@pytest.mark.parametrize("name", ["correctness.md", "reliability.md"])
def test_tests_that_a_promise_names_are_there(name: str) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", (REPOSITORY / "docs" / name).read_text(encoding="utf-8")))
    assert named
    assert [path for path in sorted(named) if not (REPOSITORY / path).is_file()] == []
