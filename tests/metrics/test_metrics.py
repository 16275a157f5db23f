"""Counts, scores and monitors against naive loops and scikit-learn."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from cycada.core.registry import needs
from cycada.core.types import IGNORE
from cycada.metrics import confusion_matrix, criteria, monitors, scores

K = 4


def random_pair(n=200, classes=K, seed=0):
    """(prediction, label), mostly in agreement."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(classes, (n,), generator=g)
    guess = torch.randint(classes, (n,), generator=g)
    return torch.where(torch.rand(n, generator=g) < 0.6, label, guess), label


def naive_count(prediction, label, classes):
    count = [[0] * classes for _ in range(classes)]
    for p, y in zip(prediction.flatten().tolist(), label.flatten().tolist(), strict=True):
        if y != IGNORE and 0 <= y < classes and 0 <= p < classes:
            count[y][p] += 1
    return torch.tensor(count)


def test_counts_are_those_of_a_loop_and_of_scikit_learn():
    prediction, label = random_pair()
    count = confusion_matrix(prediction, label, K)
    assert count.dtype == torch.int64
    assert torch.equal(count, naive_count(prediction, label, K))
    assert np.array_equal(count, sk.confusion_matrix(label, prediction, labels=range(K)))


def test_rows_are_the_truth_and_columns_what_it_was_called():
    assert confusion_matrix(torch.tensor([1]), torch.tensor([2]), 3).nonzero().tolist() == [[2, 1]]


@pytest.mark.parametrize("bad", [IGNORE, -1, K, 1000])
def test_a_label_to_ignore_or_out_of_range_counts_nowhere(bad):
    prediction, label = torch.tensor([0, 1, 2, 3]), torch.tensor([0, bad, 2, bad])
    assert torch.equal(confusion_matrix(prediction, label, K), torch.diag(torch.tensor([1, 0, 1, 0])))


@pytest.mark.parametrize("bad", [-1, K, 1000])
def test_a_prediction_out_of_range_counts_nowhere(bad):
    assert confusion_matrix(torch.tensor([0, bad]), torch.tensor([0, 1]), K).sum() == 1


def test_label_maps_count_per_pixel():
    prediction, label = (x.reshape(2, 10, 10) for x in random_pair())
    assert torch.equal(
        confusion_matrix(prediction, label, K), confusion_matrix(prediction.flatten(), label.flatten(), K)
    )


def test_labels_in_bytes_count_like_long_ones():
    # label maps are stored as uint8, whose products would wrap around at 256
    prediction, label = random_pair(classes=19)
    assert torch.equal(
        confusion_matrix(prediction, label.byte(), 19), confusion_matrix(prediction, label, 19)
    )


def test_nothing_counts_nothing():
    none = torch.empty(0, dtype=torch.long)
    assert torch.equal(confusion_matrix(none, none, K), torch.zeros(K, K, dtype=torch.long))


LABEL = st.sampled_from([0, 1, 2, 3, IGNORE, -1, 9])


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(LABEL, LABEL), max_size=40), cut=st.integers(0, 40))
def test_counts_add_over_batches(pairs, cut):
    prediction, label = (torch.tensor([p[i] for p in pairs], dtype=torch.long) for i in (0, 1))
    whole = confusion_matrix(prediction, label, K)
    parts = confusion_matrix(prediction[:cut], label[:cut], K) + confusion_matrix(
        prediction[cut:], label[cut:], K
    )
    assert torch.equal(whole, parts)
    assert torch.equal(whole, naive_count(prediction, label, K))


# Scores.


def test_every_score_is_tested_against_scikit_learn():
    assert set(SKLEARN) == set(scores)
    assert all(inspect.getdoc(score) for score in scores.values())


SKLEARN = {
    "accuracy": sk.accuracy_score,
    "class_accuracy": lambda y, p: sk.recall_score(y, p, labels=range(K), average=None),
    "mean_class_accuracy": sk.balanced_accuracy_score,
    "class_iou": lambda y, p: sk.jaccard_score(y, p, labels=range(K), average=None),
    "miou": lambda y, p: sk.jaccard_score(y, p, labels=np.unique(y), average="macro"),
    "pixel_accuracy": sk.accuracy_score,
    "fwiou": lambda y, p: sk.jaccard_score(y, p, labels=range(K), average="weighted"),
    "classes_averaged": lambda y, p: len({*y.tolist()}),
}


