"""The summary of a sweep, results/sweeps/NAME.json, which lists its cells for reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cycada.config.schema import digest
from cycada.core.errors import CycadaError, os_message
from cycada.core.files import prepare_folder, warn_if_read_only, write_json
from cycada.core.interrupt import Interrupted
from cycada.core.progress import Progress
from cycada.runs.records import Records
from cycada.sweeps.plan import Cell, SweepPlan
from cycada.sweeps.schema import Sweep, load_sweep
from cycada.sweeps.state import SweepState


def write_summary(
    planned: SweepPlan, progress: SweepState, screen: Progress, records: Path | None
) -> dict[str, Any]:
    """Write results/sweeps/NAME.json after every stage, so that a report can be made of half a sweep.

    The file keeps cells of other seeds that the same sweep trained with the same overrides (`--seeds`).

    Args:
        planned: The sweep.
        progress: The state of its stages.
        screen: Where warnings are shown.
        records: A folder, in which the records of cells that are done are written, too; None writes none.

    Returns:
        The file's content with the planned cells alone.
    """
    sweep, path = planned.sweep, sweep_file(planned.results, planned.sweep.name)
    content: dict[str, Any] = {
        "name": sweep.name,
        "file": str(planned.file),
        "definition": definition(sweep),
        "compare_to": sweep.compare_to or sweep.base,
        **({"settled_on": sweep.settled_on} if sweep.settled_on else {}),
        **({"overrides": planned.overrides} if planned.overrides else {}),
        "cells": [_cell(cell, progress) for cell in planned.cells],
    }
    cells = [*content["cells"], *_other_seeds(content, path)]
    seeds = list(dict.fromkeys(cell["seed"] for cell in cells))
    whole = {
        **content,
        **({"seeds": sorted(seeds)} if set(seeds) != set(sweep.seeds) else {}),
        "cells": cells,
    }
    with warn_if_read_only("the summary", screen.warn):
        prepare_folder(path.parent)
        write_json(path, whole)
    if records:
        with warn_if_not_recorded(screen.warn):
            Records(records).add_sweep(whole, planned.results, replace=False)
    return content


def _cell(cell: Cell, progress: SweepState) -> dict[str, Any]:
    states = [progress.states[i] for i in cell.ids.values()]
    status = (
        "failed"
        if any(s in ("failed", "skipped") for s in states)
        else "done"
        if set(states) == {"done"}
        else "not run"
    )
    errors = [f"stage {name}: {progress.errors[i]}" for name, i in cell.ids.items() if i in progress.errors]
    stages = [
        {"name": p.name, "label": p.method.label, "method": p.stage.method, "id": cell.ids[p.name]}
        for p in cell.plans
    ]
    return {
        "variant": cell.variant,
        "seed": cell.seed,
        "status": status,
        "error": "; ".join(errors) or None,
        "stages": stages,
    }


def _other_seeds(content: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the cells of other seeds in the file that an equal sweep left there."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if any(before.get(key) != content.get(key) for key in ("definition", "overrides")):
            return []
        planned = {cell["seed"] for cell in content["cells"]}
        return [cell for cell in before["cells"] if cell["seed"] not in planned]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []  # there is no file, or it is not what was written


@contextmanager
def warn_if_not_recorded(warn: Callable[[str], None]) -> Iterator[None]:
    """Turn an error of writing records into a warning, as it must not end what is trained meanwhile."""
    try:
        yield
    except Interrupted:
        raise
    except (CycadaError, OSError) as error:
        message = os_message(error) if isinstance(error, OSError) else error
        warn(f"No record was written: {message}")


def sweep_file(results: Path, name: str) -> Path:
    """Return the path of the file that lists a sweep's cells."""
    return results / "sweeps" / f"{name}.json"


def definition(sweep: Sweep) -> str:
    """Return a digest of a sweep's file, by which `describe_change` knows whether it was changed."""
    return digest(sweep.model_dump(mode="json"))


def describe_change(word: str, results: Path) -> str | None:
    """Return a sentence where a sweep's file was changed after the sweep was trained; None otherwise.

    Args:
        word: A sweep's YAML file; of anything else nothing is known.
        results: The results folder.
    """
    if Path(word).suffix not in (".yaml", ".yml"):
        return None
    try:
        sweep = load_sweep(word)
        content = json.loads(sweep_file(results, sweep.name).read_text(encoding="utf-8"))
    except (CycadaError, OSError, ValueError):
        return None
    if content.get("definition") in (None, definition(sweep)):
        if overrides := content.get("overrides"):
            return f"{word}: '{sweep.name}' was trained with {' '.join(overrides)} over the file's settings."
        return None
    return (
        f"{word}: it was changed since '{sweep.name}' was trained. The report shows what was trained; "
        f"`cycada sweep {word}` trains what is missing."
    )
