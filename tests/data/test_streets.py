"""The embedded pair of street domains."""

import numpy as np
import pytest
import torch
from helpers.broken_files import NOWHERE, refused

from cycada.core.registry import check_options
from cycada.data import segmentation_domains
from cycada.data.streets.domain import draw
from cycada.data.streets.looks import points_behind
from cycada.data.streets.parts import CLASSES, FAR, OVERSAMPLING, Plane
from cycada.data.streets.world import build_street

LOOKS = ("game", "photo")


def streets(split="train", **options):
    return segmentation_domains["streets"](**options).load(NOWHERE, split)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", [(128, 64), (64, 64), (97, 51), (256, 144)])
def test_streets_come_in_any_size(look, size):
    image, mask, _ = streets(look=look, width=size[0], height=size[1]).read(0)
    assert (image.dtype, image.shape) == (torch.uint8, (3, size[1], size[0]))
    assert (mask.dtype, mask.shape) == (torch.uint8, (size[1], size[0]))
    assert mask.max() < len(CLASSES)
    assert image.float().std() > 15


def test_both_looks_of_a_scene_have_the_same_mask_and_other_pixels():
    for i in range(20):
        (game, mask), (photo, same) = (draw(3, i, look, 128, 64) for look in LOOKS)
        assert np.array_equal(mask, same)
        assert np.abs(game.astype(int) - photo).mean() > 20


def test_a_scene_depends_on_its_seed_and_number_alone():
    scenes = streets(look="photo")
    first = scenes.read(7)
    scenes.read(3)
    np.random.default_rng(0).random(10)
    assert all(
        torch.equal(a, b) for a, b in zip(first[:2], streets(look="photo", train=10).read(7)[:2], strict=True)
    )
    assert not torch.equal(first[1], scenes.read(8)[1])
    assert not torch.equal(first[1], streets(look="photo", seed=5).read(7)[1])


def test_training_is_unpaired_and_testing_is_paired():
    train, test = ([streets(s, look=look).read(0)[1] for look in LOOKS] for s in ("train", "test"))
    assert not torch.equal(*train)
    assert torch.equal(*test)
    assert not torch.equal(train[0], test[0])


def test_the_other_look_of_the_same_streets_is_the_perfect_translation():
    game = streets("test")
    photo = game.in_look("photo")
    assert torch.equal(photo.read(4)[0], streets("test", look="photo").read(4)[0])
    assert torch.equal(photo.read(4)[1], game.read(4)[1])
    assert torch.equal(photo.subset([4]).read(0)[0], photo.read(4)[0])


def test_every_class_occurs_and_in_both_sets_about_as_often():
    shares = []
    for look in LOOKS:
        masks = torch.stack([streets(look=look).read(i)[1] for i in range(150)])
        shares.append(masks.flatten().bincount(minlength=len(CLASSES)).double() / masks.numel())
        # a scene without sky or without a car may be; a class that most scenes lack may not
        occurs = torch.stack([(masks == k).flatten(1).any(1).double().mean() for k in range(len(CLASSES))])
        assert occurs.min() > 0.5, dict(zip(CLASSES, occurs.tolist(), strict=True))
    assert (shares[0] - shares[1]).abs().max() < 0.03


def test_a_class_keeps_one_colour_in_the_game_and_not_in_the_photo():
    # the spread of a scene's road pixels, after the marks are left out by taking the median deviation
    spread = {}
    for look in LOOKS:
        image, mask = draw(1, 3, look, 128, 64)
        road = image[mask == 0].astype(float)
        spread[look] = np.median(np.abs(road - np.median(road, 0)))
    assert spread["game"] == 0
    assert spread["photo"] > 2


def test_the_point_behind_a_pixel_lies_on_its_surface():
    world = build_street(np.random.default_rng(4), 128, 64)
    x, y, z = points_behind(world)
    planes, offsets = world.planes[world.parts], world.offsets[world.parts]
    ground = planes == Plane.GROUND
    assert np.abs(y[ground & (z < 900) & (z > 0.51)]).max() < 0.05
    assert np.abs(x - offsets)[(planes == Plane.ALONG) & (z > 0.51) & (z < FAR)].max() < 0.01
    assert np.abs(z - offsets)[planes == Plane.ACROSS].max() < 0.01
    assert world.mask.shape == (world.parts.shape[0] // OVERSAMPLING, world.parts.shape[1] // OVERSAMPLING)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"look": "film"}, ("look", "'film'")), ({"width": 8}, ("width", "8")), ({"seed": -1}, ("seed",))],
)
def test_wrong_options_are_refused(options, words):
    with refused("data.source", *words):
        check_options(segmentation_domains["streets"], options, "data.source")
