import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_classmix.modules.prediction import _most_probable, predict_bands


@pytest.mark.parametrize("classes", [1, 2, 7, 200])
def test_the_most_probable_class_is_the_first_of_the_largest_scores(
    classes: int,
) -> None:
    scores = torch.randint(0, 4, (classes, 9, 11), dtype=torch.float32)
    label = _most_probable(scores)
    assert label.dtype == torch.uint8
    assert torch.equal(label.long(), scores.argmax(0))


@pytest.mark.parametrize("blend", ["uniform", "gaussian"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_bands_are_the_probabilities_of_a_network_without_context(
    blend: str, batch_size: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8)

    def normalize(crop: np.ndarray) -> Tensor:
        return torch.from_numpy(crop).permute(2, 0, 1) / 50.0

    bands = predict_bands(
        image,
        normalize=normalize,
        network=lambda x: x,
        window=(10, 12),
        batch_size=batch_size,
        blend=blend,  # type: ignore[arg-type]
    )
    expected = normalize(image).softmax(0)
    torch.testing.assert_close(torch.cat(list(bands), dim=1), expected)
