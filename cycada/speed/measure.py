"""Time and peak memory of every stage of an experiment, each run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config import schema as configs
from cycada.core import files
from cycada.core.errors import CycadaError
from cycada.render.escape import markdown_row
from cycada.train.device import Device

COLUMNS = dict.fromkeys(("config", "stage", "batch", "window", "precision", "steps")) | {
    "trained_seconds": "s",
    "seconds": "s in total",
    "peak_gb": "peak GB",
}
"""Key of a row of measurements -> the head of its column; None: the key itself."""
EXPLAINED = (
    "Seconds: of the steps and the evaluation after them, and of the whole process. "
    "Peak: of its resident memory. "
    "A stage that recipes share was trained once; its row has the same numbers in each."
)
MEASURED = ("trained_seconds", "seconds", "peak_gb")


def measure_stages(
    file: Path, folder: Path, steps: int, assignments: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Run every stage of an experiment for a few steps, and yield a row of measurements for each.

    Rows are kept in `folder`/CONFIG.json, from where the same call goes on. A stage that another config in
    `folder` shares was trained there, and its row has the numbers from there.

    Args:
        file: The experiment's YAML file.
        folder: Where rows and, under `results`, runs are kept.
        steps: How many steps each stage is trained.
        assignments: Settings over the file's.

    Yields:
        Mappings with config, stage, id, batch, window (height and width in pixels), precision and steps;
        trained_seconds, of the steps and the evaluation after them; seconds, of the whole process; and
        peak_gb, of its resident memory.

    Raises:
        CycadaError: Where a stage fails, or was finished without being measured.
    """
    recipe = configs.load(file)
    names, kept = list(recipe.stages), files.prepare_folder(folder) / f"{file.stem}.json"
    rows: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    yield from rows
    for i in range(len(rows), len(names)):
        stage = recipe.stages[names[i]]
        overrides = [
            *assignments,
            f"results={folder / 'results'}",
            *(f"stages.{name}.steps={steps}" for name in names[: i + 1]),
            *(f"stages.{name}=null" for name in names[i + 1 :]),
        ]
        began = time.perf_counter()
        command = [sys.executable, "-m", "cycada", "run", str(file), *overrides, "--json"]
        summary, peak_gb = run_and_measure(command)
        result = summary["stages"][names[i]]
        row = {
            "config": file.stem,
            "stage": names[i],
            "id": result["id"],
            "batch": stage.batch,
            "window": list(recipe.window(stage)),
            "precision": stage.precision,
            "steps": steps,
        }
        if result["reused"]:
            row |= measured_before(folder, result["id"])
        else:
            row |= {
                "trained_seconds": result["seconds"],
                "seconds": round(time.perf_counter() - began, 1),
                "peak_gb": round(peak_gb, 2),
            }
        rows.append(row)
        files.write_json(kept, rows)
        yield row


def measured_before(folder: Path, stage_id: str) -> dict[str, Any]:
    """Return seconds and memory of a stage that two configs share, from the one where it was trained.

    Raises:
        CycadaError: Where no row in `folder` is about it.
    """
    for kept in folder.glob("*.json"):
        for row in json.loads(kept.read_text()):
            if row["id"] == stage_id:
                return {key: row[key] for key in MEASURED}
    raise CycadaError(
        f"{folder / 'results'}: stage {stage_id} is finished but was not measured. "
        "Remove that folder and start again."
    )


def run_and_measure(command: Sequence[str]) -> tuple[dict[str, Any], float]:
    """Run a command and return its last line, which is JSON, and its peak of resident memory in GB.

    Raises:
        CycadaError: Where it fails.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise CycadaError(f"exit code {process.returncode}: {' '.join(command)}")
        output.seek(0)
        return json.loads(output.read().splitlines()[-1]), usage.ru_maxrss / 1e6


def describe_machine() -> str:
    """Return the device, the number of cores and the size of the memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{Device.find('auto').describe()}, {os.cpu_count()} cores, {memory:.0f} GB"


def measurements_as_markdown(rows: Sequence[Mapping[str, Any]], lead: str) -> str:
    """Return the measurements as a Markdown table with a paragraph before it."""
    lines = [
        f"{lead} {EXPLAINED}",
        "",
        markdown_row(head or key for key, head in COLUMNS.items()),
        "|---" * len(COLUMNS) + "|",
    ]
    for row in rows:
        shown = dict(row) | {"window": "{} x {}".format(*row["window"])}
        lines.append(markdown_row(str(shown[key]) for key in COLUMNS))
    return "\n".join(lines) + "\n"
