"""Class names, palette and label map, read from ``classes.yaml``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_classmix.datasets.labels.label_map import LabelMap
from lightning_classmix.datasets.labels.raw_values import raw_value
from lightning_classmix.datasets.yaml_keys import repeated_key
from lightning_classmix.ops import VOID


class Classes(NamedTuple):
    """Names, colors and raw values of classes; None for what is not given."""

    class_names: Sequence[str] | None = None
    """Names, in the order of the class indices."""
    palette: Sequence[tuple[int, int, int]] | None = None
    """RGB colors in [0, 255], in the order of the class indices."""
    label_map: Mapping[int | str, int] | None = None
    """Class, or 255 for void, of each number or color ``#rrggbb``."""
    num_classes: int | None = None
    """Number of classes, C."""

    def check(self, source: str) -> None:
        """Check that the four values are well-formed and agree.

        Args:
            source: End of the error message that names the origin of the values.

        Raises:
            ValueError: If a value has the wrong form, or two values disagree.
        """
        names, palette = self.class_names, self.palette
        if names is not None and not (names and _all(names, str)):
            raise ValueError(
                f"class_names must be a list of names, got {names}{source}"
            )
        if names is not None and len({*names}) < len(names):
            raise ValueError(f"class_names must differ, got {list(names)}{source}")
        if palette is not None and not (
            palette and _all(palette, Sequence) and all(map(_is_color, palette))
        ):
            raise ValueError(
                "palette must be a list of colors, each of three numbers in [0, 255],"
                f" got {palette}{source}"
            )
        colors = [tuple(color) for color in palette or ()]
        for color in colors:
            if colors.count(color) > 1:
                same = [index for index, other in enumerate(colors) if other == color]
                raise ValueError(
                    f"palette must hold different colors, got {list(color)} for the"
                    f" classes {same}{source}"
                )
        if names and palette and len(names) != len(palette):
            raise ValueError(
                "class_names and palette must have equal lengths, got"
                f" {len(names)} names and {len(palette)} colors{source}"
            )
        listed = names or palette
        if listed and self.num_classes not in (None, len(listed)):
            raise ValueError(
                f"num_classes must be the number of names and colors, {len(listed)},"
                f" got {self.num_classes}{source}"
            )
        table = self.label_map
        if table is None:
            return
        if not (isinstance(table, Mapping) and table and _all([*table.values()], int)):
            raise ValueError(
                "label_map must map raw values to classes or to 255 for void, got"
                f" {table}{source}"
            )
        for key, label in table.items():
            try:
                raw_value(key)
            except ValueError as error:
                raise ValueError(f"{error} in label_map{source}") from None
            if not 0 <= label <= VOID:
                raise ValueError(
                    "label_map must map to classes in [0, 254] or to 255 for void,"
                    f" got {label} for {key}{source}"
                )


class ClassTable(NamedTuple):
    """The classes of a dataset, and the meaning of the values in its label files."""

    num_classes: int
    """Number of classes, C."""
    class_names: Sequence[str] | None
    """Names, in the order of the class indices; None if there are none."""
    label_map: LabelMap
    """Class, or 255 for void, of each raw value."""

    def names(self) -> Sequence[str]:
        """Return the names of the classes; their indices if there are none."""
        return self.class_names or [str(label) for label in range(self.num_classes)]


def read_classes(path: Path) -> Classes:
    """Read a YAML file: a list of class names, or any of the four values by name.

    Raises:
        ValueError: If the file is not YAML, or has other content.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
        twice = repeated_key(path.read_bytes())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be YAML, got {reason}") from error
    if twice is not None:
        raise ValueError(f"{path} must hold a key once, got {twice} twice")
    content = {} if content is None else content
    if isinstance(content, list):
        content = {"class_names": content}
    known = Classes._fields
    if not isinstance(content, dict) or not {*content} <= {*known}:
        keys = ", ".join(map(str, content)) if isinstance(content, dict) else content
        raise ValueError(f"{path} must hold {', '.join(known)}, got {keys}")
    classes = Classes(**content)
    classes.check(f" in {path}")
    colors = classes.palette and [(r, g, b) for r, g, b in classes.palette]
    return classes._replace(palette=colors)


def _all(values: Any, kind: type) -> bool:
    """Return whether ``values`` is a sequence of ``kind`` only."""
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    return listed and all(isinstance(value, kind) for value in values)


def _is_color(color: Any) -> bool:
    return _all(color, int) and len(color) == 3 and all(0 <= c <= 255 for c in color)
