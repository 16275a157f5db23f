"""Augmentation of colours: what it changes, what it leaves, and what a partner gets."""

import pytest
import torch
from helpers.broken_files import NOWHERE
from helpers.experiments import tiny_config
from helpers.streets import STREETS

from cycada.core.errors import CycadaError
from cycada.data import photometric, segmentation_domains
from cycada.data.image_set import StreamSettings
from cycada.data.loaders import Augment
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
