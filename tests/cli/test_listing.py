"""`cycada list`: a line an entry, plain in a pipe, and all that is known of one entry."""

import re

import pytest

from cycada.cli import listing
from cycada.cli.options import import_plugins
from cycada.core.errors import CycadaError


@pytest.mark.parametrize("what", [what for what in listing.LISTS if what != "plugins"])
def test_every_entry_has_a_whole_sentence_on_one_plain_line(what, capsys):
    listing.print_list(what)
    lines = capsys.readouterr().out.splitlines()
    for entry in listing.entries(what):
        (line,) = [
            x for x in lines if x.split() and x.split()[0] == entry.name and x.endswith(entry.sentence)
        ][:1]
        assert len(entry.sentence) > 10, entry
        assert entry.sentence.endswith("."), entry
        assert line.isprintable()


@pytest.mark.parametrize("what", [what for what in listing.LISTS if what != "plugins"])
def test_every_line_fits_a_terminal_of_80_columns(what, capsys):
    listing.print_list(what)
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > listing.WIDTH] == []


def test_a_terminal_breaks_lines_between_words(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    listing.print_list("losses")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert " ".join(out.split()).count("Train f_t on translated source images with their labels.") == 1


def test_a_domain_is_shown_with_its_files_options_and_an_example(capsys):
    listing.print_entry("domains", "mask_folder")
    out = capsys.readouterr().out
    for said in (
        "    TRAIN/masks/*\n",
        "    skip_bad = false\n",
        "    train (no default)\n",
        "road: [128, 64, 128]",
    ):
        assert said in out
    assert "data: {source: {name: mask_folder, train: ..., test: ..., classes: ...}, target: ...}" in out


def test_square_brackets_in_a_description_stay_text(capsys):
    """A console with markup would leave `[0, 1]` and `[x]` out, and end in an error at `[/x]`."""
    with listing.losses.temporary():

        @listing.losses("bracketed")
        def bracketed(real_s, *, options: tuple[float, float] = (0.5, 1.0)):
            """Keep images in [0, 1], as in [x] and [/x]."""
            return real_s.mean()

        listing.print_list("losses")
        assert "  Keep images in [0, 1], as in [x] and [/x].\n" in capsys.readouterr().out
        listing.print_entry("losses", "bracketed")
    out = capsys.readouterr().out
    assert "Keep images in [0, 1], as in [x] and [/x].\n" in out
    assert "    options = [0.5, 1.0]\n" in out


def test_an_unknown_entry_is_refused_with_the_nearest():
    with pytest.raises(CycadaError, match=r"there is no .mnst.\. Did you mean .mnist."):
        listing.print_entry("domains", "mnst")


def test_plugins_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plugin_for_the_list.py").write_text(
        "from cycada.losses import losses\n\n\n@losses('of_the_plugin')\ndef entry(real_s):\n"
        '    """Keep the images as they are."""\n    return real_s.mean()\n'
    )
    with listing.losses.temporary():
        import_plugins(["plugin_for_the_list"])
        listing.print_list("plugins")
    assert re.search(r"of_the_plugin +Keep the images as they are\.", capsys.readouterr().out)
    with pytest.raises(CycadaError, match="--plugin: cannot import 'no_such_module'"):
        import_plugins(["no_such_module"])
