from pathlib import Path

import pytest
import torch

from lightning_classmix import ClassMix
from lightning_classmix.callbacks.score_table import ScoreTable
from tests import tiny


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_the_table_lists_every_class_with_the_scores_of_both_networks_once(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ClassMix(
        tiny.CLASSES, network=tiny.network(), class_names=["sky", "road", "tree"]
    )
    trainer = tiny.trainer(callbacks=[ScoreTable()], val_check_interval=1)
    quiet = {} if command == "fit" else {"verbose": False}
    getattr(trainer, command)(module, tiny.data(), **quiet)
    printed = capsys.readouterr().out
    assert printed.count("student") == printed.count("teacher") == 1
    for name in ("sky", "road", "tree", "mIoU", "accuracy"):
        assert printed.count(name) == 1
    for scores in module.scores.values():
        assert f"{100 * scores['miou'].item():.1f}" in printed


def test_the_table_of_a_checkpoint_names_its_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ClassMix(tiny.CLASSES, network=tiny.network())
    trainer = tiny.trainer(max_steps=3)
    trainer.fit(module, tiny.data())
    trainer.save_checkpoint(tmp_path / "step3.ckpt")
    trainer = tiny.trainer(callbacks=[ScoreTable()], max_steps=4)
    other = ClassMix(tiny.CLASSES, network=tiny.network())
    path = str(tmp_path / "step3.ckpt")
    trainer.validate(other, tiny.data(), ckpt_path=path, verbose=False)
    assert "val, step 3" in capsys.readouterr().out
    trainer.fit(other, tiny.data(), ckpt_path=path)
    trainer.test(other, tiny.data(), verbose=False)
    assert "test, step 4" in capsys.readouterr().out


def test_a_class_without_pixels_has_a_dash_for_its_score(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = torch.nn.Conv2d(3, tiny.CLASSES + 1, 1)
    with torch.no_grad():
        network.bias[tiny.CLASSES] = -1e9  # type: ignore[index]
    module = ClassMix(tiny.CLASSES + 1, network=network)
    tiny.trainer(callbacks=[ScoreTable()]).validate(module, tiny.data(), verbose=False)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "│ 3 " in line]
    assert row.split() == ["│", "3", "│", "-", "│", "-", "│"]


def test_a_further_metric_per_class_has_a_column_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = ClassMix(
        tiny.CLASSES, network=tiny.network(), class_metrics=["dice", "boundary_iou"]
    )
    tiny.trainer(callbacks=[ScoreTable()]).validate(module, tiny.data(), verbose=False)
    printed = capsys.readouterr().out
    for word in ("dice", "boundary", "mdice", "mboundary"):
        assert word in printed
    (row,) = [line for line in printed.splitlines() if "│ 1 " in line]
    shown = [cell for cell in row.split() if cell != "│"]
    scores = module.scores["student"]
    expected = [scores[name][1] for name in ("iou", "boundary_iou", "dice")]
    assert shown[1:4] == [f"{100 * value:.1f}" for value in expected]


def test_no_table_is_printed_without_validation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = ClassMix(tiny.CLASSES, network=tiny.network())
    tiny.trainer(callbacks=[ScoreTable()], limit_val_batches=0).fit(module, tiny.data())
    assert "mIoU" not in capsys.readouterr().out
