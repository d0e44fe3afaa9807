import pytest
import torch

from lightning_classmix.data.loaders import collate


def test_images_of_different_sizes_are_told_with_the_remedy() -> None:
    items = [{"image": torch.zeros(3, 4, side)} for side in (6, 5)]
    with pytest.raises(ValueError, match=r"images .* 4 x 5, 4 x 6; set crop or size"):
        collate(items)


def test_labels_of_different_sizes_are_told_with_the_remedy() -> None:
    items = [
        {"image": torch.zeros(3, 4, 4), "label": torch.zeros(4, side)}
        for side in (6, 5)
    ]
    with pytest.raises(ValueError, match=r"labels .* val_batch_size=1"):
        collate(items)


def test_items_of_one_size_are_stacked() -> None:
    items = [{"image": torch.full((3, 4, 4), float(i)), "name": str(i)} for i in (1, 2)]
    batch = collate(items)
    assert batch["image"].shape == (2, 3, 4, 4)
    assert batch["name"] == ["1", "2"]
