"""The pictures that a command is given: what is read, and what is named as not read."""

import json

from PIL import Image

from cycada.inference.sources import find_sources


def picture(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(file)
    return file


def test_pictures_of_one_s_own_in_the_folder_of_the_results_are_named(tmp_path):
    picture(tmp_path / "a.png")
    own = picture(tmp_path / "out" / "own.png")
    picture(tmp_path / "out" / "masks" / "a.png")
    found = find_sources(tmp_path, tmp_path / "out")
    assert [*found.files] == ["a.png"]
    assert found.left_out == {str(own): "it lies in the folder of the results"}


def test_a_list_with_a_byte_order_mark_and_windows_line_ends(tmp_path):
    first, second = (picture(tmp_path / name) for name in ("a.png", "b\u2028c.png"))
    (tmp_path / "list.txt").write_bytes(f"\ufeff{first}\r\n{second}\r\n".encode())
    assert [*find_sources(tmp_path / "list.txt", tmp_path).files.values()] == [first, second]


def test_the_root_of_a_list_is_its_folder_wherever_all_pictures_lie_below_it(tmp_path):
    one = picture(tmp_path / "list" / "a" / "x" / "one.png")
    listing = tmp_path / "list" / "list.txt"
    listing.write_text("a/x/one.png")
    assert find_sources(listing, tmp_path).root == listing.parent
    listing.write_text(f"{one}\n{picture(tmp_path / 'two.png')}")
    assert find_sources(listing, tmp_path).root == tmp_path


def test_results_of_another_call_are_no_pictures_and_that_is_said(tmp_path):
    picture(tmp_path / "a.png")
    for other, maker in (("other", "cycada predict"), ("mine", "somebody")):
        picture(tmp_path / other / "masks" / "a.png")
        (tmp_path / other / "predict.json").write_text(json.dumps({"made_by": maker}))
    found = find_sources(tmp_path, tmp_path / "out")
    assert [*found.files] == ["a.png", "mine/masks/a.png"]
    assert found.left_out[str(tmp_path / "other")] == "a folder with results of cycada predict"
    assert [*find_sources(tmp_path / "other", tmp_path / "out").files] == ["masks/a.png"], "it was asked for"
