import pytest
import torch
from torch import nn

from cycada.train.optimizers import build_optimizer


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"name": "adam", "lr": 0.1, "betas": (0.5, 0.9)}, torch.optim.Adam),
        ({"name": "adamw", "lr": 0.1, "weight_decay": 0.1}, torch.optim.AdamW),
        ({"name": "sgd", "lr": 0.1, "momentum": 0.9}, torch.optim.SGD),
    ],
)
def test_build_optimizer_steps_like_torch(settings, kind):
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    fused = {} if kind is torch.optim.SGD else {"fused": True}
    optimizer = build_optimizer(settings, [ours], "task")
    expected = kind(theirs.parameters(), **{k: v for k, v in settings.items() if k != "name"}, **fused)
    assert isinstance(optimizer, kind)
    for step in range(4):
        if step == 2:  # and goes on from a saved state
            resumed = build_optimizer(settings, [ours], "task")
            resumed.load_state_dict(optimizer.state_dict())
            optimizer = resumed
        x = torch.randn(5, 3)
        for network, its in ((ours, optimizer), (theirs, expected)):
            its.zero_grad()
            network(x).square().sum().backward()
            its.step()
            assert all(p.grad is not None and not p.grad.requires_grad for p in network.parameters())
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.bias, theirs.bias)
