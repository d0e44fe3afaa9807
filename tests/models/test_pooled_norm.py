import pytest
from torch import Tensor, nn

from lightning_classmix import ClassMix, Supervised
from tests import tiny


class Pooling(nn.Module):
    """Batch norm after a global pooling, as in DeepLab's head."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))

    def forward(self, image: Tensor) -> Tensor:
        pooled: Tensor = self.pool(image)
        return image * pooled


def fit(method: type[Supervised], network: nn.Module) -> int:
    trainer = tiny.trainer(max_steps=1)
    model = method(tiny.CLASSES, network=network)
    trainer.fit(model, tiny.loader(tiny.batch(labeled=1)))
    return trainer.global_step


@pytest.mark.parametrize("method", [Supervised, ClassMix])
def test_a_labeled_batch_of_one_is_refused_for_batch_norm_after_pooling(
    method: type[Supervised],
) -> None:
    with pytest.raises(
        ValueError, match="the labeled batch must hold at least 2 images"
    ):
        fit(method, nn.Sequential(nn.Conv2d(3, 3, 1), Pooling()))


def test_a_labeled_batch_of_one_trains_without_pooling() -> None:
    assert fit(ClassMix, tiny.network()) == 1
