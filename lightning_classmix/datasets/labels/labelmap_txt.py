"""Read ``labelmap.txt``: the class names and colors that annotation tools export."""

from pathlib import Path

LABELMAP_FILE = "labelmap.txt"
BORDER = (224, 224, 192)
"""Color that outlines objects in masks of Pascal VOC; it is void."""


def read_labelmap(path: Path) -> dict[str, tuple[int, int, int]]:
    """Return the color of each class by its name, RGB in [0, 255], in order.

    A line is ``name:red,green,blue:parts:actions``; lines that begin with ``#`` are
    comments.

    Raises:
        ValueError: If a line has another form, or two classes share a color.
    """
    colors: dict[str, tuple[int, int, int]] = {}
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        values = rest.partition(":")[0].split(",")
        try:
            red, green, blue = (int(value) for value in values)
        except ValueError:
            raise ValueError(
                f"a line must be name:red,green,blue:parts:actions, got {line!r} in"
                f" line {number} of {path}"
            ) from None
        if (red, green, blue) in colors.values() or name in colors:
            raise ValueError(
                f"classes must have a name and a color each, got {line!r} again in line"
                f" {number} of {path}"
            )
        colors[name] = (red, green, blue)
    if not colors:
        raise ValueError(f"{path} must hold a line for each class, got none")
    return colors
