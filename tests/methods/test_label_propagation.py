"""Label propagation against its closed form, by hand, and what balancing promises."""

from __future__ import annotations

import pytest
import torch

from cycada.methods.label_propagation import (
    ITERATIONS,
    SHARPNESS,
    SPREAD,
    STRENGTHS,
    allowed_balance,
    balanced,
    disagreement,
    look_equal,
    neighbour_graph,
    propagated_labels,
    spread,
)


def naive_graph(features, neighbours):
    """The graph of Iscen et al. 2019 (eq. 9) with loops over all pairs."""
    n = len(features)
    centred = features - features.mean(0)
    edges = torch.zeros(n, n)
    for i in range(n):
        cosines = [
            float(torch.dot(centred[i], centred[j]) / (centred[i].norm() * centred[j].norm()))
            for j in range(n)
        ]
        others = sorted((j for j in range(n) if j != i), key=lambda j: -cosines[j])[:neighbours]
        for j in others:
            edges[i, j] += max(cosines[j], 0) ** SHARPNESS
            edges[j, i] += max(cosines[j], 0) ** SHARPNESS
    degree = edges.sum(1)
    return torch.stack(
        [
            torch.stack([edges[i, j] / (degree[i] * degree[j]).sqrt() for j in range(n)])
            if degree[i] > 0
            else torch.zeros(n)
            for i in range(n)
        ]
    ).nan_to_num(0, 0, 0)


def drawn(n=24, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 6, generator=generator)
    return features, torch.rand(n, classes, generator=generator).softmax(1)


def test_the_graph_is_that_of_the_paper():
    features, _ = drawn()
    graph = neighbour_graph(features, 4).to_dense()
    assert torch.allclose(graph, naive_graph(features, 4), atol=1e-6)
    assert torch.allclose(graph, graph.T)


def test_the_labels_approach_the_closed_form():
    features, start = drawn()
    graph = neighbour_graph(features, 4).to_dense().double()
    exact = (1 - SPREAD) * torch.linalg.solve(torch.eye(24).double() - SPREAD * graph, start.double())
    exact = exact / exact.sum(1, keepdim=True)
    found = propagated_labels(features, start, 4).double()
    assert (found - exact).abs().max() < SPREAD**ITERATIONS  # the graph's norm is at most 1
    assert torch.allclose(found.sum(1), torch.ones(24).double(), atol=1e-5)


def test_a_wrong_label_inside_a_cluster_is_outvoted():
    generator = torch.Generator().manual_seed(1)
    clusters = torch.cat(
        [torch.randn(20, 4, generator=generator) * 0.1 + c for c in (torch.eye(4)[0], -torch.eye(4)[0])]
    )
    start = torch.tensor([[0.9, 0.1]] * 20 + [[0.1, 0.9]] * 20)
    start[3] = torch.tensor([0.05, 0.95])
    labels = propagated_labels(clusters, start, 5).argmax(1)
    assert labels.tolist() == [0] * 20 + [1] * 20


@pytest.mark.parametrize("neighbours", [1, 5, 100])
def test_few_images_and_images_that_are_alike_give_probabilities(neighbours):
    alike = torch.ones(4, 3)
    start = torch.tensor([[0.7, 0.3]] * 4)
    for features, given in ((alike, start), (alike[:2], start[:2]), (alike[:1], start[:1])):
        labels = propagated_labels(features, given, neighbours, balance=0.5)
        assert torch.isfinite(labels).all()
        assert torch.allclose(labels.sum(1), torch.ones(len(given)))


def test_neighbours_give_back_what_balancing_takes_from_a_more_frequent_class():
    """Three quarters of the images are of one class and lie together; a third of these is not sure."""
    generator = torch.Generator().manual_seed(2)
    sizes, centres = (60, 20), (torch.eye(4)[0], -torch.eye(4)[0])
    clusters = torch.cat(
        [torch.randn(n, 4, generator=generator) * 0.2 + c for n, c in zip(sizes, centres, strict=True)]
    )
    start = torch.tensor([[0.99, 0.01]] * 60 + [[0.01, 0.99]] * 20)
    start[:60:3] = torch.tensor([0.6, 0.4])
    assert (balanced(start, 1.0)[:60].argmax(1) == 1).sum() == 20
    assert propagated_labels(clusters, balanced(start, 1.0), 5).argmax(1).tolist() == [0] * 60 + [1] * 20


def test_a_cluster_that_is_called_by_the_name_of_another_class_gets_its_own():
    """The third class's images are taken for the second's, with their own class as the second guess."""
    generator = torch.Generator().manual_seed(3)
    clusters = torch.cat([torch.randn(20, 4, generator=generator) * 0.1 + c for c in torch.eye(4)[:3]])
    start = torch.tensor([[0.96, 0.02, 0.02]] * 20 + [[0.02, 0.96, 0.02]] * 20 + [[0.02, 0.6, 0.38]] * 20)
    assert propagated_labels(clusters, start, 5).argmax(1)[40:].tolist() == [1] * 20
    assert propagated_labels(clusters, balanced(start, 1.0), 5).argmax(1)[40:].tolist() == [2] * 20
    assert allowed_balance(clusters, start, 5, 1.0) == 1


