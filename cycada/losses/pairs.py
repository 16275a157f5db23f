"""Loss for the two images, one of each domain, that coupled GANs (CoGAN) draw from one noise vector."""

from __future__ import annotations

from torch import Tensor

from cycada.losses.term import losses


@losses("pair_features")
def pair_features(features_fake_s: Tensor, features_fake_t: Tensor) -> Tensor:
    """Keep the features of both images of a pair alike.

    The penalty is the mean over pairs of |f_s - f_t|^2, for features of the discriminator. It comes from
    CoGAN's code for digits, where its weight is 0.01; it is not in the paper (Liu & Tuzel 2016).

    Args:
        features_fake_s: The discriminator's features of the pairs' source images, (N, D).
        features_fake_t: Its features of the pairs' target images, (N, D).

    Returns:
        A scalar.
    """
    return (features_fake_s - features_fake_t).square().sum(1).mean()
