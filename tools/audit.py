"""Asks whether anything that constraints.txt pins has a known vulnerability, and lists licences of what is installed.

    make audit

pip-audit asks PyPI, and where that does not know a package OSV. A package that nobody could be asked about is no package
without vulnerabilities: then, as when no service can be reached, this says so and ends with 2. It ends with 1 when there
are vulnerabilities, and with 0 only when every package was looked up and has none.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
SERVICES = ("pypi", "osv")
FINE, VULNERABLE, UNKNOWN = 0, 1, 2
MOST_S = 900.0


class Answer(NamedTuple):
    """What a service says of the packages."""

    known: set[str]
    """Packages it was asked about and knows."""
    vulnerable: Mapping[str, Sequence[str]]
    """Package and version -> ids of its vulnerabilities."""
    problem: str
    """Why there is no answer; empty when there is one."""


Ask = Callable[[str, Path], Answer]


def pinned(text: str) -> dict[str, str]:
    """Package -> version of a constraints file."""
    return {_name(name): version for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)}


def ask(service: str, constraints: Path, auditor: str = sys.executable) -> Answer:
    """pip-audit's answer; `auditor`: the Python that has it, apart from what is audited."""
    command = [auditor, "-m", "pip_audit", "-r", str(constraints), "--no-deps", "--disable-pip", "-f", "json"]
    command += ["--progress-spinner", "off", "-s", service]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_S, check=False)  # noqa: S603 - ours
    except subprocess.TimeoutExpired:
        return Answer(set(), {}, f"no answer within {MOST_S:g} s")
    return parse(done.stdout, done.stderr)


def parse(out: str, err: str) -> Answer:
    """What pip-audit wrote."""
    try:
        tree: dict[str, Any] = json.loads(out)
        packages = [each for each in tree["dependencies"] if "skip_reason" not in each]
        bad = {f"{one['name']} {one['version']}": [each["id"] for each in one["vulns"]] for one in packages if one["vulns"]}
        return Answer({_name(one["name"]) for one in packages}, bad, "")
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in err.splitlines() if line.strip()]
        return Answer(set(), {}, lines[-1][:300] if lines else "pip-audit said nothing")


def audit(constraints: Path, ask: Ask, tell: Callable[[str], object]) -> int:
    """Ask each service until every package is known; the exit code."""
    packages = pinned(constraints.read_text(encoding="utf-8"))
    unknown, vulnerable = set(packages), dict[str, Sequence[str]]()
    for service in SERVICES:
        if not unknown:
            break
        answer = ask(service, constraints)
        if answer.problem:
            tell(f"{service}: no answer: {answer.problem}")
            continue
        unknown -= answer.known
        vulnerable |= answer.vulnerable
        tell(f"{service}: knows {len(answer.known)} of {len(packages)} packages")
    for package, ids in sorted(vulnerable.items()):
        tell(f"VULNERABLE: {package}: {', '.join(ids)}")
    if unknown or not packages:
        named = ", ".join(sorted(unknown)[:5]) + (", …" if len(unknown) > 5 else "")
        tell(f"NOT AUDITED: nobody could be asked about {len(unknown)} of {len(packages)} packages ({named})")
        return VULNERABLE if vulnerable else UNKNOWN
    if vulnerable:
        return VULNERABLE
    tell(f"{len(packages)} packages, none with a known vulnerability")
    return FINE


def licences(packages: Iterable[str]) -> dict[str, list[str]]:
    """Licence, as the package itself states it -> installed packages."""
    found = defaultdict(list)
    for name in packages:
        try:
            about: Any = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        classified = [one.rpartition(" :: ")[2] for one in about.get_all("Classifier") or () if one.startswith("License ::")]
        first = (about.get("License") or "").strip().partition("\n")[0][:60]
        found[about.get("License-Expression") or ", ".join(classified) or first or "not stated"].append(name)
    return dict(sorted(found.items()))


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """The audit, then the licences."""
    auditor = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    code = audit(CONSTRAINTS, lambda service, constraints: ask(service, constraints, auditor), print)
    print("\nLicences:")
    for licence, names in licences(pinned(CONSTRAINTS.read_text(encoding="utf-8"))).items():
        print(f"  {licence}: {', '.join(names)}")
    return code


if __name__ == "__main__":
    sys.exit(main())
