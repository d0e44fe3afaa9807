"""The command ``classmix export``: write a trained network to a file."""

from pathlib import Path
from typing import Literal

from lightning_classmix.cli.console import print_line
from lightning_classmix.inference import export as exports


def export(
    ckpt_path: Path,
    out: Path,
    format: exports.Format = "onnx",
    network: Literal["student", "teacher"] | None = None,
) -> None:
    """Write the network of a checkpoint to a folder, with metadata in ``model.json``.

    Args:
        ckpt_path: Checkpoint of fit.
        out: Folder to write to, created if it does not exist.
        format: onnx for ONNX Runtime; torch_export for torch.export.load; safetensors
            for student_weights; smp for from_pretrained of segmentation-models-pytorch;
            checkpoint for Predictor and classmix predict, with one network only.
        network: Network to write; null writes the network that is used for prediction.
    """
    written = exports.export(ckpt_path, out, network=network, format=format)
    print_line(f"exported: {written}")
