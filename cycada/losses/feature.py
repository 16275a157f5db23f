"""Adversarial losses of a domain discriminator, which sees features of the task network, not images.

Some methods let it see the class logits or probabilities instead. The discriminator's logits have the shape
(N, 2), or (N, 2, h, w) for a segmentation network. Class 1 is the source and class 0 the target, as in ADDA's
code. All positions of all images count alike, so that the two domains' images may differ in size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses


def domain_cross_entropy(domain_logits: Tensor, domain: int) -> Tensor:
    """Return the cross-entropy of a domain discriminator's logits when all inputs come from one domain.

    Args:
        domain_logits: (N, 2, ...).
        domain: 1 for the source, 0 for the target.

    Returns:
        A scalar.
    """
    return F.cross_entropy(domain_logits, torch.full_like(domain_logits[:, 0], domain, dtype=torch.long))


@losses("feature_gan")
def feature_gan(domain_logits_target: Tensor, feature_gate: Tensor) -> Tensor:
    """Train f_t so that its target features fool D_feat.

    D_feat shall take them for source features. The loss is the cross-entropy with inverted domain labels
    (ADDA, Tzeng et al. 2017, eq. 9; CyCADA eq. 5, last term).

    Args:
        domain_logits_target: D_feat's logits of target features, (N, 2, ...).
        feature_gate: 0 or 1, a scalar that multiplies the loss: 0 while D_feat is too weak.

    Returns:
        A scalar.
    """
    return feature_gate * domain_cross_entropy(domain_logits_target, 1)


@losses("discriminate_feature")
def discriminate_feature(domain_logits_source: Tensor, domain_logits_target: Tensor) -> Tensor:
    """Train D_feat to tell source and target features apart.

    This is ADDA's eq. 7, as the mean of both domains.
    """
    return 0.5 * (
        domain_cross_entropy(domain_logits_source, 1) + domain_cross_entropy(domain_logits_target, 0)
    )


@losses("domain_adversarial")
def domain_adversarial(
    domain_logits_reversed_source: Tensor, domain_logits_reversed_target: Tensor
) -> Tensor:
    """Align features by gradient reversal (DANN).

    D_feat learns to tell the domains apart, and f_t, behind a gradient reversal, to prevent it. This is the
    domain loss of DANN (domain-adversarial neural network, Ganin et al. 2016, eq. 9): the discriminator
    minimises it, and the features, which get the reversed gradient, maximise it. The paper's lambda is the
    weight of this term, with the ramp `dann`. In the paper the ramp multiplies only the reversed gradient;
    here it multiplies the discriminator's gradient, too, so that the discriminator does not learn at step 0.

    Args:
        domain_logits_reversed_source: D_feat's logits of source features, behind the gradient reversal, (N,
            2, ...).
        domain_logits_reversed_target: The same of target features.

    Returns:
        A scalar, the mean of both domains.
    """
    return 0.5 * (
        domain_cross_entropy(domain_logits_reversed_source, 1)
        + domain_cross_entropy(domain_logits_reversed_target, 0)
    )


@losses("weighted_domain_adversarial")
def weighted_domain_adversarial(
    domain_logits_reversed_source: Tensor,
    domain_logits_reversed_target: Tensor,
    importance_weights: Tensor,
) -> Tensor:
    """Align features, each source class weighted (IWDAN).

    It is `domain_adversarial` with a weight for each source image.

    Where a class is more frequent in the target than in the source, features that agree in both domains need
    target images of that class to look like those of another. With the weights of IWDAN (importance-weighted
    DANN, Tachet des Combes et al. 2020, section 3) the source counts as if it had the target's classes.

    Args:
        domain_logits_reversed_source: D_feat's logits of source features, behind the gradient reversal, (N,
            2).
        domain_logits_reversed_target: The same of target features.
        importance_weights: The weight of each source image, (N,).

    Returns:
        A scalar, the mean of both domains.
    """
    source = torch.ones_like(domain_logits_reversed_source[:, 0], dtype=torch.long)
    losses_of_source = F.cross_entropy(domain_logits_reversed_source, source, reduction="none")
    return 0.5 * (
        (importance_weights * losses_of_source).mean()
        + domain_cross_entropy(domain_logits_reversed_target, 0)
    )
