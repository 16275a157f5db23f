"""The training of a tiny stage, ready for its first step."""

import torch

from cycada.planning.build import build_training, load_datasets
from cycada.planning.plan import plan
from cycada.train.device import Device
from helpers.experiments import DRAWN, PAIRED, method_stages, tiny_config


def training(method, data=None, **stage):
    """The method's training at step 0, from trained weights where it needs them."""
    config = tiny_config(method_stages(method, **stage), **(DRAWN if method in PAIRED else {}))
    plans = {p.name: p for p in plan(config)}
    device = Device.find("cpu")
    datasets = data or load_datasets(config, list(plans.values()), device)
    starts = {}
    for role, start in plans["it"].stage.init.items():
        if role in plans["it"].specs:
            parent, _, parent_role = start.partition(".")
            nets = build_training(config, plans[parent], datasets, device, {}).nets
            starts[role] = nets.get_submodule(parent_role).state_dict()
    return build_training(config, plans["it"], datasets, device, starts)


def bytes_of(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)
