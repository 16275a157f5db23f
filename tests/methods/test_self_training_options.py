"""Whose statistics f_t's batch norm stores, and a teacher whose labels are propagated."""

from __future__ import annotations

import pytest
import torch
from helpers.experiments import DRAWN, method_stages, tiny_config
from helpers.training import bytes_of, same, training
from torch import nn

from cycada.core.errors import CycadaError
from cycada.data import Augment
from cycada.methods import label_propagation, self_training
from cycada.methods.batch_statistics import batch_statistics
from cycada.methods.label_propagation import balanced, expected_shares, propagated_labels
from cycada.methods.self_training import SelfTrainingOptions, SelfTrainingTensors
from cycada.planning.idle import find_idle_settings
from cycada.planning.plan import plan
from cycada.train import checkpoint
from cycada.train.loop import prepare, train

pytestmark = pytest.mark.trains

LOSSES = {"task_translated": 0.5, "task_source": 0.5, "self_training": {"weight": 1, "threshold": 0}}


def statistics(net):
    return {name: v.clone() for name, v in net.state_dict().items() if "running" in name or "tracked" in name}


@pytest.mark.parametrize(("kept", "moves"), [("all", True), ("target", False)])
@pytest.mark.parametrize("labelled", ["f_t_logits_fake_t", "f_t_logits_real_s"])
def test_labelled_images_move_the_stored_statistics_or_not(kept, moves, labelled):
    stage = training("self_training", options={"batch_norm": kept}, losses=LOSSES)
    stage.nets.train()
    tensors = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options)
    before = statistics(stage.nets.f_t)
    assert getattr(tensors, labelled).requires_grad
    assert same(before, statistics(stage.nets.f_t)) is not moves
    before = statistics(stage.nets.f_t)
    _ = tensors.f_t_logits_augmented_t
    assert not same(before, statistics(stage.nets.f_t))  # those of target images always do


def test_logits_and_gradients_do_not_depend_on_whose_statistics_are_stored():
    found = []
    for kept in ("all", "target"):
        stage = training("self_training", options={"batch_norm": kept}, losses=LOSSES)
        stage.nets.train()
        tensors = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options)
        torch.manual_seed(3)  # dropout
        tensors.f_t_logits_real_s.square().sum().backward()
        found.append((tensors.f_t_logits_real_s, [p.grad for p in stage.nets.f_t.parameters()]))
    (logits, gradients), (other, others) = found
    assert torch.equal(logits, other)
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


def test_statistics_that_are_fixed_stay_in_use_for_labelled_images():
    net = nn.Sequential(nn.BatchNorm2d(1), nn.BatchNorm2d(1)).train()
    net[0].eval()  # as `frozen_norm` does
    images = 1 + torch.rand(2, 1, 4, 4)
    expected, before = net(images), statistics(net)
    with batch_statistics(net):
        assert torch.equal(net(images), expected)
    assert same(before, statistics(net))
    with batch_statistics(net.eval()):  # a teacher
        assert net(images).mean().abs() < 1e-3
    assert same(before, statistics(net))


def test_the_feature_step_takes_the_option_too():
    stage = training("cycada_feature", options={"batch_norm": "target"})
    assert stage.options.batch_norm == "target"


@pytest.mark.parametrize("method", ["self_training", "dual_path"])
def test_the_loss_of_the_feature_step_may_be_kept_on(method):
    """D_feat tells f_s's answers on translations from f_t's on target images, as in the feature step."""
    starts = {"f_s": "source.f_t", "f_t": "source.f_t", "g_st": "cycle.g_st"}
    starts |= {"g_ts": "cycle.g_ts"} if method == "dual_path" else {}
    losses = {"task_translated": 1, "self_training": {"weight": 1, "threshold": 0}, "feature_gan": 0.1}
    stage = training(method, init=starts, losses=losses)
    assert [phase.name for phase in stage.phases] == ["task", "feature_discriminator"]
    stage.nets.train()
    batch = stage.batch(0)
    tensors = stage.tensors(stage.nets, batch, stage.options)
    torch.manual_seed(3)  # dropout
    found = tensors.domain_logits_target
    torch.manual_seed(3)
    assert torch.equal(found, stage.nets.d_feat(stage.nets.f_t(batch.real_t).logits))
    on_fakes = stage.nets.d_feat(stage.nets.f_s(stage.nets.g_st(batch.real_s)).logits)
    assert torch.equal(tensors.domain_logits_source, on_fakes)
    before = {role: bytes_of(net) for role, net in stage.nets.named_children()}
    (*_, last) = train(stage, report_every=1)
    assert {"loss/feature_gan", "loss/discriminate_feature"} <= set(last.values)
    moved = {role for role in before if not same(before[role], stage.nets.get_submodule(role).state_dict())}
    assert moved == {"f_t", "d_feat", "f_teacher"}
    assert "d_feat" not in training(method, losses=losses | {"feature_gan": 0}).nets


