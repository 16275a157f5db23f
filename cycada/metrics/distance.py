"""How far two domains lie apart, as seen by a simple classifier of domains."""

from __future__ import annotations

import numpy as np


def proxy_a_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Proxy A-distance, 2 (1 - 2 err) (Ben-David et al. 2007): 0 where the domains look alike, 2 where a line parts them.

    a, b: (n, D), (m, D) features. err: the error of a logistic regression that was fitted on half of the images, on the
    other half, the mean of both ways round; both domains count alike. Noise may take it a little below 0.
    Raises ValueError with fewer than 4 images of a domain.
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
    first, second = (np.concatenate([x[part] for x in drawn]) for part in (slice(0, half), slice(half, None)))
    errors = []
    for train, test in ((first, second), (second, first)):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(
            train, domain
        )
        errors.append(1 - classifier.score(test, domain))
    return float(2 * (1 - 2 * np.mean(errors)))
