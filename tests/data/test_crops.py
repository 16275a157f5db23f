"""The sampler of crops: what it cuts, and that its batches depend on the step alone."""

from itertools import islice

import numpy as np
import pytest
import torch
from helpers.broken_files import noise
from helpers.numbered import Numbered
from hypothesis import given, settings
from hypothesis import strategies as st

from cycada.core.types import IGNORE
from cycada.data import Crops, ImageDataset, Sample, Stream, sample_loader, segmentation_domains
from cycada.data.crops import GREY
from cycada.data.loaders import Steps
from cycada.data.resize import resize_sample


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 30)),
    epoch=st.integers(0, 3),
    index=st.integers(0, 6),
    flip=st.booleans(),
)
def test_a_crop_is_a_window_and_the_mask_is_cut_alike(size, epoch, index, flip):
    image, mask, _ = Crops(Numbered(), size, seed=1, flip=flip)[epoch, index]
    row, column, number = image.long()
    assert (image.shape, mask.shape, image.dtype, mask.dtype) == ((3, *size), size, torch.uint8, torch.uint8)
    assert torch.equal(row + column, mask.long())
    assert (number == index).all()
    assert torch.equal(row[:, 0], torch.arange(size[0]) + row[0, 0])
    steps = column[0].diff().unique().tolist()
    assert steps in ([], [1], [-1]) if flip else steps in ([], [1])


def test_crops_reach_every_place_and_half_are_mirrored():
    crops = Crops(Numbered(), (15, 15), seed=0)
    found = [crops[epoch, i][0] for epoch in range(60) for i in range(7)]
    mirrored = [bool(image[1, 0, 0] > image[1, 0, -1]) for image in found]
    assert {int(image[0, 0, 0]) for image in found} == set(range(6))
    assert {int(image[1].min()) for image in found} == set(range(16))
    assert 0.4 < np.mean(mirrored) < 0.6


def test_a_crop_larger_than_its_image_is_padded_around():
    image, mask, _ = Crops(Numbered(size=(4, 6)), (8, 9), seed=0, flip=False)[0, 0]
    assert torch.equal(mask[2:6, 1:7], Numbered(size=(4, 6)).read(0)[1])
    assert (mask == IGNORE).sum() == 8 * 9 - 4 * 6
    assert (image[:, mask == IGNORE] == GREY).all()


def test_scaling_keeps_the_masks_values_and_smooths_the_image():
    image, mask = torch.from_numpy(noise(3, 40, 60)), torch.from_numpy(noise(40, 60) // 80 * 80)
    small, fewer, _ = resize_sample(Sample(image, mask), (10, 15))
    assert small.float().std() < 0.5 * image.float().std()
    assert set(fewer.unique().tolist()) <= set(mask.unique().tolist())
    assert torch.equal(fewer, mask[2::4, 2::4])  # the pixel in the middle of what it stands for


def test_scaling_to_a_width_keeps_the_shape_of_the_scene():
    image, mask, _ = Crops(Numbered(size=(40, 60)), (20, 30), seed=0, width=30, flip=False)[0, 2]
    assert not (mask == IGNORE).any()
    assert abs(image[0].float().mean() - 19.5) < 1


def batches(count, start=0, workers=0, labelled=True, **options):
    crops = Crops(Numbered(labelled=labelled), (10, 12), seed=3)
    return list(islice(sample_loader(crops, 4, start=start, workers=workers, **options), count))


def same(a, b):
    return len(a) == len(b) and all(
        torch.equal(x.images, y.images) and torch.equal(x.labels, y.labels) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_loader_goes_on_where_it_would_have_been(workers):
    whole = batches(6)
    assert same(whole, batches(6, workers=workers))
    assert same(
        whole[3:], batches(3, start=3, workers=workers)
    )  # step 3 is in the middle of the second epoch
    assert not same(whole[:1], whole[1:2])


def test_the_order_is_that_of_the_stream_of_the_digit_domains():
    stream = Stream(ImageDataset(torch.zeros(7, 1, 2, 2, dtype=torch.uint8), None), 4, seed=3)
    for step, keys in zip(range(5), Steps(7, 4, 3), strict=False):
        assert [index for _, index in keys] == stream.indices(step).tolist()
        assert [epoch for epoch, _ in keys] == [(4 * step + k) // 7 for k in range(4)]


def test_the_same_scene_is_cut_anew_every_epoch():
    crops = Crops(Numbered(), (10, 12), seed=3)
    assert not torch.equal(crops[0, 2][0], crops[1, 2][0])
    assert torch.equal(crops[1, 2][0], crops[1, 2][0])
    assert not torch.equal(crops[0, 2][0], Crops(Numbered(), (10, 12), seed=4)[0, 2][0])


def test_processes_share_a_step_between_them():
    alone, first, second = (
        [*islice(Steps(7, *how), 3)] for how in ((8, 3), (4, 3, 0, 0, 2), (4, 3, 0, 1, 2))
    )
    assert alone == [a + b for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    batches(2, workers=workers)
    assert torch.equal(before, torch.get_rng_state())


def test_an_unlabelled_domain_has_batches_without_masks():
    (batch,) = batches(1, labelled=False)
    assert batch.images.shape == (4, 3, 10, 12)
    assert batch.labels is None


def test_drawn_streets_load():
    scenes = segmentation_domains["streets"](train=5).load(None, "train")
    (batch,) = islice(sample_loader(Crops(scenes, (48, 64), seed=0), 3), 1)
    assert batch.images.shape == (3, 3, 48, 64)
    assert batch.labels.shape == (3, 48, 64)
