"""A stage rehearsed before it starts: one whole training step, and one image scored, on tensors that have shapes and no memory.

What fails here would fail at the first step or the first score. What depends on values cannot be known and is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cycada.config.schema import Config, Spec, digest
from cycada.core.errors import CycadaError
from cycada.core.registry import check_options, option_defaults
from cycada.core.types import Batch
from cycada.data import domains, scene_domains
from cycada.methods import TEACHER, Networks
from cycada.networks import NETWORKS, Frozen, kind_of
from cycada.networks.vgg import Vgg
from cycada.planning.build import build_networks
from cycada.planning.plan import StagePlan, is_segmentation
from cycada.train.device import Device
from cycada.train.optimizers import optimizer
from cycada.train.step import submodules, trainable_only

NO_MACHINE = 2e12
"""Bytes of memory that no machine has for one step."""
SWAPPED = 2
"""So many times its memory a machine may get along with, slowly; beyond that a step does not end."""


def rehearse(config: Config, plan: StagePlan, memory: float = NO_MACHINE) -> float:
    """One step of a stage without data, weights or memory. -> the bytes that it takes at the least.

    memory: the bytes that there are. Raises CycadaError that names the stage, the network and what to change.
    """
    key = digest(
        [
            config.model_dump(
                mode="json", exclude={"name", "seed", "results", "tracking", "logging", "stages"}
            ),
            plan.identity(),
        ]
    )
    if key not in _TAKEN:
        _TAKEN[key] = _taken(config, plan)
    if (taken := _TAKEN[key]) > SWAPPED * memory:
        raise CycadaError(
            f"stages.{plan.name}: a step takes {taken / 1e9:,.0f} GB of memory at the least, and there are {memory / 1e9:,.0f}. Lower "
            f"its batch, {'its crop, ' if is_segmentation(config) else ''}data.size, or the channels of its networks."
        )
    return taken


_TAKEN: dict[str, float] = {}
"""What was rehearsed in this process already, as a sweep's cells are."""


def _taken(config: Config, plan: StagePlan) -> float:
    specs = {role: _from_scratch(spec, role) for role, spec in plan.specs.items()}
    bare = replace(plan, specs=specs, stage=plan.stage.model_copy(update={"compile": False}))
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        rehearsal = _Rehearsal(config, bare)
        pools = _bytes(rehearsal.nets.buffers())
        for role in plan.pools:
            rehearsal.nets.add_module(role, nn.Identity())
        taken = pools + rehearsal.train()
        rehearsal.score()
    return taken


