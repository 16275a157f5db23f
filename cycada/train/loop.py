"""The training loop of all methods: a generator of reports that knows no files, tracker or progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cycada.core.profile import span
from cycada.core.types import Batch
from cycada.data import BatchStream
from cycada.methods import TEACHER, Networks, Options, StepTensors
from cycada.networks import kind_of
from cycada.train.device import Device, Precision
from cycada.train.meter import Diverged, Meter
from cycada.train.moving_average import MovingAverage
from cycada.train.schedule import set_rates
from cycada.train.state import check_state
from cycada.train.step import Phase, train_step

NORMS_EVERY = 5
"""Every so many-th report holds gradient norms, each of which takes a backward pass of its own.

At every report they took 8 % of the time."""


@dataclass(frozen=True)
class TrainLog:
    """Report on the steps since the last report.

    Attributes:
        step: Number of steps done.
        values: Name to the mean over the steps since the last report, as `train_step` names them.
        rate: Image pairs for each second.
        early: Whether it comes before its time, because training was stopped; its steps count again in the
            next report.
    """

    step: int
    values: dict[str, float]
    rate: float
    early: bool = False


@dataclass
class TrainState:
    """All that changes while a stage trains, with its data and settings.

    Attributes:
        nets: The networks, with image pools.
        phases: The phases of a step, in order.
        tensors: Class of the method's step tensors.
        options: The method's options.
        source: Batches of source images and labels. Without labels `label_s` of a batch is empty;
            `build_training` has checked that no loss needs it.
        target: Batches of target images; None where no loss needs them.
        steps: Number of steps of the whole stage.
        device: Where to train.
        seed: The experiment's seed; all random numbers of a step depend on it and on the step.
        precision: Precision of the forward passes.
        ema: Role to the moving average of its weights.
        partner_name: The batch's field for the partners of source images: their translations or their true
            translations; None where they have none.
        step: Number of steps done.
        meter: Means of the values since the last report.
    """

    nets: Networks
    phases: Sequence[Phase]
    tensors: type[StepTensors[Any]]
    options: Options
    source: BatchStream
    target: BatchStream | None
    steps: int
    device: Device
    seed: int = 0
    precision: Precision = "fp32"
    ema: Mapping[str, MovingAverage] = field(default_factory=dict)
    partner_name: Literal["fake_t", "pair_t"] | None = None
    step: int = 0
    meter: Meter = field(default_factory=Meter)

    def state(self) -> dict[str, Any]:
        """Return everything that resuming needs; all processes must call it at once.

        It holds no states of random generators, which are seeded by the step. Image pools are stored for each
        process, all else from process 0.
        """
        self.device.average_buffers(self.nets)
        pools = self.device.gather(
            {r: n.state_dict() for r, n in self.nets.named_children() if kind_of(r) == "pool"}
        )
        return {
            "step": self.step,
            "nets": {r: n.state_dict() for r, n in self.nets.named_children() if kind_of(r) != "pool"},
            "pools": pools,
            "ema": {r: e.module.state_dict() for r, e in self.ema.items()},
            "optimizers": {p.name: p.optimizer.state_dict() for p in self.phases},
            "meter": self.meter.state(),
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Check that this training can be resumed from a state.

        Raises:
            CycadaError: It cannot; the message says what is missing or different.
        """
        own = {
            "nets": {r: n.state_dict() for r, n in self.nets.named_children() if kind_of(r) != "pool"},
            "pools": [{r: n.state_dict() for r, n in self.nets.named_children() if kind_of(r) == "pool"}],
            "ema": {r: e.module.state_dict() for r, e in self.ema.items()},
            "optimizers": {p.name: p.optimizer.state_dict() for p in self.phases},
        }
        check_state(state, own, self.steps, self.device.world)
        fresh = Meter()
        fresh.load_state(state.get("meter", []), self.device)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Resume from a state that `check` accepts; one of an older version lacks the running means."""
        self.step = state["step"]
        self.meter.load_state(state.get("meter", []), self.device)
        for role, values in {**state["nets"], **state["pools"][self.device.rank]}.items():
            self.nets.get_submodule(role).load_state_dict(values)
        for role, values in state["ema"].items():
            self.ema[role].module.load_state_dict(values)
        for phase in self.phases:
            phase.optimizer.load_state_dict(state["optimizers"][phase.name])

    def outcome(self) -> Networks:
        """Return the networks to evaluate and to pass on: the moving average where a role has one."""
        roles: dict[str, nn.Module] = dict(self.nets.named_children())
        roles.pop(TEACHER, None)
        return Networks(roles | {role: ema.module for role, ema in self.ema.items()})

    @span("data")
    def batch(self, step: int, augmented: bool = True) -> Batch:
        """Return the batch of a step, with its images augmented or as they are."""
        source = self.source.draw(step, augmented)
        real_s, label_s = source.images, source.labels
        partners = {self.partner_name: source.partners} if self.partner_name else {}
        real_t = self.target.draw(step, augmented).images if self.target else real_s[:0]
        label_s = torch.empty(0, dtype=torch.long, device=real_s.device) if label_s is None else label_s
        return Batch(real_s, label_s, real_t, **partners)


def train(
    training: TrainState,
    report_every: int = 50,
    stop: Callable[[], bool] = lambda: False,
    gradients: bool = True,
) -> Iterator[TrainLog]:
    """Train from `training.step` to the last step, and yield reports.

    Args:
        training: The state, which is changed in place.
        report_every: Number of steps between two reports.
        stop: Asked after each step; when it returns True, a report follows, and the loop ends. The reports of
            a training that is resumed from there are those of one that was never stopped.
        gradients: Whether every fifth report, and the last one, hold the norm of each loss's gradient.

    Yields:
        The reports.

    Raises:
        Diverged: A loss, a gradient or a weight is not a finite number; it is raised before such a report
            would be given, and names the loss.
    """
    t, device, meter = training, training.device, training.meter
    meter.weights = {term.name: term.weight for phase in t.phases for term in phase.terms}
    t.nets.train()
    since, began = t.step, time.perf_counter()
    if t.step == 0:
        prepare(t)
    while t.step < t.steps:
        device.seed(t.seed, "step", t.step)
        for phase in t.phases:
            set_rates(phase.optimizer, phase.schedule(t.step, t.steps))
        last = t.step + 1 == t.steps
        reporting = last or (t.step + 1) % report_every == 0
        tensors = t.tensors(t.nets, t.batch(t.step), t.options, device.average, t.step / t.steps)
        norms = gradients and (last or (t.step + 1) % (NORMS_EVERY * report_every) == 0)
        values = train_step(t.phases, tensors, device, t.step, t.steps, t.precision, norms)
        t.step += 1
        with span("moving averages"):
            for role, ema in t.ema.items():
                ema.update(t.nets.get_submodule(role), step=t.step)
        meter.add(t.step - 1, values)
        stopping = stop()
        if reporting or stopping:
            means = meter.means(device, keep=not reporting)
            check_weights(t)
            rate = (t.step - since) * t.source.batch * device.world / (time.perf_counter() - began)
            yield TrainLog(t.step, means, rate, early=not reporting)
            t.nets.train()
            since, began = t.step, time.perf_counter()
        if stopping:
            return


@span("before the first step")
@torch.no_grad()
def prepare(training: TrainState) -> None:
    """Let the method prepare its stores before the first step (see `StepTensors.before_first_step`).

    Args:
        training: The state, of which only image pools and queues are changed.
    """
    t = training

    def tensors_of(number: int) -> StepTensors[Any]:
        t.device.seed(t.seed, "before", number)
        batch = t.batch(t.steps + number, augmented=False)
        return t.tensors(t.nets, batch, t.options, t.device.average)

    with t.device.autocast(t.precision):
        t.tensors.before_first_step(t.nets, t.options, tensors_of)


def check_weights(training: TrainState) -> None:
    """Check that all weights and batch-norm statistics are finite numbers.

    Losses alone do not tell: none is computed after the last step, and in training mode none depends on the
    statistics of batch norm.

    Raises:
        Diverged: One is not finite; the message names the networks and the losses that trained them.
    """
    t = training
    nets = {role: net for role, net in t.nets.named_children() if kind_of(role) != "pool"}
    finite = t.device.average(torch.stack([_finite(net, t.device) for net in nets.values()]))
    if broken := [role for role, share in zip(nets, finite.tolist(), strict=True) if share < 1]:
        terms = dict.fromkeys(
            term.name for phase in t.phases if set(broken) & set(phase.roles) for term in phase.terms
        )
        raise Diverged(
            f"Step {t.step}: {', '.join(broken)} no longer {'has' if len(broken) == 1 else 'have'} finite "
            f"weights, though every loss was finite. What moved them: {', '.join(terms) or 'no term'}. "
            f"Nothing after the last checkpoint was kept. "
            "Lower the learning rate."
        )


def _finite(net: nn.Module, device: Device) -> Tensor:
    """Return 1.0 if all weights and buffers of a network are finite, else 0.0, as a scalar on the device."""
    values = [v.isfinite().all() for v in net.state_dict().values() if v.is_floating_point()]
    return torch.stack(values).all().float() if values else torch.ones((), device=device.torch_device)
