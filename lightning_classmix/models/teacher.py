"""The teacher network: a copy of the student that receives no gradient."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias, get_args

from torch import Tensor, nn

from lightning_classmix.models.network import copy_network
from lightning_classmix.ops.ranges import check_choice

TeacherMode: TypeAlias = Literal["eval", "train"]


class Teacher(nn.Module):
    """A copy of the student that receives no gradient; `EMATeacher` updates it.

    It stays in eval mode when ``train()`` or ``eval()`` is called on the module that
    holds it; only ``labeling()`` changes its mode.

    Args:
        student: Network to copy.
        mode: Mode of the network within ``labeling()``. With ``train``, dropout is on,
            and batch norm normalizes with the statistics of the batch and collects
            them for its eval mode.
    """

    def __init__(self, student: nn.Module, *, mode: TeacherMode = "train") -> None:
        super().__init__()
        check_choice("teacher_mode", mode, get_args(TeacherMode))
        self.network = copy_network(student).requires_grad_(False)
        self.mode = mode
        self.collected: frozenset[str] = frozenset()
        """Names of the network's buffers that it has updated itself while labeling."""
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, float ``(B, C, H, W)``, of images ``(B, C_in, H, W)``."""
        logits: Tensor = self.network(image)
        return logits

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode, whatever the mode of the student."""
        return super().train(False)

    @contextmanager
    def labeling(self) -> Iterator[None]:
        """Switch the network to ``mode`` while pseudo-labels are predicted."""
        self.network.train(self.mode == "train")
        if self.mode == "train" and not self.collected:
            self.collected = frozenset(
                f"{name}.{buffer}".lstrip(".")
                for name, layer in self.network.named_modules()
                for buffer, _ in layer.named_buffers(recurse=False)
                if layer.training
            )
        try:
            yield
        finally:
            self.network.eval()
