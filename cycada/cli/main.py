"""Train, evaluate and compare methods of unsupervised domain adaptation."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cycada import __version__
from cycada.cli.completion import config_files, run_ids, settings
from cycada.cli.config_schema import schema
from cycada.cli.data import data_app
from cycada.cli.doctor import doctor
from cycada.cli.entry import run_command
from cycada.cli.init import init
from cycada.cli.options import (
    ConfigFile,
    Json,
    Overrides,
    Quiet,
    Results,
    SettingsCommand,
    Verbose,
    import_plugins,
)
from cycada.cli.predict import predict
from cycada.cli.profile_table import print_profiles
from cycada.cli.quality import quality
from cycada.cli.record import record
from cycada.cli.report import report
from cycada.cli.study import study_app
from cycada.cli.style import style
from cycada.cli.sweep import sweep
from cycada.cli.translate import export, translate
from cycada.cli.values import PATH
from cycada.cli.verify import verify
from cycada.core.console import make_plain_console
from cycada.core.errors import CycadaError
from cycada.core.profile import Profile
from cycada.core.progress import Progress
from cycada.core.waiting import wait_briefly

# a mistake of the user ends with one sentence and exit code 2, never with a traceback: see `main`
app = typer.Typer(
    name="cycada",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help=__doc__,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data", help="List the data sets, and check those on this machine.")
app.add_typer(
    study_app,
    name="study",
    help="Ask people which of two pictures is real. The score is how often they are fooled.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"cycada {__version__}")
        raise typer.Exit


@app.callback()
def _options_of_all(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command(cls=SettingsCommand)
def run(
    config: ConfigFile,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Print where the seconds of each stage went, also written to its run folder's profile.json.",
        ),
    ] = False,
) -> None:
    """Run all stages of an experiment that are not finished yet. Each continues from where it stopped."""
    from cycada.config import schema as configs

    main = os.environ.get("RANK", "0") == "0"
    screen = _screen(quiet, verbose)
    parsed = configs.load(config, overrides or ())
    if main:
        # before PyTorch is imported, which takes seconds
        screen.info(f"cycada {__version__}: {parsed.name}, seed {parsed.seed}")

    from cycada.cli.tracked_run import run as run_experiment
    from cycada.planning.idle import find_idle_settings
    from cycada.planning.plan import plan

    for warning in find_idle_settings(parsed, plan(parsed)) if main else ():
        screen.warn(warning)
    profiles: dict[str, Profile] | None = {} if profile else None
    try:
        summary = run_experiment(parsed, screen, profiles)
    finally:
        if profiles is not None and main:
            print_profiles(profiles, stderr=as_json)
    if not main:
        return
    if as_json:
        print(json.dumps(summary.as_dict()))
    else:
        _print_summary(summary)


def _screen(quiet: bool, verbose: bool) -> Progress:
    if quiet and verbose:
        raise CycadaError("Found --quiet and --verbose, expected one of the two.")
    return Progress(quiet=quiet, verbose=verbose)


def _print_summary(summary: Any) -> None:
    from cycada.evaluation.scores import headline, percent
    from cycada.methods import methods
    from cycada.report.preferred_stage import preferred_stage

    has_oracle = any(methods[s.method].supervision == "target" for s in summary.stages)
    exception = ", but for an oracle's," if has_oracle else ""
    table = Table(
        title=f"{summary.name}, seed {summary.seed}, last step, "
        f"no target label in training{exception} or checkpoint selection"
    )

    headlines = [headline(scores)[0] for s in summary.stages for scores in s.scores.values()]
    sides = ("target", "source") if headlines else ()  # an experiment that only translates has no scores
    for column in ("stage", "method", *(f"{side} {headlines[0]}" for side in sides), "seconds", " "):
        table.add_column(column, justify="left" if column in ("stage", "method", " ") else "right")
    for s in summary.stages:
        shown = [percent(s.scores[d]) if d in s.scores else "-" for d in sides]
        table.add_row(s.name, s.label, *shown, f"{s.seconds:.0f}", "reused" if s.reused else "")
    out = make_plain_console()
    out.print(table)
    grids = [grid for s in summary.stages for grid in sorted((s.folder / "images").glob("grid_*.png"))[-1:]]
    for s in summary.stages:
        out.print(f"  {s.name}: {s.folder}", soft_wrap=True)
    if grids:
        out.print(f"Image grid: {grids[-1] if len(grids) == 1 else grids[0]}", soft_wrap=True)
    if advice := preferred_stage(summary.stages):
        out.print(f"note: {advice}", soft_wrap=True)
    for command in summary.tracking.splitlines():
        out.print(f"Tracked: {command}", soft_wrap=True)


@app.command(cls=SettingsCommand)
def check(
    config: ConfigFile,
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG]... [KEY=VALUE]...",
            autocompletion=lambda incomplete: [*config_files(incomplete), *settings(incomplete)],
            help="Further files or recipes, and settings that replace those of all files.",
        ),
    ] = None,
) -> None:
    """Check configs without data, and print their plans. One step of every stage is rehearsed."""
    from cycada.config.recipes import find_config

    files = [word for word in more or () if "=" not in word]
    for file in files:
        try:
            find_config(file)
        except CycadaError as error:
            raise CycadaError(f"{error} A setting is key=value.") from None
    overrides = [word for word in more or () if word not in files]
    ready = [_check_one(one, overrides) for one in (config, *map(Path, files))]
    sound = "The config is sound" if not files else f"{len(ready)} configs are sound"
    print(
        f"{sound}."
        if all(ready)
        else f"{sound}, but something that a run needs is missing or wrong: see above."
    )


def _check_one(config: Path, overrides: list[str]) -> bool:
    """Check a config and print its plan; return whether all that a run needs is here."""
    from cycada.config import schema as configs
    from cycada.planning.absent import find_absent_resources
    from cycada.planning.idle import find_idle_settings
    from cycada.planning.plan import plan
    from cycada.planning.rehearsal import rehearse
    from cycada.planning.results_place import check_results_place
    from cycada.planning.slow import find_slow_settings
    from cycada.tracking.open_tracker import check_trackers

    parsed = configs.load(config, overrides)
    plans = plan(parsed)
    check_results_place(parsed)
    check_trackers(parsed.tracking.kinds)
    for stage in plans:
        rehearse(parsed, stage)
    absent = find_absent_resources(parsed, plans)
    for warning in (*find_idle_settings(parsed, plans), *absent, *find_slow_settings(parsed, plans)):
        Progress().warn(f"{config}: {warning}")
    table = Table(
        title=f"{parsed.name}: {parsed.data.source.name} -> {parsed.data.target.name}", show_lines=True
    )
    for column in ("stage", "method", "steps x batch", "phase: networks", "losses"):
        table.add_column(column, overflow="fold")
    for p in plans:
        phases = "\n".join(
            f"{x.name}: {' '.join(x.trains)}{f' ({x.repeat} times a step)' if x.repeat > 1 else ''}"
            for x in p.phases
        )
        terms = "\n".join(" + ".join(f"{t.weight:g} {t.name}" for t in x.terms) for x in p.phases)
        frozen = f"\nfrozen: {' '.join(p.frozen)}" if p.frozen else ""
        length = (
            f"{p.stage.steps} x {p.stage.batch}{f': {p.epochs}' if p.epochs else ''}\n{p.stage.precision}"
        )
        table.add_row(p.name, p.stage.method, length, phases + frozen, terms)
    make_plain_console().print(table)
    return not absent


app.command(cls=SettingsCommand)(sweep)


class Listed(StrEnum):
    """What `cycada list` can list."""

    losses = "losses"
    methods = "methods"
    domains = "domains"
    networks = "networks"
    scores = "scores"
    criteria = "criteria"
    monitors = "monitors"
    schedules = "schedules"
    recipes = "recipes"
    plugins = "plugins"


@app.command("list")
def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    name: Annotated[
        str | None, typer.Argument(help="One entry, to see its options, what it needs and an example.")
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="A plug-in whose entries are listed too. May be repeated."),
    ] = None,
) -> None:
    """List the names that a config may use, or show one entry with its options and an example."""
    from cycada.cli import listing

    import_plugins(plugin or ())
    if name is None:
        listing.print_list(what.value)
    else:
        listing.print_entry(what.value, name)


@app.command(cls=SettingsCommand)
def evaluate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            autocompletion=run_ids,
            help="A stage's run folder, its id under results/runs, or an experiment's name.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings of the evaluation that replace the run's own, such as evaluation.flip=true.",
        ),
    ] = None,
    domain: Annotated[
        str | None,
        typer.Option(
            help="What to score instead of the run's own two domains: a domain, one with options such as "
            "'{name: camvid, drive: dusk}', or a folder of your own test images with labels.",
        ),
    ] = None,
    results: Results = Path("results"),
    data_root: Annotated[
        Path | None, typer.Option(parser=PATH, help="The data root, instead of the run's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a finished stage again, on its own or another test set."""
    from cycada.cli.scores import print_scores
    from cycada.runs.reuse import evaluate_run

    scores = evaluate_run(run, domain, data_root, results, overrides or ())
    if as_json:
        print(json.dumps(scores))
        return
    print_scores(scores)


app.command()(init)
app.command()(schema)
app.command()(doctor)
app.command()(predict)
app.command()(quality)
app.command()(style)
app.command()(translate)
app.command()(export)
app.command()(verify)
app.command()(record)
app.command()(report)


def main() -> None:
    """Run the command line; mistakes of the user become one message and an exit code."""
    wait_briefly()
    run_command(app)
