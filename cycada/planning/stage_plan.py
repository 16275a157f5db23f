"""Plan of one stage: its settings, checked and resolved, and what of them determines its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from cycada.config.schema import EvaluationConfig, ScheduleConfig, Spec, Stage, digest
from cycada.losses import Term
from cycada.methods import Method, roles_in
from cycada.planning.epochs import Epochs


@dataclass(frozen=True)
class ResolvedPhase:
    """Phase of a stage, reduced to its active terms and to the networks that they need.

    Attributes:
        name: Name of the phase.
        trains: Roles of the networks that it trains, or paths of their submodules (`f_t.head`).
        terms: Its losses with a weight other than 0.
        optimizer: Settings of its optimizer: those of the method, replaced by those of the config.
        every: The phase runs in every so many-th step.
        repeat: How many times it runs within a step.
        shares_optimizer_of: Name of the phase whose optimizer it uses; None for its own.
        schedule: Its own learning-rate schedule; None for that of the stage.
    """

    name: str
    trains: tuple[str, ...]
    terms: tuple[Term, ...]
    optimizer: Mapping[str, Any]
    every: int
    repeat: int
    shares_optimizer_of: str | None
    schedule: ScheduleConfig | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the networks that the phase trains, wholly or in part."""
        return roles_in(self.trains)


@dataclass(frozen=True)
class StagePlan:
    """One stage, checked and resolved.

    Attributes:
        name: Name of the stage.
        stage: Its settings, with epochs converted to steps.
        method: Its method.
        options: The method's options, a dataclass.
        phases: The phases that have a loss, in order.
        specs: Role to the architecture of its network, without image pools.
        frozen: Roles of networks that no phase trains.
        pools: Roles of image pools.
        needs_target: Whether any loss depends on target images.
        has_teacher: Whether any loss depends on an EMA of f_t.
        evaluation: How its predictions are made for scores.
        epochs: The epochs that its steps come from; None where the config gives steps.
    """

    name: str
    stage: Stage
    method: Method
    options: Any
    phases: tuple[ResolvedPhase, ...]
    specs: Mapping[str, Spec]
    frozen: tuple[str, ...]
    pools: tuple[str, ...]
    needs_target: bool
    has_teacher: bool
    evaluation: EvaluationConfig
    epochs: Epochs | None = None

    def asks_for(self, tensor: str) -> str | None:
        """Return the name of the first loss that depends on a tensor, such as `pair_t`; None if none does."""
        return next(
            (
                t.name
                for p in self.phases
                for t in p.terms
                if tensor in self.method.tensors.dependencies(t.needs)
            ),
            None,
        )

    def recipe(self) -> str:
        """Return a hash of the stage that does not depend on its seed, its data or its initial weights.

        Returns:
            12 hex characters; stages that share them take equally long to train.
        """
        return digest(self.identity())

    def identity(self) -> dict[str, Any]:
        """Return all settings that determine what the stage learns, as plain values."""
        return dict(self._identity)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        stage = self.stage
        kept = {"method", "steps", "batch", "schedule", "precision", "augment", "ema", "compile"}
        kept |= {key for key in ("crop", "size", "load_size", "crop_area") if getattr(stage, key)}
        kept |= {"translate"} if stage.translate == "once" else set()
        settings = stage.model_dump(mode="json", include=kept)
        if stage.augment:
            for key in ("random_convolution", "jitter", "blur"):  # added after stages had been trained
                if not settings["augment"][key]:
                    del settings["augment"][key]
        return settings | {
            "options": self.options.identity(),
            "networks": {role: spec.model_dump() for role, spec in self.specs.items()},
            "phases": [
                {
                    "name": p.name,
                    "every": p.every,
                    "optimizer": {k: v for k, v in p.optimizer.items() if v is not None},
                    "terms": [(t.name, t.weight, asdict(t.ramp), _identity_of_options(t)) for t in p.terms],
                }
                | ({"repeat": p.repeat} if p.repeat != 1 else {})
                | ({"schedule": p.schedule.model_dump()} if p.schedule else {})
                for p in self.phases
            ],
        }


RENAMED = {
    ("self_training", "target"): {
        "summed_probabilities": "probabilities",
        "probabilities": "mean_probabilities",
    }
}
"""(loss, option) to a value's name, and that to its name in ids.

These names have changed their meaning since; ids keep the earlier names, so that trained stages keep their
ids."""


def _identity_of_options(term: Term) -> dict[str, Any]:
    """Return the options of a loss as they enter the stage's id."""
    return {
        key: RENAMED.get((term.name, key), {}).get(value, value) if isinstance(value, str) else value
        for key, value in term.options.items()
    }
