"""Sizes by domain and by stage, windows that are scaled, translation at another scale, rates of heads: what
full recipes need."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers.experiments import tiny_config
from helpers.numbered import Numbered
from helpers.streets import STREETS
from torch import nn

from cycada.config.schema import digest
from cycada.core.errors import CycadaError
from cycada.core.yaml_files import merge
from cycada.data import Crops, segmentation_domains
from cycada.methods.cycada import TaskOptions, enlarged, translated_at
from cycada.networks import Frozen, generators
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.train.device import Device
from cycada.train.schedule import Schedule

BOTH = {"source": [32, 60], "target": [32, 64]}


def scenes(stages, **over):
    return tiny_config(copy.deepcopy(stages), **merge(STREETS, over))


def of_two_sizes(**stage):
    return scenes({"source": {"method": "source_only", "crop": [16, 24], **stage}}, data={"size": BOTH})


def begun(config, name):
    """The training of a stage at step 0, from untrained parents."""
    plans = {p.name: p for p in plan(config)}
    device = Device.find("cpu")
    datasets = load_datasets(config, list(plans.values()), device)
    starts = {}
    for role, start in plans[name].stage.init.items():
        parent, _, parent_role = start.partition(".")
        there = build_training(
            config, plans[parent], datasets.resized_to(config, plans[parent].stage), device, {}
        ).nets
        starts[role] = there.get_submodule(parent_role).state_dict()
    return build_training(config, plans[name], datasets.resized_to(config, plans[name].stage), device, starts)


# Sizes.


def test_each_domain_has_its_size_and_a_stage_may_have_another():
    config = of_two_sizes()
    datasets = load_datasets(config, plan(config), Device.find("cpu"))
    shapes = [
        [tuple(s[split].read(0)[0].shape[1:]) for s in (datasets.source, datasets.target)]
        for split in ("train", "test")
    ]
    assert shapes == [[(32, 60), (32, 64)]] * 2
    stage = config.stages["source"].model_copy(update={"size": (16, 32)})
    smaller = datasets.resized_to(config, stage)
    assert smaller.source["train"].read(0)[0].shape == smaller.target["test"].read(0)[0].shape == (3, 16, 32)
    assert smaller.target["test"].read(0)[1].shape == (64, 128), "masks that are scored stay whole"
    assert datasets.resized_to(config, config.stages["source"]).source["train"] is datasets.source["train"]


def test_a_stage_trains_at_its_own_size():
    stages = {"source": {"method": "source_only"}, "pixel": {"method": "cyclegan", "size": [16, 32]}}
    t = begun(scenes(stages), "pixel")
    assert t.source.draw(0)[0].shape == t.target.draw(0)[0].shape == (2, 3, 16, 32)
    assert t.nets.pool_t.images.shape[1:] == (3, 16, 32)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (
            {"crop": None},
            r"stages\.source\.crop: found none.*data\.size gives source and target different shapes",
        ),
        ({"crop": [32, 62]}, r"expected at most data\.size, \[32, 60\]"),
        ({"size": [16, 24], "crop": [16, 28]}, r"expected at most stages\.source\.size, \[16, 24\]"),
        (
            {"crop": None, "size": [16, 24], "crop_area": [0.5, 1]},
            r"crop_area: found \[0\.5, 1\.0\] without crop",
        ),
        ({"crop_area": [0.9, 0.5]}, r"crop_area: found \[0\.9, 0\.5\]"),
    ],
)
def test_windows_that_do_not_fit_are_refused(stage, message):
    with pytest.raises(CycadaError, match=message):
        plan(of_two_sizes(**stage))


def test_whole_images_have_one_size():
    with pytest.raises(CycadaError, match="only segmentation images are cropped"):
        plan(tiny_config({"source": {"method": "source_only", "size": 8}}))
    with pytest.raises(CycadaError, match="expected one number"):
        plan(tiny_config(data={"size": {"source": [16, 16], "target": [16, 16]}}))


def test_generators_answer_sizes_that_they_do_not_take():
    config = scenes(
        {"pixel": {"method": "cyclegan", "size": {"source": [16, 30], "target": [16, 32]}, "crop": [16, 24]}}
    )
    with pytest.raises(
        CycadaError, match=r"needs stages\.pixel\.size to be divisible by 4; it is \[16, 30\]"
    ):
        begun(config, "pixel")


def test_new_keys_are_in_an_id_only_where_they_are_set():
    def identity(**stage):
        return plan(scenes({"source": {"method": "source_only", **stage}}))[0].identity()

    plain = identity()
    assert not {"size", "crop", "crop_area"} & set(plain)
    area = {"crop": [16, 16], "crop_area": [0.5, 1]}
    changed = [
        identity(**o) for o in ({"size": [16, 32]}, {"crop": [16, 16]}, area, {"optimizer": {"head_lr": 1}})
    ]
    assert len({digest(i) for i in (plain, *changed)}) == 5
    assert TaskOptions().identity() == {}
    assert TaskOptions(translate_at=0.5).identity() == {"translate_at": 0.5}


# Windows that are scaled.


def test_a_window_shows_its_share_of_the_scene():
    """In rows and columns that hold their own number, what a window spans can be read off."""
    crops = Crops(Numbered(size=(60, 120)), (16, 32), seed=0, flip=False, area=(0.25, 0.75))
    shares = []
    for epoch in range(30):
        image, mask, _ = crops[epoch, 1]
        assert (image.shape, mask.shape) == ((3, 16, 32), (16, 32))
        steps = [(float(image[c].max()) - float(image[c].min())) / (n - 1) for c, n in ((0, 16), (1, 32))]
        assert steps[0] == pytest.approx(steps[1], rel=0.1), "proportions are kept"
        shares.append(steps[0] * 16 * steps[1] * 32 / (60 * 120))
    assert 0.2 < min(shares) < 0.4
    assert 0.6 < max(shares) < 0.8


def test_a_window_of_the_whole_area_is_as_large_as_fits():
    image, _, _ = Crops(Numbered(size=(40, 60)), (20, 20), seed=0, flip=False, area=(1, 1))[0, 0]
    assert (int(image[0].min()), int(image[0].max())) in {(0, 39), (0, 38), (1, 38), (1, 39)}
    assert int(image[1].max()) - int(image[1].min()) in (37, 38, 39)  # the outermost are means of two


# Translation at another scale.


class Bright(nn.Module):
    """A generator that remembers what it was shown."""

    multiple_of = 4

    def forward(self, x):
        self.seen = x
        return x * 0.5 + 0.1


@pytest.mark.parametrize(
    ("size", "scale", "seen"),
    [((600, 600), 0.55, (328, 328)), ((30, 41), 1.0, (32, 40)), ((16, 16), 0.1, (4, 4))],
)
def test_images_are_translated_at_a_scale_that_the_generator_takes(size, scale, seen):
    net = Bright()
    images = torch.full((1, 3, *size), 0.4)
    small = translated_at(scale, Frozen(net), images)
    assert net.seen.shape[-2:] == small.shape[-2:] == seen
    out = enlarged(small, images)
    assert out.shape == images.shape
    assert torch.allclose(out, torch.full_like(images, 0.3), atol=1e-5)


def test_only_the_methods_that_say_so_translate_at_a_scale():
    stages = {
        "cycle": {"method": "cyclegan"},
        "task": {"method": "cycada_task", "init": {"g_st": "cycle.g_st"}, "options": {"translate_at": 0.5}},
    }
    t = begun(scenes(stages), "task")
    shapes = []
    t.nets.g_st.net.register_forward_hook(lambda _, given, __: shapes.append(tuple(given[0].shape)))
    tensors = t.tensors(t.nets, t.batch(0), t.options)
    assert tensors.fake_t.shape == (2, 3, 32, 64)
    assert shapes == [(2, 3, 16, 32)]
    stages["cycle"]["options"] = {"translate_at": 0.5}
    with pytest.raises(CycadaError, match="unknown option 'translate_at'"):
        plan(scenes(stages))


# Rates.


def test_poly_falls_as_the_papers_formula():
    schedule = Schedule("poly", after=0.0)
    assert [schedule(k, 100) for k in (0, 50, 99)] == pytest.approx([1, 0.5**0.9, 0.01**0.9])
    assert Schedule("poly", after=0.5)(50, 100) == 1


def test_heads_have_a_rate_of_their_own():
    def rates(**optimizer):
        t = begun(
            scenes(
                {"source": {"method": "source_only", "optimizer": {"name": "sgd", "lr": 0.1, **optimizer}}}
            ),
            "source",
        )
        return t, [
            (g["initial_lr"], sum(p.numel() for p in g["params"])) for g in t.phases[0].optimizer.param_groups
        ]

    t, plain = rates()
    assert plain == [(0.1, sum(p.numel() for p in t.nets.f_t.parameters()))]
    t, two = rates(head_lr=1.0)
    head = sum(p.numel() for p in t.nets.f_t.head.parameters())
    assert two == [(0.1, plain[0][1] - head), (1.0, head)]
    with pytest.raises(CycadaError, match=r"head_lr: no network of the phase 'generators'"):
        begun(scenes({"cycle": {"method": "cyclegan", "optimizer": {"head_lr": 1.0}}}), "cycle")


# What a network has to share with the one that it starts from.


def test_a_network_may_save_memory_where_its_parent_did_not():
    def stages(**options):
        frozen = {"name": "drn26", **options}
        return {
            "source": {"method": "source_only"},
            "pixel": {"method": "cycada_pixel", "init": {"f_s": "source.f_t"}, "networks": {"f_s": frozen}},
        }

    plain, saving = (
        plan(scenes(stages(**o), networks={"f": {"name": "drn26"}})) for o in ({}, {"checkpointing": True})
    )
    assert plain[0].identity() == saving[0].identity()
    with pytest.raises(CycadaError, match="Give both the same network"):
        plan(scenes(stages(), networks={"f": {"name": "small_segmenter"}}))


def test_a_checkpointed_generator_has_the_same_numbers():
    images = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    results = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = generators["resnet"](3, channels=4, blocks=2, norm="batch", checkpointing=checkpointing)
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t
        ):
            loss = net(images).square().mean()
        loss.backward()
        results.append((loss, [p.grad for p in net.parameters()], net.state_dict(), sum(kept)))
    (one, gradients, state, memory), (other, other_gradients, other_state, less) = results
    assert torch.equal(one, other)
    assert all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(gradients, other_gradients, strict=True)
    )
    assert all(torch.equal(v, other_state[k]) for k, v in state.items())
    assert less < memory / 3
    with pytest.raises(CycadaError, match="another dropout"):
        generators["resnet"](3, dropout=0.5, checkpointing=True)


# Domains.


def test_the_new_options_of_domains():
    assert segmentation_domains["cityscapes"](extra=True).unlabelled == "train_extra"
    assert segmentation_domains["cityscapes"]().unlabelled == "train"
    assert segmentation_domains["gta5"](lists="split.mat", test=False).splits == ("train", "official_test")
    assert math.isclose(
        np.prod([1024, 1864]) / np.prod([564, 1024]), (1 / 0.55) ** 2, rel_tol=0.01
    )  # the recipes' translate_at
