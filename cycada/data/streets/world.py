"""One drawn street with houses, trees, cars, people, lamps and signs; all sizes are in metres."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from cycada.data.streets.parts import (
    BUILDING,
    CAR,
    FAR,
    OVERSAMPLING,
    PAVEMENT,
    PERSON,
    POLE,
    ROAD,
    SIGN,
    VEGETATION,
    Material,
    Painter,
    Plane,
    World,
)

Standing = list[tuple[float, Callable[[], None]]]
"""Objects that stand in the street: the distance of each, and the function that paints it. The farthest is
painted first."""


def build_street(rng: np.random.Generator, width: int, height: int) -> World:
    """Return a random street.

    Args:
        rng: Source of all random numbers.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """
    large = (OVERSAMPLING * width, OVERSAMPLING * height)
    p = Painter(
        *large,
        focal=large[1] * rng.uniform(1.15, 1.5),
        centre=large[0] * rng.uniform(0.38, 0.62),
        horizon=large[1] * rng.uniform(0.38, 0.5),
        eye=rng.uniform(1.3, 2.2),
        sun=rng.choice((-1, 1)) * rng.uniform(0.15, 0.7),
    )
    middle, half = rng.uniform(-2.2, 0.5), rng.uniform(3.4, 5.5)
    left, right = middle - half, middle + half
    walks = rng.uniform(2.0, 4.5, 2)
    lines = (left - walks[0], right + walks[1])
    p.ground(VEGETATION, Material.LAWN, (-400, 400), (0.5, 1000))
    p.ground(PAVEMENT, Material.SLABS, lines, (0.5, 1000))
    p.ground(ROAD, Material.ASPHALT, (left, right), (0.5, 1000))
    backdrop(p, rng, left, right)
    for side, kerb, line in ((-1, left, lines[0]), (1, right, lines[1])):
        houses(p, rng, side, kerb, line)
    standing = [
        trees(p, rng, left, right),
        cars(p, rng, left, middle, right),
        people(p, rng, lines, left, right),
    ]
    standing.append(posts(p, rng, left, right))
    for _, paint in sorted((item for group in standing for item in group), key=lambda item: -item[0]):
        paint()
    table = np.array(p.entries)
    classes, materials, planes = (table[:, k].astype(np.uint8) for k in range(3))
    return World(
        np.asarray(p.image, np.intp),
        np.asarray(p.shadow),
        p.focal,
        p.centre,
        p.horizon,
        p.eye,
        (left, middle, right),
        classes,
        materials,
        planes,
        table[:, 3].astype(np.float32),
        table[:, 4].astype(np.intp),
    )


def backdrop(p: Painter, rng: np.random.Generator, left: float, right: float) -> None:
    """Paint the end of the street: trees, a house across it, or the open sky."""
    x, hedge = -140.0, rng.uniform(1, 3)
    p.block(VEGETATION, Material.LEAVES, FAR, (-140, 140), (0, hedge))
    while x < 140:
        wide, kind = rng.uniform(8, 30), rng.random()
        if kind < 0.45:
            tall = rng.uniform(2, 6)
            p.disc(VEGETATION, Material.LEAVES, FAR, x + wide / 2, tall, (wide * 0.6, tall))
        elif kind < 0.8 and not (left - wide < x < right and rng.random() < 0.6):
            p.block(BUILDING, Material.WALL, FAR, (x, x + wide), (0, rng.uniform(6, 22)))
        x += wide


def houses(p: Painter, rng: np.random.Generator, side: int, kerb: float, line: float) -> None:
    """Paint a row of houses from the far end to the camera, with gaps for gardens and side streets.

    Args:
        p: The painter.
        rng: Source of all random numbers.
        side: -1 for the left side of the street, 1 for the right side.
        kerb: x of the kerb.
        line: x of the line that the houses stand on.
    """
    lots, z, green = [], rng.uniform(-6, 4), rng.random() < 0.2
    while z < FAR:
        length = rng.uniform(7, 20)
        gap = rng.random() < (0.75 if green else 0.22)
        lots.append((max(z, 0.8), z + length, gap))
        z += length
    tall = rng.uniform(5, 14)
    for near, far, gap in reversed(lots):
        if far <= 1.0:
            continue
        if gap:
            if near > 8 and rng.random() < 0.5:  # a side street
                p.ground(
                    ROAD,
                    Material.ASPHALT,
                    (min(kerb, side * 300), max(kerb, side * 300)),
                    (near + 1.5, far - 1.5),
                )
                continue
            for _ in range(3):
                x, height = line + side * rng.uniform(1.5, 7), rng.uniform(2, 8)
                p.disc(
                    VEGETATION,
                    Material.LEAVES,
                    rng.uniform(near, far) + 1,
                    x,
                    height * 0.5,
                    (height * 0.45, height * 0.55),
                )
            p.along(VEGETATION, Material.LEAVES, line, [(0, near), (1.2, near), (1.2, far), (0, far)])
            continue
        front, top = line + side * rng.uniform(0, 1.2), max(4.0, tall * rng.uniform(0.7, 1.4))
        with p.one_object():
            _house(p, rng, side, front, top, (near, far))
        if side * p.sun < 0:
            reach = (
                kerb - side * rng.uniform(0, 2)
                if rng.random() < 0.5
                else front - side * min(top * abs(p.sun), 9)
            )
            p.draw_shadow.polygon(
                [p.project(x, 0, z) for x, z in ((front, near), (reach, near), (reach, far), (front, far))],
                fill=255,
            )


def _house(
    p: Painter, rng: np.random.Generator, side: int, front: float, top: float, z: tuple[float, float]
) -> None:
    """Paint a house: its wall along the street, its wall that faces the camera, and its roof."""
    near, far = z
    if near > 1:
        p.across(
            BUILDING,
            Material.WALL,
            near,
            [(front, 0), (front + side * 14, 0), (front + side * 14, top), (front, top)],
        )
    ridge, back = top + rng.uniform(2, 4), front + side * 4
    if (ridge - p.eye) * abs(front) > 1.1 * (top - p.eye) * abs(
        back
    ):  # from the street, the roofs of low houses alone are seen
        if near > 1:
            p.across(BUILDING, Material.WALL, near, [(front, top), (back, ridge), (back + side * 4, top)])
        corners = [(front, top, near), (back, ridge, near), (back, ridge, far), (front, top, far)]
        p.draw.polygon(
            [p.project(*c) for c in corners],
            fill=p.add_part(BUILDING, Material.ROOF, Plane.ACROSS, (near + far) / 2),
        )
    p.along(BUILDING, Material.WALL, front, [(0, near), (top, near), (top, far), (0, far)])


def trees(p: Painter, rng: np.random.Generator, left: float, right: float) -> Standing:
    """Return the trees along both kerbs."""
    standing: Standing = []
    for kerb, side in ((left, -1), (right, 1)):
        if rng.random() < 0.35:
            continue
        every, z = rng.uniform(6, 14), rng.uniform(5, 14)
        while z < 80:
            if rng.random() < 0.75:
                standing.append((z, partial(_tree, p, rng, kerb + side * rng.uniform(0.7, 1.4), z)))
            z += every * rng.uniform(0.8, 1.2)
    return standing


def _tree(p: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    stem, crown = rng.uniform(1.8, 3.0), rng.uniform(1.2, 2.3)
    p.cast_shadow((x - crown * 0.8, x + crown * 0.8), (max(z - crown, 1.2), z + crown), 2.0)
    p.block(VEGETATION, Material.TRUNK, z, (x - 0.14, x + 0.14), (0, stem + 0.5))
    for _ in range(6 if z < 35 else 3):
        radius = crown * rng.uniform(0.45, 0.75)
        p.disc(
            VEGETATION,
            Material.LEAVES,
            z,
            x + crown * rng.uniform(-0.6, 0.6),
            stem + crown * rng.uniform(0.3, 1.5),
            (radius, radius),
        )


def cars(p: Painter, rng: np.random.Generator, left: float, middle: float, right: float) -> Standing:
    """Return the cars that are parked along the kerbs and those that drive on both lanes."""
    standing: Standing = []
    for x in (left + 1.0, right - 1.0):
        if rng.random() < 0.3:
            continue
        z = rng.uniform(4, 12)
        while z < 70:
            if rng.random() < 0.6:
                standing.append((z, partial(_car, p, rng, x, z)))
            z += rng.uniform(5.5, 8)
    for x in ((left + middle) / 2 + 0.6, (right + middle) / 2 - 0.6):
        if rng.random() < 0.5:
            z = rng.uniform(9, 50)
            standing.append((z, partial(_car, p, rng, x, z)))
    return standing


def _car(p: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a car, seen from behind and from the side that faces the middle of the picture."""
    half, length, belt, top = (
        rng.uniform(0.82, 0.95),
        rng.uniform(3.6, 4.8),
        rng.uniform(0.85, 1.0),
        rng.uniform(1.4, 1.65),
    )
    if rng.random() < 0.12:  # a van
        top, belt = rng.uniform(1.9, 2.5), 1.3
    end, inner = z + length, x - half if x > 0 else x + half
    slope = rng.uniform(0.1, 0.8)
    p.cast_shadow((x - half, x + half), (z, end), top * 0.6)
    with p.one_object():
        if abs(x) > half:
            p.along(CAR, Material.PAINT, inner, [(0.3, z), (belt, z), (belt, end), (0.3, end)])
            p.along(
                CAR,
                Material.PAINT,
                inner,
                [(belt, z + slope / 2), (top, z + slope), (top, end - 1.9), (belt, end - 1.0)],
            )
            p.along(
                CAR,
                Material.GLASS,
                inner,
                [
                    (belt + 0.05, z + slope / 2 + 0.3),
                    (top - 0.12, z + slope + 0.2),
                    (top - 0.12, end - 2.1),
                    (belt + 0.05, end - 1.4),
                ],
            )
            for wheel in (z + 0.75, end - 0.8):
                turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
                p.along(
                    CAR,
                    Material.TYRE,
                    inner,
                    [(0.32 + 0.32 * np.sin(a), wheel + 0.32 * np.cos(a)) for a in turn],
                )
        p.block(CAR, Material.TYRE, z, (x - half * 0.95, x + half * 0.95), (0.02, 0.4))
        p.across(
            CAR,
            Material.PAINT,
            z,
            [(x - half, 0.25), (x + half, 0.25), (x + half * 0.98, belt), (x - half * 0.98, belt)],
        )
        p.across(
            CAR,
            Material.PAINT,
            z,
            [(x - half * 0.97, belt), (x + half * 0.97, belt), (x + half * 0.8, top), (x - half * 0.8, top)],
        )
        if z < 40:
            low, high = (half * 0.85, belt + 0.04), (half * 0.72, top - 0.1)
            p.across(
                CAR,
                Material.GLASS,
                z,
                [(x - low[0], low[1]), (x + low[0], low[1]), (x + high[0], high[1]), (x - high[0], high[1])],
            )
            for corner in (-0.78, 0.78):
                p.block(
                    CAR,
                    Material.LAMP,
                    z,
                    (x + half * (corner - 0.16), x + half * (corner + 0.16)),
                    (belt - 0.3, belt - 0.12),
                )


