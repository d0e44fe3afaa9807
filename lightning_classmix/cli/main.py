"""What a person starts: the command ``classmix``."""

import importlib
import re
import sys
import warnings
from functools import partial
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser, auto_cli
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console

from lightning_classmix.callbacks.last_checkpoint import LastCheckpoint
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from lightning_classmix.callbacks.score_table import ScoreTable
from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.cli.arguments import RECIPES, complete, data_arguments
from lightning_classmix.cli.check import check
from lightning_classmix.cli.compare import compare, list_arguments
from lightning_classmix.cli.errors import MISTAKES, advice, mistake_of, near
from lightning_classmix.cli.split import split
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightning_classmix.experiments.demo import demo
from lightning_classmix.modules.supervised import Supervised

COMMANDS: dict[str, Any] = {
    "demo": demo,
    "check": check,
    "split": split,
    "compare": compare,
}
"""What is not a method of the Trainer."""

_Callback = TypeVar("_Callback", bound=Callback)
_DEFAULTS = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
_LINKED = ("num_classes", "class_names", "palette", "mean", "std")
_RECIPES = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
_DESCRIPTION = f"""
Semi-supervised semantic segmentation with ClassMix. Beside the subcommands below there
are 'classmix demo', 'classmix check', 'classmix split' and 'classmix compare'. A config
is a file or one of the recipes {_RECIPES}.
'classmix fit --model.help ClassMix' and 'classmix fit --data.help CamVidDataModule'
explain the arguments of a class.
"""


