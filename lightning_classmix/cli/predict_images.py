"""The command ``classmix predict-images``: label maps and overlays of image files."""

import csv
import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from lightning_classmix.atomic import atomic_file
from lightning_classmix.callbacks.signals import Interrupted
from lightning_classmix.cli.console import print_line, printable
from lightning_classmix.datasets.image_io import MAX_IMAGE_PIXELS, list_images
from lightning_classmix.inference.georeference import write_georeferenced
from lightning_classmix.inference.predictor import Predictor
from lightning_classmix.modules.prediction import to_array


def predict_images(
    inputs: list[str],
    ckpt_path: Path,
    out: Path,
    device: str | None = None,
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true",
    window: tuple[int, int] | None = None,
    batch_size: int = 1,
    blend: Literal["uniform", "gaussian"] = "uniform",
    probabilities: bool = False,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
) -> None:
    """Predict image files with the network of a checkpoint.

    For each image, OUT receives labels/NAME.png (class per pixel, with a palette) and
    overlays/NAME.png (class colors over the image), and class_shares.csv one row. For a
    GeoTIFF, labels/NAME.tif has its georeference, if rasterio is installed. An image
    that cannot be read is reported and left out; the exit status is then 1.

    With a window, an image needs at most 20 bytes per pixel, and 4 bytes per class for
    the pixels of one row of windows; with probabilities, another 10 bytes per pixel and
    class.

    Args:
        inputs: Image files, folders or glob patterns; they may be given before the
            options without --inputs.
        ckpt_path: Checkpoint of fit or of export.
        out: Folder to write to; existing files are replaced.
        device: Device such as cpu or cuda:1; null uses a GPU if there is one.
        precision: 32-true for float32; 16-mixed or bf16-mixed for mixed precision.
        window: Height and width in pixels of a sliding window; null uses the window of
            the checkpoint, if it has one.
        batch_size: Number of windows that the network receives at once.
        blend: Weight of pixels where windows overlap; uniform as in validation, or
            gaussian, which favors the center of a window.
        probabilities: Write probabilities/NAME.npy, float16 (classes, height, width).
        max_image_pixels: Largest number of pixels of an image; a larger file is left
            out.
    """
    if out.is_file():
        raise FileExistsError(f"out must be a folder, got the file {out}")
    files = dict(_files(inputs, out))
    predictor = Predictor.from_checkpoint(
        ckpt_path,
        device=device,
        precision=precision,
        window=window,
        batch_size=batch_size,
        blend=blend,
    )
    out.mkdir(parents=True, exist_ok=True)
    faults = []
    rows: list[list[Any]] = []
    try:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            for name, path in progress.track(files.items(), description="predict"):
                try:
                    image = to_array(
                        path, predictor.module.in_channels, max_image_pixels
                    )
                    label = predictor(image, probabilities=probabilities)
                except (OSError, ValueError) as error:
                    faults.append(str(error))
                    continue
                shares = _write(predictor, image, label, out, name, path)
                rows.append([name, *(f"{share:.6f}" for share in shares)])
    except (OSError, Interrupted) as error:
        error.add_note(f"{len(rows)} predictions: {out}")
        raise
    _write_shares(out / "class_shares.csv", predictor.module.class_names, rows)
    print_line(f"{len(rows)} predictions: {out}")
    if faults:
        sys.stderr.write(f"classmix: error: {len(faults)} images were left out:\n")
        sys.stderr.write("".join(f"{printable(fault)}\n" for fault in faults))
        raise SystemExit(1)


def input_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the command with its paths as one list.

    Args:
        arguments: Paths before the first option or after ``--inputs``, and options.

    Example:
        >>> input_arguments(["a.png", "b", "--out", "c"])
        ['--inputs=["a.png", "b"]', '--out', 'c']
        >>> input_arguments(["--out", "c", "--inputs", "a.png", "b"])
        ['--out', 'c', '--inputs=["a.png", "b"]']
    """
    before: list[str] = []
    places = [i for i, text in enumerate(arguments) if text.split("=")[0] == "--inputs"]
    if places:
        before, (flag, *arguments) = [*arguments[: places[0]]], arguments[places[0] :]
        arguments = [*flag.split("=", 1)[1:], *arguments]
        if arguments and arguments[0].startswith("["):  # a list already
            return [*before, f"--inputs={arguments[0]}", *arguments[1:]]
    paths = [*takewhile(lambda text: not text.startswith("-"), arguments)]
    inputs = [f"--inputs={json.dumps(paths)}"] if paths else []
    return [*before, *inputs, *arguments[len(paths) :]]


def _files(inputs: Sequence[str], out: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and path of each image, with a unique name.

    Earlier predictions, in a folder ``out`` that is part of an input, are left out.
    """
    written = out.resolve()
    names: dict[str, Path] = {}
    for pattern in inputs:
        paths: list[tuple[str, Path]] = []
        if os.path.isdir(pattern):
            root = Path(pattern)
            if root.resolve() == written:
                raise ValueError(f"out must not be a folder of the inputs, got {out}")
            inside = written.is_relative_to(root.resolve())
            for path in map(Path, list_images(root).strings()):
                if inside and path.resolve().is_relative_to(written):
                    continue
                paths.append((str(path.relative_to(root).with_suffix("")), path))
        else:
            found = [pattern] if os.path.isfile(pattern) else glob.glob(pattern)
            if not found:
                raise FileNotFoundError(
                    f"inputs must be image files, folders or glob patterns, got"
                    f" {pattern!r}, which matches no file"
                )
            paths += [(Path(file).stem, Path(file)) for file in sorted(found)]
        for name, path in paths:
            other = names.setdefault(name, path)
            if other.absolute() != path.absolute():
                raise ValueError(
                    f"the images must have different names, got {other} and {path};"
                    " predict them into different folders"
                )
            yield name, path


def _write(
    predictor: Predictor,
    image: NDArray[np.uint8],
    label: Tensor,
    out: Path,
    name: str,
    source: Path,
) -> list[float]:
    """Write the files of one image, and return the share of each class."""
    if label.ndim == 3:  # probabilities
        target = _target(out, "probabilities", name, ".npy")
        with atomic_file(target) as file:
            np.save(file, label.numpy().astype(np.float16))
        label = label.argmax(0).byte()
    index_image = Image.fromarray(label.numpy()).convert("P")
    index_image.putpalette(np.array(predictor.palette, np.uint8).tobytes())
    with atomic_file(_target(out, "labels", name, ".png")) as file:
        index_image.save(file, format="PNG")
    write_georeferenced(
        _target(out, "labels", name, ".tif"), label.numpy(), source, predictor.palette
    )
    overlay = Image.fromarray(predictor.overlay(image, label))
    with atomic_file(_target(out, "overlays", name, ".png")) as file:
        overlay.save(file, format="PNG")
    counts = torch.bincount(
        label.flatten(), minlength=predictor.module.num_classes
    ).double()
    shares: list[float] = (counts / label.numel()).tolist()
    return shares


def _target(out: Path, kind: str, name: str, suffix: str) -> Path:
    path = out / kind / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_shares(
    path: Path, class_names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    # File names may be other bytes than UTF-8.
    options = {"encoding": "utf-8", "errors": "surrogateescape"}
    with atomic_file(path, "w", newline="", **options) as file:
        writer = csv.writer(file)
        writer.writerow(["name", *class_names])
        writer.writerows(rows)
