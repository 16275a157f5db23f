"""Alarms while a translation is learnt: measured on the pictures of the image grid, which are there anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from cycada.data import ImageDataset, ResizedDataset, Split, resize_images, to_float
from cycada.metrics.alarms import MESSAGES, alarms, luminance_correlation, measures
from cycada.planning.build import Datasets
from cycada.planning.plan import StagePlan

ENDS = {"t": ("s", "source"), "s": ("t", "target")}
"""What a picture looks like -> what it was translated from, and the side that this comes from."""


def translation_warnings(
    plan: StagePlan,
    drawn: Mapping[str, Tensor],
    source: ImageDataset | ResizedDataset,
    datasets: Datasets,
    shown: int,
) -> dict[str, float]:
    """`quality/NAME_t`, `alarm/KIND_t` (0 or 1) of G_st, and with _s those of G_ts, where what makes the pictures learns in this stage.

    drawn: the columns of an image grid. source: the examples that its real_s are from, `shown` of them. Pictures that no generator
    g_st or g_ts makes (CoGAN's pairs from noise) have no input to be compared with: their diversity alone is watched.
    """
    learnt = {role for phase in plan.phases for role in phase.roles}
    split: Split = "test" if "test" in datasets.source else "train"
    sides = {"t": (source, datasets.target[split]), "s": (datasets.target["train"], datasets.source["train"])}
    found: dict[str, float] = {}
    for look, (before, _) in ENDS.items():
        name, real = f"fake_{look}", f"real_{look}"
        makers = plan.method.tensors.roles_of([name]) & learnt if name in drawn and real in drawn else set()
        if not makers:
            continue
        inputs = drawn.get(f"real_{before}") if f"g_{before}{look}" in makers else None
        measured = measures(inputs, drawn[name], drawn[real])
        true = None if inputs is None else _true_correlation(*sides[look], inputs, shown)
        found |= {f"quality/{key}_{look}": round(value, 6) for key, value in measured.items()}
        found |= {f"alarm/{kind}_{look}": float(rings) for kind, rings in alarms(measured, true).items()}
    return found


def _true_correlation(
    of: ImageDataset | ResizedDataset, other: ImageDataset | ResizedDataset, inputs: Tensor, shown: int
) -> float | None:
    """Of the luminance of the inputs with that of their true translations; None where nobody knows these."""
    known = (
        of.true_translation(other)
        if isinstance(of, ResizedDataset) and isinstance(other, ResizedDataset)
        else None
    )
    if known is None:
        return None
    truth = to_float(known.sample(shown)[: len(inputs)])
    truth = resize_images(truth, inputs.shape[-2:])  # a grid shows large scenes smaller
    return float(luminance_correlation(inputs, truth).median())


class WarnOnce:
    """Says of each alarm once a stage that it rings: when it does so twice in a row, or at the end; early on it may in passing."""

    def __init__(self, stage: str, warn: Callable[[str], None]) -> None:
        self.stage, self.warn = stage, warn
        self._rang: set[str] = set()
        self._said: set[str] = set()

    def update(self, found: Mapping[str, float], last: bool) -> None:
        ringing = {
            key.removeprefix("alarm/") for key, value in found.items() if key.startswith("alarm/") and value
        }
        for name in sorted(ringing if last else ringing & self._rang):
            kind, _, look = name.rpartition("_")
            if kind in self._said:
                continue
            self._said.add(kind)
            values = {
                key.removeprefix("quality/")[:-2]: value
                for key, value in found.items()
                if key.endswith(f"_{look}")
            }
            self.warn(
                f"stage {self.stage}, {ENDS[look][1]} to {ENDS[ENDS[look][0]][1]}: {MESSAGES[kind].format(**values)}"
            )
        self._rang = ringing
