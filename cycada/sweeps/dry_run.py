"""Print what a sweep would do, for `cycada sweep --dry-run`."""

from __future__ import annotations

import json

from rich.table import Table

from cycada.core.console import make_plain_console
from cycada.runs.rescoring import find_same_weights
from cycada.storage.identity import weights_id
from cycada.sweeps.estimate import seconds_left
from cycada.sweeps.plan import SweepPlan


def print_plan(planned: SweepPlan, slots: int, as_json: bool) -> None:
    """Print a row for each variant, how many stages are left to train, and how long they take.

    Args:
        planned: The sweep.
        slots: How many stages are trained at a time.
        as_json: Print one JSON object with the numbers instead.
    """
    unfinished = [job for job in planned.jobs.values() if not job.folder.done]
    names = [path.name for path in (planned.results / "runs").glob("*")]
    trained = {weights_id(name) for name in names if "-" in name} | set(names)
    left = [
        job for job in unfinished if weights_id(job.id) not in trained or not find_same_weights(job.folder)
    ]
    to_score = len(unfinished) - len(left)  # trained already, with another evaluation
    seconds = seconds_left(left, planned.results)
    known = [s for s in seconds.values() if s is not None]
    wanted = sum(len(c.plans) for c in planned.cells)
    if as_json:
        content: dict[str, float] = {
            "cells": len(planned.cells),
            "stages": wanted,
            "unique": len(planned.jobs),
            "to_train": len(left),
            "to_score": to_score,
            "seconds": sum(known),
            "unknown": len(left) - len(known),
            "jobs": slots,
        }
        print(json.dumps(content))
        return
    table = Table(title=f"{planned.sweep.name}: {len(planned.cells)} cells")
    for column in ("variant", "seeds", "stages (* to train)"):
        table.add_column(column, overflow="fold")
    ids_to_train = {job.id for job in left}
    for variant in dict.fromkeys(c.variant for c in planned.cells):
        cells = [c for c in planned.cells if c.variant == variant]
        stages = [
            f"{p.name}{'*' if any(c.ids[p.name] in ids_to_train for c in cells) else ''}"
            for p in cells[0].plans
        ]
        table.add_row(variant, " ".join(str(c.seed) for c in cells), " ".join(stages))
    out = make_plain_console()
    out.print(table)
    scored = f", {to_score} only to score again" if to_score else ""
    done = len(planned.jobs) - len(unfinished)
    out.print(
        f"{wanted} stages, {len(planned.jobs)} of them different: {done} done, {len(left)} to train{scored}."
    )
    if known:
        about = "at least" if len(known) < len(left) else "about"
        rest = (
            f"; {len(left) - len(known)} stages are of a method that was never run here"
            if len(known) < len(left)
            else ""
        )
        out.print(
            f"{about} {sum(known) / slots / 60:.0f} minutes with {slots} at a time, "
            f"going by finished stages{rest}."
        )
    elif left:
        out.print("How long this takes is not known: no stage of these methods was finished here before.")
