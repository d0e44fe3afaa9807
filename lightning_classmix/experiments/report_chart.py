"""Line charts as SVG, drawn for the HTML report."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from matplotlib.ticker import MaxNLocator

from lightning_classmix.callbacks.montage import printable

Points = Sequence[tuple[float, float]]
"""(x, y) in the order of x; values that are not finite interrupt the line."""

_COLORS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#ee8866",
    "#777777",
)
_DASHES = ("", "6 3", "2 2")
_WIDTH = 560
_HEIGHT = 240
_LEFT = 52  # space for the labels of the y axis
_BOTTOM = 30
_TOP = 8
_RIGHT = 22
_MOST_POINTS = 500
_MOST_MARKS = 60

_Scale = Callable[[float, float], tuple[float, float]]  # data to SVG coordinates


def line_chart(series: Mapping[str, Points], *, title: str, unit: str = "") -> str:
    """Return a figure with one line for each series, over optimizer steps.

    Args:
        series: Points by the name of the line; lines without finite points are left
            out.
        title: Title of the figure.
        unit: What the y axis shows.

    Returns:
        HTML; empty if no point is finite.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in series.items()
    }
    drawn = {name: points for name, points in series.items() if finite[name]}
    if not drawn:
        return ""
    xs = [x for points in finite.values() for x, _ in points]
    ys = [y for points in finite.values() for _, y in points]
    x_ticks = _ticks(min(0, *xs), max(xs))
    y_ticks = _ticks(min(ys), max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        right = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (
            _LEFT + right * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP),
        )

    parts = []
    for tick in y_ticks:
        left, y = at(x_ticks[0], tick)
        right, _ = at(x_ticks[-1], tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
        )
    for tick in x_ticks:
        x, bottom = at(tick, y_ticks[0])
        parts.append(
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
        )
    legend = []
    for index, (name, points) in enumerate(drawn.items()):
        color = _COLORS[index % len(_COLORS)]
        dash = _DASHES[index // len(_COLORS) % len(_DASHES)]
        style = f'stroke="{color}" stroke-dasharray="{dash}"'
        label = escape(printable(name))
        parts += _line(_thinned(points), at, style, color, label)
        swatch = f'<svg class="swatch"><line x2="18" y1="6" y2="6" {style}/></svg>'
        legend.append(f"<span>{swatch}{label}</span>")
    caption = escape(printable(title)) + (f" ({escape(unit)})" if unit else "")
    return (
        f'<figure><figcaption>{caption}</figcaption><svg class="chart"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{caption}">'
        f'{"".join(parts)}</svg><div class="legend">{"".join(legend)}</div></figure>'
    )


def _line(points: Points, at: _Scale, style: str, color: str, label: str) -> list[str]:
    """Return the stretches of one line, and marks with tooltips if they are few."""
    stretches: list[list[str]] = [[]]
    marks = []
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            stretches.append([])
            continue
        left, top = at(x, y)
        stretches[-1].append(f"{left:.1f},{top:.1f}")
        marks.append(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{color}">'
            f"<title>{label}, step {x:g}: {y:.4g}</title></circle>"
        )
    lines = [
        f'<polyline class="line" points="{" ".join(stretch)}" {style}/>'
        for stretch in stretches
        if len(stretch) > 1
    ]
    return lines + (marks if len(marks) <= _MOST_MARKS else [])


def _thinned(points: Points) -> Points:
    return points[:: math.ceil(len(points) / _MOST_POINTS)]


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from at most ``low`` to at least ``high``."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(high) or 1.0
        low, high = low - margin / 2, high + margin / 2
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high)]
