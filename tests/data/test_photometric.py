"""Colour jitter and blur against torchvision, naive loops and closed forms: no pixel moves."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from cycada.data import photometric
from cycada.data.convert import GREY
from cycada.data.photometric import LEAST_SIGMA, _saturate, _turn, colour_jitter, gaussian_blur


def some(n=5, channels=3, height=6, width=9, reach=0.5):
    """Images that no change of the strengths below pushes out of the range."""
    return reach * (
        2 * torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0)) - 1
    )


def drawn(rows, n, seed=0):
    """What the function draws next."""
    torch.manual_seed(seed)
    r = torch.rand(rows, n)
    torch.manual_seed(seed)
    return r


def turned(pixel, angle):
    """Rodrigues' formula, number by number."""
    c, s, mean = math.cos(angle), math.sin(angle), sum(pixel) / 3
    r, g, b = pixel
    cross = [(b - g) / math.sqrt(3), (r - b) / math.sqrt(3), (g - r) / math.sqrt(3)]
    return [c * x + s * k + (1 - c) * mean for x, k in zip(pixel, cross, strict=True)]


@pytest.mark.parametrize("strength", [0.1, 0.25])
def test_the_factors_are_torchvisions_one_after_the_other_and_then_a_turn_of_the_colours(strength):
    images = some(reach=0.2)
    change = strength * (2 * drawn(5, 5)[:4] - 1)
    for image, found, (b, c, s, h) in zip(
        images, colour_jitter(images, strength, chance=1.0), change.T.tolist(), strict=True
    ):
        y = tv.adjust_brightness((image + 1) / 2, 1 + b)
        y = tv.adjust_saturation(tv.adjust_contrast(y, 1 + c), 1 + s)
        naive = torch.tensor([turned(pixel, 2 * math.pi * h) for pixel in y.flatten(1).T.tolist()]).T.reshape(
            y.shape
        )
        assert torch.allclose(
            (found + 1) / 2, naive.clamp(0, 1), atol=2e-3
        )  # torchvision rounds the luma's coefficients


def test_images_without_colour_have_brightness_and_contrast():
    images = some(channels=1, reach=0.2)
    change = 0.25 * (2 * drawn(5, 5)[:4] - 1)
    for image, found, (b, c, _, _) in zip(
        images, colour_jitter(images, 0.25, chance=1.0), change.T.tolist(), strict=True
    ):
        y = (image + 1) / 2 * (1 + b)
        assert torch.allclose((found + 1) / 2, (1 + c) * y - c * y.mean(), atol=1e-5)


def test_grey_stays_grey_and_the_range_is_kept():
    grey = some(reach=1.0)[:, :1].expand(-1, 3, -1, -1)
    found = colour_jitter(grey, 0.9, chance=1.0)
    assert torch.allclose(found, found[:, :1].expand_as(found), atol=1e-5)
    assert colour_jitter(some(reach=1.0), 0.9, chance=1.0).abs().max() <= 1


def test_a_third_of_a_turn_makes_red_green():
    images, luma = some(n=1), torch.tensor(GREY)
    assert sum(GREY) == pytest.approx(1)
    moved = torch.einsum("nij,njhw->nihw", _turn(torch.tensor([2 * math.pi / 3])), images)
    assert torch.allclose(moved, images[:, [2, 0, 1]], atol=1e-6)
    assert torch.allclose(_saturate(torch.tensor([1.0]), luma), torch.eye(3))


def test_the_blur_is_a_naive_sum_over_neighbours():
    images, taps = some(n=3), range(-4, 5)
    sigmas = LEAST_SIGMA + drawn(2, 3)[0] * (1.15 - LEAST_SIGMA)
    for image, found, sigma in zip(
        images, gaussian_blur(images, 1.15, chance=1.0), sigmas.tolist(), strict=True
    ):
        weights = [math.exp(-(t**2) / (2 * sigma**2)) for t in taps]
        for y, x in [(0, 0), (3, 4), (5, 8), (2, 0)]:
            near = 0
            for i, row_weight in zip(taps, weights, strict=True):
                for j, weight in zip(taps, weights, strict=True):
                    near += row_weight * weight * image[:, min(max(y + i, 0), 5), min(max(x + j, 0), 8)]
            assert torch.allclose(found[:, y, x], near / sum(weights) ** 2, atol=1e-5)


def test_a_blur_keeps_what_is_even_and_can_be_weaker_than_its_usual_least():
    even = torch.full((2, 3, 5, 5), 0.3)
    for largest in (0.05, 1.15, 4.0):
        assert torch.allclose(gaussian_blur(even, largest, chance=1.0), even, atol=1e-6)


def test_each_image_has_its_own_chance():
    images = some(n=400, height=4, width=4)
    for change, expected in ((colour_jitter(images, 0.25), 0.8), (gaussian_blur(images, 1.15), 0.5)):
        same = (change == images).flatten(1).all(1)
        assert 1 - same.float().mean().item() == pytest.approx(expected, abs=0.07)


def test_nothing_asked_is_nothing_done_and_nothing_drawn():
    images = some()
    before = torch.get_rng_state()
    assert photometric(images, 0, 0) is images
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_and_autocast_does_not():
    images = some()
    found = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(photometric(images, 0.25, 1.15))
    assert torch.equal(*found)
    assert not torch.equal(photometric(images, 0.25, 1.15), found[0])
