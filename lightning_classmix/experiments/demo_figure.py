"""The figure that the demo saves: predictions of both methods, and one mix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from lightning_classmix.atomic import atomic_file

Row = dict[str, NDArray[np.uint8]]
"""Pictures that stand side by side, uint8 ``(H, W, 3)``, by their titles."""


def save_report(
    path: Path,
    scenes: Sequence[Row],
    mix: Row,
    *,
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
) -> None:
    """Save one picture: a row for each scene, a row for the mix, a legend.

    Args:
        path: The PNG file to write.
        scenes: Rows of the same titles.
        mix: The last row.
        class_names: Names of the classes.
        palette: Their colors, RGB in [0, 255].
    """
    figure = Figure(figsize=(12, 2.1 * len(scenes) + 2.3), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [2.1 * len(scenes), 1.8]
    parts = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)
    _draw(parts[0, 0], scenes)
    parts[1, 0].suptitle("A mix being made")
    _draw(parts[1, 0], [mix])
    handles = [
        Patch(color=(red / 255, green / 255, blue / 255), label=name)
        for name, (red, green, blue) in zip(class_names, palette, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    with atomic_file(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _draw(figure: SubFigure, rows: Sequence[Row]) -> None:
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for number, (line, row) in enumerate(zip(axes, rows, strict=True)):
        for axis, (title, picture) in zip(line, row.items(), strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
            if number == 0:
                axis.set_title(title)
