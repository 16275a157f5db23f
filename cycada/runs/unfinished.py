"""Find stages that were left unfinished under other settings, whose ids differ and which are not resumed."""

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
"""Keys of `data` that no id depends on."""


def find_unfinished(config: Config, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for each stage that starts anew while it is unfinished under other settings.

    Args:
        config: The experiment as it is now.
        ids: Name -> id of each of its stages.
    """
    runs = config.results / "runs"
    left: dict[str, list[tuple[Path, Config]]] = {}
    for newest in sorted(runs.glob("*/checkpoint-*.pt"), key=lambda path: path.name):
        folder = RunFolder(newest.parent)
        if folder.done or folder.id in ids.values():
            continue
        try:
            experiment, stage = folder.read_config()
            other = parse(experiment)
        except CycadaError:
            continue  # of another version, or damaged
        same_experiment = (other.name, other.seed) == (config.name, config.seed)
        if same_experiment and stage in other.stages and stage in ids:
            left.setdefault(stage, []).append((newest, other))
    for stage, (*_, (newest, other)) in left.items():
        if not (runs / ids[stage]).exists():
            yield _message(config, other, stage, newest)


def _message(now: Config, other: Config, stage: str, newest: Path) -> str:
    different = differences(_settings(now, stage), _settings(other, stage))
    why = (
        as_words(different, "now", "there")
        if different
        else "the data, a plug-in, a file of weights or the number of processes changed"
    )
    return (
        f"stage {stage}: {newest.parent} was left at step {step_of(newest)} of {other.stages[stage].steps}, "
        f"with other settings: {why}. This run starts anew; with the settings that are there it would go on."
    )


def _settings(config: Config, stage: str) -> dict[str, Any]:
    """Return the settings that the stage's id depends on."""
    settings = config.model_dump(mode="json", include={"data", "networks", "stages", "evaluation"})
    stages = {name: settings["stages"][name] for name in config.ancestors(stage)}
    return settings | {"stages": stages, "data": {k: v for k, v in settings["data"].items() if k not in IDLE}}