@pytest.mark.parametrize("name", sorted(scores))
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(name, seed):
    prediction, label = random_pair(seed=seed)
    found = scores[name](confusion_matrix(prediction, label, K))
    assert np.allclose(found, SKLEARN[name](label.numpy(), prediction.numpy()), atol=1e-12)


# Class 2 is never there, but once called; class 3 is in neither.
PARTIAL = confusion_matrix(torch.tensor([0, 0, 1, 2, 1]), torch.tensor([0, 0, 1, 1, 1]), K)


def test_an_absent_class_has_no_accuracy_and_does_not_pull_the_mean_down():
    found = scores["class_accuracy"](PARTIAL)
    assert found[:2].tolist() == pytest.approx([1, 2 / 3])
    assert found[2:].isnan().all()
    assert scores["mean_class_accuracy"](PARTIAL).item() == pytest.approx(5 / 6)


def test_a_class_has_an_iou_where_the_truth_holds_it():
    """A false alarm of class 2 is in the union of class 1, from which it was taken, and in no mean as a
    zero."""
    found = scores["class_iou"](PARTIAL)
    assert found[:2].tolist() == pytest.approx([1, 2 / 3])
    assert found[2:].isnan().all()
    assert scores["miou"](PARTIAL).item() == pytest.approx(5 / 6)
    assert scores["classes_averaged"](PARTIAL) == 2
    assert scores["fwiou"](PARTIAL).item() == pytest.approx((2 * 1 + 3 * 2 / 3) / 5)


