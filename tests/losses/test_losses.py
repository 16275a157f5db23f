"""Every loss against a closed form and against plain python loops; ramps and terms."""

import inspect
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.naive_losses import NAIVE, K, naive_class_mix, naive_domains, rows_of

from cycada.core.errors import CycadaError
from cycada.core.registry import needs, option_defaults
from cycada.core.types import IGNORE
from cycada.losses import Ramp, Term, losses
from cycada.methods.step_tensors import discriminator_gradient

MODES = ("lsgan", "vanilla", "hinge", "wgan-gp")
E = math.e


def full(value, *shape):
    return torch.full(shape, float(value))


def images(value):
    return full(value, 2, 3, 4, 4)


def scores(value):
    return full(value, 2, 1, 3, 3)


def critic(source_minus_target):
    """A feature discriminator that gives "source" (class 1) so much more than "target"."""
    return torch.tensor([[0.0, float(source_minus_target)]] * 3)


def logits(height):
    """Three rows whose class 2 stands so much higher than the others."""
    return torch.tensor([[0.0, 0.0, float(height), 0.0]] * 3)


def logit_maps(*heights):
    """(N, K, 1, 3), one image a height (or three heights, one a pixel): class 2 stands so much higher than
    the others."""
    maps = torch.zeros(len(heights), K, 1, 3)
    for image, height in zip(maps, heights, strict=True):
        image[2, 0] = torch.tensor(height, dtype=torch.float32)
    return maps


LABELS = torch.tensor([2, 2, 2])
PAIR = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
ONE, ZERO = torch.tensor(1.0), torch.tensor(0.0)
SHARE = E / (E + K - 1)  # the probability of the high class in logits(1)
ENTROPY = -SHARE * math.log(SHARE) - (1 - SHARE) * math.log((1 - SHARE) / (K - 1))
SURE = math.log(1 + (K - 1) / E)  # cross-entropy of logits(1) with class 2
OTHER = (1 - SHARE) / (K - 1)  # the probability of each low class in logits(1)
UNEQUAL = (  # binary cross-entropy of those with 1/K, less that of 1/K with itself
    -(math.log(SHARE) + 3 * math.log(1 - SHARE) + 3 * math.log(OTHER) + 9 * math.log(1 - OTHER)) / 16
    + (math.log(1 / K) + 3 * math.log(1 - 1 / K)) / 4
)

TRANSLATION = [((images(0.5), images(-0.25)), {}, 0.75), ((images(0.5), images(0.5)), {}, 0.0)]
GENERATOR = [
    ((scores(3),), {}, 4.0),
    ((scores(3),), {"mode": "lsgan"}, 4.0),
    ((scores(0),), {"mode": "vanilla"}, math.log(2)),
    ((scores(1),), {"mode": "vanilla"}, math.log(1 + 1 / E)),
    ((scores(3),), {"mode": "hinge"}, -3.0),
    ((scores(3),), {"mode": "wgan-gp"}, -3.0),
]
ENCODER = [  # what wants a low score
    ((scores(3),), {}, 9.0),
    ((scores(0),), {"mode": "vanilla"}, math.log(2)),
    ((scores(1),), {"mode": "vanilla"}, math.log(1 + E)),
    ((scores(3),), {"mode": "hinge"}, 3.0),
    ((scores(3),), {"mode": "wgan-gp"}, 3.0),
]
DISCRIMINATOR = [
    ((scores(3), scores(2)), {}, 4.0),
    ((scores(1), scores(0)), {"mode": "lsgan"}, 0.0),
    ((scores(0), scores(0)), {"mode": "vanilla"}, math.log(2)),
    ((scores(1), scores(1)), {"mode": "vanilla"}, 0.5 * (math.log(1 + 1 / E) + math.log(1 + E))),
    ((scores(0.5), scores(-0.25)), {"mode": "hinge"}, 1.25),
    ((scores(2), scores(-2)), {"mode": "hinge"}, 0.0),
    ((scores(3), scores(1)), {"mode": "wgan-gp"}, -2.0),
]
PENALTY = [((full(1, 2, 3, 2, 2),), {}, (math.sqrt(12) - 1) ** 2), ((full(0, 2, 3, 2, 2),), {}, 1.0)]
DOMAIN = [((critic(1), critic(2)), {}, 0.5 * (math.log(1 + 1 / E) + math.log(1 + E**2)))]
TASK = [
    ((logits(0), LABELS), {}, math.log(K)),
    ((logits(1), LABELS), {}, SURE),
    ((logits(0), LABELS), {"smoothing": 0.3}, math.log(K)),
    ((logits(1), LABELS), {"smoothing": 0.2}, math.log(E + K - 1) - 0.8 - 0.2 / K),
    ((logits(1), torch.tensor([2, IGNORE, IGNORE])), {}, SURE),
]
AGREEMENT = [
    ((logits(0), logits(5), ONE), {}, math.log(K)),
    ((logits(1), logits(5), ONE), {}, SURE),
    ((logits(1), logits(5), ZERO), {}, 0.0),
    ((logits(0), logits(1), ONE), {"anchor": "soft"}, math.log(K) - ENTROPY),
    ((logits(1), logits(1), ONE), {"anchor": "soft"}, 0.0),
    ((logits(1), logits(1), ONE), {"confidence": SHARE - 1e-3}, SURE),
    ((logits(1), logits(1), ONE), {"confidence": SHARE + 1e-3}, 0.0),
]

