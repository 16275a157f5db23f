"""The table of `cycada evaluate` is never wider than the screen."""

import pytest

from cycada.cli.scores import print_scores


@pytest.mark.parametrize(("width", "across"), [(200, True), (60, False)])
def test_classes_are_rows_where_their_columns_do_not_fit(width, across, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    classes = [f"class_{k}" for k in range(9)]
    values = {"accuracy": 0.5, "class_accuracy": [k / 10 for k in range(9)]}
    scores = {"source": values, "target": values}
    print_scores({"experiment": "demo", "stage": "self", "classes": classes, "scores": scores})
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if "target" in line and ("50.00 %" in line) == across]
    assert all(name in "".join(lines) for name in [*classes, "accuracy", "source"])
    assert ("source" in head) != across
    assert max(map(len, lines)) <= width
