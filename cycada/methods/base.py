"""A method: a StepTensors class and a list of phases. One file per method fills these in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from cycada.core.registry import Registry
from cycada.core.types import Output
from cycada.methods.step_tensors import Networks, Options, StepTensors

Classify = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> logits (N, K)."""

Direction = Literal["st", "ts"]
Translate = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) float in [-1, 1] -> the same images in the other domain, of the same shape."""

ADAM_GAN: Mapping[str, Any] = {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999)}
"""CycleGAN's optimizer."""
ADAM_TASK: Mapping[str, Any] = {"name": "adam", "lr": 1e-4, "betas": (0.9, 0.999)}
"""The optimizer of CyCADA's released task step."""


@dataclass(frozen=True)
class PhaseSpec:
    """Some networks and the terms that move them, with the paper's weights and optimizer as defaults.

    trains: roles, or a part of one such as `f_t.encoder`. terms: loss name -> default weight; 0 lists a term that YAML
    may switch on; a term may be in several phases. repeat: how often the phase runs within one step. A rate of 0 is
    kept whatever YAML says: such a phase moves batch-norm statistics and no weight. shares_optimizer_of: the phase whose optimizer, with
    its running averages, this one uses; it has to learn all that this one does.
    """

    name: str
    trains: tuple[str, ...]
    terms: Mapping[str, float]
    optimizer: Mapping[str, Any] = field(default_factory=lambda: ADAM_TASK)
    repeat: int = 1
    shares_optimizer_of: str | None = None


def roles_in(trains: Iterable[str]) -> tuple[str, ...]:
    """'f_t.head', 'f_t.encoder', 'd_feat' -> 'f_t', 'd_feat'."""
    return tuple(dict.fromkeys(path.split(".")[0] for path in trains))


def classify_by(net: nn.Module) -> Classify:
    def classify(images: Tensor) -> Tensor:
        output: Output = net(images)
        return output.logits

    return classify


def task_scored(nets: Networks) -> dict[str, Classify]:
    """Both domains are scored by f_t."""
    return {"source": classify_by(nets.f_t), "target": classify_by(nets.f_t)} if "f_t" in nets else {}


def generators_translate(nets: Networks, options: Any = None) -> dict[Direction, Translate]:
    """By g_st and g_ts, where the stage has them."""
    ways: dict[Direction, Translate] = {}
    for direction in ("st", "ts"):
        if f"g_{direction}" in nets:
            ways[direction] = nets.get_submodule(f"g_{direction}")  # type: ignore[index]
    return ways


class Translations(Protocol):
    """A stage's networks and its options (null: the method's defaults) -> how images get from one domain into the other."""

    def __call__(self, nets: Networks, options: Any = None) -> dict[Direction, Translate]: ...


@dataclass(frozen=True)
class Method:
    """views: the tensors of a step. phases: in the order in which they run. label: what a results table calls its outcome.
    options: what YAML may set besides.

    classifiers: networks -> how a domain's test images are classified, for the scores after a stage. translations:
    networks and options -> how images get from one domain into the other, by direction; inside `eval_mode`. preview: the tensors that
    an image grid shows, one column each. supervision: `target` makes the labelled TARGET training set the source; only
    an oracle does that.
    """

    tensors: type[StepTensors]
    phases: tuple[PhaseSpec, ...]
    label: str
    summary: str
    options: type[Options] = Options
    classifiers: Callable[[Networks], dict[str, Classify]] = task_scored
    translations: Translations = generators_translate
    preview: tuple[str, ...] = ()
    supervision: Literal["source", "target"] = "source"


methods: Registry[Method] = Registry("method")
