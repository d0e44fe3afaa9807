"""``python -m lightning_classmix`` is ``classmix``."""

from lightning_classmix.cli.main import main

main()