def outputs_of_the_teacher(stage, number):
    """The teacher's features and probabilities of the batch of a step."""
    with torch.no_grad():
        output = stage.nets.f_teacher(stage.batch(number).real_t)
    return output.features, output.logits.softmax(1)


def joined(outputs):
    """The newest batch first, as the queue has them."""
    features, probabilities = zip(*reversed(outputs), strict=True)
    return torch.cat(features), torch.cat(probabilities)


def test_the_teachers_labels_are_propagated_over_this_and_earlier_batches():
    stage = training(
        "self_training",
        options={"propagation": 0.75, "propagation_neighbours": 3, "propagation_class_ratio": 1.1},
        losses=LOSSES,
    )
    stage.nets.eval()
    shares = torch.arange(1.0, 1 + len(stage.nets.pool_features.shares))
    stage.nets.pool_features.shares.copy_(shares := shares / shares.sum())
    outputs = []
    for step in range(3):
        tensors = SelfTrainingTensors(stage.nets, stage.batch(step), stage.options)
        outputs.append(outputs_of_the_teacher(stage, step))
        features, probabilities = joined(outputs)
        labels = propagated_labels(features, balanced(probabilities, shares, 1.1), 3)
        expected = torch.lerp(outputs[-1][1], labels[: len(tensors.real_t)], 0.75)
        torch.testing.assert_close(tensors.teacher_logits_real_t.softmax(1), expected)
        assert not tensors.teacher_logits_real_t.requires_grad


def test_the_teacher_averages_its_predictions_and_features_over_views():
    stage = training("self_training", options={"teacher_views": 3}, losses=LOSSES)
    stage.nets.eval()
    tensors = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options)
    move, teacher = Augment(rotate=15, scale=0.15, shear=10, shift=0.1), stage.nets.f_teacher
    torch.manual_seed(7)
    output = tensors.teacher_output_real_t
    torch.manual_seed(7)
    with torch.no_grad():
        seen = [teacher(image) for image in (tensors.real_t, move(tensors.real_t), move(tensors.real_t))]
    torch.testing.assert_close(output.features, sum(o.features for o in seen) / 3)
    torch.testing.assert_close(output.logits.softmax(1), sum(o.logits.softmax(1) for o in seen) / 3)


def test_one_view_of_the_teacher_is_the_image_as_it_is():
    stage = training("self_training", losses=LOSSES)
    tensors = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options)
    with torch.no_grad():
        expected = stage.nets.f_teacher(tensors.real_t)
    assert torch.equal(tensors.teacher_output_real_t.logits, expected.logits)
    assert "teacher_views" not in SelfTrainingOptions().identity()


def test_before_the_first_step_the_queue_is_filled_and_the_expected_shares_are_settled(monkeypatch):
    batch = training("self_training", losses=LOSSES).target.batch
    monkeypatch.setattr(self_training, "SETTLING_IMAGES", 4 * batch)
    monkeypatch.setattr(label_propagation, "doubt", lambda p: p.new_zeros(()))  # else equal ones are expected
    options = {"propagation": 1, "propagation_queue": 3 * batch - 1}
    stage = training("self_training", options=options, losses=LOSSES, steps=5)
    features, probabilities = joined([outputs_of_the_teacher(stage, 5 + number) for number in range(4)])
    prepare(stage)
    queue = stage.nets.pool_features
    assert queue.filled == queue.size
    torch.testing.assert_close(queue.rows, torch.cat([features, probabilities], 1)[: 3 * batch - 1])
    torch.testing.assert_close(queue.shares, expected_shares(probabilities))
    before = queue.shares.clone()
    assert not torch.allclose(before, torch.full_like(before, 1 / len(before)))
    list(train(stage))
    assert not torch.equal(queue.shares, torch.full_like(before, 1 / len(before)))


