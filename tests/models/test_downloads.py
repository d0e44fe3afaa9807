from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from huggingface_hub import constants

from lightning_classmix import build_model
from lightning_classmix.models import downloads
from lightning_classmix.models.downloads import offline_if_unreachable


def answer(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Any]:
    """Let the server answer with an error; return the list of requests."""
    requests: list[Any] = []

    def urlopen(request: Any, timeout: float) -> None:
        requests.append(request)
        raise error

    monkeypatch.setattr(downloads, "urlopen", urlopen)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return requests


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet10t"])
def test_weights_that_cannot_be_downloaded_are_an_error_after_one_request(
    encoder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requests = answer(monkeypatch, URLError("no network"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = (
        f"weights 'imagenet' of '{encoder}' must be downloaded, .* null for random"
    )
    with pytest.raises(ValueError, match=message):
        build_model("unet", encoder, 3, encoder_weights="imagenet")
    assert len(requests) == 1
    assert not constants.HF_HUB_OFFLINE


def test_a_server_that_refuses_a_request_is_reachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, HTTPError("x", 403, "forbidden", None, None))  # type: ignore[arg-type]
    with offline_if_unreachable():
        assert not constants.HF_HUB_OFFLINE


def test_an_offline_setting_of_the_user_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = answer(monkeypatch, URLError("no network"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with offline_if_unreachable():
        pass
    assert constants.HF_HUB_OFFLINE
    assert not requests
