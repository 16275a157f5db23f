"""Cells of the report's tables: means, p values and names as text."""

from __future__ import annotations

from cycada.render.table import NONE
from cycada.report.table import Mean, TableRow


def minus(text: str) -> str:
    """Return a text with minus signs in the place of hyphens."""
    return text.replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p value as text, with three digits below 0.1 and two above; a dash for None."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def signed(mean: Mean | None) -> str:
    """Return a mean with its sign and its standard error as text; a dash for None."""
    if mean is None:
        return NONE
    return minus(f"{mean.mean:+.1f}") + ("" if mean.error is None else f" ± {mean.error:.1f}")


def cell(mean: Mean | None, digits: int = 1) -> str:
    """Return a mean with its standard error as text; a dash for None."""
    if mean is None:
        return NONE
    return minus(f"{mean.mean:.{digits}f}") + ("" if mean.error is None else f" ± {mean.error:.{digits}f}")


def name(line: TableRow) -> str:
    """Return the name of a row, with an asterisk behind an oracle's."""
    return f"{line.row.name} *" if line.row.oracle else line.row.name
