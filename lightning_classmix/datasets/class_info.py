"""Class names, palette and label map, read from ``classes.yaml``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_classmix.datasets.label_map import raw_value
from lightning_classmix.ops import VOID


class Classes(NamedTuple):
    """Names, colors and raw values of classes; None for what is not known."""

    class_names: Sequence[str] | None = None
    """In order of the classes, from 0 on."""
    palette: Sequence[tuple[int, int, int]] | None = None
    """RGB in [0, 255], in order of the classes."""
    label_map: Mapping[int | str, int] | None = None
    """Class, or 255 for void, of each number or color ``#rrggbb``."""
    num_classes: int | None = None
    """How many there are, C."""

    def check(self, where: str) -> None:
        """Raise a ValueError, which tells ``where``, if something is not as it must."""
        names, palette = self.class_names, self.palette
        if names is not None and not (names and _all(names, str)):
            raise ValueError(f"class_names must be a list of names, got {names}{where}")
        if names is not None and len({*names}) < len(names):
            raise ValueError(f"class_names must differ, got {list(names)}{where}")
        if palette is not None and not (
            palette and _all(palette, Sequence) and all(map(_is_color, palette))
        ):
            raise ValueError(
                "palette must be a list of colors, each of three numbers in [0, 255],"
                f" got {palette}{where}"
            )
        if names and palette and len(names) != len(palette):
            raise ValueError(
                f"class_names and palette must be as many, got {len(names)} names and"
                f" {len(palette)} colors{where}"
            )
        listed = names or palette
        if listed and self.num_classes not in (None, len(listed)):
            raise ValueError(
                f"num_classes must be that of the names and colors, {len(listed)}, got"
                f" {self.num_classes}{where}"
            )
        table = self.label_map
        if table is None:
            return
        if not (isinstance(table, Mapping) and table and _all([*table.values()], int)):
            raise ValueError(
                "label_map must lead from raw values to classes or to 255 for void, got"
                f" {table}{where}"
            )
        for key, label in table.items():
            try:
                raw_value(key)
            except ValueError as error:
                raise ValueError(f"{error} in label_map{where}") from None
            if not 0 <= label <= VOID:
                raise ValueError(
                    "label_map must lead to classes in [0, 254] or to 255 for void,"
                    f" got {label} for {key}{where}"
                )


def read_classes(path: Path) -> Classes:
    """Read a YAML file: class names alone, or any of the four parts by its name.

    Raises:
        ValueError: If it is no YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be YAML, got {reason}") from error
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
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    return listed and all(isinstance(value, kind) for value in values)


def _is_color(color: Any) -> bool:
    return _all(color, int) and len(color) == 3 and all(0 <= c <= 255 for c in color)
