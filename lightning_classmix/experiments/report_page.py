"""Build a self-contained HTML page: no scripts, no files, no network."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from lightning_classmix.atomic import atomic_file
from lightning_classmix.callbacks.montage import printable

# The policy forbids every request; browsers report an attempt as an error.
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8885; --soft: #8882; --bar: #4477aa88; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 0 auto;
  padding: 1em 1.5em 4em; }}
h1 {{ font-size: 1.5em; margin-bottom: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.2em; margin: 2em 0 .5em; border-bottom: 1px solid var(--line); }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .15em .8em .15em .3em; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
tr {{ border-bottom: 1px solid var(--soft); }}
.wide {{ overflow-x: auto; }}
.bar {{ background: linear-gradient(var(--bar), var(--bar)) no-repeat left / 0 70%; }}
.matrix td, .matrix th {{ padding: .15em .4em; min-width: 2.6em; font-size: .85em; }}
.charts {{ display: grid; gap: 1em; grid-template-columns:
  repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }}
figure {{ margin: 0; min-width: 0; }}
figcaption {{ font-weight: 600; }}
.chart text {{ font-size: 12px; fill: currentColor; }}
.chart {{ width: 100%; }}
.grid {{ stroke: var(--line); }}
.line {{ fill: none; stroke-width: 2; }}
.swatch {{ width: 18px; height: 12px; stroke-width: 3; margin-right: .4em; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 0 1.2em; font-size: .85em; }}
img {{ max-width: 100%; height: auto; background: #fff; }}
pre {{ background: var(--soft); padding: 1em; overflow-x: auto; }}
.note {{ opacity: .75; }}
.warning {{ border-left: 4px solid #ee6677; padding-left: .8em; }}
</style>
"""


def text(value: object) -> str:
    """Return a value as HTML text: markup escaped, control characters replaced."""
    return escape(printable(str(value)))


class Page:
    """An HTML page that is written section by section.

    Args:
        title: Title of the page.
        summary: Line under the title.
    """

    def __init__(self, title: str, summary: str = "") -> None:
        self._parts = [_HEAD.format(title=text(title)), f"<h1>{text(title)}</h1>"]
        if summary:
            self.note(summary)

    def section(self, title: str) -> None:
        """Start a section."""
        self._parts.append(f"<h2>{text(title)}</h2>")

    def note(self, line: str) -> None:
        """Add a line of explanation."""
        self._parts.append(f'<p class="note">{text(line)}</p>')

    def warning(self, line: str) -> None:
        """Add a line that must not be overlooked."""
        self._parts.append(f'<p class="warning">{text(line)}</p>')

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table; a float is a share in [0, 1], shown in points with a bar.

        Args:
            heads: Names of the columns.
            rows: Cells of each row; None shows as ``-``.
        """
        lines = ["".join(f"<th>{text(head)}</th>" for head in heads)]
        lines += ["".join(map(_cell, row)) for row in rows]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        self._parts.append(f'<div class="wide"><table>{body}</table></div>')

    def matrix(self, names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
        """Add a confusion matrix; a cell shows the percentage of its row.

        Args:
            names: Names of the classes, C.
            counts: Pixels by true class and predicted class, C × C.
        """
        heads = ["true \\ predicted", *names]
        lines = ["".join(f"<th>{text(head)}</th>" for head in heads)]
        for name, row in zip(names, counts, strict=True):
            total = sum(row)
            cells = [f"<th>{text(name)}</th>"]
            for count in row:
                share = count / total if total else 0.0
                shown = f"{100 * share:.0f}" if share >= 0.005 else ""
                color = f"background: rgb(68 119 170 / {round(0.9 * share, 3)})"
                cells.append(f'<td style="{color}" title="{text(count)}">{shown}</td>')
            lines.append("".join(cells))
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        self._parts.append(
            f'<div class="wide"><table class="matrix">{body}</table></div>'
        )

    def charts(self, figures: Iterable[str]) -> None:
        """Add charts side by side, as `line_chart` returns them."""
        self._parts.append(f'<div class="charts">{"".join(figures)}</div>')

    def picture(self, path: Path, caption: str) -> None:
        """Add a PNG file; a file that does not exist is left out."""
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            caption = text(caption)
            self._parts.append(
                f"<figure><figcaption>{caption}</figcaption>"
                f'<img alt="{caption}" src="data:image/png;base64,{data}"></figure>'
            )

    def details(self, title: str, content: str) -> None:
        """Add text of several lines that is folded away."""
        lines = "\n".join(text(line) for line in content.splitlines())
        self._parts.append(
            f"<details><summary>{text(title)}</summary><pre>{lines}</pre></details>"
        )

    def write(self, path: Path) -> None:
        """Write the page; the file is complete as soon as it exists."""
        with atomic_file(path, "w", encoding="utf-8") as file:
            file.write("\n".join([*self._parts, "</html>\n"]))


def _cell(value: object) -> str:
    if value is None:
        return "<td>-</td>"
    if isinstance(value, float):
        points = 100 * value
        width = min(max(points, 0.0), 100.0)
        return (
            f'<td class="bar" style="background-size: {width:.1f}% 70%">'
            f"{points:.1f}</td>"
        )
    return f"<td>{text(value)}</td>"
