import json
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.image
import pytest
import torch

from lightning_classmix.experiments.demo import demo


@pytest.mark.slow
def test_demo_writes_results_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    filters = [*warnings.filters]
    demo(seed=1, out=str(tmp_path / "new"), steps=3)
    assert torch.get_num_threads() == threads
    assert [*warnings.filters] == filters
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    gain = results["classmix"] - results["supervised"]
    assert results["gain"] == pytest.approx(gain, abs=0.011)
    for method in ("supervised", "classmix"):
        iou = results["iou"][method]
        assert len(iou) == 7
        mean = sum(iou.values()) / 7
        assert results[method] == pytest.approx(mean, abs=0.011)
    picture = matplotlib.image.imread(tmp_path / "new" / "report.png")
    assert picture.shape[0] > 500
    page = (tmp_path / "new" / "report.html").read_text()
    for part in ("ClassMix", "data:image/png", "Confusion matrix of classmix"):
        assert part in page
    assert f"{results['classmix']:.1f}" in page
    printed = capsys.readouterr().out
    assert "mIoU" in printed
    assert "sidewalk" in printed


@pytest.mark.slow
def test_help_lists_the_arguments() -> None:
    command = [sys.executable, "-m", "lightning_classmix", "demo", "--help"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--seed" in printed
    assert "--out" in printed
