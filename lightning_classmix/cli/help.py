"""The commands of ``classmix`` and its help, without importing what they need."""

from pathlib import Path
from textwrap import fill

TRAINER_COMMANDS = {
    "fit": "Train a network.",
    "validate": "Compute the scores of a checkpoint on the validation set.",
    "test": "Compute the scores of a checkpoint on the test set.",
    "predict": "Write label PNGs and color overlays of the prediction set.",
}
"""Commands of the Trainer, and what they do."""

COMMANDS = {
    "demo": (
        "lightning_classmix.experiments.demo",
        "Compare Supervised and ClassMix on generated street scenes.",
    ),
    "check": (
        "lightning_classmix.cli.check",
        "Read a dataset and report its content and faults.",
    ),
    "convert": (
        "lightning_classmix.cli.convert",
        "Convert COCO, LabelMe and other annotations to folders.",
    ),
    "split": (
        "lightning_classmix.cli.split",
        "Write the list of labeled images to a file.",
    ),
    "compare": (
        "lightning_classmix.cli.compare",
        "Compare methods on one dataset, over label counts and seeds.",
    ),
    "predict-images": (
        "lightning_classmix.cli.predict_images",
        "Predict image files with a checkpoint.",
    ),
    "export": (
        "lightning_classmix.cli.export",
        "Write the network of a checkpoint in another format.",
    ),
    "report": (
        "lightning_classmix.cli.report",
        "Write a run as one HTML page: curves, scores, pictures.",
    ),
}
"""Other commands: the module that holds the function of that name (with ``_`` for
``-``), and what the command does."""

RECIPES = Path(__file__).parents[1] / "recipes"
"""Folder of the packaged recipes."""


def help_text() -> str:
    """Return the help of ``classmix`` without a command."""
    recipes = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    summaries = TRAINER_COMMANDS | {name: what for name, (_, what) in COMMANDS.items()}
    notes = (
        "'classmix COMMAND --help' explains the arguments of a command, 'classmix fit"
        " --model.help ClassMix' and 'classmix fit --data.help FolderDataModule' those"
        " of a class.",
        f"The config of a command is a YAML file or one of the recipes {recipes}.",
    )
    return "\n".join(
        [
            "usage: classmix COMMAND [--config CONFIG] [ARGUMENTS]",
            "",
            "Semi-supervised semantic segmentation with ClassMix.",
            "",
            "commands:",
            *(f"  {name:16}{summary}" for name, summary in summaries.items()),
            *("\n" + fill(note, 80, break_on_hyphens=False) for note in notes),
            "",
        ]
    )
