"""DANN with importance weights: what they are settled by, and what they change."""

from __future__ import annotations

import pytest
import torch
from helpers.training import bytes_of, same, training

from cycada.methods import dann, label_propagation
from cycada.methods.label_propagation import expected_shares
from cycada.networks import ClassShares
from cycada.train import checkpoint
from cycada.train.loop import prepare, train

pytestmark = pytest.mark.trains

LOSSES = {
    "task_source": 0,
    "domain_adversarial": 0,
    "weighted_task_source": 1,
    "weighted_domain_adversarial": 1,
}


def stage_of(**settings):
    return training("dann", losses=LOSSES, **settings)


def test_the_shares_are_settled_by_the_classifier_of_the_start_on_images_as_they_are(monkeypatch):
    monkeypatch.setattr(label_propagation, "doubt", lambda p: p.new_zeros(()))  # else equal ones are expected
    stage = stage_of(augment={"random_convolution": 1.0, "rotate": 90, "domains": "both"}, steps=5)
    monkeypatch.setattr(dann, "SETTLING_IMAGES", 3 * stage.target.batch)
    f_t = stage.nets.f_t.eval()
    with torch.no_grad():
        images = [stage.target.draw(5 + k, augmented=False).images for k in range(3)]
        predicted = torch.cat([f_t(batch).logits.softmax(1) for batch in images])
    before = {role: bytes_of(net) for role, net in stage.nets.named_children() if role != "pool_shares"}
    stage.nets.train()
    prepare(stage)
    torch.testing.assert_close(stage.nets.pool_shares.target, expected_shares(predicted))
    assert stage.nets.f_t.training
    for role, old in before.items():
        assert same(bytes_of(stage.nets.get_submodule(role)), old), role


def test_the_source_is_counted_by_all_its_training_images():
    stage = stage_of()
    labels = stage.source.examples.labels
    expected = torch.bincount(labels, minlength=len(stage.nets.pool_shares.source)) / len(labels)
    torch.testing.assert_close(stage.nets.pool_shares.source, expected)


def test_with_equal_shares_in_both_domains_nothing_differs_from_dann(monkeypatch):
    ones = {"importance_weights": lambda self, labels: torch.ones(len(labels))}
    monkeypatch.setattr(ClassShares, "importance_weights", ones["importance_weights"])
    weighted, plain = stage_of(steps=4), training("dann", steps=4)
    list(train(weighted))
    list(train(plain))
    for role in ("f_t", "d_feat"):
        for a, b in zip(
            weighted.nets.get_submodule(role).parameters(),
            plain.nets.get_submodule(role).parameters(),
            strict=True,
        ):
            torch.testing.assert_close(a, b)


def test_dann_without_weights_has_no_shares():
    assert "pool_shares" not in training("dann").nets


def test_a_resumed_stage_ends_as_an_uninterrupted_one(tmp_path):
    whole, first, second = (stage_of(steps=6) for _ in range(3))
    list(train(whole))
    list(train(first, stop=lambda: first.step == 3))
    second.load_state(checkpoint.load(checkpoint.save(tmp_path, first.state())))
    list(train(second))
    for role in ("f_t", "d_feat", "pool_shares"):
        assert same(*(bytes_of(s.nets.get_submodule(role)) for s in (whole, second))), role
