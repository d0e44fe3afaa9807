"""What a person starts: the command ``classmix``."""

import re
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, auto_cli
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console

from lightning_classmix.arguments import RECIPES, complete
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from lightning_classmix.callbacks.score_table import ScoreTable
from lightning_classmix.demo import demo
from lightning_classmix.supervised import Supervised

COMMANDS = {"demo": demo}
"""What is not a method of the Trainer."""

_LINKED = ("num_classes", "class_names", "palette", "mean", "std")
_DESCRIPTION = f"""
Semi-supervised semantic segmentation with ClassMix. Beside the subcommands below there
is 'classmix demo'. A config is a file or one of the recipes
{", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))}. 'classmix fit
--model.help ClassMix' and 'classmix fit --data.help CamVidDataModule' explain the
arguments of a class.
"""


class Parser(LightningArgumentParser):
    """A parser whose errors end in the key at fault and the nearest names."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Tell what is wrong, and end with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        sys.stderr.write(f"{message}\n")
        fail(advice(message, self), status=2)

    def format_help(self) -> str:
        """Return the help, without lists of hundreds of classes."""
        text = super().format_help()
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
            trainer_defaults={"callbacks": [ScoreTable(), PredictionWriter()]},
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
                compute_fn=lambda data, name=name: getattr(data, name),
                apply_on="instantiate",
            )
        parser.set_defaults({"model": {"class_path": "lightning_classmix.ClassMix"}})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401
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
            ValueError: If the number of classes is not that of the data.
        """
        super().instantiate_classes()
        given = self._get(self.config, "model").init_args.get("num_classes")
        counted = self.model.num_classes
        if given not in (None, counted):
            raise ValueError(
                f"model.num_classes must be that of the data, {counted}, got {given};"
                " leave it out"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Make the Trainer; unless told otherwise it keeps the last checkpoint."""
        config = self._get(self.config_init, "trainer")
        callbacks = config.callbacks = list(config.callbacks or [])
        named = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
        if not named and config.enable_checkpointing is not False:
            callbacks.append(ModelCheckpoint(save_last=True))
        return super().instantiate_trainer(**kwargs)

    def after_fit(self) -> None:
        """Tell where everything is."""
        if not self.trainer.is_global_zero:
            return
        console = Console(soft_wrap=True)
        console.print(f"run: {self.trainer.log_dir or self.trainer.default_root_dir}")
        checkpoints: Any = self.trainer.checkpoint_callback
        if checkpoints is not None:
            best, score = checkpoints.best_model_path, checkpoints.best_model_score
            told = "" if score is None else f" ({checkpoints.monitor} {score:.4f})"
            console.print(f"last checkpoint: {checkpoints.last_model_path or 'none'}")
            console.print(f"best checkpoint: {best or 'none'}{told}")

    def after_predict(self) -> None:
        """Tell what was written; end with status 1 if an image was broken."""
        (writer,) = (
            callback
            for callback in self.trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, PredictionWriter)
        )
        Console(soft_wrap=True).print(
            f"{writer.written} predictions: {writer.predictions}"
        )
        if writer.faults:
            told = "\n".join(writer.faults)
            fail(f"{len(writer.faults)} images were left out:\n{told}")


def main() -> None:
    """Run the command that the arguments name."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        auto_cli(COMMANDS, prog="classmix", args=arguments)
        return
    for harmless in (
        "`isinstance.treespec",  # Lightning's own use of a renamed torch function
        "(?s).*was deprecated in v4",  # Lightning's use of jsonargparse
        "(?s).*JsonargparseDeprecationWarning",
        "The '.*_dataloader' does not have many workers",  # as asked for
        "The number of training batches",  # nothing to log is no mistake
    ):
        warnings.filterwarnings("ignore", harmless)
    try:
        CommandLine(arguments)
    except (MisconfigurationException, OSError, TypeError, ValueError) as error:
        if not meant_for_the_user(error):
            raise
        fail(str(error))


def fail(message: str, *, status: int = 1) -> NoReturn:
    """End with one error."""
    sys.stderr.write(f"classmix: error: {message}\n")
    sys.exit(status)


def meant_for_the_user(error: Exception) -> bool:
    """Tell an error that this package or Lightning raised from a fault in code.

    One that a loader's worker raised carries its traceback as text.
    """
    if isinstance(error, MisconfigurationException):
        return True
    frames = error.__traceback__
    files = []
    while frames is not None:
        files.append(frames.tb_frame.f_code.co_filename)
        frames = frames.tb_next
    files += re.findall(r'File "(.+?)", line', str(error))
    return Path(files[-1]).is_relative_to(Path(__file__).parent)


def advice(message: str, parser: ArgumentParser) -> str:
    """Say in one line which key of a parser's message is wrong, and what is near it."""
    return message
