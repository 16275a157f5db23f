"""What `cycada sweep --dry-run` prints."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from cycada.runs.rescoring import twin_of
from cycada.sweeps.plan import SweepPlan
from cycada.sweeps.sweep import seconds_left


def print_plan(planned: SweepPlan, slots: int, as_json: bool) -> None:
    """A row a variant, how many stages are there and to train, and how long that takes with `slots` at a time."""
    unfinished = [job for job in planned.jobs.values() if not job.folder.done]
    left = [job for job in unfinished if twin_of(job.folder) is None]
    again = len(unfinished) - len(left)  # trained already, in another way of scoring
    seconds = seconds_left(left, planned.results)
    known = [s for s in seconds.values() if s is not None]
    asked = sum(len(c.plans) for c in planned.cells)
    if as_json:
        whole = {
            "cells": len(planned.cells),
            "stages": asked,
            "unique": len(planned.jobs),
            "to_train": len(left),
            "to_score": again,
        }
        print(json.dumps(whole | {"seconds": sum(known), "unknown": len(left) - len(known), "jobs": slots}))
        return
    table = Table(title=f"{planned.sweep.name}: {len(planned.cells)} cells")
    for column in ("variant", "seeds", "stages (* to train)"):
        table.add_column(column, overflow="fold")
    todo = {job.id for job in left}
    for variant in dict.fromkeys(c.variant for c in planned.cells):
        cells = [c for c in planned.cells if c.variant == variant]
        stages = [
            f"{p.name}{'*' if any(c.ids[p.name] in todo for c in cells) else ''}" for p in cells[0].plans
        ]
        table.add_row(variant, " ".join(str(c.seed) for c in cells), " ".join(stages))
    out = Console(highlight=False)
    out.print(table)
    rest = f", {again} only to score again" if again else ""
    out.print(
        f"{asked} stages, {len(planned.jobs)} of them different: {len(planned.jobs) - len(unfinished)} done, {len(left)} to train{rest}."
    )
    if known:
        how = "at least" if len(known) < len(left) else "about"
        rest = (
            f"; {len(left) - len(known)} stages are of a method that was never run here"
            if len(known) < len(left)
            else ""
        )
        out.print(
            f"{how} {sum(known) / slots / 60:.0f} minutes with {slots} at a time, going by finished stages{rest}."
        )
    elif left:
        out.print("How long it takes cannot be said: no stage of these methods was ever finished here.")
