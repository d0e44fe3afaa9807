"""Export a trained network to a file, with its metadata as ``model.json``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lightning_classmix.atomic import atomic_folder, write_json
from lightning_classmix.inference.formats import (
    checkpoint,
    onnx,
    safetensors,
    smp,
    torch_export,
)
from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.inference.loading import load_module
from lightning_classmix.inference.metadata import describe
from lightning_classmix.models.network import copy_network
from lightning_classmix.models.teacher import Teacher
from lightning_classmix.modules.evaluation import EvaluationModule
from lightning_classmix.ops.ranges import check_choice

Format: TypeAlias = Literal["onnx", "torch_export", "safetensors", "smp", "checkpoint"]

_WRITERS: Mapping[str, Callable[[Exported, Path], list[str]]] = {
    "onnx": onnx.write,
    "torch_export": torch_export.write,
    "safetensors": safetensors.write,
    "smp": smp.write,
    "checkpoint": checkpoint.write,
}


def export(
    checkpoint_or_module: str | Path | EvaluationModule,
    out: str | Path,
    *,
    network: Literal["student", "teacher"] | None = None,
    format: Format = "onnx",
) -> Path:
    """Export the network of a module to a folder, with its metadata as ``model.json``.

    The file is ``model.onnx``, ``model.pt2``, ``model.safetensors`` or ``model.ckpt``;
    ``smp`` writes a folder. Formats that contain a graph are compared with PyTorch.

    Args:
        checkpoint_or_module: Path of a checkpoint, or a module in memory.
        out: Folder to write to, created if it does not exist.
        network: Network to export; None means the network that ``forward`` uses.
        format: ``onnx`` for ONNX Runtime; ``torch_export`` for ``torch.export.load``;
            ``safetensors`` for ``student_weights=``; ``smp`` for ``from_pretrained`` of
            segmentation-models-pytorch; ``checkpoint`` for `Predictor` and ``classmix
            predict``, with one network only.

    Returns:
        Path of the file; for ``smp`` that of the folder.

    Raises:
        ValueError: If the network cannot be exported to the format, or the exported
            network has other logits.
        FileExistsError: If ``out`` contains an earlier export, or for ``smp`` a
            ``README.md`` or ``config.json``.
        OSError: If the files cannot be written; none is left.
        ModuleNotFoundError: If the format needs a package that is not installed.
    """
    check_choice("format", format, get_args(Format))
    content: dict[str, Any] = {}
    module = checkpoint_or_module
    if not isinstance(module, EvaluationModule):
        module, content = load_module(module)
    name = network or module.evaluate
    check_choice("network", name, module.networks)
    model: Any = getattr(module, name)
    if isinstance(model, Teacher):
        model = model.network
    model = copy_network(model).cpu().float().eval().requires_grad_(False)
    metadata = describe(module, model, name=name, checkpoint=content)
    metadata["format"] = format

    folder = Path(out)
    taken = [path.name for path in _present(folder, format)]
    if taken:
        raise FileExistsError(
            f"out must not contain files that the export writes, got {folder} with"
            f" {', '.join(taken)}; choose another folder"
        )
    exported = Exported(module, model, metadata, content)
    with atomic_folder(folder) as temporary:
        written = _WRITERS[format](exported, temporary)
        write_json(temporary / "model.json", metadata)
    return folder / written[0] if len(written) == 1 else folder


def _present(folder: Path, format: Format) -> list[Path]:
    """Return the files of a folder that have a name that the format writes."""
    names = ["model.*"] + (["README.md", "config.json"] if format == "smp" else [])
    return sorted(path for name in names for path in folder.glob(name))
