"""Pieces of SVG: text that is escaped, paths, a legend, names that do not lie on each other.

Here: how things are written down, by presentation attributes only. Not here: what a map shows (`swath_map`). Widths of text
are estimates for common sans-serif fonts, on the large side: nobody's font is known here.
"""

import dataclasses
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from s2chips_core.overpasses.mercator import short

PAPER, SEA, GRID, FRAME = "#ffffff", "#edf2f6", "#cfdae3", "#9fb0bd"
INK, SOFT = "#17212b", "#55636f"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_CHAR_EM = 0.58
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even escaped (XML 1.0, section 2.2)."""

Box = tuple[float, float, float, float]
"""West, north, east, south, pixels."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LegendItem:
    """A line of the legend."""

    sample: str
    """SVG, 22 px wide, its foot at y = 0; empty for words only."""
    label: str


def clean(words: str) -> str:
    """Escaped, and without what XML cannot hold."""
    return escape(_NOT_XML.sub("\ufffd", words))


def text_width(words: str, size: float) -> float:
    """An estimate, pixels."""
    return len(words) * _CHAR_EM * size


def fit_text(words: str, width: float, size: float) -> str:
    """As much of the words as has room, with an ellipsis where some has not."""
    most = max(1, int(width / (_CHAR_EM * size)))
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def wrap_text(words: str, width: float, size: float) -> list[str]:
    """The words in lines that have room, broken at ` · `."""
    lines = [""]
    for part in words.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and text_width(longer, size) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return [fit_text(line, width, size) for line in lines]


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    weight: int = 400,
    css: str = "sm-ink",
    anchor: str = "",
    halo: bool = False,
) -> str:
    """A line of text; `css` is `sm-ink` or `sm-soft`."""
    attributes = [f'x="{short(x, 1)}" y="{short(y, 1)}" class="{css}" font-size="{short(size, 1)}"']
    attributes.append(f'fill="{SOFT if css == "sm-soft" else INK}"')
    if weight != 400:
        attributes.append(f'font-weight="{weight}"')
    if anchor:
        attributes.append(f'text-anchor="{anchor}"')
    if halo:
        attributes.append(f'stroke="{PAPER}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"')
    return f"<text {' '.join(attributes)}>{clean(words)}</text>"


def path(
    d: str,
    *,
    fill: str,
    stroke: str,
    fill_opacity: float = 1.0,
    stroke_width: float = 1.0,
    dash: str = "",
    css: str = "",
    label: str = "",
) -> str:
    """A path; `label` is what a pointer over it shows."""
    attributes = [f'd="{d}" fill="{fill}" stroke="{stroke}"']
    if fill != "none" and fill_opacity != 1.0:
        attributes.append(f'fill-opacity="{short(fill_opacity, 2)}"')
    if stroke_width != 1.0:
        attributes.append(f'stroke-width="{short(stroke_width, 1)}"')
    if dash:
        attributes.append(f'stroke-dasharray="{dash}"')
    if css:
        attributes.append(f'class="{css}"')
    start = f"<path {' '.join(attributes)}"
    return f"{start}><title>{clean(label)}</title></path>" if label else f"{start}/>"


def rect(x: float, y: float, width: float, height: float, *, fill: str, fill_opacity: float, stroke: str) -> str:
    """A small rounded rectangle."""
    return (
        f'<rect x="{short(x, 1)}" y="{short(y, 1)}" width="{short(width, 1)}" height="{short(height, 1)}" rx="2" '
        f'fill="{fill}" fill-opacity="{short(fill_opacity, 2)}" stroke="{stroke}"/>'
    )


def disc(x: float, y: float, radius: float, letter: str, colour: str, letter_colour: str) -> str:
    """A disc with a letter, so that nothing hangs on its colour."""
    return (
        f'<circle cx="{short(x, 1)}" cy="{short(y, 1)}" r="{short(radius, 1)}" fill="{colour}"/>'
        f'<text x="{short(x, 1)}" y="{short(y + 3.3, 1)}" font-size="9" font-weight="700" text-anchor="middle" '
        f'fill="{letter_colour}">{clean(letter)}</text>'
    )


