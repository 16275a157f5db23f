"""Feature loss + GAN: SimGAN with the distance in a trained network's features (Zhu et al. 2017, section 5.1)."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from cycada.methods.base import Method, methods
from cycada.methods.cyclegan import CycleGANTensors, CycleOptions
from cycada.methods.simgan import forward_phases


class FeatureTensors(CycleGANTensors):
    """source_features_* are those of the frozen f_s: a stage's task network, or one whose spec names trained weights."""

    feature_extractors = frozenset({"f_s"})

    @cached_property
    def source_features_real_s(self) -> Tensor:
        return self.nets.f_s(self.real_s).features

    @cached_property
    def source_features_fake_t(self) -> Tensor:
        return self.nets.f_s(self.fake_t).features


methods.add(
    "feature_gan",
    Method(
        FeatureTensors,
        forward_phases({"feature_distance": 10.0}),
        "feature loss + GAN",
        "a GAN from source to target alone, held to the image by L1 in the features of a frozen f_s (Zhu et "
        "al. 2017, section 5.1)",
        options=CycleOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
