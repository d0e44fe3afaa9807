import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.images import save_pair
from tests.shell import CONV, FIT, Shell


def test_a_test_without_test_images_is_an_error(shell: Shell) -> None:
    shell(FIT)
    last = shell.fails("test --config recipe.yaml --data.root data --ckpt_path last")
    assert "there must be images to test, got none" in last


def test_evaluation_without_a_checkpoint_is_refused(shell: Shell) -> None:
    for command in ("validate", "test", "predict"):
        last = shell.fails(f"{command} --config recipe.yaml --data.root data")
        assert "ckpt_path must be given" in last


@pytest.mark.slow
def test_images_of_many_sizes_are_predicted_and_a_broken_one_is_left_out(
    shell: Shell,
) -> None:
    for index in range(20):
        size = (20 + 3 * index, 70 - 2 * index)
        save_pair(Path(f"new/{index:02d}.jpg"), None, size=size, seed=index)
    Path("new/07.jpg").write_bytes(Path("new/07.jpg").read_bytes()[:200])
    shell(FIT)
    status, out, errors = shell(
        "predict --config recipe.yaml --data.root data --data.predict new",
        "--ckpt_path",
        "last",
    )
    assert status == 1
    assert "07.jpg" in errors.splitlines()[-1]
    assert "19 predictions" in out
    for kind in ("labels", "overlays"):
        folder = Path("lightning_logs/version_1/predictions") / kind
        assert len(list(folder.iterdir())) == 19
        for index in set(range(20)) - {7}:
            with Image.open(folder / f"{index:02d}.png") as image:
                assert image.size == (70 - 2 * index, 20 + 3 * index)


@pytest.mark.slow
def test_predict_needs_neither_recipe_nor_labels(shell: Shell) -> None:
    save_pair(Path("new/a.png"), None)
    shell(FIT)
    (shell.folder / "data").rename("moved")
    network = json.dumps({"class_path": "torch.nn.Conv2d", "init_args": CONV})
    line = "predict --data.predict new --ckpt_path last --trainer.accelerator cpu"
    assert shell(line, "--model.network", network)[0] == 0
    assert Path("lightning_logs/version_1/predictions/labels/a.png").is_file()


@pytest.mark.slow
def test_scores_of_a_pixelwise_network_are_the_same_with_windows(
    shell: Shell,
) -> None:
    shell(FIT)
    line = "validate --config recipe.yaml --data.root data --ckpt_path last"
    whole, windows = (shell(line)[1], shell(line, "--model.window", "[8,8]")[1])
    assert np.array_equal(whole.splitlines()[1:], windows.splitlines()[1:])
