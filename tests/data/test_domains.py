"""Domains: those without files, the digit files of the papers, and what is said of absent data."""

import numpy as np
import pytest
import torch
from helpers.broken_files import NOWHERE, noise, refused
from helpers.paths import REAL_DATA as SHARED
from sklearn.datasets import load_digits

from cycada.data import domains

# Domains without files.


def rendered(split, **counts):
    return domains["rendered_digits"](**counts).load(NOWHERE, split, False)


def test_rendered_digits_are_as_announced():
    found = rendered("train", train=40)
    assert found.images.shape == (40, 1, 16, 16)
    assert found.images.dtype == torch.uint8
    assert found.labels.dtype == torch.int64
    assert set(found.labels.tolist()) <= set(range(10))
    assert found.images.flatten(1).max(1).values.min() > 100  # every image shows something
    assert domains["rendered_digits"]().counts == {"train": 10_000, "test": 2_000}


def test_rendered_digits_are_the_same_every_time_and_differ_between_the_splits():
    first, again, test = rendered("train", train=20), rendered("train", train=20), rendered("test", test=20)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not any(torch.equal(a, b) for a in first.images for b in test.images)


def optdigits(split):
    return domains["optdigits"]().load(NOWHERE, split, False)


def test_optdigits_are_split_once_and_for_all():
    train, test = optdigits("train"), optdigits("test")
    assert train.images.shape == (1297, 1, 8, 8)
    assert test.images.shape == (500, 1, 8, 8)
    assert torch.equal(train.images, optdigits("train").images)
    assert torch.equal(test.labels, optdigits("test").labels)


def test_the_splits_of_optdigits_are_disjoint_and_whole():
    # together, as a sorted list of (pixels, label), they are scikit-learn's set, each image once
    parts = [
        (image.flatten().tolist(), label)
        for found in (optdigits("train"), optdigits("test"))
        for image, label in zip(found.images, found.labels, strict=True)
    ]
    digits = load_digits()
    pixels = np.round(digits.data / 16 * 255).astype(int).tolist()
    assert sorted(parts) == sorted(zip(pixels, digits.target.tolist(), strict=True))


# Missing data.


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mnist", {}, ("train-images-idx3-ubyte", "data.download=true")),
        ("usps", {}, ("usps.bz2", "usps.t.bz2", "data.download=true")),
        ("svhn", {}, ("train_32x32.mat", "train.npz", "data.download=true")),
        ("mnist_m", {}, ("mnist_m/train.npz", "Convert")),
        ("npz", {"train": "a.npz", "test": "b.npz"}, ("a.npz", "option 'train'")),
        ("folder", {"train": "photos", "test": "photos"}, ("photos", "option 'train'")),
    ],
)
def test_missing_data_says_where_what_and_how(tmp_path, name, options, expected):
    with refused(f"'{name}'", str(tmp_path), *expected, "data.root", "CYCADA_DATA"):
        domains[name](**options).load(tmp_path, "train", False)


def test_every_domain_has_a_docstring_and_a_card():
    for name, domain in domains.items():
        assert domain.__doc__, name
        assert domain.channels in (1, 3), name


def test_digits_may_not_be_mirrored_and_own_images_where_one_says_so():
    assert not any(domain.flip_safe for domain in domains.values())
    assert domains["folder"](train="a", test="b", flip_safe=True).flip_safe
    assert domains["npz"](train="a", test="b", flip_safe=True).flip_safe


# The digit files of the papers, where they are there.

real = pytest.mark.skipif(
    not SHARED.exists(), reason=f"no {SHARED.parent.name}/{SHARED.name} next to the project"
)
COUNTS = {
    ("mnist", "train"): [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    ("mnist", "test"): [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ("usps", "train"): [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
    ("usps", "test"): [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
    ("svhn", "train"): [494, 1420, 1145, 825, 736, 663, 561, 533, 456, 455],
    ("svhn", "test"): [99, 303, 239, 155, 142, 135, 108, 123, 103, 93],
}


@real
@pytest.mark.parametrize(("name", "split"), sorted(COUNTS))
def test_official_digits(name, split):
    domain = domains[name]()
    found = domain.load(SHARED, split, False)
    assert found.images.shape == (sum(COUNTS[name, split]), domain.channels, domain.size, domain.size)
    assert found.labels.bincount().tolist() == COUNTS[name, split]
    assert (found.images.min(), found.images.max()) == (0, 255)


@real
def test_mnist_m_without_a_test_file_is_cut_at_four_fifths_and_follows_mnist():
    train, test = (domains["mnist_m"]().load(SHARED, s, False) for s in ("train", "test"))
    assert train.images.shape == (12_000, 3, 32, 32)
    assert test.images.shape == (3_000, 3, 32, 32)
    # image i was made from MNIST digit i: a source that drops the digits of the test split shares none with
    # it
    mnist = domains["mnist"]().load(SHARED, "train", False)
    assert torch.equal(torch.cat([train.labels, test.labels]), mnist.labels[:15_000])
    dropped = domains["mnist"](drop=(12_000, 15_000)).load(SHARED, "train", False)
    assert torch.equal(dropped.images[11_999:12_001], mnist.images[[11_999, 15_000]])
    assert len(dropped) == 57_000


def test_mnist_m_names_the_file_that_is_wrong(tmp_path):
    (tmp_path / "mnist_m").mkdir()
    np.savez(tmp_path / "mnist_m" / "train.npz", images=noise(5, 32, 32, 3), labels=np.arange(5))
    np.savez(tmp_path / "mnist_m" / "test.npz", images=noise(5, 32, 32, 3), labels=np.arange(5) + 10)
    assert len(domains["mnist_m"]().load(tmp_path, "train", False)) == 5
    with refused(r"test\.npz: found labels from 10 to 14"):
        domains["mnist_m"]().load(tmp_path, "test", False)
