"""Feature loss + GAN: a translation in one direction that keeps a trained network's features of its input.

This is the baseline of that name in CycleGAN's comparison (Zhu et al. 2017, section 5.1): SimGAN with a
distance between features instead of pixels.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.methods.base import Method, methods
from cycada.methods.cyclegan import CycleGANTensors, CycleOptions
from cycada.methods.simgan import forward_phases


class FeatureTensors(CycleGANTensors[CycleOptions]):
    """Tensors of CycleGAN, with the frozen f_s's features of images and their translations.

    f_s is the task network of another stage, or one whose entry in the config names trained weights.
    """

    feature_extractors = frozenset({"f_s"})

    @cached_property
    def source_features_real_s(self) -> Tensor:
        """f_s's features of source images, (N, D, ...)."""
        return self.nets.f_s(self.real_s).features

    @cached_property
    def source_features_fake_t(self) -> Tensor:
        """f_s's features of their translations, (N, D, ...)."""
        return self.nets.f_s(self.fake_t).features


methods.add(
    "feature_gan",
    Method(
        FeatureTensors,
        forward_phases({"feature_distance": 10.0}),
        "feature loss + GAN",
        "train a GAN that keeps the features of its input",
        details=(
            "It translates from source to target alone; an L1 loss compares the features of a frozen "
            "f_s (Zhu et al. 2017, section 5.1)."
        ),
        options=CycleOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
