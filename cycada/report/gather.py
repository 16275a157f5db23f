"""Collect the rows of a report from the names of sweeps, experiments and runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cycada.config.schema import is_name, load
from cycada.core.errors import CycadaError, list_some, nearest, shown
from cycada.report.comparable import incomparable, not_comparable_with
from cycada.report.record import Record, find_record, read_json, relative_path, settings_of
from cycada.report.rows import FULL_METHODS, Outcome, ReportData, Variant
from cycada.runs.records import kind_of, name_in
from cycada.runs.reuse import find_run
from cycada.storage.store import RECORDS


def gather(what: Sequence[str], results: Path, against: str | None = None) -> ReportData:
    """Collect the rows for sweeps, experiments and runs.

    Args:
        what: Names or YAML files of sweeps and experiments, and ids or folders of runs.
        results: The folder of all results.
        against: The name of the row that the others are tested against; chosen by `_choose_reference` if
            None.

    Returns:
        The rows, with notes about what is missing or not comparable.

    Raises:
        CycadaError: Nothing was found, or the rows are about different domains or scores.
    """
    outcomes_by_row: dict[str, list[Outcome]] = {}
    report = ReportData("")
    runs: list[Record] = []
    names = []
    for word in what:
        name = name_in(word)
        if not is_name(name):  # a folder, or something that no run could be called
            runs.append(_run(word, name, results))
            continue
        kind = kind_of(word)
        sweeps = _stored(f"sweeps/{name}.json", results) if kind != "experiment" else []
        summaries = _stored(f"experiments/{name}/seed*.json", results) if kind != "sweep" else []
        if sweeps:
            rows = _sweep(read_json(sweeps[0], "sweep"), results, report)
            if summaries:
                report.notes.append(
                    f"There are a sweep and an experiment called {name}; these are the rows of the sweep. "
                    "Give the YAML file of the experiment for its own."
                )
        elif summaries:
            rows = _experiment(name, word, summaries, results, report)
        else:
            runs.append(_run(word, name, results))
            continue
        names.append(name)
        several = len(what) > 1
        for label, outcomes in rows.items():
            outcomes_by_row[f"{name}: {label}" if several else label] = outcomes
    outcomes_by_row |= _by_settings(runs)
    report.name = "+".join(dict.fromkeys(names + [r.id for r in runs]))
    report.rows = [
        row for label, outcomes in outcomes_by_row.items() if (row := _row(label, outcomes, report))
    ]
    if not report.rows:
        raise CycadaError(
            f"Nothing to report on: {', '.join(what)} has no finished stage with a classifier and a labelled "
            "target test set. To measure the quality of translated images, use `cycada quality RUN`. "
            + " ".join([*report.notes, *report.failures[:2]])
            + (f" {len(report.failures) - 2} more cells failed." if len(report.failures) > 2 else "")
        )
    _check_one_pair(report)
    _choose_reference(report, against)
    report.notes += _same_runs(report.rows)
    report.notes += (notes := incomparable(report.rows))
    if notes:
        report.not_comparable = not_comparable_with(report.row(report.reference), report.rows)
    return report


def _stored(pattern: str, results: Path) -> list[Path]:
    """Return the files of the results folder that match, and of its records those that it lacks."""
    folders = (results / RECORDS, results)
    return list({path.name: path for folder in folders for path in sorted(folder.glob(pattern))}.values())


def _run(word: str, name: str, results: Path) -> Record:
    try:
        return Record(find_run(word, results, records=True).path, results)
    except CycadaError as error:
        if Path(word).is_dir():
            raise
        folders = (results, results / RECORDS)
        sweeps = {
            p.relative_to(folder / "sweeps").with_suffix("").as_posix()
            for folder in folders
            for p in (folder / "sweeps").rglob("*.json")
        }
        experiments = {
            p.parent.relative_to(folder / "experiments").as_posix()
            for folder in folders
            for p in (folder / "experiments").rglob("seed*.json")
        }
        ids = [p.name for folder in folders for p in (folder / "runs").glob("*") if p.is_dir()]
        if re.fullmatch(r"[0-9a-f]{1,12}", word) and any(i.startswith(word) for i in ids):
            raise error from None
        raise CycadaError(
            f"There is nothing called {shown(name)} in {results}: no sweep, no experiment that was run, and "
            f"no run id.{nearest(name, [*sweeps, *experiments])} Run it first (`cycada run CONFIG`), or name "
            "another folder with --results."
        ) from None


def _outcome(record: Record, others: Sequence[Record]) -> Outcome:
    """Return the outcome of a run, with its chain of stages and its baseline.

    The baseline is the source-only stage that it started from, or else the first one of the same seed in
    `others`.
    """
    chain = (*record.ancestors(), record)
    baselines = [r for r in (*chain, *others) if r.is_baseline and r.seed == record.seed]
    return Outcome(record.seed, chain, baselines[0] if baselines else None)


def _experiment(
    name: str, word: str, summaries: Sequence[Path], results: Path, report: ReportData
) -> dict[str, list[Outcome]]:
    """Return one row for each stage of an experiment, over all seeds that were run."""
    stages: dict[str, list[Outcome]] = {}
    changed: list[str] = []
    for path in sorted(summaries, key=lambda p: int(re.sub(r"\D", "", p.stem) or 0)):
        summary = read_json(path, "summary")
        records = {stage: find_record(results, s["id"]) for stage, s in summary["stages"].items()}
        missing = [f"{s} ({r.id})" for s, r in records.items() if not r.done]
        if missing:
            report.failures.append(
                f"{name}, seed {summary['seed']}: no finished run folder for {', '.join(missing)}."
            )
        finished = [r for r in records.values() if r.done]
        for stage, record in records.items():
            if record.done:
                stages.setdefault(stage, []).append(_outcome(record, finished))
        file = word if word.endswith((".yaml", ".yml")) else str(Path("configs") / f"{name}.yaml")
        config = relative_path(file) if Path(file).exists() else f"CONFIG-OF-{name}"
        as_in_file = _is_as_in(file, records)
        changed += [] if as_in_file else [str(summary["seed"])]
        more = "" if as_in_file else "  # with settings over those of the file"
        report.commands.append(f"cycada run {config} seed={summary['seed']}{more}")
    if changed and file == word:
        report.notes.append(
            f"{name}: the runs of seed {list_some(changed)} have other settings than {config} has today."
        )
    labels = [outcomes[0].last.label for outcomes in stages.values()]
    return {
        label if labels.count(label) == 1 else f"{label} ({stage})": outcomes
        for label, (stage, outcomes) in zip(labels, stages.items(), strict=True)
    }


def _is_as_in(config: str, records: Mapping[str, Record]) -> bool:
    """Return whether stages have the settings that a YAML file gives them today; True without the file."""
    try:
        today = load(config)
    except CycadaError:
        return True
    return all(
        stage in today.stages and settings_of(today, stage) == record.settings()
        for stage, record in records.items()
        if record.is_there
    )


def _sweep(sweep: dict[str, Any], results: Path, report: ReportData) -> dict[str, list[Outcome]]:
    """Return one row for the last stage of each variant of a sweep.

    The source-only stages that the variants share make rows of their own, unless a variant consists of one.
    """
    variants: dict[str, list[Outcome]] = {}
    shared: dict[str, Outcome] = {}
    every = {
        s["id"]: find_record(results, s["id"])
        for c in sweep["cells"]
        for s in c["stages"]
        if s["method"] == "source_only"
    }
    settled_on = set(sweep.get("settled_on", ()))
    if sweep["cells"] and settled_on.issuperset(cell["seed"] for cell in sweep["cells"]):
        raise CycadaError(
            f"Nothing to report on: found every seed of the sweep {sweep['name']} under its settled_on, "
            "expected one whose test scores were not looked at while the recipe was settled. Add seeds to "
            "the sweep, and run it again."
        )
    if left_out := sorted(settled_on & {cell["seed"] for cell in sweep["cells"]}):
        report.notes.append(
            f"Left out of every row, since their test scores were looked at while the recipe was settled: "
            f"seed {', '.join(map(str, left_out))}."
        )
    for cell in sweep["cells"]:
        if cell["seed"] in settled_on:
            continue
        where = f"{cell['variant']}, seed {cell['seed']}"
        records = [find_record(results, s["id"]) for s in cell["stages"]]
        variants.setdefault(cell["variant"], [])
        if cell["status"] != "done" or not records:
            report.failures.append(
                f"{where}: {cell['status']}{': ' + cell['error'] if cell.get('error') else ''}"
            )
            continue
        missing = [r.id for r in records if not r.done]
        if missing:
            report.failures.append(f"{where}: no finished run folder {', '.join(missing)}.")
            continue
        evaluation = records[-1].id.partition("-")[2]  # a gain compares what was scored in the same way
        common = [
            r
            for r in every.values()
            if r.done and r.is_baseline and (r.seed, r.id.partition("-")[2]) == (cell["seed"], evaluation)
        ]
        variants[cell["variant"]].append(
            _outcome(records[-1], [*records, *(common if len(common) == 1 else [])])
        )
        shared |= {r.id: _outcome(r, records) for r in records if r.is_baseline}
    ids = {o.last.id for outcomes in variants.values() for o in outcomes}
    if sweep.get("compare_to"):
        report.reference = sweep["compare_to"]
    words = [relative_path(sweep.get("file") or sweep["name"]), *sweep.get("overrides", ())]
    if seeds := sweep.get("seeds"):
        words += ["--seeds", ",".join(map(str, seeds))]
    report.commands.append(shlex.join(["cycada", "sweep", *words]))
    baselines = _baseline_rows([outcome for identity, outcome in shared.items() if identity not in ids])
    return baselines | variants


def _baseline_rows(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    """Return one row `source only` for each kind of settings: a variant may have a classifier of its own."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.last.settings(), []).append(outcome)
    return {
        "source only" if i == 0 else f"source only ({i + 1})": group
        for i, group in enumerate(groups.values())
    }


