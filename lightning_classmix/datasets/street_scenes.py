"""Generated street scenes: a dataset that needs no download.

Images of a straight street between buildings, with trees, cars and people, seen by a
pinhole camera. Light, colors and textures vary so much that a few labeled scenes do not
cover them, which is the purpose of semi-supervised training.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from lightning_classmix.datasets.street_scene_canvas import CURB, FAR, WALL, Canvas

CLASS_NAMES = ("sky", "building", "road", "sidewalk", "tree", "car", "person")
PALETTE = (
    (70, 130, 180),
    (110, 90, 90),
    (128, 64, 128),
    (244, 35, 232),
    (107, 142, 35),
    (0, 0, 142),
    (220, 20, 60),
)


class StreetScenes(Dataset[tuple[Image.Image, NDArray[np.uint8]]]):
    """Street scenes by number, drawn when first asked for and kept in memory.

    Args:
        count: Number of scenes.
        size: Height and width in pixels.
        seed: Scene i depends on (``seed``, i) and ``size`` alone.
        first: Number of the first scene, so that two sets can be disjoint.

    Example:
        >>> image, label = StreetScenes(3, size=(32, 48))[0]
        >>> image.size, label.shape, label.dtype
        ((48, 32), (32, 48), dtype('uint8'))
    """

    def __init__(
        self,
        count: int,
        *,
        size: tuple[int, int] = (96, 128),
        seed: int = 0,
        first: int = 0,
    ) -> None:
        self.size, self.seed, self.first = size, seed, first
        self._scenes: list[tuple[Image.Image, NDArray[np.uint8]] | None]
        self._scenes = [None] * count

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> tuple[Image.Image, NDArray[np.uint8]]:
        """Return image (RGB) and label, uint8 ``(H, W)`` in [0, 7), of one scene."""
        scene = self._scenes[index]
        if scene is None:
            rng = np.random.default_rng([self.seed, self.first + index])
            scene = self._scenes[index] = draw_scene(rng, self.size)
        return scene


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[Image.Image, NDArray[np.uint8]]:
    """Draw one street scene and its label map.

    Args:
        rng: Source of every choice in the scene.
        size: Height and width in pixels.

    Returns:
        The image, RGB, and the class per pixel, uint8 ``(H, W)`` in [0, 7).
    """
    canvas = Canvas(rng, size)
    canvas.sky()
    canvas.ground()
    for _, draw in sorted(_draw_calls(rng, canvas), key=lambda item: -item[0]):
        draw()
    return canvas.finish()


def _draw_calls(
    rng: np.random.Generator, canvas: Canvas
) -> list[tuple[float, Callable[[], None]]]:
    """Return the distance in meters and the drawing function of each object."""
    items: list[tuple[float, Callable[[], None]]] = []

    def put(z: float, draw: Callable[..., None], *where: float) -> None:
        items.append((z, lambda: draw(*where, z)))

    for side in (-1.0, 1.0):
        near = 1.0
        while near < FAR:
            far = near + rng.uniform(6, 18)
            if rng.random() < 0.85:
                put(near, canvas.building, side, far)
            near = far + (rng.uniform(1, 8) if rng.random() < 0.4 else 0.0)
        for _ in range(rng.poisson(2.5)):
            put(
                rng.uniform(5, 40),
                canvas.tree,
                side * rng.uniform(CURB + 1, WALL + 1),
            )
        for _ in range(rng.poisson(2.0)):
            put(
                rng.uniform(5, 14),
                canvas.person,
                side * rng.uniform(CURB, WALL - 0.5),
            )
        for _ in range(rng.poisson(1.3)):
            put(rng.uniform(5, 22), canvas.car, side * rng.uniform(1.1, CURB - 1))
    for _ in range(rng.poisson(1.2)):
        put(rng.uniform(5, 12), canvas.person, rng.uniform(-CURB, CURB))
    return items
