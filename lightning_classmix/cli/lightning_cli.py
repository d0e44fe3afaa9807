"""The commands of the Trainer: fit, validate, test and predict."""

import sys
from functools import partial
from os.path import getmtime, isfile
from typing import Any, TypeVar

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lightning_classmix.callbacks.last_checkpoint import LastCheckpoint
from lightning_classmix.callbacks.pictures import Pictures
from lightning_classmix.callbacks.prediction_writer import PredictionWriter
from lightning_classmix.callbacks.pseudo_label_health import PseudoLabelHealth
from lightning_classmix.callbacks.score_table import ScoreTable
from lightning_classmix.callbacks.signals import Interrupted
from lightning_classmix.callbacks.stop_on_signal import StopOnSignal
from lightning_classmix.callbacks.validation_record import ValidationRecord
from lightning_classmix.checkpoints import AtomicCheckpointIO
from lightning_classmix.cli.arguments import expand_arguments
from lightning_classmix.cli.console import is_of_output, print_line
from lightning_classmix.cli.data_files import look_up_files
from lightning_classmix.cli.errors import USER_ERRORS, fail, refuse_state
from lightning_classmix.cli.loggers import open_run_folder, trainer_loggers
from lightning_classmix.cli.parser import Parser
from lightning_classmix.cli.stops import continuation
from lightning_classmix.cli.trainer_arguments import check_trainer_arguments
from lightning_classmix.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD
from lightning_classmix.modules.supervised import Supervised

_Callback = TypeVar("_Callback", bound=Callback)
_DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}
_LINKED = ("num_classes", "class_names", "palette", "in_channels", "mean", "std")