CORNERS = torch.eye(4)[None, None].expand(2, 1, 4, 4)  # 2 layers, an image, 4 places, each unlike all others
PATCHES = [
    ((CORNERS, CORNERS), {}, math.log(1 + 3 * math.exp(-1 / 0.07))),
    ((CORNERS, CORNERS), {"temperature": 1.0}, math.log(1 + 3 / E)),
    ((CORNERS, CORNERS.roll(1, -2)), {"temperature": 1.0}, math.log(3 + E)),
    ((CORNERS, torch.zeros(2, 1, 4, 4)), {}, math.log(4)),
]

ONE_OF_THREE = torch.tensor([True, False, False]).expand(2, 1, 3)  # pasted, in each of two images
TWOS = torch.full((2, 1, 3), 2)
MIXED = [
    # the teacher is sure of one in three pixels of the first image, of none of the second
    ((logit_maps(1, 1), TWOS, ONE_OF_THREE, logit_maps([9, 0, 0], 0)), {}, SURE * (2 + 2 / 3) / 6),
    ((logit_maps(1, 1), TWOS, ONE_OF_THREE, logit_maps(0, 0)), {"threshold": 0.2}, SURE),
    (
        (logit_maps(1, 1), torch.where(ONE_OF_THREE, TWOS, IGNORE), ONE_OF_THREE, logit_maps(9, 9)),
        {},
        SURE / 3,
    ),
]

