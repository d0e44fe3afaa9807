"""Look up the files of a data module before a network is built."""

from typing import Any

from lightning.pytorch import LightningDataModule

from lightning_classmix.datamodules.files import FileDataModule


def look_up_files(data: LightningDataModule, command: str) -> None:
    """Look up the files that a command reads, so that a missing folder is an error.

    Args:
        data: Data module; files that it downloads are not looked up.
        command: Command of the Trainer.

    Raises:
        FileNotFoundError: If a folder is missing.
    """
    if not isinstance(data, FileDataModule):
        return
    downloads = getattr(data, "download", False)
    reads_a_folder = command == "predict" and data.predict_folder is not None
    if not downloads and not reads_a_folder:
        _: Any = data.listed
