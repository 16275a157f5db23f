"""Domains, the checks on loading, conversion, the stream of batches and random affine maps."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from helpers.broken_files import NOWHERE, broken, noise, refused
from helpers.paths import REAL_DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from cycada.core.errors import CycadaError
from cycada.data import Augment, ImageDataset, Stream, convert, domains, to_float
from cycada.data.domain import check_loaded, make_image_dataset
from cycada.data.transforms import apply_affine, draw_affine, mask_patches

SHARED = REAL_DATA  # third-party data, where they are


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


# Checks on loading.


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


# A user's own arrays.


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


# Image folders.


def save(path, image, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)


def folder(**options):
    return domains["folder"](**{"train": "photos", "test": "photos", "size": 8} | options)


def colour(rgb, size=(8, 8)):
    return Image.new("RGB", size, rgb)


def test_folder_classes_are_the_names_sorted(tmp_path):
    for name, grey in (("dog", 200), ("cat", 100)):
        save(tmp_path / "photos" / name / "1.png", colour((grey, 0, 0)))
    save(tmp_path / "photos" / "cat" / "2.JPG", colour((100, 0, 0)))
    domain = folder()
    found = domain.load(tmp_path, "train", False)
    assert domain.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.images.shape == (3, 3, 8, 8)
    assert found.images[2, 0].unique().tolist() == [200]


def test_folder_classes_may_be_given_in_another_order(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / "photos" / name / "1.png", colour((200, 0, 0)))
    assert folder(classes=["dog", "cat", "cow"]).load(tmp_path, "train", False).labels.tolist() == [0, 1]
    with refused("photos", "'dog'", "expected only", "'cat'"):
        folder(classes=["cat"]).load(tmp_path, "train", False)


@given(
    order=st.permutations(["cat", "dog", "elk", "fox"]),
    counts=st.lists(st.integers(0, 2), min_size=4, max_size=4).filter(any),
)
@settings(max_examples=15, deadline=None)
def test_labels_follow_the_order_of_the_classes_and_nothing_else(order, counts):
    # every image is as grey as its class's place in `order`, so image and label must tell the same
    with TemporaryDirectory() as root:
        for place, (name, count) in enumerate(zip(order, counts, strict=True)):
            (Path(root) / "set" / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.full((8, 8), 50 * (place + 1), np.uint8)).save(
                    Path(root) / "set" / name / f"{i}.png"
                )
        found = domains["folder"](train="set", test="set", size=8, classes=list(order)).load(
            Path(root), "train", False
        )
    assert (found.images[:, 0, 0, 0] // 50 - 1).tolist() == found.labels.tolist()
    assert found.labels.bincount(minlength=4).tolist() == counts


def test_a_folder_of_images_alone_has_no_labels(tmp_path):
    save(tmp_path / "photos" / "1.png", colour((9, 9, 9)))
    save(tmp_path / "photos" / "2.png", colour((90, 9, 9)))
    (tmp_path / "photos" / "readme.txt").write_text("no image")
    found = folder().load(tmp_path, "train", False)
    assert found.labels is None
    assert len(found) == 2


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "photos").mkdir()
    with refused("photos", "found no images", r"\.png"):
        folder().load(tmp_path, "train", False)


def test_a_hidden_folder_is_no_class(tmp_path):
    # notebooks leave these behind
    save(tmp_path / "photos" / "cat" / "1.png", colour((200, 0, 0)))
    (tmp_path / "photos" / ".ipynb_checkpoints").mkdir()
    domain = folder()
    domain.load(tmp_path, "train", False)
    assert domain.classes == ("cat",)


@pytest.mark.parametrize("kind", ["text", "cut"])
def test_a_corrupt_image_is_named(tmp_path, kind):
    path = tmp_path / "photos" / "cat" / "broken.png"
    save(path, Image.fromarray(noise(32, 32, 3)))
    path.write_bytes(broken(kind, path.read_bytes()))
    with refused(r"broken\.png", "not a readable image"):
        folder().load(tmp_path, "train", False)


def only_image(root, **options):
    return folder(**options).load(root, "train", False).images[0]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    photo = Image.fromarray(np.where(noise(8, 8, 1).repeat(3, 2) > 127, 255, 0).astype(np.uint8)).convert(
        mode
    )
    save(tmp_path / "photos" / "1.png", photo)
    assert torch.equal(
        only_image(tmp_path), torch.from_numpy(np.array(photo.convert("RGB"))).permute(2, 0, 1)
    )


def test_a_palette_with_transparency_becomes_rgb(tmp_path):
    photo = Image.new("P", (8, 8), 1)
    photo.putpalette([0, 0, 0, 200, 10, 20] + [0] * 762)
    save(tmp_path / "photos" / "1.png", photo, transparency=bytes([0, 255]))
    assert only_image(tmp_path)[:, 0, 0].tolist() == [200, 10, 20]


def test_16_bit_grey_is_scaled_and_not_cut_off(tmp_path):
    save(tmp_path / "photos" / "1.png", Image.fromarray(np.full((8, 8), 30_000, np.uint16)))
    assert only_image(tmp_path)[0, 0, 0].item() == pytest.approx(30_000 / 257, abs=1)


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    upright = Image.fromarray(noise(8, 8, 3))
    exif = Image.Exif()
    exif[274] = 6  # orientation: turn clockwise by a quarter to see it upright
    save(tmp_path / "photos" / "1.png", upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert torch.equal(only_image(tmp_path), torch.from_numpy(np.array(upright)).permute(2, 0, 1))


def test_a_wide_photo_is_cut_to_its_middle(tmp_path):
    photo = colour((255, 0, 0), (16, 8))
    photo.paste((0, 255, 0), (4, 0, 12, 8))
    save(tmp_path / "photos" / "1.png", photo)
    assert torch.equal(only_image(tmp_path)[1], torch.full((8, 8), 255, dtype=torch.uint8))


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


# Conversion.


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


# The stream.


def stream(count, batch, seed=0, rank=0, world=1):
    images = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return Stream(ImageDataset(images, torch.arange(count)), batch, seed, rank, world)


def rows(stream, steps):
    return torch.cat([stream.indices(k) for k in range(steps)]).tolist()


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (10, 4), (5, 5), (3, 8), (1, 3), (7, 1)])
def test_every_image_once_per_epoch(count, batch):
    # 10 images in batches of 4: the third batch crosses the border of an epoch
    drawn = rows(stream(count, batch), 3 * count)
    epochs = [drawn[i : i + count] for i in range(0, len(drawn), count)]
    assert len(drawn) == 3 * count * batch
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)


def test_every_epoch_has_its_own_order():
    drawn = rows(stream(50, 50), 4)
    assert len({tuple(drawn[i : i + 50]) for i in range(0, 200, 50)}) == 4


def test_a_batch_depends_on_seed_and_step_alone():
    fresh, used = stream(10, 4, seed=3), stream(10, 4, seed=3)
    rows(used, 20)
    assert torch.equal(fresh.indices(7), used.indices(7))
    torch.manual_seed(99)  # nor on torch's global generator
    assert torch.equal(fresh.indices(5), used.indices(5))
    assert rows(stream(50, 50, seed=1), 1) != rows(stream(50, 50, seed=2), 1)


@pytest.mark.parametrize("count", [100, 10, 3])
def test_two_processes_draw_what_one_with_the_doubled_batch_draws(count):
    ranks, one = [stream(count, 3, rank=r, world=2) for r in (0, 1)], stream(count, 6)
    for step in range(10):
        assert torch.equal(torch.cat([r.indices(step) for r in ranks]), one.indices(step))


def test_a_stream_gives_floats_and_their_labels():
    images, labels, _ = stream(200, 8).draw(3)
    assert images.shape == (8, 1, 1, 1)
    assert torch.allclose(images.flatten(), labels / 127.5 - 1)
    assert Stream(ImageDataset(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), None), 2, 0).draw(0)[1] is None


def test_the_range_of_networks():
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


# Random affine maps.


def naive_sample(image, matrix, shift):
    """Every output pixel from where the map (about the centre, in pixels) points to; outside the border
    repeats."""
    side = image.shape[-1]
    centre = (side - 1) / 2
    out = torch.empty_like(image)
    for row in range(side):
        for column in range(side):
            x, y = column - centre, row - centre
            u = min(max(matrix[0][0] * x + matrix[0][1] * y + shift[0] + centre, 0), side - 1)
            v = min(max(matrix[1][0] * x + matrix[1][1] * y + shift[1] + centre, 0), side - 1)
            left, top = min(int(u), side - 2), min(int(v), side - 2)
            a, b = u - left, v - top
            square = image[:, top : top + 2, left : left + 2]
            upper = (1 - a) * square[:, 0, 0] + a * square[:, 0, 1]
            lower = (1 - a) * square[:, 1, 0] + a * square[:, 1, 1]
            out[:, row, column] = (1 - b) * upper + b * lower
    return out


def float_images(n=3, channels=2, side=7):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def draws(seed, n):
    """The numbers in -1..1 that the next call will draw."""
    torch.manual_seed(seed)
    numbers = torch.rand(6, n) * 2 - 1
    torch.manual_seed(seed)
    return numbers


def random_affine(images, *ranges):
    return apply_affine(images, draw_affine(len(images), *ranges))


def test_no_option_is_the_identity():
    images = float_images()
    assert Augment()(images) is images
    assert torch.allclose(random_affine(images, 0, 0, 0, 0), images, atol=1e-5)


@pytest.mark.parametrize("degrees", [15, 90, 180])
def test_rotation_by_a_known_angle(degrees):
    images = float_images()
    angles = draws(4, 3)[0] * math.radians(degrees)
    for found, image, angle in zip(
        random_affine(images, degrees, 0, 0, 0), images, angles.tolist(), strict=True
    ):
        matrix = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        assert torch.allclose(found, naive_sample(image, matrix, (0, 0)), atol=1e-4)


def test_shift_is_a_share_of_the_side():
    images = float_images()
    shifts = draws(5, 3)[4:6].T * 0.3 * 7
    for found, image, shift in zip(random_affine(images, 0, 0, 0, 0.3), images, shifts.tolist(), strict=True):
        assert torch.allclose(found, naive_sample(image, [[1, 0], [0, 1]], shift), atol=1e-4)


def test_scale_is_a_factor_on_the_size():
    images = float_images()
    factors = 1 + draws(6, 3)[2:4].T * 0.4
    for found, image, (sx, sy) in zip(
        random_affine(images, 0, 0.4, 0, 0), images, factors.tolist(), strict=True
    ):
        assert torch.allclose(found, naive_sample(image, [[1 / sx, 0], [0, 1 / sy]], (0, 0)), atol=1e-4)


def test_shear_is_an_angle():
    images = float_images()
    angles = draws(7, 3)[1] * math.radians(30)
    for found, image, angle in zip(random_affine(images, 0, 0, 30, 0), images, angles.tolist(), strict=True):
        assert torch.allclose(found, naive_sample(image, [[1, math.tan(angle)], [0, 1]], (0, 0)), atol=1e-4)


def test_a_flip_mirrors_about_half_of_the_images():
    torch.manual_seed(0)
    images = float_images(100)
    found = Augment(flip=True)(images)
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(found, images, strict=True)]
    assert all(m or torch.equal(a, b) for m, a, b in zip(mirrored, found, images, strict=True))
    assert 30 < sum(mirrored) < 70


def test_digits_may_not_be_mirrored_and_own_images_where_one_says_so():
    assert not any(domain.flip_safe for domain in domains.values())
    assert folder(flip_safe=True).flip_safe
    assert domains["npz"](train="a", test="b", flip_safe=True).flip_safe


def test_augmented_images_keep_shape_and_range_and_follow_the_seed():
    images, augment = float_images(4, 3, 12), Augment(rotate=40, scale=0.3, shear=20, shift=0.2)
    torch.manual_seed(0)
    first = augment(images)
    torch.manual_seed(0)
    assert torch.equal(augment(images), first)
    assert not torch.equal(augment(images), first)
    assert first.shape == images.shape
    assert first.abs().max() <= images.abs().max() + 1e-5


# Masks.


@pytest.mark.parametrize(("size", "patch"), [(16, 4), (28, 5), (32, 32), (16, 1)])
def test_a_mask_hides_whole_squares_of_each_image_by_itself(size, patch):
    torch.manual_seed(0)
    images = 1 + torch.rand(40, 3, size, size)
    masked = mask_patches(images, patch, 0.7)
    hidden = masked == 0
    assert torch.equal(masked[~hidden], images[~hidden])
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    for top in range(0, size, patch):
        for left in range(0, size, patch):
            square = hidden[:, 0, top : top + patch, left : left + patch].flatten(1)
            assert torch.equal(square.all(1), square.any(1))
    assert len({row.tobytes() for row in hidden[:, 0].numpy()}) > 1
    squares = 40 * math.ceil(size / patch) ** 2
    assert hidden.float().mean().item() == pytest.approx(0.7, abs=3 / squares**0.5)


def test_a_mask_of_nothing_and_of_all():
    images = 1 + torch.rand(2, 1, 8, 8)
    assert torch.equal(mask_patches(images, 4, 0.0), images)
    assert not mask_patches(images, 4, 1.0).any()


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
