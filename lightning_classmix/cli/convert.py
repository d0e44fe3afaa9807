"""The command ``classmix convert``: write annotations of other formats as a folder."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lightning_classmix.atomic import write_text
from lightning_classmix.cli.console import print_line
from lightning_classmix.datasets.importers.writer import IMPORTERS, write_folder

FAULTS_FILE = "not_converted.txt"
_SHOWN = 20


def convert(
    source: Path,
    from_: Literal["coco", "labelme", "labelstudio", "supervisely", "voc"],
    out: Path,
    images: Path | None = None,
    background: str | None = "background",
) -> None:
    """Convert annotations to a folder that FolderDataModule reads.

    OUT receives images, labels (class per pixel), classes.yaml, and unlabeled for
    images without any object; val and test are kept apart where the source does. Where
    objects overlap, the smaller one by its number of pixels is on top. Objects that are
    only a box become void, 255. What could not be converted is listed and written to
    not_converted.txt; the exit status is then 1.

    Args:
        source: Annotation file, or the folder of the annotations; it may be given
            without --source.
        from_: Format: coco (polygons and run lengths), labelme, labelstudio (its JSON
            export), supervisely (a project folder) or voc (SegmentationClass).
        out: Folder to write to; it must be empty or new.
        images: Folder of the images; null looks in the folder of the annotations.
        background: Name of the class of all pixels without an object, class 0; null
            makes them void.

    Raises:
        FileNotFoundError: If source or images does not exist.
        FileExistsError: If out holds something.
    """
    if not source.exists():
        raise FileNotFoundError(f"source must be a file or folder, got {source}")
    folder = images or (source.parent if source.is_file() else source)
    if not folder.is_dir():
        raise FileNotFoundError(f"images must be a folder, got {folder}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"out must be an empty or new folder, got {out}")
    dataset = IMPORTERS[from_](source, folder)
    written = write_folder(dataset, out, background=background)
    for part, count in sorted(written.counts.items()):
        print_line(f"{count} images: {out / part}")
    if written.overlap:
        print_line(
            f"objects of different classes overlap in {written.overlap:.2%} of the"
            " labeled pixels: the smaller object is on top"
        )
    if written.faults:
        path = out / FAULTS_FILE
        write_text(path, "".join(f"{fault}\n" for fault in written.faults))
        lines = written.faults[:_SHOWN]
        sys.stderr.write(
            f"classmix: error: {len(written.faults)} items were not converted, listed"
            f" in {path}:\n" + "".join(f"{line}\n" for line in lines)
        )
        raise SystemExit(1)


def convert_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the command with its source as the option ``--source``.

    Args:
        arguments: Options with their values, and one path.

    Example:
        >>> convert_arguments(["--from", "coco", "a.json", "--out", "b"])
        ['--from_', 'coco', '--source', 'a.json', '--out', 'b']
    """
    result: list[str] = []
    remaining = list(arguments)
    while remaining:
        text = remaining.pop(0)
        if not text.startswith("-"):
            result += ["--source", text]
            continue
        name, separator, value = text.partition("=")
        result.append(f"{'--from_' if name == '--from' else name}{separator}{value}")
        if not separator and remaining and name not in ("-h", "--help"):
            result.append(remaining.pop(0))
    return result
