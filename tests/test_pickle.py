"""Nothing of the project reads or writes what can run code when it is read: pickles, YAML with objects, evaluated texts.

ruff's rules of group S say the same of much of it, but not in tests and benchmarks, and not of numpy's and pandas' readers.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
METHODS = {"read_pickle", "to_pickle", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}
FUNCTIONS = {"eval", "exec"}
LOADERS = {("yaml", "load"), ("yaml", "load_all"), ("torch", "load")}
WORDS = re.compile("|".join([*MODULES, *METHODS, *FUNCTIONS, *(owner for owner, _ in LOADERS), "allow_pickle"]))
"""A source without any of them has nothing of it."""
ALLOWED = {
    ("tests/export/test_card.py", "exec"): "runs the example of the data card, which the project itself wrote",
    ("s2chips_core/export/selection.py", ".eval"): "pandas' own grammar; what may stand in it is checked before",
}


def findings(source: str) -> set[str]:
    """What a module does that it should not."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.partition(".")[0] in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module.partition(".")[0] in MODULES else set()
            found |= {name.name for name in node.names if name.name in METHODS}
        elif isinstance(node, ast.Call):
            found |= _of_call(node)
    return found


def _of_call(call: ast.Call) -> set[str]:
    found = set()
    if isinstance(call.func, ast.Name) and call.func.id in FUNCTIONS:
        found.add(call.func.id)
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
        if call.func.attr in METHODS or (owner, call.func.attr) in LOADERS:
            found.add(call.func.attr)
        if call.func.attr in FUNCTIONS:
            found.add(f".{call.func.attr}")
    for keyword in call.keywords:
        refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg == "allow_pickle" and not refused:
            found.add("allow_pickle")
    return found


def sources() -> list[Path]:
    """Every Python file that is kept, tests too."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    named = [REPOSITORY / name for name in listed.stdout.splitlines()]
    folders = ("s2chips_core", "s2chips_dagster", "tests", "tools", "benchmarks", "examples")
    found = named or [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    return [path for path in found if path.exists() and path != Path(__file__)]


def test_no_source_has_it() -> None:
    assert len(sources()) > 300
    found = {}
    for path in sources():
        name, source = path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")
        if not WORDS.search(source):
            continue  # parsing is what takes its time
        bad = {one for one in findings(source) if (name, one) not in ALLOWED}
        if bad:
            found[name] = bad
    assert found == {}


def test_what_is_allowed_is_still_there() -> None:
    for name, what in ALLOWED:
        assert what in findings((REPOSITORY / name).read_text(encoding="utf-8")), name


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, joblib",
        "from pickle import loads",
        "from pandas import read_pickle",
        "import cloudpickle.cloudpickle",
        "np.load(path, allow_pickle=True)",
        "np.save(path, array, allow_pickle=maybe)",
        "torch.load(path)",
        "pd.read_pickle(path)",
        "frame.to_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "exec(text)",
        "frame.eval(text)",
        "shelve.open(path); import shelve",
    ],
)
def test_it_would_be_seen(line: str) -> None:
    assert findings(line)
    assert WORDS.search(line)


@pytest.mark.parametrize(
    "line", ["np.load(path)", "np.save(path, array, allow_pickle=False)", "yaml.safe_load(text)", "json.load(file)"]
)
def test_what_is_safe_is_left_alone(line: str) -> None:
    assert not findings(line)
