"""Write fooling rates as tables and as a chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cycada.core.errors import foreign_file
from cycada.core.files import prepare_folder, write_text
from cycada.render.escape import csv_lines, markdown_cell
from cycada.render.figure import INK, TARGET, Panel, new, panel, short, styled
from cycada.render.table import NONE, Table
from cycada.render.text import markdown
from cycada.study.rates import Scored
from cycada.study.records import RATES, RATES_SIGN, read_bytes

LEAD = (
    "The fooling rate is the share of scored trials in which the generated picture was taken for the real "
    "one. At 50 % nobody can tell them apart."
)
METHODS = (
    "method",
    "rate",
    "wilson_low",
    "wilson_high",
    "mean",
    "standard_error",
    "people_low",
    "people_high",
    "fooled",
    "trials",
    "people",
)
PEOPLE = (
    "participant",
    "method",
    "file",
    "fooled",
    "trials",
    "practice_right",
    "practice",
    "hidden",
    "exposure_off",
    "left_share",
    "median_milliseconds",
)
AXIS = "fake taken for real, % of scored trials"
SIGNS = {
    "study.md": LEAD,
    "study.svg": AXIS,
    RATES: RATES_SIGN.decode(),
    "study.csv": ",".join(METHODS),
    "people.csv": ",".join(PEOPLE),
}
"""What each file holds, and hardly a file of the user's of the same name."""


def sheet(scored: Scored) -> Table:
    """Return the table with one row per method, in percent, highest first."""
    heads = (
        "method",
        "fooled, %",
        "95 % (Wilson)",
        "mean ± s.e. over people",
        "95 % over people",
        "fooled / trials",
        "people",
    )
    rows = []
    for method, r in scored.rates.items():
        if r is None:
            rows.append((method, *[NONE] * 4, "0 / 0", "0"))
            continue
        error = "" if r.error is None else f" ± {100 * r.error:.1f}"
        mean = f"{100 * r.mean:.1f}{error}"
        people = _between(r.people) if r.people else NONE
        rows.append(
            (
                method,
                f"{100 * r.rate:.1f}",
                _between(r.wilson),
                mean,
                people,
                f"{r.count} / {r.trials}",
                str(r.participants),
            )
        )
    return Table("study", "Fooling rate", heads, rows, notes=tuple(notes(scored)))


