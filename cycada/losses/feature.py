"""Feature adversaries: a discriminator looks at the task network's features (or scores), not at images.

A critic's output is (N, 2), or (N, 2, h, w) for a segmenter: class 1 says "source", class 0 says "target", as in the ADDA
release. All places of all images count alike; the two domains may differ in size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.losses.term import losses


def domain_cross_entropy(critic: Tensor, domain: int) -> Tensor:
    """CE of a critic's (N, 2, ...) output against one domain (1 source, 0 target) for all. -> scalar."""
    return F.cross_entropy(critic, torch.full_like(critic[:, 0], domain, dtype=torch.long))


@losses("feature_gan")
def feature_gan(domain_logits_target: Tensor, feature_gate: Tensor) -> Tensor:
    """f_t makes target features pass as source ones (ADDA eq. 9, inverted labels; CyCADA eq. 5, last term)."""
    return feature_gate * domain_cross_entropy(domain_logits_target, 1)


@losses("discriminate_feature")
def discriminate_feature(domain_logits_source: Tensor, domain_logits_target: Tensor) -> Tensor:
    """D_feat tells source features from target ones (ADDA eq. 7), mean of both halves."""
    return 0.5 * (
        domain_cross_entropy(domain_logits_source, 1) + domain_cross_entropy(domain_logits_target, 0)
    )


@losses("domain_adversarial")
def domain_adversarial(
    domain_logits_reversed_source: Tensor, domain_logits_reversed_target: Tensor
) -> Tensor:
    """The domain loss of DANN (Ganin et al. 2016, eq. 9): the discriminator minimises it, the features,

    behind a gradient reversal, maximise it. The paper's lambda is this term's weight, its ramp `dann`. The paper ramps what comes back
    through the reversal alone; here the weight is the discriminator's, too, which learns nothing at step 0.
    """
    return 0.5 * (
        domain_cross_entropy(domain_logits_reversed_source, 1)
        + domain_cross_entropy(domain_logits_reversed_target, 0)
    )
