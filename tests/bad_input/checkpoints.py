"""Bad checkpoints: foreign, incomplete, damaged or hostile files."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.bad_input.case import FIT, Case

_VALIDATE = "validate --config recipe.yaml --data.root data"
_CONTENT: dict[str, Any] = {
    "state_dict": {},
    "class_paths": {"model": "lightning_classmix.modules.classmix.ClassMix"},
    "base_seed": 0,
    "hyper_parameters": {"num_classes": 3},
    "pytorch-lightning_version": "2.6.0",
}


class _Code:
    """Creates the file ``ran`` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def _save(content: Any) -> Callable[[Path], object]:
    return lambda folder: torch.save(content, folder / "x.ckpt")


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "x.ckpt").write_bytes(content)


def _cut(folder: Path) -> None:
    torch.save(_CONTENT, folder / "x.ckpt")
    whole = (folder / "x.ckpt").read_bytes()
    (folder / "x.ckpt").write_bytes(whole[: len(whole) // 2])


def _arguments(**arguments: Any) -> Callable[[Path], object]:
    return _save(_CONTENT | {"hyper_parameters": {"num_classes": 3, **arguments}})


def _without(*keys: str) -> Callable[[Path], object]:
    return _save({key: _CONTENT[key] for key in _CONTENT if key not in keys})


_ROWS: list[tuple[str, Callable[[Path], object], str]] = [
    ("a tensor", _save(torch.ones(3)), r"x.ckpt, a tensor of shape \(3,\)"),
    ("a list", _save([1]), "x.ckpt, a list"),
    ("a number", _save(3), "x.ckpt, a int"),
    ("a state dict", _save({"a": torch.ones(1)}), "can be given as model.student_weig"),
    ("an empty dict", _save({}), "x.ckpt, a file without state_dict"),
    ("text", _write(b"hello"), "x.ckpt: .* torch did not write it"),
    ("nothing", _write(b""), "x.ckpt: it is incomplete"),
    ("half a checkpoint", _cut, "x.ckpt: it is incomplete"),
    ("no state_dict", _without("state_dict"), "a file without state_dict"),
    ("no base_seed", _without("base_seed"), "a checkpoint without base_seed"),
    (
        "no version",
        _without("pytorch-lightning_version"),
        "a checkpoint without pytorch-lightning_version",
    ),
    ("no class_paths", _without("class_paths"), "a checkpoint without class_paths"),
    (
        "arguments that are a number",
        _save(_CONTENT | {"hyper_parameters": 3}),
        "whose hyper_parameters is a int, not a dict",
    ),
    (
        "weights that are words",
        _save(_CONTENT | {"state_dict": {"a": "b"}}),
        "whose state_dict holds a str as a",
    ),
    (
        "weights that are not finite",
        _save(_CONTENT | {"state_dict": {"a": torch.tensor([math.nan])}}),
        "with values that are not finite in a",
    ),
    ("no weights", _save(_CONTENT), "ckpt_path must fit the networks"),
    ("an unknown argument", _arguments(foo=1), "x.ckpt: model.foo is not an argument"),
    ("a wrong argument", _arguments(lr="x"), "x.ckpt: model.lr must be float"),
    (
        "Python objects",
        _save(_CONTENT | {"hyper_parameters": _Code()}),
        "x.ckpt: it holds Python objects",
    ),
    (
        "a class of another module",
        _save(_CONTENT | {"class_paths": {"model": "planted.X"}}),
        "got x.ckpt of planted.X; name the class by --model",
    ),
    (
        "a number as class",
        _save(_CONTENT | {"class_paths": {"model": 3}}),
        "got x.ckpt of 3; name the class by --model",
    ),
    (
        "a planted network",
        _arguments(network={"class_path": "planted.X"}),
        "got the class 'planted.X' as model.network in x.ckpt",
    ),
    (
        "a planted function",
        _arguments(mixer="planted.function"),
        "got the import path 'planted.function' as model.mixer in x.ckpt",
    ),
    (
        "a planted instantiator",
        _arguments(_instantiator="planted.function"),
        "a file that names code to run",
    ),
]

CASES = [
    Case(f"checkpoint of {name}", f"{_VALIDATE} --ckpt_path x.ckpt", line, make)
    for name, make, line in _ROWS
] + [
    Case("checkpoint at an address", f"{FIT} --ckpt_path http://a/x", "download it"),
    Case("checkpoint in a bucket", f"{FIT} --ckpt_path s3://a/x", "download it"),
    Case("checkpoint of a file URL", f"{FIT} --ckpt_path file:///x", "download it"),
    Case("no such checkpoint", f"{FIT} --ckpt_path nowhere.ckpt", "got nowhere.ckpt"),
    Case("checkpoint that is a folder", f"{FIT} --ckpt_path data", "a file, got data"),
    Case("no last checkpoint", f"{FIT} --ckpt_path last", "got no last.ckpt in"),
    Case("no best checkpoint", f"{_VALIDATE} --ckpt_path best", "not configured to"),
    Case("validate without one", _VALIDATE, "ckpt_path must be given to validate"),
    Case(
        "resuming from weights alone",
        f"{FIT} --ckpt_path x.ckpt",
        "x.ckpt without loops, callbacks, optimizer_states, lr_schedulers; .*"
        "give it as model.student_weights",
        _save(_CONTENT),
    ),
    Case(
        "resuming without the state of the optimizer",
        f"{FIT} --ckpt_path x.ckpt",
        "to resume fit, got x.ckpt without optimizer_states;",
        _save(_CONTENT | {"loops": {"a": 1}, "callbacks": {}, "lr_schedulers": []}),
    ),
    Case(
        "resuming with the state of no optimizer",
        f"{FIT} --ckpt_path x.ckpt",
        "to resume fit, got x.ckpt without loops, optimizer_states;",
        _save(
            _CONTENT
            | {"loops": {}, "callbacks": {}, "optimizer_states": []}
            | {"lr_schedulers": []}
        ),
    ),
    Case("export of a list", "export --ckpt_path x.ckpt --out o", "a list", _save([1])),
    Case(
        "export of another module",
        "export --ckpt_path x.ckpt --out o",
        "imported, got planted.X in x.ckpt",
        _save(_CONTENT | {"class_paths": {"model": "planted.X"}}),
    ),
    Case(
        "prediction with text",
        "predict-images data/images --ckpt_path x.ckpt --out o",
        "x.ckpt: .* torch did not write it",
        _write(b"hello"),
    ),
    Case(
        "prediction with a network that is missing",
        "predict-images data/images --ckpt_path x.ckpt --out o",
        "checkpoint must fit the model|network must be",
        _arguments(model="small_unet"),
    ),
]
