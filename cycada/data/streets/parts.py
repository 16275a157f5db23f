"""Surfaces of a drawn street, projected into the picture as one map of parts that both looks paint.

The street is a corridor, in metres: x to the right, y up, z ahead, with the camera at (0, height, 0). A part
is a surface with a class, a material and a plane. The plane gives the point in the world behind each pixel,
and so the texture, the haze and the light there.
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
"""The nine classes in order, in the colours of the corresponding classes of Cityscapes."""
ROAD, PAVEMENT, BUILDING, SKY, VEGETATION, CAR, PERSON, POLE, SIGN = range(9)

OVERSAMPLING = 2
"""Factor by which the map of parts is larger than the picture, in width and height. The look of photos
averages over the parts in a pixel, the look of a game takes one of them."""
FAR = 120.0
"""Distance of the end of the street from the camera, in metres."""


class Material(IntEnum):
    """Material of a surface, which decides its colours and its texture."""

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
    """Plane of a surface: none, the ground, along the street (x is constant) or across it (z is constant)."""

    NONE, GROUND, ALONG, ACROSS = range(4)


@dataclass
class World:
    """One street as a map of parts, with what is known about each part.

    A large pixel is a pixel of the map, which is `OVERSAMPLING` times as wide and as high as the picture.

    Attributes:
        parts: (OVERSAMPLING H, OVERSAMPLING W), the number of the part that is visible at each large pixel.
        shadow: The same size, 255 where the sun does not reach the ground and 0 elsewhere.
        focal: Focal length in large pixels.
        centre: Column of the vanishing point, in large pixels.
        horizon: Row of the horizon, in large pixels.
        height: Height of the camera in metres.
        edges: x of the left kerb, of the middle of the road and of the right kerb, in metres.
        classes: (parts,), the class of each part.
        materials: (parts,), its `Material`.
        planes: (parts,), its `Plane`.
        offsets: (parts,), its x where the plane is `ALONG`, its z where it is `ACROSS`, in metres.
        owners: (parts,), the object that it belongs to. Parts of one object share a colour.
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
        """Classes of the picture, (H, W) uint8."""
        classes: np.ndarray = self.classes[self.parts[::OVERSAMPLING, ::OVERSAMPLING]]
        return classes


@dataclass
class Painter:
    """Painter that projects surfaces in metres to polygons in large pixels, later ones over earlier ones.

    Attributes:
        width: Width of the map of parts in large pixels.
        height: Its height.
        focal: Focal length in large pixels.
        centre: Column of the vanishing point.
        horizon: Row of the horizon.
        eye: Height of the camera in metres.
        sun: Length of a shadow to the right for each metre of height; negative to the left.
        entries: Class, material, plane, offset and owner of each part so far.
        owner: Owner of the parts that are painted now; None makes each part its own owner.
    """

    width: int
    height: int
    focal: float
    centre: float
    horizon: float
    eye: float
    sun: float
    entries: list[tuple[int, int, int, float, int]] = field(default_factory=list)
    owner: int | None = None

    def __post_init__(self) -> None:
        self.image, self.shadow = (
            Pil.new("I", (self.width, self.height)),
            Pil.new("L", (self.width, self.height)),
        )
        self.draw, self.draw_shadow = ImageDraw.Draw(self.image), ImageDraw.Draw(self.shadow)
        self.add_part(SKY, Material.SKY)

    def add_part(self, label: int, material: Material, plane: Plane = Plane.NONE, offset: float = 1.0) -> int:
        """Add a part and return its number."""
        number = len(self.entries)
        self.entries.append((label, material, plane, offset, number if self.owner is None else self.owner))
        return number

    @contextmanager
    def one_object(self) -> Iterator[None]:
        """Make everything that is painted inside a `with` block one object."""
        self.owner = len(self.entries)
        yield
        self.owner = None

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return the column and row, in large pixels, of a point in the world."""
        return self.centre + self.focal * x / z, self.horizon + self.focal * (self.eye - y) / z

    def ground(self, label: int, material: Material, x: tuple[float, float], z: tuple[float, float]) -> None:
        """Paint a rectangle of the ground between two x and two z."""
        part = self.add_part(label, material, Plane.GROUND)
        self.draw.polygon(
            [self.project(x[i], 0, z[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], fill=part
        )

    def along(self, label: int, material: Material, x: float, outline: Sequence[tuple[float, float]]) -> None:
        """Paint a surface along the street at a constant x, with the corners (y, z) of `outline`."""
        self.draw.polygon(
            [self.project(x, y, z) for y, z in outline], fill=self.add_part(label, material, Plane.ALONG, x)
        )

    def across(
        self, label: int, material: Material, z: float, outline: Sequence[tuple[float, float]]
    ) -> None:
        """Paint a surface that faces the camera at a constant z, with the corners (x, y) of `outline`."""
        self.draw.polygon(
            [self.project(x, y, z) for x, y in outline], fill=self.add_part(label, material, Plane.ACROSS, z)
        )

    def block(
        self, label: int, material: Material, z: float, x: tuple[float, float], y: tuple[float, float]
    ) -> None:
        """Paint an upright rectangle that faces the camera, never thinner than a pixel of the picture."""
        (left, bottom), (right, top) = self.project(x[0], y[0], z), self.project(x[1], y[1], z)
        wide = max(right - left, OVERSAMPLING - 0.5)
        middle = (left + right) / 2
        box = (middle - wide / 2, min(top, bottom - 1), middle + wide / 2, bottom)
        self.draw.rectangle(box, fill=self.add_part(label, material, Plane.ACROSS, z))

    def disc(
        self, label: int, material: Material, z: float, x: float, y: float, radii: tuple[float, float]
    ) -> None:
        """Paint an upright ellipse that faces the camera, with its centre at (x, y, z)."""
        (left, bottom), (right, top) = (
            self.project(x - radii[0], y - radii[1], z),
            self.project(x + radii[0], y + radii[1], z),
        )
        self.draw.ellipse(
            (left, top, max(right, left + 1), max(bottom, top + 1)),
            fill=self.add_part(label, material, Plane.ACROSS, z),
        )

    def cast_shadow(self, x: tuple[float, float], z: tuple[float, float], tall: float) -> None:
        """Paint the shadow on the ground of an object of height `tall` that stands on a rectangle."""
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
        self.draw_shadow.polygon([self.project(a, 0, max(b, 1.0)) for a, b in corners], fill=255)
