"""What a sound config names that is not here: on the machine that trains it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from cycada.config.schema import Config, Spec
from cycada.core.bounds import Home
from cycada.core.errors import CycadaError
from cycada.core.registry import check_options, typed
from cycada.data import domains, scene_domains
from cycada.planning.build import scene_domain
from cycada.planning.plan import StagePlan
from cycada.planning.rehearsal import memory_of, rehearse
from cycada.train.device import Device


def absent(config: Config, plans: Sequence[StagePlan]) -> list[str]:
    """A sentence for each: data, the device, memory, files of weights. No image is opened and nothing is downloaded."""
    weights = (said for plan in plans for said in _weights(plan))
    found = [*_device(config.device), *_memory(config, plans), *_data(config), *weights]
    return list(dict.fromkeys(found))


def _device(name: str) -> Iterator[str]:
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cuda" and count == 0:
        yield f"device: '{name}' is named, but torch sees no GPU here."
    elif kind == "cuda" and index.isdecimal() and int(index) >= count:
        yield f"device: '{name}' is named, but torch sees only {count} here, counted from 0."
    elif kind == "mps" and not torch.backends.mps.is_available():
        yield f"device: '{name}' is named, but it is not there."


def _memory(config: Config, plans: Sequence[StagePlan]) -> Iterator[str]:
    try:
        there = memory_of(Device.find(config.device).torch_device)
    except CycadaError:
        return  # the device is not here: that is said
    for plan in plans:
        if (taken := rehearse(config, plan)) > there:
            yield (
                f"stages.{plan.name}: a step takes {taken / 1e9:,.0f} GB of memory at the least, and this machine has "
                f"{there / 1e9:,.0f}. Lower its batch, data.size or crop, or train elsewhere."
            )


def _data(config: Config) -> Iterator[str]:
    root = config.data.resolved_root()
    for side in ("source", "target"):
        spec: Spec = getattr(config.data, side)
        if spec.name in scene_domains:
            domain = scene_domain(spec, side)
            for split in domain.splits:
                if split in (
                    "train",
                    "test",
                ):  # of a target's training scenes only an oracle wants masks, and it says so when it runs
                    look = domain.images if (side, split) == ("target", "train") else domain.load
                    yield from _said(side, partial(look, root, split))
        elif not config.data.download:
            yield from _said(side, partial(_files, spec, side, root))


def _said(side: str, look: Callable[[], Any]) -> Iterator[str]:
    try:
        look()
    except (CycadaError, OSError) as error:
        yield f"data.{side}: {error}"


def _files(spec: Spec, side: str, root: Path) -> None:
    """Raises CycadaError where a file or folder of a domain of whole images is not there."""
    entry = domains[spec.name]
    domain = entry(**check_options(entry, spec.options, f"data.{side}"))
    named = getattr(domain, "paths", None)
    if isinstance(named, dict):
        if missing := [path for path in named.values() if not (root / path).exists()]:
            raise domain.missing(root, ", ".join(map(str, missing)))
    elif domain.files and not any(glob(str(root / file.split(" ")[0])) for file in domain.files):
        raise domain.missing(root, ", ".join(domain.files))


def _weights(plan: StagePlan) -> Iterator[str]:
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
