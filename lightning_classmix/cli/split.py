"""The command ``classmix split``: write down which images are labeled."""

from pathlib import Path

from rich.console import Console

from lightning_classmix.datamodules.files import SPLIT_FILE, FileDataModule
from lightning_classmix.datasets.splits import write_split


def split(data: FileDataModule, out: Path = Path(SPLIT_FILE)) -> None:
    """Write down which images keep their labels, as a list file for ``data.split``.

    They are drawn as ``fit`` would draw them, by the data's ``labeled`` and ``seed``,
    or taken over from its ``split``: a known name, or a list of names, of
    ``image label`` pairs or of indices.

    Args:
        data: Data module over files, such as FolderDataModule.
        out: File to write, which must not be there yet.

    Raises:
        FileExistsError: If there is such a file.
    """
    if out.exists():
        raise FileExistsError(f"out must be a new file, got {out}")
    data.prepare_data()
    names = data.files.labeled.names()
    chosen = data.choose()
    write_split(out, (names[index] for index in chosen))
    Console(soft_wrap=True, markup=False, highlight=False).print(
        f"{len(chosen)} of {len(names)} labeled images: {out}"
    )