def test_balancing_makes_classes_equally_frequent():
    _, start = drawn(200, 4)
    start = (start * torch.tensor([8.0, 2.0, 1.0, 1.0])).softmax(1)
    full = balanced(start, 1.0)
    assert torch.allclose(full.mean(0), torch.full((4,), 0.25), atol=1e-3)
    torch.testing.assert_close(balanced(start, 0.0), start)


def test_a_balance_that_would_cut_through_a_frequent_class_is_not_taken():
    """Nine tenths of the images are of one class and lie together; half of these are less sure."""
    generator = torch.Generator().manual_seed(2)
    sizes, centres = (90, 10), (torch.eye(4)[0], -torch.eye(4)[0])
    clusters = torch.cat(
        [torch.randn(n, 4, generator=generator) * 0.3 + c for n, c in zip(sizes, centres, strict=True)]
    )
    start = torch.tensor([[0.9, 0.1]] * 90 + [[0.1, 0.9]] * 10)
    start[:45] = torch.tensor([0.6, 0.4])
    truth = torch.tensor([0] * 90 + [1] * 10)
    assert (propagated_labels(clusters, start, 5, 1.0).argmax(1) != truth).sum() > 20
    allowed = allowed_balance(clusters, start, 5, 1.0)
    assert torch.equal(propagated_labels(clusters, start, 5, allowed).argmax(1), truth)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.25] * 4, True),
        ([0.329, 0.25, 0.25, 0.171], True),  # a distance of 0.079
        ([0.331, 0.25, 0.25, 0.169], False),
        ([1.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_predicted_shares_look_equal_up_to_a_distance(shares, expected):
    assert bool(look_equal(torch.tensor([shares]).repeat(8, 1))) is expected


def test_predictions_that_look_equally_frequent_are_balanced_in_full():
    features, start = drawn(60, 3)
    assert look_equal(start)
    assert float(allowed_balance(features, start, 5, 1.0)) == 1
    assert float(allowed_balance(features, start, 5, 0.75)) == 0.75
    assert float(allowed_balance(features, start, 5, 0.0)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_else_the_balance_with_the_fewest_disagreeing_neighbours_is_taken(seed):
    features, start = drawn(60, 3, seed)
    start = (start * torch.tensor([6.0, 1.0, 1.0])).softmax(1)
    assert not look_equal(start)
    graph, strengths = neighbour_graph(features, 5), [0.8 * part for part in STRENGTHS]
    labels = [spread(graph, balanced(start, strength)).argmax(1) for strength in strengths]
    cuts = [float(disagreement(graph, label)) for label in labels]
    strongest = cuts.index(min(cuts))
    changes = any(labels[strongest] != labels[-1])
    assert float(allowed_balance(features, start, 5, 0.8)) == pytest.approx(strengths[strongest] * changes)


def test_a_balance_that_changes_no_label_is_not_taken():
    """Three clusters of unequal sizes, each of one class and sure of it."""
    generator = torch.Generator().manual_seed(4)
    sizes = (60, 20, 10)
    centres = torch.eye(4)[:3]
    clusters = torch.cat(
        [torch.randn(n, 4, generator=generator) * 0.1 + c for n, c in zip(sizes, centres, strict=True)]
    )
    truth = torch.arange(3).repeat_interleave(torch.tensor(sizes))
    start = 0.97 * torch.eye(3)[truth] + 0.01
    assert not look_equal(start)
    assert torch.equal(propagated_labels(clusters, start, 5, 1.0).argmax(1), truth)
    assert float(allowed_balance(clusters, start, 5, 1.0)) == 0


def test_disagreement_is_the_share_of_the_weights_between_labels():
    features, _ = drawn(12, 3)
    graph, labels = neighbour_graph(features, 3), torch.arange(12) % 3
    dense = graph.to_dense()
    apart = sum(float(dense[i, j]) for i in range(12) for j in range(12) if labels[i] != labels[j])
    both = torch.stack([labels, torch.zeros_like(labels)])
    found = disagreement(graph, both).tolist()
    assert found == pytest.approx([apart / float(dense.sum()), 0.0])
    alike = neighbour_graph(torch.ones(12, 3), 3)  # no direction, so that every edge weighs 0
    assert float(disagreement(alike, labels)) == 0


def test_predictions_that_lie_side_by_side_are_spread_as_each_alone():
    features, start = drawn()
    graph, other = neighbour_graph(features, 4), start.flip(1)
    together = spread(graph, torch.stack([start, other]))
    for found, alone in zip(together, (start, other), strict=True):
        torch.testing.assert_close(found, spread(graph, alone))


@pytest.mark.parametrize("balance", [0.25, 0.5, 0.75])
def test_half_balancing_ends_at_the_geometric_mean(balance):
    _, start = drawn(200, 4)
    start = (start * torch.tensor([8.0, 2.0, 1.0, 1.0])).softmax(1)
    moved = balanced(start, balance)
    factor = (moved / start)[:, :1].reciprocal() * (moved / start)  # of each class, up to a common one
    factor = factor[0]
    row = (start * factor).sum(1, keepdim=True)
    share = (start / row).mean(0)  # without a class's own factor
    expected = (1 / 4) ** balance * share ** (1 - balance)
    found = moved.mean(0)
    assert torch.allclose(found / found.sum(), expected / expected.sum(), atol=1e-3)
    # between where they were and equal frequency
    assert (found - 0.25).abs().max() < (start.mean(0) - 0.25).abs().max()
