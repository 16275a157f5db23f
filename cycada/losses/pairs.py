"""Two images of one noise vector, one of each domain, show the same thing (CoGAN)."""

from __future__ import annotations

from torch import Tensor

from cycada.losses.term import losses


@losses("pair_features")
def pair_features(features_fake_s: Tensor, features_fake_t: Tensor) -> Tensor:
    """The discriminator sees the same in both images of a pair: |f_s - f_t|^2, mean over pairs. Both (N, D) -> scalar.

    Of CoGAN's release for digits (weight 0.01); it is not in the paper (Liu & Tuzel 2016).
    """
    return (features_fake_s - features_fake_t).square().sum(1).mean()
