"""Tables of translations as files: Markdown to read, CSV, and JSON with everything that was measured."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.core import files
from cycada.image_quality.table import as_csv, as_plain, markdown, notes, quality_tables
from cycada.storage.store import RunFolder


def write_quality_tables(
    folder: Path, name: str, entries: Sequence[tuple[str, Mapping[str, Any]]], command: str, results: Path
) -> Path:
    """Write the tables of several runs as `folder`/NAME.md, .csv and .json, and return the Markdown file.

    Args:
        folder: Where to write.
        name: What the files are called.
        entries: (row, what `cycada.quality` returned) of every run; runs with one row are seeds of it.
        command: The command that makes the table again.
        results: The results folder, whose manifests say what the runs were trained on.

    Raises:
        CycadaError: Where the runs were not measured alike.
    """
    tables, measured = quality_tables(entries), [entry for _, entry in entries]
    manifests = [RunFolder(results / "runs" / entry["id"]).read_json("manifest.json") for entry in measured]
    devices = "; ".join(sorted({m["device"] for m in manifests}))
    budgets = ", ".join(dict.fromkeys(f"{m['method']} {m['steps']} x {m['batch']}" for m in manifests))
    remarks = [
        f"`{command}`, last step, on all test pictures.",
        f"Steps x batch: {budgets}. Trained on {devices}.",
        *notes(measured),
    ]
    files.prepare_folder(folder)
    content = {"command": command, "rows": as_plain(tables), "notes": remarks, "runs": measured}
    files.write_json(folder / f"{name}.json", content)
    files.write_text(folder / f"{name}.csv", as_csv(tables))
    path = folder / f"{name}.md"
    files.write_text(path, markdown(tables, remarks))
    return path


def command_without_places(words: Sequence[str]) -> str:
    """Return a command that makes the same table on another machine, without the places of this one.

    `data.root=`, `results=` and `--out FOLDER` are left out, and of an absolute path only the last part
    stays.
    """
    kept: list[str] = []
    for word in words:
        if kept and kept[-1] == "--out":
            kept.pop()
        elif not word.startswith(("data.root=", "results=")):
            kept.append(Path(word).name if word.startswith("/") else word)
    followed = zip(kept, [*kept[1:], "--"], strict=True)
    return shlex.join(word for word, after in followed if word != "--set" or not after.startswith("--"))
