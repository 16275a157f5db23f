"""PatchNCE losses of CUT, which compare the patches of a translation with the patches of its input.

NCE stands for noise-contrastive estimation, CUT stands for contrastive unpaired translation (Park et al.
2020). A patch of a translation shall resemble the patch of the input at the same position more than it
resembles the other patches of that input.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cycada.core.bounds import Temperature
from cycada.losses.term import losses


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """Return the mean of -log(exp(v.v+ / T) / (exp(v.v+ / T) + sum exp(v.v- / T))) (Park et al. 2020, eq. 3).

    v is the query at a position, v+ the key at the same position, and v- stands for the other S - 1 keys of
    the same image. Keys are constants. The paper's eq. 4 sums over layers and positions; the mean, as in the
    authors' code, keeps the scale of one of them.

    Args:
        query: Vectors of length 1 for S patches of the translation, (layers, N, S, D).
        key: The same for the patches of the input at the same positions.
        temperature: The temperature T.

    Returns:
        A scalar, the mean over layers, images and positions.
    """
    similarity = query @ key.detach().transpose(-1, -2) / temperature
    positions = torch.arange(similarity.shape[-1], device=similarity.device).expand(similarity.shape[:-1])
    return F.cross_entropy(similarity.flatten(0, -2), positions.flatten())


@losses("patch_nce_s")
def patch_nce_s(query_fake_t: Tensor, key_real_s: Tensor, *, temperature: Temperature = 0.07) -> Tensor:
    """Keep the content of x_s in G_st(x_s), patch by patch.

    This is CUT's main loss besides its GAN. This is eq. 4 of Park et al. 2020 on the source images X. The
    paper's lambda_X is the weight of this term.
    """
    return patch_nce(query_fake_t, key_real_s, temperature)


@losses("patch_nce_t")
def patch_nce_t(query_idt_t: Tensor, key_real_t: Tensor, *, temperature: Temperature = 0.07) -> Tensor:
    """Keep the content of x_t in G_st(x_t), patch by patch.

    This is CUT's identity loss. This is eq. 4 of Park et al. 2020 on the target images Y. The paper's
    lambda_Y is the weight of this term.
    """
    return patch_nce(query_idt_t, key_real_t, temperature)
