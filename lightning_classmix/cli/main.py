"""The command ``classmix``: run the subcommand that the arguments name."""

import os
import sys
import warnings
from typing import Any

import torch
from jsonargparse import auto_cli

from lightning_classmix.cli.arguments import expand_data_arguments
from lightning_classmix.cli.check import check
from lightning_classmix.cli.compare import compare, list_arguments
from lightning_classmix.cli.errors import USER_ERRORS, fail, user_error_message
from lightning_classmix.cli.export import export
from lightning_classmix.cli.lightning_cli import ClassMixCLI
from lightning_classmix.cli.parser import Parser
from lightning_classmix.cli.predict_images import input_arguments, predict_images
from lightning_classmix.cli.split import split
from lightning_classmix.experiments.demo import demo
from lightning_classmix.ops.ranges import similar

COMMANDS: dict[str, Any] = {
    "demo": demo,
    "check": check,
    "split": split,
    "compare": compare,
    "predict-images": predict_images,
    "export": export,
}
"""Commands beside those of the Trainer."""

_HARMLESS_WARNINGS = (
    "`isinstance.treespec",  # Lightning uses a renamed torch function
    "(?s).*was deprecated in v4",  # Lightning's use of jsonargparse
    "(?s).*JsonargparseDeprecationWarning",
    "The '.*_dataloader' does not have many workers",  # the user's choice
    "The number of training batches",  # short runs log nothing
    "The dirpath has changed",  # a resumed run has its own folder
    "Image size .* exceeds limit",  # Pillow's advice for images over 89 megapixels
    "(?s)Be aware that when using `ckpt_path`",  # evaluation needs no callbacks
)


def main() -> None:
    """Run the subcommand that the arguments name.

    An error of the user ends in one line; ``CLASSMIX_TRACEBACK=1`` in the environment
    shows its traceback.
    """
    arguments = sys.argv[1:]
    known = [*ClassMixCLI.subcommands(), *COMMANDS]
    command = arguments[0] if arguments else ""
    if not command or (command not in known and not command.startswith("-")):
        got = f"{command or 'none'}{similar(command, known)}"
        fail(f"the command must be one of {', '.join(known)}, got {got}", status=2)
    for message in _HARMLESS_WARNINGS:
        warnings.filterwarnings("ignore", message)
    try:
        if command in COMMANDS:
            _run_command(command, arguments[1:])
        else:
            ClassMixCLI(arguments)
    except USER_ERRORS as error:
        line = user_error_message(error)
        if line is None or os.environ.get("CLASSMIX_TRACEBACK") == "1":
            raise
        fail(line)


def _run_command(command: str, arguments: list[str]) -> None:
    if command == "demo":
        torch.set_num_threads(1)  # so small a network gains nothing from more
    elif command == "compare":
        arguments = list_arguments(arguments)
    elif command == "predict-images":
        arguments = input_arguments(arguments)
    elif command in ("check", "split"):
        arguments = expand_data_arguments(arguments)
    auto_cli(
        COMMANDS,
        as_positional=False,
        prog="classmix",
        args=[command, *arguments],
        parser_class=Parser,
    )
