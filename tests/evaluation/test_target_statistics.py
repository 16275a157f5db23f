"""Scoring by the target's own batch-norm statistics, which are estimated and change no trained weight."""

import pytest
import torch
from helpers.experiments import tiny_config
from torch import nn

from cycada.core.errors import CycadaError
from cycada.data import ImageDataset, to_float
from cycada.data.readers.rendered_digits import OptDigits
from cycada.evaluation.target_statistics import batch_norms, copy_with_statistics, estimate_statistics
from cycada.methods import Networks
from cycada.methods.batch_statistics import batch_statistics
from cycada.runs.reuse import evaluate_run
from cycada.runs.run import run
from cycada.train.device import Device

CPU = Device(torch.device("cpu"))
STAGES = {"source": {"method": "source_only"}, "dann": {"method": "dann", "init": {"f_t": "source.f_t"}}}


def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4), nn.BatchNorm1d(4)
    )
    return Networks({"f_t": net}).eval()


def images(count, seed=0):
    pixels = torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return ImageDataset(pixels.to(torch.uint8), None)


def naive_statistics(values):
    """Mean and unbiased variance of each channel of (N, C, ...), one value after the other."""
    found = []
    for channel in range(values.shape[1]):
        numbers = [float(v) for v in values[:, channel].flatten()]
        mean = sum(numbers) / len(numbers)
        found.append((mean, sum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1)))
    return torch.tensor(found).T


def test_statistics_are_the_mean_and_variance_over_the_images():
    nets, target = network(), images(20)
    estimate_statistics(nets, nets.f_t, target, CPU)
    net = nets.f_t
    with torch.no_grad():
        first = net[0](to_float(target.sample(20)))
        mean, variance = naive_statistics(first)
        biased = variance * (720 - 1) / 720
        normalised = (first - mean.view(1, -1, 1, 1)) / (biased + 1e-5).sqrt().view(1, -1, 1, 1)
        last_mean, last_variance = naive_statistics(net[4](normalised.relu().flatten(1)))
    torch.testing.assert_close(net[1].running_mean, mean)
    torch.testing.assert_close(net[1].running_var, variance)
    torch.testing.assert_close(net[5].running_mean, last_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net[5].running_var, last_variance, rtol=1e-4, atol=1e-5)


def test_the_first_layers_statistics_do_not_depend_on_the_batches():
    nets, target = network(), images(603)  # three batches of 201
    estimate_statistics(nets, nets.f_t, target, CPU)
    with torch.no_grad():
        values = nets.f_t[0](to_float(target.sample(603))).transpose(0, 1).flatten(1).double()
    torch.testing.assert_close(nets.f_t[1].running_mean.double(), values.mean(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(nets.f_t[1].running_var.double(), values.var(1), rtol=1e-5, atol=1e-6)
    assert all((not m.training, m.momentum) == (True, 0.1) for m in batch_norms(nets))


def test_one_image_has_no_statistics():
    nets = network()
    with pytest.raises(CycadaError, match=r"evaluation\.batch_norm: found 1 target training image"):
        estimate_statistics(nets, nets.f_t, images(1), CPU)


def test_a_copy_is_changed_and_not_the_networks():
    nets = network()
    before = {name: value.clone() for name, value in nets.state_dict().items()}
    copied = copy_with_statistics(nets)
    estimate_statistics(copied, copied.f_t, images(20), CPU)
    assert all(torch.equal(value, before[name]) for name, value in nets.state_dict().items())
    assert not torch.equal(copied.f_t[1].running_mean, nets.f_t[1].running_mean)


def test_a_teacher_by_batch_statistics_keeps_its_own():
    net = network().f_t
    before = {name: value.clone() for name, value in net.state_dict().items()}
    pixels = to_float(images(20).sample(20))
    with torch.no_grad(), batch_statistics(net):
        by_batch = net(pixels)
    torch.testing.assert_close(by_batch.mean(0), net[5].bias.detach(), atol=1e-5, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert not torch.allclose(net(pixels), by_batch)


@pytest.mark.trains
def test_a_stage_is_scored_by_target_statistics_without_training_or_target_labels(tmp_path, monkeypatch):
    stored = run(tiny_config(STAGES, results=str(tmp_path)))
    again = run(tiny_config(STAGES, results=str(tmp_path), evaluation={"batch_norm": "target"}))
    for one, other in zip(stored.stages, again.stages, strict=True):
        assert other.id.partition("-")[0] == one.id
        assert other.id != one.id
        weights = [(s.folder / "weights.safetensors").read_bytes() for s in (one, other)]
        assert weights[0] == weights[1]
        assert one.scores["source"] == other.scores["source"]
    load = OptDigits.load

    def poisoned(self, root, split, download):
        found = load(self, root, split, download)
        return found if split == "test" else ImageDataset(found.images, found.labels.flip(0))

    monkeypatch.setattr(OptDigits, "load", poisoned)
    for stage in again.stages:
        assert evaluate_run(stage.folder)["scores"] == stage.scores
    with pytest.raises(CycadaError, match=r"evaluation\.batch_norm: found target.*=stored"):
        evaluate_run(again.stages[-1].folder, domain="optdigits")


@pytest.mark.trains
def test_without_batch_norm_the_setting_has_no_effect_and_says_so(tmp_path, capsys):
    stages = {"source": {"method": "source_only", "networks": {"f": {"name": "lenet"}}}}
    how = {"data": {"size": 28}, "evaluation": {"batch_norm": "target"}}
    run(tiny_config(stages, results=str(tmp_path), **how))
    assert "evaluation.batch_norm: no network of stage source has batch norm" in capsys.readouterr().err
