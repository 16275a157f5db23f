"""Rehearsal of a stage before it starts: one training step and one prediction without its data.

A small step is computed on the CPU, with a few images of its batch. A larger one is made of meta tensors,
which have shapes but no memory; for these PyTorch imports its compiler, which takes longer than a small step.
What fails here would fail at the first step or the first score; what depends on values is unknown on meta
tensors, and skipped there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cycada.config.schema import Config, digest
from cycada.core.errors import CycadaError
from cycada.core.types import Batch
from cycada.methods import TEACHER, Networks
from cycada.networks import ClassShares, FeatureQueue, Frozen, kind_of
from cycada.planning.build import build_networks, spec_from_scratch
from cycada.planning.plan import StagePlan
from cycada.planning.tasks import task_of
from cycada.train.device import Device
from cycada.train.optimizers import check_optimizer
from cycada.train.step import require_gradient, submodules, trainable_only

NO_MACHINE = 2e12
"""Bytes of memory that no machine has for one step."""
IMAGES = 4
"""Number of images of a step that is computed; what needs more than one, such as batch norm, has enough."""
FEW = 2**18
"""Number of pixels of a rehearsed batch up to which a step may be small."""
SMALL = 2e10
"""Number of parameters times pixels of a rehearsed batch up to which a step is computed in about a second."""
SWAPPED = 2
"""Multiple of its memory that a machine can use, slowly, by swapping; with more, a step does not end."""


def rehearse(config: Config, plan: StagePlan, memory: float = NO_MACHINE) -> float:
    """Run one step of a stage without data, weights or memory, and return the bytes that it takes at least.

    Args:
        config: The experiment.
        plan: The stage.
        memory: Bytes of memory that are available.

    Raises:
        CycadaError: The step would fail; the message names the stage, the network, and what to change.
    """
    key = digest(
        [
            config.model_dump(
                mode="json", exclude={"name", "seed", "results", "tracking", "logging", "stages"}
            ),
            plan.identity(),
        ]
    )
    if key not in _BYTES:
        _BYTES[key] = _rehearse(config, plan)
    if (needed := _BYTES[key]) > SWAPPED * memory:
        raise CycadaError(
            f"stages.{plan.name}: a step takes {needed / 1e9:,.0f} GB of memory at the least, and there are "
            f"{memory / 1e9:,.0f}. Lower its batch, "
            f"{task_of(config).memory_keys}data.size, or the channels of its networks."
        )
    return needed


_BYTES: dict[str, float] = {}
"""Hash of a stage to its bytes; a process rehearses equal stages, such as those of a sweep, once."""


def _rehearse(config: Config, plan: StagePlan) -> float:
    """Run the rehearsal and return the bytes of the training step."""
    plan = from_scratch(plan)
    with torch.random.fork_rng(devices=[]):
        if _pixels(config, plan) <= FEW:
            rehearsal = _Rehearsal(config, plan, torch.device("cpu"))
            if _pixels(config, plan) * sum(p.numel() for p in rehearsal.nets.parameters()) <= SMALL:
                with one_thread():
                    return rehearsal.run()
        with torch.device("meta"):
            return _Rehearsal(config, plan, torch.device("meta")).run()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in a `with` block: for a small step, more cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pixels(config: Config, plan: StagePlan) -> int:
    """Return the number of pixels of a rehearsed batch, or of a test image where that is larger."""
    shapes = [*config.shapes(plan.stage).values(), plan.evaluation.window or (0, 0)]
    window = config.window(plan.stage)
    return max(
        min(plan.stage.batch, IMAGES) * window[0] * window[1], *(height * width for height, width in shapes)
    )


def memory_of(device: torch.device) -> float:
    """Return the memory of a device in bytes, free or not."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


