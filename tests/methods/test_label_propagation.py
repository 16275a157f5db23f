"""Label propagation against its closed form, by hand, and what balancing promises."""

from __future__ import annotations

import pytest
import torch

from cycada.methods.label_propagation import (
    ITERATIONS,
    SHARPNESS,
    SPREAD,
    balanced,
    expected_shares,
    neighbour_graph,
    propagated_labels,
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


def equal(classes):
    return torch.full((classes,), 1 / classes)


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
        labels = propagated_labels(features, balanced(given, equal(2), 1.2), neighbours)
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
    assert (balanced(start, equal(2), 1.0)[:60].argmax(1) == 1).sum() == 20
    assert (
        propagated_labels(clusters, balanced(start, equal(2), 1.0), 5).argmax(1).tolist()
        == [0] * 60 + [1] * 20
    )


def test_a_cluster_that_is_called_by_the_name_of_another_class_gets_its_own():
    """The third class's images are taken for the second's, with their own class as the second guess."""
    generator = torch.Generator().manual_seed(3)
    clusters = torch.cat([torch.randn(20, 4, generator=generator) * 0.1 + c for c in torch.eye(4)[:3]])
    start = torch.tensor([[0.96, 0.02, 0.02]] * 20 + [[0.02, 0.96, 0.02]] * 20 + [[0.02, 0.6, 0.38]] * 20)
    assert propagated_labels(clusters, start, 5).argmax(1)[40:].tolist() == [1] * 20
    assert propagated_labels(clusters, balanced(start, equal(3), 1.0), 5).argmax(1)[40:].tolist() == [2] * 20


@pytest.mark.parametrize("ratio", [1.0, 1.2, 1.5, 3.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shares", [[0.2] * 5, [0.4, 0.1, 0.2, 0.25, 0.05]])
def test_shares_lie_in_the_range_and_no_factor_is_without_need(ratio, seed, shares):
    """The conditions of Karush, Kuhn and Tucker for the nearest predictions, in KL divergence."""
    _, start = drawn(300, 5, seed)
    start = (8 * start * torch.tensor([3.0, 2.0, 1.0, 1.0, 0.2])).softmax(1)
    expected = torch.tensor(shares)
    moved = balanced(start, expected, ratio)
    torch.testing.assert_close(moved.sum(1), torch.ones(300))
    share, most, least = moved.mean(0), expected * ratio, expected / ratio
    assert (share >= least - 1e-3).all()
    assert (share <= most + 1e-3).all()
    factor = moved / start  # of a class, times that of an image
    factor = factor / factor[:, :1]
    torch.testing.assert_close(factor, factor[:1].expand(300, 5), rtol=1e-3, atol=1e-4)
    inside = (share > least + 1e-3) & (share < most - 1e-3)
    if inside.any():
        factor = factor[0] / factor[0, inside.nonzero()[0, 0]]
        torch.testing.assert_close(factor[inside], torch.ones(int(inside.sum())), rtol=1e-3, atol=1e-4)
        assert (factor[share >= most - 1e-3] <= 1.001).all()
        assert (factor[share <= least + 1e-3] >= 0.999).all()


def test_shares_are_expected_as_predicted_where_the_predictions_are_sure():
    start = torch.eye(3)[torch.tensor([0] * 6 + [1] * 3 + [2])]
    torch.testing.assert_close(expected_shares(start), torch.tensor([0.6, 0.3, 0.1]))


def test_equal_shares_are_expected_where_the_predictions_say_little():
    start = torch.tensor([[0.5, 0.3, 0.2]] * 20)
    torch.testing.assert_close(expected_shares(start), equal(3))


def test_expected_shares_are_shrunk_by_the_square_of_the_uncertainty_over_the_distance():
    """Of 100 images, 68 and 32 are predicted with a probability of 0.96."""
    start = torch.tensor([[0.96, 0.04]] * 68 + [[0.04, 0.96]] * 32)
    distance = 0.68 * 0.96 + 0.32 * 0.04 - 0.5
    expected = 0.5 + distance * (1 - (0.04 / distance) ** 2)
    torch.testing.assert_close(expected_shares(start), torch.tensor([expected, 1 - expected]))


def test_the_estimate_does_not_jump_where_the_shares_become_equal():
    """With a doubt of 0.04 shares are taken for equal where they are 0.04 away, and nearly so above it."""
    for ones, expected in ((0.539, 0.5), (0.542, 0.5)):
        share = (ones - 0.04) / 0.92
        start = torch.tensor(
            [[0.96, 0.04]] * round(1000 * share) + [[0.04, 0.96]] * round(1000 * (1 - share))
        )
        assert expected_shares(start)[0].item() == pytest.approx(expected, abs=5e-3)


def test_equal_predicted_shares_stay_equal():
    torch.testing.assert_close(expected_shares(torch.full((7, 4), 0.25)), equal(4))


def test_shares_within_the_range_are_left_alone():
    _, start = drawn(200, 4)
    assert ((start.mean(0) > 0.25 / 1.5) & (start.mean(0) < 0.25 * 1.5)).all()
    torch.testing.assert_close(balanced(start, equal(4), 1.5), start)


def test_a_class_that_is_taken_for_another_is_not_lost():
    """The third class's images are taken for the second's, but for a few that come near it."""
    generator = torch.Generator().manual_seed(5)
    clusters = torch.cat([torch.randn(40, 4, generator=generator) * 0.1 + c for c in torch.eye(4)[:3]])
    start = torch.tensor([[0.96, 0.02, 0.02]] * 40 + [[0.02, 0.96, 0.02]] * 40 + [[0.02, 0.75, 0.23]] * 40)
    assert propagated_labels(clusters, start, 5).argmax(1)[80:].tolist() == [1] * 40
    labels = propagated_labels(clusters, balanced(start, equal(3), 1.2), 5).argmax(1)
    assert labels.tolist() == [0] * 40 + [1] * 40 + [2] * 40


def test_classes_of_unequal_frequency_keep_their_images():
    """Sixty, forty and twenty images: within a ratio of 1.5 of forty each, but for the rarest."""
    generator = torch.Generator().manual_seed(4)
    sizes, centres = (60, 40, 20), torch.eye(4)[:3]
    clusters = torch.cat(
        [torch.randn(n, 4, generator=generator) * 0.1 + c for n, c in zip(sizes, centres, strict=True)]
    )
    truth = torch.arange(3).repeat_interleave(torch.tensor(sizes))
    start = 0.97 * torch.eye(3)[truth] + 0.01
    assert torch.equal(propagated_labels(clusters, balanced(start, equal(3), 1.5), 5).argmax(1), truth)


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_a_class_that_no_image_has_gives_finite_numbers(ratio):
    start = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * 8)
    moved = balanced(start, equal(3), ratio)
    assert moved.isfinite().all()
    torch.testing.assert_close(moved.sum(1), torch.ones(16))
