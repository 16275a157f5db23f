"""What stands in a drawn street, and where it falls in the picture: one map of parts that every look is painted on.

The street is a corridor in metres: x to the right, y up, z ahead, the camera at (0, height, 0). A part is a surface with a
class, a material and a plane, so that the point in the world behind every pixel is known, and with it texture, haze and light.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw

CLASSES = {
    "road": (128, 64, 128), "pavement": (244, 35, 232), "building": (70, 70, 70), "sky": (70, 130, 180),
    "vegetation": (107, 142, 35), "car": (0, 0, 142), "person": (220, 20, 60), "pole": (153, 153, 153),
    "sign": (220, 220, 0),
}  # fmt: skip
"""The nine classes in order, in the colours of their counterparts in Cityscapes."""
ROAD, PAVEMENT, BUILDING, SKY, VEGETATION, CAR, PERSON, POLE, SIGN = range(9)

OVER = 2
"""Parts are painted this much larger than the picture: a camera averages over a pixel, a cheap game takes one point of it."""
FAR = 120.0


class Material(IntEnum):
    """What a look gives a colour to."""

    (
        SKY,
        ASPHALT,
        SLABS,
        LAWN,
        WALL,
        ROOF,
        LEAVES,
        TRUNK,
        PAINT,
        GLASS,
        TYRE,
        LAMP,
        SKIN,
        SHIRT,
        TROUSERS,
        METAL,
        PLATE,
        RIM,
    ) = range(18)


class Plane(IntEnum):
    """How a surface lies: nowhere, on the ground, along the street (x is known), across it (z is known)."""

    NONE, GROUND, ALONG, ACROSS = range(4)


@dataclass
class World:
    """parts: (OVER H, OVER W) number of the part seen. The last five have an entry a part; parts of one owner share a colour.

    shadow: the size of parts, 0 or 255, where the sun does not reach the ground. focal, centre, horizon: in large pixels.
    edges: x of the left kerb, the middle of the road and the right kerb.
    """

    parts: np.ndarray
    shadow: np.ndarray
    focal: float
    centre: float
    horizon: float
    height: float
    edges: tuple[float, float, float]
    classes: np.ndarray
    materials: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """(H, W) uint8."""
        return self.classes[self.parts[::OVER, ::OVER]]


@dataclass
class Painter:
    """Surfaces in metres -> polygons in pixels, later ones over earlier ones."""

    width: int
    height: int
    focal: float
    centre: float
    horizon: float
    eye: float
    sun: float
    listed: list[tuple[int, int, int, float, int]] = field(default_factory=list)
    owner: int | None = None

    def __post_init__(self) -> None:
        self.image, self.shadow = (
            Pil.new("I", (self.width, self.height)),
            Pil.new("L", (self.width, self.height)),
        )
        self.draw, self.shade = ImageDraw.Draw(self.image), ImageDraw.Draw(self.shadow)
        self.part(SKY, Material.SKY)

    def part(self, label: int, material: Material, plane: Plane = Plane.NONE, offset: float = 1.0) -> int:
        number = len(self.listed)
        self.listed.append((label, material, plane, offset, number if self.owner is None else self.owner))
        return number

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is painted inside this block belongs to one thing."""
        self.owner = len(self.listed)
        yield
        self.owner = None

    def at(self, x: float, y: float, z: float) -> tuple[float, float]:
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z

    def ground(self, label: int, material: Material, x: tuple[float, float], z: tuple[float, float]) -> None:
        part = self.part(label, material, Plane.GROUND)
        self.draw.polygon([self.at(x[i], 0, z[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], fill=part)

    def along(self, label: int, material: Material, x: float, outline: Sequence[tuple[float, float]]) -> None:
        """A surface beside the street; outline: (y, z)."""
        self.draw.polygon(
            [self.at(x, y, z) for y, z in outline], fill=self.part(label, material, Plane.ALONG, x)
        )

    def across(
        self, label: int, material: Material, z: float, outline: Sequence[tuple[float, float]]
    ) -> None:
        """A surface that faces the camera; outline: (x, y)."""
        self.draw.polygon(
            [self.at(x, y, z) for x, y in outline], fill=self.part(label, material, Plane.ACROSS, z)
        )

    def block(
        self, label: int, material: Material, z: float, x: tuple[float, float], y: tuple[float, float]
    ) -> None:
        """An upright rectangle, never thinner than a pixel of the picture."""
        (left, bottom), (right, top) = self.at(x[0], y[0], z), self.at(x[1], y[1], z)
        wide = max(right - left, OVER - 0.5)
        middle = (left + right) / 2
        box = (middle - wide / 2, min(top, bottom - 1), middle + wide / 2, bottom)
        self.draw.rectangle(box, fill=self.part(label, material, Plane.ACROSS, z))

    def disc(
        self, label: int, material: Material, z: float, x: float, y: float, radii: tuple[float, float]
    ) -> None:
        (left, bottom), (right, top) = (
            self.at(x - radii[0], y - radii[1], z),
            self.at(x + radii[0], y + radii[1], z),
        )
        self.draw.ellipse(
            (left, top, max(right, left + 1), max(bottom, top + 1)),
            fill=self.part(label, material, Plane.ACROSS, z),
        )

    def dark(self, x: tuple[float, float], z: tuple[float, float], tall: float) -> None:
        """The shadow on the ground of something that stands on this rectangle."""
        shift = self.sun * tall
        near, far = max(z[0] - 0.4 * tall, 1.0), z[1]
        corners = (
            (x[0], z[0]),
            (x[1], z[0]),
            (x[1], far),
            (x[1] + shift, far),
            (x[1] + shift, near),
            (x[0] + shift, near),
        )
        if shift < 0:
            corners = (
                (x[1], z[0]),
                (x[0], z[0]),
                (x[0], far),
                (x[0] + shift, far),
                (x[0] + shift, near),
                (x[1] + shift, near),
            )
        self.shade.polygon([self.at(a, 0, max(b, 1.0)) for a, b in corners], fill=255)
