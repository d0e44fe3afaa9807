"""The command ``classmix split``: write the labeled subset to a list file."""

from pathlib import Path

from lightning_classmix.cli.console import print_line
from lightning_classmix.datamodules.files import FileDataModule
from lightning_classmix.datasets.splits import SPLIT_FILE, write_split


def split(data: FileDataModule, out: Path = Path(SPLIT_FILE)) -> None:
    """Write the names of the labeled images to a list file for ``data.split``.

    The images are those that ``fit`` would use: drawn by ``labeled`` and ``seed`` of
    the data, or read from its ``split`` (a named split, or a list of names, of
    ``image label`` pairs or of indices).

    Args:
        data: Data module that reads files, such as FolderDataModule.
        out: File to write; it must not exist.

    Raises:
        FileExistsError: If there is such a file.
    """
    if out.exists():
        raise FileExistsError(f"out must be a new file, got {out}")
    data.prepare_data()
    names = data.files.labeled.names()
    chosen = data.choose()
    write_split(out, (names[index] for index in chosen))
    print_line(f"{len(chosen)} of {len(names)} labeled images: {out}")
