"""Folders of pictures, one for each class: classes, labels, pixels and broken files."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from helpers.broken_files import broken, noise, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cycada.data import domains


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
