import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from cycada.train.moving_average import MovingAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


def test_moving_average_equals_that_of_timm():
    learning = network()
    ours, timms = MovingAverage(learning, 0.6), ModelEmaV3(learning, decay=0.6, use_warmup=True)
    for step in range(1, 9):  # the warm-up ends in step 4
        learning(torch.randn(4, 1, 5, 5))  # moves the statistics of batch norm
        with torch.no_grad():
            for values in learning.parameters():
                values.add_(torch.randn_like(values))
        ours.update(learning, step)
        timms.update(learning, step=step)
        expected = timms.module.state_dict()
        assert ours.module.state_dict().keys() == expected.keys()
        for name, average in ours.module.state_dict().items():
            assert torch.equal(average, expected[name]), (step, name)


def test_moving_average_starts_as_a_copy_and_leaves_the_network_alone():
    learning = network().train()
    before = {name: values.clone() for name, values in learning.state_dict().items()}
    average = MovingAverage(learning, 0.9)
    assert not average.module.training
    average.update(learning, 1)
    for name, values in learning.state_dict().items():
        assert torch.equal(values, before[name])
        assert torch.equal(average.module.state_dict()[name], values)
