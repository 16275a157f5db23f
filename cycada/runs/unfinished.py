"""Stages of an experiment that were left unfinished under other settings: another setting is another id, and starts anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cycada.config.schema import Config, parse
from cycada.core.differences import as_words, differences
from cycada.core.errors import CycadaError
from cycada.storage.store import RunFolder
from cycada.train.checkpoint import step_of

IDLE = {"root", "download", "workers", "hold"}
"""What of `data` is in no id."""


def unfinished(config: Config, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each stage of this experiment and seed that this run starts anew while another id of it is unfinished.

    Args:
        config: The experiment as it is now.
        ids: The name of each of its stages, with the stage's id.
    """
    runs = config.results / "runs"
    found: dict[str, list[tuple[Path, Config]]] = {}
    for newest in sorted(runs.glob("*/checkpoint-*.pt"), key=lambda path: path.name):
        folder = RunFolder(newest.parent)
        if folder.done or folder.id in ids.values():
            continue
        try:
            experiment, stage = folder.read_config()
            there = parse(experiment)
        except CycadaError:
            continue  # of another version, or not whole: nobody can say what it was
        if (there.name, there.seed) == (config.name, config.seed) and stage in there.stages and stage in ids:
            found.setdefault(stage, []).append((newest, there))
    for stage, (*_, (newest, there)) in found.items():
        if not (runs / ids[stage]).exists():
            yield _said(config, there, stage, newest)


def _said(here: Config, there: Config, stage: str, newest: Path) -> str:
    differ = differences(_told(here, stage), _told(there, stage))
    why = (
        as_words(differ, "now", "there")
        if differ
        else "the data, a plug-in, a file of weights or the number of processes changed"
    )
    return (
        f"stage {stage}: {newest.parent} was left at step {step_of(newest)} of {there.stages[stage].steps}, with other settings: {why}. "
        "This run starts anew; with the settings that are there it would go on."
    )


def _told(config: Config, stage: str) -> dict[str, Any]:
    """What the stage's id depends on."""
    whole = config.model_dump(mode="json", include={"data", "networks", "stages", "evaluation"})
    stages = {name: whole["stages"][name] for name in config.ancestors(stage)}
    return whole | {"stages": stages, "data": {k: v for k, v in whole["data"].items() if k not in IDLE}}
