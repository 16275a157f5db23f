"""A user's own arrays in .npz files."""

import re

import numpy as np
import pytest
import torch
from helpers.broken_files import broken, noise, refused

from cycada.data import domains


def npz(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return domains["npz"](train="a.npz", test="b.npz", classes=["cat", "dog"])


def test_npz_with_and_without_labels(tmp_path):
    domain = npz(tmp_path, images=noise(4, 6, 6, 3), labels=np.array([0, 1, 1, 0]))
    found = domain.load(tmp_path, "train", False)
    assert found.images.shape == (4, 3, 6, 6)
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert domain.classes == ("cat", "dog")
    assert npz(tmp_path, images=noise(4, 6, 6)).load(tmp_path, "train", False).labels is None


def test_a_sample_of_an_npz_that_is_sorted_by_class_shows_every_class(tmp_path):
    """Label-free criteria and batch-norm statistics are of a sample."""
    labels = np.repeat([0, 1], 50)
    found = npz(tmp_path, images=noise(100, 4, 4), labels=labels).load(tmp_path, "train", False)
    for images in (found, found.converted(1, (8, 8), "bilinear", torch.device("cpu")).without_labels()):
        assert labels[list(images.sample_rows(10))].mean() == 0.5
        assert torch.equal(images.sample(200), images.images)


def test_npz_classes_may_be_a_number():
    assert domains["npz"](train="a", test="b", classes=3).classes == ("0", "1", "2")


def test_npz_with_a_label_beyond_its_classes_is_refused(tmp_path):
    with refused("a.npz", "labels from 0 to 2", "0 to 1"):
        npz(tmp_path, images=noise(3, 4, 4), labels=np.arange(3)).load(tmp_path, "train", False)


def test_npz_without_images_says_what_it_holds(tmp_path):
    with refused("a.npz", "'pictures'", "expected 'images'"):
        npz(tmp_path, pictures=noise(3, 4, 4)).load(tmp_path, "train", False)


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "damaged"])
def test_an_unreadable_npz_is_named(tmp_path, kind):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=noise(5, 4, 4), labels=np.arange(5))
    path.write_bytes(broken(kind, path.read_bytes()))
    with refused("a.npz"):
        domains["npz"](train="a.npz", test="a.npz").load(tmp_path, "train", False)


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"images": noise(4, 3, 6, 6)}, ["images.transpose(0, 2, 3, 1)"]),
        ({"images": np.full((4, 6, 6), np.nan)}, ["NaN or infinity"]),
        ({"images": noise(4, 6, 6, 4)}, ["images[..., :3]"]),
        ({"images": noise(4, 36)}, ["images.reshape(len(images), H, W, C)"]),
        ({"images": noise(4, 6, 6), "labels": np.eye(4)}, ["labels.argmax(1)"]),
        ({"images": noise(4, 6, 6), "labels": np.ones((4, 1), int)}, ["labels[:, 0]"]),
        ({"images": noise(4, 6, 6), "labels": np.array(list("abca"))}, ["the place of each in the list"]),
        ({"images": noise(4, 6, 6), "labels": np.ones(4)}, ["labels.astype(int)"]),
        ({"images": noise(4, 6, 6), "labels": np.array([1, 2, 10, 1])}, ["give labels - 1"]),
    ],
)
def test_arrays_that_are_often_stored_so_get_the_way_out(tmp_path, arrays, found):
    with refused("a.npz", *map(re.escape, found)):
        npz(tmp_path, **arrays).load(tmp_path, "train", False)


def test_pictures_of_different_sizes_in_an_npz_are_called_objects(tmp_path):
    pictures = np.empty(2, object)
    pictures[:] = [np.zeros((2, 2)), np.zeros((3, 3))]
    np.savez(tmp_path / "a.npz", images=pictures, labels=np.arange(2))
    with refused("a.npz", "Python objects", "resize them"):
        domains["npz"](train="a.npz", test="a.npz").load(tmp_path, "train", False)


def test_an_npy_in_an_npz_s_clothes_is_named(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, noise(3, 4, 4))
    with refused("a.npz"):
        domains["npz"](train="a.npz", test="a.npz").load(tmp_path, "train", False)
