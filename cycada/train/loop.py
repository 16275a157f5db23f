"""The one loop: a generator of reports. It knows no file, no tracker and no progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from cycada.core.types import Batch
from cycada.data import Augment, SceneStream, Stream
from cycada.methods import TEACHER, Networks, StepTensors
from cycada.networks import kind_of
from cycada.train.device import Device, Precision
from cycada.train.meter import Diverged, Meter
from cycada.train.schedule import set_rates
from cycada.train.state import check_state
from cycada.train.step import Phase, train_step

NORMS_EVERY = 5
"""Reports between two with gradient norms, each of which is a backward pass of its own: at every report they took 8 % of the time."""


@dataclass(frozen=True)
class TrainLog:
    """What happened since the last one. step: steps done. values: means over these steps. rate: image pairs a second.

    early: it comes before its time because somebody stops; its steps count again in the next one.
    """

    step: int
    values: dict[str, float]
    rate: float
    early: bool = False


@dataclass
class TrainState:
    """All that moves while a stage trains, and what it is fed with. target is None where no term looks at it.

    behind: what of a batch comes behind the source's images, (N, 2C, H, W): their translations, or their true partners.
    Where the source has no labels, label_s is empty; `build_training` has seen that no term looks at it.
    """

    nets: Networks
    phases: Sequence[Phase]
    tensors: type[StepTensors]
    options: Any
    source: Stream | SceneStream
    target: Stream | SceneStream | None
    steps: int
    device: Device
    seed: int = 0
    precision: Precision = "fp32"
    augment: Mapping[str, Augment] = field(default_factory=dict)
    ema: Mapping[str, ModelEmaV3] = field(default_factory=dict)
    partner_name: Literal["fake_t", "pair_t"] | None = None
    step: int = 0
    meter: Meter = field(default_factory=Meter)

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs. Random generators are not in it: they are seeded by the step.

        Pools are each process's own; all else is rank 0's. To be called by every process at once.
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
        """Raises CycadaError where this training cannot go on from a state."""
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
        """What `check` found sound. A checkpoint of an older version has no running means."""
        self.step = state["step"]
        self.meter.load_state(state.get("meter", []), self.device)
        for role, values in {**state["nets"], **state["pools"][self.device.rank]}.items():
            self.nets.get_submodule(role).load_state_dict(values)
        for role, values in state["ema"].items():
            self.ema[role].module.load_state_dict(values)
        for phase in self.phases:
            phase.optimizer.load_state_dict(state["optimizers"][phase.name])

    def outcome(self) -> Networks:
        """The networks to score and to hand on: the moving average where a role has one."""
        roles: dict[str, nn.Module] = dict(self.nets.named_children())
        roles.pop(TEACHER, None)
        return Networks(roles | {role: ema.module for role, ema in self.ema.items()})

    def batch(self, step: int) -> Batch:
        real_s, label_s = self.source.draw(step)
        if self.augment:
            real_s = self.augment["source"](real_s)  # what is behind moves with it
        more: dict[str, Tensor] = {}
        if self.partner_name:
            real_s, more[self.partner_name] = (half.contiguous() for half in real_s.chunk(2, 1))
        real_t = self.target.draw(step)[0] if self.target else real_s[:0]
        if self.augment and self.target:
            real_t = self.augment["target"](real_t)
        label_s = torch.empty(0, dtype=torch.long, device=real_s.device) if label_s is None else label_s
        return Batch(real_s, label_s, real_t, **more)


def train(
    training: TrainState,
    report_every: int = 50,
    stop: Callable[[], bool] = lambda: False,
    gradients: bool = True,
) -> Iterator[TrainLog]:
    """Train from `training.step` to the end, with a report every so many steps and after the last.

    gradients: every fifth report and the last hold the norm of every term's gradient.
    `stop` is asked between steps; when it says yes, a last report follows, an early one where it is not its time, and the loop ends,
    resumable: the reports of a resumed training are those of one that was never stopped.
    Raises Diverged, naming the term, before a report with a value that is no number would be given, or weights that are none.
    """
    t, device, meter = training, training.device, training.meter
    meter.weights = {term.name: term.weight for phase in t.phases for term in phase.terms}
    t.nets.train()
    since, began = t.step, time.perf_counter()
    while t.step < t.steps:
        device.seed(t.seed, "step", t.step)
        for phase in t.phases:
            set_rates(phase.optimizer, phase.schedule(t.step, t.steps))
        last = t.step + 1 == t.steps
        reporting = last or (t.step + 1) % report_every == 0
        tensors = t.tensors(t.nets, t.batch(t.step), t.options, device.average)
        norms = gradients and (last or (t.step + 1) % (NORMS_EVERY * report_every) == 0)
        values = train_step(t.phases, tensors, device, t.step, t.steps, t.precision, norms)
        t.step += 1
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


def check_weights(training: TrainState) -> None:
    """Raises Diverged where a weight or a statistic is no finite number: it names the networks and the terms that moved them.

    The last step breaks what no loss sees any more, and in training mode none sees the statistics of batch norm.
    """
    t = training
    nets = {role: net for role, net in t.nets.named_children() if kind_of(role) != "pool"}
    sound = t.device.average(torch.stack([_finite(net, t.device) for net in nets.values()]))
    if broken := [role for role, whole in zip(nets, sound.tolist(), strict=True) if whole < 1]:
        terms = dict.fromkeys(
            term.name for phase in t.phases if set(broken) & set(phase.roles) for term in phase.terms
        )
        raise Diverged(
            f"Step {t.step}: {', '.join(broken)} no longer {'has' if len(broken) == 1 else 'have'} finite weights, though every "
            f"loss was finite. What moved them: {', '.join(terms) or 'no term'}. Nothing after the last checkpoint was kept. "
            "Lower the learning rate."
        )


def _finite(net: nn.Module, device: Device) -> Tensor:
    """1.0 where all that a network is saved with is finite, else 0.0: one look at the device for all of it."""
    values = [v.isfinite().all() for v in net.state_dict().values() if v.is_floating_point()]
    return torch.stack(values).all().float() if values else torch.ones((), device=device.torch_device)