def memory_of(device: torch.device) -> float:
    """Bytes of memory that a device has in all."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


class _Rehearsal:
    """The networks of a stage without memory, and what is done with them."""

    def __init__(self, config: Config, plan: StagePlan) -> None:
        self.config, self.plan, self.device = config, plan, Device(torch.device("meta"))
        self.shape = (config.data.channels, *config.window(plan.stage))
        self.nets = Networks({})
        with self.explained("its networks cannot be built"):
            self.nets = build_networks(config, plan, classes_of(config), self.device, {})
        wanted = "every pixel" if is_segmentation(config) else "the whole image"
        with self.explained(f"its classifier gives no answer for {wanted}, which the data ask for"):
            self.check_answers()
        if plan.has_teacher:
            self.nets.add_module(TEACHER, Frozen(self.nets.f_t))

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """What goes wrong inside becomes a CycadaError that says so; what needs values is passed over."""
        try:
            yield
        except CycadaError:
            raise
        except Exception as error:
            if "meta" in str(error).lower():
                return  # there are no values to look at
            raise CycadaError(f"stages.{self.plan.name}: {what}. {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        found = " ".join(str(error).split())[:300]
        role = self._where(error)
        spec = self.plan.specs.get(role.split(".")[0])
        net = f"{role} ({spec.name})" if spec else role
        if "more than 1 value per channel" in found:
            return (
                f"Found batch: {self.plan.stage.batch}, and {net or 'a network'} has batch normalization of one value per channel, which "
                f"needs at least 2 images. Set stages.{self.plan.name}.batch to 2 or more, or take a network without it."
            )
        size = " x ".join(map(str, self.shape[1:]))
        if "more than 1 spatial element" in found:
            return (
                f"On {size} pixels nothing but one pixel is left in {net}, which instance normalization cannot take. Enlarge "
                + self.sizes
            )
        if net and any(
            hint in found
            for hint in (
                "too small",
                "Kernel size can't be greater",
                "Padding size should be less",
                "negative",
            )
        ):
            return f"{net} is too deep for {size} pixels ({found}). Enlarge {self.sizes}, or give it fewer layers."
        return f"{f'In {net}: ' if net else ''}{type(error).__name__}: {found}"

    @property
    def sizes(self) -> str:
        stage = self.plan.stage
        return (
            f"stages.{self.plan.name}.crop"
            if stage.crop
            else f"stages.{self.plan.name}.size"
            if stage.size
            else "data.size"
        )

    def _where(self, error: Exception) -> str:
        """The role of the network in whose code an exception was raised, '' where none was."""
        owners = {id(module): role for role, net in self.nets.named_children() for module in net.modules()}
        role, trace = "", error.__traceback__
        while trace:
            role = owners.get(id(trace.tb_frame.f_locals.get("self")), role)
            trace = trace.tb_next
        return role

    def images(self, count: int, pictures: int = 1) -> Tensor:
        return torch.zeros(count, pictures * self.shape[0], *self.shape[1:])

    def batch(self) -> Batch:
        count = self.plan.stage.batch
        labels = torch.zeros(
            count, *(self.shape[1:] if is_segmentation(self.config) else ()), dtype=torch.long
        )
        more = {"fake_t": self.images(count)} if self.plan.stage.translate == "once" else {}
        if self.plan.asks_for("pair_t"):
            more["pair_t"] = self.images(count)
        return Batch(self.images(count), labels, self.images(count), **more)

    def check_answers(self) -> None:
        """One label for an image, or one for every pixel."""
        scenes = is_segmentation(self.config)
        for role, net in self.nets.named_children():
            if kind_of(role) != "f" or role in self.plan.method.tensors.feature_extractors:
                continue
            with torch.no_grad():
                found = net.eval()(self.images(1)).logits
            if found.ndim != (4 if scenes else 2):
                has, need = (
                    ("for every pixel", "for the whole image")
                    if found.ndim == 4
                    else ("for the whole image", "for every pixel")
                )
                raise CycadaError(
                    f"networks.f: '{self.plan.specs[role].name}' answers {has}; the data of stages.{self.plan.name} need it {need}."
                )

    def train(self) -> float:
        """Every phase's terms and their gradients. -> bytes of the dearest phase."""
        plan, nets = self.plan, self.nets
        nets.train()
        tensors = plan.method.tensors(nets, self.batch(), plan.options)
        weights, most = _bytes(nets.parameters()), 0.0
        for phase in plan.phases:
            with self.explained(f"optimizers.{phase.name} cannot be made"):
                optimizer(phase.optimizer, submodules(phase.trains, nets), phase.name)
            held = _Held()
            with trainable_only(phase.trains, nets) as parameters, held:
                values: list[Tensor] = []
                for term in phase.terms:
                    with self.explained(f"the loss {term.name} cannot be computed"):
                        values.append(term(tensors))
                if learnt := [v for v in values if v.requires_grad]:
                    with self.explained(f"phase {phase.name} cannot learn"):
                        torch.stack(learnt).sum().backward()
            most = max(most, weights + 2 * _bytes(parameters) + held.bytes)
            nets.zero_grad(set_to_none=True)
            tensors = tensors.detached()
        return most

    def score(self) -> None:
        """An image through what is scored, at the size at which it is."""
        self.nets.eval()
        shapes = self.config.shapes(self.plan.stage)
        if self.plan.stage.translate == "once":  # whole scenes, larger than the windows
            with self.explained("the source's training images cannot be translated"), torch.no_grad():
                whole = torch.zeros(1, self.shape[0], *shapes["source"])
                tensors: Any = self.plan.method.tensors(
                    self.nets, Batch(whole, torch.empty(0), whole), self.plan.options
                )
                _ = tensors.fake_t
        ways: dict[str, Callable[[Tensor], Tensor]] = {}
        with self.explained("it cannot be scored"):
            ways = self.plan.method.classifiers(self.nets) if classes_of(self.config) else {}
        for side, classify in ways.items():
            shape = self.plan.evaluation.window or shapes[side]
            with (
                self.explained(
                    f"a test image of the {side} ({' x '.join(map(str, shape))}) cannot be scored"
                ),
                torch.no_grad(),
            ):
                classify(torch.zeros(1, self.shape[0], *shape))


def classes_of(config: Config) -> int:
    """How many classes there are, as far as a config says it: 2 where the data will."""
    found: Any = None
    for side in ("source", "target"):
        spec = getattr(config.data, side)
        entry: Any = domains[spec.name] if spec.name in domains else scene_domains[spec.name]
        domain = entry(**check_options(entry, spec.options, f"data.{side}"))
        if names := tuple(getattr(domain, "classes", ())):
            return len(names)
        found = domain if found is None else found
    return 2 if getattr(found, "labelled", True) else 0


class _Held(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes that are kept for the backward pass, every storage once."""

    def __init__(self) -> None:
        self.bytes, self._seen = 0.0, set[int]()
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter) and storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self.bytes += storage.nbytes()
        return tensor


def _bytes(tensors: Any) -> float:
    return float(sum(t.numel() * t.element_size() for t in tensors))


def _from_scratch(spec: Spec, role: str) -> Spec:
    """The same network without the file, or the download, that it would start from."""
    factory = NETWORKS["f" if kind_of(role) == "head" else kind_of(role)][spec.name]
    defaults = option_defaults(factory)
    if not spec.options.get("weights") and not spec.options.get("pretrained", defaults.get("pretrained")):
        return spec
    start = "random" if isinstance(factory, type) and issubclass(factory, Vgg) else None
    return Spec(
        **{**spec.model_dump(), "weights": start}
        | ({"pretrained": False} if "pretrained" in defaults else {})
    )
