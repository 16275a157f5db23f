"""Drawn pictures for the study: scenes, and what two made-up methods do to them."""

import numpy as np
from PIL import Image, ImageFilter


def write_scenes(folder, count=12, size=64, suffix="jpg"):
    """real/ as JPEG with EXIF, blurred/ blurred and tinted/ as PNG, of equal names. -> real, {name:
    folder}."""
    for name in ("real", "blurred", "tinted"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:size, :size] / size
    for i in range(count):
        random = np.random.default_rng(i)
        sky, ground, at = random.uniform(90, 255, 3), random.uniform(20, 150, 3), random.uniform(0.3, 0.7)
        scene = np.where((y < at)[..., None], sky * (1 - 0.4 * y[..., None]), ground)
        for _ in range(6):
            left, wide, top = random.uniform(0, 0.9), random.uniform(0.05, 0.2), random.uniform(0.1, at)
            scene[(x > left) & (x < left + wide) & (y > top) & (y < at + 0.1)] = random.uniform(30, 220, 3)
        scene = np.clip(scene + random.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        image, exif = Image.fromarray(scene), Image.Exif()
        exif[0x010E] = "a real photo"
        image.save(folder / "real" / f"scene_{i:02}.{suffix}", quality=95, exif=exif)
        image.filter(ImageFilter.GaussianBlur(size / 60)).save(folder / "blurred" / f"scene_{i:02}.png")
        Image.fromarray((scene * [1.0, 0.85, 0.7]).astype(np.uint8)).save(
            folder / "tinted" / f"scene_{i:02}.png"
        )
    return folder / "real", {"blurred": folder / "blurred", "tinted": folder / "tinted"}
