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
BALANCING_ITERATIONS = 20
"""Steps towards the factors of the classes."""
UNEQUAL = 0.08
"""Distance of the predicted shares of the classes from equal ones up to which these are taken as equal: that
of half of the classes being 1.38 times as frequent as the other half. A thousand images of ten classes that
are equally frequent have 0.04 by chance."""
STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Parts of the largest balance that are tried, the strongest first."""


def propagated_labels(
    features: Tensor, probabilities: Tensor, neighbours: int, balance: float | Tensor = 0.0
) -> Tensor:
    """Spread predictions over the graph of the nearest neighbours.

    This is label propagation (Zhou et al. 2003, "Learning with Local and Global Consistency") on the graph of
    Iscen et al. 2019 ("Label Propagation for Deep Semi-supervised Learning", eq. 9), which starts from soft
    predictions instead of a few labels.

    Args:
        features: (N, D) of any scale. They are centred, since the features of one ReLU layer all have similar
            directions.
        probabilities: (N, K), each row summing to 1.
        neighbours: The number of nearest neighbours of each image, at least 1.
        balance: How strongly the predictions are balanced before they are spread, in [0, 1] (see `balanced`).
            What balancing takes from single images their neighbours give back; balancing what has been spread
            would take it for good.

    Returns:
        (N, K) probabilities in float32, through which no gradient flows.
    """
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        graph = neighbour_graph(features.float(), neighbours)
        return spread(graph, balanced(probabilities.float(), balance))


def allowed_balance(
    features: Tensor, probabilities: Tensor, neighbours: int, max_balance: float
) -> float | Tensor:
    """Return how strongly predictions may be balanced before they are spread.

    A balance gives a class whose images are taken for those of another its own back. If the classes are
    indeed not equally frequent, it cuts through a frequent class, and images that lie together get different
    labels. While the predicted shares of the classes are nearly equal (see `look_equal`), the largest balance
    is allowed. Otherwise the graph decides: of five strengths from 0 to the largest, the one is taken with
    which the fewest neighbours disagree about their label, and the strongest of several. If it changes no
    label, there is nothing to mend, and none is taken: over many steps of training it would still move images
    to rare classes.

    Args:
        features: (N, D), as in `propagated_labels`.
        probabilities: (N, K), each row summing to 1.
        neighbours: The number of nearest neighbours of each image, at least 1.
        max_balance: The largest balance, in [0, 1].

    Returns:
        A number in [0, `max_balance`].
    """
    if max_balance == 0:
        return 0.0
    with torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        graph, start = neighbour_graph(features.float(), neighbours), probabilities.float()
        strengths = max_balance * torch.tensor(STRENGTHS, device=start.device)
        labels = spread(graph, torch.stack([balanced(start, strength) for strength in strengths])).argmax(2)
        best = disagreement(graph, labels).argmin()  # the first, which is the strongest
        changes_labels = (labels[best] != labels[-1]).any()  # against none, which is the last
        return torch.where(look_equal(start), max_balance, strengths[best] * changes_labels)


def spread(graph: Tensor, probabilities: Tensor) -> Tensor:
    """Spread predictions over a graph.

    Args:
        graph: A sparse (N, N) of weights.
        probabilities: (..., N, K), each row summing to 1.

    Returns:
        (..., N, K), each row summing to 1.
    """
    start = probabilities.movedim(-2, 0).flatten(1)  # all side by side, so that the graph is read once
    labels = start
    for _ in range(ITERATIONS):
        labels = (1 - SPREAD) * start + SPREAD * torch.sparse.mm(graph, labels)
    shape = (*probabilities.shape[:-2], probabilities.shape[-1])
    apart: Tensor = labels.unflatten(1, shape).movedim(0, -2)
    return apart / apart.sum(-1, keepdim=True)


def disagreement(graph: Tensor, labels: Tensor) -> Tensor:
    """Return the share of the edges, by weight, that join images of different labels.

    Args:
        graph: A sparse (N, N) of weights, coalesced.
        labels: (..., N) labels.

    Returns:
        (...) shares in [0, 1]; 0 for a graph without edges.
    """
    starts, ends = graph.indices()
    weights = graph.values()
    differ = labels[..., starts] != labels[..., ends]
    return (weights * differ).sum(-1) / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


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


def look_equal(probabilities: Tensor) -> Tensor:
    """Return whether predictions say that the classes are nearly equally frequent.

    Args:
        probabilities: (N, K), each row summing to 1.

    Returns:
        A bool: whether the total variation distance between the classes' predicted shares and 1/K is at most
        `UNEQUAL`.
    """
    return (probabilities.mean(0) - 1 / probabilities.shape[1]).abs().sum() / 2 <= UNEQUAL


def balanced(probabilities: Tensor, balance: float | Tensor) -> Tensor:
    """Move predictions towards classes that are equally frequent.

    The columns are scaled by a factor for each class, and every row sums to 1 again: optimal transport with a
    relaxed marginal of the classes (Chizat et al. 2018, "Scaling algorithms for unbalanced optimal transport
    problems"). A class's share of all images ends at the geometric mean of 1/K, with the weight `balance`,
    and what it would be without its factor.

    Args:
        probabilities: (N, K), each row summing to 1.
        balance: 0 changes nothing, 1 makes the K classes equally frequent.

    Returns:
        (N, K), each row summing to 1.
    """
    tiny = torch.finfo(probabilities.dtype).tiny
    classes = probabilities.shape[1]
    factor = probabilities.new_ones(classes)
    for _ in range(BALANCING_ITERATIONS):
        row = (probabilities * factor).sum(1, keepdim=True).clamp_min(tiny)
        share = (probabilities / row).mean(0)  # of each class, without its own factor
        factor = (classes * share).clamp_min(tiny) ** -balance
    scaled = probabilities * factor
    return scaled / scaled.sum(1, keepdim=True).clamp_min(tiny)
