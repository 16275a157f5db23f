"""The console of the commands prints names as they are."""

from rich.table import Table

from cycada.core.console import make_plain_console


def test_square_brackets_and_colons_of_a_name_stay_text(capsys):
    """`[/b]` alone would end in an error of rich, `[road]` be left out, and `:car:` become a picture."""
    table = Table(title="a [title]")
    table.add_column("[column]")
    for name in ("[road]", "[/b]", ":car:"):
        table.add_row(name)
    console = make_plain_console()
    console.print(table)
    console.print("left out: [x].png")
    out = capsys.readouterr().out
    for name in ("a [title]", "[column]", "[road]", "[/b]", ":car:", "left out: [x].png"):
        assert name in out
