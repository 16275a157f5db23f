"""A run says where images are enlarged, stretched, padded or cut."""

import numpy as np
import pytest
from helpers.own_data import class_folders, heard, own, own_scenes

from cycada.cli.data_check import check_config, print_checked
from cycada.data import ImageDataset
from cycada.data.labelled_images import Origin
from cycada.planning.counts import count_line
from cycada.planning.scaling import warn_of_scaling


def test_enlarging_is_said(tmp_path):
    screen = heard(own(class_folders(tmp_path, size=(12, 8)), size=16))
    assert (
        "source train: 12 images, 3 of 3 classes (4 each), 12 x 8 pixels, cut square and enlarged to 16 x 16"
        in screen.said
    )
    assert len(screen.warned) == 4
    assert "12 of 12 pictures, of 12 x 8 pixels, are enlarged to 16 x 16" in screen.warned[0]
    assert heard(own(tmp_path, size=10)).warned == []


def test_long_pictures_that_are_cut_square_are_warned_of(tmp_path, capsys):
    warned = heard(own(class_folders(tmp_path, size=(48, 16)), size=16)).warned
    assert len(warned) == 4
    print_checked(check_config(own(tmp_path, size=16), samples=2))
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}" for line in warned]
    assert "12 of 12 pictures, of 48 x 16 pixels, are cut to the square in their middle" in warned[0]
    assert "which is 33% of such a picture" in warned[0]
    assert heard(own(class_folders(tmp_path / "b", size=(32, 16)), size=16)).warned == []


def test_stretching_is_said(tmp_path, capsys):
    """Scenes and arrays are resized as wholes; pictures of classes are cut square before."""
    own_scenes(tmp_path)
    screen = heard(own(tmp_path, size=[8, 16], name="mask_folder"))
    assert "source train: 3 images, with masks, 16 x 16 pixels, stretched to 16 x 8" in screen.said
    assert [warning.partition(":")[0] for warning in screen.warned] == [
        "source train",
        "source test",
        "target train",
        "target test",
    ]
    assert "3 of 3 pictures, of 16 x 16 pixels, are stretched to 16 x 8" in screen.warned[0]
    assert "factors that differ by 2.0" in screen.warned[0]
    print_checked(check_config(own(tmp_path, size=[8, 16], name="mask_folder"), samples=2))
    assert capsys.readouterr().err.splitlines() == [f"warning: {line}" for line in screen.warned]
    images, labels = np.full((6, 8, 5, 3), 200, np.uint8), np.arange(6) % 3
    np.savez(tmp_path / "a.npz", images=images, labels=labels, label=labels)
    screen = heard(own(tmp_path, name="npz", classes=3, train="a.npz", test="a.npz"))
    assert "5 x 8 pixels, stretched to 8 x 8; left out: 1 (" in screen.said[0]
    assert "the array 'label', as images and labels alone are read" in screen.said[0]


@pytest.mark.parametrize(
    ("stored", "shape", "said", "warned"),
    [("28 x 28", 32, "enlarged to 32 x 32", 0), ("28 x 28", 128, "enlarged to 128", 1)],
)
def test_digits_are_enlarged_a_little_without_a_warning(stored, shape, said, warned):
    from cycada.planning.scaling import _enlarged

    digits = ImageDataset(np.zeros((3, 1, 2, 2)), None, Origin(stored=stored))
    assert said in count_line(digits, (), (shape, shape))
    assert len(_enlarged(digits, (shape, shape))) == warned


def test_images_that_are_put_on_black_are_not_said_to_be_enlarged():
    digits = ImageDataset(np.zeros((3, 1, 2, 2)), None, Origin(stored="28 x 20"))
    assert "28 x 20 pixels, padded to 64 x 64" in count_line(digits, (), (64, 64), "pad")
    assert warn_of_scaling(digits, (64, 64), "pad") == []
    assert len(warn_of_scaling(digits, (64, 64), "bilinear")) == 2, "enlarged, and stretched"
