"""The teacher network: a copy of the student that receives no gradient."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn


class Teacher(nn.Module):
    """A copy of the student that no gradient reaches; `EMATeacher` moves it.

    It is in eval mode whatever ``train()`` and ``eval()`` are called on the module that
    holds it, except within ``labeling()``.

    Args:
        student: Network to copy.
        mode: Mode of the network while it labels, within ``labeling()``. ``train``
            normalizes by the statistics of its own batch, and updates them.
    """

    def __init__(
        self, student: nn.Module, *, mode: Literal["eval", "train"] = "eval"
    ) -> None:
        super().__init__()
        if mode not in ("eval", "train"):
            raise ValueError(f"teacher_mode must be 'eval' or 'train', got {mode!r}")
        self.network = copy.deepcopy(student).requires_grad_(False)
        self.mode = mode
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return class scores, float ``(B, C, H, W)``, for a float ``(B, 3, H, W)``."""
        logits: Tensor = self.network(image)
        return logits

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode: the teacher's mode is not the student's."""
        return super().train(False)

    @contextmanager
    def labeling(self) -> Iterator[None]:
        """Put the network into ``mode`` for as long as pseudo-labels are made."""
        self.network.train(self.mode == "train")
        try:
            yield
        finally:
            self.network.eval()
