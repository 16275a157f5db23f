"""Feature alignment without translation, on real images of both domains: DAN, JAN, CORAL, entropy, CDAN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.dann import DannOptions, DannTensors


@dataclass(frozen=True)
class CdanOptions(DannOptions):
    """DANN's, with CDAN's own discriminator input as default."""

    critic_input: Literal["features", "scores", "product"] = "product"


class AlignTensors(DannTensors):
    @cached_property
    def features_real_s(self) -> Tensor:
        return self.output_real_s.features

    @cached_property
    def features_real_t(self) -> Tensor:
        return self.output_real_t.features

    @cached_property
    def f_t_logits_real_t(self) -> Tensor:
        return self.output_real_t.logits


def task(**terms: float) -> tuple[PhaseSpec, ...]:
    trains = ("f_t", "d_feat") if "cdan" in terms else ("f_t",)
    return (PhaseSpec("task", trains, {"task_source": 1.0, **terms}),)


for name, label, plan, options, summary in (
    (
        "dan",
        "DAN",
        task(mmd=1.0),
        DannOptions,
        "multi-kernel MMD between features (Long et al. 2015, eq. 1 and 4)",
    ),
    (
        "jan",
        "JAN",
        task(jmmd=1.0),
        DannOptions,
        "joint MMD between features and class probabilities (Long et al. 2017, eq. 8)",
    ),
    ("coral", "CORAL", task(coral=1.0), DannOptions, "equal feature covariances (Sun & Saenko 2016, eq. 1)"),
    (
        "entropy",
        "entropy",
        task(entropy=0.1),
        DannOptions,
        "certain answers on target images (Grandvalet & Bengio 2004, eq. 6)",
    ),
    (
        "cdan",
        "CDAN",
        task(cdan=1.0),
        CdanOptions,
        "gradient reversal on features x class probabilities (Long et al. 2018, eq. 5 to 7)",
    ),
):
    methods.add(name, Method(AlignTensors, plan, label, f"{summary}, without translation", options=options))