CLOSED = {
    "cycle_s": TRANSLATION,
    "cycle_t": TRANSLATION,
    "identity_s": TRANSLATION,
    "identity_t": TRANSLATION,
    "pixel_t": TRANSLATION,
    "self_regularisation": TRANSLATION,
    "feature_distance": [*TRANSLATION, ((PAIR, PAIR + 3), {}, 3.0)],
    "gan_s": GENERATOR,
    "gan_t": GENERATOR,
    "gan_pair": GENERATOR,
    "gan_joint_s": GENERATOR,
    "gan_joint_t": ENCODER,
    "discriminate_s": DISCRIMINATOR,
    "discriminate_t": DISCRIMINATOR,
    "discriminate_pair": DISCRIMINATOR,
    "discriminate_joint": DISCRIMINATOR,
    "gradient_penalty_s": PENALTY,
    "gradient_penalty_t": PENALTY,
    "feature_gan": [((critic(1), ONE), {}, math.log(1 + 1 / E)), ((critic(1), ZERO), {}, 0.0)],
    "discriminate_feature": DOMAIN,
    "domain_adversarial": DOMAIN,
    "weighted_domain_adversarial": [((critic(1), critic(2), torch.ones(3)), o, v) for _, o, v in DOMAIN]
    + [((critic(1), critic(2), 3 * torch.ones(3)), {}, 0.5 * (3 * math.log(1 + 1 / E) + math.log(1 + E**2)))],
    "task_source": TASK,
    "weighted_task_source": [((*t, torch.ones(3)), o, v) for t, o, v in TASK]
    + [((logits(1), LABELS, 2 * torch.ones(3)), {}, 2 * SURE)],
    "task_translated": TASK,
    "task_classifier": [case for case in TASK if not case[1]],
    "semantic_s": AGREEMENT,
    "semantic_t": [
        ((after, before, torch.zeros(3, dtype=torch.long), gate), o, v)
        for (after, before, gate), o, v in AGREEMENT
    ]
    + [
        ((logits(1), logits(5), LABELS, ONE), {"anchor": "label"}, SURE),
        ((logits(1), logits(5), torch.tensor([2, IGNORE, 2]), ONE), {"anchor": "label"}, SURE),
        ((logits(1), logits(5), LABELS, ZERO), {"anchor": "label"}, 0.0),
    ],
    "coral": [((torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1)), {}, 1.0), ((PAIR, PAIR + 3), {}, 0.0)],
    "mmd": [
        ((torch.zeros(2, 1), torch.ones(2, 1)), {"kernels": 1}, 2 - 2 * math.exp(-1.5)),
        ((PAIR, PAIR), {}, 0.0),
    ],
    "jmmd": [
        (
            (torch.zeros(2, 1), torch.ones(2, 1), logits(1)[:2], logits(1)[:2]),
            {"kernels": 1},
            2 - 2 * math.exp(-1.5),
        )
    ],
    "entropy": [((logits(0),), {}, math.log(K)), ((logits(1),), {}, ENTROPY)],
    "robust_entropy": [
        ((logits(0),), {}, (1 + 1e-6) ** 2),
        ((logits(1),), {}, ((ENTROPY / math.log(K)) ** 2 + 1e-6) ** 2),
        ((logits(99),), {"eta": 0.5}, 0.001),
    ],
    "self_training": [
        ((logits(1), logits(9)), {}, SURE),
        ((logits(1), logits(1)), {}, 0.0),
        ((logits(1), logits(1)), {"threshold": 0.0, "target": "probabilities"}, 0.0),
    ],
    "masked_consistency": [
        ((logits(1), logits(1)), {}, SHARE * SURE),
        ((logits(0), logits(99)), {}, math.log(K)),
    ],
    "class_balance": [
        ((logits(0), LABELS), {}, 0.0),
        ((logits(1), LABELS), {}, UNEQUAL),
        # answers as frequent as the labels; labels of class 2 alone, which the answers are not
        ((logits(0), torch.tensor([0, 1, 2, 3, IGNORE])), {"prior": "source"}, 0.0),
        ((logits(1), LABELS), {"prior": "source"}, -(math.log(SHARE) + 3 * math.log(1 - OTHER)) / K),
    ],
    "class_mix_translated": MIXED,
    "class_mix_source": MIXED,
    "patch_nce_s": PATCHES,
    "patch_nce_t": PATCHES,
    "pair_features": [((torch.zeros(2, 3), full(2, 2, 3)), {}, 12.0), ((PAIR, PAIR), {}, 0.0)],
    "task_source_second": TASK,
    # one head is sure of class 2, the other of none: |SHARE - 1/K| once and |OTHER - 1/K| for the rest
    "heads_agree": [
        ((logits(1), logits(0)), {}, (SHARE - OTHER * (K - 1) + (K - 2) / K) / K),
        ((logits(2), logits(2)), {}, 0.0),
    ],
    "heads_disagree": [((logits(1), logits(0)), {}, -(SHARE - OTHER * (K - 1) + (K - 2) / K) / K)],
    "cdan": [
        ((critic(1), critic(2), logits(1), logits(2)), {}, DOMAIN[0][2]),
        ((critic(1), critic(2), logits(1), logits(2)), {"certainty": True}, DOMAIN[0][2]),
    ],
}
"""loss -> [(tensors, options, value by pencil)]."""


