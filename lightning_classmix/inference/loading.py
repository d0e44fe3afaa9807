"""Load a module of any class from its checkpoint."""

import inspect
from pathlib import Path
from typing import Any

import lightning_classmix
from lightning_classmix.checkpoints import imported_subclass, read_checkpoint
from lightning_classmix.modules.evaluation import EvaluationModule


def import_public_classes() -> None:
    """Import every public class of this package, for `imported_subclass`."""
    for name in lightning_classmix.__all__:
        getattr(lightning_classmix, name)


def load_module(path: str | Path) -> tuple[EvaluationModule, dict[str, Any]]:
    """Load a module from its checkpoint, on the CPU and in eval mode.

    Args:
        path: Checkpoint of ``fit`` or of the export format ``checkpoint``.

    Returns:
        The module, and the content of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a checkpoint of this package, was written by a
            version with other arguments, or holds a module that was trained with
            ``network=``, which a checkpoint does not contain.
    """
    content = read_checkpoint(path)
    class_path = content["class_paths"].get("model", "a class of a script")
    import_public_classes()
    kind = imported_subclass(EvaluationModule, class_path)
    if kind is None:
        raise ValueError(
            f"checkpoint must be of a class that has been imported, got {class_path} in"
            f" {path}; import the class first"
        )
    # As kind.load_from_checkpoint, which would read the file once more.
    arguments = content["hyper_parameters"]
    parameters = inspect.signature(kind.__init__).parameters
    if all(
        parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()
    ):
        arguments = {key: arguments[key] for key in arguments if key in parameters}
    try:
        module = kind(**arguments)
        module.on_load_checkpoint(content)
        module.load_state_dict(content["state_dict"])
    except TypeError as error:
        raise ValueError(
            f"checkpoint must hold arguments that this version knows, got {path}"
            f" ({error}); use the version of lightning_classmix that wrote it"
        ) from error
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint must fit the model of its arguments, got {path}; if it was"
            f" trained with network=, call {kind.__name__}.load_from_checkpoint(path,"
            " network=...) and use the module"
        ) from error
    return module.eval(), content
