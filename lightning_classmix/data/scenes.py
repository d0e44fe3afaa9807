"""Generated street scenes: a data set that needs no download.

A pinhole camera stands on a straight street between buildings, with trees, cars and
people. Light, colours and textures vary so widely that a handful of labelled scenes
cannot show them all, which is what semi-supervised training is for.
"""

import itertools
import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.utils.data import Dataset

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
SKY, BUILDING, ROAD, SIDEWALK, TREE, CAR, PERSON = range(7)

_CURB, _WALL = 4.0, 7.0  # metres from the middle of the road
_NEAR, _FAR = 2.5, 70.0  # metres from the camera
_FINER = 2  # the picture is drawn this much finer than it is returned

Point = tuple[float, float]
Colour = NDArray[np.float64]


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
        self.count, self.size, self.seed, self.first = count, size, seed, first

    @cached_property
    def _scenes(self) -> list[tuple[Image.Image, NDArray[np.uint8]] | None]:
        return [None] * self.count

    def __len__(self) -> int:
        return self.count

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
    canvas = _Canvas(rng, size)
    canvas.sky()
    canvas.ground()
    for _, draw in sorted(_furniture(rng, canvas), key=lambda item: -item[0]):
        draw()
    return canvas.finish()


def _furniture(
    rng: np.random.Generator, canvas: "_Canvas"
) -> list[tuple[float, Callable[[], None]]]:
    """List what stands in the street, with its distance in metres."""
    items: list[tuple[float, Callable[[], None]]] = []

    def put(z: float, draw: Callable[..., None], *where: float) -> None:
        items.append((z, lambda: draw(*where, z)))

    for side in (-1.0, 1.0):
        near = 1.0
        while near < _FAR:
            far = near + rng.uniform(6, 18)
            if rng.random() < 0.85:
                put(near, canvas.building, side, far)
            near = far + (rng.uniform(1, 8) if rng.random() < 0.4 else 0.0)
        for _ in range(rng.poisson(2.5)):
            put(
                rng.uniform(5, 40),
                canvas.tree,
                side * rng.uniform(_CURB + 1, _WALL + 1),
            )
        for _ in range(rng.poisson(1.6)):
            put(
                rng.uniform(4, 18),
                canvas.person,
                side * rng.uniform(_CURB, _WALL - 0.5),
            )
        for _ in range(rng.poisson(1.3)):
            put(rng.uniform(5, 30), canvas.car, side * rng.uniform(1.2, _CURB - 1))
    if rng.random() < 0.3:
        put(rng.uniform(6, 18), canvas.person, rng.uniform(-_CURB, _CURB))
    return items