class ClassMixCLI(LightningCLI):
    """Lightning's commands for the modules and data modules of this package."""

    def __init__(self, arguments: list[str]) -> None:
        self._command = arguments[0]
        super().__init__(
            Supervised,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_class=Parser,
            parser_kwargs={"prog": "classmix"},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # the modules keep plain arguments
            args=arguments,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Take class and image settings from the data; ClassMix is the default."""
        for name in _LINKED:
            value = partial(self.data_value, name=name)
            value.__name__ = name  # type: ignore[attr-defined] # shown by --help
            parser.link_arguments(
                "data",
                f"model.init_args.{name}",
                compute_fn=value,
                apply_on="instantiate",
            )
        parser.set_defaults({"model": {"class_path": "lightning_classmix.ClassMix"}})

    def _prepare_subcommand_parser(self, *command: Any, **kwargs: Any) -> Any:
        """Let `ScoreTable` print scores, and keep no predictions in memory.

        The parsers of the commands that are not run stay empty, which saves time.
        """
        if self._command in self.subcommands() and command[1] != self._command:
            return self.init_parser(**kwargs)
        parser = super()._prepare_subcommand_parser(*command, **kwargs)
        if command[1] in ("validate", "test"):
            parser.set_defaults({"verbose": False})
        if command[1] == "predict":  # predictions are written to files
            parser.set_defaults({"return_predictions": False})
        return parser

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse recipes, then the settings of a checkpoint, then flags."""
        command = args[0]
        if command not in self.subcommands():  # --help, --version
            parser.parse_args(args)
        expanded = expand_arguments(args[1:], resume=command == "fit")
        self.config = parser.parse_command(command, *expanded)
        if command != "fit" and not self.config[command].ckpt_path:
            raise ValueError(
                f"ckpt_path must be given to {command}, got None; 'last' is the newest"
                " last.ckpt under default_root_dir"
            )

    def _parse_ckpt_path(self) -> None:
        """Skip what Lightning does here; ``parse_arguments`` has done it."""

    def _set_seed(self) -> None:
        """Check the arguments of the Trainer and the seed, then set the seed."""
        check_trainer_arguments(
            self._get(self.config, "trainer"), self._get(self.config, "seed_everything")
        )
        super()._set_seed()

    def instantiate_classes(self) -> None:
        """Create data module, module and Trainer.

        Raises:
            ValueError: If an argument of the model contradicts the data.
        """
        super().instantiate_classes()
        for name in _LINKED:
            given = _plain(self._model_argument(name))
            used = _plain(getattr(self.model, name))
            if given not in (None, _plain(_DEFAULTS.get(name)), used):
                raise ValueError(
                    f"model.{name} must be that of the data, {used}, got {given}; leave"
                    " it out"
                )

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Create the Trainer, with our callbacks and plugin where the user has none."""
        config = self._get(self.config_init, "trainer")
        given = config.callbacks or []
        callbacks = given if isinstance(given, list) else [given]
        defaults: list[Callback] = [
            ScoreTable(),
            PredictionWriter(),
            PseudoLabelHealth(),
            Pictures(),
            ValidationRecord(),
        ]
        if config.enable_checkpointing is not False:
            defaults += [ModelCheckpoint(), StopOnSignal()]
            if not any(getattr(callback, "save_last", None) for callback in callbacks):
                defaults.append(LastCheckpoint())
        for callback in defaults:
            if not any(isinstance(other, type(callback)) for other in callbacks):
                callbacks.append(callback)
        config.callbacks = callbacks
        config.logger = trainer_loggers(config.logger, config.default_root_dir)
        plugins = config.plugins or []
        plugins = list(plugins) if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        config.plugins = plugins
        try:
            return super().instantiate_trainer(**kwargs)
        except (*USER_ERRORS, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"the Trainer cannot be created: {reason}") from error

    def _run_subcommand(self, subcommand: str) -> None:
        """Run a command; add to an error what was written, and how to continue."""
        try:
            self.trainer.loggers = open_run_folder(self.trainer.loggers)
            super()._run_subcommand(subcommand)
        except (Exception, Interrupted) as error:
            if isinstance(error, OSError) and error.errno and not error.filename:
                # Of the writer of a log, if it is not the output.
                error.filename = None if is_of_output(error) else self.trainer.log_dir
            refuse_state(error, self.trainer.ckpt_path)
            if subcommand == "fit" and not isinstance(error, FloatingPointError):
                checkpoint = self._newest_checkpoint()
                if checkpoint:
                    error.add_note(f"last checkpoint: {checkpoint}")
                    command = continuation(sys.argv[1:], checkpoint)
                    error.add_note(f"continue with: {command}")
            writer = self._callback(PredictionWriter)
            if writer is not None and writer.written:
                error.add_note(f"{writer.written} predictions: {writer.predictions}")
            raise

    def _newest_checkpoint(self) -> str | None:
        """Return the newest checkpoint of the run, or the one that it began with."""
        best: Any = self.trainer.checkpoint_callback
        written = [*self._last_checkpoints(), best and best.best_model_path]
        files = [path for path in map(str, filter(None, written)) if isfile(path)]
        began: Any = self.trainer.ckpt_path
        return max(files, key=getmtime, default=None) or began

    def _last_checkpoints(self) -> list[Any]:
        """Return the paths of the last checkpoints, without a value if none exists."""
        best: Any = self.trainer.checkpoint_callback
        last = self._callback(LastCheckpoint)
        return [last and last.path, best and best.last_model_path]

    def after_fit(self) -> None:
        """Validate if the run has not been validated; print the paths of its files."""
        run = self.trainer.log_dir or self.trainer.default_root_dir
        best: Any = self.trainer.checkpoint_callback
        last_paths = self._last_checkpoints()
        if not self.model.scores and getattr(self.datamodule, "val", None) is not None:
            self.trainer.validate(self.model, self.datamodule, verbose=False)
        if not self.trainer.is_global_zero:
            return
        print_line(f"run: {run}")
        if best is not None:
            score = best.best_model_score
            text = "" if score is None else f" ({best.monitor} {score:.4f})"
            print_line(f"last checkpoint: {next(filter(None, last_paths), 'none')}")
            print_line(f"best checkpoint: {best.best_model_path or 'none'}{text}")

    def after_predict(self) -> None:
        """Print what was written; exit with status 1 if an image was unreadable."""
        writer = self._callback(PredictionWriter)
        if writer is None or not self.trainer.is_global_zero:
            return
        print_line(f"{writer.written} predictions: {writer.predictions}")
        if writer.faults:
            messages = "\n".join(writer.faults)
            fail(f"{len(writer.faults)} images were left out:\n{messages}")

    def _callback(self, kind: type[_Callback]) -> _Callback | None:
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return next((c for c in callbacks if isinstance(c, kind)), None)

    def data_value(self, data: LightningDataModule, *, name: str) -> Any:
        """Return an attribute of the data module, else the model's own argument.

        Raises:
            ValueError: If ``num_classes`` is in neither.
        """
        look_up_files(data, self._command)
        value = getattr(data, name, None)
        if value is None:
            value = self._model_argument(name)
        if value is None and name in _DEFAULTS:
            return _DEFAULTS[name]
        if value is None and name == "num_classes":
            raise ValueError(
                f"{type(data).__name__} must have the attribute num_classes, got None;"
                " add it, or give model.num_classes"
            )
        return value

    def _model_argument(self, name: str) -> Any:
        return self._get(self.config, "model").init_args.get(name)


def _plain(value: Any) -> Any:
    """Return sequences as lists, so that they compare equal."""
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
