"""What all pages share: templates, the style and scripts inside the page, and the policy that nothing else may run.

Here: turning a template of `templates/` and its values into the bytes of a page. Not here: what is on a page (`day`), what
it looks like (`templates/page.css`), the larger view of a chip (`templates/viewer.*`).

Names of ships come from strangers. They reach a page through jinja2's autoescape, or as JSON that our scripts put in as
text; a Content-Security-Policy with the hashes of our own styles and scripts stops whatever else might want to run.
"""

import base64
import functools
import hashlib
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

_PACKAGE = "s2chips_core.pages"


def render_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Mapping[str, Any] | None,
    sources: Mapping[str, Sequence[str]] | None = None,
    **values: Any,
) -> bytes:
    """A page as UTF-8 HTML, its styles and scripts in it. Arguments as for `page_pieces`."""
    return b"".join(page_pieces(template, styles=styles, scripts=scripts, data=data, sources=sources, **values))


def page_pieces(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Mapping[str, Any] | None,
    sources: Mapping[str, Sequence[str]] | None = None,
    **values: Any,
) -> Iterator[bytes]:
    """A page as UTF-8 HTML piece by piece, its styles and scripts in it: one of thousands of chips need never be held.

    Args:
        template: a file of `templates/` that extends `page.html.j2`.
        styles: files of `templates/`, joined in this order.
        scripts: files of `templates/`, run in this order at the end of the page, each in the scope of those before it.
        data: what the scripts read, as JSON, from the element `data`; without it there are no scripts. See `json_pieces`.
        sources: what the page may load beside itself, by directive, in addition to `data:` pictures.
        values: of the template.
    """
    style = "\n".join(own_file(name) for name in styles)
    bodies = [own_file(name) for name in scripts] if data is not None else []
    pieces = (
        _environment()
        .get_template(template)
        .generate(
            policy=content_policy([style], bodies, sources),
            style=Markup(style),  # noqa: S704 - our own files
            scripts=[Markup(body) for body in bodies],  # noqa: S704
            data=None if data is None else json_pieces(data),
            **values,
        )
    )
    for piece in pieces:
        yield piece.encode("utf-8")


def json_pieces(data: Mapping[str, Any]) -> Iterator[Markup]:
    """What Jinja's `tojson` makes of a mapping, its keys in order; of a list that is one of its values one item at once.

    An iterator as one of its values is a list that is not there yet.
    """
    comma, nothing = Markup(", "), Markup("")
    yield Markup("{")
    for number, key in enumerate(sorted(data)):
        value = data[key]
        yield (comma if number else nothing) + htmlsafe_json_dumps(key) + Markup(": ")
        if not isinstance(value, (list, Iterator)):
            yield htmlsafe_json_dumps(value, sort_keys=True)
            continue
        yield Markup("[")
        for place, item in enumerate(value):
            yield (comma if place else nothing) + htmlsafe_json_dumps(item, sort_keys=True)
        yield Markup("]")
    yield Markup("}")


def own_file(name: str) -> str:
    """The text of a file of `templates/`, or of `vendor/` where the name says so."""
    folder = importlib.resources.files(_PACKAGE)
    return (folder / name if name.startswith("vendor/") else folder / "templates" / name).read_text(encoding="utf-8")


def content_policy(styles: Sequence[str], scripts: Sequence[str], sources: Mapping[str, Sequence[str]] | None = None) -> str:
    """Nothing may be fetched or run but these styles and scripts, pictures inside the page, and `sources`.

    (CSP level 2, hash sources.)
    """
    allowed: dict[str, list[str]] = {
        "img-src": ["data:"],
        "style-src": [_digest(text) for text in styles],
        "script-src": [_digest(text) for text in scripts] or ["'none'"],
    }
    for directive, more in (sources or {}).items():
        allowed.setdefault(directive, []).extend(more)
    parts = [f"{directive} {' '.join(those)}" for directive, those in allowed.items()]
    return "; ".join(["default-src 'none'", *parts, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
