import numpy as np
import pytest
from numpy.typing import NDArray

from lightning_classmix.datasets.street_scenes import CLASS_NAMES, PALETTE, StreetScenes


def pixels(scenes: StreetScenes, index: int) -> NDArray[np.uint8]:
    return np.asarray(scenes[index][0])


def test_scenes_are_the_same_every_time() -> None:
    one, other = (StreetScenes(3, size=(32, 48), seed=4) for _ in range(2))
    for index in (2, 0):
        assert np.array_equal(pixels(one, index), pixels(other, index))
        assert np.array_equal(one[index][1], other[index][1])


def test_scenes_of_another_number_or_seed_are_others() -> None:
    first = pixels(StreetScenes(1, size=(32, 48)), 0)
    reseeded = pixels(StreetScenes(1, size=(32, 48), seed=1), 0)
    renumbered = pixels(StreetScenes(1, size=(32, 48), first=1), 0)
    assert not np.array_equal(first, reseeded)
    assert not np.array_equal(first, renumbered)
    shifted = pixels(StreetScenes(2, size=(32, 48), first=1), 0)
    assert np.array_equal(pixels(StreetScenes(2, size=(32, 48)), 1), shifted)


def test_a_scene_is_drawn_once() -> None:
    scenes = StreetScenes(2, size=(32, 48))
    assert scenes[1] is scenes[1]


@pytest.mark.parametrize("size", [(32, 48), (60, 50)])
def test_image_and_label_have_the_size_asked_for(size: tuple[int, int]) -> None:
    image, label = StreetScenes(1, size=size)[0]
    assert image.mode == "RGB"
    assert image.size == (size[1], size[0])
    assert label.shape == size
    assert label.dtype == np.uint8


def test_every_class_is_common_enough_to_be_learned() -> None:
    labels = np.stack([label for _, label in StreetScenes(40, size=(64, 96))])  # type: ignore[attr-defined]
    assert labels.max() < len(CLASS_NAMES) == len(PALETTE)
    for index in range(len(CLASS_NAMES)):
        assert (labels == index).any(axis=(1, 2)).mean() > 0.7
        assert (labels == index).mean() > 0.004


def test_light_varies_between_scenes() -> None:
    scenes = StreetScenes(30, size=(32, 48))
    means = [np.asarray(scenes[i][0]).mean() for i in range(30)]
    assert np.std(means) > 15


def test_iteration_ends_with_the_last_scene() -> None:
    scenes = StreetScenes(3, size=(32, 48))
    with pytest.raises(IndexError):
        scenes[3]
