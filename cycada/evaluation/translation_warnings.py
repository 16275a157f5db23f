"""Warnings about translations that go wrong, measured on the images of the image grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from cycada.data import ImageSet, Split, resize_images, to_float
from cycada.metrics.alarms import MESSAGES, alarms, luminance_correlation, measures
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan

ENDS = {"t": ("s", "source"), "s": ("t", "target")}
"""Domain that an image looks like -> the domain that it was translated from, and the name of that domain."""


def translation_warnings(
    plan: StagePlan,
    drawn: Mapping[str, Tensor],
    source: ImageSet,
    datasets: Datasets,
    shown: int,
) -> dict[str, float]:
    """Measure translations for the usual failures: inverted colours, no change, one image for all.

    Only what this stage trains is measured. Images that are not translated by g_st or g_ts, as CoGAN's pairs
    from noise, have no input to be compared with: only their diversity is measured.

    Args:
        plan: The plan of the stage.
        drawn: The columns of an image grid, (N, C, H, W) in [-1, 1].
        source: The images that the grid's real_s are from.
        datasets: Both domains' images.
        shown: How many images of `source` the grid shows.

    Returns:
        `quality/NAME_t` and `alarm/KIND_t` (0 or 1) of G_st; the same with _s of G_ts.
    """
    learnt = {role for phase in plan.phases for role in phase.roles}
    split: Split = "test" if "test" in datasets.source else "train"
    sides = {"t": (source, datasets.target[split]), "s": (datasets.target["train"], datasets.source["train"])}
    diagnostics: dict[str, float] = {}
    for look, (before, _) in ENDS.items():
        name, real = f"fake_{look}", f"real_{look}"
        makers = plan.method.tensors.roles_of([name]) & learnt if name in drawn and real in drawn else set()
        if not makers:
            continue
        inputs = drawn.get(f"real_{before}") if f"g_{before}{look}" in makers else None
        measured = measures(inputs, drawn[name], drawn[real])
        true = None if inputs is None else _true_correlation(*sides[look], inputs, shown)
        diagnostics |= {f"quality/{key}_{look}": round(value, 6) for key, value in measured.items()}
        diagnostics |= {
            f"alarm/{kind}_{look}": float(holds) for kind, holds in alarms(measured, true).items()
        }
    return diagnostics


def _true_correlation(dataset: ImageSet, other: ImageSet, inputs: Tensor, shown: int) -> float | None:
    """Return the luminance correlation of inputs with their true translations; None if these are unknown."""
    true_translation = dataset.true_translation(other)
    if true_translation is None:
        return None
    truth = to_float(true_translation.sample(shown)[: len(inputs)])
    truth = resize_images(truth, inputs.shape[-2:])  # a grid shows large images smaller
    return float(luminance_correlation(inputs, truth).median())


class WarnOnce:
    """A filter of warnings: each kind is reported once in a stage.

    A warning is reported when it holds twice in a row, or at the end; early in training one may hold in
    passing.

    Args:
        stage: The name of the stage.
        warn: Reports a message.
    """

    def __init__(self, stage: str, warn: Callable[[str], None]) -> None:
        self.stage, self.warn = stage, warn
        self._held_before: set[str] = set()
        self._reported: set[str] = set()

    def update(self, diagnostics: Mapping[str, float], last: bool) -> None:
        """Report the warnings that hold and have not been reported.

        Args:
            diagnostics: `quality/...` and `alarm/...`, as `translation_warnings` returns them.
            last: Whether this is the end of the stage.
        """
        holding = {
            key.removeprefix("alarm/")
            for key, value in diagnostics.items()
            if key.startswith("alarm/") and value
        }
        for name in sorted(holding if last else holding & self._held_before):
            kind, _, look = name.rpartition("_")
            if kind in self._reported:
                continue
            self._reported.add(kind)
            values = {
                key.removeprefix("quality/")[:-2]: value
                for key, value in diagnostics.items()
                if key.endswith(f"_{look}")
            }
            origin, result = ENDS[look][1], ENDS[ENDS[look][0]][1]
            self.warn(f"stage {self.stage}, {origin} to {result}: {MESSAGES[kind].format(**values)}")
        self._held_before = holding