def _between(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def notes(scored: Scored) -> list[str]:
    """Return the notes that have to be read together with the numbers."""
    rules, dropped = scored.rules, scored.trials_left_out
    notes = [
        "Wilson's interval treats all trials as independent, which those of one person are not. The interval "
        "over people resamples people, each with all of their trials, and is the one to trust from about ten "
        "people on; with fewer it is too narrow.",
        *(
            f"Page {study}: {s['trials']} scored pairs after {s['practice']} practice pairs, "
            f"{s['seconds']:g} s each, {s['size'][0]} x {s['size'][1]} pixels, "
            f"{'a photo and its translation' if s['pairing'] == 'same' else 'random pairs'}."
            for study, s in scored.studies.items()
        ),
        f"Trials left out: {dropped['hidden']} with a hidden "
        f"tab{' (they count, by --keep-hidden)' if rules.keep_hidden else ''}, {dropped['exposure_off']} "
        f"whose time on screen was wrong by more than {100 * rules.exposure_off:g} %.",
        f"Sessions: {len(scored.people)} counted, {len(scored.left_out)} left out. "
        + (
            f"Sessions with less than {100 * rules.min_practice:g} % right answers in practice are left out."
            if rules.min_practice
            else "None is left out for its practice."
        ),
        *(f"Left out: {x.path.name}: {x.reason}" for x in scored.left_out),
    ]
    if (
        len({(s["seconds"], tuple(s["size"]), s["pairing"], s["practice"]) for s in scored.studies.values()})
        > 1
    ):
        notes.append("The pages differ in how they show pairs, so their rates are not comparable.")
    return notes


def chart(scored: Scored) -> Panel:
    """Draw a point per method with its intervals, small dots for people, and a line where nobody can tell.

    The thick line is Wilson's interval, the thin line the interval over people.
    """
    rates = [(m, r) for m, r in scored.rates.items() if r]
    with styled():
        figure, axes = new(4.9, 0.75 + 0.52 * len(rates))
        axes.axvline(50, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.7)
        axes.text(50, -0.72, "nobody can tell", ha="center", va="bottom", fontsize=7)
        for y, (method, r) in enumerate(rates):
            own = [
                100 * p.fooled.count / p.fooled.trials
                for p in scored.people
                if p.method == method and p.fooled.trials
            ]
            axes.plot(own, y + _apart(own), "o", color=INK, markersize=2.6, alpha=0.35, linewidth=0)
            if r.people:
                axes.plot([100 * x for x in r.people], [y, y], color=TARGET, linewidth=1.2)
            axes.plot(
                [100 * x for x in r.wilson],
                [y, y],
                color=TARGET,
                linewidth=4,
                alpha=0.55,
                solid_capstyle="butt",
            )
            axes.plot(100 * r.rate, y, "o", color=TARGET, markersize=5.5)
            axes.text(0, y - 0.34, short(method, 60), va="bottom", fontsize=8.5)
            axes.text(104, y, f"{100 * r.rate:.1f} %", va="center", fontsize=8.5)
        axes.set(xlim=(-1, 122), ylim=(len(rates) - 0.5, -0.75), yticks=[], xticks=range(0, 101, 25))
        axes.set_xlabel(AXIS, loc="left")
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_bounds(0, 100)
        listed = "; ".join(f"{m} {100 * r.rate:.1f} % ({_between(r.wilson)})" for m, r in rates)
        return panel(figure, "study", f"Fooling rate by method, with 95 % intervals: {listed}")


def _apart(values: Sequence[float]) -> np.ndarray:
    """Return an offset for each dot, further down for each other dot at its place, so that all are seen."""
    seen: dict[float, int] = {}
    steps = []
    for value in values:
        steps.append(seen.get(value, 0))
        seen[value] = steps[-1] + 1
    offsets: np.ndarray = 0.14 + np.minimum(np.array(steps), 6) * 0.045
    return offsets


def write(scored: Scored, folder: Path) -> None:
    """Write study.md, study.csv, study.json, study.svg and people.csv into `folder`.

    Raises:
        CycadaError: One of them is there already, and is another file.
    """
    figure = chart(scored)
    text = markdown("Real or fake", LEAD, [sheet(scored)], [])
    methods = [
        (
            m,
            *(
                (
                    r.rate,
                    *r.wilson,
                    r.mean,
                    r.error,
                    *(r.people or (None, None)),
                    r.count,
                    r.trials,
                    r.participants,
                )
                if r
                else [None] * 10
            ),
        )
        for m, r in scored.rates.items()
    ]
    people = [
        (
            p.participant,
            p.method,
            p.file,
            p.fooled.count,
            p.fooled.trials,
            *p.practice,
            p.hidden,
            p.exposure_off,
            p.left,
            p.median_milliseconds,
        )
        for p in scored.people
    ]
    files = {
        "study.md": f"{text}\n![{markdown_cell(figure.alt)}](study.svg)\n",
        "study.svg": figure.alone,
        RATES: json.dumps(scored.as_dict(), indent=1) + "\n",
        "study.csv": csv_lines([METHODS, *methods]),
        "people.csv": csv_lines([PEOPLE, *people]),
    }
    for name, sign in SIGNS.items():
        file = folder / name
        if file.exists() and sign.encode() not in read_bytes(file):
            raise foreign_file(file, "cycada study")
    prepare_folder(folder)
    for name, content in files.items():
        write_text(folder / name, content)
