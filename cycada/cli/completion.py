"""What a shell completes: recipes, run ids, and the keys and names of a config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from cycada.config.recipes import descriptions
from cycada.core.errors import CycadaError


def recipe_names(incomplete: str) -> list[tuple[str, str]]:
    """Return the shipped recipes that begin with a word, each with its description."""
    return [(name, line) for name, line in descriptions().items() if name.startswith(incomplete)]


def config_files(incomplete: str) -> list[str]:
    """Return the YAML files and folders, and the shipped recipes, that begin with a word."""
    start = Path(incomplete or ".")
    folder = start if incomplete.endswith("/") or not incomplete else start.parent
    here = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [f"{p}/" if p.is_dir() else str(p) for p in here if p.is_dir() or p.suffix in (".yaml", ".yml")]
    recipes = [name for name, _ in recipe_names(incomplete)]
    return [name for name in (*files, *recipes) if name.startswith(incomplete)]


def run_ids(incomplete: str) -> list[tuple[str, str]]:
    """Return the ids of the stages under results/runs that begin with a word, each with its stage's name."""
    from cycada.core.yaml_files import read

    found = []
    for folder in sorted(Path("results/runs").glob(f"{incomplete}*")):
        try:
            stored = read(folder / "config.yaml")
            found.append((folder.name, f"{stored['experiment']['name']}: {stored['stage']}"))
        except (CycadaError, KeyError, TypeError):  # it is being written, or is no run
            continue
    return found


def settings(incomplete: str) -> list[str]:
    """Return the dotted keys of a config, as in `data.size=`, that begin with a word.

    The names of stages are not known here: below `stages.NAME.` the keys of a stage are completed.
    """
    from cycada.config.schema import Config, Stage

    keys = [f"{key}=" for key in _keys(Config)]
    parts = incomplete.split(".")
    if parts[0] == "stages" and len(parts) > 2:
        keys += [f"stages.{parts[1]}.{key}=" for key in _keys(Stage)]
    return [key for key in keys if key.startswith(incomplete)]


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the dotted keys of a model that are set to a value; those of a mapping or list are not known."""
    for name, field in model.model_fields.items():
        inner = [m for m in _models(field.annotation) if m.__name__ not in ("Spec", "Stage", "Loss")]
        for below in inner:
            yield from (f"{name}.{key}" for key in _keys(below))
        if field.annotation not in inner and name != "stages":
            yield name


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if getattr(annotation, "__origin__", None) in (dict, list):
        return []
    return [model for part in get_args(annotation) for model in _models(part)]
