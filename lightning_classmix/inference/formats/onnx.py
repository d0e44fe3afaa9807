"""The export format ``onnx``: a graph for ONNX Runtime, compared with PyTorch."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info

from lightning_classmix.inference.formats.exported import Exported
from lightning_classmix.inference.formats.tracing import (
    TOLERANCE,
    Size,
    any_size_or_one,
    relative_difference,
    trace_any_size,
    trace_one_size,
)


def write(exported: Exported, folder: Path) -> list[str]:
    """Write ``model.onnx`` for images of any size, or of one size if it must be.

    The graph contains the padding to the network's stride. It is run in ONNX Runtime
    with random images of three sizes.

    Raises:
        ModuleNotFoundError: If the optional packages are not installed.
        ValueError: If the logits differ from those of PyTorch by more than 0.1 % of the
            largest logit.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"format 'onnx' must have the package {error.name}, got none; install"
            " lightning-classmix[export]"
        ) from error
    network = exported.network
    channels = exported.module.in_channels
    step = network.stride
    least = max(64, 2 * step, network.smallest)
    sizes = [
        (least + 2 * step, least + 4 * step),
        (least + 6, least + step + 13),
        (33, 70),
    ]
    path = folder / "model.onnx"

    def attempt(size: Size | None) -> float:
        if size is None:
            model = _convert(trace_any_size(network, channels))
            model = _with_padding(model, step, network.smallest, channels)
            _save(model, path, exported, "any")
            return _compare(exported, path, sizes)
        model = _convert(trace_one_size(network, channels, size))
        _save(model, path, exported, [*size])
        return _compare(exported, path, [size])

    size, difference = any_size_or_one(exported, attempt, target=" to ONNX")
    if difference > TOLERANCE:
        raise ValueError(
            "the ONNX file must have the logits of PyTorch, got a relative difference"
            f" of {difference:.1e}; use format 'torch_export' or 'safetensors'"
        )
    onnx.checker.check_model(path)
    described = f"{size[0]} x {size[1]}" if size else "any"
    rank_zero_info(
        f"image size: {described}; largest difference between ONNX Runtime and"
        f" PyTorch: {difference:.1e} of the largest logit"
    )
    exported.metadata["image_size"] = [*size] if size else "any"
    exported.metadata["largest_difference"] = difference
    return ["model.onnx"]


def _convert(program: torch.export.ExportedProgram) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["image"],
            output_names=["logits"],
            verbose=False,
        )
    return converted.model_proto


def _with_padding(model: Any, step: int, smallest: int, channels: int) -> Any:
    """Put the padding to the stride before the graph, and the crop after it.

    Both are computed from the size of the image when the graph is run.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    if step > 1 or smallest > 1:
        inner = graph.input[0].name
        outer = graph.output[0].name
        for node in graph.node:
            node.input[:] = ["padded" if x == inner else x for x in node.input]
            node.output[:] = ["padded_logits" if x == outer else x for x in node.output]
            node.input[:] = ["padded_logits" if x == outer else x for x in node.input]
        for name, values in {
            "pad_step": [step],
            "pad_less": [step - 1],
            "pad_smallest": [smallest],
            "pad_none": [0] * 6,
            "axes": [2, 3],
            "first": [0, 0],
        }.items():
            graph.initializer.append(
                helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
            )
        before = [
            helper.make_node("Shape", ["image"], ["size"], start=2, end=4),
            helper.make_node("Max", ["size", "pad_smallest"], ["pad_size"]),
            helper.make_node("Add", ["pad_size", "pad_less"], ["pad_up"]),
            helper.make_node("Div", ["pad_up", "pad_step"], ["pad_count"]),
            helper.make_node("Mul", ["pad_count", "pad_step"], ["pad_to"]),
            helper.make_node("Sub", ["pad_to", "size"], ["pad_by"]),
            helper.make_node("Concat", ["pad_none", "pad_by"], ["pads"], axis=0),
            helper.make_node("Pad", ["image", "pads"], ["padded"], mode="edge"),
        ]
        crop = helper.make_node(
            "Slice", ["padded_logits", "first", "size", "axes"], ["logits"]
        )
        nodes = [*before, *graph.node, crop]
        del graph.node[:]
        graph.node.extend(nodes)
    classes = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    for values, name, depth in (
        (graph.input, "image", channels),
        (graph.output, "logits", classes),
    ):
        del values[:]
        shape = ["batch", depth, "height", "width"]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    del graph.value_info[:]  # its sizes are those of the padded image
    return model


def _save(model: Any, path: Path, exported: Exported, rule: Any) -> None:
    import onnx

    values = exported.metadata | {"image_size": rule}
    del model.metadata_props[:]
    onnx.helper.set_model_props(
        model, {key: json.dumps(value) for key, value in values.items()}
    )
    onnx.save(model, path)


@torch.no_grad()
def _compare(exported: Exported, path: Path, sizes: Sequence[tuple[int, int]]) -> float:
    """Return the largest relative difference of ONNX Runtime to PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; they need not be printed too
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    generator = torch.Generator().manual_seed(0)
    differences = []
    for index in range(3):
        height, width = sizes[index % len(sizes)]
        shape = (index + 1, exported.module.in_channels, height, width)
        image = torch.randn(shape, generator=generator)
        logits = session.run(["logits"], {"image": image.numpy()})[0]
        differences.append(
            relative_difference(torch.from_numpy(logits), exported.network(image))
        )
    return max(differences)
