"""Method, the type of every entry in the registry `methods`, and what its entries share.

A method is a `StepTensors` class and a list of phases. There is one file for each method or family of
methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from cycada.core.registry import Registry
from cycada.core.types import Output
from cycada.methods.roles import Networks
from cycada.methods.step_tensors import Options, StepTensors

Classify = Callable[[Tensor], Tensor]
"""Function from images (N, C, H, W) to logits (N, K), or (N, K, H, W) for segmentation."""

Direction = Literal["st", "ts"]
Translate = Callable[[Tensor], Tensor]
"""Function from images (N, C, H, W), float in [-1, 1], to their translations, of the same shape."""

ADAM_GAN: Mapping[str, Any] = {"name": "adam", "lr": 2e-4, "betas": (0.5, 0.999)}
"""Optimizer of CycleGAN (Zhu et al. 2017, section 4)."""
ADAM_TASK: Mapping[str, Any] = {"name": "adam", "lr": 1e-4, "betas": (0.9, 0.999)}
"""Optimizer of the task step in CyCADA's released code."""


@dataclass(frozen=True)
class PhaseSpec:
    """Specification of a phase: some networks and the terms that train them, with the paper's defaults.

    Attributes:
        name: The phase's name in YAML.
        trains: Roles, or a part of a role's network such as `f_t.encoder`.
        terms: Loss name -> default weight. The weight 0 lists a term that YAML may switch on. A term may be
            in several phases.
        optimizer: Name and settings of the optimizer. A learning rate of 0 stays whatever YAML says: such a
            phase updates batch-norm statistics and no weight.
        repeat: How often the phase runs within one step.
        shares_optimizer_of: The phase whose optimizer, with its running averages, this one uses. That phase
            has to train all that this one trains.
    """

    name: str
    trains: tuple[str, ...]
    terms: Mapping[str, float]
    optimizer: Mapping[str, Any] = field(default_factory=lambda: ADAM_TASK)
    repeat: int = 1
    shares_optimizer_of: str | None = None


def roles_in(trains: Iterable[str]) -> tuple[str, ...]:
    """Return the roles in paths of networks and their parts, each once.

    Args:
        trains: Paths such as `f_t.head`, `f_t.encoder` and `d_feat`, which give `f_t` and `d_feat`.
    """
    return tuple(dict.fromkeys(path.split(".")[0] for path in trains))


def classify_by(net: nn.Module) -> Classify:
    """Return the function that gives a task network's logits of images.

    Args:
        net: A network that returns an `Output`.
    """

    def classify(images: Tensor) -> Tensor:
        output: Output = net(images)
        return output.logits

    return classify


def task_classifiers(nets: Networks) -> dict[str, Classify]:
    """Return f_t as the classifier of both domains' test images; nothing where the stage has no f_t.

    Args:
        nets: The networks of the stage.

    Returns:
        Domain (`source` or `target`) -> classifier.
    """
    return {"source": classify_by(nets.f_t), "target": classify_by(nets.f_t)} if "f_t" in nets else {}


def generators_translate(nets: Networks, options: Any = None) -> dict[Direction, Translate]:
    """Return g_st and g_ts, the translations of most methods, as far as the stage has them.

    Args:
        nets: The networks of the stage.
        options: The method's options, which do not matter here.

    Returns:
        Direction (`st` or `ts`) -> translation.
    """
    translations: dict[Direction, Translate] = {}
    for direction in ("st", "ts"):
        if f"g_{direction}" in nets:
            translations[direction] = nets.get_submodule(f"g_{direction}")
    return translations


class Translations(Protocol):
    """Function that returns how images get from one domain into the other."""

    def __call__(self, nets: Networks, options: Any = None) -> dict[Direction, Translate]:
        """Return the translation in each direction that the networks of a stage allow.

        Args:
            nets: The networks of the stage.
            options: The stage's options; None means the method's defaults.
        """


@dataclass(frozen=True)
class Method:
    """Training method of a stage.

    Attributes:
        tensors: The class of the tensors of one training step.
        phases: The phases in the order in which they run.
        label: The name of the outcome in tables and reports.
        summary: What the method does, as the line of a list: at most 58 characters, without a full stop.
        details: Further sentences, with the source.
        options: The class of the options that YAML may set, besides losses and networks.
        classifiers: Function from the stage's networks to the classifier of each domain's test images, for
            the scores after a stage.
        translations: Function from the stage's networks and options to the translation in each direction;
            called in `eval_mode`.
        preview: Names of the tensors that an image grid shows, one column each.
        supervision: `target` uses the labelled TARGET training set as the source; only an oracle does that.
    """

    tensors: type[StepTensors[Any]]
    phases: tuple[PhaseSpec, ...]
    label: str
    summary: str
    options: type[Options] = Options
    classifiers: Callable[[Networks], dict[str, Classify]] = task_classifiers
    translations: Translations = generators_translate
    preview: tuple[str, ...] = ()
    supervision: Literal["source", "target"] = "source"
    details: str = ""


methods: Registry[Method] = Registry("method")