def test_every_loss_has_a_closed_form_and_a_loop():
    assert set(CLOSED) == set(losses)
    assert set(NAIVE) == set(losses)


@pytest.mark.parametrize("name", sorted(losses))
def test_every_loss_has_a_docstring(name):
    assert inspect.getdoc(losses[name])


@pytest.mark.parametrize(
    ("name", "tensors", "options", "value"), [(n, *case) for n, cases in CLOSED.items() for case in cases]
)
def test_closed_form(name, tensors, options, value):
    assert losses[name](*tensors, **options).item() == pytest.approx(value, abs=1e-5)


# Naive twins: python numbers, python loops.


def draw(name):  # noqa: PLR0911
    """A random tensor of the kind that the name of a view stands for."""
    if name.startswith("label"):
        return torch.tensor([0, 3, IGNORE, 1, 2, 1])
    if name == "classmix_mask":
        return torch.tensor([True, False, True, True, False, False])
    if name == "importance_weights":
        return 2 * torch.rand(6)
    if name.endswith("gate"):
        return torch.tensor(1.0)
    if name.startswith("features"):
        return torch.randn(6, 5)
    if "logits" in name:
        return 2 * torch.randn(6, K)
    if "critic" in name:
        return 2 * torch.randn(6, 2)
    if name.startswith("score") and "gradient" not in name:
        return 2 * torch.randn(6, 1, 3, 3)
    images = torch.randn(6, 3, 4, 4)
    return images / images.norm(dim=-1, keepdim=True) if name.startswith(("query", "key")) else images


def tensors_of(name, seed=0):
    torch.manual_seed(seed)
    return [draw(n) for n in needs(losses[name])]


VALUES = {
    "mode": MODES,
    "anchor": ("classifier", "soft", "label"),
    "confidence": (0.0, 0.6),
    "smoothing": (0.0, 0.1),
    "certainty": (False, True),
    "threshold": (0.0, 0.6),
    "target": ("label", "probabilities", "summed_probabilities"),
    "eta": (2.0, 0.5),
    "prior": ("uniform", "source"),
    "temperature": (0.07, 0.5),
}


def variants(name):
    """All combinations of option values that a loss takes."""
    defaults = option_defaults(losses[name])
    choices = itertools.product(*(VALUES.get(option, (default,)) for option, default in defaults.items()))
    combined = [dict(zip(defaults, values, strict=True)) for values in choices]
    return [o for o in combined if name != "semantic_s" or o["anchor"] != "label"]


@pytest.mark.parametrize(("name", "options"), [(n, o) for n in sorted(losses) for o in variants(n)])
def test_naive_loop(name, options):
    tensors = tensors_of(name)
    assert losses[name](*tensors, **options).item() == pytest.approx(
        NAIVE[name](*tensors, **options), abs=1e-5
    )


@pytest.mark.parametrize("name", sorted(losses))
def test_no_loss_changes_its_tensors(name):
    tensors = tensors_of(name)  # the labels hold IGNORE
    before = [t.clone() for t in tensors]
    for options in variants(name):
        losses[name](*tensors, **options)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors, strict=True))


@pytest.mark.parametrize(
    ("name", "anchor"),
    [
        ("semantic_t", "classifier"),
        ("semantic_t", "soft"),
        ("semantic_t", "label"),
        ("semantic_s", "classifier"),
        ("semantic_s", "soft"),
    ],
)
def test_no_gradient_reaches_the_anchor(name, anchor):
    tensors = tensors_of(name)
    after, before = tensors[0].requires_grad_(True), tensors[1].requires_grad_(True)
    losses[name](*tensors, anchor=anchor).backward()
    assert before.grad is None
    assert after.grad.abs().sum() > 0


