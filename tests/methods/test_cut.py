"""CUT: what the generator shows of itself, which patches are compared, and what is computed once."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from helpers.experiments import tiny_config
from helpers.training import training

from cycada.core.errors import CycadaError
from cycada.core.types import Batch
from cycada.losses import losses
from cycada.methods import Networks
from cycada.methods.cut import CutOptions, CutTensors
from cycada.networks import generators, patch_heads
from cycada.planning.plan import plan
from cycada.train.loop import train

IMAGES = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def generator(**options):
    torch.manual_seed(0)
    return generators["resnet"](3, **{"channels": 4, "blocks": 3} | options)


def tensors(options=None, **over):
    g = generator(**over)
    torch.manual_seed(1)
    nets = Networks({"g_st": g, "h_st": patch_heads["mlp"](g.widths, width=8)})
    return CutTensors(
        nets,
        Batch(IMAGES, torch.zeros(2, dtype=torch.long), IMAGES.flip(0)),
        options or CutOptions(patches=5),
    )


def passes(nets):
    """What of the generator runs: its first layer (an encoder), its last (a decoder)."""
    calls = Counter()
    for name, layer in (("encode", nets.g_st.body[0]), ("decode", nets.g_st.body[-1])):
        layer.register_forward_hook(lambda *_, name=name: calls.update([name]))
    return calls


# The generator in two halves.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "none"},
        {"norm": "batch"},
        {"checkpointing": True},
        {"norm": "none", "checkpointing": True},
        {"blocks": 0},
        {"blocks": 1, "downs": 1},
        {"blocks": 2, "downs": 0},
        {"up": "resize"},
    ],
)
def test_the_two_halves_are_the_forward_and_have_its_gradient(options):
    g = generator(**options)
    expected = g(IMAGES)
    expected.square().mean().backward()
    gradients = [p.grad.clone() for p in g.parameters()]
    g.zero_grad()
    maps = g.encode(IMAGES)
    kept = [m.detach().clone() for m in maps]
    found = g.decode(maps[-1])
    found.square().mean().backward()
    assert torch.allclose(found, expected, atol=1e-6)
    assert all(
        torch.allclose(p.grad, before, atol=1e-6) for p, before in zip(g.parameters(), gradients, strict=True)
    )
    assert tuple(m.shape[1] for m in maps) == g.widths
    assert all(
        torch.equal(a, b) for a, b in zip(maps, kept, strict=True)
    )  # nothing behind works on them in place


@pytest.mark.parametrize(
    ("blocks", "places"), [(9, (10, 14)), (6, (10, 12)), (3, (10, 11)), (2, (10,)), (1, (10,))]
)
def test_the_layers_are_those_of_the_paper(blocks, places):
    """The pixels, the downsampling convolutions at 3 and 6, the first residual block, at 9, and the middle
    one: the 5th of 9."""
    g = generator(blocks=blocks)
    assert g.cuts == (0, 4, 7, *places)
    maps = g.encode(IMAGES)
    for cut, seen in zip(g.cuts, maps, strict=True):
        assert torch.allclose(seen, g.body[:cut](IMAGES), atol=1e-6)


# Patches.


def test_a_head_answers_for_each_place_as_the_naive_loop():
    g = generator()
    heads = patch_heads["mlp"](g.widths, width=8)
    maps = g.encode(IMAGES)
    places = [torch.tensor([0, 3, 7])] * len(maps)
    answers = heads(maps, places)
    assert answers.shape == (len(maps), 2, 3, 8)
    for layer, seen in enumerate(maps):
        width = seen.shape[-1]
        for image in range(2):
            for s, at in enumerate(places[layer].tolist()):
                patch = seen[image, :, at // width, at % width]
                assert torch.allclose(
                    answers[layer, image, s], F.normalize(heads.heads[layer](patch), dim=0), atol=1e-6
                )


def test_places_are_distinct_follow_the_seed_of_the_step_and_fit_the_smallest_map():
    one = tensors(CutOptions(patches=999)).places_s
    v = tensors()
    torch.manual_seed(6)
    other = v.places_s
    assert [len(at) for at in one] == [4 * 6] * 5  # a quarter of 16 x 24
    assert [len(at) for at in other] == [5] * 5
    assert all(len(set(at.tolist())) == len(at) for at in [*one, *other])
    assert max(one[0]) > 4 * 6  # of the pixels, all may be drawn
    v = tensors()
    torch.manual_seed(6)
    assert all(torch.equal(a, b) for a, b in zip(v.places_s, other, strict=True))
    assert not torch.equal(v.places_s[0], v.places_t[0])


def test_a_generator_that_changes_nothing_has_queries_that_are_its_keys():
    v = tensors()
    v.nets.g_st.decode = lambda encoded: IMAGES
    assert torch.allclose(v.query_fake_t, v.key_real_s)
    assert not v.key_real_s.requires_grad
    right = losses["patch_nce_s"](v.query_fake_t, v.key_real_s)
    assert right < losses["patch_nce_s"](v.query_fake_t, v.key_real_s.roll(1, 2))


def test_no_gradient_reaches_a_key():
    query, key = (F.normalize(torch.randn(2, 1, 4, 3), dim=-1).requires_grad_(True) for _ in range(2))
    losses["patch_nce_s"](query, key).backward()
    assert key.grad is None
    assert query.grad.abs().sum() > 0


def test_other_images_of_the_batch_are_no_negatives():
    torch.manual_seed(0)
    query, key = (F.normalize(torch.randn(3, 4, 6, 5), dim=-1) for _ in range(2))
    alone = [losses["patch_nce_t"](query[:, i : i + 1], key[:, i : i + 1]) for i in range(4)]
    assert torch.allclose(losses["patch_nce_t"](query, key), torch.stack(alone).mean())


# Flip equivariance.


def test_a_mirrored_step_compares_the_same_places(monkeypatch):
    """With a generator that knows no direction, whose map is the mirrored map of a mirrored image, nothing
    changes."""
    found = {}
    for flipped in (False, True):
        monkeypatch.setattr(CutTensors, "flipped", flipped)
        v = tensors(downs=0)
        for layer in v.nets.g_st.body.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = (layer.weight.data + layer.weight.data.flip(-1)) / 2
        torch.manual_seed(2)
        found[flipped] = (v.fake_t, v.idt_t, v.query_fake_t, v.key_real_s, v.query_idt_t, v.key_real_t)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found.values(), strict=True))


def test_the_coin_falls_on_both_sides_and_only_where_it_is_asked_for():
    v, fast = tensors(), CutOptions(flip_equivariance=True)
    assert not v.flipped
    sides = set()
    for seed in range(20):
        torch.manual_seed(seed)
        sides.add(CutTensors(v.nets, v.batch, fast).flipped)
    assert sides == {False, True}


# In a stage.


@pytest.mark.parametrize(
    ("method", "losses_of", "encoders", "decoders"),
    [
        ("cut", {}, 4, 2),  # of both real images, of the translation and of the identity
        ("cut", {"patch_nce_t": 0}, 2, 1),
        ("cut", {"patch_nce_s": 0, "patch_nce_t": 0}, 1, 1),
    ],
)
def test_the_encoder_runs_once_for_each_image(method, losses_of, encoders, decoders):
    t = training(method, losses=losses_of)
    calls = passes(t.nets)
    next(train(t, report_every=1))
    assert (calls["encode"], calls["decode"]) == (encoders, decoders)
    assert ("h_st" in t.nets) == bool(encoders > 1)


def test_generator_and_heads_learn_the_contrast():
    t = training("cut", losses={"gan_t": 0}, steps=40, batch=4)
    reports = list(train(t, report_every=8, gradients=False))
    assert reports[-1].values["loss/patch_nce_s"] < 0.9 * reports[0].values["loss/patch_nce_s"]


def test_half_precision_hands_a_gradient_to_heads_and_generator():
    t = training("fastcut", precision="bf16")
    before = {name: p.detach().clone() for name, p in t.nets.named_parameters()}
    list(train(t, report_every=1))
    for name, p in t.nets.named_parameters():
        assert not torch.equal(before[name], p) or "bias" in name, name


def test_the_papers_weights():
    def weights(method):
        phases = plan(tiny_config({"it": {"method": method}}))[0].phases
        return {term.name: term.weight for term in phases[0].terms}

    assert weights("cut") == {"gan_t": 1, "patch_nce_s": 1, "patch_nce_t": 1}
    assert weights("fastcut") == {"gan_t": 1, "patch_nce_s": 10}


def test_a_generator_that_shows_nothing_of_its_inside_is_refused():
    with pytest.raises(CycadaError, match=r"networks\.g.*resnet"):
        training("cut", networks={"g": {"name": "unet", "channels": 4, "downs": 2}})
