"""Find the image files that annotations name."""

import os
from pathlib import Path, PurePosixPath

from lightning_classmix.datasets.image_io import list_images


class ImageFinder:
    """Finds images below a folder by the names that annotations use.

    Args:
        folder: Folder of the images and of folders in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            paths = list(list_images(folder).strings())
        except ValueError:  # no images
            paths = []
        self.paths = [Path(path) for path in paths]
        self._by_name: dict[str, list[Path]] = {}
        for path in self.paths:
            self._by_name.setdefault(path.name, []).append(path)

    def find(self, name: str, folder: Path) -> Path:
        """Return the file of an image.

        Args:
            name: Name as the annotation has it: a path from any computer.
            folder: Folder of the annotation file, where the image is looked for first.

        Raises:
            ValueError: If there is no such file, or several and none fits better.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts
        tails = [os.path.join(*parts[start:]) for start in range(len(parts))]
        for tail in tails:
            path = folder / tail
            if path.is_file():
                return path
        found = self._by_name.get(parts[-1] if parts else "", [])
        for tail in tails:
            fitting = [path for path in found if str(path).endswith(os.sep + tail)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise ValueError(
                    f"the image {name} must be one file, got {fitting[0]} and"
                    f" {fitting[1]}"
                )
        raise ValueError(
            f"the image {name} must be in {self.folder}, got none; give its folder as"
            " --images"
        )

    def name(self, path: Path) -> str:
        """Return the name of a file relative to the folder, without its suffix."""
        inside = Path(path.name)
        if path.is_relative_to(self.folder):
            inside = path.relative_to(self.folder)
        return inside.with_suffix("").as_posix()


def part_of(*names: str) -> str:
    """Return ``val``, ``test`` or ``train`` by the names of a file and its folders.

    Example:
        >>> part_of("annotations", "instances_val2017"), part_of("export")
        ('val', 'train')
    """
    words = {"val": "val", "valid": "val", "validation": "val", "test": "test"}
    for name in reversed(names):
        for word in name.lower().replace("-", "_").split("_"):
            if word.rstrip("0123456789") in words:
                return words[word.rstrip("0123456789")]
    return "train"
