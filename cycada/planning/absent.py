"""Search for what a sound config needs and this machine lacks: data, devices, memory and files of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cycada.config.schema import Config
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError
from cycada.core.registry import typed
from cycada.planning.plan import StagePlan
from cycada.planning.rehearsal import memory_of, rehearse
from cycada.planning.tasks import task_of
from cycada.train.device import Device


def find_absent_resources(config: Config, plans: Sequence[StagePlan]) -> list[str]:
    """Return one sentence for each thing that an experiment needs and that this machine lacks.

    These are its data, its device, enough memory, and files of weights. No image is opened, and nothing is
    downloaded. None of them is a mistake in the config: another machine may have them.
    """
    weights = (sentence for plan in plans for sentence in _weights(plan))
    sentences = [*_device(config.device), *_memory(config, plans), *_data(config), *weights]
    return list(dict.fromkeys(sentences))


def _device(name: str) -> Iterator[str]:
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cuda" and count == 0:
        yield f"device: found '{name}', but torch sees no GPU on this machine."
    elif kind == "cuda" and index.isdecimal() and int(index) >= count:
        yield f"device: found '{name}', but torch sees only {count} GPU(s) on this machine, counted from 0."
    elif kind == "mps" and not torch.backends.mps.is_available():
        yield f"device: found '{name}', but this machine has none."


def _memory(config: Config, plans: Sequence[StagePlan]) -> Iterator[str]:
    try:
        available = memory_of(Device.find(config.device).torch_device)
    except CycadaError:
        return  # _device reports that the device is missing
    for plan in plans:
        if (needed := rehearse(config, plan)) > available:
            yield (
                f"stages.{plan.name}: a step takes {needed / 1e9:,.0f} GB of memory at the least, and this "
                f"machine has {available / 1e9:,.0f}. Lower its batch, data.size or crop, or train elsewhere."
            )


def _data(config: Config) -> Iterator[str]:
    for side in ("source", "target"):
        for search in task_of(config).searches(config, side):
            yield from _error_of(side, search)


def _error_of(side: str, find: Callable[[], Any]) -> Iterator[str]:
    """Yield the error that `find` raises, if it raises one."""
    try:
        find()
    except (CycadaError, OSError) as error:
        yield f"data.{side}: {error}"


def _weights(plan: StagePlan) -> Iterator[str]:
    """Yield a sentence for each file of weights that is missing or lacks the network."""
    for role, start in plan.stage.init.items():
        path, sign, wanted = start.partition("#")
        where = f"stages.{plan.name}.init.{role}"
        if not sign or role not in plan.specs:
            continue
        file = typed(path, Home, where)
        if not file.is_file():
            yield f"{where}: there is no file {path}."
            continue
        try:
            with safe_open(file, "pt") as content:
                roles = sorted({key.split(".")[0] for key in content.keys()})  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            yield f"{where}: cannot read {path} ({error})."
            continue
        if wanted not in roles:
            yield f"{where}: {path} holds no network '{wanted}'. It has: {', '.join(roles)}."
    for role, spec in plan.specs.items():
        weights = spec.options.get("weights")
        if (
            isinstance(weights, str)
            and weights != "random"
            and not typed(weights, Home, f"networks.{role}.weights").is_file()
        ):
            yield f"networks.{role}.weights: there is no file {weights}."
