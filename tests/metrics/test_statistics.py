"""The statistics of the reports: closed forms, naive loops, scipy."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cycada.metrics.distance import proxy_a_distance
from cycada.metrics.statistics import (
    block_length,
    holm,
    mean_and_error,
    paired_bootstrap,
    wilcoxon_over_seeds,
)


def test_mean_and_error():
    assert mean_and_error([3.0]) == (3.0, None)
    mean, error = mean_and_error([1.0, 2.0, 6.0])
    assert mean == 3.0
    assert error == pytest.approx(math.sqrt(7) / math.sqrt(3))
    assert error == pytest.approx(stats.sem([1.0, 2.0, 6.0]))
    with pytest.raises(ValueError, match="no values"):
        mean_and_error([])


def answers(seeds=3, images=400, rate=(0.8, 0.72), seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.random((seeds, images)) < r for r in rate)


def test_the_bootstrap_agrees_with_a_naive_loop_over_images():
    ours, theirs = answers()
    d = (ours.astype(float) - theirs).mean(0)
    rng = np.random.default_rng(1)
    naive = np.array([d[rng.integers(0, len(d), len(d))].mean() for _ in range(4000)])
    found = paired_bootstrap(ours, theirs)
    assert found.difference == pytest.approx(ours.mean() - theirs.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(naive, [0.025, 0.975]), abs=0.004)
    p = (np.abs(naive - d.mean()) >= abs(d.mean())).mean()
    assert found.p == pytest.approx(p, abs=0.005)


def test_the_bootstrap_agrees_with_the_normal_closed_form():
    ours, theirs = answers(images=4000, rate=(0.8, 0.79))
    d = (ours.astype(float) - theirs).mean(0)
    error = d.std() / math.sqrt(len(d))
    found = paired_bootstrap(ours, theirs)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(d.mean()) / error), abs=0.03)


def test_the_bootstrap_is_symmetric_and_never_zero():
    ours, theirs = answers(images=60)
    one, other = paired_bootstrap(ours, theirs), paired_bootstrap(theirs, ours)
    assert one.difference == -other.difference
    assert paired_bootstrap(ours, ours).p == 1
    sure = paired_bootstrap(np.ones((1, 50), bool), np.zeros((1, 50), bool), resamples=99)
    assert (sure.p, sure.low, sure.high) == (0.01, 1, 1)
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap(ours, theirs[:, :-1])


def scenes(seeds=2, images=40, classes=4, rate=(0.9, 0.6)):
    """Counts of scenes, (S, N, K, K) twice: a rare class is in few of them, and the truth is the same for
    all."""
    rng = np.random.default_rng(0)
    truth = np.minimum(rng.geometric(0.5, (images, 30)) - 1, classes - 1)
    truth[5:] = np.minimum(truth[5:], classes - 2)
    found = []
    for r in rate:
        said = np.where(
            rng.random((seeds, images, 30)) < r, truth, rng.integers(0, classes - 1, (seeds, images, 30))
        )
        count = np.zeros((seeds, images, classes, classes), np.int32)
        for s in range(seeds):
            for i in range(images):
                np.add.at(count[s, i], (truth[i], said[s, i]), 1)
        found.append(count)
    return found


def naive_miou(count, classes):
    """Of one (K, K) count, by a loop over the classes that the truth of the whole set holds."""
    ious = []
    for k in classes:
        union = count[k].sum() + count[:, k].sum() - count[k, k]
        ious.append(count[k, k] / union if union else 0.0)
    return sum(ious) / len(ious)


def test_the_bootstrap_of_miou_agrees_with_a_naive_loop_over_images():
    ours, theirs = scenes()
    assert (ours.sum((0, 1))[3] > 0).any()

    def difference(rows):
        return np.mean(
            [
                naive_miou(a[rows].sum(0), range(4)) - naive_miou(b[rows].sum(0), range(4))
                for a, b in zip(ours, theirs, strict=True)
            ]
        )

    rng = np.random.default_rng(1)
    naive = np.array([difference(rng.integers(0, 40, 40)) for _ in range(2500)])
    found = paired_bootstrap(ours, theirs)
    assert found.difference == pytest.approx(difference(np.arange(40)))
    assert (found.low, found.high) == pytest.approx(np.quantile(naive, [0.025, 0.975]), abs=0.02)
    assert len({naive_miou(ours[0][rng.integers(0, 40, 40)].sum(0), range(4)) for _ in range(9)}) > 1
    near = paired_bootstrap(*scenes(rate=(0.8, 0.77)))
    assert 0.001 < near.p < 1
    assert near.low < near.difference < near.high


def test_the_p_of_miou_is_that_of_a_naive_loop():
    ours, theirs = scenes(rate=(0.8, 0.76))
    rng = np.random.default_rng(2)

    def difference(rows):
        return np.mean(
            [
                naive_miou(a[rows].sum(0), range(4)) - naive_miou(b[rows].sum(0), range(4))
                for a, b in zip(ours, theirs, strict=True)
            ]
        )

    seen = difference(np.arange(40))
    naive = np.array([difference(rng.integers(0, 40, 40)) for _ in range(2500)])
    assert paired_bootstrap(ours, theirs).p == pytest.approx(
        (np.abs(naive - seen) >= abs(seen)).mean(), abs=0.04
    )


def test_the_bootstrap_of_miou_is_symmetric_and_never_zero():
    ours, theirs = scenes()
    one, other = paired_bootstrap(ours, theirs, 999), paired_bootstrap(theirs, ours, 999)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p == other.p == 0.001
    assert paired_bootstrap(ours, ours, 99).p == 1
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap(ours, theirs[:, :, :2, :2])


def test_an_answer_that_no_truth_holds_does_not_decide_a_test():
    """One pixel of one image is called a class that is nowhere: the difference is that pixel's, in every
    resample."""
    ours = np.zeros((1, 20, 3, 3), np.int64)
    ours[0, :, 0, 0] = ours[0, :, 1, 1] = 100
    theirs = ours.copy()
    theirs[0, 0, 0, 0], theirs[0, 0, 0, 2] = 99, 1
    found = paired_bootstrap(ours, theirs, 999)
    assert found.difference == pytest.approx(1 / 2000 / 2)
    assert 0 <= found.low <= found.high < 0.002


def test_a_resample_that_loses_a_class_keeps_its_share_of_the_mean():
    """Class 2 is in one image of four, and only one side finds it: a resample holds it or not, and is over
    three classes."""
    ours = np.zeros((1, 4, 3, 3), np.int64)
    ours[0, :, 0, 0] = ours[0, :, 1, 1] = 10
    theirs = ours.copy()
    ours[0, 3, 2, 2], theirs[0, 3, 2, 1] = 10, 10
    found = paired_bootstrap(ours, theirs, 4000)
    assert found.low == 0  # not drawn: the same answers, the same mean
    drawn = np.arange(1, 5)  # how often it is: 10 n of the other side's unions of class 1, 40 + 10 n
    possible = {0.0, *((1 - 40 / (40 + 10 * drawn) + 1) / 3).round(12)}
    assert round(found.difference, 12) in possible
    assert round(found.high, 12) in possible


def test_the_bootstrap_of_miou_is_that_of_accuracy_where_they_are_the_same():
    """One class a scene, two classes, symmetric errors: then IoU is a function of accuracy alone, acc / (2 -
    acc)."""
    rng = np.random.default_rng(0)
    right = rng.random((1, 200)) < 0.8
    count = np.zeros((1, 400, 2, 2), np.int32)
    for i, r in enumerate(right[0]):
        for k in (0, 1):
            count[0, 2 * i + k, k, k if r else 1 - k] = 1
    accuracy = right.mean()
    sure = np.zeros_like(count)
    sure[0, np.arange(400), np.arange(400) % 2, np.arange(400) % 2] = 1
    assert paired_bootstrap(sure, count, 99).difference == pytest.approx(1 - accuracy / (2 - accuracy))


def test_blocks_of_neighbours_agree_with_the_normal_closed_form():
    """The mean of N / b blocks drawn from N sums of b neighbours has the variance (N / b) Var(sums) / N^2."""
    rng = np.random.default_rng(0)
    n, b = 900, 30
    ours, theirs = (
        np.repeat(rng.random((1, n // 15)) < rate, 15, axis=1) for rate in (0.8, 0.7)
    )  # frames in runs of 15 alike
    d = ours[0].astype(float) - theirs[0]
    sums = np.array([np.roll(d, -k)[:b].sum() for k in range(n)])
    error = math.sqrt(n / b) * sums.std() / n
    found = paired_bootstrap(ours, theirs, block=b)
    assert found.block == b
    assert found.difference == pytest.approx(d.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(d.mean()) / error), abs=0.03)
    one_by_one = paired_bootstrap(ours, theirs)
    assert found.high - found.low > 2 * (one_by_one.high - one_by_one.low), "equal frames are no new ones"
    assert found.p > one_by_one.p


def test_a_block_of_counts_is_a_block_of_images():
    """What is alike in every block has no spread, of accuracy and of mIoU; and as many images are drawn as
    there are."""
    ours, theirs = np.tile([True, False], (1, 15)), np.zeros((1, 30), bool)
    every = paired_bootstrap(ours, theirs, block=2, resamples=99)
    assert (every.low, every.high) == (0.5, 0.5)
    counts = [
        np.where(right[..., None, None], np.eye(2, dtype=np.int32), 1 - np.eye(2, dtype=np.int32))
        for right in (ours, theirs)
    ]
    found = paired_bootstrap(*counts, block=2, resamples=99)
    assert (found.low, found.difference, found.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert paired_bootstrap(ours, theirs, block=4, resamples=99).difference == 0.5, "30 is no multiple of 4"


@pytest.mark.parametrize(
    ("images", "block", "tested"),
    [(5, 1, False), (6, 1, True), (20, 5, False), (35, 6, False), (36, 6, True), (101, 11, True)],
)
def test_too_few_images_or_blocks_have_no_p(images, block, tested):
    assert block in (block_length(images), 1)
    found = paired_bootstrap(
        np.ones((1, images), bool), np.zeros((1, images), bool), resamples=99, block=block
    )
    assert (found.p is not None) is tested
    with pytest.raises(ValueError, match="block"):
        paired_bootstrap(np.ones((1, images), bool), np.zeros((1, images), bool), block=images + 1)


def test_wilcoxon_is_scipys_and_says_nothing_where_it_cannot_be_significant():
    d = [0.3, 0.1, 0.25, 0.5, 0.2, 0.4]
    assert wilcoxon_over_seeds(d) == pytest.approx(2 / 2**6)
    assert wilcoxon_over_seeds([*d, -0.05, 0.7]) == pytest.approx(stats.wilcoxon([*d, -0.05, 0.7]).pvalue)
    assert wilcoxon_over_seeds(d[:5]) is None
    assert wilcoxon_over_seeds([*d[:5], 0.0]) is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, None]) == pytest.approx([0.03, 0.06, 0.06, None])
    assert holm([]) == []
    assert holm([None]) == [None]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p):
    adjusted = holm(p)
    for one, its in zip(p, adjusted, strict=True):
        assert one <= its <= min(1, len(p) * one) + 1e-12
    order = sorted(range(len(p)), key=p.__getitem__)
    assert all(adjusted[i] <= adjusted[j] for i, j in pairwise(order))


def test_a_distance_is_near_0_for_one_cloud_and_2_for_two():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 5)), rng.normal(size=(160, 5))
    assert abs(proxy_a_distance(a, b)) < 0.3
    assert proxy_a_distance(a, b + 20) == pytest.approx(2)
    assert proxy_a_distance(a, b + 20) == proxy_a_distance(a, b + 20, seed=0)
    with pytest.raises(ValueError, match="at least 4"):
        proxy_a_distance(a[:3], b)
