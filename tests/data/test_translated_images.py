"""`translate: once` on images with one label each: in memory, the same pictures as on the fly, every image
through g_st once."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.experiments import CYCADA, tiny_config
from torch import nn

from cycada.core.interrupt import Interrupted
from cycada.core.progress import Progress
from cycada.data import ImageDataset, to_bytes, to_float
from cycada.networks import Frozen
from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.runs.pretranslate import BATCH, translate_once
from cycada.runs.run import run
from cycada.train.device import Device
from cycada.train.loop import train

pytestmark = pytest.mark.trains

CPU, SCREEN = Device.find("cpu"), Progress(quiet=True)
ONCE = {
    name: {**stage, **({"translate": "once"} if name in ("task", "feature") else {})}
    for name, stage in CYCADA.items()
}
HALF_A_STEP = 0.5 / 127.5 + 1e-6


class Darker(nn.Module):
    """Counts the images that it has seen; `at` raises a signal with that image."""

    def __init__(self, at=None):
        super().__init__()
        self.share, self.seen, self.at = nn.Parameter(torch.tensor(0.5)), 0, at

    def forward(self, images):
        self.seen += len(images)
        if self.at is not None and self.seen >= self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return images * self.share - 0.5


def task_training(stages, **over):
    config = tiny_config(stages, **over)
    plans = {p.name: p for p in plan(config)}
    datasets = load_datasets(config, list(plans.values()), CPU)
    f_s = build_training(config, plans["source"], datasets, CPU, {}).nets.f_t.state_dict()
    g_st = build_training(config, plans["pixel"], datasets, CPU, {"f_s": f_s}).nets.g_st.state_dict()
    once = partial(translate_once, Path("nowhere"), plans["task"], CPU, SCREEN)
    return build_training(config, plans["task"], datasets, CPU, {"g_st": g_st}, once), datasets


def fake_t(training, step):
    with torch.no_grad():
        return training.tensors(training.nets, training.batch(step), training.options).fake_t


def some_images(count, labels=True):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, 6, 6), generator=g, dtype=torch.uint8)
    return ImageDataset(images, torch.arange(count) % 10 if labels else None)


def test_it_is_the_translation_on_the_fly_to_half_a_grey_level():
    (fly, _), (once, datasets) = task_training(CYCADA), task_training(ONCE)
    for step in range(3):
        one, two = fly.batch(step), once.batch(step)
        assert torch.equal(one.real_s, two.real_s)
        assert torch.equal(one.label_s, two.label_s)
        assert one.fake_t is None
        assert fake_t(fly, step).std() > 0.01
        assert (fake_t(fly, step) - fake_t(once, step)).abs().max() <= HALF_A_STEP
    images = datasets.source["train"].images
    assert torch.equal(once.source.examples.images, images)
    with torch.no_grad():
        assert torch.equal(
            once.source.examples.partners[5:9], to_bytes(once.nets.g_st(to_float(images[5:9])))
        )
    for training in (fly, once):
        list(train(training))
    for name, weight in fly.nets.f_t.state_dict().items():
        assert torch.allclose(weight.float(), once.nets.f_t.state_dict()[name].float(), atol=2e-3), name


def test_affine_maps_fall_on_image_and_translation_alike():
    class Same(nn.Module):
        def forward(self, images):
            return images

    training, _ = task_training(ONCE, defaults={"augment": {"rotate": 15, "scale": 0.2, "shift": 0.1}})
    training.source.examples = translate_once(
        Path("nowhere"), plan(tiny_config(ONCE))[2], CPU, SCREEN, Same(), some_images(40)
    )
    plain = to_float(training.source.examples.images[training.source.indices(0)])
    batch = training.batch(0)
    assert torch.equal(batch.fake_t, batch.real_s)
    assert not torch.equal(batch.real_s, plain)


@pytest.mark.parametrize("labels", [True, False])
def test_every_image_goes_through_g_st_once_and_keeps_its_place(labels):
    task = next(p for p in plan(tiny_config(ONCE)) if p.name == "task")
    source, g = some_images(2 * BATCH + 3, labels), Darker()
    found = translate_once(Path("nowhere"), task, CPU, SCREEN, Frozen(g), source)
    assert g.seen == len(source)
    assert torch.equal(found.images, source.images)
    assert torch.equal(found.partners, to_bytes(to_float(source.images) * 0.5 - 0.5))
    assert found.labels is source.labels
    assert not Path("nowhere").exists()


def test_ctrl_c_is_heard():
    task = next(p for p in plan(tiny_config(ONCE)) if p.name == "task")
    g = Darker(at=1)
    with pytest.raises(Interrupted, match="Stopped while stage 'task' translated"):
        translate_once(Path("nowhere"), task, CPU, SCREEN, Frozen(g), some_images(3 * BATCH))
    assert g.seen == BATCH


def test_a_stage_that_translates_once_is_another_stage(tmp_path, finished):
    """Source and pixel are taken from the run that translates on the fly."""
    summary, results = finished[0], shutil.copytree(finished[1], tmp_path / "results")
    once = run(tiny_config(ONCE, results=str(results)))
    assert [s.reused for s in once.stages] == [True, True, False, False]
    assert [s.id for s in once.stages][2:] != [s.id for s in summary.stages][2:]
