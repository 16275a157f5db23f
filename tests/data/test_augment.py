"""Augmentation: affine maps, mirroring, colours and masks; what it leaves, and what a partner gets."""

import math

import pytest
import torch
from helpers.broken_files import NOWHERE
from helpers.experiments import tiny_config
from helpers.streets import STREETS

from cycada.core.errors import CycadaError
from cycada.data import photometric, segmentation_domains
from cycada.data.augment import Augment, apply_affine, draw_affine, mask_patches
from cycada.data.image_set import StreamSettings
from cycada.planning.plan import plan

COLOURS = {"jitter": 0.25, "blur": 1.15}


def scenes(**options):
    return segmentation_domains["streets"](look="game", train=6, **options).load(NOWHERE, "train")


def drawn(examples, augment, step=0):
    stream = examples.stream(StreamSettings(3, 0, torch.device("cpu"), augment, (32, 64)))
    torch.manual_seed(5)
    return stream.draw(step)


def test_colours_change_as_photometric_does():
    images = torch.rand(4, 3, 8, 8) * 2 - 1
    torch.manual_seed(0)
    found = Augment(**COLOURS)(images)
    torch.manual_seed(0)
    assert torch.equal(found, photometric(images, 0.25, 1.15))


def test_a_partner_gets_the_change_of_its_image():
    images = torch.rand(6, 3, 8, 8) * 2 - 1
    torch.manual_seed(0)
    one, other, third = Augment(**COLOURS, random_convolution=0.5, flip=True).together(
        images, images, images + 0.01
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert not torch.equal(one, images)


@pytest.mark.parametrize("colours", [COLOURS, {"random_convolution": 1.0}])
def test_scenes_change_their_colours_and_keep_their_masks(colours):
    plain, changed = drawn(scenes(), Augment(flip=True)), drawn(scenes(), Augment(flip=True, **colours))
    assert torch.equal(plain.labels, changed.labels)  # mirrored alike, and no further
    assert not torch.equal(plain.images, changed.images)
    torch.manual_seed(5)
    assert torch.equal(changed.images, Augment(**colours)(plain.images))


def test_a_scene_and_its_translation_change_together():
    game = scenes()
    twins = game.with_partner(game)
    batch = drawn(twins, Augment(flip=True, jitter=0.5))
    assert torch.equal(batch.images, batch.partners)
    assert not torch.equal(batch.images, drawn(twins, Augment(flip=True)).images)


def test_without_changes_of_colour_nothing_is_drawn():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert not Augment(flip=True).changes_pixels
    examples = scenes()
    stream = examples.stream(StreamSettings(2, 0, torch.device("cpu"), Augment(flip=True), (32, 64)))
    stream.draw(0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("key", ["rotate", "scale", "shear", "shift"])
def test_affine_maps_of_scenes_are_refused_with_what_is_possible(key):
    stages = {"it": {"method": "source_only", "augment": {key: 0.5}}}
    with pytest.raises(CycadaError, match=rf"stages\.it\.augment\.{key}: .*mirrored.*jitter"):
        plan(tiny_config(stages, **STREETS))


def test_colours_of_the_source_alone():
    augment = {"jitter": 0.25, "random_convolution": 0.5, "domains": "source"}
    (planned,) = plan(tiny_config({"it": {"method": "dann", "augment": augment}}, **STREETS))
    assert planned.identity()["augment"]["jitter"] == 0.25


def test_ids_of_stages_without_new_keys_stay():
    stages = {"it": {"method": "source_only", "augment": {"flip": True}}}
    (planned,) = plan(tiny_config(stages, **STREETS))
    assert set(planned.identity()["augment"]) == {"rotate", "scale", "shear", "shift", "flip", "domains"}


# Affine maps and mirroring.


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
