"""List the committed reports that are stale, train what they lack, and write them from records.

    python -m experiments.results [NAME...] [--check | --list] [--jobs 2] [--set KEY=VALUE ...]

results/reports.yaml says what each folder of results/reports is made from. A report is current when all of
its stages, as today's configs describe them, have a record in results/records, and its table shows these.
What was trained is never trained again, and an interrupted run goes on. --check exits with 1 where a report
is stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cycada
from cycada.cli.entry import run_command
from cycada.cli.tracked_run import PRODUCTS
from cycada.core.errors import CycadaError, nearest
from cycada.core.interrupt import Interrupted
from cycada.core.progress import Progress
from cycada.sweeps.committed import CommittedReport, read_sources
from cycada.sweeps.launchers import ProcessPool

SOURCES = Path("results") / "reports.yaml"


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, list or make the committed reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="reports to look at; none means all")
    parser.add_argument(
        "--check", action="store_true", help="only say which are stale; exit code 1 if any is"
    )
    parser.add_argument("--list", action="store_true", help="only say which are stale and how long they take")
    parser.add_argument("--rewrite", action="store_true", help="write current ones, too, by today's code")
    parser.add_argument("--jobs", type=int, default=2, help="stages to train at once, one thread each")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings over the files'")
    parser.add_argument("--reports", type=Path, default=SOURCES, help="the file that lists them")
    options = parser.parse_args(arguments)
    sources, results = read_sources(options.reports), options.reports.parent
    for name in options.names:
        if name not in sources:
            raise CycadaError(f"{options.reports}: there is no report '{name}'.{nearest(name, sources)}")
    stale = []
    for name in options.names or sources:
        report = CommittedReport.find(name, sources[name], results, options.set)
        print(report.describe(options.jobs), flush=True)
        if report.stale or options.rewrite:
            stale.append(report)
    if options.check:
        sys.exit(1 if any(report.stale for report in stale) else 0)
    if options.list:
        return
    failures = [line for report in stale for line in _make(report, options.jobs)]
    if failures:
        raise CycadaError("\n".join(["Not all reports could be made:", *(f"  {line}" for line in failures)]))


def _make(report: CommittedReport, jobs: int) -> list[str]:
    """Train what a report lacks, and write it from records; return what failed, in words."""
    try:
        if failures := report.train(ProcessPool(jobs, threads=1), Progress(), PRODUCTS):
            return failures
        written = cycada.report_on([report.source.file], report.records, report.folder)
    except Interrupted:
        raise
    except CycadaError as error:
        return [str(error)]
    print(f"Report: {written.folder / 'report.html'}")
    return []


if __name__ == "__main__":
    run_command(main)
