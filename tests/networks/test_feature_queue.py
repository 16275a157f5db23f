"""The queue keeps the newest vectors, in order, and survives a checkpoint."""

from __future__ import annotations

import torch

from cycada.networks import FeatureQueue


def test_a_limited_queue_stores_fewer():
    queue = FeatureQueue(5, 2, 2)
    queue.limit(7)
    assert queue.size == 5
    queue.limit(2)
    assert queue.rows.shape == (2, 2)
    assert len(queue(torch.ones(4, 2))) == 4
    assert queue.filled == 2
    assert len(queue(torch.ones(1, 2))) == 3
    assert queue.state_dict()["rows"].shape == (2, 2)


def test_the_newest_come_first_and_the_oldest_leave():
    queue = FeatureQueue(3, 2, 2)
    a, b = torch.arange(4.0).view(2, 2), torch.arange(4.0, 8.0).view(2, 2)
    assert torch.equal(queue(a), a)
    assert torch.equal(queue(b), torch.cat([b, a]))
    assert torch.equal(queue.rows, torch.cat([b, a[:1]]))
    assert torch.equal(queue(a), torch.cat([a, b, a[:1]]))


def test_a_queue_of_size_0_keeps_nothing():
    queue = FeatureQueue(0, 2, 2)
    for _ in range(2):
        assert torch.equal(queue(torch.ones(2, 2)), torch.ones(2, 2))


def test_a_restored_queue_goes_on_as_the_first():
    first, second = FeatureQueue(5, 4, 2), FeatureQueue(5, 4, 2)
    for step in range(3):
        first(torch.full((2, 4), float(step)))
    second.load_state_dict(first.state_dict())
    new = torch.full((2, 4), 9.0)
    assert torch.equal(first(new), second(new))


def test_it_keeps_no_graph():
    queue = FeatureQueue(2, 2, 2)
    assert not queue(torch.ones(2, 2, requires_grad=True)).requires_grad
