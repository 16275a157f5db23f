"""Streams of batches: their order, over epochs, processes and interruptions."""

import pytest
import torch

from cycada.data import ImageDataset, Stream


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
