"""The audit never takes silence for a clean bill."""

import json
from pathlib import Path

import pytest

from tools.audit import CONSTRAINTS, FINE, UNKNOWN, VULNERABLE, Answer, audit, licences, parse, pinned

NOTHING = Answer(set(), {}, "Failed to resolve 'api.osv.dev'")


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    file = tmp_path / "constraints.txt"
    file.write_text("# pinned\nalpha==1.0\nBeta_two==2.0\n")
    return file


def run(constraints: Path, **answers: Answer) -> tuple[int, str]:
    told: list[str] = []
    return audit(constraints, lambda service, _: answers[service], told.append), "\n".join(told)


def test_all_known_and_none_vulnerable(constraints: Path) -> None:
    code, told = run(constraints, pypi=Answer({"alpha", "beta-two"}, {}, ""))
    assert code == FINE
    assert "2 packages, none with a known vulnerability" in told


def test_no_service_can_be_reached(constraints: Path) -> None:
    code, told = run(constraints, pypi=NOTHING, osv=NOTHING)
    assert code == UNKNOWN
    assert "no answer: Failed to resolve" in told
    assert "NOT AUDITED: nobody could be asked about 2 of 2 packages (alpha, beta-two)" in told
    assert "none with" not in told


def test_a_package_that_nobody_knows_is_not_a_good_one(constraints: Path) -> None:
    one = Answer({"alpha"}, {}, "")
    code, told = run(constraints, pypi=one, osv=one)
    assert code == UNKNOWN
    assert "1 of 2 packages (beta-two)" in told


def test_what_one_does_not_know_the_other_is_asked(constraints: Path) -> None:
    assert run(constraints, pypi=Answer({"alpha"}, {}, ""), osv=Answer({"alpha", "beta-two"}, {}, ""))[0] == FINE


@pytest.mark.parametrize("other", [NOTHING, Answer({"beta-two"}, {}, "")])
def test_a_vulnerability_is_one_whatever_else_is_known(constraints: Path, other: Answer) -> None:
    code, told = run(constraints, pypi=Answer({"alpha"}, {"alpha 1.0": ["PYSEC-1", "CVE-2"]}, ""), osv=other)
    assert code == VULNERABLE
    assert "VULNERABLE: alpha 1.0: PYSEC-1, CVE-2" in told


def test_an_empty_file_is_not_audited(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("")
    assert run(tmp_path / "constraints.txt")[0] == UNKNOWN


def test_what_pip_audit_writes() -> None:
    skipped = {"name": "gamma", "skip_reason": "Dependency not found on PyPI and could not be audited: gamma (3)"}
    found = {"name": "alpha", "version": "1", "vulns": [{"id": "CVE-2", "fix_versions": []}]}
    fine = {"name": "Beta_Two", "version": "2", "vulns": []}
    answer = parse(json.dumps({"dependencies": [skipped, found, fine], "fixes": []}), "")
    assert answer == ({"alpha", "beta-two"}, {"alpha 1": ["CVE-2"]}, "")


@pytest.mark.parametrize("out", ["", "[]", "{}", "No known vulnerabilities found"])
def test_what_is_no_answer(out: str) -> None:
    assert parse(out, "Traceback …\n  ConnectionError: refused\n").problem == "ConnectionError: refused"
    assert parse(out, "").problem


def test_our_constraints_are_read() -> None:
    packages = pinned(CONSTRAINTS.read_text())
    assert {"dagster", "numpy", "obstore"} <= set(packages)
    assert len(packages) > 80


def test_licences_are_those_of_the_packages() -> None:
    found = licences(["numpy", "dagster", "no-such-package"])
    assert sorted(name for names in found.values() for name in names) == ["dagster", "numpy"]
    assert any("Apache" in licence for licence, names in found.items() if "dagster" in names)