class _Canvas:
    """An image and its label map, drawn together, seen by one camera in one light."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng, self.size = rng, size
        self.height, self.width = size[0] * _FINER, size[1] * _FINER
        self.image = Image.new("RGB", (self.width, self.height))
        self.label = Image.new("L", (self.width, self.height), SKY)
        self._pens = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)
        self.focal = self.width * rng.uniform(0.6, 0.9)
        self.eye = rng.uniform(1.3, 2.4)  # metres above the road
        self.horizon = self.height * rng.uniform(0.38, 0.52)
        self.middle = self.width * rng.uniform(0.35, 0.65)
        self.haze = rng.uniform(150, 235) * np.ones(3) + rng.normal(0, 10, 3)
        self.fog = rng.uniform(0.0, 0.02)  # share lost per metre

    def project(self, x: float, y: float, z: float) -> Point:
        """Return the pixel of the point x metres right, y up and z ahead."""
        scale = self.focal / z
        return self.middle + x * scale, self.horizon + (self.eye - y) * scale

    def paint(
        self, kind: int, colour: Colour, points: list[Point], z: float = 0.0
    ) -> None:
        """Fill a polygon that is z metres away."""
        clear = math.exp(-self.fog * z)
        seen = np.clip(clear * colour + (1 - clear) * self.haze, 0, 255)
        self._pens[0].polygon(points, fill=tuple(int(value) for value in seen))
        self._pens[1].polygon(points, fill=kind)

    def box(
        self,
        kind: int,
        colour: Colour,
        x: tuple[float, float],
        y: tuple[float, float],
        z: float,
    ) -> None:
        """Fill an upright rectangle that faces the camera."""
        left, bottom = self.project(x[0], y[0], z)
        right, top = self.project(x[1], y[1], z)
        points = [(left, bottom), (right, bottom), (right, top), (left, top)]
        self.paint(kind, colour, points, z)

    def disc(
        self, kind: int, colour: Colour, centre: Point, radii: Point, z: float
    ) -> None:
        """Fill an upright ellipse that faces the camera."""
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        points = [
            self.project(
                centre[0] + radii[0] * math.cos(a),
                centre[1] + radii[1] * math.sin(a),
                z,
            )
            for a in angles
        ]
        self.paint(kind, colour, points, z)

    def tone(self, low: float, high: float, chroma: float) -> Colour:
        """Draw a colour: grey in [``low``, ``high``), tinted by ``chroma``."""
        return self.rng.uniform(low, high) + self.rng.normal(0, chroma, 3)

    def sky(self) -> None:
        top = self.tone(90, 220, 12) + np.array([-25, 0, 25]) * self.rng.uniform(0, 1.4)
        share = np.linspace(0, 1, self.height)[:, None, None]
        gradient = (1 - share) * top + share * self.haze
        clouds = _smooth_noise(self.rng, (self.height, self.width), 5)[..., None]
        painted = gradient + self.rng.uniform(0, 35) * clouds
        self.image.paste(Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8)))

    def ground(self) -> None:
        road = self.tone(60, 150, 6)
        walk = (
            road + self.tone(-30, 45, 8)
            if self.rng.random() < 0.5
            else self.tone(90, 190, 12)
        )
        grass = self.tone(70, 140, 20)
        depths = np.geomspace(4 * _FAR, _NEAR / 4, 48)
        for far, near in itertools.pairwise(depths):
            for half, kind, colour in (
                (60.0, SIDEWALK, grass),
                (_WALL, SIDEWALK, walk + self.rng.normal(0, 5)),
                (_CURB, ROAD, road + self.rng.normal(0, 3)),
            ):
                corners = [(-half, far), (half, far), (half, near), (-half, near)]
                self.paint(
                    kind, colour, [self.project(x, 0, z) for x, z in corners], far
                )
        paint = self.tone(170, 240, 8)
        for z in np.arange(_NEAR, 40, 4.0) + self.rng.uniform(0, 4):
            corners = [(-0.1, z), (0.1, z), (0.1, z + 1.8), (-0.1, z + 1.8)]
            self.paint(ROAD, paint, [self.project(x, 0, w) for x, w in corners], z)

    def building(self, side: float, far: float, near: float) -> None:
        roof, wall = (
            self.rng.uniform(4, 16),
            side * self.rng.uniform(_WALL, _WALL + 1.5),
        )
        colour = self.tone(60, 215, 26)
        self.box(BUILDING, colour * 0.8, (wall, wall + side * 14), (0, roof), near)
        corners = [(0.0, near), (roof, near), (roof, far), (0.0, far)]
        self.paint(
            BUILDING, colour, [self.project(wall, y, z) for y, z in corners], near
        )
        glass = self.tone(30, 190, 12)
        storey, bay = self.rng.uniform(2.6, 3.6), self.rng.uniform(2.0, 4.0)
        for y in np.arange(1.0, roof - 1.5, storey):
            for z in np.arange(max(near, _NEAR) + 0.5, far - 1.2, bay):
                corners = [(y, z), (y + 1.5, z), (y + 1.5, z + 1.1), (y, z + 1.1)]
                self.paint(
                    BUILDING, glass, [self.project(wall, v, w) for v, w in corners], z
                )

    def tree(self, x: float, z: float) -> None:
        height, crown = self.rng.uniform(3.5, 8), self.rng.uniform(0.9, 2.0)
        self.box(TREE, self.tone(45, 95, 10), (x - 0.15, x + 0.15), (0, height), z)
        leaf = self.tone(45, 120, 8) + np.array([-5, 22, -22]) * self.rng.uniform(
            -0.4, 1.4
        )
        for _ in range(14):
            offset = self.rng.normal(0, 0.5, 2) * crown
            radius = crown * self.rng.uniform(0.35, 0.7)
            shade = leaf + self.rng.normal(0, 14)
            self.disc(
                TREE, shade, (x + offset[0], height + offset[1]), (radius, radius), z
            )

    def car(self, x: float, z: float) -> None:
        width, waist = self.rng.uniform(0.8, 1.0), self.rng.uniform(0.8, 1.1)
        roof, body = waist + self.rng.uniform(0.45, 0.8), self.tone(25, 225, 34)
        for wheel in (x - width + 0.15, x + width - 0.15):
            self.disc(CAR, self.tone(15, 40, 3), (wheel, 0.25), (0.17, 0.28), z)
        self.box(CAR, body, (x - width, x + width), (0.22, waist), z)
        self.box(
            CAR, body * 0.85, (x - width * 0.82, x + width * 0.82), (waist, roof), z
        )
        glass = (x - width * 0.7, x + width * 0.7)
        self.box(CAR, self.tone(30, 150, 8), glass, (waist, roof - 0.12), z)
        for lamp in (x - width + 0.15, x + width - 0.15):
            red = np.array([200.0, 40, 40]) * self.rng.uniform(0.6, 1.2)
            self.box(CAR, red, (lamp - 0.1, lamp + 0.1), (waist - 0.3, waist - 0.15), z)

    def person(self, x: float, z: float) -> None:
        tall, step = self.rng.uniform(1.45, 1.95), self.rng.uniform(0.02, 0.2)
        legs, coat = self.tone(25, 150, 20), self.tone(30, 210, 38)
        skin = np.array([205.0, 160, 130]) * self.rng.uniform(0.4, 1.1)
        for leg in (-step, step):
            self.box(PERSON, legs, (x + leg - 0.1, x + leg + 0.1), (0, tall * 0.5), z)
        self.box(PERSON, coat, (x - 0.27, x + 0.27), (tall * 0.45, tall * 0.83), z)
        self.disc(PERSON, skin, (x, tall * 0.92), (0.13, tall * 0.085), z)

    def finish(self) -> tuple[Image.Image, NDArray[np.uint8]]:
        """Add texture, shadow, light and noise; return image and label at their size."""
        rng, image = self.rng, np.asarray(self.image.reduce(_FINER), dtype=np.float64)
        label = np.asarray(self.label)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
        rough = np.array([0.01, 0.07, 0.06, 0.07, 0.13, 0.04, 0.05]) * rng.uniform(
            0.5, 1.5, 7
        )
        image *= 1 + (rough[label] * rng.standard_normal(self.size))[..., None]
        shadow = _smooth_noise(rng, self.size, 4) > rng.uniform(0.2, 1.5)
        image *= np.where(shadow & (label != SKY), rng.uniform(0.5, 0.9), 1.0)[
            ..., None
        ]
        light = rng.uniform(0.55, 1.25) * (1 + rng.normal(0, 0.07, 3))
        image = 255 * np.clip(image * light / 255, 0, 1) ** rng.uniform(0.75, 1.35)
        image += rng.normal(0, rng.uniform(1, 6), image.shape)
        return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)), label.copy()


def _smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int
) -> NDArray[np.float64]:
    """Return smooth noise of about unit spread, ``(H, W)``, with ``cells`` per side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    fine = coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float64)