def test_one_pixel_called_an_absent_class_moves_the_mean_by_that_pixel():
    """Of 200,000 pixels; as the zero of a third class it would take a third of the mean away."""
    clean = torch.tensor([[100_000, 0, 0, 0], [20_000, 80_000, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    other = clean.clone()
    other[0, 0], other[0, 3] = 99_999, 1
    one, two = (scores["miou"](count).item() for count in (clean, other))
    assert one == pytest.approx((100_000 / 120_000 + 0.8) / 2)
    assert one - two == pytest.approx(1 / 120_000 / 2)
    assert scores["classes_averaged"](clean) == scores["classes_averaged"](other) == 2


def test_large_counts_are_scored_in_double_precision():
    count = torch.diag(torch.tensor([2**40, 2**40]))
    count[0, 1] = 1
    assert scores["accuracy"](count).item() == 2**41 / (2**41 + 1)


def test_no_class_is_averaged_over_nothing():
    assert scores["classes_averaged"](torch.zeros(K, K, dtype=torch.long)) == 0


@pytest.mark.parametrize("name", sorted(set(scores) - {"classes_averaged"}))
def test_a_score_of_nothing_is_no_number(name):
    assert scores[name](torch.zeros(K, K, dtype=torch.long)).isnan().all()


def naive_fwiou(prediction, label, classes):
    total = 0.0
    for k in range(classes):
        truth, said = (label == k).tolist(), (prediction == k).tolist()
        both = sum(t and c for t, c in zip(truth, said, strict=True))
        either = sum(t or c for t, c in zip(truth, said, strict=True))
        total += sum(truth) / len(truth) * (both / either if either else 0)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_frequency_weighted_iou_is_that_of_a_loop(seed):
    prediction, label = random_pair(n=60, classes=6, seed=seed)
    assert scores["fwiou"](confusion_matrix(prediction, label, 6)).item() == pytest.approx(
        naive_fwiou(prediction, label, 6)
    )


# Monitors.


def called(rows):
    return [row.index(max(row)) for row in rows.tolist()]


def share(hits):
    hits = list(hits)
    return sum(hits) / len(hits)


def naive_agreement(rows, other):
    return share(
        a == b for a, b in zip(called(rows), other if isinstance(other, list) else called(other), strict=True)
    )


def naive_right(rows, labels):
    return naive_agreement(rows, labels.tolist())


def naive_shift(before, after):
    return sum(abs(float(after[:, k].mean()) - float(before[:, k].mean())) for k in range(K)) / 2


def naive_critic(source, target):
    return (share(c == 1 for c in called(source)) + share(c == 0 for c in called(target))) / 2


MONITORS = {
    "task_accuracy_source": naive_right,
    "task_accuracy_translated": naive_right,
    "agreement_t": naive_agreement,
    "agreement_s": naive_agreement,
    "semantic_gate": lambda gate: gate.item(),
    "feature_gate": lambda gate: gate.item(),
    "propagation_shift": naive_shift,
    "critic_accuracy": naive_critic,
    "reversed_critic_accuracy": naive_critic,
}


def draw(name):
    if name.endswith("gate"):
        return torch.tensor(1.0)
    if name.startswith("label"):
        return torch.randint(K, (20,))
    return torch.randn(20, 2 if "critic" in name else K)


def test_every_monitor_is_tested_against_a_loop():
    assert set(MONITORS) == set(monitors)
    assert all(inspect.getdoc(monitor) for monitor in monitors.values())


@pytest.mark.parametrize("name", sorted(MONITORS))
def test_monitors_are_those_of_a_loop(name):
    torch.manual_seed(0)
    tensors = [draw(n) for n in needs(monitors[name])]
    assert monitors[name](*tensors).item() == pytest.approx(MONITORS[name](*tensors))


def pixels(rows):
    """(N, K, h, w) -> (N h w, K), (N, h, w) -> (N h w,)."""
    return rows.movedim(1, -1).flatten(0, -2) if rows.dim() == 4 else rows.flatten()


def labelled(rows, labels):
    """Without what is to be ignored."""
    return rows[labels != IGNORE], labels[labels != IGNORE]


@pytest.mark.parametrize("name", ["task_accuracy_source", "task_accuracy_translated"])
def test_task_accuracy_counts_labelled_pixels_alone(name):
    torch.manual_seed(0)
    rows, labels = torch.randn(2, K, 5, 7), torch.randint(K, (2, 5, 7))
    labels[0, :3] = IGNORE
    assert monitors[name](rows, labels).item() == pytest.approx(
        naive_right(*labelled(pixels(rows), pixels(labels)))
    )
    assert monitors[name](rows, torch.full_like(labels, IGNORE)).item() == 0


@pytest.mark.parametrize(
    "name", ["agreement_t", "agreement_s", "critic_accuracy", "reversed_critic_accuracy"]
)
def test_monitors_of_maps_are_those_of_their_pixels(name):
    torch.manual_seed(0)
    maps = [torch.randn(2, 2 if "critic" in n else K, 5, 7) for n in needs(monitors[name])]
    assert monitors[name](*maps).item() == pytest.approx(MONITORS[name](*map(pixels, maps)))


def test_a_perfect_critic_has_accuracy_one():
    source, target = torch.tensor([[0.0, 1.0]] * 3), torch.tensor([[1.0, 0.0]] * 5)  # class 1 says source
    assert monitors["critic_accuracy"](source, target) == 1
    assert monitors["critic_accuracy"](target, source) == 0


# Criteria that need no labels.


def test_certainty_and_information_maximisation_at_their_ends():
    sure, alike, unsure = torch.eye(4), torch.eye(4)[[0, 0, 0, 0]], torch.full((4, 4), 0.25)
    assert criteria["certainty"](sure).item() == 0
    assert criteria["certainty"](unsure).item() == pytest.approx(-math.log(4))
    assert criteria["information_maximisation"](sure).item() == pytest.approx(math.log(4))
    assert criteria["information_maximisation"](alike).item() == pytest.approx(0)
    assert criteria["information_maximisation"](unsure).item() == pytest.approx(0)


def test_bnm_is_one_for_sure_and_balanced_answers():
    assert criteria["bnm"](torch.eye(4).repeat(3, 1)).item() == pytest.approx(1)
    assert criteria["bnm"](torch.eye(4)[[0, 0, 0, 0]]).item() == pytest.approx(
        0.5
    )  # one singular value: sqrt(4) of sqrt(16)


def test_snd_against_a_loop():
    answers = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).softmax(1).double()
    total = 0.0
    for i in range(5):
        weights = [
            math.exp(float(torch.cosine_similarity(answers[i], answers[j], dim=0)) / 0.05) if j != i else 0.0
            for j in range(5)
        ]
        shares = [w / sum(weights) for w in weights]
        total -= sum(p * math.log(p) for p in shares if p)
    assert criteria["snd"](answers).item() == pytest.approx(total / 5)


def test_every_criterion_prefers_sure_balanced_answers_to_a_guess():
    sure = torch.eye(4).repeat(5, 1) * 0.96 + 0.01
    guess = torch.full((20, 4), 0.25)
    for name in ("certainty", "information_maximisation", "bnm"):
        assert criteria[name](sure) > criteria[name](guess), name
