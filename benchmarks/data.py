"""Time training samples against decoding the same files.

python benchmarks/data.py [--root CAMVID] [--workers 2] [--rounds 5] [--json FILE]

Three datasets: an ordinary folder, CamVid as in its recipe, and Pascal VOC as in its
recipe. Without ``--root``, smooth random JPEG images and their labels are written to
a temporary folder in these layouts; with it, the first two hold files of CamVid.
Half of the images are labeled. The reference is Pillow alone, on the same files: all
images, and the labels of the labeled ones.

For each dataset the rows are: processor time of samples in this process; of it, that
of the transforms alone, with images and labels in memory; wall time of the whole
loaders, to which collation and the transfer between processes are added. There are
two loaders, each of half of the workers.
"""

import multiprocessing
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from timing import Clock, Report, arguments
from torch.nn.functional import interpolate
from torch.utils.data import DataLoader, Dataset

from lightning_classmix import (
    CamVidDataModule,
    FolderDataModule,
    PascalVOCDataModule,
)

VOC = "VOCdevkit/VOC2012"
BATCH = 4
OPTIONS: dict[str, Any] = {"batch_size": BATCH, "unlabeled_batch_size": BATCH}


def write_pairs(
    images: list[Path], labels: list[Path], size: tuple[int, int], palette: bool
) -> None:
    """Write smooth JPEG images and blocky PNG labels."""
    height, width = size
    for image, label in zip(images, labels, strict=True):
        noise = interpolate(torch.rand(1, 3, height // 8, width // 8), size=size)[0]
        pixels = (noise * 255).byte().permute(1, 2, 0).numpy()
        classes = torch.randint(0, 11, (1, 1, height // 20, width // 20)).float()
        numbers = Image.fromarray(interpolate(classes, size=size)[0, 0].byte().numpy())
        if palette:
            numbers.putpalette([value * 7 % 256 for value in range(768)])
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(image, quality=90)
        numbers.save(label)


def write_camvid(root: Path, count: int) -> None:
    """Write images and labels in the layout of CamVid."""
    for part, number in (("train", count), ("val", 2)):
        images = [root / part / f"{index:03d}.jpg" for index in range(number)]
        labels = [root / f"{part}annot" / f"{image.stem}.png" for image in images]
        write_pairs(images, labels, (360, 480), palette=False)


def write_voc(root: Path, count: int) -> None:
    """Write images and palette labels in the layout of Pascal VOC 2012."""
    names = [f"2007_{index:06d}" for index in range(count + 2)]
    images = [root / VOC / f"JPEGImages/{name}.jpg" for name in names]
    labels = [root / VOC / f"SegmentationClass/{name}.png" for name in names]
    write_pairs(images, labels, (375, 500), palette=True)
    lists = root / VOC / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for part, some in (("train", names[:count]), ("val", names[count:])):
        (lists / f"{part}.txt").write_text("".join(f"{name}\n" for name in some))


def link_folder(camvid: Path, root: Path, count: int) -> None:
    """Link files of CamVid in the layout of `FolderDataModule`."""
    images = sorted((camvid / "train").iterdir())[:count]
    validation = sorted((camvid / "val").iterdir())[:2]
    for part, files in (("labeled", images[::2]), ("val", validation)):
        inside = root / "val" if part == "val" else root
        for image in files:
            label = image.parent.with_name(f"{image.parent.name}annot")
            link(label / f"{image.stem}.png", inside / "labels")
            link(image, inside / "images")
    for image in images[1::2]:
        link(image, root / "unlabeled")


def link(path: Path, folder: Path) -> None:
    """Link a file in another folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).symlink_to(path.resolve())


def datasets(options: Namespace, folder: Path) -> dict[str, Any]:
    """Return a function for each dataset that makes its data module."""
    camvid = options.root or folder / "camvid"
    if options.root is None:
        write_camvid(camvid, options.images)
    write_voc(folder / "voc", options.images)
    link_folder(camvid, folder / "folder", options.images)
    return {
        "folder": lambda workers: FolderDataModule(
            folder / "folder", crop=(320, 320), num_workers=workers, **OPTIONS
        ),
        "CamVid": lambda workers: CamVidDataModule(
            camvid, labeled=0.5, crop=(224, 224), num_workers=workers, **OPTIONS
        ),
        "VOC": lambda workers: PascalVOCDataModule(
            folder / "voc", "train", labeled=0.5, num_workers=workers, **OPTIONS
        ),
    }


class Decoded(Dataset[int]):
    """Decode files by Pillow and forget them."""

    def __init__(self, groups: list[list[Path]]) -> None:
        self.groups = groups

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> int:
        """Decode the image of an item and its label, if it has one."""
        return sum(np.asarray(Image.open(path)).size for path in self.groups[index])


def files_of(data: Any, steps: int) -> list[list[Path]]:
    """Return files of ``steps`` batches: images with labels, and images without."""
    labeled = list(zip(data.labeled.images, data.labeled.labels, strict=True))
    unlabeled = list(data.unlabeled.images)
    groups = []
    for index in range(steps * BATCH):
        groups.append(list(labeled[index % len(labeled)]))
        groups.append([unlabeled[index % len(unlabeled)]])
    return groups


def endless(loader: Any) -> Iterator[Any]:
    """Yield the batches of a loader, epoch by epoch."""
    while True:
        yield from loader


def time_samples(name: str, data: Any, report: Report) -> None:
    """Compare samples, and their transforms alone, with decoding in this process."""
    steps, clock = 6, Clock("cpu", report.options.threads)
    loader = data.train_dataloader()
    batches, decoded = endless(loader), Decoded(files_of(data, steps))
    views = [loader.iterables[part].dataset for part in ("labeled", "unlabeled")]
    read = [
        [(view.transform, view.source[index]) for index in range(BATCH)]
        for view in views
    ]
    seeds = iter(range(10**9))

    def samples() -> None:
        for _ in range(steps):
            next(batches)

    def transforms() -> None:
        for transform, item in (read[0] + read[1]) * steps:
            transform(item["image"], item.get("label"), seed=next(seeds))

    def decoding() -> None:
        for index in range(len(decoded)):
            decoded[index]

    functions = {"samples": samples, "transforms": transforms, "decoding": decoding}
    seconds = clock.interleave(functions, report.options.rounds)
    count = len(decoded)
    for row, target in (("samples", "<= 1.33"), ("transforms", "")):
        report.add(
            f"{name}: {row}, one process",
            "decoding alone",
            seconds[row],
            seconds["decoding"],
            target=target,
            note=f"{count / min(seconds[row]):.0f} images/s",
        )


class Workers:
    """Batches of a loader that was started, and the processor time of its workers."""

    def __init__(self, loader: Any) -> None:
        before = {process.pid for process in multiprocessing.active_children()}
        self.batches = endless(loader)
        next(self.batches)
        after = {process.pid for process in multiprocessing.active_children()}
        self.pids = after - before
        self.main = 0.0

    def read(self, steps: int) -> float:
        """Read batches; return the seconds that this took."""
        start, main = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(self.batches)
        self.main += time.process_time() - main
        return time.perf_counter() - start

    def processor_time(self) -> float:
        """Return the processor time so far in seconds, with that of this process."""
        ticks = 0
        for pid in self.pids:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(state[11]) + int(state[12])
        return self.main + ticks / os.sysconf("SC_CLK_TCK")


def time_loader(name: str, data: Any, report: Report) -> None:
    """Compare the loaders with one that only decodes, with workers."""
    workers, steps = report.options.workers, 12
    decoder = DataLoader(
        Decoded(files_of(data, steps)),
        batch_size=2 * BATCH,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    loaders = {"ours": Workers(data.train_dataloader()), "decoding": Workers(decoder)}
    wall: dict[str, list[float]] = {key: [] for key in loaders}
    processor: dict[str, list[float]] = {key: [] for key in loaders}
    for _ in range(report.options.rounds + 1):
        # Workers read ahead while the other loader is timed: count whole rounds.
        before = {key: loader.processor_time() for key, loader in loaders.items()}
        for key, loader in loaders.items():
            wall[key].append(loader.read(steps))
        for key, loader in loaders.items():
            processor[key].append(loader.processor_time() - before[key])
    count = steps * 2 * BATCH
    for row, seconds, target in (
        ("loader", wall, "<= 1.33"),
        ("processor time of the loader", processor, ""),
    ):
        ours = seconds["ours"][1:]
        report.add(
            f"{name}: {row}, {workers} workers",
            f"decoding alone, {workers} workers",
            ours,
            seconds["decoding"][1:],
            target=target,
            note=f"{count / min(ours):.0f} images/s" if seconds is wall else "",
        )


def main() -> None:
    """Run all parts for all datasets."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--root", type=Path, help="folder of CamVid")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--images", type=int, default=48, help="images of a dataset")
    options = parser.parse_args()
    report = Report(options)
    cv2.setNumThreads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in datasets(options, Path(folder)).items():
            for workers, measure in (
                (0, time_samples),
                ((options.workers + 1) // 2, time_loader),
            ):
                data = make(workers)
                data.setup("fit")
                measure(name, data, report)
    report.write()


if __name__ == "__main__":
    main()
