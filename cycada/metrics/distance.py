"""Distance between two domains, by the error of a simple domain classifier."""

from __future__ import annotations

import numpy as np


def proxy_a_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Return the proxy A-distance of two sets of features, 2 (1 - 2 err) (Ben-David et al. 2007).

    err is the error of a logistic regression between the domains, fitted on one half of the images and tested
    on the other, averaged over both ways round. Both domains have the same number of images in it.

    Args:
        a: (n, D) features of one domain.
        b: (m, D) features of the other domain.
        seed: Seed of the split.

    Returns:
        0 if the domains cannot be told apart, 2 if they are linearly separable; chance may take it slightly
        below 0.

    Raises:
        ValueError: A domain has fewer than 4 images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n = min(len(a), len(b))
    if n < 4:
        raise ValueError(
            f"proxy_a_distance: found {len(a)} and {len(b)} images, expected at least 4 of each domain."
        )
    rng = np.random.default_rng(seed)
    half = n // 2
    drawn = [np.asarray(x, np.float64)[rng.permutation(len(x))[: 2 * half]] for x in (a, b)]
    domain = np.repeat([0, 1], half)
    first, second = (np.concatenate([x[rows] for x in drawn]) for rows in (slice(0, half), slice(half, None)))
    errors = []
    for train, test in ((first, second), (second, first)):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(
            train, domain
        )
        errors.append(1 - classifier.score(test, domain))
    return float(2 * (1 - 2 * np.mean(errors)))