def test_the_confidence_mask_averages_over_the_sure_images_alone():
    before = torch.cat([logits(9), logits(0.1)])
    after = torch.randn(6, K, generator=torch.Generator().manual_seed(0))
    masked = losses["semantic_s"](after, before, ONE, confidence=0.9)
    assert torch.allclose(masked, losses["semantic_s"](after[:3], before[:3], ONE))


def test_a_closed_gate_lets_no_gradient_through():
    after = logits(1).requires_grad_(True)
    losses["semantic_s"](after, logits(5), ZERO).backward()
    assert torch.equal(after.grad, torch.zeros(3, K))


def test_a_soft_anchor_with_impossible_classes_is_finite():
    before = torch.tensor([[200.0, 0.0, 0.0, 0.0]])  # its softmax holds exact zeros
    loss = losses["semantic_s"](torch.zeros(1, K), before, ONE, anchor="soft")
    assert loss.item() == pytest.approx(math.log(K))


def map_of(name, height=3, width=5):
    """A random map of the kind that the name of a view stands for: segmentation's (N, K, H, W), (N, H, W),
    (N, 2, h, w)."""
    if name == "label_s":
        return torch.where(torch.rand(2, height, width) < 0.3, IGNORE, torch.randint(K, (2, height, width)))
    if "logits" in name:
        return 2 * torch.randn(2, K, height, width)
    return 2 * torch.randn(2, 2, height, width) if "critic" in name else ONE


DENSE = [
    "task_source",
    "task_translated",
    "task_classifier",
    "task_source_second",
    "semantic_t",
    "semantic_s",
    "entropy",
    "robust_entropy",
    "heads_agree",
    "heads_disagree",
    "self_training",
    "masked_consistency",
    "class_balance",
    "feature_gan",
    "discriminate_feature",
    "domain_adversarial",
]
"""Losses that count a label map, or a map of a critic's answers, like the list of its pixels."""


@pytest.mark.parametrize(("name", "options"), [(n, o) for n in DENSE for o in variants(n)])
def test_a_map_counts_like_the_loop_over_its_pixels(name, options):
    torch.manual_seed(0)
    maps = [map_of(n) for n in needs(losses[name])]
    assert losses[name](*maps, **options).item() == pytest.approx(
        NAIVE[name](*map(rows_of, maps), **options), abs=1e-5
    )


@pytest.mark.parametrize("name", ["class_mix_translated", "class_mix_source"])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_a_mixed_image_weighs_the_share_of_its_own_pixels_that_the_teacher_is_sure_of(name, threshold):
    torch.manual_seed(0)
    answers, labels, teacher = map_of("logits"), map_of("label_s"), map_of("logits")
    classmix_mask = torch.rand(labels.shape) < 0.4
    tensors = (answers, labels, classmix_mask, teacher)
    lists = [t.flatten(2).movedim(1, -1) if t.dim() == 4 else t.flatten(1) for t in tensors]
    assert losses[name](*tensors, threshold=threshold).item() == pytest.approx(
        naive_class_mix(*lists, threshold), abs=1e-5
    )


def test_no_gradient_of_a_mixed_image_reaches_the_teacher():
    answers, teacher = logit_maps(1, 1).requires_grad_(True), logit_maps(9, 1).requires_grad_(True)
    losses["class_mix_source"](
        answers, torch.full((2, 1, 3), 1), torch.zeros(2, 1, 3, dtype=torch.bool), teacher
    ).backward()
    assert teacher.grad is None
    assert [bool(g.any()) for g in answers.grad] == [True, False]  # of the second image it is sure nowhere


@pytest.mark.parametrize("name", ["discriminate_feature", "domain_adversarial"])
def test_the_domains_count_alike_whatever_the_size_of_their_maps(name):
    torch.manual_seed(0)
    source, target = map_of("critic", 2, 3), map_of("critic", 7, 4)
    assert losses[name](source, target).item() == pytest.approx(
        naive_domains(rows_of(source), rows_of(target)), abs=1e-5
    )


