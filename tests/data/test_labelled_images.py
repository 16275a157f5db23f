"""Checks of arrays of images and labels, and the set that is made of them."""

import numpy as np
import pytest
import torch
from helpers.broken_files import noise, refused

from cycada.core.errors import CycadaError
from cycada.data.domain import check_loaded
from cycada.data.labelled_images import ImageDataset, make_image_dataset


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (noise(3, 4, 4).astype(np.float32), None, ("float32", "255", "Rescale")),
        (noise(3, 4, 4).astype(np.float32) / 127.5 - 1, None, ("from -", "float in .0, 1")),
        (np.full((3, 4, 4), np.nan), None, ("NaN",)),
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


PIXELS, LABELS = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("loaded", "found"),
    [
        (None, "found a NoneType"),
        ((PIXELS, LABELS), "found a tuple"),
        (
            ImageDataset(PIXELS / 255, LABELS),
            r"images of torch.float32 of shape \(4, 3, 8, 8\)",
        ),
        (ImageDataset(PIXELS.permute(0, 2, 3, 1), LABELS), r"images of torch.uint8 of shape \(4, 8, 8, 3\)"),
        (ImageDataset(PIXELS.numpy(), LABELS), "images of the type ndarray"),
        (ImageDataset(PIXELS[:0], LABELS[:0]), r"of shape \(0, 3, 8, 8\)"),
        (ImageDataset(PIXELS, LABELS[:3]), r"labels of torch.int64 of shape \(3,\), expected .*\(4,\)"),
        (ImageDataset(PIXELS, torch.eye(2)[LABELS]), r"labels of torch.float32 of shape \(4, 2\)"),
        (ImageDataset(PIXELS, LABELS + 1), "labels from 1 to 2, expected 0 to 1"),
        (ImageDataset(PIXELS, LABELS - 1), "labels from -1 to 0, expected 0 to 1"),
    ],
)
def test_what_a_domain_of_a_plugin_loads_wrongly_is_said(loaded, found):
    with pytest.raises(CycadaError, match=f"data.source: .*{found}"):
        check_loaded(loaded, ("a", "b"), "data.source")


def test_the_classes_of_a_domain_have_names_of_their_own():
    images = ImageDataset(PIXELS, LABELS)
    assert check_loaded(images, ("a", "b"), "data.source") is images
    with pytest.raises(CycadaError, match="found the class 'a' twice"):
        check_loaded(images, ("a", "a"), "data.source")


def test_images_are_hashed_by_their_values_whatever_their_layout():
    turned = PIXELS.transpose(2, 3)
    assert not turned.is_contiguous()
    assert ImageDataset(turned, LABELS).fingerprint(True) == ImageDataset(PIXELS, LABELS).fingerprint(True)
