from importlib import import_module

import pytest

from lightning_classmix.cli.help import COMMANDS, TRAINER_COMMANDS, help_text
from lightning_classmix.cli.lightning_cli import ClassMixCLI


def test_the_commands_of_the_trainer_are_those_of_lightning() -> None:
    assert set(TRAINER_COMMANDS) == set(ClassMixCLI.subcommands())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_a_function_of_its_name(command: str) -> None:
    module, _ = COMMANDS[command]
    assert callable(getattr(import_module(module), command.replace("-", "_")))


def test_the_help_lists_every_command_with_what_it_does() -> None:
    lines = help_text().splitlines()
    for command in [*TRAINER_COMMANDS, *COMMANDS]:
        (line,) = [line for line in lines if line.split()[:1] == [command]]
        assert line.endswith(".")
    assert max(map(len, lines)) <= 80
