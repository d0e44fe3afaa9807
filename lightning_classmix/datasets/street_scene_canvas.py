"""Draw objects of a street scene into an image and its label map."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SKY, BUILDING, ROAD, SIDEWALK, TREE, CAR, PERSON = range(7)

CURB, WALL = 3.4, 5.8  # where road and sidewalk end, meters from the middle
FAR, _NEAR = 70.0, 2.5  # meters from the camera
_FINER = 2  # factor by which the scene is drawn larger than the image

Point = tuple[float, float]
_ANGLES = np.linspace(0, 2 * np.pi, 16, endpoint=False).tolist()
_CIRCLE: list[Point] = [(math.cos(angle), math.sin(angle)) for angle in _ANGLES]
Color = NDArray[np.float64]


class Canvas:
    """An image and its label map, drawn together, seen by one camera in one light."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng, self.size = rng, size
        self.height, self.width = size[0] * _FINER, size[1] * _FINER
        self.image = Image.new("RGB", (self.width, self.height))
        self.label = Image.new("L", (self.width, self.height), SKY)
        self._pens = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)
        self.focal = self.width * rng.uniform(0.6, 0.9)
        self.eye = rng.uniform(1.3, 2.4)  # meters above the road
        self.horizon = self.height * rng.uniform(0.38, 0.52)
        self.middle = self.width * rng.uniform(0.35, 0.65)
        self.haze = rng.uniform(170, 240) * np.ones(3) + rng.normal(0, 6, 3)
        self._haze: list[float] = self.haze.tolist()
        self.fog = rng.uniform(0.0, 0.02)  # share lost per meter

    def project(self, x: float, y: float, z: float) -> Point:
        """Return the pixel of the point x meters right, y up and z ahead."""
        scale = self.focal / z
        return self.middle + x * scale, self.horizon + (self.eye - y) * scale

    def paint(
        self, kind: int, color: Color, points: list[Point], z: float = 0.0
    ) -> None:
        """Fill a polygon that is z meters away."""
        clear = math.exp(-self.fog * z)
        channels = zip(color.tolist(), self._haze, strict=True)
        seen = [clear * value + (1 - clear) * haze for value, haze in channels]
        fill = tuple(int(min(max(value, 0), 255)) for value in seen)
        self._pens[0].polygon(points, fill=fill)
        self._pens[1].polygon(points, fill=kind)

    def box(
        self,
        kind: int,
        color: Color,
        x: tuple[float, float],
        y: tuple[float, float],
        z: float,
    ) -> None:
        """Fill an upright rectangle that faces the camera."""
        left, bottom = self.project(x[0], y[0], z)
        right, top = self.project(x[1], y[1], z)
        points = [(left, bottom), (right, bottom), (right, top), (left, top)]
        self.paint(kind, color, points, z)

    def disc(
        self, kind: int, color: Color, center: Point, radii: Point, z: float
    ) -> None:
        """Fill an upright ellipse that faces the camera."""
        points = [
            self.project(center[0] + radii[0] * x, center[1] + radii[1] * y, z)
            for x, y in _CIRCLE
        ]
        self.paint(kind, color, points, z)

    def tone(self, low: float, high: float, chroma: float) -> Color:
        """Draw a color: gray in [``low``, ``high``), tinted by ``chroma``."""
        return self.rng.uniform(low, high) + self.rng.normal(0, chroma, 3)

    def sky(self) -> None:
        """Fill the picture with a sky: a gradient, and clouds."""
        top = self.tone(120, 215, 8) + np.array([-25, 0, 25]) * self.rng.uniform(0, 1.6)
        share = np.linspace(0, 1, self.height)[:, None, None]
        gradient = (1 - share) * top + share * self.haze
        clouds = _smooth_noise(self.rng, (self.height, self.width), 5)[..., None]
        painted = gradient + self.rng.uniform(0, 35) * clouds
        self.image.paste(Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8)))

    def ground(self) -> None:
        """Draw the road with its markings, a sidewalk along each side, and grass."""
        road = self.tone(60, 150, 6)
        walk = (
            road + self.tone(-30, 45, 8)
            if self.rng.random() < 0.5
            else self.tone(90, 190, 12)
        )
        grass = self.tone(70, 140, 20)
        depths = np.geomspace(4 * FAR, _NEAR / 4, 48)
        for far, near in itertools.pairwise(depths):
            for half, kind, color in (
                (60.0, SIDEWALK, grass),
                (WALL, SIDEWALK, walk + self.rng.normal(0, 5)),
                (CURB, ROAD, road + self.rng.normal(0, 3)),
            ):
                corners = [(-half, far), (half, far), (half, near), (-half, near)]
                self.paint(
                    kind, color, [self.project(x, 0, z) for x, z in corners], far
                )
        paint = self.tone(170, 240, 8)
        for z in np.arange(_NEAR, 40, 4.0) + self.rng.uniform(0, 4):
            corners = [(-0.1, z), (0.1, z), (0.1, z + 1.8), (-0.1, z + 1.8)]
            self.paint(ROAD, paint, [self.project(x, 0, w) for x, w in corners], z)

    def building(self, side: float, far: float, near: float) -> None:
        """Draw a building on one side (-1 or 1), from ``near`` to ``far`` meters."""
        roof, wall = (
            self.rng.uniform(4, 16),
            side * self.rng.uniform(WALL, WALL + 1.5),
        )
        color = self.tone(60, 215, 18)
        self.box(BUILDING, color * 0.8, (wall, wall + side * 14), (0, roof), near)
        corners = [(0.0, near), (roof, near), (roof, far), (0.0, far)]
        self.paint(
            BUILDING, color, [self.project(wall, y, z) for y, z in corners], near
        )
        glass = self.tone(30, 190, 12)
        story, bay = self.rng.uniform(2.6, 3.6), self.rng.uniform(2.0, 4.0)
        for y in np.arange(1.0, roof - 1.5, story):
            for z in np.arange(max(near, _NEAR) + 0.5, far - 1.2, bay):
                corners = [(y, z), (y + 1.5, z), (y + 1.5, z + 1.1), (y, z + 1.1)]
                self.paint(
                    BUILDING, glass, [self.project(wall, v, w) for v, w in corners], z
                )

    def tree(self, x: float, z: float) -> None:
        """Draw a tree."""
        height, crown = self.rng.uniform(3.5, 8), self.rng.uniform(0.9, 2.0)
        self.box(TREE, self.tone(45, 95, 10), (x - 0.15, x + 0.15), (0, height), z)
        leaf = self.tone(45, 120, 8) + np.array([-5, 22, -22]) * self.rng.uniform(
            0.2, 1.4
        )
        for _ in range(14):
            offset = self.rng.normal(0, 0.5, 2) * crown
            radius = crown * self.rng.uniform(0.35, 0.7)
            shade = leaf + self.rng.normal(0, 14)
            self.disc(
                TREE, shade, (x + offset[0], height + offset[1]), (radius, radius), z
            )

    def car(self, x: float, z: float) -> None:
        """Draw a car, seen from behind."""
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
        """Draw a person."""
        tall, step = self.rng.uniform(1.45, 1.95), self.rng.uniform(0.02, 0.2)
        legs, coat = self.tone(25, 150, 20), self.tone(30, 210, 38)
        skin = np.array([205.0, 160, 130]) * self.rng.uniform(0.4, 1.1)
        for leg in (-step, step):
            self.box(PERSON, legs, (x + leg - 0.1, x + leg + 0.1), (0, tall * 0.5), z)
        self.box(PERSON, coat, (x - 0.3, x + 0.3), (tall * 0.45, tall * 0.83), z)
        self.disc(PERSON, skin, (x, tall * 0.92), (0.13, tall * 0.085), z)

    def finish(self) -> tuple[Image.Image, NDArray[np.uint8]]:
        """Add texture, shadow, light and noise; return image and label."""
        rng, image = self.rng, np.asarray(self.image.reduce(_FINER), dtype=np.float64)
        label = np.asarray(self.label)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
        rough = np.array([0.01, 0.04, 0.03, 0.05, 0.1, 0.02, 0.03])
        rough *= rng.uniform(0.5, 1.5, 7)
        image *= 1 + (rough[label] * rng.standard_normal(self.size))[..., None]
        shadow = _smooth_noise(rng, self.size, 4) > rng.uniform(0.5, 1.8)
        shade = np.where(shadow & (label != SKY), rng.uniform(0.6, 0.9), 1.0)
        image *= shade[..., None]
        light = rng.uniform(0.7, 1.15) * (1 + rng.normal(0, 0.03, 3))
        image = 255 * np.clip(image * light / 255, 0, 1) ** rng.uniform(0.85, 1.2)
        image += rng.normal(0, rng.uniform(1, 3), image.shape)
        return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)), label.copy()


def _smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int
) -> NDArray[np.float64]:
    """Return smooth noise of standard deviation near 1, ``(H, W)``."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    fine = coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float64)
