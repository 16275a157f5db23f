"""Importance weights make a source count as if its classes were as frequent as the target's."""

from __future__ import annotations

import torch

from cycada.networks import ClassShares


def test_weights_are_the_ratio_of_the_shares():
    shares, labels = ClassShares(3), torch.tensor([0] * 6 + [1] * 3 + [2])
    shares.count_source(labels)
    torch.testing.assert_close(shares.source, torch.tensor([0.6, 0.3, 0.1]))
    shares.target.copy_(torch.tensor([0.3, 0.3, 0.4]))
    weights = shares.importance_weights(labels)
    torch.testing.assert_close(weights[[0, 6, 9]], torch.tensor([0.5, 1.0, 4.0]))
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    weighted = torch.zeros(3).index_add_(0, labels, weights) / len(labels)
    torch.testing.assert_close(weighted, shares.target)


def test_no_weight_is_too_large_or_undefined():
    shares = ClassShares(3)
    shares.count_source(torch.tensor([0] * 999 + [1]))
    assert shares.importance_weights(torch.tensor([1])).item() == 10
    assert shares.importance_weights(torch.tensor([0, 1])).isfinite().all()


def test_the_shares_survive_a_checkpoint():
    first, second = ClassShares(2), ClassShares(2)
    first.count_source(torch.tensor([0, 0, 0, 1]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.source, torch.tensor([0.75, 0.25]))
