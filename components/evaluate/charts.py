"""Charts as inline SVG without colours of their own: the page's style sheet sets light and dark."""

from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 156, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 6, 6, 30


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, shown when pointing at it, its points (P, 2), and the area of a dot on each."""

    name: str
    points: np.ndarray
    areas: np.ndarray | None = None


def unit_chart(series: list[Series], *, x_label: str, y_label: str, title: str, diagonal: bool = False,
               level: float | None = None, mark: tuple[float, float] | None = None) -> str:
    """Draw curves over the unit square.

    Args:
        series: in the order of the style sheet's colours.
        x_label, y_label: of the axes.
        title: read by screen readers and shown on hovering.
        diagonal: draw the line from (0, 0) to (1, 1) as the reference.
        level: draw a horizontal line as the reference.
        mark: the operating point.
    """
    ticks = (0.0, 0.5, 1.0)
    return _chart(series, (0.0, 1.0), (0.0, 1.0), ticks, ticks, x_label=x_label, y_label=y_label, title=title,
                  references=[((0, 0), (1, 1))] * diagonal + ([((0, level), (1, level))] if level is not None else []),
                  mark=mark, size=(WIDTH, HEIGHT))


def line_chart(series: list[Series], *, x_label: str, y_label: str, title: str) -> str:
    """Draw curves with axes that fit them, such as a loss over epochs."""
    points = np.concatenate([s.points for s in series])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return ""
    x_range, y_ticks = _ends(points[:, 0]), nice_ticks(*_ends(points[:, 1]))
    x_ticks = tuple(t for t in nice_ticks(*x_range) if x_range[0] <= t <= x_range[1])
    return _chart(series, x_range, (y_ticks[0], y_ticks[-1]), x_ticks, y_ticks, x_label=x_label, y_label=y_label,
                  title=title, references=[], mark=None, size=(440, 200))


def whisker(value: float | None, low: float | None, high: float | None, *, start: float = 0.5) -> str:
    """Draw a figure and its interval on a short axis from `start` to 1, for a cell of a table."""
    if value is None or low is None or high is None:
        return ""
    x = [round(4 + 112 * (min(max(v, start), 1) - start) / (1 - start), 1) for v in (low, value, high)]
    return (f'<svg class="whisker" viewBox="0 0 120 14" width="120" height="14" aria-hidden="true">'
            f'<path class="axis" d="M4 7H116"/><path class="range" d="M{x[0]} 7H{x[2]}"/>'
            f'<circle cx="{x[1]}" cy="7" r="4"/></svg>')


def nice_ticks(low: float, high: float, *, about: int = 4) -> tuple[float, ...]:
    """Return evenly spaced round values that enclose a range, about as many as asked for."""
    raw = (high - low) / about
    base = 10.0 ** np.floor(np.log10(raw))
    step = next(m * base for m in (1, 2, 2.5, 5, 10) if m * base >= raw)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return tuple(float(round(k * step, 12)) for k in np.arange(first, last + 1))


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _chart(series: list[Series], x_range: tuple[float, float], y_range: tuple[float, float], x_ticks, y_ticks, *,
           x_label: str, y_label: str, title: str, references: list, mark, size: tuple[int, int]) -> str:
    width, height = size

    def at(point) -> str:
        u, v = ((p - r[0]) / (r[1] - r[0]) for p, r in zip(point, (x_range, y_range), strict=True))
        return f"{LEFT + u * (width - LEFT - RIGHT):.1f} {height - BOTTOM - v * (height - TOP - BOTTOM):.1f}"

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>']
    for tick in y_ticks:
        x, y = at((x_range[0], tick)).split()
        parts.append(f'<path class="grid" d="M{x} {y}H{width - RIGHT}"/>'
                     f'<text x="{LEFT - 5}" y="{y}" dy=".32em" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x, _ = at((tick, y_range[0])).split()
        parts.append(f'<text x="{x}" y="{height - BOTTOM + 13}" text-anchor="middle">{tick:g}</text>')
    parts += [f'<path class="reference" d="M{at(a)}L{at(b)}"/>' for a, b in references]
    parts += [_line(s, i, at) for i, s in enumerate(series)]
    if mark:
        x, y = at(mark).split()
        parts.append(f'<circle class="mark" cx="{x}" cy="{y}" r="4"/>')
    parts.append(f'<text x="{(LEFT + width - RIGHT) / 2:.0f}" y="{height - 3}" text-anchor="middle">'
                 f'{escape(x_label)}</text>'
                 f'<text transform="translate(9 {(TOP + height - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
                 f'{escape(y_label)}</text></svg>')
    return "".join(parts)


def _line(series: Series, place: int, at) -> str:
    known = np.isfinite(series.points).all(axis=1)
    points = [at(p) for p in series.points[known]]
    if not points:
        return ""
    text = f'<path class="line s{place % 4 + 1}" d="M{"L".join(points)}"><title>{escape(series.name)}</title></path>'
    if series.areas is not None:
        radii = np.maximum(1.2, np.sqrt(series.areas[known] / np.pi))
        text += "".join('<circle class="dot s{}" cx="{}" cy="{}" r="{:.1f}"/>'.format(place % 4 + 1, *p.split(), r)
                        for p, r in zip(points, radii, strict=True))
    return text
