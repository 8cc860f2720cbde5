"""The shell of the pages: what may run and load."""

import base64
import hashlib
import re

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.pages.shell import content_policy, json_pieces, own_file


def test_only_what_is_named_may_run() -> None:
    policy = dict(part.split(" ", 1) for part in content_policy(["b {}"], ["let a;", "a = 1;"]).split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == "data:"
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in ("let a;", "a = 1;")]
    assert policy["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
    assert "unsafe" not in str(policy)


def test_a_page_without_scripts_allows_none() -> None:
    assert "script-src 'none'" in content_policy([""], [])


def test_what_a_page_may_load_besides_is_added() -> None:
    policy = content_policy([""], ["a"], {"img-src": ["'self'"], "font-src": ["'self'"]})
    assert "img-src data: 'self';" in policy
    assert "font-src 'self'" in policy


@pytest.mark.parametrize("name", ["dom.js", "viewer.js", "day.js"])
def test_scripts_make_no_markup_of_text(name: str) -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", own_file(name))


@pytest.mark.parametrize("name", ["page.css", "viewer.css"])
def test_styles_load_nothing(name: str) -> None:
    assert "url(" not in own_file(name)
    assert "@import" not in own_file(name)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(st.dictionaries(st.text(), TREES))
def test_data_in_pieces_is_what_jinja_makes_of_it(data: dict[str, object]) -> None:
    whole = jinja2.Environment(autoescape=True).from_string("{{ data|tojson }}").render(data=data)
    assert "".join(json_pieces(data)) == whole
