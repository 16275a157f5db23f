"""Feature alignment without translation, on real images of both domains: DAN, JAN, CORAL, entropy and CDAN.

- DAN, deep adaptation network (Long et al. 2015, eq. 1 and 4): the loss `mmd`, maximum mean discrepancy.
- JAN, joint adaptation network (Long et al. 2017, eq. 8): the loss `jmmd`, joint maximum mean discrepancy.
- CORAL, correlation alignment (Sun & Saenko 2016, eq. 1): the loss `coral`.
- Entropy minimisation (Grandvalet & Bengio 2004, eq. 6): the loss `entropy`.
- CDAN, conditional domain adversarial network (Long et al. 2018, eq. 5 to 7): the loss `cdan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.dann import DannOptions, DannTensors
from cycada.methods.source_only import BothDomainsTensors
from cycada.methods.step_tensors import OptionsT


@dataclass(frozen=True)
class CdanOptions(DannOptions):
    """Options of DANN with CDAN's discriminator input as the default.

    Attributes:
        critic_input: See `DannOptions`; `product` is CDAN's.
    """

    critic_input: Literal["features", "scores", "product"] = "product"


class AlignTensors(BothDomainsTensors[OptionsT]):
    """Tensors of feature alignment: f_t's features and logits on both domains."""

    @cached_property
    def features_real_s(self) -> Tensor:
        """f_t's features of source images, (N, D)."""
        return self.output_real_s.features

    @cached_property
    def features_real_t(self) -> Tensor:
        """f_t's features of target images, (N, D)."""
        return self.output_real_t.features

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        """f_t's logits of target images, (N, K)."""
        return self.output_real_t.logits


class AlignWithDannTensors(AlignTensors[DannOptions], DannTensors):
    """Tensors of feature alignment and of DANN, so that `cdan` may stand beside the other losses."""


def task_phase(**terms: float) -> tuple[PhaseSpec, ...]:
    """Return the one phase of these methods: f_t learns the labelled source and the given terms.

    Args:
        terms: Loss name -> default weight. `cdan` trains D_feat, too.
    """
    trains = ("f_t", "d_feat") if "cdan" in terms else ("f_t",)
    return (PhaseSpec("task", trains, {"task_source": 1.0, **terms}),)


for name, label, plan, options, summary, details in (
    (
        "dan",
        "DAN",
        task_phase(mmd=1.0),
        DannOptions,
        "align features by their maximum mean discrepancy (MMD)",
        "It has several kernels (Long et al. 2015, eq. 1 and 4).",
    ),
    (
        "jan",
        "JAN",
        task_phase(jmmd=1.0),
        DannOptions,
        "align features and class probabilities by a joint MMD",
        "MMD is the maximum mean discrepancy (Long et al. 2017, eq. 8).",
    ),
    (
        "coral",
        "CORAL",
        task_phase(coral=1.0),
        DannOptions,
        "align the covariances of the features",
        "This is correlation alignment (Sun & Saenko 2016, eq. 1).",
    ),
    (
        "entropy",
        "entropy",
        task_phase(entropy=0.1),
        DannOptions,
        "make predictions on target images confident",
        "It minimises their entropy (Grandvalet & Bengio 2004, eq. 6).",
    ),
    (
        "cdan",
        "CDAN",
        task_phase(cdan=1.0),
        CdanOptions,
        "align features x class probabilities by gradient reversal",
        "See Long et al. 2018, eq. 5 to 7.",
    ),
):
    methods.add(
        name,
        Method(
            AlignWithDannTensors,
            plan,
            label,
            summary,
            details=f"{details} Nothing is translated.",
            options=options,
        ),
    )