def _by_settings(records: list[Record]) -> dict[str, list[Outcome]]:
    """Return the rows of single runs; runs with equal settings are the seeds of one row."""
    groups: dict[str, list[Outcome]] = {}
    for record in {r.id: r for r in records}.values():
        groups.setdefault(record.settings(), []).append(_outcome(record, records))
    labels = [g[0].last.label for g in groups.values()]
    return {
        label
        if labels.count(label) == 1
        else f"{label} ({'-'.join(part[:6] for part in group[0].last.id.split('-'))})": group
        for label, group in zip(labels, groups.values(), strict=True)
    }


def _row(name: str, outcomes: list[Outcome], report: ReportData) -> Variant | None:
    """Return a row of the scored outcomes, or None without any; both may add notes to the report."""
    scored = [o for o in outcomes if o.last.score() is not None]
    if outcomes and not scored:
        report.notes.append(
            f"{name}: it has no classifier or no labelled target test set, and so no row in the table."
        )
    if not scored:
        return None
    seeds = [o.seed for o in scored]
    if len(set(seeds)) < len(seeds):
        doubled = sorted({s for s in seeds if seeds.count(s) > 1})
        raise CycadaError(
            f"{name}: there are two runs with seed {doubled[0]} and equal settings. Name only one of them."
        )
    if len({o.last.settings() for o in scored}) > 1:
        report.notes.append(
            f"{name}: not all of its seeds were trained with the same settings, so its standard error shows "
            "more than the choice of the seed."
        )
    return Variant(name, tuple(sorted(scored, key=lambda o: o.seed)))