class _Rehearsal:
    """Networks of a stage on a device, with one training step and one prediction on them."""

    def __init__(self, config: Config, plan: StagePlan, device: torch.device) -> None:
        self.config, self.plan, self.device = config, plan, Device(device)
        self.shape = (config.data.channels, *config.window(plan.stage))
        self.count = plan.stage.batch if device.type == "meta" else min(plan.stage.batch, IMAGES)
        self.nets = Networks({})
        with self.explained("its networks cannot be built"):
            self.nets = build_networks(config, plan, classes_of(config), self.device, {})
        if plan.has_teacher:
            self.nets.add_module(TEACHER, Frozen(self.nets.f_t))

    def run(self) -> float:
        """Predict, take a step and score, and return the bytes that the step takes."""
        pools = _bytes(self.nets.buffers())
        for role in self.plan.pools:
            self.nets.add_module(role, self._empty(self.nets.get_submodule(role)))
        self.check_predictions()
        needed = pools + self.train()
        self.score()
        return needed

    def _empty(self, store: nn.Module) -> nn.Module:
        """Return what stands for a store in a rehearsal: it stores nothing and takes no memory."""
        if isinstance(store, ClassShares):
            return store  # a few numbers
        if isinstance(store, FeatureQueue):
            return FeatureQueue(0, store.rows.shape[1], len(store.shares)).to(self.device.torch_device)
        return nn.Identity()

    @contextmanager
    def explained(self, what: str) -> Iterator[None]:
        """Turn an error in a `with` block into a CycadaError; ignore those that only meta tensors raise."""
        try:
            yield
        except CycadaError:
            raise
        except Exception as error:
            if self.device.torch_device.type == "meta" and "meta" in str(error).lower():
                return  # a meta tensor has no values
            raise CycadaError(f"stages.{self.plan.name}: {what}. {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        """Return what is wrong and what to change, for an exception of PyTorch."""
        text = " ".join(str(error).split())[:300]
        role = self._where(error)
        spec = self.plan.specs.get(role.split(".")[0])
        net = f"{role} ({spec.name})" if spec else role
        if "more than 1 value per channel" in text:
            return (
                f"Found batch: {self.plan.stage.batch}, and {net or 'a network'} has batch normalization of "
                f"one value per channel, which needs at least 2 images. Set stages.{self.plan.name}.batch to "
                f"2 or more, or take a network without it."
            )
        size = " x ".join(map(str, self.shape[1:]))
        if "more than 1 spatial element" in text:
            return (
                f"At {size} pixels {net} has maps of a single pixel, on which instance normalization is not "
                f"defined. Enlarge " + self.sizes
            )
        if net and any(
            hint in text
            for hint in (
                "too small",
                "Kernel size can't be greater",
                "Padding size should be less",
                "negative",
            )
        ):
            return (
                f"{net} is too deep for {size} pixels ({text}). Enlarge {self.sizes}, or give it "
                "fewer layers."
            )
        return f"{f'In {net}: ' if net else ''}{type(error).__name__}: {text}"

    @property
    def sizes(self) -> str:
        """Path of the key that sets the size of the stage's images."""
        stage = self.plan.stage
        return (
            f"stages.{self.plan.name}.crop"
            if stage.crop
            else f"stages.{self.plan.name}.size"
            if stage.size
            else "data.size"
        )

    def _where(self, error: Exception) -> str:
        """Return the role of the network in whose code an exception was raised, or '' for none."""
        owners = {id(module): role for role, net in self.nets.named_children() for module in net.modules()}
        role, trace = "", error.__traceback__
        while trace:
            role = owners.get(id(trace.tb_frame.f_locals.get("self")), role)
            trace = trace.tb_next
        return role

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of the label of one training image."""
        return task_of(self.config).label_shape(self.config.window(self.plan.stage))

    def images(self, count: int) -> Tensor:
        """Return `count` training images, (N, C, H, W) in [-1, 1]."""
        return 2 * torch.rand(count, *self.shape) - 1

    def batch(self) -> Batch:
        """Return a training batch of `count` images."""
        count = self.count
        labels = torch.zeros(count, *self.label_shape, dtype=torch.long)
        more = {"fake_t": self.images(count)} if self.plan.stage.translate == "once" else {}
        if self.plan.asks_for("pair_t"):
            more["pair_t"] = self.images(count)
        return Batch(self.images(count), labels, self.images(count), **more)

    def check_predictions(self) -> None:
        """Check that classifiers predict what the data label: images or pixels."""
        unit = task_of(self.config).unit
        with self.explained(f"its classifier does not predict a class for {unit}, as the labels do"):
            self._check_predictions()

    def _check_predictions(self) -> None:
        for role, net in self.nets.named_children():
            if kind_of(role) != "f" or role in self.plan.method.tensors.feature_extractors:
                continue
            with torch.no_grad():
                logits = net.eval()(self.images(1)).logits
            if logits.ndim != 2 + len(self.label_shape):
                found = "every pixel" if logits.ndim == 4 else "the whole image"
                raise CycadaError(
                    f"networks.f: '{self.plan.specs[role].name}' predicts a class for {found}; the data of "
                    f"stages.{self.plan.name} have labels for {task_of(self.config).unit}."
                )

    def train(self) -> float:
        """Compute the losses and gradients of all phases, and return the bytes of the largest phase."""
        plan, nets = self.plan, self.nets
        nets.train()
        tensors = plan.method.tensors(nets, self.batch(), plan.options)
        weights, largest, times = _bytes(nets.parameters()), 0.0, plan.stage.batch / self.count
        for phase in plan.phases:
            with self.explained(f"optimizers.{phase.name} cannot be made"):
                check_optimizer(phase.optimizer, submodules(phase.trains, nets), phase.name)
            saved = _SavedTensors(nets.parameters())
            with trainable_only(phase.trains, nets) as parameters, saved:
                values: list[Tensor] = []
                for term in phase.terms:
                    with self.explained(f"the loss {term.name} cannot be computed"):
                        values.append(require_gradient(term(tensors), term.name, phase.name, phase.trains))
                if values:
                    with self.explained(f"phase {phase.name} cannot learn"):
                        torch.stack(values).sum().backward()
            largest = max(largest, weights + 2 * _bytes(parameters) + saved.bytes * times)
            nets.zero_grad(set_to_none=True)
            tensors = tensors.detached()
        return largest

    def score(self) -> None:
        """Classify one image with each classifier that is scored, at the size of test images."""
        self.nets.eval()
        shapes = self.config.shapes(self.plan.stage)
        if self.plan.stage.translate == "once":
            # Whole images are translated, which are larger than training windows.
            with self.explained("the source's training images cannot be translated"), torch.no_grad():
                image = torch.zeros(1, self.shape[0], *shapes["source"])
                tensors: Any = self.plan.method.tensors(
                    self.nets, Batch(image, torch.empty(0), image), self.plan.options
                )
                _ = tensors.fake_t
        classifiers: dict[str, Callable[[Tensor], Tensor]] = {}
        with self.explained("it cannot be scored"):
            classifiers = self.plan.method.classifiers(self.nets) if classes_of(self.config) else {}
        for side, classify in classifiers.items():
            shape = self.plan.evaluation.window or shapes[side]
            with (
                self.explained(
                    f"a test image of the {side} ({' x '.join(map(str, shape))}) cannot be scored"
                ),
                torch.no_grad(),
            ):
                classify(torch.zeros(1, self.shape[0], *shape))


def classes_of(config: Config) -> int:
    """Return the number of classes, as far as the config tells.

    Returns:
        The number; 2 where only the data tell it, and 0 for domains without labels.
    """
    first: Any = None
    for side in ("source", "target"):
        spec = getattr(config.data, side)
        domain = task_of(config).domain(spec, side)
        if names := tuple(getattr(domain, "classes", ())):
            return len(names)
        first = domain if first is None else first
    return 2 if getattr(first, "labelled", True) else 0


class _SavedTensors(torch.autograd.graph.saved_tensors_hooks):
    """Counter of the bytes that autograd keeps for the backward pass, each storage once.

    Args:
        weights: Tensors that are there anyway, and are not counted.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self.bytes, self._seen = 0.0, {weight.untyped_storage()._cdata for weight in weights}
        super().__init__(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self.bytes += storage.nbytes()
        return tensor


def _bytes(tensors: Any) -> float:
    return float(sum(t.numel() * t.element_size() for t in tensors))


def from_scratch(plan: StagePlan) -> StagePlan:
    """Return a stage whose networks start from no file and no download, and are otherwise the same."""
    return replace(plan, specs={role: spec_from_scratch(spec, role) for role, spec in plan.specs.items()})
