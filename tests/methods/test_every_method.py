"""Every registered method, by its being there: three steps, and what must and must not have moved."""

import math
from collections import Counter

import pytest
import torch
from helpers.experiments import DRAWN, INIT, tiny_config
from helpers.training import bytes_of, same, training

from cycada.core.errors import CycadaError
from cycada.core.types import Batch
from cycada.methods import TEACHER, Networks, Options, methods
from cycada.methods.adabn import AdaBnTensors
from cycada.networks import kind_of
from cycada.networks.drn import drn26
from cycada.planning.plan import plan
from cycada.runs.reuse import evaluate_run
from cycada.runs.run import run
from cycada.train.loop import train
from cycada.train.step import submodules

pytestmark = pytest.mark.trains

CYCLE = {"g_st": 2, "g_ts": 2, "d_s": 3, "d_t": 3}
PASSES = {
    "source_only": {"f_t": 1},
    "target_only": {"f_t": 1},
    "dann": {"f_t": 2, "d_feat": 2},
    **{name: {"f_t": 2} for name in ("dan", "jan", "coral", "entropy")},
    "cdan": {"f_t": 2, "d_feat": 2},
    "adabn": {"f_t": 1},
    "fda": {"f_t": 2},
    # d_feat: once for f_t's loss, twice for its own, on f_t's answers of before
    "advent": {"f_t": 2, "d_feat": 3},
    # one pair of images, judged for the generators and again with two real ones for the discriminators
    "cogan": {"pair_g": 1, "pair_d": 2 + 4},
    # a discriminator: once for the generator, twice for itself
    "pix2pix": {"g_st": 1, "d_pair": 3},
    "simgan": {"g_st": 1, "d_t": 3},
    "feature_gan": {"g_st": 1, "d_t": 3, "f_s": 2},
    # both generators' pairs, and both again out of the pools
    "bigan": {"g_st": 1, "g_ts": 1, "d_pair": 4},
    # g_st is not called but asked for its two halves; h_st: keys and queries, for the source and for the
    # identity
    "cut": {"h_st": 4, "d_t": 3},
    "fastcut": {"h_st": 2, "d_t": 3},
    # step A sees the source, B both domains, C the target, four times
    "mcd": {"f_t": 1 + 2 + 4, "head_t": 1 + 2 + 4},
    "self_training": {"g_st": 1, "f_t": 2, "f_teacher": 1},
    "dual_path": {"g_st": 1, "g_ts": 1, "f_s": 1, "f_t": 2, "f_teacher": 1},
    # d_feat: once for f_t's loss, twice for its own; the source side's features are computed for the latter
    # only
    "adda": {"f_t": 1, "f_s": 1, "d_feat": 3},
    "cyclegan": CYCLE,
    "cycada_pixel": CYCLE | {"f_s": 4},
    "cycada_task": {"g_st": 1, "f_t": 1},
    "cycada_feature": {"g_st": 1, "f_s": 1, "f_t": 2, "d_feat": 3},
    # d_feat learns from what f_t gave before its step, on both sides
    "cycada_feature_tied": {"g_st": 1, "f_t": 2, "d_feat": 3},
    # f_s sees the translated image once more, without graph, for the feature discriminator
    "cycada": CYCLE | {"f_s": 5, "f_t": 2, "d_feat": 3},
}
"""Forward passes of one step with the default losses."""


def test_the_table_of_frozen_starts_names_methods():
    assert set(INIT) <= set(methods)


def test_gradient_norms_are_in_every_fifth_report_and_the_last():
    reports = list(train(training("source_only", steps=12), report_every=1))
    assert [r.step for r in reports if "gradient/task_source" in r.values] == [5, 10, 12]
    assert len([r for r in reports if "loss/task_source" in r.values]) == 12
    assert not [
        r
        for r in train(training("source_only"), report_every=1, gradients=False)
        if "gradient/task_source" in r.values
    ]


@pytest.mark.parametrize("method", methods)
def test_only_the_networks_of_the_phases_move(method):
    t = training(method)
    before = {role: bytes_of(net) for role, net in t.nets.named_children()}
    reports = list(train(t, report_every=1))
    assert [r.step for r in reports] == [1, 2, 3, 4]
    learning = {role for phase in t.phases for role in phase.roles}
    for role, net in t.nets.named_children():
        if kind_of(role) != "pool" and role != TEACHER:
            assert same(before[role], net.state_dict()) == (role not in learning), role
    named = {term.name for phase in t.phases for term in phase.terms}
    for name in named:
        assert {f"loss/{name}", f"gradient/{name}"} <= set(reports[-1].values)


@pytest.mark.parametrize("method", methods)
def test_forward_passes_are_as_counted(method):
    assert method in PASSES, "write the new method's forward passes down"
    t = training(method)
    calls = Counter()
    for role, net in t.nets.named_children():
        if kind_of(role) != "pool":
            net.register_forward_hook(lambda *_, role=role: calls.update([role]))
    next(train(t, report_every=1))
    assert dict(calls) == PASSES[method]


