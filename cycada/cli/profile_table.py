"""The table of `cycada run --profile`: where the seconds of each stage went."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from cycada.core.console import make_plain_console
from cycada.core.profile import Profile


def print_profiles(profiles: Mapping[str, Profile], stderr: bool) -> None:
    """Print the seconds of every part of every stage that was trained.

    Args:
        profiles: Stage to its profile; empty where every stage was reused, which takes no training.
        stderr: Whether to print to stderr, so that stdout keeps one JSON object.
    """
    out = make_plain_console(stderr=stderr)
    if not profiles:
        out.print("There is no profile: no stage was trained.")
        return
    table = Table(title="Where the seconds of the stages went")
    for column in ("stage", "part", "seconds", "%", "times", "ms each"):
        table.add_column(column, justify="left" if column in ("stage", "part") else "right")
    for stage, profile in profiles.items():
        total = profile.total
        table.add_section()
        table.add_row(stage, "all", f"{total:.2f}", "100.0", "", "")
        for part, found in profile.parts().items():
            seconds, times = found["seconds"], found["times"]
            share, each = 100 * seconds / total, 1000 * seconds / times
            table.add_row("", part, f"{seconds:.2f}", f"{share:.1f}", str(times), f"{each:.1f}")
    out.print(table)
