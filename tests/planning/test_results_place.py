"""A results folder among the pictures that are read as data is refused."""

import pytest
from helpers.own_data import class_folders, own

from cycada.core.errors import CycadaError
from cycada.planning.results_place import check_results_place
from cycada.runs.run import run


def test_results_among_the_pictures_of_a_domain_are_refused(tmp_path, monkeypatch):
    config = own(class_folders(tmp_path, count=1))
    check_results_place(config)
    for folder in ("source/train", "target/test/cat/results"):
        inside = config.model_copy(update={"results": tmp_path / folder})
        with pytest.raises(CycadaError, match=r"results: found .* of which all pictures are read as data"):
            run(inside)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").symlink_to(tmp_path / "target" / "train")
    with pytest.raises(CycadaError, match="data of the target"):
        check_results_place(config.model_copy(update={"results": tmp_path / "out" / "r"}))
    assert not list(tmp_path.rglob("runs"))
