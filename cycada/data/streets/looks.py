"""The two looks of a drawn street: that of a simple computer game, and that of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from PIL import Image as Pil
from PIL import ImageFilter

from cycada.data.streets.parts import OVERSAMPLING, Material, Plane, World

Array = np.ndarray
M = Material

GAME: dict[Material, list[tuple[int, int, int]]] = {
    M.SKY: [(90, 160, 250), (70, 140, 240), (120, 190, 250)],
    M.ASPHALT: [(96, 98, 116), (108, 108, 124), (86, 90, 112)],
    M.SLABS: [(196, 178, 158), (184, 168, 160), (204, 186, 150)],
    M.LAWN: [(110, 180, 70), (96, 170, 80)],
    M.WALL: [
        (208, 140, 104),
        (214, 184, 122),
        (176, 102, 92),
        (150, 136, 170),
        (136, 170, 160),
        (214, 172, 166),
        (172, 122, 82),
    ],
    M.ROOF: [(156, 66, 54), (104, 72, 112), (76, 92, 126)],
    M.LEAVES: [(54, 146, 56), (78, 160, 50), (40, 124, 66), (112, 168, 58)],
    M.TRUNK: [(116, 80, 44)],
    M.PAINT: [(200, 36, 36), (40, 70, 190), (226, 190, 40), (226, 120, 30), (50, 56, 70), (236, 236, 236)],
    M.GLASS: [(96, 170, 190)],
    M.TYRE: [(30, 27, 42)],
    M.LAMP: [(220, 50, 44), (240, 216, 100)],
    M.SKIN: [(232, 180, 136), (170, 116, 80)],
    M.SHIRT: [(210, 30, 130), (40, 170, 200), (220, 140, 30), (120, 40, 190), (226, 216, 60)],
    M.TROUSERS: [(32, 46, 150), (90, 26, 96), (150, 50, 26)],
    M.METAL: [(76, 76, 140), (138, 144, 178)],
    M.PLATE: [(240, 240, 240), (30, 90, 210), (240, 216, 40)],
    M.RIM: [(210, 30, 30), (30, 66, 200), (236, 236, 236)],
}
"""Colours of each material in the look of a game: brighter and purer than in reality, but of the same hues.
With completely different colours, a network that is trained on them is no better than chance on photos, and
adaptation has nothing to start from."""

PHOTO: dict[Material, list[tuple[int, int, int]]] = {
    M.SKY: [(205, 212, 220), (186, 200, 220), (216, 214, 210)],
    M.ASPHALT: [(92, 90, 88), (108, 104, 100), (78, 78, 80)],
    M.SLABS: [(122, 117, 110), (138, 130, 120), (104, 102, 102)],
    M.LAWN: [(92, 94, 58), (104, 98, 70), (76, 84, 50)],
    M.WALL: [
        (132, 112, 96),
        (118, 76, 62),
        (158, 150, 138),
        (100, 96, 92),
        (170, 158, 132),
        (128, 98, 80),
        (142, 146, 150),
    ],
    M.ROOF: [(88, 66, 58), (74, 72, 74)],
    M.LEAVES: [(62, 72, 38), (48, 58, 34), (84, 84, 44), (56, 64, 48)],
    M.TRUNK: [(70, 60, 50), (86, 78, 70)],
    M.PAINT: [
        (48, 50, 54),
        (160, 162, 164),
        (206, 206, 204),
        (104, 30, 30),
        (36, 50, 86),
        (110, 112, 116),
        (72, 76, 70),
    ],
    M.GLASS: [(44, 50, 56), (66, 74, 82)],
    M.TYRE: [(26, 26, 28)],
    M.LAMP: [(150, 40, 34), (196, 180, 150)],
    M.SKIN: [(170, 128, 104), (112, 80, 62)],
    M.SHIRT: [(54, 54, 62), (96, 60, 56), (120, 118, 110), (58, 74, 98), (34, 34, 36), (140, 110, 80)],
    M.TROUSERS: [(44, 48, 62), (34, 32, 32), (90, 82, 70)],
    M.METAL: [(88, 90, 92), (62, 64, 62), (120, 120, 118)],
    M.PLATE: [(206, 202, 196), (48, 76, 140), (196, 164, 60)],
    M.RIM: [(160, 44, 40), (50, 76, 136), (186, 184, 180)],
}

ROUGH = {
    M.ASPHALT: 0.22,
    M.SLABS: 0.2,
    M.LAWN: 0.5,
    M.WALL: 0.22,
    M.ROOF: 0.3,
    M.LEAVES: 0.75,
    M.TRUNK: 0.4,
    M.SHIRT: 0.2,
    M.PAINT: 0.06,
}
"""Strength of the texture of a material, relative to its colour."""

TEXELS = {M.ASPHALT: 14, M.SLABS: 10, M.LAWN: 9, M.WALL: 7, M.LEAVES: 8}
"""Fineness of the texture of a material, in texels a metre."""


def game(world: World, rng: np.random.Generator) -> Array:
    """Return a street in the look of a game, (H, W, 3) uint8.

    Each pixel is one point of the scene. Colours are bright and flat, there are no shadows, and distance
    changes nothing.

    Args:
        world: The street.
        rng: Source of all random numbers.
    """
    parts = world.parts[::OVERSAMPLING, ::OVERSAMPLING]
    x, y, z = points_behind(world, OVERSAMPLING)
    colours = part_colours(world, "game", rng, 0.04)
    colours[world.planes == Plane.ALONG] *= np.where(
        world.offsets[world.planes == Plane.ALONG] > 0, 0.78, 1.0
    )[:, None]
    colours[world.planes == Plane.ACROSS] *= 0.92
    image = colours[parts]
    image[window_share(world, parts, x, y, z) > 0.5] = rng.choice(
        ((70, 110, 250), (60, 220, 250), (250, 240, 130))
    )
    image[(world.materials[parts] == M.ASPHALT) & (road_markings(world, x, z) > 0.5)] = (255, 255, 255)
    sky = parts == 0
    down = np.linspace(0, 1, len(parts), dtype=np.float32)[:, None, None] * 2.0
    image = np.where(
        sky[..., None],
        image + (np.array((230, 245, 255), np.float32) - image) * np.minimum(down, 1) ** 2 * 0.7,
        image,
    )
    pixels: Array = np.clip(image, 0, 255).astype(np.uint8)
    return pixels


def photo(world: World, rng: np.random.Generator) -> Array:
    """Return a street in the look of a photo, (H, W, 3) uint8.

    Materials are worn; there are sun, shadows and haze in the distance, then a lens, and a sensor with noise
    and a white balance.

    Args:
        world: The street.
        rng: Source of all random numbers.
    """
    parts, texture = world.parts, _texture()
    x, y, z = points_behind(world)
    materials, planes = world.materials.take(parts), world.planes.take(parts)
    ground, wall = planes == Plane.GROUND, materials == M.WALL

    # Surfaces: colour and texture.
    colours = part_colours(world, "photo", rng, 0.16).T
    image = colours.take(parts, 1)  # (3, h, w): numpy is slow where the last axis is short
    panes = window_share(world, parts, x, y, z)
    image += (as_column(rng.uniform(30, 80) + rng.uniform(-6, 12, 3)) - image) * panes
    image += (200 - image) * (
        (materials == M.ASPHALT) * road_markings(world, x, z) * np.float32(rng.uniform(0.2, 0.7))
    )
    across = np.where(planes == Plane.ALONG, z, x)
    up = np.where(ground, z, y)
    rough, fine = per_material(ROUGH, 0.05).take(materials), per_material(TEXELS, 6).take(materials)
    shift = rng.integers(0, 256, 4)
    up, across = up * fine, across * fine
    grain = texture[_texel(up, shift[0]), _texel(across, shift[1])] * np.minimum(20 / z, 1)
    stains = texture[_texel(up * 0.13, shift[2]), _texel(across * 0.13, shift[3])]
    shade = 1 + rough * (grain * 0.75 + stains * 0.5)

    # Light: the sun from one side, less of it near the ground and in the shadows.
    sunny = rng.uniform(0.0, 1.0)
    facing = np.where(
        world.planes == Plane.ALONG, np.where(world.offsets > 0, 1.0, -1.0) * rng.choice((-1, 1)), 0.0
    )
    shade *= (1 + 0.28 * sunny * facing).astype(np.float32).take(parts)
    shade *= 1 - wall * (0.35 / (1 + np.maximum(y, 0) ** 2))
    soft = np.asarray(Pil.fromarray(world.shadow).filter(ImageFilter.BoxBlur(OVERSAMPLING)), np.float32)
    shade *= 1 - ground * soft * np.float32((0.3 + 0.4 * sunny) / 255)
    image *= shade

    # Haze and sky.
    air = colours[:, :1, None] * np.float32(rng.uniform(0.85, 1.0))
    thick = 1 / rng.uniform(50, 220)
    image += (air - image) * (1 - np.exp(np.minimum(5 - z, 0) * thick))
    rows = slice(0, int(world.horizon) + 1)
    np.copyto(image[:, rows], _sky(world, rng, colours[:, 0], texture)[:, rows], where=parts[rows] == 0)

    # A pixel is the mean of the large pixels in it; then come the lens and the sensor.
    image = (image[:, ::2] + image[:, 1::2]) / OVERSAMPLING**2
    image = image[:, :, ::2] + image[:, :, 1::2]
    sharp = Pil.fromarray(np.clip(image, 0, 255).astype(np.uint8).transpose(1, 2, 0))
    blurred = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.25, 0.75) * (sharp.height / 64) ** 0.5))
    return _camera(np.asarray(blurred).transpose(2, 0, 1).astype(np.float32), rng).transpose(1, 2, 0)


def _camera(image: Array, rng: np.random.Generator) -> Array:
    """Return an image (3, H, W), floats in 0..255, as a camera records it, uint8.

    Vignetting, exposure, colour cast, contrast and noise are random.
    """
    height, width = image.shape[1:]
    rows, columns = (
        np.linspace(-1, 1, height, dtype=np.float32)[:, None],
        np.linspace(-1, 1, width, dtype=np.float32),
    )
    vignette = 1 - rng.uniform(0.1, 0.4) * (rows**2 * 0.5 + columns**2) / 1.5
    warm = rng.uniform(-0.09, 0.12)
    cast = as_column(
        np.array((1 + warm, 1 + rng.uniform(-0.03, 0.03), 1 - warm)) * rng.uniform(0.85, 1.25) / 255
    )
    image = np.clip(image * (vignette * cast), 1e-3, 1) ** np.float32(rng.uniform(0.7, 1.05))
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1.5, 5))
    pixels: Array = np.clip(image * 255 + noise, 0, 255).astype(np.uint8)
    return pixels


def _sky(world: World, rng: np.random.Generator, colour: Array, texture: Array) -> Array:
    """Return the sky with clouds, (3, rows down to the horizon, W of the map), bright at the horizon."""
    height, width = int(world.horizon) + 1, world.parts.shape[1]
    rise = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    rows = (rise[:, 0] ** 0.7 * 45).astype(np.int64)[:, None] + rng.integers(256)
    columns = (np.arange(width) * 60 // width)[None] + rng.integers(256)
    light = texture[rows & 255, columns & 255] * np.float32(rng.uniform(4, 34)) + 18 * rise
    blue = as_column(np.array((-44, -18, 10)) * rng.uniform(0, 1)) * (1.1 - rise)
    sky: Array = as_column(colour) + blue + light
    return sky


def as_column(colour: Array) -> Array:
    """Return a colour (3,) as (3, 1, 1) float32, to apply it to an image."""
    return np.asarray(colour, np.float32)[:, None, None]


def points_behind(world: World, step: int = 1) -> tuple[Array, Array, Array]:
    """Return the points in the world behind the large pixels.

    Args:
        world: The street.
        step: Take each step-th large pixel in both directions.

    Returns:
        x, y and z in metres, each (h, w) float32; z is 1000 in the sky.
    """
    height, width = world.parts.shape
    parts = world.parts[::step, ::step]
    across = ((np.arange(0, width, step, dtype=np.float32) + 0.5 - world.centre) / world.focal)[None]
    down = ((np.arange(0, height, step, dtype=np.float32) + 0.5 - world.horizon) / world.focal)[:, None]
    planes, offsets = world.planes.take(parts), world.offsets.take(parts)
    z = np.full(parts.shape, 1000.0, np.float32)
    np.divide(world.height, down, out=z, where=planes == Plane.GROUND)
    np.divide(offsets, across, out=z, where=planes == Plane.ALONG)
    np.copyto(z, offsets, where=planes == Plane.ACROSS)
    z = np.clip(np.abs(z), 0.5, 1000)
    return across * z, world.height - down * z, z


def window_share(world: World, parts: Array, x: Array, y: Array, z: Array) -> Array:
    """Return the share of each pixel that is window, (h, w) float32.

    It is 0 or 1 on near walls, in between where windows are too small to be seen, and 0 elsewhere.

    Args:
        world: The street.
        parts: Number of the part at each pixel, (h, w).
        x: Point in the world behind each pixel, as `points_behind` gives it.
        y: Its height.
        z: Its distance.
    """
    wall = np.flatnonzero((world.materials == M.WALL).take(parts))
    part, y, z = parts.ravel()[wall], y.ravel()[wall], z.ravel()[wall]
    # The number of a part varies the windows from wall to wall without drawing random numbers.
    number = np.arange(len(world.classes))
    every = (1 / (1.7 + 2.2 * (number * 0.618 % 1))).astype(np.float32).take(part)
    storey = (1 / (2.7 + 0.8 * (number * 0.381 % 1))).astype(np.float32).take(part)
    along = np.where((world.planes == Plane.ALONG).take(part), z, x.ravel()[wall]) * every
    up = y * storey
    wide = np.where(up < 1, np.float32(0.38), np.float32(0.23))
    hole = (np.abs(along - np.floor(along) - 0.5) < wide) & (np.abs(up - np.floor(up) - 0.55) < 0.25)
    share = np.zeros(parts.size, np.float32)
    share[wall] = hole + (0.23 - hole) * np.clip(z / 70 - 0.5, 0, 1)
    return share.reshape(parts.shape)


def road_markings(world: World, x: Array, z: Array) -> Array:
    """Return whether each pixel of the road is marked: dashes in the middle, and a line at both kerbs."""
    left, middle, right = world.edges
    beat = z / 6
    dashes = (np.abs(x - middle) < 0.09) & (beat - np.floor(beat) < 0.5)
    kerbs = (np.abs(x - left - 0.3) < 0.07) | (np.abs(x - right + 0.3) < 0.07)
    return (dashes | kerbs) & (z < 60)


def part_colours(world: World, look: str, rng: np.random.Generator, spread: float) -> Array:
    """Return a colour for each part, (parts, 3) float32: one of its material, with a random brightness.

    Args:
        world: The street.
        look: 'game' or 'photo'.
        rng: Source of all random numbers.
        spread: Largest change of the brightness, as a share.
    """
    table, count = _palette(look)
    chosen = (rng.random(len(world.owners))[world.owners] * count[world.materials]).astype(np.int64)
    brightness = rng.uniform(1 - spread, 1 + spread, (len(chosen), 1)).astype(np.float32)
    colours: Array = table[world.materials, chosen] * brightness
    return colours


@lru_cache
def _palette(look: str) -> tuple[Array, Array]:
    """Return the colours of each material, (materials, most colours, 3) float32, and how many it has."""
    lists = [{"game": GAME, "photo": PHOTO}[look][m] for m in Material]
    most = max(map(len, lists))
    padded = [[colours[k % len(colours)] for k in range(most)] for colours in lists]
    return np.array(padded, np.float32), np.array([len(colours) for colours in lists])


def per_material(given: Mapping[Material, float], other: float) -> Array:
    """Return a number for each material, `other` for those that are not in `given`, as float32."""
    return np.array([given.get(m, other) for m in Material], np.float32)


@lru_cache
def _texture(side: int = 256) -> Array:
    """Return periodic noise of five octaves, (side, side) float32.

    Its mean is 0 and its standard deviation 0.5, so that nearly all values are in [-1, 1].
    """
    rng, total = np.random.default_rng(0), np.zeros((side, side), np.float32)
    for octave in range(5):
        cells = rng.standard_normal((side >> octave + 1,) * 2)
        smooth = Pil.fromarray(np.pad(cells, 2, mode="wrap").astype(np.float32)).resize(
            (side + (4 << octave + 1),) * 2, Pil.Resampling.BICUBIC
        )
        edge = 2 << octave + 1
        total += (
            np.asarray(smooth)[edge : edge + side, edge : edge + side] * (1.0, 0.8, 0.8, 0.9, 1.0)[octave]
        )
    noise: Array = total / total.std() * 0.5
    return noise


def _texel(at: Array, shift: int) -> Array:
    return (at.astype(np.int32) + shift) & 255