def pill(box: Box) -> str:
    """The ground of a name on the map."""
    west, north, east, south = box
    return (
        f'<rect class="sm-pill" x="{short(west, 1)}" y="{short(north, 1)}" width="{short(east - west, 1)}" '
        f'height="{short(south - north, 1)}" rx="11" fill="{PAPER}" fill-opacity="0.92" stroke="{FRAME}"/>'
    )


def scale_bar(length: float, label: str, x: float, y: float) -> str:
    """A bar with its length in words above it; (x, y) is its lower left end."""
    bar = path(
        f"M{short(x, 1)} {short(y - 6, 1)}V{short(y, 1)}h{short(length, 1)}v-6", fill="none", stroke=INK, css="sm-line"
    )
    return bar + text(x + 5, y - 6, label, size=11, halo=True)


def draw_legend(items: Sequence[LegendItem], left: float, top: float, width: float) -> tuple[str, float]:
    """The items in lines as they have room; what it draws, and where it ends."""
    x, y, drawn = left, top + 8.0, []
    for item in items:
        sample = 28.0 if item.sample else 0.0
        label = fit_text(item.label, width - sample, 12.5)
        needed = sample + text_width(label, 12.5)
        if x > left and x + needed > left + width:
            x, y = left, y + 21
        if item.sample:
            drawn.append(f'<g transform="translate({short(x, 1)} {short(y, 1)})">{item.sample}</g>')
        drawn.append(text(x + sample, y + 2, label, size=12.5))
        x += needed + 18
    return "".join(drawn), y + 8 if items else top


def document(width: float, height: float, title: str, description: str, body: str) -> str:
    """The whole picture on its own ground, with its name and description for those who do not see it."""
    size = f"{short(width, 0)} {short(height + 16, 0)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{short(width, 0)}" '
        f'height="{short(height + 16, 0)}" role="img" aria-label={quoteattr(_NOT_XML.sub(" ", title))} '
        f'font-family="{FONTS}"><title>{clean(title)}</title><desc>{clean(description)}</desc>'
        f'<rect class="sm-paper" width="100%" height="100%" rx="10" fill="{PAPER}"/>{body}</svg>'
    )


class Labels:
    """Where there is room for names in a frame."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._taken: list[Box] = []

    def is_free(self, box: Box, further: Sequence[Box] = ()) -> bool:
        """Whether a box is inside the frame and on nobody's: neither on one that was taken, nor on a further one."""
        west, north, east, south = box
        if west < 2 or north < 2 or east > self._width - 2 or south > self._height - 2:
            return False
        return not any(w < east and e > west and n < south and s > north for w, n, e, s in (*self._taken, *further))

    def take(self, box: Box) -> None:
        """Keep others off a box."""
        self._taken.append(box)

    def draw_names(self, names: Sequence[tuple[str, Box]]) -> str:
        """Each name inside its box, in the middle or else off it; those without room are left out."""
        drawn = []
        for name, (west, north, east, south) in names:
            for size in (12.0, 10.0):
                half, high = text_width(name, size) * 0.65 + 2, size * 0.62
                if 2 * half > 1.15 * (east - west) or 2 * high > south - north:
                    continue
                x, y = (west + east) / 2, (north + south) / 2
                spare = (south - north) / 2 - high
                spots = [(x, y + share * spare) for share in (0.0, -0.45, 0.45, -0.85, 0.85)]
                free = ((x - half, y - high, x + half, y + high) for x, y in spots)
                box = next((box for box in free if self.is_free(box)), None)
                if box is not None:
                    self.take(box)
                    at = (box[1] + box[3]) / 2 + size * 0.36
                    drawn.append(text(x, at, name, size=size, weight=600, anchor="middle", halo=True))
                    break
        return "".join(drawn)
