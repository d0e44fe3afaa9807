"""The command ``classmix``: run the subcommand that the arguments name."""

import os
import sys
import threading
import warnings
from importlib import import_module
from importlib.metadata import version
from typing import Any

from lightning_classmix.callbacks.signals import Interrupted, StopAtOnce
from lightning_classmix.cli.console import (
    output_is_closed,
    prepare_output,
    write_output,
)
from lightning_classmix.cli.help import COMMANDS, TRAINER_COMMANDS, help_text

_HARMLESS_WARNINGS = (
    "`isinstance.treespec",  # Lightning uses a renamed torch function
    "(?s).*was deprecated in v4",  # Lightning's use of jsonargparse
    "(?s).*JsonargparseDeprecationWarning",
    "The '.*_dataloader' does not have many workers",  # the user's choice
    "Total length of `list` across ranks is zero",  # training without validation
    "The number of training batches",  # short runs log nothing
    "The dirpath has changed",  # a resumed run has its own folder
    "Image size .* exceeds limit",  # Pillow's advice for images over 89 megapixels
    "Experiment logs directory",  # metrics.csv joins the other files of the run
    "(?s)Be aware that when using `ckpt_path`",  # evaluation needs no callbacks
)

_CLOSED = 128 + 13


def main() -> None:
    """Run the subcommand that the arguments name.

    An error of the user ends in one line; ``CLASSMIX_TRACEBACK=1`` in the environment
    shows its traceback. If the reader of the output ends first, as ``head`` does, the
    exit status is 141, that of a program that SIGPIPE stopped. SIGINT, SIGTERM and
    SIGHUP end it with status 128 + signal; a training writes a checkpoint first.
    """
    prepare_output()
    try:
        os.getcwd()
    except FileNotFoundError:
        sys.stderr.write("classmix: error: the current folder was deleted\n")
        sys.exit(1)
    try:
        with StopAtOnce():
            _run(sys.argv[1:])
            write_output("")
    except Interrupted as stop:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            sys.stderr.write(f"classmix: {stop}\n")
        raise
    except BrokenPipeError:
        if not output_is_closed():
            raise
        sys.exit(_CLOSED)


def _run(arguments: list[str]) -> None:
    if arguments[:1] in (["--help"], ["-h"]):
        write_output(help_text())
        return
    if arguments == ["--version"]:
        write_output(f"classmix {version('lightning-classmix')}\n")
        return
    # Imported when needed, so that help is quick.
    from lightning_classmix.cli import errors
    from lightning_classmix.cli.machine_errors import (
        hide_in_threads,
        machine_error_message,
    )
    from lightning_classmix.cli.stops import stop_messages
    from lightning_classmix.ops.ranges import similar

    known = [*TRAINER_COMMANDS, *COMMANDS]
    command = arguments[0] if arguments else ""
    if not command or (command not in known and not command.startswith("-")):
        got = f"{command or 'none'}{similar(command, known)}"
        errors.fail(
            f"the command must be one of {', '.join(known)}, got {got}", status=2
        )
    for message in _HARMLESS_WARNINGS:
        warnings.filterwarnings("ignore", message)
    thread_hook = threading.excepthook
    threading.excepthook = hide_in_threads
    try:
        with stop_messages(arguments):
            if command in COMMANDS:
                _run_command(command, arguments[1:])
            else:
                _run_trainer(arguments)
    except BrokenPipeError:
        raise
    except errors.USER_ERRORS as error:
        line = machine_error_message(error) or errors.user_error_message(error)
        if line is None or errors.show_traceback():
            raise
        errors.fail("; ".join([line, *getattr(error, "__notes__", [])]))
    finally:
        threading.excepthook = thread_hook


def _run_trainer(arguments: list[str]) -> None:
    from lightning_classmix.cli.lightning_cli import ClassMixCLI
    from lightning_classmix.inference.loading import import_public_classes

    import_public_classes()  # the parser finds classes among those imported
    ClassMixCLI(arguments)


def _run_command(command: str, arguments: list[str]) -> None:
    from jsonargparse import auto_parser

    from lightning_classmix.cli.arguments import expand_command_arguments
    from lightning_classmix.cli.parser import Parser
    from lightning_classmix.inference.loading import import_public_classes

    import_public_classes()
    module = import_module(COMMANDS[command][0])
    function = getattr(module, command.replace("-", "_"))
    if command == "demo":
        import torch

        torch.set_num_threads(1)  # so small a network gains nothing from more
    elif command == "compare":
        arguments = module.list_arguments(arguments)
    elif command == "predict-images":
        arguments = module.input_arguments(arguments)
    elif command == "convert":
        arguments = module.convert_arguments(arguments)
    elif command == "report":
        arguments = module.run_argument(arguments)
    parser: Any = auto_parser(
        {command: function}, as_positional=False, prog="classmix", parser_class=Parser
    )
    expanded = expand_command_arguments(command, arguments)
    config = parser.parse_command(command, *expanded)
    values = parser.instantiate(config)[command]
    values.pop("config", None)
    function(**values)