NOTHING = [
    (n, o)
    for n in ("task_source", "task_translated", "task_classifier", "task_source_second")
    for o in variants(n)
]
NOTHING += [("semantic_t", {"anchor": "label", "confidence": c}) for c in (0.0, 0.6)]


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(("name", "options"), NOTHING)
def test_where_nothing_is_labelled_the_loss_and_its_gradient_are_zero(name, options, dense):
    torch.manual_seed(0)
    tensors = [map_of(n) if dense else draw(n) for n in needs(losses[name])]
    tensors = [
        torch.full_like(t, IGNORE) if n == "label_s" else t
        for n, t in zip(needs(losses[name]), tensors, strict=True)
    ]
    answer = tensors[0].requires_grad_(True)
    loss = losses[name](*tensors, **options)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(answer.grad, torch.zeros_like(answer))


def test_smoothing_does_not_count_ignored_labels():
    rows, labels = torch.randn(2, K, generator=torch.Generator().manual_seed(1)), torch.tensor([1, IGNORE])
    both = losses["task_source"](rows, labels, smoothing=0.2)
    assert torch.allclose(both, losses["task_source"](rows[:1], labels[:1], smoothing=0.2))


def test_gradient_penalty_of_a_linear_critic_is_that_of_its_weights():
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1, bias=False))
    weight = torch.linspace(-1, 1, 12)
    linear[1].weight.data = weight[None]
    gradient = discriminator_gradient(linear, torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2))
    assert torch.allclose(gradient, weight.reshape(3, 2, 2).expand(4, 3, 2, 2))
    assert losses["gradient_penalty_t"](gradient).item() == pytest.approx(
        (weight.norm().item() - 1) ** 2, rel=1e-5
    )


def test_gradient_penalty_moves_the_critic_as_the_calculus_says():
    # f(x) = a |x|^2 / 2 has the gradient a x, so d penalty / d a = mean 2 (a |x| - 1) |x|.
    x = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    a = torch.tensor(0.7, requires_grad=True)
    gradient = torch.autograd.grad((a * x.square().flatten(1).sum(1) / 2).sum(), x, create_graph=True)[0]
    losses["gradient_penalty_s"](gradient).backward()
    norm = x.detach().flatten(1).norm(dim=1)
    assert a.grad.item() == pytest.approx((2 * (0.7 * norm - 1) * norm).mean().item(), rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_generator_and_discriminator_pull_a_fake_score_apart(mode):
    score = torch.zeros(2, 1, 3, 3, requires_grad=True)
    up = torch.autograd.grad(losses["gan_t"](score, mode=mode), score)[0]
    down = torch.autograd.grad(losses["discriminate_t"](scores(0), score + 0.1, mode=mode), score)[0]
    assert (up < 0).all()
    assert (down > 0).all()


def test_a_loss_that_changes_a_tensor_is_refused(monkeypatch):
    term = Term("cycle_s")
    monkeypatch.setitem(term.__dict__, "loss", lambda rec_s, real_s: (rec_s - real_s.mul_(2)).mean())
    with pytest.raises(CycadaError, match=r"losses\.cycle_s: the loss changed real_s in place"):
        term(SimpleNamespace(rec_s=torch.ones(1), real_s=torch.ones(1)))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.ones(4), r"torch.float32 of shape \[4\]"),  # its sum would weigh as much as the batch is large
        (torch.ones(()).long(), "torch.int64"),
        (0.5, "0.5"),
        (None, "None"),
    ],
)
def test_a_loss_that_returns_no_single_number_is_refused(value, found, monkeypatch):
    term = Term("cycle_s")
    monkeypatch.setitem(term.__dict__, "loss", lambda rec_s, real_s: value)
    with pytest.raises(CycadaError, match=rf"losses\.cycle_s: the loss returned {found}.*expected one"):
        term(SimpleNamespace(rec_s=torch.ones(1), real_s=torch.ones(1)))


@pytest.mark.parametrize("step", [0, 1, 37, 100])
def test_a_constant_ramp_is_one(step):
    assert Ramp()(step, 100) == 1.0


