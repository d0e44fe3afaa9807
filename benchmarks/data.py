"""Time training samples against decoding the same files.

python benchmarks/data.py [--root CAMVID] [--workers 2] [--rounds 5] [--json FILE]

Without ``--root``, smooth random JPEG images of 480x360 and their labels are written to
a temporary folder in the layout of CamVid. The first row is processor time in one
process; the second wall time of the whole loader, to which collation and the transfer
between processes are added.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timing import Clock, Report, arguments
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from lightning_classmix import CamVidDataModule
from lightning_classmix.datasets.image_reading import read_image

IMAGES = 48


def write_images(root: Path) -> None:
    """Write images and labels in the layout of CamVid."""
    torch.manual_seed(0)
    for name, count in (("train", IMAGES), ("val", 2)):
        for folder in (name, f"{name}annot"):
            (root / folder).mkdir(parents=True)
        for index in range(count):
            noise = interpolate(torch.rand(1, 3, 45, 60), size=(360, 480))[0]
            pixels = (noise * 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(root / name / f"{index:03d}.jpg", quality=90)
            coarse = torch.randint(0, 12, (18, 24), dtype=torch.uint8).numpy()
            label = np.kron(coarse, np.ones((20, 20), np.uint8))
            Image.fromarray(label).save(root / f"{name}annot" / f"{index:03d}.png")


class Decoded(Dataset[int]):
    """Read files and forget them."""

    def __init__(self, groups: list[list[Path]]) -> None:
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> int:
        """Decode the image of an item and its label, if it has one."""
        image, *label = self.groups[index]
        pixels = np.asarray(read_image(image))
        for path in label:
            np.asarray(Image.open(path))
        return int(pixels[0, 0, 0])


def groups_of(root: Path, labeled: bool) -> list[list[Path]]:
    """Return the first training images, each with its label if it is labeled."""
    groups = []
    for image in sorted((root / "train").iterdir())[:IMAGES]:
        label = root / "trainannot" / f"{image.stem}.png"
        groups.append([image, label] if labeled else [image])
    return groups


def data_of(root: Path, workers: int) -> Any:
    """Return the data module, set up to train with flips, scales, crops and jitter."""
    data = CamVidDataModule(
        root, labeled=0.5, batch_size=4, num_workers=workers, crop=(320, 320)
    )
    data.setup("fit")
    return data


def time_samples(root: Path, report: Report) -> None:
    """Compare samples with decoding, in this process."""
    data = data_of(root, 0)
    clock = Clock("cpu", report.options.threads)
    loader = iter(data.train_dataloader())
    files = Decoded(groups_of(root, True)), Decoded(groups_of(root, False))

    def ours() -> None:
        for _ in range(6):
            next(loader)

    def decoding() -> None:
        for index in range(6 * 4):
            for decoded in files:
                decoded[index]

    data.setup("fit")
    loader = endless(data.train_dataloader())
    seconds = clock.interleave(
        {"ours": ours, "decoding": decoding}, report.options.rounds
    )
    report.add(
        "48 training samples, half of them labeled, no workers",
        "decoding alone",
        seconds["ours"],
        seconds["decoding"],
        target="<= 1.33",
        note=f"{48 / min(seconds['ours']):.0f} images/s",
    )


def endless(loader: Any) -> Iterator[Any]:
    """Yield the batches of a loader, epoch by epoch."""
    while True:
        yield from loader


def time_loader(root: Path, report: Report) -> None:
    """Compare the loader with one that only decodes, with workers."""
    workers = report.options.workers
    batches = endless(data_of(root, workers).train_dataloader())
    groups = [
        group
        for pair in zip(groups_of(root, True), groups_of(root, False), strict=True)
        for group in pair
    ]
    decoder = endless(
        DataLoader(
            Decoded(groups * 4),
            batch_size=8,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
    )
    ours, decoding = [], []
    for _ in range(report.options.rounds + 1):
        start = time.perf_counter()
        for _ in range(12):
            next(batches)
        middle = time.perf_counter()
        for _ in range(12):
            next(decoder)
        ours.append(middle - start)
        decoding.append(time.perf_counter() - middle)
    report.add(
        f"loader, 96 images, {workers} workers",
        f"decoding alone, {workers} workers",
        ours[1:],
        decoding[1:],
        target="<= 1.33",
        note=f"{96 / min(ours[1:]):.0f} images/s",
    )


def main() -> None:
    """Run both parts."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--root", type=Path, help="folder of CamVid")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    options = parser.parse_args()
    report = Report(options)
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder)
        if options.root is None:
            write_images(root)
        time_samples(root, report)
        time_loader(root, report)
    report.write()


if __name__ == "__main__":
    main()
