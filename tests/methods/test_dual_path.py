"""The teacher of dual-path self-training: the mean of two predictions."""

import pytest
import torch
from helpers.training import training

from cycada.methods.dual_path import DualPathTensors
from cycada.methods.self_training import SelfTrainingTensors

pytestmark = pytest.mark.trains


def tensors(share):
    """The tensors of a first step with the given share of the translated view, and those of self_training."""
    stage = training("dual_path", options={"translated_share": share})
    stage.nets.eval()
    batch = stage.batch(0)
    own = SelfTrainingTensors(stage.nets, batch, stage.options)
    return DualPathTensors(stage.nets, batch, stage.options), own


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_teacher_is_the_mean_of_both_views(share):
    both, own = tensors(share)
    seen = own.teacher_logits_real_t.softmax(1)
    translated = both.nets.f_s(both.nets.g_ts(both.real_t)).logits.softmax(1)
    expected = (1 - share) * seen + share * translated
    assert torch.allclose(both.teacher_logits_real_t.softmax(1), expected, atol=1e-6)
    assert not both.teacher_logits_real_t.requires_grad


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 0.6), (0.1, 0.48), (0.25, 0.3), (0.5, 0.0), (0.9, 0.0)]
)
def test_the_share_of_the_translated_view_falls_until_a_fraction_of_the_stage(progress, share):
    stage = training("dual_path", options={"translated_share": 0.6, "translated_until": 0.5})
    stage.nets.eval()
    both = DualPathTensors(stage.nets, stage.batch(0), stage.options, progress=progress)
    assert both.translated_share() == pytest.approx(share)
    assert both.detached().translated_share() == pytest.approx(share)
    own = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options).teacher_logits_real_t.softmax(1)
    translated = both.nets.f_s(both.nets.g_ts(both.real_t)).logits.softmax(1)
    assert torch.allclose(
        both.teacher_logits_real_t.softmax(1), (1 - share) * own + share * translated, atol=1e-6
    )
    assert both.is_cached("fake_s") == (share > 0)  # nothing is translated in vain


def test_the_stage_builds_what_looks_at_the_translation():
    roles = DualPathTensors.roles_of(["teacher_logits_real_t"])
    assert roles == {"f_teacher", "f_s", "g_ts", "pool_features"}