def test_nothing_is_settled_again_when_a_stage_is_resumed():
    stage = training("self_training", options={"propagation": 1}, losses=LOSSES, steps=5)
    stage.step = 4
    shares = stage.nets.pool_features.shares.clone()
    list(train(stage))
    assert torch.equal(stage.nets.pool_features.shares, shares)
    assert int(stage.nets.pool_features.filled) == stage.target.batch


def test_the_queue_of_a_small_set_holds_no_more_than_is_beside_a_batch():
    """With more, every image of a batch would have a copy there, the nearest of all."""
    stage = training("self_training", options={"propagation": 1, "propagation_queue": 5000}, losses=LOSSES)
    images = len(stage.target.examples.images)
    assert images < 5000
    assert stage.nets.pool_features.size == images - stage.target.batch


def test_only_stores_change_before_the_first_step():
    stage = training("dual_path", options={"propagation": 1, "propagation_queue": 20}, losses=LOSSES)
    before = {role: bytes_of(net) for role, net in stage.nets.named_children() if role != "pool_features"}
    prepare(stage)
    assert stage.step == 0
    for role, old in before.items():
        assert same(bytes_of(stage.nets.get_submodule(role)), old), role


def test_labels_are_propagated_within_a_batch_where_the_queue_has_no_place():
    stage = training("self_training", options={"propagation": 1, "propagation_queue": 0}, losses=LOSSES)
    assert all(report.values["loss/self_training"] >= 0 for report in train(stage))


def test_the_log_says_how_much_is_balanced():
    stage = training("self_training", options={"propagation": 1}, losses=LOSSES, steps=4)
    assert all(0 <= report.values["monitor/propagation_shift"] <= 1 for report in train(stage))


def test_the_ratio_is_in_the_id_of_every_stage_that_propagates_labels():
    """Stages from before there was a ratio must not be taken for stages with its default."""
    assert "propagation_class_ratio" in SelfTrainingOptions(propagation=0.5).identity()
    assert "propagation_class_ratio" not in SelfTrainingOptions().identity()


def test_without_propagation_nothing_is_stored():
    stage = training("self_training", losses=LOSSES)
    assert "pool_features" not in stage.nets
    tensors = SelfTrainingTensors(stage.nets, stage.batch(0), stage.options)
    assert torch.equal(tensors.teacher_logits_real_t, tensors.teacher_output_real_t.logits)


def test_a_resumed_stage_ends_as_an_uninterrupted_one(tmp_path):
    options = {"propagation": 0.5, "propagation_queue": 12, "batch_norm": "target"}

    def stage():
        return training("dual_path", options=options, losses=LOSSES, steps=6)

    whole, first, second = stage(), stage(), stage()
    list(train(whole))
    list(train(first, stop=lambda: first.step == 3))
    second.load_state(checkpoint.load(checkpoint.save(tmp_path, first.state())))
    list(train(second))
    assert int(whole.nets.pool_features.filled) == 12
    for role in ("f_t", "f_teacher", "pool_features"):
        nets = (whole.nets, second.nets)
        assert same(*(bytes_of(n.get_submodule(role)) for n in nets)), role


def test_scenes_have_no_propagation():
    stages = {"it": {"method": "self_training", "ema": {"f_t": 0.9}, "options": {"propagation": 0.5}}}
    with pytest.raises(CycadaError, match=r"stages\.it\.options\.propagation"):
        plan(tiny_config(stages, **DRAWN))


def test_options_without_propagation_have_no_effect_and_it_is_said():
    config = tiny_config(method_stages("self_training", options={"propagation_neighbours": 3}))
    assert [s for s in find_idle_settings(config, plan(config)) if "propagation" in s] == [
        "stages.it.options.propagation_neighbours: options.propagation is 0. It has no effect. Take it out."
    ]