@pytest.mark.parametrize(
    ("losses", "passes"),
    [
        ({"cycle_s": 0, "cycle_t": 0}, {"g_st": 1, "g_ts": 1, "d_s": 3, "d_t": 3, "f_s": 4}),
        ({"semantic_s": 0, "semantic_t": 0}, CYCLE),
        ({"gan_s": 0, "gan_t": 0}, {"g_st": 2, "g_ts": 2, "f_s": 4}),
        (
            {"semantic_t": {"anchor": "label"}, "semantic_s": 0, "gan_s": 0, "cycle_t": 0, "cycle_s": 0},
            {"g_st": 1, "d_t": 3, "f_s": 2},
        ),
        ({"identity_s": 1, "identity_t": 1}, {"g_st": 3, "g_ts": 3, "d_s": 3, "d_t": 3, "f_s": 4}),
    ],
)
def test_a_weight_of_zero_removes_the_passes_that_only_its_term_needed(losses, passes):
    t = training("cycada_pixel", losses=losses)
    calls = Counter()
    for role, net in t.nets.named_children():
        if kind_of(role) != "pool":
            net.register_forward_hook(lambda *_, role=role: calls.update([role]))
    next(train(t, report_every=1))
    assert dict(calls) == passes


def test_masked_consistency_costs_one_pass_of_the_student():
    t = training("self_training", losses={"masked_consistency": 1, "self_training": 0})
    calls = Counter()
    for role, net in t.nets.named_children():
        net.register_forward_hook(lambda *_, role=role: calls.update([role]))
    next(train(t, report_every=1))
    assert dict(calls) == PASSES["self_training"]


def test_the_target_is_not_drawn_where_no_term_looks_at_it():
    assert training("source_only").target is None
    assert training("dann").target is not None


def test_the_release_preset_trains_its_classifier():
    t = training("cycada_pixel", init={}, losses={"task_classifier": 1}, options={"semantic_gate": 1.0})
    before = bytes_of(t.nets.f_s)
    reports = list(train(t, report_every=1))
    assert not same(before, t.nets.f_s.state_dict())
    assert "monitor/semantic_gate" in reports[0].values


def test_a_closed_gate_is_logged_and_holds_the_adversarial_loss_back():
    t = training("adda", options={"gate": 1.0})
    before = bytes_of(t.nets.f_t)["head.3.weight"] if "head.3.weight" in t.nets.f_t.state_dict() else None
    reports = list(train(t, report_every=1))
    assert all(r.values["monitor/feature_gate"] == 0 and r.values["loss/feature_gan"] == 0 for r in reports)
    assert before is None or torch.equal(before, t.nets.f_t.state_dict()["head.3.weight"])


def test_wgan_gp_runs_and_asks_for_its_penalty():
    with pytest.raises(CycadaError, match="gradient_penalty"):
        training("cyclegan", options={"gan": "wgan-gp"})
    losses = {"gradient_penalty_t": 10, "gradient_penalty_s": 10}
    reports = list(train(training("cyclegan", options={"gan": "wgan-gp"}, losses=losses), report_every=1))
    assert reports[-1].values["loss/gradient_penalty_t"] >= 0


def test_a_ramp_and_a_phase_that_runs_every_second_step():
    t = training("dann", losses={"domain_adversarial": {"weight": 1, "ramp": {"name": "dann"}}})
    assert t.phases[0].terms[1].weight_at(0, 4) == 0
    t = training("cyclegan", every={"discriminators": 2})
    before = bytes_of(t.nets.d_s)
    t.step = 1
    next(train(t, report_every=1))
    assert same(before, t.nets.d_s.state_dict())


@pytest.mark.parametrize(
    ("phase", "moves"), [("encoder", ("f_t.encoder",)), ("heads", ("f_t.head", "head_t"))]
)
def test_a_phase_over_part_of_a_network_moves_that_part_alone(phase, moves):
    t = training("mcd", every={name: 2 for name in ("source", "heads", "encoder") if name != phase})
    t.step = 1  # in which no other phase runs
    before = {name: p.detach().clone() for name, p in t.nets.named_parameters()}
    next(train(t, report_every=1))
    for name, p in t.nets.named_parameters():
        assert torch.equal(before[name], p) != name.startswith(moves), name


def test_repeating_a_phase_is_a_step_of_the_optimizer_each_time():
    once, thrice = (training("source_only", repeat={"task": k}) for k in (1, 3))
    for t in (once, thrice):
        next(train(t, report_every=1))
    steps = [next(iter(t.phases[0].optimizer.state.values()))["step"].item() for t in (once, thrice)]
    assert steps == [1, 3]


def test_a_term_of_several_phases_takes_the_weight_of_yaml_in_all_of_them_or_goes_where_it_is_told():
    def where(**losses):
        return {
            (p.name, t.name): t.weight
            for p in training("mcd", losses=losses).phases
            for t in p.terms
            if t.name == "task_source"
        }

    assert where() == {("source", "task_source"): 1.0, ("heads", "task_source"): 1.0}
    assert where(task_source=3) == {("source", "task_source"): 3.0, ("heads", "task_source"): 3.0}
    assert where(task_source={"weight": 2, "phase": "heads"}) == {("heads", "task_source"): 2.0}


