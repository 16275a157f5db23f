"""Config checks that depend on the task: image-level labels or segmentation masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cycada.config.schema import Config, Stage
from cycada.core.errors import CycadaError
from cycada.losses import Term
from cycada.methods import Method
from cycada.planning.tasks import task_of


def check_task(config: Config) -> None:
    """Check that every key of a config suits the task of its domains.

    Raises:
        CycadaError: The two domains have different kinds of labels, or a key does not suit the task.
    """
    task = task_of(config)
    task.check_data(config)
    for name, stage in config.stages.items():
        task.check_stage(f"stages.{name}", stage)
        _check_windows(name, stage, config)


def _check_windows(name: str, stage: Stage, config: Config) -> None:
    shapes, window = config.shapes(stage), config.window(stage)
    where, key = f"stages.{name}.crop", f"stages.{name}.size" if stage.size else "data.size"
    if not stage.crop and shapes["source"] != shapes["target"]:
        raise CycadaError(
            f"{where}: found none, expected [height, width]: {key} gives source and target different "
            f"shapes, and one network sees both."
        )
    for shape in config.loads(stage).values():
        if window[0] > shape[0] or window[1] > shape[1]:
            most = f"stages.{name}.load_size" if stage.load_size else key
            raise CycadaError(f"{where}: found {list(window)}, expected at most {most}, {list(shape)}.")
    if stage.crop_area and not (stage.crop and stage.crop_area[0] <= stage.crop_area[1]):
        found = f"{list(stage.crop_area)}{'' if stage.crop else ' without crop'}"
        raise CycadaError(
            f"{where}_area: found {found}, expected [least, most] beside crop: [height, width]."
        )


def check_terms(
    config: Config, name: str, method: Method, terms: Sequence[Term], labelled: Mapping[str, bool]
) -> None:
    """Check that the data have what the losses of a stage need, as far as the config tells.

    Args:
        config: The experiment.
        name: The stage's name.
        method: The stage's method.
        terms: The losses that are active.
        labelled: `source` and `target` to whether the domain has labels.

    Raises:
        CycadaError: A loss needs labels or pairs that the domains do not have.
    """
    task = task_of(config)
    where = f"stages.{name}"
    for term in terms:
        uses = method.tensors.dependencies(term.needs)
        task.check_tensors(f"{term.where}.{term.name}", uses, method.tensors, config.data.source.name)
        if not labelled[method.supervision] and "label_s" in uses:
            found = getattr(config.data, method.supervision).name
            raise CycadaError(
                f"{term.where}.{term.name}: it needs labels, and the {method.supervision} '{found}' has "
                f"none. Take it out."
            )
        if "pair_t" in uses and not task.has_pairs:
            raise CycadaError(
                f"{term.where}.{term.name}: it needs true translations (pair_t), which only domains "
                f"for segmentation can have. Take it out."
            )
        if "pair_t" in uses and config.stages[name].translate == "once":
            raise CycadaError(
                f"{where}.translate: found 'once' beside the loss {term.name}, which needs true "
                f"translations; expected one of the two. Take it out."
            )


def check_evaluation(config: Config) -> None:
    """Check that windows and scales of the evaluation suit the images' size.

    Raises:
        CycadaError: A window or a scale is larger or smaller than possible.
    """
    evaluation = config.evaluation
    window = evaluation.window
    for shape in config.shapes().values():
        if window and (window[0] > shape[0] or window[1] > shape[1]):
            raise CycadaError(
                f"evaluation.window: found {list(window)}, expected at most data.size, {list(shape)}."
            )
        for scale in evaluation.scales:
            if round(scale * min(shape)) < 4:
                scaled = " x ".join(str(round(scale * side)) for side in shape)
                raise CycadaError(
                    f"evaluation.scales: {scale:g} leaves {scaled} pixels of data.size, {list(shape)}; "
                    f"expected at least 4 x 4."
                )
