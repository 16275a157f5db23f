"""What a name may hold and must not do: in Markdown, LaTeX and CSV, in every file of tables that is
written."""

import csv
import io

import pytest

from cycada.image_quality.table import as_csv, quality_tables
from cycada.image_quality.table import markdown as quality_markdown
from cycada.render.escape import csv_lines, html_prose, markdown_cell, markdown_prose, tex
from cycada.render.table import Table
from cycada.render.text import latex, markdown

EVIL = '=HYPERLINK("http://x")|<img src=x>\n# *b* `c` $d$ [e](http://x) _f_ g_h \\|'


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),
        ("<b>&", "&lt;b>&amp;"),
        ("a\n\n# b", "a # b"),
        ("[a](b)", r"[a]\(b)"),
        ("−3.1 [−4.0, −2.2]", "−3.1 [−4.0, −2.2]"),
        ("f_s, _a_ b_", r"f_s, \_a\_ b\_"),
        ("$x$ `y` ~~z~~ *", r"\$x\$ \`y\` \~\~z\~\~ \*"),
        ("- cycle", "- cycle"),
    ],
)
def test_markdown(text, written):
    assert markdown_cell(text) == written


def test_code_in_a_sentence_stays_code():
    assert markdown_prose("`cycada evaluate RUN` <b> *") == r"`cycada evaluate RUN` &lt;b> \*"
    assert html_prose("`a <b>` <c>") == "<code>a &lt;b&gt;</code> &lt;c&gt;"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b & 5 % → ± − $", r"a\_b \& 5 \% $\to$ $\pm$ $-$ \$"),
        ("[a] [b]", "{}[a] [b]"),
        ("a\n\nb\\input{x}", r"a b\textbackslash{}input\{x\}"),
    ],
)
def test_latex(text, written):
    assert tex(text) == written


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "\t=a", "\r=a", " =a", "-1+cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(text):
    assert next(csv.reader(io.StringIO(csv_lines([[text]])))) == [
        f"'{text.replace(chr(9), ' ').replace(chr(13), ' ')}"
    ]


def test_numbers_stay_numbers_in_csv():
    assert (
        csv_lines([["-0.5", -0.5, None, True, "1e-9", "-2e+3", 1 / 3]])
        == "-0.5,-0.5,,True,1e-9,-2e+3,0.333333\n"
    )


def test_every_writer_escapes():
    sheet = Table("x", EVIL, ("method", EVIL), [(EVIL, EVIL)], frozenset({(0, 1)}), (EVIL,))
    found = {
        "label": EVIL,
        "experiment": "e",
        "stage": "s",
        "seed": 0,
        "seconds": 1.0,
        "pixels": {"st": {"l1": 0.5}},
    }
    tables = quality_tables([(EVIL, found)])
    for text in (markdown(EVIL, EVIL, [sheet], [EVIL]), quality_markdown(tables, [EVIL])):
        assert "<img" not in text.replace("`c`", "")
        assert "](http" not in text
        rows = [line for line in text.splitlines() if line.startswith("| ") and "HYPERLINK" in line]
        assert rows
        assert all(
            line.replace(r"\\", "").replace(r"\|", "").count("|")
            == rows[0].replace(r"\\", "").replace(r"\|", "").count("|")
            for line in rows
        )
    assert r"\#" in latex([sheet])
    assert latex([sheet]).count(r"\ifdim\width>\linewidth") == 1  # which shrinks a table that is too wide
    assert "\n\n#" not in latex([sheet])
    assert next(csv.DictReader(io.StringIO(as_csv(tables))))["method"] == "'" + EVIL.replace("\n", " ")
