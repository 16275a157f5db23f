"""SimGAN: one generator whose translations stay close to their images, pixel by pixel (Shrivastava et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping

from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.cyclegan import CycleGANTensors, CycleOptions


def forward_phases(stays: Mapping[str, float]) -> tuple[PhaseSpec, PhaseSpec]:
    """Source to target alone: a GAN, and terms that hold the translation to its image."""
    return (
        PhaseSpec("generators", ("g_st",), {"gan_t": 1.0, **stays}, ADAM_GAN),
        PhaseSpec("discriminators", ("d_t",), {"discriminate_t": 1.0, "gradient_penalty_t": 0.0}, ADAM_GAN),
    )


methods.add(
    "simgan",
    Method(
        CycleGANTensors,
        # the weight, the form of the GAN and the optimizer are those of CycleGAN's comparison (its release: content_gan)
        forward_phases({"self_regularisation": 10.0}),
        "SimGAN",
        "a GAN from source to target alone, held to the image by L1 in pixels, with a history of "
        "translations (Shrivastava et al. 2017)",
        options=CycleOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
