"""SimGAN (simulated and unsupervised learning): translations stay close to their inputs, pixel by pixel.

Shrivastava et al. 2017, section 2.1: an adversarial loss and a self-regularisation loss, in one direction.
"""

from __future__ import annotations

from collections.abc import Mapping

from cycada.methods.base import ADAM_GAN, Method, PhaseSpec, methods
from cycada.methods.cyclegan import CycleGANTensors, CycleOptions


def forward_phases(content_terms: Mapping[str, float]) -> tuple[PhaseSpec, PhaseSpec]:
    """Return the phases of a translation from source to target alone: a GAN, and terms that keep the content.

    Args:
        content_terms: Loss name -> default weight, for the losses that hold a translation to its input.
    """
    return (
        PhaseSpec("generators", ("g_st",), {"gan_t": 1.0, **content_terms}, ADAM_GAN),
        PhaseSpec("discriminators", ("d_t",), {"discriminate_t": 1.0, "gradient_penalty_t": 0.0}, ADAM_GAN),
    )


methods.add(
    "simgan",
    Method(
        CycleGANTensors,
        # The weight, the form of the GAN and the optimizer are those of CycleGAN's comparison (`content_gan`
        # in its code).
        forward_phases({"self_regularisation": 10.0}),
        "SimGAN",
        "train a GAN whose translations stay close to their input",
        details=(
            "It translates from source to target alone, with an L1 loss on pixels and an image pool "
            "(Shrivastava et al. 2017)."
        ),
        options=CycleOptions,
        preview=("real_s", "fake_t", "real_t"),
    ),
)