@pytest.mark.parametrize(("step", "factor"), [(0, 0.0), (5, 0.25), (20, 1.0), (50, 1.0)])
def test_a_linear_ramp(step, factor):
    assert Ramp("linear", steps=20)(step, 100) == pytest.approx(factor)


@pytest.mark.parametrize(("step", "factor"), [(0, 1.0), (5, 0.75), (20, 0.0), (50, 0.0)])
def test_a_falling_ramp(step, factor):
    assert Ramp("fall", steps=20)(step, 100) == pytest.approx(factor)


@pytest.mark.parametrize("gamma", [10.0, 3.0])
@pytest.mark.parametrize("step", [0, 10, 50, 100])
def test_the_dann_ramp_is_a_hyperbolic_tangent(step, gamma):
    # 2 / (1 + exp(-g p)) - 1 = tanh(g p / 2)
    assert Ramp("dann", gamma=gamma)(step, 100) == pytest.approx(math.tanh(gamma * step / 100 / 2))


def test_a_term_multiplies_weight_and_ramp():
    term = Term("cycle_s", 4.0, Ramp("linear", steps=10))
    assert [term.weight_at(step, 100) for step in (0, 5, 10)] == [0.0, 2.0, 4.0]


def test_a_term_needs_the_parameters_of_its_loss():
    assert Term("semantic_t").needs == ("f_s_logits_fake_t", "f_s_logits_real_s", "label_s", "semantic_gate")


@pytest.mark.parametrize(
    ("name", "options", "answers"),
    [
        ("cycle_ss", {}, ("Unknown loss 'cycle_ss'", "Did you mean 'cycle_s'")),
        ("gan_t", {"mod": "lsgan"}, ("losses.gan_t", "unknown option 'mod'", "Did you mean 'mode'")),
        ("gan_t", {"mode": "lsgann"}, ("losses.gan_t.mode", "'lsgann'", "'lsgan'")),
        ("task_source", {"smoothing": "much"}, ("losses.task_source.smoothing", "'much'")),
        ("semantic_s", {"anchor": "label"}, ("losses.semantic_s.anchor", "'label'")),
        ("cycle_s", {"mode": "lsgan"}, ("losses.cycle_s", "unknown option 'mode'")),
    ],
)
def test_a_wrong_term_says_where_and_what_is_near(name, options, answers):
    with pytest.raises(CycadaError) as caught:
        Term(name, options=options)
    assert all(answer in str(caught.value) for answer in answers)


@pytest.mark.parametrize("name", sorted(losses))
def test_a_term_computes_in_float32_whatever_it_is_given(name):
    tensors = tensors_of(name)
    short = [t.bfloat16() if t.is_floating_point() else t for t in tensors]
    tensors = SimpleNamespace(**dict(zip(needs(losses[name]), short, strict=True)))
    with torch.autocast("cpu", torch.bfloat16):
        value = Term(name)(tensors)
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert torch.equal(value, losses[name](*(t.float() if t.is_floating_point() else t for t in short)))


def test_autocast_does_not_reach_into_a_loss():
    # a matrix product is what autocast would shorten
    with losses.temporary():

        @losses("gram")
        def gram(features: torch.Tensor) -> torch.Tensor:
            """Sum of all inner products."""
            return (features @ features.T).sum()

        features = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
        with torch.autocast("cpu", torch.bfloat16):
            value = Term("gram")(SimpleNamespace(features=features))
    assert torch.equal(value, gram(features))
    assert "gram" not in losses


def test_probabilities_are_meant_over_classes_and_the_sum_has_another_name():
    student, teacher = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 3.0, 0.0]])
    squared = (student.softmax(1) - teacher.softmax(1)).square()
    for target, wanted in (("probabilities", squared.mean()), ("summed_probabilities", squared.sum())):
        assert float(
            losses["self_training"](student, teacher, threshold=0.0, target=target)
        ) == pytest.approx(float(wanted))
