"""Conversion of images to the size, the channels and the range that networks see."""

import numpy as np
import pytest
import torch
from helpers.broken_files import noise, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cycada.data import convert, to_float


def as_pil(image):
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy())


def from_pil(image):
    pixels = np.asarray(image)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).copy()).permute(2, 0, 1)


def grey_images(n, side):
    return torch.from_numpy(noise(n, 1, side, side))


def colour_images(n, side):
    return torch.from_numpy(noise(n, 3, side, side))


def test_padding_28_to_32_puts_two_black_pixels_around():
    images = grey_images(3, 28)
    padded = convert(images, 32, 1, "pad")
    assert torch.equal(padded[:, :, 2:30, 2:30], images)
    assert padded.sum() == images.sum()


def test_padding_puts_an_odd_pixel_below_and_right():
    assert convert(torch.full((1, 1, 4, 4), 7, dtype=torch.uint8), 7, 1, "pad")[0, 0].nonzero().aminmax() == (
        1,
        4,
    )


def test_padding_refuses_to_shrink():
    with refused(r"data\.resize", "32 x 32 to 28 x 28", "bilinear"):
        convert(grey_images(1, 32), 28, 1, "pad")


@pytest.mark.parametrize(("into", "out"), [(16, 28), (28, 32), (32, 16), (28, 28)])
@pytest.mark.parametrize(
    ("resize", "pil"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_resizing_is_that_of_pil(into, out, resize, pil):
    images = grey_images(2, into) // 2 + 64  # away from 0 and 255, where PIL cuts off between its two passes
    for found, image in zip(convert(images, out, 1, resize), images, strict=True):
        expected = from_pil(as_pil(image).resize((out, out), pil))
        assert (found.int() - expected.int()).abs().max() <= 2


def test_grey_to_rgb_repeats_the_channel():
    images = grey_images(2, 8)
    assert torch.equal(convert(images, 8, 3), images.repeat(1, 3, 1, 1))


def test_rgb_to_grey_is_the_luma_of_pil():
    images = colour_images(2, 16)
    for found, image in zip(convert(images, 16, 1), images, strict=True):
        assert (found.int() - from_pil(as_pil(image).convert("L")).int()).abs().max() <= 1


def test_nearest_doubles_every_pixel():
    images = grey_images(2, 4)
    assert torch.equal(
        convert(images, 8, 1, "nearest"), images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )


def test_the_chunks_of_a_conversion_do_not_show():
    images = grey_images(7, 8)
    assert torch.equal(convert(images, 12, 3, chunk=2), convert(images, 12, 3))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 3),
    into=st.sampled_from([1, 3]),
    out=st.sampled_from([1, 3]),
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    size=st.integers(4, 24),
    resize=st.sampled_from(["bilinear", "bicubic", "nearest", "pad"]),
    seed=st.integers(0, 9),
)
def test_conversion_gives_what_was_asked_for(n, into, out, height, width, size, resize, seed):
    images = torch.from_numpy(noise(n, into, height, width, seed=seed))
    if resize == "pad" and max(height, width) > size:
        with refused("pad cannot shrink"):
            convert(images, size, out, resize)
        return
    found = convert(images, size, out, resize)
    assert found.shape == (n, out, size, size)
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    low = 0 if resize == "pad" else images.min().item()
    if resize != "bicubic":  # which overshoots at edges
        assert low <= found.min() <= found.max() <= images.max()


@settings(max_examples=30, deadline=None)
@given(
    value=st.integers(0, 255),
    into=st.sampled_from([1, 3]),
    out=st.sampled_from([1, 3]),
    size=st.integers(4, 24),
    resize=st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
def test_conversion_keeps_a_plain_image_plain(value, into, out, size, resize):
    images = torch.full((1, into, 9, 9), value, dtype=torch.uint8)
    assert convert(images, size, out, resize).unique().tolist() == [value]


def test_the_range_of_networks():
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
