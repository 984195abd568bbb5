"""A heat map as SVG: products against products, coloured by lift or by count, for any browser."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from services.recommender.domain.lookup import Measure

_Rows = Sequence[Sequence[float | int | None]]
_Rgb = tuple[int, int, int]

# ColorBrewer's RdBu, light in the middle: 1 is what chance would give. Counts use its red half.
_BELOW: tuple[_Rgb, ...] = ((33, 102, 172), (103, 169, 207), (209, 229, 240))
_MIDDLE: _Rgb = (247, 247, 247)
_ABOVE: tuple[_Rgb, ...] = ((253, 219, 199), (239, 138, 98), (178, 24, 43))
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"
 role="img" aria-label="{title}" font-family="system-ui, sans-serif" font-size="11" fill="#27272a">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="24" y="34" font-size="18" font-weight="600">{title}</text>"""
_NOTHING = "#ffffff"
_DIAGONAL = "#e4e4e7"
_LIFT_LIMIT = 3.0
_DARK = 140
_LABEL_LETTERS = 28
_LETTER = 6.1
_LARGEST_CELL = 30
_SMALLEST_CELL = 9
_WIDTH = 960
_FIGURES_FROM = 24
_LEGEND_STEPS = 60
_THOUSAND = 1000
_TEN = 10


@dataclass(frozen=True)
class _Layout:
    cell: float
    left: float
    top: float
    size: int

    @property
    def side(self) -> float:
        return self.cell * self.size

    @property
    def width(self) -> float:
        return self.left + self.side + 0.75 * self.left + 24

    @property
    def height(self) -> float:
        return self.top + self.side + 84


def svg(title: str, labels: Sequence[str], rows: _Rows, measure: Measure) -> str:
    """Draw the square `rows` with `labels` on both sides; each cell tells its figures when pointed at."""
    short = [_short(label) for label in labels]
    left = 24 + _LETTER * max(map(len, short), default=0)
    cell = max(_SMALLEST_CELL, min(_LARGEST_CELL, _WIDTH / max(len(labels), 1)))
    layout = _Layout(cell, left, 66 + 0.72 * left, len(labels))
    largest = max(
        (value or 0 for number, row in enumerate(rows) for value in _beside(row, number)), default=1
    )
    body = (
        *_labels(layout, short, labels),
        *_cells(layout, labels, rows, measure, largest),
        *_legend(layout, measure, largest),
    )
    head = _HEAD.format(width=round(layout.width), height=round(layout.height), title=escape(title))
    return "\n".join((head, *body, "</svg>\n"))


def _beside(row: Sequence[float | int | None], number: int) -> list[float | int | None]:
    return [value for column, value in enumerate(row) if column != number]


def _labels(layout: _Layout, short: Sequence[str], labels: Sequence[str]) -> list[str]:
    parts = []
    for number, text in enumerate(short):
        middle = layout.cell * (number + 0.5)
        full = f"<title>{escape(labels[number])}</title>"
        size = min(11.0, 0.6 * layout.cell)
        parts.append(
            f'<text x="{layout.left - 8:.1f}" y="{layout.top + middle + 4:.1f}" text-anchor="end" font-size="{size:.1f}">'
            f"{full}{escape(text)}</text>"
        )
        x, y = layout.left + middle + 3, layout.top - 8
        parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate(-45 {x:.1f} {y:.1f})" font-size="{size:.1f}">'
            f"{full}{escape(text)}</text>"
        )
    return parts


def _cells(
    layout: _Layout, labels: Sequence[str], rows: _Rows, measure: Measure, largest: float
) -> list[str]:
    parts = []
    for down, row in enumerate(rows):
        for across, value in enumerate(row):
            colour = _DIAGONAL if down == across else _colour(value, measure, largest)
            x, y = layout.left + across * layout.cell, layout.top + down * layout.cell
            said = escape(f"{labels[down]} with {labels[across]}: {_told(value, measure)}")
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{layout.cell - 1:.1f}" height="{layout.cell - 1:.1f}" '
                f'rx="2" fill="{colour}"><title>{said}</title></rect>'
            )
            if value and down != across and layout.cell >= _FIGURES_FROM:
                parts.append(
                    _figure(x + layout.cell / 2 - 0.5, y + layout.cell / 2 + 3, value, colour, measure)
                )
    return parts


def _figure(x: float, y: float, value: float, colour: str, measure: Measure) -> str:
    ink = "#ffffff" if _brightness(colour) < _DARK else "#3f3f46"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="9" fill="{ink}" pointer-events="none">'
        f"{_compact(value, measure)}</text>"
    )


def _legend(layout: _Layout, measure: Measure, largest: float) -> list[str]:
    width, y = min(240.0, max(layout.side, 160.0)), layout.top + layout.side + 24
    step = width / _LEGEND_STEPS
    parts = []
    for number in range(_LEGEND_STEPS):
        at = number / (_LEGEND_STEPS - 1)
        value = 2 ** ((2 * at - 1) * _LIFT_LIMIT) if measure == "lift" else at**2 * largest
        parts.append(
            f'<rect x="{layout.left + number * step:.1f}" y="{y:.1f}" width="{step + 0.3:.2f}" height="10" '
            f'fill="{_colour(value, measure, largest)}"/>'
        )
    ends = ("⅛", "1", "8") if measure == "lift" else ("0", _compact(largest / 4, measure), f"{largest:,.0f}")
    for text, at, anchor in zip(ends, (0.0, 0.5, 1.0), ("start", "middle", "end"), strict=True):
        parts.append(
            f'<text x="{layout.left + at * width:.1f}" y="{y + 24:.1f}" text-anchor="{anchor}">{text}</text>'
        )
    meaning = (
        "lift: how often both are bought, against two ordinary products; white: not seen together"
        if measure == "lift"
        else "baskets with both"
    )
    parts.append(f'<text x="{layout.left:.1f}" y="{y + 44:.1f}" fill="#71717a">{meaning}</text>')
    return parts


def _colour(value: float | None, measure: Measure, largest: float) -> str:
    if not value:
        return _NOTHING
    if measure == "count":
        return _between((_MIDDLE, *_ABOVE), math.sqrt(value / largest))
    at = max(-_LIFT_LIMIT, min(_LIFT_LIMIT, math.log2(value))) / _LIFT_LIMIT
    return _between((*_BELOW, _MIDDLE, *_ABOVE), (at + 1) / 2)


def _between(stops: Sequence[_Rgb], at: float) -> str:
    place = at * (len(stops) - 1)
    lower = min(int(place), len(stops) - 2)
    mixed = (
        round(low + (high - low) * (place - lower))
        for low, high in zip(stops[lower], stops[lower + 1], strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _brightness(colour: str) -> float:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _told(value: float | None, measure: Measure) -> str:
    if value is None:
        return "-"
    return f"lift {value:.2f}" if measure == "lift" else f"{value:,.0f} baskets"


def _compact(value: float, measure: Measure) -> str:
    if measure == "lift":
        return f"{value:.0f}" if round(value, 1) >= _TEN else f"{value:.1f}"
    return f"{value / _THOUSAND:.0f}k" if value >= _TEN * _THOUSAND else f"{value:.0f}"


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_LETTERS else label[: _LABEL_LETTERS - 1].rstrip() + "…"
