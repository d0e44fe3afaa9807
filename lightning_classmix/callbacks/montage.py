"""Arrange pictures of images and label maps in rows, with titles and a legend."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from lightning_classmix.colors import to_colors, to_picture

Picture = NDArray[np.uint8]
"""RGB, uint8 ``(H, W, 3)``."""

TILE = 240
"""Longer side of each picture in pixels."""
_GAP = 6
_LINE = 20  # height of a line of text


def image_tile(
    image: Tensor, *, mean: Sequence[float], std: Sequence[float]
) -> Picture:
    """Return the picture of a normalized image.

    Of one or two channels the first is shown in gray, of more than three the first
    three as red, green and blue.

    Args:
        image: Normalized image, float ``(C_in, H, W)``.
        mean: Mean with which it was normalized, per channel.
        std: Standard deviation with which it was normalized, per channel.
    """
    channels = [0, 1, 2] if len(image) >= 3 else [0, 0, 0]
    size = _tile_size(image)
    resized = functional.interpolate(
        image[None, channels].float(), size, mode="bilinear", antialias=True
    )[0]
    return to_picture(
        resized, mean=[mean[c] for c in channels], std=[std[c] for c in channels]
    )


def label_tile(label: Tensor, palette: Sequence[tuple[int, int, int]]) -> Picture:
    """Return the colors of a label map, integer ``(H, W)``; void is black."""
    return to_colors(_nearest(label).long(), palette)


def gray_tile(values: Tensor) -> Picture:
    """Return a map in [0, 1], bool or float ``(H, W)``, from black to white."""
    gray = (_nearest(values).clamp(0, 1) * 255).round().byte().cpu().numpy()
    return np.repeat(gray[..., None], 3, axis=2)


def _tile_size(values: Tensor) -> tuple[int, int]:
    height, width = values.shape[-2:]
    factor = TILE / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def _nearest(values: Tensor) -> Tensor:
    size = _tile_size(values)
    return functional.interpolate(values[None, None].float(), size)[0, 0]


def montage(
    rows: Sequence[dict[str, Picture]],
    *,
    class_names: Sequence[str] = (),
    palette: Sequence[tuple[int, int, int]] = (),
) -> Picture:
    """Arrange pictures in rows, under the titles of the first row, above a legend.

    Args:
        rows: Pictures that stand side by side, by their titles.
        class_names: Names of the classes in the legend; none for no legend.
        palette: Their colors, RGB in [0, 255].
    """
    columns = max(map(len, rows))
    heights = [max(len(tile) for tile in row.values()) for row in rows]
    width = _GAP + columns * (TILE + _GAP)
    legend = _legend_lines(class_names, width)
    height = _LINE + sum(heights) + _GAP * len(rows) + _LINE * len(legend) + _GAP
    canvas = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    for column, title in enumerate(rows[0]):
        left = _GAP + column * (TILE + _GAP)
        draw.text((left, 3), printable(title), fill=(0, 0, 0), font=font)
    top = _LINE
    for row, row_height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row.values()):
            canvas.paste(Image.fromarray(tile), (_GAP + column * (TILE + _GAP), top))
        top += row_height + _GAP
    colors = dict(zip(class_names, palette, strict=False))
    for line in legend:
        for left, name in line:
            box = (left, top + 4, left + 12, top + 16)
            draw.rectangle(box, fill=tuple(colors[name]), outline=(128, 128, 128))
            draw.text((left + 17, top + 2), printable(name), fill=(0, 0, 0), font=font)
        top += _LINE
    return np.asarray(canvas)


def _legend_lines(names: Sequence[str], width: int) -> list[list[tuple[int, str]]]:
    """Return the left edge and the name of each legend entry, line by line."""
    font = ImageFont.load_default(size=13)
    lines: list[list[tuple[int, str]]] = []
    left = width
    for name in names:
        needed = 17 + round(font.getlength(printable(name))) + 14
        if left + needed > width:
            lines.append([])
            left = _GAP
        lines[-1].append((left, name))
        left += needed
    return lines


def printable(text: str) -> str:
    """Replace characters that cannot be printed, such as control characters."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