def people(
    p: Painter, rng: np.random.Generator, lines: tuple[float, float], left: float, right: float
) -> Standing:
    """Return the people, who are on both pavements and sometimes on the road."""
    standing: Standing = []
    for _ in range(rng.integers(0, 8)):
        spot, z = rng.random(), float(np.exp(rng.uniform(np.log(5), np.log(38))))
        a, b = (lines[0], left) if spot < 0.45 else (right, lines[1]) if spot < 0.9 else (left, right)
        standing.append((z, partial(_person, p, rng, rng.uniform(a + 0.4, b - 0.4), z)))
    return standing


def _person(p: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    tall, half, step = rng.uniform(1.5, 1.95), rng.uniform(0.2, 0.28), rng.uniform(0.05, 0.3)
    hip, neck = 0.48 * tall, 0.84 * tall
    p.cast_shadow((x - half, x + half), (z - 0.1, z + 0.2), tall * 0.6)
    legs = p.add_part(PERSON, Material.TROUSERS, Plane.ACROSS, z)
    for foot in (-step, step):
        corners = [(x - half * 0.7, hip), (x + half * 0.7, hip), (x + foot + 0.1, 0), (x + foot - 0.1, 0)]
        p.draw.polygon([p.project(a, b, z) for a, b in corners], fill=legs)
    p.across(
        PERSON,
        Material.SHIRT,
        z,
        [(x - half, neck), (x + half, neck), (x + half * 1.15, hip), (x - half * 1.15, hip)],
    )
    p.disc(PERSON, Material.SKIN, z, x, neck + 0.085 * tall, (0.075 * tall, 0.09 * tall))


def posts(p: Painter, rng: np.random.Generator, left: float, right: float) -> Standing:
    """Return the lamps, at a fixed distance, and the signs and traffic lights, at random places."""
    standing: Standing = []
    for kerb, side in ((left - 0.4, -1), (right + 0.4, 1)):
        if rng.random() < 0.65:
            z, every, tall = rng.uniform(6, 18), rng.uniform(14, 26), rng.uniform(5, 8)
            while z < 90:
                standing.append((z, partial(_lamp, p, kerb, z, tall, side)))
                z += every
        for _ in range(rng.integers(0, 3)):
            z = float(np.exp(rng.uniform(np.log(5), np.log(32))))
            standing.append((z - 0.05, partial(_sign, p, rng, kerb, z)))
    return standing


def _lamp(p: Painter, x: float, z: float, tall: float, side: int) -> None:
    p.block(POLE, Material.METAL, z, (x - 0.08, x + 0.08), (0, tall))
    if z < 45:
        p.block(
            POLE,
            Material.METAL,
            z,
            (min(x, x - side * 1.5), max(x, x - side * 1.5)),
            (tall - 0.12, tall + 0.02),
        )


def _sign(p: Painter, rng: np.random.Generator, x: float, z: float) -> None:
    kind, low = rng.integers(5), rng.uniform(2.0, 2.6)
    p.block(POLE, Material.METAL, z, (x - 0.05, x + 0.05), (0, low + 0.4))
    size = rng.uniform(0.34, 0.5)
    if kind == 4:  # a traffic light
        p.block(SIGN, Material.TYRE, z, (x - 0.2, x + 0.2), (low, low + 1.0))
        p.disc(SIGN, Material.LAMP, z, x, low + (0.2, 0.5, 0.8)[rng.integers(3)], (0.13, 0.13))
        return
    turn = np.linspace(0, 2 * np.pi, (3, 4, 8, 12)[kind], endpoint=False) + np.pi / 2
    for material, radius in ((Material.RIM, size), (Material.PLATE, size * 0.68)):
        p.across(SIGN, material, z, [(x + radius * np.cos(a), low + 0.5 + radius * np.sin(a)) for a in turn])
