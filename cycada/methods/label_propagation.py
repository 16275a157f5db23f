"""Label propagation: images that lie close together get the same label.

A classifier's predictions are spread over a graph of the nearest neighbours of its features. Target images of
one class often lie together although the classifier, which learnt from another domain, cuts through them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS = 3
"""Power of the cosine similarity in an edge's weight, as in Iscen et al. 2019, section 5.1."""
ITERATIONS = 20
"""Steps towards the fixed point; what is left of the start is `SPREAD` to this power."""
SPREAD = 0.9
"""How much of an image's label comes from its neighbours in one step: alpha of Zhou et al. 2003."""
SETTLING_IMAGES = 2048
"""Number of target training images by which the expected shares of the classes are settled."""
BALANCING_ITERATIONS = 200
"""Largest number of steps towards the factors of the classes."""
BALANCING_TOLERANCE = 1e-5
"""Relative change of every factor below which they are taken as found."""


def propagated_labels(features: Tensor, probabilities: Tensor, neighbours: int) -> Tensor:
    """Spread predictions over the graph of the nearest neighbours.

    This is label propagation (Zhou et al. 2003, "Learning with Local and Global Consistency") on the graph of
    Iscen et al. 2019 ("Label Propagation for Deep Semi-supervised Learning", eq. 9), which starts from soft
    predictions instead of a few labels.

    Args:
        features: (N, D) of any scale. They are centred, since the features of one ReLU layer all have similar
            directions.
        probabilities: (N, K), each row summing to 1.
        neighbours: The number of nearest neighbours of each image, at least 1.

    Returns:
        (N, K) probabilities in float32, through which no gradient flows.
    """
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        return spread(neighbour_graph(features.float(), neighbours), probabilities.float())


def spread(graph: Tensor, probabilities: Tensor) -> Tensor:
    """Spread predictions over a graph.

    Args:
        graph: A sparse (N, N) of weights.
        probabilities: (N, K), each row summing to 1.

    Returns:
        (N, K), each row summing to 1.
    """
    labels = probabilities
    for _ in range(ITERATIONS):
        labels = (1 - SPREAD) * probabilities + SPREAD * torch.sparse.mm(graph, labels)
    return labels / labels.sum(1, keepdim=True)


def neighbour_graph(features: Tensor, neighbours: int) -> Tensor:
    """Return the normalised weights of the edges between nearest neighbours.

    Args:
        features: (N, D) in float32.
        neighbours: The number of nearest neighbours of each image; all others where there are fewer.

    Returns:
        A sparse (N, N), symmetric: D^-1/2 (A + A^T) D^-1/2 with D the row sums and A the similarities to the
        nearest neighbours, to the power `SHARPNESS`.
    """
    count = len(features)
    directions = F.normalize(features - features.mean(0), dim=1)
    similarity = directions @ directions.T
    similarity.fill_diagonal_(-torch.inf)
    nearest, ends = similarity.topk(min(neighbours, count - 1))
    starts = torch.arange(count, device=features.device).repeat_interleave(nearest.shape[1])
    weights = (nearest.clamp_min(0) ** SHARPNESS).flatten().repeat(2)
    edges = torch.stack([torch.cat([starts, ends.flatten()]), torch.cat([ends.flatten(), starts])])
    degree = weights.new_zeros(count).index_add_(0, edges[0], weights)
    scale = degree.clamp_min(torch.finfo(degree.dtype).tiny).rsqrt()
    weights = weights * scale[edges[0]] * scale[edges[1]]
    return torch.sparse_coo_tensor(edges, weights, (count, count), check_invariants=False).coalesce()


def doubt(probabilities: Tensor) -> Tensor:
    """Return how unsure predictions are: the mean over the images of 1 minus the largest probability.

    Args:
        probabilities: (N, K), each row summing to 1.

    Returns:
        A scalar in [0, 1 - 1 / K].
    """
    return 1 - probabilities.float().amax(1).mean()


def expected_shares(probabilities: Tensor) -> Tensor:
    """Estimate from predictions how frequent the classes are.

    Shares that are predicted with a few errors are nearly right; with many errors they say little, and equal
    ones are the better guess. The predicted shares are shrunk towards equal ones as the positive-part
    James-Stein estimator does (Baranchik 1964): by (e / d)^2, at most 1, with d their distance from equal
    ones and e the error that they may have. That is the `doubt`: a calibrated classifier takes so large a
    share of the images for those of another class. Classifiers of another domain are wrong more often, but
    many of their errors cancel in the shares.

    Args:
        probabilities: (N, K), each row summing to 1.

    Returns:
        (K,), summing to 1.
    """
    shares = probabilities.float().mean(0)
    equal = torch.full_like(shares, 1 / len(shares))
    distance = (shares - equal).abs().sum() / 2  # total variation: the share of the images to move
    ratio = (doubt(probabilities) / distance.clamp_min(torch.finfo(shares.dtype).tiny)).clamp(max=1)
    return torch.lerp(shares, equal, ratio.square())


def balanced(probabilities: Tensor, shares: Tensor, ratio: float) -> Tensor:
    """Keep the share of every class among predictions near an expected one.

    The columns are scaled by a factor for each class, and every row sums to 1 again: optimal transport whose
    second marginal lies in a range (Chizat et al. 2018, "Scaling algorithms for unbalanced optimal transport
    problems", section 5.2). Where all shares are in the range, nothing is changed.

    A class that a network takes for another gets some of its images back, and then its neighbours.

    Args:
        probabilities: (N, K), each row summing to 1.
        shares: (K,), the expected shares, summing to 1.
        ratio: r >= 1. A class's share is kept between 1/r and r times the expected one.

    Returns:
        (N, K) in float32, each row summing to 1, through which no gradient flows.
    """
    with torch.no_grad(), torch.autocast(probabilities.device.type, enabled=False):
        start = probabilities.float()
        tiny = torch.finfo(start.dtype).tiny
        factor = one = torch.ones_like(shares)
        for _ in range(BALANCING_ITERATIONS):
            row = (start * factor).sum(1, keepdim=True).clamp_min(tiny)
            share = (start / row).mean(0).clamp_min(tiny)  # of each class, without its own factor
            before, factor = factor, one.clamp(shares / ratio / share, shares * ratio / share)
            if torch.allclose(before, factor, rtol=BALANCING_TOLERANCE, atol=0):
                break
        scaled = start * factor
        return scaled / scaled.sum(1, keepdim=True).clamp_min(tiny)