class Parser(LightningArgumentParser):
    """A parser whose errors end in the key at fault and the nearest names."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Tell what is wrong, and end with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        sys.stderr.write(f"{message}\n")
        told = advice(
            message,
            options=_options(self),
            classes=_class_names(),
            arguments=_arguments,
        )
        fail(told, status=2)

    def format_help(self, *formatter: Any) -> str:
        """Return the help, without lists of hundreds of classes."""
        text = super().format_help(*formatter)
        return re.sub(r",\s+known\s+subclasses:[^)]{1500,}\)", ")", text)


class CommandLine(LightningCLI):
    """Lightning's commands over the modules and data modules of this package."""

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(
            Supervised,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_class=Parser,
            parser_kwargs={"prog": "classmix", "description": _DESCRIPTION},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the modules keep plain arguments
            args=arguments,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Take from the data what the data know, and ClassMix for want of a name."""
        for name in _LINKED:
            parser.link_arguments(
                "data",
                f"model.init_args.{name}",
                compute_fn=partial(self.told_by_data, name=name),
                apply_on="instantiate",
            )
        parser.set_defaults({"model": {"class_path": "lightning_classmix.ClassMix"}})

    def _prepare_subcommand_parser(self, *command: Any, **kwargs: Any) -> Any:
        """Print scores once, by `ScoreTable`, and keep no predictions."""
        parser = super()._prepare_subcommand_parser(*command, **kwargs)
        if command[1] in ("validate", "test"):
            parser.set_defaults({"verbose": False})
        if command[1] == "predict":  # they are written, and would fill the memory
            parser.set_defaults({"return_predictions": False})
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse recipes, then what the checkpoint says, then flags."""
        if args and args[0] in self.subcommands():
            args = [args[0], *complete(args[1:])]
        self.config = parser.parse_args(args)
        command = self.config.subcommand
        if command != "fit" and not self.config[command].ckpt_path:
            raise ValueError(
                f"ckpt_path must be given to {command}, got None; 'last' is the newest"
                " last.ckpt under default_root_dir"
            )

    def _parse_ckpt_path(self) -> None:
        """Leave out what Lightning does here: ``parse_arguments`` did it."""

    def instantiate_classes(self) -> None:
        """Make data, module and Trainer.

        Raises:
            ValueError: If the model is told otherwise than the data tell.
        """
        super().instantiate_classes()
        for name in _LINKED:
            given, told = self._given(name), getattr(self.model, name)
            unsaid = (None, _plain(_DEFAULTS.get(name)))
            if _plain(given) not in (*unsaid, _plain(told)):
                raise ValueError(
                    f"model.{name} must be that of the data, {_plain(told)}, got"
                    f" {_plain(given)}; leave it out"
                )

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Make the Trainer; what it has no callback or plugin for, ours do."""
        config = self._get(self.config_init, "trainer")
        given = config.callbacks or []
        callbacks = given if isinstance(given, list) else [given]
        ours: list[Callback] = [ScoreTable(), PredictionWriter()]
        if config.enable_checkpointing is not False:
            ours.append(ModelCheckpoint())
            if not any(getattr(callback, "save_last", None) for callback in callbacks):
                ours.append(LastCheckpoint())
        for callback in ours:
            if not any(isinstance(other, type(callback)) for other in callbacks):
                callbacks.append(callback)
        config.callbacks = callbacks
        plugins = config.plugins or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        config.plugins = plugins
        return super().instantiate_trainer(**kwargs)

    def after_fit(self) -> None:
        """Validate a run that never was, and tell where everything is."""
        run = self.trainer.log_dir or self.trainer.default_root_dir
        best: Any = self.trainer.checkpoint_callback
        last = self._callback(LastCheckpoint)
        lasts = [last and last.path, best and best.last_model_path]
        if not self.model.scores and getattr(self.datamodule, "val", None) is not None:
            self.trainer.validate(self.model, self.datamodule, verbose=False)
        if not self.trainer.is_global_zero:
            return
        _tell(f"run: {run}")
        if best is not None:
            score = best.best_model_score
            told = "" if score is None else f" ({best.monitor} {score:.4f})"
            _tell(f"last checkpoint: {next(filter(None, lasts), 'none')}")
            _tell(f"best checkpoint: {best.best_model_path or 'none'}{told}")

    def after_predict(self) -> None:
        """Tell what was written; end with status 1 if an image was broken."""
        writer = self._callback(PredictionWriter)
        if writer is None or not self.trainer.is_global_zero:
            return
        _tell(f"{writer.written} predictions: {writer.predictions}")
        if writer.faults:
            told = "\n".join(writer.faults)
            fail(f"{len(writer.faults)} images were left out:\n{told}")

    def _callback(self, kind: type[_Callback]) -> _Callback | None:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return next((one for one in callbacks if isinstance(one, kind)), None)

    def told_by_data(self, data: LightningDataModule, *, name: str) -> Any:
        """Return what a data module says of its classes or its images.

        What it does not say, the model's own argument does.

        Raises:
            ValueError: If neither says how many classes there are.
        """
        told = getattr(data, name, None)
        if told is None:
            told = self._given(name)
        if told is None and name in ("mean", "std"):
            return _DEFAULTS[name]
        if told is None and name == "num_classes":
            raise ValueError(
                f"{type(data).__name__} must tell num_classes, got None; give it an"
                " attribute of that name, or give model.num_classes"
            )
        return told

    def _given(self, name: str) -> Any:
        return self._get(self.config, "model").init_args.get(name)


def _plain(value: Any) -> Any:
    """Return sequences as lists, to be compared."""
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def _tell(line: str) -> None:
    Console(soft_wrap=True, markup=False, highlight=False).print(line)


def main() -> None:
    """Run the command that the arguments name."""
    arguments = sys.argv[1:]
    known = [*CommandLine.subcommands(), *COMMANDS]
    command = arguments[0] if arguments else ""
    if not command or (command not in known and not command.startswith("-")):
        told = f"{', '.join(known)}, got {command or 'none'}{near(command, known)}"
        fail(f"the command must be one of {told}", status=2)
    for harmless in (
        "`isinstance.treespec",  # Lightning's own use of a renamed torch function
        "(?s).*was deprecated in v4",  # Lightning's use of jsonargparse
        "(?s).*JsonargparseDeprecationWarning",
        "The '.*_dataloader' does not have many workers",  # as asked for
        "The number of training batches",  # nothing to log is no mistake
        "The dirpath has changed",  # a run that goes on has a folder of its own
        "(?s)Be aware that when using `ckpt_path`",  # to evaluate needs no callbacks
    ):
        warnings.filterwarnings("ignore", harmless)
    try:
        if command in COMMANDS:
            if command == "compare":
                arguments = [command, *list_arguments(arguments[1:])]
            elif command != "demo":
                arguments = [command, *data_arguments(arguments[1:])]
            auto_cli(
                COMMANDS,
                as_positional=False,
                prog="classmix",
                args=arguments,
                parser_class=Parser,
            )
        else:
            CommandLine(arguments)
    except MISTAKES as error:
        mistake = mistake_of(error)
        if mistake is None:
            raise
        fail(mistake)


def fail(message: str, *, status: int = 1) -> NoReturn:
    """End with one error."""
    sys.stderr.write(f"classmix: error: {message}\n")
    sys.exit(status)


def _arguments(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    taken = getattr(importlib.import_module(module), name)
    return list(ArgumentParser().add_class_arguments(taken, fail_untyped=False))


def _options(parser: ArgumentParser) -> list[str]:
    """Return the options of a parser and of its subcommands."""
    parsers = [parser]
    for action in parser._actions:
        choices = action.choices
        parsers += choices.values() if isinstance(choices, dict) else []
    return [
        option.lstrip("-")
        for one in parsers
        for action in one._actions
        for option in action.option_strings
    ]


def _class_names() -> set[str]:
    classes: list[type] = [Callback, LightningModule, LightningDataModule]
    for one in classes:
        classes += one.__subclasses__()
    return {one.__name__ for one in classes}
