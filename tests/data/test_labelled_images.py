"""Checks of arrays of images and labels, and the set that is made of them."""

import numpy as np
import pytest
import torch
from helpers.broken_files import noise, refused

from cycada.data.labelled_images import make_image_dataset


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (noise(3, 4, 4).astype(np.float32), None, ("float32", "255", "Rescale")),
        (noise(3, 4, 4).astype(np.float32) / 127.5 - 1, None, ("from -", "float in .0, 1")),
        (np.full((3, 4, 4), np.nan), None, ("nan",)),
        (noise(3, 4, 4).astype(np.int64), None, ("int64",)),
        (noise(3, 4, 4) // 128, None, ("no value above 1", "255")),
        (noise(0, 4, 4), None, (r"\(0, 4, 4, 1\)", "N > 0")),
        (noise(3, 0, 4), None, (r"\(3, 0, 4, 1\)", "at least one pixel")),
        (np.full((3, 4, 4), "a"), None, ("<U1", "uint8")),
        (np.zeros((3, 4, 4), "datetime64[s]"), None, ("datetime64", "uint8")),
        (noise(3, 4, 4, 4), None, (r"\(3, 4, 4, 4\)",)),
        (noise(4, 4), None, (r"\(4, 4\)",)),
        (noise(3, 4, 4), np.array([0, 1, 10]), ("labels from 0 to 10", "0 to 9")),
        (noise(3, 4, 4), np.array([0, -1, 1]), ("labels from -1 to 1",)),
        (noise(3, 4, 4), np.array([0, 1]), (r"\(2,\)", r"\(3,\)")),
        (noise(3, 4, 4), np.array([0.0, 1.0, 2.0]), ("float64", "integers")),
    ],
)
def test_wrong_arrays_are_refused_by_file(images, labels, words):
    with refused("some.npz", *words):
        make_image_dataset(images, labels, 10, "some.npz")


@pytest.mark.parametrize(("shape", "channels"), [((3, 4, 5), 1), ((3, 4, 5, 1), 1), ((3, 4, 5, 3), 3)])
def test_right_arrays_become_tensors(shape, channels):
    pixels = noise(*shape)
    found = make_image_dataset(pixels, np.array([0, 9, 4], dtype=np.int32), 10, "file")
    assert found.images.shape == (3, channels, 4, 5)
    assert torch.equal(found.images.permute(0, 2, 3, 1), torch.from_numpy(pixels.reshape(3, 4, 5, channels)))
    assert found.labels.tolist() == [0, 9, 4]
    assert found.labels.dtype == torch.int64


def test_floats_in_0_to_1_become_grey_values():
    found = make_image_dataset(np.array([[[0.0, 1.0], [0.5, 0.2]]]), None, 10, "file")
    assert found.images.flatten().tolist() == [0, 255, 128, 51]
    assert found.labels is None


def test_examples_without_labels_keep_their_images():
    found = make_image_dataset(noise(3, 4, 4), np.array([1, 2, 3]), 10, "file")
    assert found.without_labels().labels is None
    assert len(found.without_labels()) == 3
