"""What holds for every operation: one graph, no host synchronization, dtypes."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_classmix import ops

Inputs = dict[str, Tensor]
Op = Callable[[Inputs], Any]  # a tensor, or several

CLASSES = 5
SHAPE = (3, 8, 12)


def average(x: Inputs, decay: float) -> Tensor:
    moved = x["average"].clone()
    ops.ema_update_([moved], [x["logits"]], decay)
    return moved


# Operations on logits, or on values of any float dtype.
OPS_OF_LOGITS: dict[str, Op] = {
    "pseudo_label": lambda x: ops.pseudo_label(x["logits"]),
    "cross_entropy": lambda x: ops.cross_entropy(x["logits"], x["label"]),
    "cross_entropy_weighted": lambda x: ops.cross_entropy(
        x["logits"], x["label"], weight=x["confidence"], ignore_index=2
    ),
    "mean_squared_error": lambda x: ops.mean_squared_error(
        x["logits"], x["probabilities"]
    ),
    "mean_squared_error_weighted": lambda x: ops.mean_squared_error(
        x["logits"], x["probabilities"], weight=x["confidence"], valid=x["valid"]
    ),
    "mix_images": lambda x: ops.mix(x["logits"], x["valid"]),
    "sliding_window": lambda x: ops.sliding_window(torch.neg, x["logits"], (4, 5)),
    "flip_average": lambda x: ops.flip_average(torch.neg, x["logits"]),
    "padded": lambda x: ops.padded(torch.neg, x["logits"], (9, 11)),
    "ema_update_": lambda x: average(x, 0.75),
    "ema_update_first": lambda x: average(x, 0.0),
}
OPS_OF_ONE_DTYPE: dict[str, Op] = {
    "classmix_mask": lambda x: ops.classmix_mask(x["label"], CLASSES),
    "classmix_mask_dacs": lambda x: ops.classmix_mask(
        x["label"], CLASSES, rounding="ceil", exclude=(0, 3), ignore_index=2
    ),
    "cutmix_mask": lambda x: ops.cutmix_mask(SHAPE, device=x["label"].device),
    "cowmix_mask": lambda x: ops.cowmix_mask(
        SHAPE, sigma=(1.0, 3.0), share=0.3, device=x["label"].device
    ),
    "mix_labels": lambda x: ops.mix(x["label"], x["valid"]),
    "mix_confidence": lambda x: ops.mix(x["confidence"], x["valid"]),
    "mix_valid": lambda x: ops.mix(x["valid"], ~x["valid"]),
    "void_invalid_labels": lambda x: ops.void_invalid_labels(x["label"], CLASSES),
    "confident_share": lambda x: ops.confident_share(
        x["confidence"], threshold=0.5, valid=x["valid"]
    ),
    "confident_share_of_batch": lambda x: ops.pixel_weight(
        x["confidence"], "confident_share", threshold=0.5, valid=x["valid"]
    ),
    "confident_share_per_image": lambda x: ops.pixel_weight(
        x["confidence"], "confident_share_per_image", threshold=0.5, valid=x["valid"]
    ),
    "confident_pixels": lambda x: ops.pixel_weight(
        x["confidence"], "confident_pixels", threshold=0.5, valid=x["valid"]
    ),
    "uniform": lambda x: ops.pixel_weight(x["confidence"], "uniform"),
}
HALVES = [torch.float16, torch.bfloat16]
CASES = [
    pytest.param(op, dtype, id=f"{name}-{str(dtype).removeprefix('torch.')}")
    for ops_of_a_kind, dtypes in (
        (OPS_OF_LOGITS, [torch.float32, *HALVES]),
        (OPS_OF_ONE_DTYPE, [torch.float32]),
    )
    for name, op in ops_of_a_kind.items()
    for dtype in dtypes
]
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
SOURCES = sorted(Path(ops.__file__).parent.glob("*.py"))


def inputs(dtype: torch.dtype, device: str) -> Inputs:
    """Return one input of each kind, from a fixed seed; the label contains void."""
    generator = torch.Generator().manual_seed(0)
    batch, height, width = SHAPE
    per_class = (batch, CLASSES, height, width)
    precise = torch.promote_types(dtype, torch.float32)
    made = {
        "logits": torch.randn(per_class, generator=generator).to(dtype),
        "average": torch.randn(per_class, generator=generator),
        "probabilities": torch.rand(per_class, generator=generator).to(precise),
        "confidence": torch.rand(SHAPE, generator=generator).to(precise),
        "valid": torch.rand(SHAPE, generator=generator) < 0.7,
        "label": torch.randint(-1, CLASSES + 1, SHAPE, generator=generator),
    }
    return {name: tensor.to(device) for name, tensor in made.items()}


def tensors_of(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_an_op_does_not_synchronize_with_the_host(op: Op, dtype: torch.dtype) -> None:
    # A meta tensor has no values: reading a value on the host is an error.
    met = {name: each.to("meta") for name, each in inputs(dtype, "cpu").items()}
    results, expected = tensors_of(op(met)), tensors_of(op(inputs(dtype, "cpu")))
    for result, real in zip(results, expected, strict=True):
        assert result.device.type == "meta"
        assert result.shape == real.shape
        assert result.dtype == real.dtype


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_an_op_compiles_to_one_graph_with_the_same_result(
    op: Op, dtype: torch.dtype, device: str
) -> None:
    torch.compiler.reset()
    compiled = torch.compile(op, fullgraph=True, backend="eager")
    torch.manual_seed(0)
    expected = tensors_of(op(inputs(dtype, device)))
    torch.manual_seed(0)
    results = tensors_of(compiled(inputs(dtype, device)))
    for result, real in zip(results, expected, strict=True):
        torch.testing.assert_close(result, real)  # checks dtypes; integers are equal


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("op", "dtype"), CASES)
def test_an_op_stays_on_the_device_of_its_inputs_and_does_not_change_them(
    op: Op, dtype: torch.dtype, device: str
) -> None:
    given = inputs(dtype, device)
    for result in tensors_of(op(given)):
        assert result.device.type == device
    for name, tensor in inputs(dtype, device).items():
        assert torch.equal(given[name], tensor)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALVES])
@pytest.mark.parametrize(
    "name",
    [
        "pseudo_label",
        "cross_entropy",
        "cross_entropy_weighted",
        "mean_squared_error",
        "mean_squared_error_weighted",
        "confident_share",
        "confident_share_of_batch",
        "confident_share_per_image",
        "confident_pixels",
        "uniform",
    ],
)
def test_confidence_weight_and_loss_are_at_least_float32(
    name: str, dtype: torch.dtype, device: str
) -> None:
    result = (OPS_OF_LOGITS | OPS_OF_ONE_DTYPE)[name](inputs(dtype, device))
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    assert tensors_of(result)[0].dtype == precise


@pytest.mark.parametrize("dtype", HALVES)
def test_the_loss_against_a_target_of_half_precision_is_float32(
    dtype: torch.dtype,
) -> None:
    given = inputs(dtype, "cpu")
    loss = ops.mean_squared_error(given["logits"], given["probabilities"].to(dtype))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("name", [*OPS_OF_LOGITS, *OPS_OF_ONE_DTYPE])
def test_an_op_returns_masks_as_bool_and_labels_as_int64(name: str) -> None:
    results = tensors_of(
        (OPS_OF_LOGITS | OPS_OF_ONE_DTYPE)[name](inputs(torch.float32, "cpu"))
    )
    if "mask" in name or name == "mix_valid":
        assert results[0].dtype == torch.bool
    elif name in ("mix_labels", "void_invalid_labels", "pseudo_label"):
        assert results[-1].dtype == torch.int64
    else:
        assert results[0].dtype == torch.float32


def test_every_public_operation_on_tensors_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    called = {name for name in ops.__all__ if f"ops.{name}(" in source}
    plain = {"VOID", "PixelWeighting", "derive_seed", "ema_decay", "poly"}
    assert set(ops.__all__) - called == plain | {"sigmoid_ramp", "window_starts"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.stem))
def test_an_op_calls_no_method_that_synchronizes_with_the_host(source: Path) -> None:
    # Examples in docstrings are strings here, and may call them.
    used = {
        node.attr
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    waiting = {"item", "cpu", "numpy", "tolist", "nonzero", "argwhere"}
    waiting |= {"unique", "unique_consecutive", "masked_select", "bincount"}
    assert not used & waiting


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.stem))
def test_an_op_imports_torch_and_the_standard_library_only(source: Path) -> None:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add(node.module or "")
    others = {name for name in modules if not name.startswith(f"{ops.__name__}.")}
    roots = {name.split(".")[0] for name in others}
    assert roots <= {"torch", *sys.stdlib_module_names}
