"""What a person starts: the command ``classmix``."""

from jsonargparse import auto_cli

from lightning_classmix.demo import demo


def main() -> None:
    """Run the command that the arguments name."""
    auto_cli({"demo": demo}, prog="classmix")