@pytest.mark.parametrize("method", methods)
def test_an_optimizer_holds_all_that_its_phases_move(method):
    t = training(method)
    for phase in t.phases:
        held = {id(p) for group in phase.optimizer.param_groups for p in group["params"]}
        assert {id(p) for part in submodules(phase.trains, t.nets) for p in part.parameters()} <= held


def test_phases_may_share_an_optimizer():
    t = training("mcd")
    next(train(t, report_every=1))
    one = t.phases[0].optimizer
    assert all(p.optimizer is one for p in t.phases)
    # steps A and B for the heads, A and four times C for the encoder
    steps = {name: one.state[p]["step"].item() for name, p in t.nets.named_parameters()}
    assert all(steps[name] == (5 if "encoder" in name else 2) for name in steps)
    with pytest.raises(CycadaError, match="optimizer of 'source'"):
        training("mcd", optimizers={"encoder": {"lr": 0.1}})


def test_a_network_that_is_not_in_two_parts_is_refused_by_mcd():
    with pytest.raises(CycadaError, match=r"TimmClassifier.*encoder and its head"):
        training("mcd", networks={"f": {"name": "timm", "model": "test_resnet"}})


@pytest.mark.parametrize("optimizer", [{}, {"name": "adamw", "lr": 0.1, "weight_decay": 0.1}])
def test_adabn_moves_statistics_and_no_weight(optimizer):
    t = training("adabn", optimizer=optimizer)
    parameters = {name: p.detach().clone() for name, p in t.nets.named_parameters()}
    before = bytes_of(t.nets)
    list(train(t))
    assert all(torch.equal(parameters[name], p) for name, p in t.nets.named_parameters())
    after = t.nets.state_dict()
    means = [name for name in after if name.endswith(("running_mean", "running_var"))]
    assert means
    assert not any(torch.equal(before[name], after[name]) for name in means)


def test_adabn_forgets_the_source():
    t = training("adabn", steps=60, batch=32)
    list(train(t, report_every=60))
    with torch.no_grad():
        seen = t.nets.f_t.encoder[0](t.batch(0).real_t)  # what comes into the first batch norm
    norm = t.nets.f_t.encoder[1]
    assert torch.allclose(norm.running_mean, seen.mean((0, 2, 3)), atol=0.1)


@pytest.mark.parametrize("options", [{}, {"gate": 0.0}])
def test_with_tied_weights_the_discriminator_sees_both_sides_by_the_same_weights(options):
    t = training("cycada_feature_tied", options=options)
    seen, before = [], t.nets.f_t.encoder[0].weight.detach().clone()
    t.nets.f_t.register_forward_pre_hook(lambda net, _: seen.append(net.encoder[0].weight.clone()))
    next(train(t, report_every=1, gradients=False))
    assert len(seen) == 2
    assert all(torch.equal(weight, before) for weight in seen)


def test_adabn_needs_batch_norm():
    with pytest.raises(CycadaError, match="batch-norm statistics"):
        next(train(training("adabn", networks={"f": "lenet"}, init={})))


def test_adabn_needs_statistics_that_may_move():
    """With the frozen ones of a segmenter it would end as it began, under another name."""
    frozen = {"f": {"name": "drn26", "frozen_norm": True}}
    stages = {"source": {"method": "source_only", "steps": 1, "networks": frozen}}
    stages["it"] = {"method": "adabn", "init": {"f_t": "source.f_t"}, "networks": {"f": "drn26"}, "steps": 1}
    plan(tiny_config(stages, **DRAWN))  # what is fixed in one stage may move in the next
    nets = Networks({"f_t": drn26(3, 2, frozen_norm=True)}).train()
    images = torch.zeros(1, 3, 8, 8)
    with pytest.raises(CycadaError, match=r"frozen_norm.*keeps them fixed"):
        _ = AdaBnTensors(nets, Batch(images, torch.zeros(1), images), Options()).f_t_logits_real_t


@pytest.mark.parametrize(("method", "grids"), [("mcd", 0), ("cogan", 1)])
def test_a_stage_is_scored_again_from_its_weights_alone(method, grids, tmp_path):
    stage = run(tiny_config({"it": {"method": method}}, results=str(tmp_path))).stages[0]
    assert set(stage.scores) == {"source", "target"}
    assert evaluate_run(str(stage.folder))["scores"] == stage.scores
    assert len(list((stage.folder / "images").glob("grid_*.png"))) == grids


def test_the_two_heads_of_mcd_start_apart():
    nets = training("mcd").nets
    assert not same(bytes_of(nets.head_t), nets.f_t.head.state_dict())


def test_bf16_trains_and_reports_float32_losses():
    reports = list(train(training("cycada", precision="bf16"), report_every=2))
    assert all(math.isfinite(v) for v in reports[-1].values.values())


def test_the_moving_average_is_what_is_handed_on():
    t = training("cyclegan", ema={"g_st": 0.5})
    list(train(t, report_every=2))
    moving = t.outcome().g_st.state_dict()
    assert not same(moving, t.nets.g_st.state_dict())
    assert t.outcome().g_ts is t.nets.g_ts