def _same_runs(rows: Sequence[Variant]) -> list[str]:
    """Return a sentence for rows that are the same runs, which no test can tell apart."""
    names: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        names.setdefault(tuple(outcome.last.id for outcome in row.outcomes), []).append(row.name)
    return [
        f"The rows {list_some(same, 10)} are the same runs, as their settings are equal."
        for same in names.values()
        if len(same) > 1
    ]


def _check_one_pair(report: ReportData) -> None:
    pairs = {(*o.last.titles, row.metric.word): row.name for row in report.rows for o in row.outcomes}
    if len(pairs) > 1:
        listed = "; ".join(f"{s} -> {t}, {metric} ({row})" for (s, t, metric), row in pairs.items())
        raise CycadaError(
            f"A report covers one pair of domains and one kind of score, found {len(pairs)}: {listed}. Make "
            "one report for each."
        )


def _choose_reference(report: ReportData, against: str | None) -> None:
    """Set the row that the others are tested against.

    It is, in this order: the row named by --against; the sweep's `compare_to`; a row called `full`; the last
    row of full CyCADA; the last row that is no oracle; the last row.
    """
    names = [row.name for row in report.rows]
    if against:
        if against not in names:
            raise CycadaError(f"--against '{against}': there is no such row.{nearest(against, names)}")
        report.reference = against
        return
    wanted = [name for name in names if name == report.reference or name.endswith(f": {report.reference}")]
    if report.reference and not wanted:
        report.notes.append(
            f"The sweep compares its variants to '{report.reference}', which has no finished run; the tests "
            "use another row as the reference."
        )
    full = [row.name for row in report.rows if row.method in FULL_METHODS]
    others = [row.name for row in report.rows if not row.oracle] or names
    report.reference = (wanted or [n for n in names if n == "full"] or full[-1:] or others[-1:])[0]
