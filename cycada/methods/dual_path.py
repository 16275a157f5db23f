"""Self-training whose teacher looks at a target image in two ways: as it is, and translated to the source.

The mean of both predictions as the teacher comes from dual path learning (DPL, Cheng et al., "Dual Path
Learning for Domain Adaptation of Semantic Segmentation", ICCV 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cycada.core.bounds import Part, Share
from cycada.methods.adda import FEATURE_DISCRIMINATOR
from cycada.methods.base import Method, PhaseSpec, methods
from cycada.methods.self_training import TERMS, SelfTrainingOptions, SelfTrainingTensors, log_of
from cycada.methods.step_tensors import option


@dataclass(frozen=True)
class DualPathOptions(SelfTrainingOptions):
    """Options of self_training, and how much the translated view counts.

    Attributes:
        translated_share: The weight of f_s's probabilities for the translated images in the teacher's
            mean, in [0, 1]; 0.5 as in DPL. 0 is self_training, 1 leaves out the moving average of f_t.
        translated_until: The fraction of the stage's steps, in (0, 1], over which this weight falls linearly
            to 0; afterwards the moving average of f_t is the only teacher. None: the weight is constant.
    """

    translated_share: Share = 0.5
    translated_until: Part | None = option(None, omit_default_from_id=True)

    def without_effect(self) -> dict[str, str]:
        """Return those of self-training, and when the translated view ends where it never counts."""
        idle = {} if self.translated_share else {"translated_until": "options.translated_share is 0"}
        return super().without_effect() | idle


class DualPathTensors(SelfTrainingTensors[DualPathOptions]):
    """Tensors of self-training, with a teacher that is the mean of two predictions.

    The moving average of f_t classifies a target image as it is, and the frozen f_s classifies its
    translation to the source domain. An image on which they contradict each other has no confident label, so
    that f_t learns from those on which two networks agree that see the image in different ways. Where the
    target is the richer domain, translating it to the source is the easier direction, and f_s knows more
    about the translation than f_t about the image.
    """

    def translated_share(self) -> float:
        """Return the share of the translated view in this step, in [0, 1]."""
        until = self.options.translated_until
        left = 1.0 if until is None else max(0.0, 1.0 - self.progress / until)
        return self.options.translated_share * left

    @cached_property
    def teacher_prediction_real_t(self) -> Tensor:
        """Logarithms of the mean probabilities of both views, (N, K, ...), without a graph."""
        logits = self.teacher_output_real_t.logits
        share = self.translated_share()
        if share == 0:  # nothing has to be translated
            return logits
        own = logits.float().softmax(1)
        with torch.no_grad():
            translated = self.f_s_logits_fake_s.float().softmax(1)
        return log_of(torch.lerp(own, translated, share))


methods.add(
    "dual_path",
    Method(
        DualPathTensors,
        (PhaseSpec("task", ("f_t",), TERMS), FEATURE_DISCRIMINATOR),
        "+ dual-path self-training",
        "train f_t on what its EMA and f_s on translations agree on",
        details="The EMA predicts target images, the frozen f_s their translations by g_ts (DPL).",
        options=DualPathOptions,
        preview=("real_s", "fake_t", "real_t", "fake_s", "augmented_t"),
    ),
)
