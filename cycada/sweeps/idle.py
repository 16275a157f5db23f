"""Settings of a sweep without effect, and rows that are the same runs, or that no report can compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cycada.config import schema as configs
from cycada.config.defaults import find_repeated, find_shadowed_defaults
from cycada.config.recipes import find_config
from cycada.config.schema import Config
from cycada.core.errors import list_some
from cycada.core.yaml_files import merge, override, parse_assignment, put_all
from cycada.planning.idle import find_idle_settings
from cycada.sweeps.plan import Cell, SweepPlan
from cycada.sweeps.schema import Sweep
from cycada.sweeps.variants import label_values


def find_idle(planned: SweepPlan) -> list[str]:
    """Return a sentence for each setting of a sweep without effect, and for rows that cannot be compared.

    Args:
        planned: The sweep.
    """
    rows: dict[str, list[Cell]] = {}
    for cell in planned.cells:
        rows.setdefault(cell.variant, []).append(cell)
    return [
        *_empty_groups(planned.sweep),
        *_repeated(planned),
        *_shadowed_defaults(planned),
        *_idle_settings(rows),
        *_equal_rows(planned, rows),
        *_several_pairs(rows),
    ]


def _empty_groups(sweep: Sweep) -> Iterator[str]:
    """Yield a sentence for each key that would make rows, and is empty."""
    for key in ("variants", "evaluations", "drop_one", "add_one", "only_one", "vary", "grid"):
        if key in sweep.model_fields_set and not getattr(sweep, key):
            yield f"{key}: it is empty and makes no row. Fill it, or take it out."


def _repeated(planned: SweepPlan) -> Iterator[str]:
    """Yield a sentence for each key that one place of the sweep, or the command line, sets more than once."""
    sweep = planned.sweep
    places = {"set": sweep.set} | {f"variants.{label}.set": v.set for label, v in sweep.variants.items()}
    for place, settings in places.items():
        yield from (f"{place}: {sentence}" for sentence in find_repeated(settings.items()))
    yield from find_repeated(map(parse_assignment, planned.assignments))


def _shadowed_defaults(planned: SweepPlan) -> list[str]:
    """Return a sentence for each default that does not reach a stage, and each empty mapping without effect.

    They stand in the sweep, on its command line, or in the files that are used.
    """
    sweep, found = planned.sweep, list[str]()

    def note(under: Mapping[str, Any], over: Mapping[str, Any]) -> None:
        found.extend(find_shadowed_defaults(under, over))

    def read(file: str) -> Mapping[str, Any]:
        return configs.read_as("an experiment", find_config(file, planned.file.parent), note)

    configs.read_as("a sweep", planned.file, note)
    under = read(sweep.experiment)
    over = override(put_all({}, sweep.set.items()), planned.assignments)
    found += find_shadowed_defaults(under, over, partly=True)
    for variant in sweep.variants.values():
        below = merge(read(variant.experiment) if variant.experiment else under, over)
        found += find_shadowed_defaults(below, put_all({}, variant.set.items()), partly=True)
    return list(dict.fromkeys(found))


def _idle_settings(rows: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """Yield a sentence for each setting of some rows that has no effect, with the rows where not all have it.

    Networks are left out, as a row may lack the stage that uses one, and so are options that another row
    uses, as a row may lack the loss that does.
    """
    found: dict[str, list[str]] = {}
    for label, (cell, *_) in rows.items():
        for sentence in find_idle_settings(cell.config, cell.plans):
            if not sentence.startswith("networks."):
                found.setdefault(sentence, []).append(label)
    for sentence, labels in found.items():
        others = (cell for label, (cell, *_) in rows.items() if label not in labels)
        if any(_has_option(cell, sentence.partition(":")[0]) for cell in others):
            continue
        yield sentence if len(labels) == len(rows) else f"{sentence} (in the rows {list_some(labels)})"


def _has_option(cell: Cell, path: str) -> bool:
    """Return whether a cell sets the option at a path such as `stages.self.options.gate`."""
    match path.split("."):
        case ["stages", stage, "options", option]:
            return stage in cell.config.stages and option in cell.config.stages[stage].options
    return False


def _equal_rows(planned: SweepPlan, rows: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """Yield a sentence for rows that are the same runs, though their settings differ or stand twice.

    A row that repeats the settings of the base, as a value of `vary` may, is left out.
    """
    same: dict[tuple[str, ...], list[str]] = {}
    for label, cells in rows.items():
        same.setdefault(tuple(cell.ids[cell.plans[-1].name] for cell in cells), []).append(label)
    sweep = planned.sweep
    varied = {label_values([(key, value)]) for key, values in sweep.vary.items() for value in values}
    base = _settings(rows[sweep.base][0]) if sweep.base is not None else None
    for labels in same.values():
        told = [label for label in labels if label not in varied or _settings(rows[label][0]) != base]
        if len(told) > 1:
            yield (
                f"the rows {list_some(told)} are the same runs: nothing in which they differ changes the "
                f"training or the scores."
            )


def _several_pairs(rows: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """Yield a sentence where the rows are of several pairs of domains, which no report can compare."""
    pairs: dict[str, list[str]] = {}
    for label, (cell, *_) in rows.items():
        data = cell.config.data
        pairs.setdefault(f"{data.source.name} -> {data.target.name}", []).append(label)
    if len(pairs) > 1:
        listed = "; ".join(f"{pair} ({list_some(labels, 4)})" for pair, labels in pairs.items())
        yield (
            f"the rows are of {len(pairs)} pairs of domains: {listed}. A report covers one pair, so write a "
            "sweep for each."
        )


def _settings(cell: Cell) -> Config:
    """Return a row's config without what differs among all rows."""
    return cell.config.model_copy(update={"name": "", "seed": 0})
