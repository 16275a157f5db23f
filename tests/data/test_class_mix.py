"""ClassMix in self-training on scenes: masks and mixtures against naive loops, what students see, and who
learns."""

import math
from collections import Counter

import pytest
import torch
from helpers.experiments import method_stages, tiny_config
from helpers.streets import streets

from cycada.core.errors import CycadaError
from cycada.core.types import IGNORE, Batch, Output
from cycada.data import classmix_mask
from cycada.methods import Networks
from cycada.methods.self_training import SelfTrainingOptions, SelfTrainingTensors
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.train.device import Device
from cycada.train.loop import train

K = 5


def masks(n=6, height=4, width=7, seed=0):
    """Maps that show 1 to K classes, with pixels to ignore."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.randint(i % K + 1, (height, width), generator=g) for i in range(n)])
    return torch.where(torch.rand(labels.shape, generator=g) < 0.2, IGNORE, labels)


def test_half_of_the_classes_of_each_image_are_pasted_whole():
    torch.manual_seed(0)
    labels = masks(40)
    before = labels.clone()
    for label, pasted in zip(labels, classmix_mask(labels, K), strict=True):
        over, under = set(label[pasted].tolist()), set(label[~pasted].tolist()) - {IGNORE}
        assert not over & under
        assert IGNORE not in over
        assert len(over) == math.ceil(len(over | under) / 2)
    assert torch.equal(labels, before)


def test_every_class_and_every_pair_is_drawn_as_often_as_any_other():
    torch.manual_seed(0)
    labels = torch.tensor([[[0, 1, 3, 4]]]).expand(3000, 1, 4)
    found = Counter(tuple(row.nonzero().flatten().tolist()) for row in classmix_mask(labels, K)[:, 0])
    assert len(found) == 6
    assert all(count == pytest.approx(500, abs=80) for count in found.values())


def test_where_nothing_is_labelled_nothing_is_pasted():
    assert not classmix_mask(torch.full((2, 3, 3), IGNORE), K).any()


class Painter(torch.nn.Module):
    """Says of every pixel a function of its colour alone."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.colours = torch.nn.Conv2d(3, K, 1)

    def forward(self, images):
        logits = self.colours(images)
        return Output(logits, logits)


def tensors(jitter=0.0, blur=0.0, seed=0):
    torch.manual_seed(seed)
    batch = Batch(torch.rand(6, 3, 4, 7) - 1, masks(), torch.rand(6, 3, 4, 7))
    nets = Networks({"f_t": Painter(1), "f_teacher": Painter(2), "g_st": torch.nn.Hardtanh(-0.5, 0.5)})
    options = SelfTrainingOptions(rotate=0, scale=0, shear=0, shift=0, jitter=jitter, blur=blur)
    torch.manual_seed(seed)
    return SelfTrainingTensors(nets, batch, options)


def test_images_and_labels_are_mixed_pixel_by_pixel():
    v = tensors()
    said = v.nets.f_teacher(v.real_t).logits.argmax(1)
    for i in range(6):
        for y in range(4):
            for x in range(7):
                over = bool(v.classmix_mask[i, y, x])
                assert v.label_mixed[i, y, x] == (v.label_s if over else said)[i, y, x]
                assert torch.equal(v.mixed_fake_t[i, :, y, x], (v.fake_t if over else v.real_t)[i, :, y, x])
                assert torch.equal(v.mixed_real_s[i, :, y, x], (v.real_s if over else v.real_t)[i, :, y, x])
    assert (v.label_mixed != IGNORE).all()
    assert 0 < v.classmix_mask.float().mean() < 1


def test_the_student_sees_other_colours_and_the_teacher_and_the_labels_do_not():
    changed = ("augmented_t", "mixed_fake_t", "mixed_real_s", "masked_t")
    found = []
    for jitter in (0.0, 0.25):
        v = tensors(jitter)
        found.append(
            {
                name: getattr(v, name)
                for name in ("classmix_mask", "label_mixed", "teacher_logits_real_t", "real_t", *changed)
            }
        )
    plain, seen = found
    assert torch.equal(plain["augmented_t"], plain["real_t"])
    for name in plain:
        assert torch.equal(plain[name], seen[name]) == (name not in changed), name


def test_on_scenes_a_pixel_stays_where_it_is():
    v = tensors(jitter=0.25, blur=1.15)
    v.real_t.fill_(-1)[:, :, 2, 5] = 1  # white on black
    brightest = v.augmented_t.mean(1).flatten(1).argmax(1)
    assert (brightest == 2 * 7 + 5).all()


def planned(**stage):
    stages = {
        "source": {"method": "source_only"},
        "it": {"method": "self_training", "ema": {"f_t": 0.9}, **stage},
    }
    config = streets(stages)
    return config, {p.name: p for p in plan(config)}


SOURCE_ONLY = {"task_translated": 0, "task_source": 1, "self_training": 0, "class_mix_source": 1}


def test_on_scenes_nothing_moves_pixels_and_colours_change():
    options = planned(losses=SOURCE_ONLY)[1]["it"].options
    assert (options.rotate, options.scale, options.shear, options.shift) == (0, 0, 0, 0)
    assert (options.jitter, options.blur) == (0.25, 1.15)
    assert (
        planned(losses=SOURCE_ONLY, options={"jitter": 0, "blur": 0.5, "rotate": 0})[1]["it"].options.blur
        == 0.5
    )
    whole = plan(tiny_config(method_stages("self_training")))[-1].options
    assert (whole.rotate, whole.jitter, whole.blur) == (15, 0, 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_mixing_real_source_scenes_needs_no_translation_and_one_pass_each(precision):
    config, plans = planned(losses=SOURCE_ONLY, precision=precision)
    assert set(plans["it"].specs) == {"f_t"}
    t = build_training(
        config,
        plans["it"],
        load_datasets(config, list(plans.values()), Device.find("cpu")),
        Device.find("cpu"),
        {},
    )
    before = {
        role: {k: v.clone() for k, v in net.state_dict().items()} for role, net in t.nets.named_children()
    }
    calls = Counter()
    for role, net in t.nets.named_children():
        net.register_forward_hook(lambda *_, role=role: calls.update([role]))
    reports = train(t, report_every=1)
    next(reports)
    assert calls == {"f_t": 2, "f_teacher": 1}  # real source scenes, mixed scenes
    assert list(reports)[-1].values["gradient/class_mix_source"] > 0
    assert not all(torch.equal(v, t.nets.f_t.state_dict()[k]) for k, v in before["f_t"].items())


def test_the_loss_moves_the_student_alone():
    config, plans = planned(losses={"class_mix_translated": 1}, init={"g_st": "weights.safetensors#g_st"})
    assert plans["it"].frozen == ("g_st",)
    t = build_training(
        config,
        plans["it"],
        load_datasets(config, list(plans.values()), Device.find("cpu")),
        Device.find("cpu"),
        {},
    )
    v = t.tensors(t.nets, t.batch(0), t.options)
    t.phases[0].terms[-1](v).backward()
    assert t.phases[0].terms[-1].name == "class_mix_translated"
    moved = {role: any(p.grad is not None for p in net.parameters()) for role, net in t.nets.named_children()}
    assert moved == {"f_t": True, "f_teacher": False, "g_st": False}


def test_images_with_one_label_cannot_be_mixed():
    with pytest.raises(CycadaError, match=r"losses.class_mix_source: it needs masks, and 'rendered_digits'"):
        plan(tiny_config(method_stages("self_training", losses={"class_mix_source": 1})))
